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
            state
                .bundles
                .get(domain)
                .cloned()
                .ok_or_else(|| IdentityError::UnknownTrustDomain(domain.clone()))
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

#[cfg(test)]
mod tests {
    use hpc_conformance::identity::Subject;
    use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair, KeyUsagePurpose, SanType};
    use zeroize::Zeroizing;

    use super::*;

    struct Authority(Issuer<'static, KeyPair>, TrustBundle);

    impl Authority {
        fn new() -> Self {
            let mut params = CertificateParams::default();
            params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
            params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
            let key = KeyPair::generate().unwrap();
            let der = params.self_signed(&key).unwrap().der().to_vec();
            let bundle = TrustBundle::new(TrustDomain::parse("hpc.internal").unwrap(), vec![der]).unwrap();
            Self(Issuer::new(params, key), bundle)
        }

        fn svid(&self) -> X509Svid {
            let mut params = CertificateParams::default();
            params.subject_alt_names = vec![SanType::URI("spiffe://hpc.internal/a".try_into().unwrap())];
            params.is_ca = IsCa::ExplicitNoCa;
            params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
            let key = KeyPair::generate().unwrap();
            let der = params.signed_by(&key, &self.0).unwrap().der().to_vec();
            X509Svid::from_der(vec![der], Zeroizing::new(key.serialize_der())).unwrap()
        }
    }

    hpc_conformance::identity_source!(async {
        let authority = Authority::new();
        let source = MemoryIdentity::new(authority.svid(), [authority.1.clone()]);
        let rotating = source.clone();
        Subject { source: Arc::new(source), rotate: Box::new(move || rotating.rotate(authority.svid())) }
    });

    #[tokio::test]
    async fn it_can_be_empty_fail_and_forget() {
        let source = MemoryIdentity::empty();
        assert_eq!(source.svid().await.map(drop), Err(IdentityError::NoIdentity));
        let authority = Authority::new();
        source.set_bundle(authority.1.clone());
        source.rotate(authority.svid());
        let down = IdentityError::Unavailable { reason: "told to".into() };
        source.fail(down.clone());
        assert_eq!(source.svid().await.map(drop), Err(down));
        source.recover();
        assert!(source.svid().await.is_ok());
        let domain = authority.1.trust_domain();
        source.remove_bundle(domain);
        assert_eq!(source.bundle(domain).await, Err(IdentityError::UnknownTrustDomain(domain.clone())));
    }
}
