//! EC2's words to ours.

use std::collections::BTreeMap;

use aws_sdk_ec2::primitives::DateTime;
use aws_sdk_ec2::types::{Instance, InstanceLifecycleType, InstanceTypeInfo};
use hpc_provider::{InstanceHandle, InstancePhase, InstanceState};
use hpc_resources::{InstanceType, OfferKind, ProviderId, Region};
use jiff::Timestamp;

use crate::ending;
use crate::facts::{Device, TypeFacts};

use super::client::Zones;

/// Longest instance id that is believed.
const ID_BYTES_MAX: usize = 64;

/// An id fit for keys, filters and cursors; anything else is no instance of EC2's.
pub(crate) fn is_id(text: &str) -> bool {
    let fine = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-';
    !text.is_empty() && text.len() <= ID_BYTES_MAX && text.bytes().all(fine)
}

pub(crate) fn time(time: &DateTime) -> Option<Timestamp> {
    Timestamp::from_millisecond((*time).to_millis().ok()?).ok()
}

/// Where an instance is asked about from.
pub(crate) struct Seen<'a> {
    pub(crate) provider: &'a ProviderId,
    pub(crate) region: &'a Region,
    pub(crate) zones: &'a Zones,
    pub(crate) now: Timestamp,
}

/// One instance; `None` for what cannot be one of ours: no id, zone, type or start.
pub(crate) fn instance(seen: &Seen<'_>, instance: &Instance) -> Option<InstanceState> {
    let id = instance.instance_id().filter(|id| is_id(id))?;
    let placement = instance.placement();
    let zone = placement
        .and_then(|placement| placement.availability_zone_id())
        .and_then(|id| hpc_resources::ZoneId::parse(id).ok())
        .or_else(|| seen.zones.id(placement?.availability_zone()?))?;
    let launched_at = time(instance.launch_time()?)?;
    let reason = instance.state_reason().and_then(|reason| reason.code()).unwrap_or_default();
    let phase = phase(instance.state()?.name()?.as_str());
    // Where EC2 does not say when, the time of asking: never before the end, and what is paid is never too little.
    let ended_at = (phase == InstancePhase::Terminated).then(|| {
        let told = ending::time(instance.state_transition_reason().unwrap_or_default());
        told.unwrap_or(seen.now).max(launched_at)
    });
    Some(InstanceState {
        handle: InstanceHandle {
            provider: seen.provider.clone(),
            region: seen.region.clone(),
            id: id.to_owned(),
        },
        phase,
        zone,
        instance_type: InstanceType::parse(instance.instance_type()?.as_str()).ok()?,
        kind: kind(instance),
        price: None,
        tags: tags(instance),
        launched_at,
        ended_at,
        reclaimed: phase == InstancePhase::Terminated && ending::by_provider(reason),
    })
}

pub(crate) fn tags(instance: &Instance) -> BTreeMap<String, String> {
    let tags = instance.tags().iter();
    // EC2's own tags begin with `aws:`; they are none of ours.
    tags.filter_map(|tag| Some((tag.key()?.to_owned(), tag.value().unwrap_or_default().to_owned())))
        .filter(|(key, _)| !key.starts_with("aws:"))
        .collect()
}

fn phase(name: &str) -> InstancePhase {
    match name {
        "pending" => InstancePhase::Pending,
        // Stopped by somebody else: it computes nothing, and its volume still costs.
        "shutting-down" | "stopping" | "stopped" => InstancePhase::Stopping,
        "terminated" => InstancePhase::Terminated,
        // `running`, and any state that is new: it exists, and may cost money.
        _ => InstancePhase::Running,
    }
}

fn kind(instance: &Instance) -> OfferKind {
    match instance.instance_lifecycle().map(InstanceLifecycleType::as_str) {
        None if target(instance).is_some() => OfferKind::Reserved,
        None => OfferKind::OnDemand,
        Some("spot") => OfferKind::Spot,
        Some("capacity-block") => OfferKind::Block,
        Some(_) => OfferKind::Reserved,
    }
}

/// The reservation that an instance was created for. One that it merely runs in, because it is open, is none of it.
pub(crate) fn target(instance: &Instance) -> Option<&str> {
    let asked = instance.capacity_reservation_specification()?.capacity_reservation_target()?;
    asked.capacity_reservation_id().filter(|id| !id.is_empty())
}

/// A type's facts as EC2 tells them.
pub(crate) fn facts(info: &InstanceTypeInfo) -> Option<TypeFacts> {
    let device = |name: Option<&str>, count: Option<i32>, mib: Option<i32>| Device {
        name: name.unwrap_or_default().to_owned(),
        count: count.unwrap_or_default().into(),
        memory_mib: mib.unwrap_or_default().into(),
    };
    let gpus = info.gpu_info().into_iter().flat_map(|gpus| gpus.gpus()).map(|gpu| {
        device(gpu.name(), gpu.count(), gpu.memory_info().and_then(|memory| memory.size_in_mib()))
    });
    let neurons = info.neuron_info().into_iter().flat_map(|devices| devices.neuron_devices());
    let neurons = neurons.map(|neuron| {
        device(neuron.name(), neuron.count(), neuron.memory_info().and_then(|memory| memory.size_in_mib()))
    });
    let mut devices: Vec<Device> = gpus.chain(neurons).collect();
    if devices.is_empty() {
        let others = info.inference_accelerator_info().into_iter().flat_map(|devices| devices.accelerators());
        devices.extend(others.map(|other| {
            device(other.name(), other.count(), other.memory_info().and_then(|memory| memory.size_in_mib()))
        }));
    }
    Some(TypeFacts {
        instance_type: info.instance_type()?.as_str().to_owned(),
        devices,
        vcpus: info.v_cpu_info().and_then(|cpus| cpus.default_v_cpus()).unwrap_or_default().into(),
        memory_mib: info.memory_info().and_then(|memory| memory.size_in_mib()).unwrap_or_default(),
        usage_classes: info.supported_usage_classes().iter().map(|class| class.as_str().to_owned()).collect(),
    })
}
