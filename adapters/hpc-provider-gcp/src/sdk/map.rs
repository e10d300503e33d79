//! Compute Engine's words to ours.

use google_cloud_compute_v1::model::{Instance, MachineType};
use hpc_provider::{InstanceHandle, InstancePhase, InstanceState};
use hpc_resources::{OfferKind, ProviderId};
use jiff::Timestamp;

use crate::labels;
use crate::machine::{Machine, TypeFacts};
use crate::names::{self, Place};

use super::reserved::target;

/// A time such as `2026-11-26T04:00:00.123-08:00`.
pub(crate) fn time(text: Option<&str>) -> Option<Timestamp> {
    text?.parse().ok()
}

/// One instance; `None` for what cannot be one of ours: no name, zone, type or start.
///
/// An instance that has ended is no longer there, so none is ever `Terminated` here. One that is stopped computes nothing,
/// and its disk still costs: it is `Stopping` until it is released.
pub(crate) fn instance(provider: &ProviderId, zone: &str, instance: &Instance) -> Option<InstanceState> {
    let name = instance.name.clone().filter(|name| names::is_name(name))?;
    let place = Place { zone: zone.to_owned(), name };
    let machine_type = names::last(instance.machine_type.as_deref()?);
    Some(InstanceState {
        handle: InstanceHandle { provider: provider.clone(), region: place.region()?, id: place.id() },
        phase: phase(instance.status.as_ref().and_then(|status| status.name()).unwrap_or_default()),
        zone: names::zone_id(zone)?,
        instance_type: Machine::instance_type(machine_type, &devices(instance))?,
        kind: kind(instance),
        price: None,
        tags: labels::to_tags(&instance.labels),
        launched_at: time(instance.creation_timestamp.as_deref())?,
        ended_at: None,
        reclaimed: false,
    })
}

fn devices(instance: &Instance) -> Vec<(String, i64)> {
    let devices = instance.guest_accelerators.iter();
    devices
        .map(|device| {
            let name = names::last(device.accelerator_type.as_deref().unwrap_or_default()).to_owned();
            (name, device.accelerator_count.unwrap_or_default().into())
        })
        .collect()
}

fn phase(status: &str) -> InstancePhase {
    match status {
        "PENDING" | "PROVISIONING" | "STAGING" => InstancePhase::Pending,
        "PENDING_STOP" | "STOPPING" | "STOPPED" | "TERMINATED" | "SUSPENDING" | "SUSPENDED"
        | "DEPROVISIONING" => InstancePhase::Stopping,
        // `RUNNING`, `REPAIRING`, and any state that is new: it exists, and may cost money.
        _ => InstancePhase::Running,
    }
}

fn kind(instance: &Instance) -> OfferKind {
    let market = if target(instance).is_some() { OfferKind::Reserved } else { OfferKind::OnDemand };
    let Some(scheduling) = &instance.scheduling else { return market };
    match scheduling.provisioning_model.as_ref().and_then(|model| model.name()) {
        Some("SPOT") => OfferKind::Spot,
        _ if scheduling.preemptible == Some(true) => OfferKind::Spot,
        None | Some("STANDARD") => market,
        Some("FLEX_START") => OfferKind::Flex,
        Some(_) => OfferKind::Reserved,
    }
}

/// A type's facts.
pub(crate) fn facts(machine_type: &MachineType) -> TypeFacts {
    let device = |device: &google_cloud_compute_v1::model::machine_type::Accelerators| {
        let name = device.guest_accelerator_type.as_deref().unwrap_or_default();
        (names::last(name).to_owned(), device.guest_accelerator_count.unwrap_or_default().into())
    };
    TypeFacts {
        guest_cpus: machine_type.guest_cpus.unwrap_or_default().into(),
        memory_mib: machine_type.memory_mb.unwrap_or_default().into(),
        accelerators: machine_type.accelerators.iter().map(device).collect(),
        shared_cpu: machine_type.is_shared_cpu.unwrap_or_default(),
        deprecated: machine_type
            .deprecated
            .as_ref()
            .and_then(|status| status.state.as_ref())
            .map(|state| state.name().unwrap_or("in a state that is not known").to_owned()),
    }
}
