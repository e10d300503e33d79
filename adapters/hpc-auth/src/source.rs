//! Where this process's identity comes from: a fixed one, and one that is replaced while in use.

use std::collections::BTreeMap;
use std::sync::Arc;

use async_trait::async_trait;
use hpc_identity::{IdentityError, IdentitySource, TrustBundle, TrustDomain, X509Svid};
use jiff::{SignedDuration, Timestamp};
use tokio::sync::watch;

use crate::AuthError;

/// Most trust domains one source knows.
pub const TRUST_DOMAINS_MAX: usize = 256;

/// The moment to renew a certificate: half of its life, moved by up to a tenth of it either way.
///
/// `jitter_permille` is drawn by the caller, 0 to 999, and spreads the renewals of many nodes; more counts as 999.
#[must_use]
pub fn renew_at(svid: &X509Svid, jitter_permille: u16) -> Timestamp {
    let life = svid.not_after().duration_since(svid.not_before()).as_secs();
    // 400 to 599 thousandths of the life; i128 cannot overflow on 64-bit seconds.
    let share = 400 + i128::from(jitter_permille.min(999)) / 5;
    let after = i64::try_from(i128::from(life) * share / 1000).unwrap_or(0);
    svid.not_before().checked_add(SignedDuration::from_secs(after)).unwrap_or(svid.not_before())
}

/// An [`IdentitySource`] that never changes.
#[derive(Debug, Clone)]
pub struct StaticIdentity(Arc<Snapshot>);

impl StaticIdentity {
    /// This identity, and these bundles; the identity's own trust domain must be among them.
    ///
    /// # Errors
    /// [`AuthError::Identity`] with [`IdentityError::UnknownTrustDomain`] when it is not; [`AuthError::TooMany`].
    pub fn new(
        svid: impl Into<Arc<X509Svid>>,
        bundles: impl IntoIterator<Item = TrustBundle>,
    ) -> Result<Self, AuthError> {
        Ok(Self(Arc::new(Snapshot::new(svid.into(), bundles)?)))
    }
}

#[async_trait]
impl IdentitySource for StaticIdentity {
    async fn svid(&self) -> Result<Arc<X509Svid>, IdentityError> {
        Ok(Arc::clone(&self.0.svid))
    }

    async fn bundle(&self, domain: &TrustDomain) -> Result<Arc<TrustBundle>, IdentityError> {
        self.0.bundle(domain)
    }

    fn generation(&self) -> u64 {
        self.0.generation
    }

    async fn changed(&self, seen: u64) -> u64 {
        if self.0.generation > seen { self.0.generation } else { std::future::pending().await }
    }
}

/// An [`IdentitySource`] whose identity and bundles are replaced by whoever renews them.
///
/// Clones share one state. A replacement is seen by every reader at once and as a whole.
#[derive(Debug, Clone)]
pub struct RotatingIdentity(Arc<watch::Sender<Arc<Snapshot>>>);

impl RotatingIdentity {
    /// Starts with this identity and these bundles; the identity's own trust domain must be among them.
    ///
    /// # Errors
    /// As [`StaticIdentity::new`].
    pub fn new(
        svid: impl Into<Arc<X509Svid>>,
        bundles: impl IntoIterator<Item = TrustBundle>,
    ) -> Result<Self, AuthError> {
        Ok(Self(Arc::new(watch::Sender::new(Arc::new(Snapshot::new(svid.into(), bundles)?)))))
    }

    /// Replaces the identity. The key must belong to the certificate, and the trust domain's bundle must be known.
    ///
    /// # Errors
    /// [`AuthError::Key`], or [`AuthError::Identity`] with [`IdentityError::UnknownTrustDomain`]; the old identity then stays.
    pub fn rotate(&self, svid: impl Into<Arc<X509Svid>>) -> Result<(), AuthError> {
        let svid = svid.into();
        crate::tls::certified_key(&svid, &[])?;
        self.update(|state| {
            state.bundle(svid.id().trust_domain())?;
            state.svid = svid;
            Ok(())
        })
    }

    /// Adds a bundle, or replaces that of the same trust domain. An equal sequence number replaces.
    ///
    /// # Errors
    /// [`AuthError::StaleBundle`] when the bundle in use has a higher sequence number; [`AuthError::TooMany`].
    pub fn set_bundle(&self, bundle: TrustBundle) -> Result<(), AuthError> {
        self.update(|state| state.insert(bundle))
    }

    fn update(&self, change: impl FnOnce(&mut Snapshot) -> Result<(), AuthError>) -> Result<(), AuthError> {
        let mut outcome = Ok(());
        self.0.send_if_modified(|current| {
            let mut next = Snapshot::clone(current);
            outcome = change(&mut next);
            if outcome.is_ok() {
                next.generation += 1;
                *current = Arc::new(next);
            }
            outcome.is_ok()
        });
        outcome
    }

    fn current(&self) -> Arc<Snapshot> {
        Arc::clone(&self.0.borrow())
    }
}

#[async_trait]
impl IdentitySource for RotatingIdentity {
    async fn svid(&self) -> Result<Arc<X509Svid>, IdentityError> {
        Ok(Arc::clone(&self.current().svid))
    }

    async fn bundle(&self, domain: &TrustDomain) -> Result<Arc<TrustBundle>, IdentityError> {
        self.current().bundle(domain)
    }

    fn generation(&self) -> u64 {
        self.current().generation
    }

    async fn changed(&self, seen: u64) -> u64 {
        let mut watched = self.0.subscribe();
        if let Ok(state) = watched.wait_for(|state| state.generation > seen).await {
            return state.generation;
        }
        // The sender lives in `self`, so it cannot be gone; if it were, nothing would ever change again.
        std::future::pending().await
    }
}

#[derive(Debug, Clone)]
struct Snapshot {
    generation: u64,
    svid: Arc<X509Svid>,
    bundles: BTreeMap<TrustDomain, Arc<TrustBundle>>,
}

impl Snapshot {
    fn new(svid: Arc<X509Svid>, bundles: impl IntoIterator<Item = TrustBundle>) -> Result<Self, AuthError> {
        crate::tls::certified_key(&svid, &[])?;
        let mut state = Self { generation: 1, svid, bundles: BTreeMap::new() };
        for bundle in bundles {
            state.insert(bundle)?;
        }
        state.bundle(state.svid.id().trust_domain())?;
        Ok(state)
    }

    fn bundle(&self, domain: &TrustDomain) -> Result<Arc<TrustBundle>, IdentityError> {
        self.bundles.get(domain).cloned().ok_or_else(|| IdentityError::UnknownTrustDomain(domain.clone()))
    }

    fn insert(&mut self, bundle: TrustBundle) -> Result<(), AuthError> {
        match self.bundles.get(bundle.trust_domain()) {
            Some(current) if current.sequence() > bundle.sequence() => {
                return Err(AuthError::StaleBundle {
                    trust_domain: bundle.trust_domain().clone(),
                    current: current.sequence(),
                    offered: bundle.sequence(),
                });
            }
            None if self.bundles.len() == TRUST_DOMAINS_MAX => {
                return Err(AuthError::TooMany { what: "trust domains", max: TRUST_DOMAINS_MAX });
            }
            _ => {}
        }
        self.bundles.insert(bundle.trust_domain().clone(), Arc::new(bundle));
        Ok(())
    }
}
