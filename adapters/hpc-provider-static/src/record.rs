//! What the ledger holds for this provider.
//!
//! Below `static/<provider>/`:
//!
//! | key | value |
//! | --- | --- |
//! | `books` | [`Books`]: the next number, how many ended reservations are kept |
//! | `token/<token>` | the number of the reservation that the token made |
//! | `reservation/<number>` | [`Reservation`] |
//! | `held/<machine>` | [`Hold`]: whose it is; absent when it is free |
//! | `ended/<number>` | empty: a reservation of which every machine was given back |

use std::collections::BTreeMap;

use hpc_ledger::{Key, LedgerError};
use hpc_provider::{InstanceHandle, InstancePhase, InstanceState, ProvisionSpec, Token};
use hpc_resources::{InstanceType, OfferKind, PerInstanceHour, ProviderId, Region, ZoneId};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// The counters.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Books {
    /// The number of the next reservation. Never used twice, so a late release cannot free what a successor holds.
    pub(crate) next: u64,
    /// How many `ended/` keys there are.
    pub(crate) ended: u64,
}

/// Who holds a machine.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Hold {
    /// The number of the reservation.
    pub(crate) number: u64,
}

/// Machines that one token reserved together.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Reservation {
    pub(crate) number: u64,
    pub(crate) token: Token,
    /// Of everything that must be the same when the token comes again.
    pub(crate) fingerprint: String,
    pub(crate) region: Region,
    pub(crate) zone: ZoneId,
    pub(crate) instance_type: InstanceType,
    /// As it was at the reservation; `None` never gets here, because what is unknown is not bought.
    pub(crate) price: PerInstanceHour,
    pub(crate) tags: BTreeMap<String, String>,
    pub(crate) since: Timestamp,
    pub(crate) machines: Vec<Reserved>,
}

/// One machine of a reservation.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Reserved {
    pub(crate) name: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) ended_at: Option<Timestamp>,
}

impl Reservation {
    pub(crate) fn handle(&self, provider: &ProviderId, machine: &Reserved) -> InstanceHandle {
        InstanceHandle {
            provider: provider.clone(),
            region: self.region.clone(),
            id: format!("{}.{}", machine.name, self.number),
        }
    }

    pub(crate) fn handles(&self, provider: &ProviderId) -> Vec<InstanceHandle> {
        self.machines.iter().map(|machine| self.handle(provider, machine)).collect()
    }

    pub(crate) fn states<'a>(
        &'a self,
        provider: &'a ProviderId,
    ) -> impl Iterator<Item = InstanceState> + use<'a> {
        self.machines.iter().map(|machine| InstanceState {
            handle: self.handle(provider, machine),
            phase: match machine.ended_at {
                None => InstancePhase::Running,
                Some(_) => InstancePhase::Terminated,
            },
            zone: self.zone.clone(),
            instance_type: self.instance_type.clone(),
            kind: OfferKind::Owned,
            price: Some(self.price),
            tags: self.tags.clone(),
            launched_at: self.since,
            ended_at: machine.ended_at,
            reclaimed: false,
        })
    }

    pub(crate) fn has_ended(&self) -> bool {
        self.machines.iter().all(|machine| machine.ended_at.is_some())
    }
}

/// Machine and number of a handle's id; `None` for an id that this provider never made.
pub(crate) fn parse_id(id: &str) -> Option<(&str, u64)> {
    let (machine, number) = id.rsplit_once('.')?;
    let plain = number.bytes().all(|byte| byte.is_ascii_digit()) && !number.starts_with('0');
    Some((machine, number.parse().ok().filter(|_| plain)?))
}

/// A fingerprint of everything that must be the same when a token is used again. The deadline and the age of the quote
/// are not in it: they differ when an intent is repeated after a crash.
pub(crate) fn fingerprint(spec: &ProvisionSpec) -> String {
    let all = (spec.offer.key(), spec.instances, &spec.tags, &spec.user_data_ref, spec.price_ceiling);
    let text = serde_json::to_vec(&all).unwrap_or_default();
    blake3::hash(&text).to_hex().to_string()
}

/// The keys of one provider.
#[derive(Clone, Debug)]
pub(crate) struct Keys {
    base: String,
}

impl Keys {
    pub(crate) fn new(provider: &ProviderId) -> Self {
        Self { base: format!("static/{provider}/") }
    }

    fn key(&self, rest: &str) -> Result<Key, LedgerError> {
        Key::parse(&format!("{}{rest}", self.base))
    }

    pub(crate) fn books(&self) -> Result<Key, LedgerError> {
        self.key("books")
    }

    pub(crate) fn token(&self, token: &Token) -> Result<Key, LedgerError> {
        self.key(&format!("token/{}", token.as_str()))
    }

    pub(crate) fn reservation(&self, number: u64) -> Result<Key, LedgerError> {
        self.key(&format!("reservation/{number:020}"))
    }

    pub(crate) fn reservations(&self) -> String {
        format!("{}reservation/", self.base)
    }

    pub(crate) fn held(&self, machine: &str) -> Result<Key, LedgerError> {
        self.key(&format!("held/{machine}"))
    }

    pub(crate) fn all_held(&self) -> String {
        format!("{}held/", self.base)
    }

    pub(crate) fn ended(&self, number: u64) -> Result<Key, LedgerError> {
        self.key(&format!("ended/{number:020}"))
    }

    pub(crate) fn all_ended(&self) -> String {
        format!("{}ended/", self.base)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_ids_of_ours_are_read() {
        assert_eq!(parse_id("dgx-01.7"), Some(("dgx-01", 7)));
        for id in
            ["", ".", "dgx-01", "dgx-01.", "dgx-01.x", "dgx-01.07", "dgx-01.+7", "a.99999999999999999999"]
        {
            assert_eq!(parse_id(id), None, "{id}");
        }
        assert_eq!(parse_id("a.b.3"), Some(("a.b", 3)), "its machine is simply unknown");
    }

    #[test]
    fn keys_sort_as_numbers() {
        let keys = Keys::new(&ProviderId::parse("racks").unwrap());
        let key = |number| keys.reservation(number).unwrap();
        assert!(key(9) < key(10) && key(10) < key(u64::MAX));
        assert!(key(9).as_str().starts_with(&keys.reservations()));
    }
}
