//! Offers of reservations and blocks, and creates in them.

use std::collections::BTreeMap;

use aws_sdk_ec2::types::{
    CapacityReservation, CapacityReservationPreference, CapacityReservationSpecification,
    CapacityReservationTarget, InstanceMarketOptionsRequest, MarketType,
};
use hpc_provider::{ProvisionSpec, Result};
use hpc_resources::{InstanceType, Money, Offer, OfferKind, PerInstanceHour, Reservation, StockHint, ZoneId};
use jiff::Timestamp;

use crate::config::ReservationConfig;
use crate::facts::Shape;
use crate::price::OnDemandPrice;
use crate::reservation::{ReservationFacts, reservation};

use super::client::{RegionClient, Zones, filter, pages};
use super::map;
use super::provider::AwsProvider;

/// States that an offer can come of.
const STATES: [&str; 2] = ["active", "scheduled"];

impl AwsProvider {
    /// What of our types is set aside in a region, by type and zone. Asks for nothing where the settings do not say so.
    pub(crate) async fn set_aside(
        &self,
        client: &RegionClient,
        zones: &Zones,
        now: Timestamp,
    ) -> Result<Vec<(InstanceType, ZoneId, OfferKind, Reservation)>> {
        let Some(settings) = &self.config.reservations else { return Ok(Vec::new()) };
        let by_state = filter("state", STATES);
        let found = pages!(
            client,
            client.ec2.describe_capacity_reservations().filters(by_state.clone()),
            capacity_reservations
        );
        Ok(found.iter().filter_map(|found| self.usable(found, settings, zones, now)).collect())
    }

    fn usable(
        &self,
        found: &CapacityReservation,
        settings: &ReservationConfig,
        zones: &Zones,
        now: Timestamp,
    ) -> Option<(InstanceType, ZoneId, OfferKind, Reservation)> {
        let instance_type = InstanceType::parse(found.instance_type()?).ok()?;
        if !self.config.instance_types.contains(&instance_type) {
            return None;
        }
        let by_id = found.availability_zone_id().and_then(|id| ZoneId::parse(id).ok());
        let zone = by_id.or_else(|| zones.id(found.availability_zone()?))?;
        let (kind, reservation) = reservation(&facts(found), &settings.account, now).ok()?;
        Some((instance_type, zone, kind, reservation))
    }

    /// Offers of what is set aside. What we pay for already costs nothing more; what others do costs the price of everybody.
    pub(crate) fn offers_set_aside(
        &self,
        client: &RegionClient,
        found: Vec<(InstanceType, ZoneId, OfferKind, Reservation)>,
        shapes: &BTreeMap<InstanceType, Shape>,
        on_demand: &BTreeMap<InstanceType, OnDemandPrice>,
        now: Timestamp,
    ) -> Vec<Offer> {
        let offer =
            |(instance_type, zone, kind, reservation): (InstanceType, ZoneId, OfferKind, Reservation)| {
                let shape = shapes.get(&instance_type)?;
                let known = on_demand.get(&instance_type);
                let (price, as_of) = if reservation.paid {
                    (Some(PerInstanceHour(Money::ZERO_USD)), now)
                } else {
                    super::offers::priced(known, now)
                };
                let stock = if reservation.left > 0 { StockHint::Likely } else { StockHint::Unlikely };
                let market =
                    self.offer(&client.config.region, &zone, &instance_type, (shape, kind), (price, as_of));
                // The reservation itself counts towards the quota, used or not; a block counts towards none.
                Some(Offer { stock, quota: None, reservation: Some(Box::new(reservation)), ..market })
            };
        found.into_iter().filter_map(offer).collect()
    }

    /// In which reservation an instance is created: in the offer's, which is asked for by name and never left; and what is
    /// bought of the market in none, so that it does not take the place of what is paid for.
    pub(crate) fn where_to(&self, spec: &ProvisionSpec) -> Option<CapacityReservationSpecification> {
        let specification = CapacityReservationSpecification::builder();
        match &spec.offer.reservation {
            Some(reservation) => {
                let target = CapacityReservationTarget::builder()
                    .capacity_reservation_id(reservation.id.as_str())
                    .build();
                Some(specification.capacity_reservation_target(target).build())
            }
            None if spec.offer.kind == OfferKind::OnDemand && self.config.reservations.is_some() => Some(
                specification.capacity_reservation_preference(CapacityReservationPreference::None).build(),
            ),
            None => None,
        }
    }
}

/// A create in a block says that it is one.
pub(crate) fn block() -> InstanceMarketOptionsRequest {
    InstanceMarketOptionsRequest::builder().market_type(MarketType::CapacityBlock).build()
}

fn facts(found: &CapacityReservation) -> ReservationFacts {
    let text = |text: Option<&str>| text.unwrap_or_default().to_owned();
    ReservationFacts {
        id: text(found.capacity_reservation_id()),
        owner: text(found.owner_id()),
        reservation_type: text(found.reservation_type().map(|kind| kind.as_str())),
        state: text(found.state().map(|state| state.as_str())),
        platform: text(found.instance_platform().map(|platform| platform.as_str())),
        tenancy: text(found.tenancy().map(|tenancy| tenancy.as_str())),
        total: found.total_instance_count().unwrap_or_default().into(),
        available: found.available_instance_count().unwrap_or_default().into(),
        starts_at: found.start_date().and_then(map::time),
        ends_at: found.end_date().and_then(map::time),
        interruptible: found.interruptible().unwrap_or_default(),
        elsewhere: found.outpost_arn().is_some() || found.placement_group_arn().is_some(),
    }
}
