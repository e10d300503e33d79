//! Certificate signing requests: made by a node whose key never leaves it, judged by the authority.

use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_ASN1, ECDSA_P384_SHA384_ASN1, ED25519, RSA_PKCS1_2048_8192_SHA256, UnparsedPublicKey,
    VerificationAlgorithm,
};
use hpc_identity::X509Svid;
use rcgen::{CertificateParams, DistinguishedName, SubjectPublicKeyInfo};
use x509_parser::prelude::{FromDer, X509Certificate, X509CertificationRequest};
use zeroize::Zeroizing;

use crate::AuthError;
use crate::keys::P256Key;

/// Longest request accepted, in bytes of DER.
pub const CSR_BYTES_MAX: usize = 16 * 1024;

/// A request for a certificate, with the key it is for. The key is wiped on drop and never printed.
pub struct CsrRequest {
    key: P256Key,
    csr_der: Vec<u8>,
}

impl CsrRequest {
    /// Draws an ECDSA P-256 key and signs a request for it. The request carries no name: the authority decides it.
    ///
    /// # Errors
    /// [`AuthError::Key`] without randomness.
    pub fn generate() -> Result<Self, AuthError> {
        let key = P256Key::generate()?;
        let mut params = CertificateParams::default();
        params.distinguished_name = DistinguishedName::new();
        let csr_der = params.serialize_request(&key)?.der().to_vec();
        Ok(Self { key, csr_der })
    }

    /// The request in PKCS#10 DER, to be sent to the authority.
    #[must_use]
    pub fn csr_der(&self) -> &[u8] {
        &self.csr_der
    }

    /// Joins the certificate chain that came back (DER, leaf first) with the key. An answer that cannot be used leaves the
    /// request as it was: it may be sent again.
    ///
    /// # Errors
    /// [`AuthError::Key`] when the certificate is for another key; [`AuthError::Identity`] when it breaks a rule.
    pub fn finish(&self, chain_der: Vec<Vec<u8>>) -> Result<X509Svid, AuthError> {
        let own = chain_der.first().is_some_and(|leaf| certificate_has_point(leaf, self.key.public_point()));
        if !own {
            return Err(AuthError::Key { reason: "the certificate is for another key than was requested" });
        }
        Ok(X509Svid::from_der(chain_der, Zeroizing::new(self.key.pkcs8_der().to_vec()))?)
    }
}

/// Whether the certificate is for the EC key with this uncompressed point.
pub(crate) fn certificate_has_point(cert_der: &[u8], point: &[u8]) -> bool {
    X509Certificate::from_der(cert_der)
        .is_ok_and(|(_, certificate)| certificate.public_key().subject_public_key.data.as_ref() == point)
}

const SHA256_WITH_RSA: &str = "1.2.840.113549.1.1.11";
const ECDSA_WITH_SHA256: &str = "1.2.840.10045.4.3.2";
const ECDSA_WITH_SHA384: &str = "1.2.840.10045.4.3.3";
const ED25519_OID: &str = "1.3.101.112";

/// The public key of a request whose signature proves possession of the private key. Nothing else is taken from it.
pub(crate) fn verified_public_key(csr_der: &[u8]) -> Result<SubjectPublicKeyInfo, AuthError> {
    let refused = |reason| AuthError::Request { reason };
    if csr_der.len() > CSR_BYTES_MAX {
        return Err(refused("longer than 16 KiB"));
    }
    let (rest, request) =
        X509CertificationRequest::from_der(csr_der).map_err(|_| refused("not a PKCS#10 request in DER"))?;
    if !rest.is_empty() {
        return Err(refused("bytes after the request"));
    }
    let info = &request.certification_request_info;
    // The signature algorithm fixes the kind of key; AWS-LC checks that the key is of that kind, and RSA's size.
    let algorithm: &'static dyn VerificationAlgorithm =
        match request.signature_algorithm.algorithm.to_id_string().as_str() {
            ECDSA_WITH_SHA256 => &ECDSA_P256_SHA256_ASN1,
            ECDSA_WITH_SHA384 => &ECDSA_P384_SHA384_ASN1,
            SHA256_WITH_RSA => &RSA_PKCS1_2048_8192_SHA256,
            ED25519_OID => &ED25519,
            _ => return Err(refused("not signed with ECDSA P-256 or P-384, Ed25519, or RSA with SHA-256")),
        };
    let signature = &request.signature_value;
    if signature.unused_bits != 0 {
        return Err(refused("the signature is not a whole number of bytes"));
    }
    UnparsedPublicKey::new(algorithm, &info.subject_pki.subject_public_key.data)
        .verify(info.raw, &signature.data)
        .map_err(|_| refused("the signature does not prove possession of an accepted key"))?;
    SubjectPublicKeyInfo::from_der(info.subject_pki.raw)
        .map_err(|_| refused("the public key is not accepted"))
}
