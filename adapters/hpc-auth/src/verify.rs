//! Who the peer is: our SPIFFE rules first, then the path to an authority of the trust domain it claims.

use std::fmt;
use std::sync::Arc;

use hpc_identity::{CHAIN_CERTIFICATES_MAX, IdentityError, SpiffeId, lint_authority, lint_leaf};
use jiff::Timestamp;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{WebPkiSupportedAlgorithms, verify_tls13_signature};
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::{
    CertificateError, DigitallySignedStruct, DistinguishedName, Error, OtherError, PeerIncompatible,
    SignatureScheme,
};
use rustls_pki_types::{CertificateDer, ServerName, UnixTime};
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq as _;
use webpki::{EndEntityCert, KeyUsage};

use crate::tls::{Anchor, Live, provider};
use crate::{AuthError, PeerPolicy};

/// The SPIFFE ID in a certificate chain that a finished handshake has verified, as rustls hands it out.
///
/// Verifies nothing itself: use it only on `peer_certificates()` of a connection configured by this package.
///
/// # Errors
/// [`AuthError::NoPeerCertificate`] for an empty chain; [`AuthError::Identity`] for a leaf that breaks a rule.
pub fn peer_spiffe_id(chain: &[CertificateDer<'_>]) -> Result<SpiffeId, AuthError> {
    let leaf = chain.first().ok_or(AuthError::NoPeerCertificate)?;
    Ok(lint_leaf(leaf)?.id)
}

/// Where the authorities come from.
enum Roots {
    /// Those of the peer's trust domain, from the current state.
    Live(Arc<Live>),
    /// The one in the server's own chain whose certificate has this SHA-256.
    Pinned([u8; 32]),
}

/// Verifies peers of either side. TLS 1.2 is refused.
pub(crate) struct PeerVerifier {
    roots: Roots,
    policy: PeerPolicy,
    client_must_show: bool,
    algorithms: WebPkiSupportedAlgorithms,
}

impl PeerVerifier {
    pub(crate) fn new(live: Arc<Live>, policy: PeerPolicy, client_must_show: bool) -> Self {
        let algorithms = provider().signature_verification_algorithms;
        Self { roots: Roots::Live(live), policy, client_must_show, algorithms }
    }

    pub(crate) fn pinned(authority_sha256: [u8; 32], policy: PeerPolicy) -> Self {
        let algorithms = provider().signature_verification_algorithms;
        Self { roots: Roots::Pinned(authority_sha256), policy, client_must_show: true, algorithms }
    }

    fn verify(
        &self,
        leaf: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        at: UnixTime,
        usage: KeyUsage,
    ) -> Result<(), Error> {
        let certificates = intermediates.len() + 1;
        // Authorities may follow the chain, so the peer may send more than a chain of our own has, but not without limit.
        if certificates > 2 * CHAIN_CERTIFICATES_MAX {
            return Err(other(IdentityError::ChainLength { certificates }.into()));
        }
        let id = lint_leaf(leaf).map_err(|error| other(error.into()))?.id;
        if !self.policy.allows(&id) {
            return Err(other(AuthError::PeerNotExpected(id)));
        }
        let now = i64::try_from(at.as_secs()).ok().and_then(|seconds| Timestamp::from_second(seconds).ok());
        let now = now.ok_or(CertificateError::Expired)?;
        let usable = |anchors: &[Anchor]| -> Vec<_> {
            anchors
                .iter()
                .filter(|anchor| anchor.is_valid_at(now))
                .map(|anchor| anchor.anchor.clone())
                .collect()
        };
        let anchors = match &self.roots {
            Roots::Live(live) => usable(live.now().anchors(id.trust_domain())),
            Roots::Pinned(sha256) => usable(&[pinned_anchor(sha256, &id, intermediates).map_err(other)?]),
        };
        EndEntityCert::try_from(leaf)
            .and_then(|leaf| {
                leaf.verify_for_usage(self.algorithms.all, &anchors, intermediates, at, usage, None, None)
                    .map(drop)
            })
            .map_err(path_error)
    }

    fn verify_signature(
        &self,
        message: &[u8],
        leaf: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, leaf, signature, &self.algorithms)
    }
}

/// The pinned authority among the certificates the server sent. It must vouch for the trust domain of the server's ID.
fn pinned_anchor(sha256: &[u8; 32], id: &SpiffeId, sent: &[CertificateDer<'_>]) -> Result<Anchor, AuthError> {
    let is_pinned = |der: &&CertificateDer<'_>| bool::from(Sha256::digest(der).as_slice().ct_eq(sha256));
    let der = sent.iter().find(is_pinned).ok_or(AuthError::PinnedAuthorityMissing)?;
    match lint_authority(der)?.id {
        Some(authority) if authority.trust_domain() == id.trust_domain() => Anchor::new(der),
        _ => Err(AuthError::PinnedAuthorityMissing),
    }
}

fn other(error: AuthError) -> Error {
    CertificateError::Other(OtherError(Arc::new(error))).into()
}

fn path_error(error: webpki::Error) -> Error {
    match error {
        webpki::Error::CertExpired { .. } => CertificateError::Expired,
        webpki::Error::CertNotValidYet { .. } => CertificateError::NotValidYet,
        // Authorities of one name under different keys are common in a rotation: to be signed by none of them is one thing.
        webpki::Error::UnknownIssuer | webpki::Error::InvalidSignatureForPublicKey => {
            CertificateError::UnknownIssuer
        }
        error => CertificateError::Other(OtherError(Arc::new(error))),
    }
    .into()
}

impl ServerCertVerifier for PeerVerifier {
    /// The name is not looked at: the SPIFFE ID says who the server is, wherever it runs.
    fn verify_server_cert(
        &self,
        leaf: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        _name: &ServerName<'_>,
        _ocsp: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        self.verify(leaf, intermediates, now, KeyUsage::server_auth())?;
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _message: &[u8],
        _leaf: &CertificateDer<'_>,
        _signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Err(Error::PeerIncompatible(PeerIncompatible::Tls12NotOffered))
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        leaf: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.verify_signature(message, leaf, signature)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.algorithms.supported_schemes()
    }
}

impl ClientCertVerifier for PeerVerifier {
    fn client_auth_mandatory(&self) -> bool {
        self.client_must_show
    }

    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &[] // clients have one identity; hints would only tell strangers whom we believe
    }

    fn verify_client_cert(
        &self,
        leaf: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        self.verify(leaf, intermediates, now, KeyUsage::client_auth())?;
        Ok(ClientCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _message: &[u8],
        _leaf: &CertificateDer<'_>,
        _signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Err(Error::PeerIncompatible(PeerIncompatible::Tls12NotOffered))
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        leaf: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.verify_signature(message, leaf, signature)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.algorithms.supported_schemes()
    }
}

impl fmt::Debug for PeerVerifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PeerVerifier").field("policy", &self.policy).finish_non_exhaustive()
    }
}
