//! What a TLS configuration reads at every handshake, and the task that keeps it fresh.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use hpc_identity::{IdentityError, IdentitySource, TrustBundle, TrustDomain, X509Svid, lint_authority};
use jiff::Timestamp;
use rustls::SignatureScheme;
use rustls::client::ResolvesClientCert;
use rustls::crypto::CryptoProvider;
use rustls::crypto::aws_lc_rs::{default_provider, sign::any_supported_type};
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use rustls_pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer, TrustAnchor};
use tokio::runtime::Handle;
use tokio::task::AbortHandle;

use crate::AuthError;

/// First and longest wait before a source that failed to answer is asked again.
const RETRY: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(60));

/// The one cryptography provider: AWS-LC, with the hybrid post-quantum key exchange preferred.
pub(crate) fn provider() -> Arc<CryptoProvider> {
    Arc::new(default_provider())
}

/// The identity as TLS wants it, with `authorities` after its chain. Refuses a key that is not the leaf's.
pub(crate) fn certified_key(svid: &X509Svid, authorities: &[Vec<u8>]) -> Result<CertifiedKey, AuthError> {
    let der = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(svid.private_key_der()));
    let key = any_supported_type(&der).map_err(|_| AuthError::Key { reason: "of a kind TLS cannot use" })?;
    let chain = svid.cert_chain_der().iter().chain(authorities);
    let key = CertifiedKey::new(chain.map(|der| CertificateDer::from(der.clone())).collect(), key);
    key.keys_match().map_err(|_| AuthError::Key { reason: "it does not belong to the certificate" })?;
    Ok(key)
}

/// An authority as the path builder wants it, with its own validity, which the path builder would not look at.
#[derive(Clone)]
pub(crate) struct Anchor {
    pub(crate) anchor: TrustAnchor<'static>,
    not_before: Timestamp,
    not_after: Timestamp,
}

impl Anchor {
    pub(crate) fn new(der: &[u8]) -> Result<Self, AuthError> {
        let facts = lint_authority(der)?;
        let certificate = CertificateDer::from(der);
        let anchor = webpki::anchor_from_trusted_cert(&certificate)
            .map_err(|error| AuthError::Tls { reason: error.to_string() })?
            .to_owned();
        Ok(Self { anchor, not_before: facts.not_before, not_after: facts.not_after })
    }

    pub(crate) fn is_valid_at(&self, now: Timestamp) -> bool {
        self.not_before <= now && now <= self.not_after
    }
}

/// Own key and the authorities of each trust domain, taken at one moment.
pub(crate) struct TlsState {
    key: Arc<CertifiedKey>,
    anchors: BTreeMap<TrustDomain, Vec<Anchor>>,
}

impl TlsState {
    /// With `show_authorities`, the own domain's authorities are sent after the chain, for peers that pin one by digest.
    pub(crate) fn new<'a>(
        svid: &X509Svid,
        bundles: impl IntoIterator<Item = &'a TrustBundle>,
        show_authorities: bool,
    ) -> Result<Self, AuthError> {
        let mut anchors = BTreeMap::new();
        let mut shown: &[Vec<u8>] = &[];
        for bundle in bundles {
            if show_authorities && bundle.trust_domain() == svid.id().trust_domain() {
                shown = bundle.authorities();
            }
            let authorities: Result<Vec<_>, _> =
                bundle.authorities().iter().map(|der| Anchor::new(der)).collect();
            anchors.insert(bundle.trust_domain().clone(), authorities?);
        }
        Ok(Self { key: Arc::new(certified_key(svid, shown)?), anchors })
    }

    /// The authorities of `domain`; none for a domain that is not known.
    pub(crate) fn anchors(&self, domain: &TrustDomain) -> &[Anchor] {
        self.anchors.get(domain).map_or(&[], Vec::as_slice)
    }
}

/// The state that handshakes read: fixed, or following a source for as long as a configuration uses it.
pub(crate) struct Live {
    state: Arc<ArcSwap<TlsState>>,
    refresh: Option<AbortHandle>,
}

impl Live {
    pub(crate) fn fixed(state: TlsState) -> Arc<Self> {
        Arc::new(Self { state: Arc::new(ArcSwap::from_pointee(state)), refresh: None })
    }

    /// Reads the source now, and again whenever it changes. Every one of `domains` must be known now.
    pub(crate) async fn following(
        source: Arc<dyn IdentitySource>,
        domains: BTreeSet<TrustDomain>,
        show_authorities: bool,
    ) -> Result<Arc<Self>, AuthError> {
        let runtime = Handle::try_current().map_err(|_| AuthError::NoRuntime)?;
        let seen = source.generation(); // before reading: a change during the read is then seen as a change
        let first = load(source.as_ref(), &domains, show_authorities).await?;
        if let Some(missing) = domains.iter().find(|domain| !first.anchors.contains_key(*domain)) {
            return Err(IdentityError::UnknownTrustDomain(missing.clone()).into());
        }
        let state = Arc::new(ArcSwap::from_pointee(first));
        let follow = follow(source, domains, show_authorities, seen, Arc::clone(&state));
        let refresh = Some(runtime.spawn(follow).abort_handle());
        Ok(Arc::new(Self { state, refresh }))
    }

    pub(crate) fn now(&self) -> Arc<TlsState> {
        self.state.load_full()
    }
}

impl Drop for Live {
    fn drop(&mut self) {
        if let Some(refresh) = &self.refresh {
            refresh.abort();
        }
    }
}

impl fmt::Debug for Live {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Live").finish_non_exhaustive()
    }
}

/// Until aborted: waits for a change, reads, publishes. A source that fails leaves the old state in use.
async fn follow(
    source: Arc<dyn IdentitySource>,
    domains: BTreeSet<TrustDomain>,
    show_authorities: bool,
    mut seen: u64,
    state: Arc<ArcSwap<TlsState>>,
) {
    let mut wait = RETRY.0;
    loop {
        let generation = source.changed(seen).await;
        match load(source.as_ref(), &domains, show_authorities).await {
            Ok(next) => {
                state.store(Arc::new(next));
                (seen, wait) = (generation, RETRY.0);
            }
            Err(error) => {
                tracing::warn!(%error, "the identity changed but cannot be read; the old one stays in use");
                tokio::time::sleep(wait).await;
                wait = (wait * 2).min(RETRY.1);
            }
        }
    }
}

/// A trust domain that is not known any more has no authorities, so nobody of it is believed.
async fn load(
    source: &dyn IdentitySource,
    domains: &BTreeSet<TrustDomain>,
    show_authorities: bool,
) -> Result<TlsState, AuthError> {
    let svid = source.svid().await?;
    let own = svid.id().trust_domain();
    let mut bundles = Vec::new();
    for domain in domains.iter().chain((!domains.contains(own)).then_some(own)) {
        match source.bundle(domain).await {
            Ok(bundle) => bundles.push(bundle),
            Err(IdentityError::UnknownTrustDomain(_)) => {}
            Err(error) => return Err(error.into()),
        }
    }
    TlsState::new(&svid, bundles.iter().map(Arc::as_ref), show_authorities)
}

impl ResolvesServerCert for Live {
    fn resolve(&self, _hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(Arc::clone(&self.state.load().key))
    }
}

impl ResolvesClientCert for Live {
    fn resolve(&self, _hints: &[&[u8]], _schemes: &[SignatureScheme]) -> Option<Arc<CertifiedKey>> {
        Some(Arc::clone(&self.state.load().key))
    }

    fn has_certs(&self) -> bool {
        true
    }
}
