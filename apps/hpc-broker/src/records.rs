//! What the ledger keeps: requests, plans, intents and leases, as versioned JSON documents.

use std::collections::BTreeMap;

use hpc_provider::{InstanceHandle, PriceSource, ProviderError, ProvisionSpec};
use hpc_resources::{
    ApprovalId, BudgetStanding, DecisionId, IntentId, LeaseId, Money, MoneyError, Month, Offer, OfferKey,
    Payer, PerInstanceHour, Plan, PlanId, ProviderId, RequestId, ResourceRequest, TeamId,
};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

pub(crate) use crate::replacement::{ReplacementRecord, ReplacementState};

/// What policy said, kept with the plan it was said about.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct DecisionRecord {
    /// The id an administrator looks it up by.
    pub id: DecisionId,
    /// Whether it allows.
    pub allowed: bool,
    /// The digest of the policy set that decided.
    pub policy_digest: String,
    /// Every rule that was looked at, and what came of it.
    pub rules: Vec<RuleLine>,
    /// All reasons, for the caller.
    pub reasons: Vec<String>,
    /// What would be allowed.
    pub allowed_if: Vec<String>,
    /// Duties that come with an allow, for example `max_lease_hours`.
    pub obligations: BTreeMap<String, String>,
}

/// One rule's part in a decision.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RuleLine {
    /// `document/rule`.
    pub rule: String,
    /// `allow` or `deny`.
    pub effect: String,
    /// `matched`, `not met`, `error` and so on.
    pub result: String,
    /// What it saw, or what it says.
    pub detail: String,
}

/// What became of a plan.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "state", rename_all = "kebab-case")]
pub enum PlanState {
    /// It can be applied.
    Open,
    /// Policy denies it.
    Denied,
    /// Nothing can be offered.
    NoOffer,
    /// It waits for a person's approval.
    AwaitingApproval {
        /// Who may approve, for example `role:gpu-approver`.
        by: String,
    },
    /// A person approved it.
    Approved {
        /// The approval.
        approval: ApprovalId,
        /// Who.
        by: String,
    },
    /// A person refused it.
    Refused {
        /// Who.
        by: String,
    },
    /// It was applied; applying it again answers the same lease.
    Applied {
        /// The lease.
        lease: LeaseId,
    },
}

/// A plan and its story.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PlanRecord {
    /// The plan.
    pub plan: Plan,
    /// What was asked for.
    pub request: ResourceRequest,
    /// Who asked.
    pub principal: String,
    /// Who pays.
    pub team: TeamId,
    /// What policy said.
    pub decision: DecisionRecord,
    /// What the team had left when the plan was made, under the tighter of its limits in all and for the month; `None`
    /// without either.
    pub team_left: Option<Money>,
    /// Where everybody who would pay stood under each of their limits, in every month that the lease may touch.
    #[serde(default)]
    pub budgets: Vec<BudgetStanding>,
    /// What an apply will hold of the budget: the worst case and the price tolerance. `None` without offers.
    #[serde(default)]
    pub hold: Option<Money>,
    /// What it became.
    #[serde(flatten)]
    pub state: PlanState,
    /// BLAKE3 of the plan, in hex: what an approval is bound to.
    pub hash: String,
    /// Whether policy limits the lease: released when idle for this long, in seconds.
    pub idle_release_s: Option<u64>,
    /// The lists that its prices come from, for providers that do not tell all of theirs.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub price_sources: Vec<PricedBy>,
}

/// A list of prices that a provider was given, as it was when a plan was made.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PricedBy {
    /// Whose prices.
    pub provider: ProviderId,
    /// The list.
    #[serde(flatten)]
    pub source: PriceSource,
}

/// A request, and the plans made from it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RequestRecord {
    /// Its id.
    pub id: RequestId,
    /// Who asked.
    pub principal: String,
    /// What was asked for.
    pub request: ResourceRequest,
    /// When.
    pub created_at: Timestamp,
    /// Its plan.
    pub plan: PlanId,
}

/// Where an intent is. `Released` and `Failed` are final.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum IntentState {
    /// Durable, and perhaps sent: after a crash nobody knows, so it is looked up by tag.
    Recorded,
    /// Sent, and the outcome is not known.
    Unknown,
    /// The provider named the instances.
    Acknowledged,
    /// The instances are being ended.
    Releasing,
    /// All instances have ended and are paid for. Final.
    Released,
    /// Nothing was created. Final.
    Failed,
}

