//! A snapshot: entries of one provider, with where they come from, when they were true, and the hash of what they say.

use hpc_resources::{InstanceType, PerInstanceHour, ProviderId, Region};
use jiff::{SignedDuration, Timestamp};
use serde::Serialize;

use crate::entry::Entry;

/// Longest name of a source, in bytes; what is longer is cut.
pub const SOURCE_BYTES_MAX: usize = 256;

/// The entries of one provider. Immutable; newer prices make a newer snapshot.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Snapshot {
    provider: ProviderId,
    source: String,
    as_of: Timestamp,
    hash: String,
    #[serde(skip)]
    entries: Vec<Entry>,
}

/// How long a snapshot may be believed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Staleness {
    /// From this age on it is shown as old.
    pub stale_after: SignedDuration,
    /// From this age on its prices are unknown: nothing is bought at them.
    pub unknown_after: SignedDuration,
}

impl Default for Staleness {
    /// A day, and a fortnight: list prices rarely move, and spot prices are asked for anew.
    fn default() -> Self {
        Self {
            stale_after: SignedDuration::from_hours(24),
            unknown_after: SignedDuration::from_hours(24 * 14),
        }
    }
}

/// How old a snapshot is, in words.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Freshness {
    /// May be believed.
    Fresh,
    /// Old: shown as such.
    Stale,
    /// Too old: its prices are unknown. So is one that claims to be of the future.
    Unknown,
}

/// How far in the future a snapshot may be: clocks differ.
const SKEW: SignedDuration = SignedDuration::from_mins(5);

impl Snapshot {
    pub(crate) fn new(provider: ProviderId, source: &str, as_of: Timestamp, entries: Vec<Entry>) -> Self {
        let mut hasher = blake3::Hasher::new_derive_key("hpc-foundation 2026-11 catalog snapshot v1");
        hasher.update(provider.as_str().as_bytes());
        for entry in &entries {
            entry.hash_into(&mut hasher);
        }
        let hash = hasher.finalize().to_hex().to_string();
        let mut clean = String::new();
        for character in source.chars().filter(|character| !character.is_control()) {
            if clean.len() + character.len_utf8() > SOURCE_BYTES_MAX {
                break;
            }
            clean.push(character);
        }
        Self { provider, source: clean, as_of, hash, entries }
    }

    /// Whose machines they are.
    #[must_use]
    pub const fn provider(&self) -> &ProviderId {
        &self.provider
    }

    /// Where the entries come from.
    #[must_use]
    pub fn source(&self) -> &str {
        &self.source
    }

    /// When they were true.
    #[must_use]
    pub const fn as_of(&self) -> Timestamp {
        self.as_of
    }

    /// BLAKE3 over the canonical form of provider and entries, in hex: same content, same hash, whenever and in whatever order
    /// and columns it was read. Every quote made from it names it.
    #[must_use]
    pub fn hash(&self) -> &str {
        &self.hash
    }

    /// The entries, by machine, region and zone.
    #[must_use]
    pub fn entries(&self) -> &[Entry] {
        &self.entries
    }

    /// The entries of one machine type.
    pub fn of_type(&self, instance_type: &InstanceType) -> impl Iterator<Item = &Entry> {
        let first = self.entries.partition_point(|entry| entry.key.instance_type < *instance_type);
        let rest = self.entries.get(first..).unwrap_or_default();
        rest.iter().take_while(move |entry| entry.key.instance_type == *instance_type)
    }

    /// The full price of a type in a region, if the zones that have one agree on it.
    #[must_use]
    pub fn on_demand(&self, instance_type: &InstanceType, region: &Region) -> Option<PerInstanceHour> {
        self.agreed(instance_type, region, |entry| entry.on_demand)
    }

    /// The spot price of a type in a region, if the zones that have one agree on it.
    #[must_use]
    pub fn spot(&self, instance_type: &InstanceType, region: &Region) -> Option<PerInstanceHour> {
        self.agreed(instance_type, region, |entry| entry.spot)
    }

    fn agreed(
        &self,
        instance_type: &InstanceType,
        region: &Region,
        price: impl Fn(&Entry) -> Option<PerInstanceHour>,
    ) -> Option<PerInstanceHour> {
        let here = self.of_type(instance_type).filter(|entry| entry.key.region == *region);
        let mut prices = here.filter_map(price);
        let first = prices.next()?;
        prices.all(|price| price == first).then_some(first)
    }

    /// How many of the entries have a price.
    #[must_use]
    pub fn priced(&self) -> usize {
        self.entries.iter().filter(|entry| entry.on_demand.is_some() || entry.spot.is_some()).count()
    }

    /// How far it may be believed at `now`.
    #[must_use]
    pub fn freshness(&self, now: Timestamp, policy: &Staleness) -> Freshness {
        let age = now.duration_since(self.as_of);
        if age >= policy.unknown_after || age < -SKEW {
            Freshness::Unknown
        } else if age >= policy.stale_after {
            Freshness::Stale
        } else {
            Freshness::Fresh
        }
    }
}
