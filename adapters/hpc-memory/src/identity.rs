//! In-memory fake of the `identity` port.

use std::collections::BTreeMap;
use std::sync::Arc;

use async_trait::async_trait;
use hpc_identity::{IdentityError, IdentitySource, TrustBundle, TrustDomain, X509Svid};
use tokio::sync::watch;

/// An [`IdentitySource`] that says what it was told, and fails when told to.
///
/// Clones share one state. Checks less than a real source: keys are taken as they are, so that tests can hand out bad ones.
#[derive(Debug, Clone)]
pub struct MemoryIdentity(Arc<watch::Sender<State>>);

#[derive(Debug, Clone)]
struct State {
    generation: u64,
    svid: Option<Arc<X509Svid>>,
    bundles: BTreeMap<TrustDomain, Arc<TrustBundle>>,
    failure: Option<IdentityError>,
}

impl MemoryIdentity {
    /// A source that has no identity yet and knows no trust domain.
    #[must_use]
    pub fn empty() -> Self {
        let state = State { generation: 0, svid: None, bundles: BTreeMap::new(), failure: None };
        Self(Arc::new(watch::Sender::new(state)))
    }

    /// A source with this identity and these bundles.
    pub fn new(svid: impl Into<Arc<X509Svid>>, bundles: impl IntoIterator<Item = TrustBundle>) -> Self {
        let source = Self::empty();
        bundles.into_iter().for_each(|bundle| source.set_bundle(bundle));
        source.rotate(svid);
        source
    }

    /// Replaces the identity.
    pub fn rotate(&self, svid: impl Into<Arc<X509Svid>>) {
        self.change(|state| state.svid = Some(svid.into()));
    }

    /// Adds or replaces a bundle.
    pub fn set_bundle(&self, bundle: TrustBundle) {
        self.change(|state| {
            state.bundles.insert(bundle.trust_domain().clone(), Arc::new(bundle));
        });
    }

    /// Forgets a trust domain.
    pub fn remove_bundle(&self, domain: &TrustDomain) {
        self.change(|state| {
            state.bundles.remove(domain);
        });
    }

    /// Makes every read fail with this error until [`MemoryIdentity::recover`]. Counts as a change.
    pub fn fail(&self, error: IdentityError) {
        self.change(|state| state.failure = Some(error));
    }

    /// Ends [`MemoryIdentity::fail`]. Counts as a change.
    pub fn recover(&self) {
        self.change(|state| state.failure = None);
    }

    fn change(&self, change: impl FnOnce(&mut State)) {
        self.0.send_modify(|state| {
            change(state);
            state.generation += 1;
        });
    }

    fn read<T>(&self, read: impl FnOnce(&State) -> Result<T, IdentityError>) -> Result<T, IdentityError> {
        let state = self.0.borrow();
        match &state.failure {
            Some(error) => Err(error.clone()),
            None => read(&state),
        }
    }
}

#[async_trait]
impl IdentitySource for MemoryIdentity {
    async fn svid(&self) -> Result<Arc<X509Svid>, IdentityError> {
        self.read(|state| state.svid.clone().ok_or(IdentityError::NoIdentity))
    }

    async fn bundle(&self, domain: &TrustDomain) -> Result<Arc<TrustBundle>, IdentityError> {
        self.read(|state| {
            state.bundles.get(domain).cloned().ok_or_else(|| IdentityError::UnknownTrustDomain(domain.clone()))
        })
    }

    fn generation(&self) -> u64 {
        self.0.borrow().generation
    }

    async fn changed(&self, seen: u64) -> u64 {
        let mut watched = self.0.subscribe();
        if let Ok(state) = watched.wait_for(|state| state.generation > seen).await {
            return state.generation;
        }
        std::future::pending().await // the sender lives in `self`, so this is never reached
    }
}
