//! Rules of the X509-SVID standard that one certificate can be judged by alone.
//!
//! Signatures, chains and the current time are not looked at here.

use jiff::Timestamp;
use x509_parser::prelude::{
    ExtendedKeyUsage, FromDer, GeneralName, KeyUsage, SubjectAlternativeName, X509Certificate, X509Version,
};
use x509_parser::public_key::PublicKey;

use crate::{LintError, SpiffeId};

/// Longest certificate accepted, in bytes of DER.
pub const CERTIFICATE_BYTES_MAX: usize = 64 * 1024;
/// Shortest RSA modulus accepted, in bits.
pub const RSA_BITS_MIN: usize = 2048;

/// What a leaf certificate says about itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LeafFacts {
    /// The one SPIFFE ID.
    pub id: SpiffeId,
    /// Start of validity, inclusive.
    pub not_before: Timestamp,
    /// End of validity.
    pub not_after: Timestamp,
    /// Serial number, big endian.
    pub serial: Vec<u8>,
}

impl LeafFacts {
    /// The serial number in lower-case hexadecimal.
    #[must_use]
    pub fn serial_hex(&self) -> String {
        use std::fmt::Write as _;
        self.serial.iter().fold(String::with_capacity(self.serial.len() * 2), |mut text, byte| {
            let _ = write!(text, "{byte:02x}"); // writing to a String cannot fail
            text
        })
    }
}

/// What an authority's certificate says about itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuthorityFacts {
    /// The SPIFFE ID, if it has one; an authority may go without.
    pub id: Option<SpiffeId>,
    /// Start of validity, inclusive.
    pub not_before: Timestamp,
    /// End of validity.
    pub not_after: Timestamp,
    /// Serial number, big endian.
    pub serial: Vec<u8>,
}

/// Judges a leaf certificate (DER) by the rules of the X509-SVID standard and answers what it says.
///
/// The rules: version 3 and no repeated extension; exactly one URI name, which is a SPIFFE ID with a path; not an
/// authority; a critical key usage with digitalSignature and without keyCertSign and cRLSign; if extended key usage
/// is present, it has serverAuth and clientAuth; a key that is not weak. The common name is not looked at.
///
/// # Errors
/// The first rule broken, as a [`LintError`].
///
/// Source: X509-SVID, sections 2 to 4 and appendix A.
pub fn lint_leaf(der: &[u8]) -> Result<LeafFacts, LintError> {
    let certificate = parse(der)?;
    let extensions = Extensions::of(&certificate)?;
    if extensions.is_authority {
        return Err(LintError::LeafIsAuthority);
    }
    let id = match extensions.uris.as_slice() {
        [uri] => SpiffeId::parse(uri)?,
        uris => return Err(LintError::UriCount { found: uris.len() }),
    };
    if id.path().is_empty() {
        return Err(LintError::RootPath);
    }
    let usage = extensions.critical_key_usage.ok_or(LintError::KeyUsageMissing)?;
    if usage.key_cert_sign() || usage.crl_sign() {
        return Err(LintError::SigningUsage);
    }
    if !usage.digital_signature() {
        return Err(LintError::NoDigitalSignature);
    }
    if let Some(extended) = &extensions.extended_key_usage
        && !(extended.server_auth && extended.client_auth)
    {
        return Err(LintError::ExtendedKeyUsage);
    }
    check_key(&certificate)?;
    let (not_before, not_after) = validity(&certificate)?;
    Ok(LeafFacts { id, not_before, not_after, serial: certificate.raw_serial().to_vec() })
}

/// Judges an authority's certificate (DER): version 3, cA, keyCertSign, at most one URI name, a key that is not weak.
///
/// # Errors
/// The first rule broken, as a [`LintError`].
///
/// Source: X509-SVID, sections 2 to 4.
pub fn lint_authority(der: &[u8]) -> Result<AuthorityFacts, LintError> {
    let certificate = parse(der)?;
    let extensions = Extensions::of(&certificate)?;
    if !extensions.is_authority {
        return Err(LintError::NotAuthority);
    }
    if !extensions.critical_key_usage.ok_or(LintError::KeyUsageMissing)?.key_cert_sign() {
        return Err(LintError::NoCertSign);
    }
    let id = match extensions.uris.as_slice() {
        [] => None,
        [uri] => Some(SpiffeId::parse(uri)?),
        uris => return Err(LintError::UriCount { found: uris.len() }),
    };
    check_key(&certificate)?;
    let (not_before, not_after) = validity(&certificate)?;
    Ok(AuthorityFacts { id, not_before, not_after, serial: certificate.raw_serial().to_vec() })
}

