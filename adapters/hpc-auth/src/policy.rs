//! Which peers a connection expects.

use std::collections::BTreeSet;

use hpc_identity::{SpiffeId, TrustDomain};

use crate::AuthError;

/// Most IDs in [`PeerPolicy::AnyOf`].
pub const PEERS_MAX: usize = 1024;

/// Which verified peers a connection accepts. What they may do is decided elsewhere, request by request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PeerPolicy {
    /// This one peer.
    Exact(SpiffeId),
    /// Every member of this trust domain.
    TrustDomain(TrustDomain),
    /// Any of these peers, at most [`PEERS_MAX`].
    AnyOf(BTreeSet<SpiffeId>),
}

impl PeerPolicy {
    /// Whether `id` is expected.
    #[must_use]
    pub fn allows(&self, id: &SpiffeId) -> bool {
        match self {
            Self::Exact(expected) => id == expected,
            Self::TrustDomain(domain) => id.trust_domain() == domain,
            Self::AnyOf(expected) => expected.contains(id),
        }
    }

    /// The trust domains whose bundles are needed to verify such peers.
    #[must_use]
    pub fn trust_domains(&self) -> BTreeSet<TrustDomain> {
        match self {
            Self::Exact(id) => BTreeSet::from([id.trust_domain().clone()]),
            Self::TrustDomain(domain) => BTreeSet::from([domain.clone()]),
            Self::AnyOf(ids) => ids.iter().map(|id| id.trust_domain().clone()).collect(),
        }
    }

    pub(crate) fn check(&self) -> Result<(), AuthError> {
        match self {
            Self::AnyOf(ids) if ids.len() > PEERS_MAX => {
                Err(AuthError::TooMany { what: "expected peers", max: PEERS_MAX })
            }
            _ => Ok(()),
        }
    }
}
