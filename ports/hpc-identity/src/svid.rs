//! An X.509 identity document: certificate chain and private key of one SPIFFE ID.

use std::fmt;

use jiff::Timestamp;
use zeroize::Zeroizing;

use crate::lint::{LeafFacts, lint_leaf};
use crate::{IdentityError, SpiffeId};

/// Longest certificate chain accepted, leaf included.
pub const CHAIN_CERTIFICATES_MAX: usize = 8;
/// Longest private key accepted, in bytes of PKCS#8 (an RSA-4096 key takes about 2,400).
pub const PRIVATE_KEY_BYTES_MAX: usize = 16 * 1024;

/// An X509-SVID: leaf first, then intermediates, with the private key of the leaf.
///
/// The leaf has passed [`lint_leaf`]. That the key belongs to the leaf, and that the chain verifies,
/// is checked by whoever uses them for TLS. The key is wiped on drop and has no `Debug`.
pub struct X509Svid {
    facts: LeafFacts,
    cert_chain_der: Vec<Vec<u8>>,
    private_key_der: Zeroizing<Vec<u8>>,
}

impl X509Svid {
    /// Takes a chain (DER, leaf first, root left out) and the leaf's private key (PKCS#8 DER).
    ///
    /// # Errors
    /// [`IdentityError::ChainLength`], [`IdentityError::PrivateKeyLength`], or [`IdentityError::Lint`] for the leaf.
    pub fn from_der(
        cert_chain_der: Vec<Vec<u8>>,
        private_key_der: Zeroizing<Vec<u8>>,
    ) -> Result<Self, IdentityError> {
        let certificates = cert_chain_der.len();
        if certificates > CHAIN_CERTIFICATES_MAX {
            return Err(IdentityError::ChainLength { certificates });
        }
        let leaf = cert_chain_der.first().ok_or(IdentityError::ChainLength { certificates })?;
        if private_key_der.is_empty() || private_key_der.len() > PRIVATE_KEY_BYTES_MAX {
            return Err(IdentityError::PrivateKeyLength);
        }
        let facts = lint_leaf(leaf)?;
        Ok(Self { facts, cert_chain_der, private_key_der })
    }

    /// Whose document this is.
    #[must_use]
    pub fn id(&self) -> &SpiffeId {
        &self.facts.id
    }

    /// The certificates in DER, leaf first; never empty.
    #[must_use]
    pub fn cert_chain_der(&self) -> &[Vec<u8>] {
        &self.cert_chain_der
    }

    /// The leaf's private key in PKCS#8 DER. Copy it only into memory that is wiped.
    #[must_use]
    pub fn private_key_der(&self) -> &[u8] {
        &self.private_key_der
    }

    /// Start of validity, inclusive.
    #[must_use]
    pub fn not_before(&self) -> Timestamp {
        self.facts.not_before
    }

    /// End of validity. X.509 counts this second as valid; treat it as the end.
    #[must_use]
    pub fn not_after(&self) -> Timestamp {
        self.facts.not_after
    }

    /// Serial number of the leaf, big endian, as in the certificate.
    #[must_use]
    pub fn serial(&self) -> &[u8] {
        &self.facts.serial
    }

    /// Serial number of the leaf in lower-case hexadecimal.
    #[must_use]
    pub fn serial_hex(&self) -> String {
        self.facts.serial_hex()
    }

    /// Whether `now` lies in the validity of the leaf.
    #[must_use]
    pub fn is_valid_at(&self, now: Timestamp) -> bool {
        self.facts.not_before <= now && now < self.facts.not_after
    }
}

impl fmt::Debug for X509Svid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("X509Svid")
            .field("id", &self.facts.id.as_str())
            .field("serial", &self.serial_hex())
            .field("not_before", &self.facts.not_before)
            .field("not_after", &self.facts.not_after)
            .finish_non_exhaustive()
    }
}
