//! Intents, tokens and tags: what makes a create repeatable and an orphan findable.

use std::collections::BTreeMap;

use hpc_resources::{IntentId, LeaseId, Money, Offer, PerInstanceHour, ProviderId, Region, ZoneId};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// Most instances in one provision call.
pub const INSTANCES_MAX: u32 = 4_096;
/// Most tags on one resource.
pub const TAGS_MAX: usize = 32;
/// The tag that names the owner: one installation of the broker.
pub const TAG_OWNER: &str = "hpc-owner";
/// The tag that names the intent.
pub const TAG_INTENT: &str = "hpc-intent";
/// The tag that names the lease.
pub const TAG_LEASE: &str = "hpc-lease";

/// The idempotency token of one create call: 64 lower-case hex characters, or a UUID where a provider wants one.
///
/// Derived from the intent, the attempt and the place: the same attempt always carries the same token, and a token is
/// never reused in another zone, where clouds would launch again.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Token(String);

impl Token {
    /// Derives the token: `hash(intent, attempt, provider, region, zone)`.
    #[must_use]
    pub fn derive(
        intent: &IntentId,
        attempt: u32,
        provider: &ProviderId,
        region: &Region,
        zone: &ZoneId,
    ) -> Self {
        let mut hasher = blake3::Hasher::new_derive_key("hpc-foundation 2026-11 provision token v1");
        for part in [intent.as_str(), &attempt.to_string(), provider.as_str(), region.as_str(), zone.as_str()]
        {
            // Length-prefixed, so that no two lists of parts read the same.
            hasher.update(&u64::try_from(part.len()).unwrap_or(u64::MAX).to_le_bytes());
            hasher.update(part.as_bytes());
        }
        Self(hasher.finalize().to_hex().to_string())
    }

    /// The token, 64 ASCII characters: the longest an EC2 `ClientToken` may be.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The token as a version-8 UUID, for providers that want one (a GCE `requestId`).
    #[must_use]
    pub fn as_uuid(&self) -> String {
        let digits: Vec<char> = self.0.chars().take(32).collect();
        let part =
            |from: usize, to: usize| digits.get(from..to).unwrap_or_default().iter().collect::<String>();
        format!("{}-{}-8{}-a{}-{}", part(0, 8), part(8, 12), part(13, 16), part(17, 20), part(20, 32))
    }
}

/// What to create: the intent of one attempt. Durable in the ledger before it is sent anywhere.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProvisionSpec {
    /// The journaled intent.
    pub intent: IntentId,
    /// The lease it is for.
    pub lease: LeaseId,
    /// The idempotency token of this attempt.
    pub token: Token,
    /// What to buy.
    pub offer: Offer,
    /// The frozen price of one instance per hour.
    pub price: PerInstanceHour,
    /// How many instances, 1 to [`INSTANCES_MAX`]; all or none.
    pub instances: u32,
    /// Tags set at creation, never after: owner, intent and lease among them.
    pub tags: BTreeMap<String, String>,
    /// The most one instance may cost per hour, for providers that accept a ceiling.
    pub price_ceiling: Option<Money>,
    /// What the first boot runs, for example the agent with its join token: a reference that its adapter resolves, never the
    /// thing itself. The broker names the intent, on providers that say [`crate::Supports::user_data`].
    pub user_data_ref: Option<String>,
    /// When the attempt is given up.
    pub deadline: Timestamp,
}

/// The provider's name for one instance.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct InstanceHandle {
    /// The provider.
    pub provider: ProviderId,
    /// The region it is in.
    pub region: Region,
    /// The provider's id, for example `i-0f3a...`.
    pub id: String,
}

/// What a create answered.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProvisionResult {
    /// The instances, as many as were asked for.
    pub handles: Vec<InstanceHandle>,
    /// Whether this answer repeats an earlier create with the same token.
    pub replayed: bool,
    /// Whether the provider is simulated.
    pub simulated: bool,
}
