//! Capacity that was set aside before: reservations, blocks, and offers that end by themselves.
//!
//! What is paid for whether or not it is used costs nothing more when it is used. That is a price of zero, which is
//! believed of nothing else: a zero anywhere else is a price that somebody failed to state.

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use crate::ids::ReservationId;
use crate::money::PerInstanceHour;
use crate::offer::{Offer, OfferKind};
use crate::plan::{Attempt, Exclusion};

/// Capacity that a provider has set aside for us, as of the quote.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reservation {
    /// The provider's name of it: it is asked for by this name, and by no other.
    pub id: ReservationId,
    /// Whether it is paid for whether or not it is used, by the account that rents: an instance in it then adds nothing
    /// to the bill, and the offer's price is zero.
    pub paid: bool,
    /// Instances that it has room for.
    pub left: u32,
    /// When it begins to take instances; `None` when it has begun.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub starts_at: Option<Timestamp>,
    /// When the last instance in it must have ended (half open); `None` when it lasts until somebody ends it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ends_at: Option<Timestamp>,
}

impl Offer {
    /// The price of one instance for an hour that can be believed; `None` when there is none.
    ///
    /// Zero is the price of what is paid for already: a reservation that says so, or a machine of one's own. Anywhere else
    /// zero, like any amount below it, is a price that somebody failed to state.
    #[must_use]
    pub fn rate(&self) -> Option<PerInstanceHour> {
        let free = self.is_paid() || self.kind == OfferKind::Owned;
        self.price.filter(|price| price.0.nanos() > 0 || (free && price.0.nanos() == 0))
    }

    /// Whether it is paid for already, whether or not it is used.
    #[must_use]
    pub fn is_paid(&self) -> bool {
        self.reservation.as_ref().is_some_and(|reservation| reservation.paid)
    }

    /// When an instance that starts at `start` must have ended (half open): at the end of its reservation, or when it has
    /// run as long as it may. `None` when nothing ends it.
    #[must_use]
    pub fn ends_by(&self, start: Timestamp) -> Option<Timestamp> {
        let reservation = self.reservation.as_ref().and_then(|reservation| reservation.ends_at);
        [reservation, self.run_max_s.map(|seconds| later(start, seconds))].into_iter().flatten().min()
    }

    /// How many seconds of `duration_s` from `start` on it does not last; 0 when it lasts for all of them.
    #[must_use]
    pub fn falls_short_s(&self, start: Timestamp, duration_s: u64) -> u64 {
        let wanted = later(start, duration_s);
        let short = self.ends_by(start).map_or(0, |end| wanted.as_second() - end.as_second());
        u64::try_from(short).unwrap_or(0)
    }

    /// Whether the reservation has room for so many instances, and lasts from `now` for so many seconds.
    ///
    /// # Errors
    /// [`Exclusion::ReservationFull`] or [`Exclusion::Window`].
    pub(crate) fn check_reservation(
        &self,
        instances: u32,
        now: Timestamp,
        duration_s: u64,
    ) -> Result<(), Exclusion> {
        if let Some(reservation) = self.reservation.as_ref().filter(|have| instances > have.left) {
            return Err(Exclusion::ReservationFull { need: instances, left: reservation.left });
        }
        let opens_at = self.reservation.as_ref().and_then(|have| have.starts_at).filter(|start| *start > now);
        let wanted = later(now, duration_s);
        let ends_at = self.ends_by(now).filter(|end| *end < wanted);
        if opens_at.is_some() || ends_at.is_some() {
            return Err(Exclusion::Window { opens_at, ends_at, need_until: wanted });
        }
        Ok(())
    }
}

impl Attempt {
    /// Why the offer comes where it does, in words, where its price alone does not say it: that it is paid for already, how
    /// much of it is left, and when it ends.
    #[must_use]
    pub fn standing(&self) -> Option<String> {
        let reservation = self.offer.reservation.as_ref();
        let paid = if self.offer.is_paid() { "paid for already, used or not: " } else { "" };
        let held = reservation.map(|have| format!("{paid}{} left in {}", have.left, have.id));
        let ends = match (reservation.and_then(|have| have.ends_at), self.offer.run_max_s) {
            (Some(at), _) => Some(format!("ends at {at}")),
            (None, Some(seconds)) => Some(format!("runs {seconds} s at most")),
            (None, None) => None,
        };
        match (held, ends) {
            (Some(held), Some(ends)) => Some(format!("{held}, {ends}")),
            (held, ends) => held.or(ends),
        }
    }
}

/// `seconds` after `at`; the end of time stays the end of time.
fn later(at: Timestamp, seconds: u64) -> Timestamp {
    let by = SignedDuration::from_secs(i64::try_from(seconds).unwrap_or(i64::MAX));
    at.saturating_add(by).unwrap_or(Timestamp::MAX)
}
