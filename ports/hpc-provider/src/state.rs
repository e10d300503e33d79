//! What a provider tells of itself, of instances, quotas, prices and interruptions.

use std::collections::BTreeMap;

use hpc_resources::{
    InstanceType, Money, Offer, OfferKind, PerInstanceHour, ProviderId, QuotaFamily, Region, ResourceRequest,
    ZoneId,
};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::error::ProviderError;
use crate::intent::InstanceHandle;

/// What a provider can do. The broker plans around it; the conformance suite reads it.
#[derive(Clone, Debug, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Supports {
    /// `get_quote` answers offers.
    pub quote: bool,
    /// `provision` creates.
    pub provision: bool,
    /// A create with the same token never launches twice.
    pub idempotent_create: bool,
    /// `observe` works.
    pub observe: bool,
    /// `release` works.
    pub release: bool,
    /// `list_owned` works: without it no orphan can be found.
    pub list_owned: bool,
    /// `check_spot_prices` works.
    pub spot_prices: bool,
    /// `quotas` works.
    pub quotas: bool,
    /// `interruptions` works.
    pub interruptions: bool,
    /// `provision` takes [`crate::ProvisionSpec::user_data_ref`] and has the first boot run what it stands for.
    #[serde(default)]
    pub user_data: bool,
}

impl Supports {
    /// What the broker needs before it creates anything: a create that can be repeated, seen, found and undone.
    #[must_use]
    pub fn safe_to_create(&self) -> bool {
        self.missing_to_create().is_empty()
    }

    /// The methods that are missing for a safe create.
    #[must_use]
    pub fn missing_to_create(&self) -> Vec<&'static str> {
        [
            ("provision", self.provision),
            ("idempotent_create", self.idempotent_create),
            ("observe", self.observe),
            ("release", self.release),
            ("list_owned", self.list_owned),
        ]
        .into_iter()
        .filter_map(|(name, have)| (!have).then_some(name))
        .collect()
    }
}

/// A provider's description of itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Description {
    /// Its configured id.
    pub provider: ProviderId,
    /// What it can do.
    pub supports: Supports,
    /// After a create, `observe` and `list_owned` may miss the instance for this long, in milliseconds.
    pub consistency_ms: u64,
    /// How far its clock may be from ours, in milliseconds.
    pub clock_skew_ms: u64,
    /// Whether it is simulated.
    pub simulated: bool,
}

/// What to quote.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct QuoteRequest {
    /// What is asked for.
    pub request: ResourceRequest,
    /// Now, as the caller sees it: a quote's age is counted from here.
    pub now: Timestamp,
}

/// What a provider would rent right now.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Quote {
    /// The provider.
    pub provider: ProviderId,
    /// Content hash of the snapshot the offers come from, in hex.
    pub snapshot: String,
    /// When the prices were true.
    pub as_of: Timestamp,
    /// The offers that could carry the request; may hold more than that, never less.
    pub offers: Vec<Offer>,
    /// Whether the list was cut.
    pub truncated: bool,
}

/// What a provider offered, which may be a while ago: to look at, never to decide about money.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Offered {
    /// The answer, as it was given then.
    pub quote: Quote,
    /// When the provider was asked for it. What happened since is not in it.
    pub asked_at: Timestamp,
    /// Why there is nothing newer, when the provider was asked since and failed.
    pub trouble: Option<ProviderError>,
}

/// A list of prices that a provider was given, because it is not the one who tells them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PriceSource {
    /// What it is, for people: the name of a file.
    pub name: String,
    /// Content hash of the prices, in hex: the same prices, the same hash.
    pub hash: String,
    /// When they were true.
    pub as_of: Timestamp,
    /// From when on they are not believed: nothing is bought at them. `None` if they always are.
    pub unknown_from: Option<Timestamp>,
    /// How many machines in how many places it prices.
    pub priced: u64,
    /// How many of its rows were refused.
    pub refused: u64,
    /// Why a newer edition of it is not used.
    pub trouble: Option<String>,
}

