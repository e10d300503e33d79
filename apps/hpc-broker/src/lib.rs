//! Use cases over ports: plan, approve, apply, watch, release, reconcile.
//!
//! The broker carries out what the domain decides. Money is held and the intent is durable, with its audit entry, before
//! any cloud call; the token is derived from the intent; an unknown outcome is resolved by the same token and by tag.
//! After a crash [`Broker::reconcile`] brings instances, leases, budgets and the audit log back into step.
//!
//! Never names an adapter, never reads a clock, never draws a number: all of that is handed in.
//!
//! # Example
//! See `tests/it` of this package, and `hpcd`, which composes it.

mod activate;
mod apply;
mod approve;
mod books;
mod broker;
mod budgets;
mod charges;
mod drain;
mod entry;
mod environment;
mod evidence;
mod fail;
mod gate;
mod held;
mod limits;
mod offered;
mod offers;
mod orphans;
mod plan;
mod progress;
mod providers;
mod query;
mod reconcile;
mod records;
mod refusals;
mod release;
mod renew;
mod replace;
mod replacement;
mod sealed;
mod shadow;
mod spend;
mod stock;
mod store;
mod tolerance;
mod warnings;
mod watch;

pub use apply::Applied;
pub use broker::{Broker, BrokerBuilder};
pub use budgets::ON_BEHALF_OF;
pub use charges::{CHARGE_LEASES_MAX, Charge, ChargeFilter, label_filter};
pub use drain::{DRAIN_S_MAX, Drained};
pub use environment::{Caller, Callers, Environment, Settings};
pub use evidence::{DECISION_BYTES_MAX, Evidence, decisions_in};
pub use gate::check;
pub use limits::{BUDGETS_MAX, BudgetEdited, LimitsEdit, budget_resource};
pub use offers::{KeptAnswer, Offers};
pub use orphans::{NotReaped, ORPHANS_MAX, OrphanState, OrphanView, Orphans, ReapReport, Reaped, Unlisted};
pub use progress::{Progress, ProgressSink, Silent};
pub use providers::{ProviderStatus, SeenError, SeenSnapshot};
pub use query::{Cost, Listing, PAGE_MAX};
pub use reconcile::{OrphanRecord, OrphanWhy, Reconciled};
pub use records::{
    DecisionRecord, DrainReason, DrainRecord, EndReason, HedgeEnd, HedgeRecord, HedgeTry, InstanceRecord,
    IntentRecord, IntentState, LeaseRecord, LeaseState, PlanRecord, PlanState, PricedBy, RenewalRecord,
    RequestRecord, RuleLine,
};
pub use refusals::{REFUSAL_EVERY_MS, REFUSALS_AT_ONCE};
pub use release::ReleasedLease;
pub use renew::{RENEWALS_MAX, Renewed};
pub use replace::{REPLACEMENT_TRIES_MAX, REPLACEMENTS_MAX, Replacements};
pub use replacement::{ReplacementRecord, ReplacementState};
pub use sealed::Openings;
pub use shadow::{Answer, DIFFERENCES_MAX, Difference, ShadowReport};
pub use warnings::WARNING_BP;
pub use watch::LeaseWatch;

/// A serde name as text: `kebab-case` of a unit variant.
fn text<T: serde::Serialize>(value: &T) -> String {
    match serde_json::to_value(value) {
        Ok(serde_json::Value::String(text)) => text,
        _ => "unknown".to_owned(),
    }
}
