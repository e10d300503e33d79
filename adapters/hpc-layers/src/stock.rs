//! What is out of stock, remembered for a while: pure, with "now" as an argument.

use std::collections::HashMap;

use hpc_resources::OfferKey;
use jiff::{SignedDuration, Timestamp};

/// Most offers that are remembered; beyond it the one that would be forgotten first is.
pub const STOCK_OUTS_MAX: usize = 10_000;

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

/// One remembered stock-out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StockOut {
    /// Which offer: provider, zone, machine type and way of buying.
    pub offer: OfferKey,
    /// Until when plans leave it out (half open).
    pub until: Timestamp,
    /// How often in a row it was out of stock.
    pub times: u32,
}

/// The memory. One for all requests, so that the second one does not run into the wall that the first one found.
///
/// # Example
/// ```
/// use hpc_layers::{StockMemory, StockPolicy};
/// # use hpc_resources::{InstanceType, OfferKey, OfferKind, ProviderId, Region, ZoneId};
/// # let offer = OfferKey {
/// #     provider: ProviderId::parse("sim-aws")?,
/// #     region: Region::parse("us-east-1")?,
/// #     zone: ZoneId::parse("use1-az1")?,
/// #     instance_type: InstanceType::parse("p5.48xlarge")?,
/// #     kind: OfferKind::Spot,
/// # };
/// let now: jiff::Timestamp = "2026-11-20T12:00:00Z".parse()?;
/// let mut memory = StockMemory::new(StockPolicy::default());
/// memory.out_of_stock(&offer, now);
/// assert_eq!(memory.until(&offer, now), Some("2026-11-20T12:03:00Z".parse()?));
/// memory.in_stock(&offer);
/// assert_eq!(memory.until(&offer, now), None);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, Default)]
pub struct StockMemory {
    policy: StockPolicy,
    known: HashMap<OfferKey, (Timestamp, u32)>,
}

impl StockMemory {
    /// Remembers nothing yet.
    #[must_use]
    pub fn new(policy: StockPolicy) -> Self {
        Self { policy, known: HashMap::new() }
    }

    /// Remembers a stock-out: for twice as long as the last time when that is not long ago.
    pub fn out_of_stock(&mut self, offer: &OfferKey, now: Timestamp) {
        let before = self.known.get(offer).filter(|(until, _)| now < self.forgotten_at(*until));
        let times = before.map_or(1, |(_, times)| times.saturating_add(1));
        let seconds = i64::from(self.policy.first_s)
            .saturating_mul(1 << (times - 1).min(30))
            .min(i64::from(self.policy.most_s));
        let until = now.saturating_add(SignedDuration::from_secs(seconds)).unwrap_or(now);
        if !self.known.contains_key(offer) {
            self.make_room(now);
        }
        self.known.insert(offer.clone(), (until, times));
    }

    /// Forgets an offer that was bought.
    pub fn in_stock(&mut self, offer: &OfferKey) {
        self.known.remove(offer);
    }

    /// Until when an offer is taken to be out of stock; `None` when it is not, or no longer.
    #[must_use]
    pub fn until(&self, offer: &OfferKey, now: Timestamp) -> Option<Timestamp> {
        self.known.get(offer).map(|(until, _)| *until).filter(|until| now < *until)
    }

    /// What is out of stock at `now`, soonest back first: for showing, and for keeping over a restart.
    #[must_use]
    pub fn known(&self, now: Timestamp) -> Vec<StockOut> {
        let known = self.known.iter().filter(|(_, (until, _))| now < *until);
        let mut known: Vec<StockOut> = known
            .map(|(offer, (until, times))| StockOut { offer: offer.clone(), until: *until, times: *times })
            .collect();
        known.sort_by(|a, b| (a.until, &a.offer).cmp(&(b.until, &b.offer)));
        known
    }

    /// Takes back what [`StockMemory::known`] gave, at most [`STOCK_OUTS_MAX`].
    pub fn restore(&mut self, known: impl IntoIterator<Item = StockOut>) {
        for StockOut { offer, until, times } in known.into_iter().take(STOCK_OUTS_MAX) {
            self.known.insert(offer, (until, times));
        }
    }

    /// An offer that was quiet for as long as it can be remembered begins anew.
    fn forgotten_at(&self, until: Timestamp) -> Timestamp {
        until.saturating_add(SignedDuration::from_secs(i64::from(self.policy.most_s))).unwrap_or(until)
    }

    fn make_room(&mut self, now: Timestamp) {
        if self.known.len() < STOCK_OUTS_MAX {
            return;
        }
        let most = SignedDuration::from_secs(i64::from(self.policy.most_s));
        self.known.retain(|_, (until, _)| now < until.saturating_add(most).unwrap_or(*until));
        while self.known.len() >= STOCK_OUTS_MAX {
            let first = self.known.iter().min_by(|a, b| (a.1.0, a.0).cmp(&(b.1.0, b.0)));
            let Some(first) = first.map(|(offer, _)| offer.clone()) else { return };
            self.known.remove(&first);
        }
    }
}
