//! Commitments: an entry is bound to a value that it does not hold.
//!
//! Without the salt a commitment says nothing of its value, also of one that could be guessed. Whoever has salt and value
//! can prove later what was meant. When both are forgotten the value is gone for good, and the log stays whole.

use std::fmt;
use std::str::FromStr;

use hpc_crypto::hashing::{Hash, Hasher};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use zeroize::Zeroizing;

/// Bytes of a salt. Draw each of them at random, and use none twice.
pub const SALT_BYTES: usize = 32;
/// How a commitment in the data of an entry begins; Base64 of 32 bytes follows.
pub const COMMITMENT_PREFIX: &str = "commit:v1:";

/// Keeps these hashes apart from all others; its length is fixed.
const CONTEXT: &[u8] = b"hpc-audit commitment v1\n";

/// What an entry holds of a value that is personal, free text or secret.
///
/// SHA-256 over the context `hpc-audit commitment v1` and a newline, the salt, and then field and value, each behind its
/// length in bytes as a big-endian 64-bit number. Its text form is [`COMMITMENT_PREFIX`] and the hash in Base64.
///
/// ```
/// use hpc_audit::Commitment;
/// # fn main() -> Result<(), hpc_audit::CommitmentError> {
/// let salt = [7; 32]; // draw it at random
/// let commitment = Commitment::new("note", "agreed with finance", &salt);
/// let found: Commitment = commitment.to_string().parse()?;
/// assert!(found.opens("note", "agreed with finance", &salt));
/// assert!(!found.opens("note", "agreed with nobody", &salt));
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Commitment(Hash);

/// Text that is no commitment.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("not a commitment: expected `commit:v1:` and 44 characters of Base64")]
pub struct CommitmentError;

impl Commitment {
    /// The commitment to the value of a field under a salt.
    #[must_use]
    pub fn new(field: &str, value: &str, salt: &[u8; SALT_BYTES]) -> Self {
        let mut hasher = Hasher::sha256();
        hasher.update(CONTEXT).update(salt);
        for part in [field.as_bytes(), value.as_bytes()] {
            hasher.update(&(part.len() as u64).to_be_bytes()).update(part);
        }
        Self(hasher.finalize())
    }

    /// Whether this is the commitment to that value of that field under that salt.
    #[must_use]
    pub fn opens(&self, field: &str, value: &str, salt: &[u8; SALT_BYTES]) -> bool {
        *self == Self::new(field, value, salt)
    }
}

impl fmt::Display for Commitment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{COMMITMENT_PREFIX}{}", self.0.to_base64())
    }
}

impl FromStr for Commitment {
    type Err = CommitmentError;

    /// Reads the one text form.
    fn from_str(text: &str) -> Result<Self, CommitmentError> {
        let hash = text.strip_prefix(COMMITMENT_PREFIX).ok_or(CommitmentError)?;
        Hash::from_base64(hash).map(Self).map_err(|_| CommitmentError)
    }
}

/// What opens a commitment: kept apart from the log, and deleted to forget the value.
///
/// The salt is wiped on drop; `Debug` shows neither salt nor value.
#[derive(Clone, PartialEq, Eq)]
pub struct Opening {
    salt: Zeroizing<[u8; SALT_BYTES]>,
    value: Zeroizing<String>,
}

impl Opening {
    /// From 32 random bytes and the value.
    #[must_use]
    pub fn new(salt: [u8; SALT_BYTES], value: impl Into<String>) -> Self {
        Self { salt: Zeroizing::new(salt), value: Zeroizing::new(value.into()) }
    }

    /// The salt.
    #[must_use]
    pub fn salt(&self) -> &[u8; SALT_BYTES] {
        &self.salt
    }

    /// The value.
    #[must_use]
    pub fn value(&self) -> &str {
        &self.value
    }

    /// The commitment that it opens, for a field.
    #[must_use]
    pub fn commitment(&self, field: &str) -> Commitment {
        Commitment::new(field, &self.value, &self.salt)
    }
}

impl fmt::Debug for Opening {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Opening(..)")
    }
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Wire {
    /// Base64.
    salt: String,
    value: String,
}

impl Serialize for Opening {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let salt = Hash::from_bytes(*self.salt).to_base64();
        Wire { salt, value: self.value.to_string() }.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Opening {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let Wire { salt, value } = Wire::deserialize(deserializer)?;
        // The error of a bad salt names no part of it.
        let salt =
            Hash::from_base64(&salt).map_err(|_| serde::de::Error::custom("the salt is not Base64"))?;
        Ok(Self::new(*salt.as_bytes(), value))
    }
}
