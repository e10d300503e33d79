//! One line of a snapshot: a machine in a place, and what it costs there.

use hpc_resources::{Accelerators, Bytes, InstanceType, MilliCpu, PerInstanceHour, Region, ZoneId};
use serde::Serialize;

/// What identifies an entry.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub struct EntryKey {
    /// Which machine.
    pub instance_type: InstanceType,
    /// Where, roughly.
    pub region: Region,
    /// Where, exactly, by an account-independent id; `None` when the list does not say, or says an account's own name.
    pub zone: Option<ZoneId>,
}

/// A machine in a place. Prices are of one instance for an hour; `None` is unknown, which is never the same as free.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Entry {
    /// Which machine, where.
    #[serde(flatten)]
    pub key: EntryKey,
    /// Its whole accelerators.
    pub accelerators: Option<Accelerators>,
    /// Its CPUs.
    pub cpu: MilliCpu,
    /// Its memory.
    pub memory: Bytes,
    /// Its full price.
    pub on_demand: Option<PerInstanceHour>,
    /// What it costs while it may be reclaimed. May be as much as the full price, or more.
    pub spot: Option<PerInstanceHour>,
}

impl Entry {
    /// Whether the two are the same machine, whatever it costs.
    pub(crate) fn same_shape(&self, other: &Self) -> bool {
        (self.accelerators, self.cpu, self.memory) == (other.accelerators, other.cpu, other.memory)
    }

    /// The canonical form: every field with its length before it, so that no two entries read the same.
    pub(crate) fn hash_into(&self, hasher: &mut blake3::Hasher) {
        let mut field = |bytes: &[u8]| {
            hasher.update(&u64::try_from(bytes.len()).unwrap_or(u64::MAX).to_le_bytes());
            hasher.update(bytes);
        };
        field(self.key.instance_type.as_str().as_bytes());
        field(self.key.region.as_str().as_bytes());
        field(self.key.zone.as_ref().map_or("", ZoneId::as_str).as_bytes());
        match self.accelerators {
            None => field(b""),
            Some(have) => {
                field(have.model.as_str().as_bytes());
                field(&have.count.to_le_bytes());
                field(&have.memory_each.0.to_le_bytes());
            }
        }
        field(&self.cpu.0.to_le_bytes());
        field(&self.memory.0.to_le_bytes());
        for price in [self.on_demand, self.spot] {
            match price {
                None => field(b""),
                Some(price) => {
                    field(&price.0.nanos().to_le_bytes());
                    field(price.0.currency().as_str().as_bytes());
                }
            }
        }
    }
}
