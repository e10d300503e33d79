//! What can go wrong with a vault.

use std::path::PathBuf;

use hpc_keystore::{KeyStoreError, RecordError};

use crate::Argon2Params;

/// Every failure of this package outside the port's own methods. No message holds a secret.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum VaultError {
    /// The record or the secret is at fault; see the cases there.
    #[error(transparent)]
    Store(#[from] KeyStoreError),
    /// The passphrase is empty or longer than [`PASSPHRASE_BYTES_MAX`](crate::PASSPHRASE_BYTES_MAX).
    #[error("a passphrase has 1 to {} bytes", crate::PASSPHRASE_BYTES_MAX)]
    Passphrase,
    /// The salt is empty.
    #[error("the salt is empty; use at least 16 random bytes")]
    Salt,
    /// The Argon2id parameters are below [`Argon2Params::FLOOR`] or above [`Argon2Params::CEILING`].
    #[error("Argon2id with {0} is below the floor or above the ceiling; use {recommended}", recommended = Argon2Params::RECOMMENDED)]
    Params(Argon2Params),
    /// The operating system gave no randomness or not the memory Argon2id needs.
    #[error("the operating system gave no {0}")]
    System(&'static str),
    /// There is a vault in this directory already.
    #[error("`{}` holds a vault already", .0.display())]
    Exists(PathBuf),
    /// There is no vault in this directory.
    #[error("`{}` holds no vault; create one first", .0.display())]
    Missing(PathBuf),
    /// Another process has this vault open.
    #[error("`{}` is in use by another process", .0.display())]
    InUse(PathBuf),
    /// A file of the vault is not what was written there.
    #[error("`{}` cannot be read as part of a vault: {reason}", path.display())]
    Malformed {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// The vault was made for a passphrase and a key was given, or the other way round.
    #[error("the vault is unlocked by a {expected}, not by a {given}")]
    WrongUnlock {
        /// What it was made for.
        expected: &'static str,
        /// What was given.
        given: &'static str,
    },
    /// A file or directory may be used by others, or is a link or no plain file.
    #[error("`{}` must be plain and closed to everyone but its owner (mode 0600, or 0700 for a directory)", .0.display())]
    Mode(PathBuf),
    /// A file cannot be read or written.
    #[error("`{}`: {kind}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What the system said.
        kind: std::io::ErrorKind,
    },
}

impl From<RecordError> for VaultError {
    fn from(error: RecordError) -> Self {
        Self::Store(error.into())
    }
}

impl From<VaultError> for KeyStoreError {
    fn from(error: VaultError) -> Self {
        match error {
            VaultError::Store(error) => error,
            error => Self::Unavailable { reason: error.to_string() },
        }
    }
}
