//! What the ledger keeps of a replacement: other capacity for a lease whose own the provider took back.

use hpc_resources::LeaseId;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// Where a replacement is. `Replaced` and `GivenUp` are final.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ReplacementState {
    /// Nothing was bought for it yet, or what was tried failed: it is tried at [`ReplacementRecord::next_at`].
    Wanted,
    /// The lease [`ReplacementRecord::by`] was accepted, and its capacity is being created.
    Trying,
    /// That lease has its capacity. Final.
    Replaced,
    /// There is none, and [`ReplacementRecord::problem`] says why. Final.
    GivenUp,
}

impl ReplacementState {
    /// Whether nothing will change any more.
    #[must_use]
    pub const fn is_final(self) -> bool {
        matches!(self, Self::Replaced | Self::GivenUp)
    }
}

/// The replacement of a lease, kept in the lease that it replaces.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReplacementRecord {
    /// Where it is.
    pub state: ReplacementState,
    /// Since when it is wanted.
    pub since: Timestamp,
    /// How often it was tried.
    pub tries: u32,
    /// When it is tried next; while it is wanted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_at: Option<Timestamp>,
    /// The newest lease that was accepted for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub by: Option<LeaseId>,
    /// Why the last try came to nothing, or why there is none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub problem: Option<String>,
}
