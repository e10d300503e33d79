//! The sealed record: what is written where a secret is kept.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::schedule::COMMITMENT_BYTES;
use crate::{KeyStoreError, RecordError, SECRET_BYTES_MAX};

/// The first bytes of every record.
pub const MAGIC: [u8; 4] = *b"HPCS";
/// The format written and read here.
pub const FORMAT: u8 = 1;
/// The one algorithm of this format: AES-256-GCM with keys derived per record by HKDF-SHA256, key committing.
pub const ALGORITHM: u8 = 1;
/// Length of a record's random salt.
pub const SALT_BYTES: usize = 32;
/// Length of the tag at the end of the ciphertext.
pub const TAG_BYTES: usize = 16;
/// Length of everything before the ciphertext.
pub const HEADER_BYTES: usize = 4 + 1 + 1 + 4 + SALT_BYTES + COMMITMENT_BYTES;

/// Number of the key a record is sealed under. 0 is the key of a vault that has only one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct KeyVersion(u32);

impl KeyVersion {
    /// The key version of this number.
    #[must_use]
    pub const fn new(number: u32) -> Self {
        Self(number)
    }

    /// The number.
    #[must_use]
    pub const fn get(self) -> u32 {
        self.0
    }
}

impl fmt::Display for KeyVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A sealed secret, in memory. Holds nothing secret.
///
/// As bytes, all integers big endian:
///
/// | offset | bytes | field |
/// | --- | --- | --- |
/// | 0 | 4 | `HPCS` |
/// | 4 | 1 | format, 1 |
/// | 5 | 1 | algorithm, 1 |
/// | 6 | 4 | key version |
/// | 10 | 32 | salt, random |
/// | 42 | 32 | commitment to the key, see [`MessageKeys`](crate::MessageKeys) |
/// | 74 | n + 16 | ciphertext of n bytes and its tag |
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SealedRecord {
    key_version: KeyVersion,
    salt: [u8; SALT_BYTES],
    commitment: [u8; COMMITMENT_BYTES],
    ciphertext: Vec<u8>,
}

impl SealedRecord {
    /// Puts a record together. `ciphertext` ends with its tag.
    ///
    /// # Errors
    /// [`KeyStoreError::Record`] when the ciphertext is shorter than a tag or longer than that of the longest secret.
    pub fn new(
        key_version: KeyVersion,
        salt: [u8; SALT_BYTES],
        commitment: [u8; COMMITMENT_BYTES],
        ciphertext: Vec<u8>,
    ) -> Result<Self, KeyStoreError> {
        check_length(HEADER_BYTES.saturating_add(ciphertext.len()))?;
        Ok(Self { key_version, salt, commitment, ciphertext })
    }

    /// Reads a record from its bytes. Trusts nothing in it: the key and the tag decide later.
    ///
    /// # Errors
    /// [`KeyStoreError::Record`].
    pub fn parse(bytes: &[u8]) -> Result<Self, KeyStoreError> {
        check_length(bytes.len())?;
        let short = RecordError::Short { bytes: bytes.len() };
        let (magic, rest) = bytes.split_first_chunk::<4>().ok_or(short.clone())?;
        if *magic != MAGIC {
            return Err(RecordError::Magic.into());
        }
        let (&[format, algorithm], rest) = rest.split_first_chunk::<2>().ok_or(short.clone())?;
        if format != FORMAT {
            return Err(RecordError::Format(format).into());
        }
        if algorithm != ALGORITHM {
            return Err(RecordError::Algorithm(algorithm).into());
        }
        let (key_version, rest) = rest.split_first_chunk::<4>().ok_or(short.clone())?;
        let (salt, rest) = rest.split_first_chunk::<SALT_BYTES>().ok_or(short.clone())?;
        let (commitment, ciphertext) = rest.split_first_chunk::<COMMITMENT_BYTES>().ok_or(short)?;
        Ok(Self {
            key_version: KeyVersion::new(u32::from_be_bytes(*key_version)),
            salt: *salt,
            commitment: *commitment,
            ciphertext: ciphertext.to_vec(),
        })
    }

    /// The record as bytes.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(HEADER_BYTES + self.ciphertext.len());
        bytes.extend(MAGIC);
        bytes.extend([FORMAT, ALGORITHM]);
        bytes.extend(self.key_version.get().to_be_bytes());
        bytes.extend(self.salt);
        bytes.extend(self.commitment);
        bytes.extend_from_slice(&self.ciphertext);
        bytes
    }

    /// The key it is sealed under.
    #[must_use]
    pub fn key_version(&self) -> KeyVersion {
        self.key_version
    }

    /// Its salt.
    #[must_use]
    pub fn salt(&self) -> &[u8; SALT_BYTES] {
        &self.salt
    }

    /// Its commitment to the key.
    #[must_use]
    pub fn commitment(&self) -> &[u8; COMMITMENT_BYTES] {
        &self.commitment
    }

    /// Ciphertext and tag.
    #[must_use]
    pub fn ciphertext(&self) -> &[u8] {
        &self.ciphertext
    }
}

fn check_length(bytes: usize) -> Result<(), RecordError> {
    if bytes < HEADER_BYTES + TAG_BYTES {
        return Err(RecordError::Short { bytes });
    }
    if bytes > HEADER_BYTES + SECRET_BYTES_MAX + TAG_BYTES {
        return Err(RecordError::Long { bytes });
    }
    Ok(())
}
