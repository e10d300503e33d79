//! ECDSA P-256 keys: drawn here, wiped on drop, never printed.

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair, KeyPair as _};
use zeroize::Zeroizing;

use crate::AuthError;

/// A P-256 key pair. AWS-LC wipes its copy when dropped; the PKCS#8 form here wipes itself.
pub(crate) struct P256Key {
    pair: EcdsaKeyPair,
    pkcs8_der: Zeroizing<Vec<u8>>,
}

impl P256Key {
    /// Draws a key from the operating system.
    pub(crate) fn generate() -> Result<Self, AuthError> {
        let random = SystemRandom::new();
        let document = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_ASN1_SIGNING, &random)
            .map_err(|_| AuthError::Key { reason: "the operating system gave no randomness" })?;
        Self::from_pkcs8(Zeroizing::new(document.as_ref().to_vec()))
    }

    pub(crate) fn from_pkcs8(pkcs8_der: Zeroizing<Vec<u8>>) -> Result<Self, AuthError> {
        let pair = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_ASN1_SIGNING, &pkcs8_der)
            .map_err(|_| AuthError::Key { reason: "not an ECDSA P-256 key in PKCS#8" })?;
        Ok(Self { pair, pkcs8_der })
    }

    pub(crate) fn pkcs8_der(&self) -> &[u8] {
        &self.pkcs8_der
    }

    pub(crate) fn into_pkcs8_der(self) -> Zeroizing<Vec<u8>> {
        self.pkcs8_der
    }

    /// The uncompressed point, as it stands in a certificate.
    pub(crate) fn public_point(&self) -> &[u8] {
        self.pair.public_key().as_ref()
    }
}

impl rcgen::PublicKeyData for P256Key {
    fn der_bytes(&self) -> &[u8] {
        self.public_point()
    }

    fn algorithm(&self) -> &'static rcgen::SignatureAlgorithm {
        &rcgen::PKCS_ECDSA_P256_SHA256
    }
}

impl rcgen::SigningKey for P256Key {
    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, rcgen::Error> {
        self.pair
            .sign(&SystemRandom::new(), message)
            .map(|signature| signature.as_ref().to_vec())
            .map_err(|_| rcgen::Error::RemoteKeyError)
    }
}

/// Sixteen random bytes as a positive serial number: at most 127 bits, above the 64 that RFC 5280 practice asks for.
pub(crate) fn serial() -> Result<[u8; 16], AuthError> {
    let mut serial = [0; 16];
    aws_lc_rs::rand::fill(&mut serial)
        .map_err(|_| AuthError::Key { reason: "the operating system gave no randomness" })?;
    // The top bit stays clear (positive), the next is set (no leading zero byte, never zero).
    if let Some(first) = serial.first_mut() {
        *first = (*first & 0x7f) | 0x40;
    }
    Ok(serial)
}