impl IntentState {
    /// Whether nothing will change any more.
    #[must_use]
    pub const fn is_final(self) -> bool {
        matches!(self, Self::Released | Self::Failed)
    }
}

/// One instance of an intent, and what it cost.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct InstanceRecord {
    /// The provider's name for it.
    pub handle: InstanceHandle,
    /// The price it was really started at.
    pub price: PerInstanceHour,
    /// When billing began, by the provider's clock.
    pub from: Timestamp,
    /// When billing ended.
    pub to: Option<Timestamp>,
    /// Whether the provider took it back.
    pub reclaimed: bool,
    /// Since when the provider, although it answers, knows nothing of it. One blind look proves nothing.
    #[serde(default)]
    pub missing_since: Option<Timestamp>,
    /// Whether the provider has not shown it yet: its price and start are then only what was agreed and assumed.
    #[serde(default)]
    pub unseen: bool,
}

impl InstanceRecord {
    /// Whether the provider has shown it, and it has neither ended nor been missed since: there is nothing to take over.
    pub(crate) const fn is_known_to_run(&self) -> bool {
        self.to.is_none() && self.missing_since.is_none() && !self.unseen
    }

    /// What it has cost up to `now`, or up to its end.
    ///
    /// # Errors
    /// [`MoneyError::Overflow`].
    pub fn cost(&self, now: Timestamp) -> Result<Money, MoneyError> {
        let end = self.to.unwrap_or(now);
        let seconds = end.as_second().saturating_sub(self.from.as_second());
        self.price.cost_half_even(1, u64::try_from(seconds).unwrap_or(0))
    }
}

impl InstanceRecord {
    /// What it has cost up to `now`, or up to its end, in each month: the parts of [`InstanceRecord::cost`].
    ///
    /// # Errors
    /// [`MoneyError::Overflow`].
    pub fn cost_by_month(&self, now: Timestamp) -> Result<Vec<(Month, Money)>, MoneyError> {
        self.price.cost_by_month(self.from, self.to.unwrap_or(now))
    }
}

/// One journaled attempt to create capacity. Durable before the call it describes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct IntentRecord {
    /// What is created.
    pub spec: ProvisionSpec,
    /// Which attempt of the plan it is, from 0.
    pub attempt: u32,
    /// Where it is.
    pub state: IntentState,
    /// Whether the apply went on without it: whatever it created is ended.
    pub set_aside: bool,
    /// When it last changed.
    pub updated_at: Timestamp,
    /// Its instances, as far as they are known.
    pub instances: Vec<InstanceRecord>,
    /// Why it failed.
    pub error: Option<ProviderError>,
}

/// Where a lease is. `Released` and `Failed` are final.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum LeaseState {
    /// Accepted; capacity is being created.
    Pending,
    /// Capacity is there and costs money.
    Active,
    /// Capacity is there and takes no new work: it ends soon. See [`LeaseRecord::drain`].
    Draining,
    /// Being ended.
    Releasing,
    /// Ended and settled. Final.
    Released,
    /// Nothing could be created. Final.
    Failed,
}

impl LeaseState {
    /// Whether capacity is there and in use.
    #[must_use]
    pub const fn is_running(self) -> bool {
        matches!(self, Self::Active | Self::Draining)
    }

    /// Whether nothing will change any more.
    #[must_use]
    pub const fn is_final(self) -> bool {
        matches!(self, Self::Released | Self::Failed)
    }
}

/// Why a lease ended, or is ending.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum EndReason {
    /// Somebody released it.
    Asked,
    /// Its time was over.
    Expired,
    /// It was drained, and the time for that was over.
    Drained,
    /// Its cost reached its hold.
    HardStop,
    /// It was idle for as long as policy allows.
    Idle,
    /// The provider took it back.
    Reclaimed,
    /// Every offer failed.
    NoCapacity,
    /// The daemon stopped before anything was created.
    Interrupted,
}

/// Why a lease is drained.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum DrainReason {
    /// Somebody asked for it.
    Asked,
    /// The provider takes the capacity back.
    Interrupted,
}

