//! The master key: from a passphrase, from bytes, or from a file.

use std::fmt;
use std::path::Path;

use argon2::{Algorithm, Argon2, Params, Version};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use zeroize::Zeroizing;

use crate::VaultError;
use crate::aead::random;
use crate::files::{create_whole, read_file};

/// Longest passphrase, in bytes.
pub const PASSPHRASE_BYTES_MAX: usize = 1024;

/// Cost of turning a passphrase into a key with Argon2id.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Argon2Params {
    /// Memory, in KiB.
    pub memory_kib: u32,
    /// Passes over the memory.
    pub passes: u32,
    /// Lanes the memory is split into. They are computed one after the other here.
    pub lanes: u32,
}

impl Argon2Params {
    /// 64 MiB, 3 passes, 4 lanes: the second choice of RFC 9106, for machines that cannot spare 2 GiB.
    pub const RECOMMENDED: Self = Self { memory_kib: 64 * 1024, passes: 3, lanes: 4 };
    /// 19 MiB, 2 passes, 1 lane: the least accepted, from the OWASP password storage cheat sheet.
    /// For tests and for small machines; not for a vault worth attacking.
    pub const FLOOR: Self = Self { memory_kib: 19 * 1024, passes: 2, lanes: 1 };
    /// 2 GiB, 16 passes, 16 lanes: the most accepted, because these numbers are read from a file before anything is verified.
    pub const CEILING: Self = Self { memory_kib: 2 * 1024 * 1024, passes: 16, lanes: 16 };

    pub(crate) fn check(self) -> Result<Self, VaultError> {
        let within = |value, low, high| (low..=high).contains(&value);
        let (low, high) = (Self::FLOOR, Self::CEILING);
        let accepted = within(self.memory_kib, low.memory_kib, high.memory_kib)
            && within(self.passes, low.passes, high.passes)
            && within(self.lanes, low.lanes, high.lanes);
        if accepted { Ok(self) } else { Err(VaultError::Params(self)) }
    }
}

impl fmt::Display for Argon2Params {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} KiB, {} passes, {} lanes", self.memory_kib, self.passes, self.lanes)
    }
}

/// A 256-bit key that everything else is sealed under. Wiped on drop; has no `Debug` and no `Clone`.
pub struct MasterKey(Zeroizing<[u8; 32]>);

impl MasterKey {
    /// Derives a key from a passphrase with Argon2id at [`Argon2Params::RECOMMENDED`]: a fraction of a second, 64 MiB.
    ///
    /// A salt of any length but zero is accepted and expanded by a domain-separated hash.
    /// A short or repeated salt lets one search serve many vaults: use at least 16 random bytes.
    /// Blocks the thread; in async code call it from a blocking task.
    ///
    /// # Errors
    /// [`VaultError::Passphrase`], [`VaultError::Salt`], [`VaultError::System`].
    pub fn from_passphrase(passphrase: &str, salt: &[u8]) -> Result<Self, VaultError> {
        Self::from_passphrase_with(passphrase, salt, Argon2Params::RECOMMENDED)
    }

    /// As [`MasterKey::from_passphrase`], at another cost.
    ///
    /// # Errors
    /// As there, and [`VaultError::Params`].
    pub fn from_passphrase_with(
        passphrase: &str,
        salt: &[u8],
        params: Argon2Params,
    ) -> Result<Self, VaultError> {
        if !(1..=PASSPHRASE_BYTES_MAX).contains(&passphrase.len()) {
            return Err(VaultError::Passphrase);
        }
        if salt.is_empty() {
            return Err(VaultError::Salt);
        }
        let params = params.check()?;
        let argon2_params = Params::new(params.memory_kib, params.passes, params.lanes, Some(32))
            .map_err(|_| VaultError::Params(params))?;
        let salt = Sha256::new()
            .chain_update(b"hpc-vault/v1/passphrase-salt\0")
            .chain_update((salt.len() as u64).to_be_bytes())
            .chain_update(salt)
            .finalize();
        let mut key = Zeroizing::new([0; 32]);
        Argon2::new(Algorithm::Argon2id, Version::V0x13, argon2_params)
            .hash_password_into(passphrase.as_bytes(), &salt, key.as_mut_slice())
            .map_err(|_| VaultError::System("memory for Argon2id"))?;
        Ok(Self(key))
    }

    /// Takes over 32 bytes that are secret and uniformly random.
    #[must_use]
    pub fn from_bytes(bytes: Zeroizing<[u8; 32]>) -> Self {
        Self(bytes)
    }

    /// Draws a key from the operating system.
    ///
    /// # Errors
    /// [`VaultError::System`].
    pub fn generate() -> Result<Self, VaultError> {
        Ok(Self(Zeroizing::new(random()?)))
    }

    /// Reads a key file: 64 hexadecimal digits and a line end, mode 0600 or stricter, no link.
    ///
    /// # Errors
    /// [`VaultError::File`], [`VaultError::Mode`], [`VaultError::Malformed`].
    pub fn load(path: &Path) -> Result<Self, VaultError> {
        let text = read_file(path, 256)?;
        let digits = text.strip_suffix(b"\n").unwrap_or(&text);
        let mut key = Zeroizing::new([0; 32]);
        hex::decode_to_slice(digits, key.as_mut_slice()).map_err(|_| VaultError::Malformed {
            path: path.to_owned(),
            reason: "not 64 hexadecimal digits",
        })?;
        Ok(Self(key))
    }

    /// Reads a key file, or draws a key and writes the file with mode 0600 if there is none.
    /// A crash on the way leaves no key file or a whole one.
    ///
    /// # Errors
    /// As [`MasterKey::load`] and [`MasterKey::generate`].
    pub fn load_or_create(path: &Path) -> Result<Self, VaultError> {
        match Self::load(path) {
            Err(VaultError::File { kind: std::io::ErrorKind::NotFound, .. }) => {}
            loaded => return loaded,
        }
        let key = Self::generate()?;
        let mut text = Zeroizing::new([0; 65]);
        let (digits, end) = text.split_at_mut(64);
        hex::encode_to_slice(*key.0, digits).map_err(|_| VaultError::System("buffer"))?;
        end.fill(b'\n');
        match create_whole(path, u64::from_ne_bytes(random()?), text.as_slice()) {
            // Someone else was faster: theirs is the key.
            Err(VaultError::File { kind: std::io::ErrorKind::AlreadyExists, .. }) => Self::load(path),
            written => written.map(|()| key),
        }
    }

    pub(crate) fn bytes(&self) -> &[u8; 32] {
        &self.0
    }
}
