//! PEM, the text form of certificates and keys.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hpc_identity::{AUTHORITIES_MAX, TrustBundle, TrustDomain, X509Svid};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivatePkcs8KeyDer};
use zeroize::{Zeroize as _, Zeroizing};

use crate::AuthError;

/// Longest PEM text read.
pub const PEM_BYTES_MAX: usize = 1024 * 1024;

const LINE: usize = 64;

/// Certificates in PEM, one after the other.
pub fn certificates_to_pem<D: AsRef<[u8]>>(certificates: impl IntoIterator<Item = D>) -> String {
    certificates.into_iter().map(|der| encode("CERTIFICATE", der.as_ref())).collect()
}

/// Every `CERTIFICATE` in a text, in order: 1 to [`AUTHORITIES_MAX`], in DER. Other sections are passed over.
///
/// # Errors
/// [`AuthError::Pem`] for none, too many, or a malformed section.
pub fn certificates_from_pem(text: &str) -> Result<Vec<Vec<u8>>, AuthError> {
    check_length(text)?;
    let mut found = Vec::new();
    for certificate in CertificateDer::pem_slice_iter(text.as_bytes()) {
        let certificate = certificate.map_err(|_| AuthError::Pem { reason: "a malformed section" })?;
        if found.len() == AUTHORITIES_MAX {
            return Err(AuthError::Pem { reason: "more than 64 certificates" });
        }
        found.push(certificate.to_vec());
    }
    if found.is_empty() { Err(AuthError::Pem { reason: "no CERTIFICATE section" }) } else { Ok(found) }
}

/// A PKCS#8 key in PEM, wiped on drop.
#[must_use]
pub fn private_key_to_pem(pkcs8_der: &[u8]) -> Zeroizing<String> {
    Zeroizing::new(encode("PRIVATE KEY", pkcs8_der))
}

/// The first `PRIVATE KEY` (PKCS#8) in a text, in DER, wiped on drop.
///
/// # Errors
/// [`AuthError::Pem`] when there is none; keys in the older SEC1 and PKCS#1 forms are not read.
pub fn private_key_from_pem(text: &str) -> Result<Zeroizing<Vec<u8>>, AuthError> {
    check_length(text)?;
    let mut key = PrivatePkcs8KeyDer::from_pem_slice(text.as_bytes())
        .map_err(|_| AuthError::Pem { reason: "no PRIVATE KEY section (PKCS#8)" })?;
    let der = Zeroizing::new(key.secret_pkcs8_der().to_vec());
    key.zeroize();
    Ok(der)
}

/// An identity document from the PEM of its chain (leaf first) and of its key.
///
/// # Errors
/// [`AuthError::Pem`]; [`AuthError::Identity`] when the leaf breaks a rule; [`AuthError::Key`] when the key is another's.
pub fn svid_from_pem(chain_pem: &str, key_pem: &str) -> Result<X509Svid, AuthError> {
    let svid = X509Svid::from_der(certificates_from_pem(chain_pem)?, private_key_from_pem(key_pem)?)?;
    crate::tls::certified_key(&svid, &[])?; // refuses a key that does not belong to the leaf
    Ok(svid)
}

/// A trust bundle from the PEM of its authorities.
///
/// # Errors
/// [`AuthError::Pem`]; [`AuthError::Identity`] when a certificate is no authority, or another domain's.
pub fn bundle_from_pem(trust_domain: TrustDomain, authorities_pem: &str) -> Result<TrustBundle, AuthError> {
    Ok(TrustBundle::new(trust_domain, certificates_from_pem(authorities_pem)?)?)
}

fn check_length(text: &str) -> Result<(), AuthError> {
    if text.len() > PEM_BYTES_MAX { Err(AuthError::Pem { reason: "longer than 1 MiB" }) } else { Ok(()) }
}

/// Writes into one buffer of the final size, so that no copy of a key is left behind by a growing string.
fn encode(label: &str, der: &[u8]) -> String {
    let body = Zeroizing::new(STANDARD.encode(der));
    let mut text = String::with_capacity(body.len() + body.len() / LINE + 2 * label.len() + 40);
    for part in ["-----BEGIN ", label, "-----\n"] {
        text.push_str(part);
    }
    let mut rest = body.as_str();
    while !rest.is_empty() {
        let (line, tail) = rest.split_at(rest.len().min(LINE)); // base64 is ASCII: every index is a boundary
        text.push_str(line);
        text.push('\n');
        rest = tail;
    }
    for part in ["-----END ", label, "-----\n"] {
        text.push_str(part);
    }
    text
}
