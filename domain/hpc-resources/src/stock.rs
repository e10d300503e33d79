//! What is out of stock, remembered for a while by all requests together: pure, with "now" as an argument.

use std::collections::HashMap;

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use crate::ids::{InstanceType, ProviderId, Region, ReservationId, ZoneId};
use crate::offer::{OfferKey, OfferKind};

/// Most places that are remembered; beyond it the one that would be forgotten first is.
pub const STOCK_OUTS_MAX: usize = 10_000;
/// Longest provider code that is kept, in bytes: untrusted text.
const CODE_BYTES_MAX: usize = 128;

/// How long to remember, in seconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StockPolicy {
    /// The first time.
    pub first_s: u32,
    /// At most; each stock-out that follows doubles the time.
    pub most_s: u32,
}

impl Default for StockPolicy {
    /// Three minutes, and half an hour at most.
    fn default() -> Self {
        Self { first_s: 180, most_s: 1_800 }
    }
}

/// How far a stock-out reaches. A machine type bought in one way is out in all of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum StockScope {
    /// One zone.
    Zone,
    /// Every zone of a region.
    Region,
    /// Everywhere at the provider, for this account.
    Account,
}

impl StockScope {
    /// The name used in documents.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Zone => "zone",
            Self::Region => "region",
            Self::Account => "account",
        }
    }
}

/// Why a place is left out for a while.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum StockReason {
    /// The provider said that it has none.
    NoStock,
    /// The provider failed in a way that nobody knows more about.
    Failure,
    /// The provider did not answer in time.
    Deadline,
    /// The provider took back what it had.
    Reclaimed,
}

impl StockReason {
    /// The reason in words.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::NoStock => "no stock",
            Self::Failure => "provider failure",
            Self::Deadline => "no answer in time",
            Self::Reclaimed => "taken back by the provider",
        }
    }
}

/// What can be out of stock: a machine type bought in one way, in a zone, in a region, or everywhere.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct StockPlace {
    /// At which provider.
    pub provider: ProviderId,
    /// Which machine.
    pub instance_type: InstanceType,
    /// How it is bought.
    pub kind: OfferKind,
    /// Where, roughly; `None` for everywhere.
    pub region: Option<Region>,
    /// Where, exactly; `None` for the whole region.
    pub zone: Option<ZoneId>,
    /// In which reservation; `None` for what anyone can have. One that is full says nothing of another. Absent in older
    /// records.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reservation: Option<ReservationId>,
}

impl StockPlace {
    /// The place around an offer, as far as `scope` reaches.
    #[must_use]
    pub fn of(offer: &OfferKey, scope: StockScope) -> Self {
        Self {
            provider: offer.provider.clone(),
            instance_type: offer.instance_type.clone(),
            kind: offer.kind,
            region: (scope != StockScope::Account).then(|| offer.region.clone()),
            zone: (scope == StockScope::Zone).then(|| offer.zone.clone()),
            reservation: offer.reservation.clone(),
        }
    }

    /// How far it reaches.
    #[must_use]
    pub const fn scope(&self) -> StockScope {
        match (&self.region, &self.zone) {
            (None, _) => StockScope::Account,
            (Some(_), None) => StockScope::Region,
            (Some(_), Some(_)) => StockScope::Zone,
        }
    }
}

impl std::fmt::Display for StockPlace {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let region = self.region.as_ref().map_or("*", Region::as_str);
        let zone = self.zone.as_ref().map_or("*", ZoneId::as_str);
        write!(f, "{}/{region}/{zone}/{}/{}", self.provider, self.instance_type, self.kind.as_str())?;
        match &self.reservation {
            Some(reservation) => write!(f, "/{reservation}"),
            None => Ok(()),
        }
    }
}

/// One remembered stock-out: a versioned document, kept by whoever wants to survive a restart.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StockOut {
    /// What is out.
    pub place: StockPlace,
    /// Until when plans leave it out (half open).
    pub until: Timestamp,
    /// When it was seen last.
    pub seen_at: Timestamp,
    /// How often in a row it was out of stock, each after the time of the one before was over.
    pub times: u32,
    /// Why.
    pub reason: StockReason,
    /// The provider's own code: untrusted text, without control characters.
    pub code: String,
}

/// The memory. One for all requests, so that the second one does not run into the wall that the first one found.
///
/// # Example
/// ```
/// use hpc_resources::{StockMemory, StockPolicy, StockReason, StockScope};
/// # use hpc_resources::{InstanceType, OfferKey, OfferKind, ProviderId, Region, ZoneId};
/// # let offer = OfferKey {
/// #     provider: ProviderId::parse("sim-aws")?,
/// #     region: Region::parse("us-east-1")?,
/// #     zone: ZoneId::parse("use1-az1")?,
/// #     instance_type: InstanceType::parse("p5.48xlarge")?,
/// #     kind: OfferKind::Spot,
/// #     reservation: None,
/// # };
/// let now: jiff::Timestamp = "2026-11-20T12:00:00Z".parse()?;
/// let mut memory = StockMemory::new(StockPolicy::default());
/// memory.out_of_stock(&offer, StockScope::Zone, StockReason::NoStock, "InsufficientInstanceCapacity", now);
/// let out = memory.find(&offer, now).ok_or("forgotten")?;
/// assert_eq!(out.until, "2026-11-20T12:03:00Z".parse()?);
/// memory.in_stock(&offer);
/// assert_eq!(memory.find(&offer, now), None);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, Default)]
pub struct StockMemory {
    policy: StockPolicy,
    known: HashMap<StockPlace, StockOut>,
}