/// The extensions the rules ask about, each known to be readable and to occur at most once.
struct Extensions<'a> {
    is_authority: bool,
    uris: Vec<&'a str>,
    critical_key_usage: Option<&'a KeyUsage>,
    extended_key_usage: Option<&'a ExtendedKeyUsage<'a>>,
}

impl<'a> Extensions<'a> {
    fn of(certificate: &'a X509Certificate<'a>) -> Result<Self, LintError> {
        let malformed = |reason| move |_| LintError::Malformed { reason };
        certificate.extensions_map().map_err(malformed("an extension occurs twice"))?;
        let is_authority = certificate
            .basic_constraints()
            .map_err(malformed("basic constraints"))?
            .is_some_and(|constraints| constraints.value.ca);
        let names = certificate.subject_alternative_name().map_err(malformed("subject alternative name"))?;
        let uris = match names {
            Some(names) => uris(names.value)?,
            None => Vec::new(),
        };
        let critical_key_usage = certificate
            .key_usage()
            .map_err(malformed("key usage"))?
            .filter(|usage| usage.critical)
            .map(|usage| usage.value);
        let extended_key_usage = certificate
            .extended_key_usage()
            .map_err(malformed("extended key usage"))?
            .map(|usage| usage.value);
        Ok(Self { is_authority, uris, critical_key_usage, extended_key_usage })
    }
}

fn uris<'a>(names: &'a SubjectAlternativeName<'a>) -> Result<Vec<&'a str>, LintError> {
    let mut uris = Vec::new();
    for name in &names.general_names {
        match name {
            GeneralName::URI(uri) => uris.push(*uri),
            // A name that cannot be read could be a second URI: refuse.
            GeneralName::Invalid(..) => {
                return Err(LintError::Malformed { reason: "a subject alternative name" });
            }
            _ => {}
        }
    }
    Ok(uris)
}

fn parse(der: &[u8]) -> Result<X509Certificate<'_>, LintError> {
    if der.len() > CERTIFICATE_BYTES_MAX {
        return Err(LintError::TooLong { bytes: der.len() });
    }
    let (rest, certificate) = X509Certificate::from_der(der)
        .map_err(|_| LintError::Malformed { reason: "not a DER certificate" })?;
    if !rest.is_empty() {
        return Err(LintError::Malformed { reason: "bytes after the certificate" });
    }
    if certificate.version() != X509Version::V3 {
        return Err(LintError::Malformed { reason: "not version 3" });
    }
    Ok(certificate)
}

fn check_key(certificate: &X509Certificate<'_>) -> Result<(), LintError> {
    const ED25519: &str = "1.3.101.112";
    const CURVES: [&str; 2] = ["1.2.840.10045.3.1.7", "1.3.132.0.34"]; // P-256, P-384
    let info = certificate.public_key();
    let strong = match info.parsed().map_err(|_| LintError::Malformed { reason: "public key" })? {
        PublicKey::RSA(key) => key.key_size() >= RSA_BITS_MIN,
        PublicKey::EC(_) => info
            .algorithm
            .parameters
            .as_ref()
            .and_then(|curve| curve.as_oid().ok())
            .is_some_and(|curve| CURVES.contains(&curve.to_id_string().as_str())),
        _ => info.algorithm.algorithm.to_id_string() == ED25519,
    };
    if strong { Ok(()) } else { Err(LintError::WeakKey) }
}

fn validity(certificate: &X509Certificate<'_>) -> Result<(Timestamp, Timestamp), LintError> {
    let validity = certificate.validity();
    let at = |seconds| Timestamp::from_second(seconds).map_err(|_| LintError::Validity);
    let (not_before, not_after) = (at(validity.not_before.timestamp())?, at(validity.not_after.timestamp())?);
    if not_before < not_after { Ok((not_before, not_after)) } else { Err(LintError::Validity) }
}
