//! The key schedule: what is derived for one record, and what its tag covers.

use hkdf::Hkdf;
use sha2::Sha256;
use subtle::ConstantTimeEq as _;
use zeroize::Zeroizing;

use crate::record::{ALGORITHM, FORMAT, SALT_BYTES};
use crate::{KeyVersion, SecretPath, SecretVersion};

/// Length of every symmetric key here.
pub const KEY_BYTES: usize = 32;
/// Length of the derived nonce.
pub const NONCE_BYTES: usize = 12;
/// Length of the commitment.
pub const COMMITMENT_BYTES: usize = 32;

const LABEL: &[u8] = b"hpc-keystore/v1/";

/// Where a record belongs. The tag covers it, so a record moved elsewhere does not open.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Binding<'a> {
    /// A version of a secret in a store.
    Secret(&'a SecretPath, SecretVersion),
    /// Anything else, told apart by these bytes; may be empty.
    Context(&'a [u8]),
}

impl Binding<'_> {
    /// The additional data of the AEAD: label, format, algorithm, key version, kind, length and text of the name, version.
    ///
    /// No two different places give the same bytes: every field but the name has a fixed length, and the name tells its own.
    #[must_use]
    pub fn additional_data(&self, key_version: KeyVersion) -> Vec<u8> {
        let (kind, name, version) = match self {
            Self::Secret(path, version) => (1, path.as_str().as_bytes(), version.get()),
            Self::Context(context) => (2, *context, 0),
        };
        let mut data = Vec::with_capacity(LABEL.len() + 3 + 3 + 4 + 8 + name.len() + 8);
        data.extend_from_slice(LABEL);
        data.extend_from_slice(b"aad");
        data.extend([FORMAT, ALGORITHM]);
        data.extend(key_version.get().to_be_bytes());
        data.push(kind);
        data.extend((name.len() as u64).to_be_bytes());
        data.extend_from_slice(name);
        data.extend(version.to_be_bytes());
        data
    }
}

/// Key, nonce and commitment of one record, derived from a long-lived key and the record's salt.
///
/// HKDF-SHA256 (RFC 5869): the salt is the record's, the input key is the long-lived one. Three expansions, whose
/// info is `hpc-keystore/v1/`, then `key`, `nonce` or `commitment`, then format, algorithm and key version (1, 1 and 4 bytes).
///
/// A fresh 32-byte salt per record makes key and nonce fresh, so that the number of records has no practical limit.
/// AES-GCM by itself lets one ciphertext open under two keys; the commitment, compared before decrypting, does not.
pub struct MessageKeys {
    key: Zeroizing<[u8; KEY_BYTES]>,
    nonce: [u8; NONCE_BYTES],
    commitment: [u8; COMMITMENT_BYTES],
}

impl MessageKeys {
    /// Derives them.
    #[must_use]
    pub fn derive(long_lived: &[u8; KEY_BYTES], key_version: KeyVersion, salt: &[u8; SALT_BYTES]) -> Self {
        let hkdf = Hkdf::<Sha256>::new(Some(salt), long_lived);
        let [a, b, c, d] = key_version.get().to_be_bytes();
        let fixed = [FORMAT, ALGORITHM, a, b, c, d];
        let mut keys = Self {
            key: Zeroizing::new([0; KEY_BYTES]),
            nonce: [0; NONCE_BYTES],
            commitment: [0; COMMITMENT_BYTES],
        };
        let expand = |name: &[u8], out: &mut [u8]| {
            // HKDF refuses only outputs above 255 blocks of 32 bytes; the longest here is one block.
            let expanded = hkdf.expand_multi_info(&[LABEL, name, &fixed], out);
            debug_assert!(expanded.is_ok());
        };
        expand(b"key", keys.key.as_mut_slice());
        expand(b"nonce", &mut keys.nonce);
        expand(b"commitment", &mut keys.commitment);
        keys
    }

    /// The AEAD key of this record alone.
    #[must_use]
    pub fn key(&self) -> &[u8; KEY_BYTES] {
        &self.key
    }

    /// The AEAD nonce.
    #[must_use]
    pub fn nonce(&self) -> &[u8; NONCE_BYTES] {
        &self.nonce
    }

    /// The commitment to be written.
    #[must_use]
    pub fn commitment(&self) -> &[u8; COMMITMENT_BYTES] {
        &self.commitment
    }

    /// Whether a record commits to these keys, compared in constant time. Check it before decrypting.
    #[must_use]
    pub fn committed_by(&self, commitment: &[u8; COMMITMENT_BYTES]) -> bool {
        self.commitment.ct_eq(commitment).into()
    }
}
