//! What happens, as it happens: for a terminal, a stream or a test.

use hpc_resources::{IntentId, LeaseId, Money, OfferKey};
use serde::{Deserialize, Serialize};

/// One step of an apply.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "kebab-case")]
pub enum Progress {
    /// The budget is held.
    Held {
        /// The lease.
        lease: LeaseId,
        /// How much.
        amount: Money,
    },
    /// The intent is durable and is about to be sent.
    Trying {
        /// The intent.
        intent: IntentId,
        /// Which offer.
        offer: OfferKey,
    },
    /// An intent is durable and about to be sent beside one that has not answered.
    Hedging {
        /// The intent.
        intent: IntentId,
        /// Which offer.
        offer: OfferKey,
        /// The offer that has not answered.
        beside: OfferKey,
        /// After how many seconds without an answer.
        after_s: u64,
    },
    /// Another try was faster; what this one creates is ended.
    Overtaken {
        /// The intent.
        intent: IntentId,
        /// Which offer.
        offer: OfferKey,
    },
    /// The attempt failed; what was created, if anything, is dealt with.
    Failed {
        /// The intent.
        intent: IntentId,
        /// Which offer.
        offer: OfferKey,
        /// Why.
        why: String,
        /// Whether it is certain that nothing was created.
        nothing_created: bool,
    },
    /// The answer was lost; the same token is sent again.
    Repeating {
        /// The intent.
        intent: IntentId,
        /// Which offer.
        offer: OfferKey,
    },
    /// An offer was passed over.
    Skipped {
        /// Which offer.
        offer: OfferKey,
        /// Why.
        why: String,
    },
    /// The instances exist.
    Created {
        /// The intent.
        intent: IntentId,
        /// Which offer.
        offer: OfferKey,
        /// The provider's names.
        instances: Vec<String>,
        /// What they cost per hour together.
        hourly: Money,
    },
}

/// Takes progress. Must not block.
pub trait ProgressSink: Send + Sync {
    /// Something happened.
    fn on(&self, progress: Progress);
}

/// Takes no notice.
pub struct Silent;

impl ProgressSink for Silent {
    fn on(&self, _progress: Progress) {}
}

impl<F: Fn(Progress) + Send + Sync> ProgressSink for F {
    fn on(&self, progress: Progress) {
        self(progress);
    }
}
