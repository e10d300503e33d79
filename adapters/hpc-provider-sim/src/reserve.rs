//! Capacity that is set aside: things on the shelf beside those that anyone can have.

use hpc_provider::ProviderError;
use hpc_resources::{OfferKey, OfferKind, Reservation};
use jiff::Timestamp;

use crate::cloud::{Cloud, Habits, Item};
use crate::error::SimError;
use crate::refusal;
use crate::script::{Notice, ReservationRule};
use crate::state::{Doom, later};
use crate::world::Inner;

impl ReservationRule {
    pub(crate) fn check(&self, all: &[Self]) -> Result<(), SimError> {
        let same = |other: &&Self| other.id == self.id && other.provider == self.provider;
        let what = match self.kind {
            _ if all.iter().filter(same).count() > 1 => "is there twice",
            _ if self.instances == 0 || self.hidden > self.instances => "has no room for what it holds",
            _ if self.to_s.is_some_and(|end| end <= self.from_s) => "ends before it begins",
            OfferKind::Block if self.to_s.is_none() => "is a block without an end",
            OfferKind::Reserved | OfferKind::Block => return Ok(()),
            _ => "is neither `reserved` nor `block`",
        };
        Err(SimError::Script { what: format!("the reservation `{}` {what}", self.id) })
    }

    /// From when to when it is there, where the world begins at `start`.
    pub(crate) fn window(&self, start: Timestamp) -> (Timestamp, Option<Timestamp>) {
        (later(start, self.from_s.into()), self.to_s.map(|end| later(start, end.into())))
    }
}

impl Cloud {
    /// What a reservation sets aside: what is sold on demand in its zone, at no price more.
    ///
    /// # Errors
    /// [`SimError::Script`] when nothing such is sold there.
    pub(crate) fn set_aside(&self, rule: &ReservationRule) -> Result<Item, SimError> {
        let same = |item: &&Item| {
            item.kind == OfferKind::OnDemand
                && item.zone == rule.zone
                && item.shape.instance_type == rule.instance_type
        };
        let item = self.items.iter().find(same).filter(|_| self.habits != Habits::Rack);
        item.map(|item| item.set_aside(rule.kind, u64::from(rule.instances))).ok_or_else(|| {
            let what = format!(
                "the reservation `{}`: {} sells no {} on demand in {}",
                rule.id, self.id, rule.instance_type, rule.zone
            );
            SimError::Script { what }
        })
    }

    /// Checks that everything set aside is something it sells.
    pub(crate) fn check_reservations(&self, rules: &[ReservationRule]) -> Result<(), SimError> {
        rules
            .iter()
            .filter(|rule| rule.provider == self.id)
            .try_for_each(|rule| self.set_aside(rule).map(drop))
    }
}

impl Inner {
    /// Everything of a cloud that is set aside and has not ended.
    pub(crate) fn set_aside<'a>(
        &'a self,
        cloud: &'a Cloud,
    ) -> impl Iterator<Item = (Item, &'a ReservationRule)> {
        let lasts = |rule: &&ReservationRule| {
            rule.window(self.state.start).1.is_none_or(|end| self.state.clock < end)
        };
        let rules = self.script.reservations.iter().filter(|rule| rule.provider == cloud.id).filter(lasts);
        rules.filter_map(|rule| Some((cloud.set_aside(rule).ok()?, rule)))
    }

    /// What an offer says of it. What others hold in secret is not told.
    pub(crate) fn told(&self, item: &Item, key: &OfferKey, rule: &ReservationRule) -> Reservation {
        let (from, to) = rule.window(self.state.start);
        let left = self.room(item, key).unwrap_or(0);
        Reservation {
            id: rule.id.clone(),
            paid: true,
            left: u32::try_from(left).unwrap_or(u32::MAX),
            starts_at: (from > self.state.clock).then_some(from),
            ends_at: to,
        }
    }

    /// The reservation that a create asks for.
    pub(crate) fn reserved(&self, cloud: &Cloud, key: &OfferKey) -> Option<&ReservationRule> {
        let id = key.reservation.as_ref()?;
        self.script.reservations.iter().find(|rule| rule.provider == cloud.id && rule.id == *id)
    }

    /// What a create that names a reservation gets, if that has begun, lasts, and has room.
    pub(crate) fn out_of_reservation(
        &self,
        cloud: &Cloud,
        key: &OfferKey,
        count: u64,
    ) -> Result<Item, ProviderError> {
        let unknown =
            || refusal::config("InvalidCapacityReservationId.NotFound", &format!("{key} is not there"));
        let rule = self.reserved(cloud, key).ok_or_else(unknown)?;
        let item = cloud.set_aside(rule).map_err(|_| unknown())?;
        if (&item.zone, &item.region, item.kind, &item.shape.instance_type)
            != (&key.zone, &key.region, key.kind, &key.instance_type)
        {
            return Err(unknown());
        }
        let (from, to) = rule.window(self.state.start);
        let now = self.state.clock;
        if now < from || to.is_some_and(|end| now >= end) {
            return Err(refusal::config("ReservationNotActive", &format!("{key} is not active now")));
        }
        let free = self.room(&item, key).unwrap_or(0).saturating_sub(rule.hidden.into());
        if count > free {
            return Err(refusal::reservation_full(cloud.habits, &key.to_string()));
        }
        Ok(item)
    }

    /// The end that an instance in a block has from the beginning.
    pub(crate) fn end_of_block(&self, cloud: &Cloud, key: &OfferKey) -> Option<Doom> {
        let rule = self.reserved(cloud, key).filter(|rule| rule.kind == OfferKind::Block)?;
        let end = rule.window(self.state.start).1?;
        let after_s = end.as_second().saturating_sub(self.state.clock.as_second());
        Some(Doom::new(self.state.clock, u32::try_from(after_s).unwrap_or(u32::MAX), Notice::Before))
    }
}
