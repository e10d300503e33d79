//! What can go wrong with a secret.

use crate::{KeyVersion, SECRET_BYTES_MAX, SecretPath, SecretVersion};

/// Why bytes are not a sealed record this version can read. Says nothing about the secret inside.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RecordError {
    /// The record is shorter than its header and tag.
    #[error("the sealed record is cut short: {bytes} bytes")]
    Short {
        /// Its length in bytes.
        bytes: usize,
    },
    /// The record is longer than any that is written.
    #[error("the sealed record is too long: {bytes} bytes")]
    Long {
        /// Its length in bytes.
        bytes: usize,
    },
    /// The first four bytes are not [`MAGIC`](crate::MAGIC).
    #[error("not a sealed record")]
    Magic,
    /// The record is of another format.
    #[error("the sealed record has format {0}, which this version cannot read")]
    Format(u8),
    /// The record names another algorithm.
    #[error("the sealed record names algorithm {0}, which is not accepted")]
    Algorithm(u8),
}

/// Every failure of a [`KeyStore`](crate::KeyStore). No message holds a secret or part of one.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum KeyStoreError {
    /// The path is empty, too long, or has a segment that is empty, dotted, or holds other than `a-z A-Z 0-9 . _ -`.
    #[error(
        "a secret's path has 1 to {} bytes: segments of a-z, A-Z, 0-9, `.`, `_`, `-`, joined by `/`",
        crate::SECRET_PATH_BYTES_MAX
    )]
    Path,
    /// The secret is longer than [`SECRET_BYTES_MAX`].
    #[error("a secret of {bytes} bytes is longer than {SECRET_BYTES_MAX} bytes")]
    TooLarge {
        /// Its length in bytes.
        bytes: usize,
    },
    /// There is no such secret, or it was deleted.
    #[error("no secret at `{0}`")]
    NotFound(SecretPath),
    /// The secret exists, but not in this version, or not any more.
    #[error("the secret at `{path}` has no version {version}")]
    VersionNotFound {
        /// The secret.
        path: SecretPath,
        /// The version asked for.
        version: SecretVersion,
    },
    /// The record cannot be opened: wrong key, changed bytes, or a record that belongs elsewhere. Which one is not said.
    #[error("the sealed record cannot be opened with this key at this place")]
    Unreadable,
    /// The record was sealed under a key this store does not hold.
    #[error("the record was sealed under key version {0}, which this store does not hold")]
    UnknownKey(KeyVersion),
    /// The bytes are not a record this version can read.
    #[error(transparent)]
    Record(#[from] RecordError),
    /// The store holds as many of something as it may.
    #[error("the store holds {max} {what} already")]
    Full {
        /// Of what.
        what: &'static str,
        /// The limit.
        max: usize,
    },
    /// The store cannot answer now, or its place of storage failed.
    #[error("the key store is unavailable: {reason}")]
    Unavailable {
        /// What is wrong, for an operator.
        reason: String,
    },
}