/// What a stock-out changed in the memory: what to keep, and what to forget where it is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Remembered {
    /// What is remembered now.
    pub out: StockOut,
    /// What made room for it.
    pub forgotten: Vec<StockPlace>,
}

impl StockMemory {
    /// Remembers nothing yet.
    #[must_use]
    pub fn new(policy: StockPolicy) -> Self {
        Self { policy, known: HashMap::new() }
    }

    /// Remembers a stock-out: for twice as long as the last time when that is over and not long ago. Of several tries
    /// that meet the same wall at once, the first counts and the others only find it again.
    pub fn out_of_stock(
        &mut self,
        offer: &OfferKey,
        scope: StockScope,
        reason: StockReason,
        code: &str,
        now: Timestamp,
    ) -> Remembered {
        let place = StockPlace::of(offer, scope);
        let before = self.known.get(&place).filter(|out| now < self.forgotten_at(out.until));
        let times = match before {
            None => 1,
            Some(out) if now < out.until => out.times,
            Some(out) => out.times.saturating_add(1),
        };
        let seconds = i64::from(self.policy.first_s)
            .saturating_mul(1 << (times - 1).min(30))
            .min(i64::from(self.policy.most_s));
        let until = now.saturating_add(SignedDuration::from_secs(seconds)).unwrap_or(now);
        let until = before.map_or(until, |out| out.until.max(until));
        let forgotten =
            if self.known.contains_key(&place) { Vec::new() } else { self.make_room(now, STOCK_OUTS_MAX) };
        let out = StockOut { place: place.clone(), until, seen_at: now, times, reason, code: cleaned(code) };
        self.known.insert(place, out.clone());
        Remembered { out, forgotten }
    }

    /// Forgets everything that an offer which was bought proves wrong, and says what that was.
    pub fn in_stock(&mut self, offer: &OfferKey) -> Vec<StockPlace> {
        let mut forgotten = places(offer);
        forgotten.retain(|place| self.known.remove(place).is_some());
        forgotten
    }

    /// Why an offer is taken to be out of stock; `None` when it is not, or no longer. Of several, the one that lasts.
    #[must_use]
    pub fn find(&self, offer: &OfferKey, now: Timestamp) -> Option<&StockOut> {
        if self.known.is_empty() {
            return None;
        }
        let found = places(offer).into_iter().filter_map(|place| self.known.get(&place));
        found.filter(|out| now < out.until).max_by_key(|out| out.until)
    }

    /// What is out of stock at `now`, soonest back first: for showing.
    #[must_use]
    pub fn known(&self, now: Timestamp) -> Vec<StockOut> {
        let mut known: Vec<StockOut> = self.known.values().filter(|out| now < out.until).cloned().collect();
        known.sort_by(|a, b| (a.until, &a.place).cmp(&(b.until, &b.place)));
        known
    }

    /// Takes back what was kept, at most [`STOCK_OUTS_MAX`]; what is remembered already stays as it is.
    pub fn restore(&mut self, kept: impl IntoIterator<Item = StockOut>) {
        for out in kept {
            if self.known.len() >= STOCK_OUTS_MAX {
                return;
            }
            self.known.entry(out.place.clone()).or_insert(out);
        }
    }

    /// Forgets what has been quiet for as long as it can be remembered, and says what that was.
    pub fn forget(&mut self, now: Timestamp) -> Vec<StockPlace> {
        let old = self.known.values().filter(|out| self.forgotten_at(out.until) <= now);
        let mut old: Vec<StockPlace> = old.map(|out| out.place.clone()).collect();
        old.sort();
        for place in &old {
            self.known.remove(place);
        }
        old
    }

    /// A place that was quiet for as long as it can be remembered begins anew.
    fn forgotten_at(&self, until: Timestamp) -> Timestamp {
        until.saturating_add(SignedDuration::from_secs(i64::from(self.policy.most_s))).unwrap_or(until)
    }

    fn make_room(&mut self, now: Timestamp, most: usize) -> Vec<StockPlace> {
        if self.known.len() < most {
            return Vec::new();
        }
        let mut forgotten = self.forget(now);
        while self.known.len() >= most {
            let first = self.known.values().min_by(|a, b| (a.until, &a.place).cmp(&(b.until, &b.place)));
            let Some(first) = first.map(|out| out.place.clone()) else { break };
            self.known.remove(&first);
            forgotten.push(first);
        }
        forgotten
    }
}

/// Everything that can keep an offer out: its zone, its region, its account.
fn places(offer: &OfferKey) -> Vec<StockPlace> {
    [StockScope::Zone, StockScope::Region, StockScope::Account]
        .into_iter()
        .map(|scope| StockPlace::of(offer, scope))
        .collect()
}

fn cleaned(code: &str) -> String {
    let mut clean = String::new();
    for character in code.chars().filter(|character| !character.is_control()) {
        if clean.len() + character.len_utf8() > CODE_BYTES_MAX {
            break;
        }
        clean.push(character);
    }
    clean
}
