//! The port through which a process learns who it is and whom it may believe.

use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;

use crate::{IdentityError, SpiffeId, TrustBundle, TrustDomain, X509Svid};

/// Where a process gets its own identity and the trust bundles of its peers, and learns that they changed.
///
/// The sentences below are the contract; the suite in `hpc-conformance` checks each.
///
/// - `svid` answers the identity that is current at the moment of the call.
/// - The bundle of the identity's own trust domain is always known, and vouches for the identity.
/// - The bundle of a trust domain the source does not know is [`IdentityError::UnknownTrustDomain`], never an empty bundle.
/// - `generation` grows by at least one whenever the identity or any bundle changes, and never shrinks.
/// - `changed(seen)` answers at once when the generation is above `seen`, and otherwise waits until it is.
/// - `changed` answers the generation at that moment, which is above `seen`.
/// - What is read after `changed` answered is at least as new as the generation it answered.
/// - Dropping the future of `changed` loses no change; any number of callers may wait at once.
#[cfg_attr(feature = "mock", mockall::automock)]
#[async_trait]
pub trait IdentitySource: Send + Sync + 'static {
    /// The current identity.
    ///
    /// # Errors
    /// [`IdentityError::NoIdentity`] before the first identity arrived, [`IdentityError::Unavailable`] when the source cannot answer.
    async fn svid(&self) -> Result<Arc<X509Svid>, IdentityError>;

    /// The current trust bundle of `domain`.
    ///
    /// # Errors
    /// [`IdentityError::UnknownTrustDomain`], or [`IdentityError::Unavailable`] when the source cannot answer.
    async fn bundle(&self, domain: &TrustDomain) -> Result<Arc<TrustBundle>, IdentityError>;

    /// Number of the current state: grows with every change of the identity or of a bundle.
    fn generation(&self) -> u64;

    /// Waits until the generation is above `seen` and answers it. Cancel safe.
    async fn changed(&self, seen: u64) -> u64;
}

/// The verified identity of the peer of a request, for request extensions.
///
/// Only code that has verified the peer's certificate creates one.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PeerIdentity(pub SpiffeId);

impl PeerIdentity {
    /// The peer's SPIFFE ID.
    #[must_use]
    pub fn id(&self) -> &SpiffeId {
        &self.0
    }
}

impl fmt::Display for PeerIdentity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}
