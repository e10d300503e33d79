//! Offers: what a provider would rent, where, at which price, as of when.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::accelerator::AcceleratorModel;
use crate::ids::{InstanceType, ProviderId, QuotaFamily, Region, ReservationId, ZoneId};
use crate::money::{PerGpuHour, PerInstanceHour};
use crate::quantity::{Bytes, MilliCpu};
use crate::reservation::Reservation;

/// How capacity is bought.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum OfferKind {
    /// Cheap, and may be reclaimed.
    Spot,
    /// Full price, kept until released.
    OnDemand,
    /// In capacity that was set aside before, which is paid for whether or not it is used.
    Reserved,
    /// A machine of one's own.
    Owned,
    /// In a block of capacity that was bought for a fixed time, and ends with it.
    Block,
    /// Started when the provider has room for it, for a limited time, and not taken back before.
    Flex,
}

impl OfferKind {
    /// Every way of buying.
    pub const ALL: [Self; 6] =
        [Self::Spot, Self::OnDemand, Self::Reserved, Self::Owned, Self::Block, Self::Flex];

    /// The name used in documents and policies.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Spot => "spot",
            Self::OnDemand => "on-demand",
            Self::Reserved => "reserved",
            Self::Owned => "owned",
            Self::Block => "block",
            Self::Flex => "flex",
        }
    }
}

/// The accelerators of one instance.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Accelerators {
    /// The canonical model.
    pub model: AcceleratorModel,
    /// Whole devices per instance, at least 1. A fractional instance is not an offer of whole devices.
    pub count: u32,
    /// Memory of each device.
    pub memory_each: Bytes,
}

/// What a provider says of its stock. A hint, never a promise.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum StockHint {
    /// Probably there.
    Likely,
    /// Probably not there.
    Unlikely,
    /// The provider does not say.
    Unknown,
}

/// What starting one instance takes from a quota.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct QuotaCost {
    /// The family, in the provider's words.
    pub family: QuotaFamily,
    /// Units of that family per instance (vCPUs on AWS, devices on GCE).
    pub units_per_instance: u64,
}

/// One thing that can be rented: an instance type in one zone, bought in one way.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Offer {
    /// Who rents it out.
    pub provider: ProviderId,
    /// Where, roughly.
    pub region: Region,
    /// Where, exactly: an account-independent zone id.
    pub zone: ZoneId,
    /// Which machine.
    pub instance_type: InstanceType,
    /// How it is bought.
    pub kind: OfferKind,
    /// What it carries; `None` for a machine without whole accelerators.
    pub accelerators: Option<Accelerators>,
    /// CPUs of one instance.
    pub cpu: MilliCpu,
    /// Memory of one instance.
    pub memory: Bytes,
    /// Price of one instance for an hour; `None` when it is not known, which is never the same as free. Zero is believed
    /// only of what is paid for already, see [`Offer::rate`].
    pub price: Option<PerInstanceHour>,
    /// When the price was true.
    pub as_of: Timestamp,
    /// Content hash of the catalog snapshot the offer comes from, in hex.
    pub snapshot: String,
    /// What the provider says of its stock.
    pub stock: StockHint,
    /// What it takes from which quota; `None` when no quota applies.
    pub quota: Option<QuotaCost>,
    /// How long a start is expected to take, in seconds.
    pub start_delay_s: u32,
    /// Chance of reclaim per hour in hundredths of a percent; 0 for kinds that are not reclaimed.
    pub reclaim_bp_per_hour: u32,
    /// Whether this comes from a simulated provider.
    pub simulated: bool,
    /// The capacity that was set aside for it; `None` for what anyone can have. Absent in older records.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reservation: Option<Box<Reservation>>,
    /// Longest that an instance may run, in seconds; `None` for as long as anyone wants. Absent in older records.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub run_max_s: Option<u64>,
}

/// What identifies an offer among all offers.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct OfferKey {
    /// Who.
    pub provider: ProviderId,
    /// Where, roughly.
    pub region: Region,
    /// Where, exactly.
    pub zone: ZoneId,
    /// Which machine.
    pub instance_type: InstanceType,
    /// How it is bought.
    pub kind: OfferKind,
    /// In which capacity that was set aside. Absent in older records.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reservation: Option<ReservationId>,
}

impl std::fmt::Display for OfferKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { provider, region, zone, instance_type, kind, reservation } = self;
        write!(f, "{provider}/{region}/{zone}/{instance_type}/{}", kind.as_str())?;
        match reservation {
            Some(reservation) => write!(f, "/{reservation}"),
            None => Ok(()),
        }
    }
}

impl Offer {
    /// The identity of this offer.
    #[must_use]
    pub fn key(&self) -> OfferKey {
        OfferKey {
            provider: self.provider.clone(),
            region: self.region.clone(),
            zone: self.zone.clone(),
            instance_type: self.instance_type.clone(),
            kind: self.kind,
            reservation: self.reservation.as_ref().map(|reservation| reservation.id.clone()),
        }
    }

    /// The price of one accelerator for an hour, rounded up; `None` without price or accelerators.
    #[must_use]
    pub fn per_gpu(&self) -> Option<PerGpuHour> {
        self.price?.per_gpu_rounded_up(self.accelerators?.count)
    }
}