/// How a lease is drained: no new work from `since` on, and its end at `until`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DrainRecord {
    /// Why.
    pub reason: DrainReason,
    /// Since when.
    pub since: Timestamp,
    /// When it ends at the latest (half open).
    pub until: Timestamp,
}

/// One renewal of a lease.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RenewalRecord {
    /// A hash of who asked and the key they gave: the same again is the same renewal.
    pub key: String,
    /// When.
    pub at: Timestamp,
    /// By how much, in seconds.
    pub by_s: u64,
    /// The end from then on.
    pub ends_at: Timestamp,
    /// What was held for it on top.
    pub held: Money,
}

/// How two tries at the same time ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "how", rename_all = "kebab-case")]
pub enum HedgeEnd {
    /// One of them created what the lease runs on; whatever the other one creates is ended.
    Won {
        /// The one that is kept.
        intent: IntentId,
    },
    /// One of them failed, and the other one went on alone.
    Failed {
        /// The one that failed.
        intent: IntentId,
    },
}

/// One of two tries at the same time.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HedgeTry {
    /// Its intent.
    pub intent: IntentId,
    /// What it would buy.
    pub offer: OfferKey,
}

/// A try that was begun beside one which did not answer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HedgeRecord {
    /// When.
    pub at: Timestamp,
    /// After how many seconds without an answer.
    pub after_s: u64,
    /// The try that had not answered.
    pub first: HedgeTry,
    /// The try that was begun beside it.
    pub second: HedgeTry,
    /// What is held on top for the one that is not kept; zero once it is known to have created nothing.
    pub held: Money,
    /// What is held per hour on top while both are tried.
    pub hourly: Money,
    /// How it ended; `None` while both are tried.
    pub end: Option<HedgeEnd>,
}

/// A lease: capacity held, metered and owned.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct LeaseRecord {
    /// Its id.
    pub id: LeaseId,
    /// The plan it came from.
    pub plan: PlanId,
    /// The request it answers.
    pub request: RequestId,
    /// Who holds it.
    pub principal: String,
    /// Who pays.
    pub team: TeamId,
    /// Where it is.
    pub state: LeaseState,
    /// The offer that was bought, once one was.
    pub offer: Option<Offer>,
    /// How many instances.
    pub instances: u32,
    /// Its intents, in order.
    pub intents: Vec<IntentId>,
    /// What is held of every payer's budgets until it ends.
    pub hold: Money,
    /// Everybody whose budgets pay: the team, the person or program that asked, and whom that acts for. Empty in records
    /// from before budgets of people: then the team alone.
    #[serde(default)]
    pub payers: Vec<Payer>,
    /// The most it may cost per hour; what it does cost, once it is active. `None` in older records: then the hold by the
    /// hour.
    #[serde(default)]
    pub hourly: Option<Money>,
    /// When it was accepted.
    pub created_at: Timestamp,
    /// When it became active.
    pub active_at: Option<Timestamp>,
    /// When its time is over (half open).
    pub ends_at: Option<Timestamp>,
    /// How long it lasts, in seconds.
    pub duration_s: u64,
    /// When it ended.
    pub ended_at: Option<Timestamp>,
    /// Why it ended, or is ending.
    pub end_reason: Option<EndReason>,
    /// What it cost in all, once it has ended.
    pub cost: Option<Money>,
    /// Released when idle for this long, in seconds.
    pub idle_release_s: Option<u64>,
    /// How it is drained, while it is and afterwards.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub drain: Option<DrainRecord>,
    /// The lease that it replaces, after the provider took that one's capacity back.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub replaces: Option<LeaseId>,
    /// How many leases came before it, each replaced by the next.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub generation: u32,
    /// What becomes of it after the provider took its capacity back, where its request wants a replacement.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub replacement: Option<ReplacementRecord>,
    /// Its renewals, in order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub renewals: Vec<RenewalRecord>,
    /// Tries that were begun beside others, in order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub hedges: Vec<HedgeRecord>,
    /// Why attempts failed, in order.
    pub failures: Vec<String>,
    /// Whether anything in it is simulated.
    pub simulated: bool,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde hands a reference")]
fn is_zero(number: &u32) -> bool {
    *number == 0
}