impl PriceSource {
    /// The prices that a provider's settings name, each with its place (type, region and whatever else tells them apart) and
    /// when it was true; `None` without a price. It is as old as its oldest price.
    ///
    /// ```
    /// use hpc_provider::PriceSource;
    /// # let price = hpc_resources::PerInstanceHour("2.50 USD".parse()?);
    /// # let (old, new) = ("2026-11-01T00:00:00Z".parse()?, "2026-11-20T00:00:00Z".parse()?);
    /// let prices = [("us-east-1 p5.48xlarge".to_owned(), price, new), ("us-east-1 g6.xlarge".to_owned(), price, old)];
    /// let source = PriceSource::of_settings(prices).ok_or("two prices")?;
    /// assert_eq!((source.as_of, source.priced), (old, 2));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn of_settings(
        prices: impl IntoIterator<Item = (String, PerInstanceHour, Timestamp)>,
    ) -> Option<Self> {
        let mut hasher = blake3::Hasher::new_derive_key("hpc-foundation 2026-11 prices of settings v1");
        let (mut oldest, mut priced) = (None, 0);
        for (place, price, as_of) in prices {
            hasher.update(format!("{place} {} {as_of}\n", price.0).as_bytes());
            oldest = Some(oldest.map_or(as_of, |oldest: Timestamp| oldest.min(as_of)));
            priced += 1;
        }
        Some(Self {
            name: "prices of the settings".to_owned(),
            hash: hasher.finalize().to_hex().to_string(),
            as_of: oldest?,
            unknown_from: None,
            priced,
            refused: 0,
            trouble: None,
        })
    }
}

/// Where an instance is in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum InstancePhase {
    /// Created, not yet running.
    Pending,
    /// Running: it costs money.
    Running,
    /// Being ended.
    Stopping,
    /// Ended; no longer costs anything.
    Terminated,
}

impl InstancePhase {
    /// Whether it exists and may cost money.
    #[must_use]
    pub const fn is_live(self) -> bool {
        !matches!(self, Self::Terminated)
    }
}

/// One instance, as its provider sees it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct InstanceState {
    /// Its handle.
    pub handle: InstanceHandle,
    /// Where it is in its life.
    pub phase: InstancePhase,
    /// Its zone.
    pub zone: ZoneId,
    /// Its type.
    pub instance_type: InstanceType,
    /// How it was bought.
    pub kind: OfferKind,
    /// What it costs per hour, if the provider says so.
    pub price: Option<PerInstanceHour>,
    /// Its tags.
    pub tags: BTreeMap<String, String>,
    /// When billing began, by the provider's clock.
    pub launched_at: Timestamp,
    /// When billing ended, by the provider's clock.
    pub ended_at: Option<Timestamp>,
    /// Why it ended, when the provider ended it.
    pub reclaimed: bool,
}

/// Which instances to look at.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Observe {
    /// These.
    Handles(Vec<InstanceHandle>),
    /// Those with this tag.
    Tag {
        /// The tag's name.
        key: String,
        /// The tag's value.
        value: String,
    },
}

/// What a release answered. "Not yet" is a value, not an error.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Released {
    /// It has ended.
    Released,
    /// It is ending; observe it.
    InProgress,
    /// It had ended before.
    AlreadyGone,
}

/// One page of instances.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OwnedPage {
    /// The instances that are not terminated.
    pub instances: Vec<InstanceState>,
    /// Where to go on; `None` at the end.
    pub next: Option<String>,
    /// Whether the provider vouches that nothing is missing, its consistency bound aside.
    pub complete: bool,
}

/// One quota.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct QuotaStatus {
    /// The family.
    pub family: QuotaFamily,
    /// The region it holds in.
    pub region: Region,
    /// Units allowed.
    pub limit: u64,
    /// Units in use.
    pub used: u64,
    /// When that was true.
    pub as_of: Timestamp,
}

/// One spot price.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SpotPrice {
    /// Where.
    pub zone: ZoneId,
    /// Of one instance for an hour.
    pub price: PerInstanceHour,
    /// Since when.
    pub at: Timestamp,
}

/// Spot prices of one instance type in one region, newest last.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SpotPrices {
    /// Of which machine.
    pub instance_type: InstanceType,
    /// Where.
    pub region: Region,
    /// The prices.
    pub prices: Vec<SpotPrice>,
    /// Whether they are simulated.
    pub simulated: bool,
}

/// What happened, or is about to happen, to an instance.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum InterruptionKind {
    /// It may be reclaimed soon.
    Rebalance,
    /// It will be reclaimed at the deadline.
    Notice,
    /// It was reclaimed.
    Reclaimed,
}

/// One interruption. Seen at least once: expect it twice, late, never, and for instances nobody knows.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Interruption {
    /// Which instance.
    pub handle: InstanceHandle,
    /// What.
    pub kind: InterruptionKind,
    /// When it takes effect.
    pub deadline: Timestamp,
    /// When the provider said so.
    pub seen_at: Timestamp,
}

/// One page of interruptions.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct InterruptionPage {
    /// The events, oldest first.
    pub events: Vec<Interruption>,
    /// Where to go on next time, also after a restart.
    pub cursor: String,
}

/// One line of the provider's bill: what it will charge for one instance so far.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BillLine {
    /// Which instance.
    pub handle: InstanceHandle,
    /// Its tags.
    pub tags: BTreeMap<String, String>,
    /// From when to when, half open; `None` while it runs.
    pub from: Timestamp,
    /// The end.
    pub to: Option<Timestamp>,
    /// The amount so far.
    pub amount: Money,
}
