//! Offers of reservations, and in which reservation an instance is created.

use google_cloud_compute_v1::model::reservation_affinity::ConsumeReservationType;
use google_cloud_compute_v1::model::{Instance, Reservation as GceReservation, ReservationAffinity};
use hpc_provider::{ProvisionSpec, Result};
use hpc_resources::{InstanceType, OfferKind, Reservation, ZoneId};

use crate::names;
use crate::reservation::{AFFINITY_KEY, ReservationFacts, reservation};

use super::client::pages;
use super::map;
use super::provider::GcpProvider;

impl GcpProvider {
    /// What of our types is set aside, by zone; and whether all zones answered. Asks nothing where the settings do not say so.
    pub(crate) async fn set_aside(&self) -> Result<(Vec<(ZoneId, InstanceType, Reservation)>, bool)> {
        if !self.config.reservations {
            return Ok((Vec::new(), true));
        }
        let call = || {
            let call = self.clients.reservations.aggregated_list().set_project(&self.config.project);
            call.set_max_results(self.config.page_entries)
        };
        let found = pages!(self, call(), reservations);
        let usable = |(zone, found): &(String, GceReservation)| {
            let (instance_type, reservation) = reservation(&facts(found)?).ok()?;
            let ours = self.config.instance_types.contains(&instance_type);
            Some((names::zone_id(zone).filter(|_| ours)?, instance_type, reservation))
        };
        Ok((found.entries.iter().filter_map(usable).collect(), found.whole))
    }

    /// In which reservation an instance is created: in the offer's, which is asked for by name and never left; and what is
    /// bought of the market in none, so that it does not take the place of what is paid for.
    pub(crate) fn affinity(&self, spec: &ProvisionSpec) -> Option<ReservationAffinity> {
        let affinity = ReservationAffinity::new();
        match (&spec.offer.reservation, spec.offer.kind) {
            (Some(reservation), _) => Some(
                affinity
                    .set_consume_reservation_type(ConsumeReservationType::SpecificReservation)
                    .set_key(AFFINITY_KEY)
                    .set_values([reservation.id.as_str()]),
            ),
            // Flex-start wants it said.
            (None, OfferKind::Flex) => {
                Some(affinity.set_consume_reservation_type(ConsumeReservationType::NoReservation))
            }
            (None, OfferKind::OnDemand) if self.config.reservations => {
                Some(affinity.set_consume_reservation_type(ConsumeReservationType::NoReservation))
            }
            (None, _) => None,
        }
    }
}

/// The reservation that an instance was created for. One that it merely runs in, because it fits, is none of it.
pub(crate) fn target(instance: &Instance) -> Option<&str> {
    let affinity = instance.reservation_affinity.as_ref()?;
    let kind = affinity.consume_reservation_type.as_ref().and_then(|kind| kind.name());
    let name = affinity.values.first().map(|name| names::last(name));
    name.filter(|name| kind == Some("SPECIFIC_RESERVATION") && !name.is_empty())
}

fn facts(found: &GceReservation) -> Option<ReservationFacts> {
    let specific = found.specific_reservation.as_ref()?;
    let properties = specific.instance_properties.as_ref()?;
    let text = |text: Option<&str>| text.unwrap_or_default().to_owned();
    let device = |device: &google_cloud_compute_v1::model::AcceleratorConfig| {
        let name = names::last(device.accelerator_type.as_deref().unwrap_or_default()).to_owned();
        (name, device.accelerator_count.unwrap_or_default().into())
    };
    Some(ReservationFacts {
        name: text(found.name.as_deref()),
        status: text(found.status.as_ref().and_then(|status| status.name())),
        machine_type: names::last(properties.machine_type.as_deref().unwrap_or_default()).to_owned(),
        devices: properties.guest_accelerators.iter().map(device).collect(),
        count: specific.count.unwrap_or_default(),
        in_use: specific.in_use_count.unwrap_or_default(),
        by_name_only: found.specific_reservation_required.unwrap_or_default(),
        ends_at: map::time(found.delete_at_time.as_deref()),
        wants_more: properties.min_cpu_platform.as_deref().is_some_and(|platform| !platform.is_empty())
            || !found.resource_policies.is_empty()
            || found.deployment_type.is_some(),
    })
}
