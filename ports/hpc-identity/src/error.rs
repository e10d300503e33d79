//! What can be wrong with an identity, a certificate, or a source of both.

use crate::TrustDomain;

/// Why a text is not a SPIFFE ID or not a trust domain name.
///
/// Closed on purpose: these are the rules of the SPIFFE-ID standard, and a new one must be looked at by every caller.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SpiffeIdError {
    /// The text is longer than [`SPIFFE_ID_BYTES_MAX`](crate::SPIFFE_ID_BYTES_MAX).
    #[error("a SPIFFE ID of {bytes} bytes is longer than {} bytes", crate::SPIFFE_ID_BYTES_MAX)]
    TooLong {
        /// Length of the text in bytes.
        bytes: usize,
    },
    /// The text does not start with `spiffe://`.
    #[error("a SPIFFE ID starts with `spiffe://`")]
    Scheme,
    /// The trust domain is empty.
    #[error("the trust domain is empty")]
    EmptyTrustDomain,
    /// The trust domain is longer than [`TRUST_DOMAIN_BYTES_MAX`](crate::TRUST_DOMAIN_BYTES_MAX).
    #[error("a trust domain of {bytes} bytes is longer than {} bytes", crate::TRUST_DOMAIN_BYTES_MAX)]
    TrustDomainTooLong {
        /// Length of the name in bytes.
        bytes: usize,
    },
    /// The trust domain holds a character outside `a-z 0-9 . - _` (so no capital, port, user or percent escape).
    #[error("the trust domain holds {character:?}; use a-z, 0-9, `.`, `-` and `_`")]
    TrustDomainCharacter {
        /// The first offending character.
        character: char,
    },
    /// A path segment holds a character outside `a-z A-Z 0-9 . - _` (so no query, fragment or percent escape).
    #[error("the path holds {character:?}; use a-z, A-Z, 0-9, `.`, `-` and `_`")]
    PathCharacter {
        /// The first offending character.
        character: char,
    },
    /// A path segment is empty, as in `//`.
    #[error("the path has an empty segment")]
    EmptySegment,
    /// The path ends with a slash.
    #[error("the path ends with a slash")]
    TrailingSlash,
    /// A path segment is `.` or `..`.
    #[error("the path has a segment `.` or `..`")]
    DotSegment,
}

/// Why a certificate breaks the X509-SVID standard, or our stricter reading of it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum LintError {
    /// The certificate is longer than [`CERTIFICATE_BYTES_MAX`](crate::CERTIFICATE_BYTES_MAX).
    #[error("a certificate of {bytes} bytes is longer than {} bytes", crate::CERTIFICATE_BYTES_MAX)]
    TooLong {
        /// Length in bytes.
        bytes: usize,
    },
    /// The bytes are not one DER certificate of version 3, or have bytes after it, or repeat an extension.
    #[error("the certificate cannot be read: {reason}")]
    Malformed {
        /// Which part cannot be read.
        reason: &'static str,
    },
    /// The leaf does not have exactly one URI subject alternative name.
    #[error("the certificate has {found} URI names; an identity document has exactly one")]
    UriCount {
        /// How many it has.
        found: usize,
    },
    /// The URI subject alternative name is not a SPIFFE ID.
    #[error("the URI name is not a SPIFFE ID: {0}")]
    Id(#[from] SpiffeIdError),
    /// The SPIFFE ID of a leaf has no path, so it names a whole trust domain.
    #[error("the SPIFFE ID of a leaf needs a path")]
    RootPath,
    /// The leaf may sign certificates (`cA` is set), so it may not authenticate a peer.
    #[error("the certificate is an authority and may not authenticate a peer")]
    LeafIsAuthority,
    /// There is no key usage extension, or it is not critical.
    #[error("the key usage extension is missing or not critical")]
    KeyUsageMissing,
    /// The leaf lacks `digitalSignature`.
    #[error("the key usage lacks digitalSignature")]
    NoDigitalSignature,
    /// The leaf has `keyCertSign` or `cRLSign`.
    #[error("the key usage of a leaf has keyCertSign or cRLSign")]
    SigningUsage,
    /// Extended key usage is present but lacks `serverAuth` or `clientAuth`.
    #[error("the extended key usage lacks serverAuth or clientAuth")]
    ExtendedKeyUsage,
    /// The public key is RSA below [`RSA_BITS_MIN`](crate::RSA_BITS_MIN), or of a kind or curve that is not accepted.
    #[error(
        "the public key is not RSA of at least {} bits, EC P-256 or P-384, or Ed25519",
        crate::RSA_BITS_MIN
    )]
    WeakKey,
    /// An authority certificate lacks `cA`.
    #[error("the certificate is not an authority: cA is not set")]
    NotAuthority,
    /// An authority certificate lacks `keyCertSign`.
    #[error("the key usage of an authority lacks keyCertSign")]
    NoCertSign,
    /// The end of validity is not after its start, or lies outside representable time.
    #[error("the validity is empty or outside representable time")]
    Validity,
}

/// Why an identity document, a bundle, or the answer of an [`IdentitySource`](crate::IdentitySource) is not to be had.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum IdentityError {
    /// A SPIFFE ID or trust domain is malformed.
    #[error(transparent)]
    Id(#[from] SpiffeIdError),
    /// A certificate breaks a rule.
    #[error(transparent)]
    Lint(#[from] LintError),
    /// The certificate chain is empty or longer than [`CHAIN_CERTIFICATES_MAX`](crate::CHAIN_CERTIFICATES_MAX).
    #[error("a chain of {certificates} certificates; 1 to {} are accepted", crate::CHAIN_CERTIFICATES_MAX)]
    ChainLength {
        /// How many it has.
        certificates: usize,
    },
    /// The private key is empty or longer than [`PRIVATE_KEY_BYTES_MAX`](crate::PRIVATE_KEY_BYTES_MAX).
    #[error("the private key is empty or longer than {} bytes", crate::PRIVATE_KEY_BYTES_MAX)]
    PrivateKeyLength,
    /// A bundle has more than [`AUTHORITIES_MAX`](crate::AUTHORITIES_MAX) authorities.
    #[error("a bundle of {authorities} authorities; at most {} are accepted", crate::AUTHORITIES_MAX)]
    TooManyAuthorities {
        /// How many it has.
        authorities: usize,
    },
    /// An authority names a trust domain other than that of the bundle it was put in.
    #[error("an authority of `{found}` in the bundle of `{expected}`")]
    ForeignAuthority {
        /// The bundle's trust domain.
        expected: TrustDomain,
        /// The trust domain in the authority's certificate.
        found: TrustDomain,
    },
    /// The source has no identity yet; wait for [`changed`](crate::IdentitySource::changed).
    #[error("no identity yet; wait for the source to change")]
    NoIdentity,
    /// The source holds no bundle for this trust domain.
    #[error("no trust bundle for `{0}`; federate with it first")]
    UnknownTrustDomain(TrustDomain),
    /// The source cannot answer now; try again later.
    #[error("the identity source is unavailable: {reason}")]
    Unavailable {
        /// What is wrong, for an operator. Holds no secret.
        reason: String,
    },
}
