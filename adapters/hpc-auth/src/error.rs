//! What can go wrong with certificates, keys and TLS configuration.

use std::path::PathBuf;

use hpc_identity::{IdentityError, LintError, SpiffeId, SpiffeIdError, TrustDomain};

use crate::join::JoinError;

/// Every failure of this package. No message holds key material.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum AuthError {
    /// An ID, certificate, bundle or source is at fault.
    #[error(transparent)]
    Identity(#[from] IdentityError),
    /// A join token is refused.
    #[error(transparent)]
    Join(#[from] JoinError),
    /// The name of an authority is empty, longer than 64 bytes, or has control characters.
    #[error("an authority's name has 1 to 64 bytes and no control characters")]
    CommonName,
    /// A lifetime is outside its limits, or ends outside representable time.
    #[error("the lifetime is not accepted: {reason}")]
    Lifetime {
        /// Which limit.
        reason: &'static str,
    },
    /// The authority's own certificate is not valid now, or ends before the shortest lifetime it may issue.
    #[error("the authority's own certificate is not valid, or ends too soon to issue; rotate it")]
    AuthorityExpired,
    /// An authority was asked to issue for another trust domain.
    #[error("an authority of `{expected}` cannot issue for `{found}`")]
    ForeignTrustDomain {
        /// The authority's trust domain.
        expected: TrustDomain,
        /// The trust domain asked for.
        found: TrustDomain,
    },
    /// A host to vouch for is neither a DNS name nor an IP address.
    #[error("`{host}` is neither a DNS name nor an IP address")]
    Host {
        /// The text given.
        host: String,
    },
    /// A certificate signing request is refused.
    #[error("the certificate signing request is refused: {reason}")]
    Request {
        /// Which rule it breaks.
        reason: &'static str,
    },
    /// A key cannot be drawn, read or used, or does not belong to the certificate.
    #[error("the key cannot be used: {reason}")]
    Key {
        /// What is wrong with it.
        reason: &'static str,
    },
    /// A certificate could not be encoded.
    #[error("the certificate could not be made: {reason}")]
    Encode {
        /// What the encoder said.
        reason: String,
    },
    /// A TLS configuration could not be built.
    #[error("the TLS configuration could not be built: {reason}")]
    Tls {
        /// What the TLS library said.
        reason: String,
    },
    /// A text is not the PEM expected.
    #[error("not the PEM expected: {reason}")]
    Pem {
        /// What is missing or wrong.
        reason: &'static str,
    },
    /// A file cannot be read or written.
    #[error("`{}`: {kind}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What the system said.
        kind: std::io::ErrorKind,
    },
    /// A private key file may be read by others, or is no plain file.
    #[error("`{}` must be a plain file that only its owner can read (mode 0600)", path.display())]
    FileMode {
        /// The file.
        path: PathBuf,
    },
    /// The peer is who it says, but the policy of this connection does not name it.
    #[error("the peer `{0}` is not among those expected here")]
    PeerNotExpected(SpiffeId),
    /// The peer showed no certificate.
    #[error("the peer showed no certificate")]
    NoPeerCertificate,
    /// The pinned authority is not in the chain the server sent.
    #[error("the server did not show the pinned authority; check that the join token belongs to this server")]
    PinnedAuthorityMissing,
    /// A bundle older than the one in use was offered.
    #[error("bundle {offered} of `{trust_domain}` is older than {current}, which is in use")]
    StaleBundle {
        /// Whose bundle.
        trust_domain: TrustDomain,
        /// Sequence in use.
        current: u64,
        /// Sequence offered.
        offered: u64,
    },
    /// More trust bundles or peers than accepted.
    #[error("more than {max} {what}")]
    TooMany {
        /// Of what.
        what: &'static str,
        /// The limit.
        max: usize,
    },
    /// A configuration that follows a source was asked for outside a tokio runtime.
    #[error("a configuration that follows a source needs a tokio runtime")]
    NoRuntime,
}

impl From<SpiffeIdError> for AuthError {
    fn from(error: SpiffeIdError) -> Self {
        Self::Identity(error.into())
    }
}

impl From<LintError> for AuthError {
    fn from(error: LintError) -> Self {
        Self::Identity(error.into())
    }
}

impl From<rcgen::Error> for AuthError {
    fn from(error: rcgen::Error) -> Self {
        Self::Encode { reason: error.to_string() }
    }
}

impl From<rustls::Error> for AuthError {
    fn from(error: rustls::Error) -> Self {
        Self::Tls { reason: error.to_string() }
    }
}
