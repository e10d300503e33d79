//! The port.

use async_trait::async_trait;
use serde::Serialize;

use crate::{KeyStoreError, KeyVersion, Secret, SecretPath, SecretVersion};

/// How many versions of a secret are kept; sealing one more drops the oldest.
pub const VERSIONS_KEPT: usize = 16;
/// Most paths in one store, deleted ones included.
pub const PATHS_MAX: usize = 10_000;
/// Most entries in one answer of [`KeyStore::list`].
pub const LIST_MAX: usize = 1_000;
/// Most records one call of [`KeyStore::reencrypt`] rewrites.
pub const REENCRYPT_MAX: usize = 1_000;

/// A secret that was opened.
pub struct OpenedSecret {
    /// Which version it is.
    pub version: SecretVersion,
    /// The secret.
    pub secret: Secret,
}

/// What [`KeyStore::list`] says of a secret. Nothing of the secret itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct SecretEntry {
    /// Its path.
    pub path: SecretPath,
    /// Its newest version.
    pub version: SecretVersion,
    /// The key that version is sealed under; none when its record cannot be read.
    pub key_version: Option<KeyVersion>,
}

/// How far a re-encryption has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct ReencryptProgress {
    /// Records rewritten by this call.
    pub done: usize,
    /// Records still sealed under an older key.
    pub remaining: usize,
}

/// A place that keeps secrets sealed.
///
/// The sentences below are the contract; the suite in `hpc-conformance` checks each.
///
/// - `seal` stores the secret as a new version of its path, numbered one above the highest that path ever had; the first is 1.
/// - What `seal` answered is durable and visible to every later call.
/// - `seal` refuses a secret above [`SECRET_BYTES_MAX`](crate::SECRET_BYTES_MAX) and stores nothing; an empty one is fine.
/// - Concurrent seals of one path get different versions.
/// - `open` without a version gives the newest, with one exactly that; the last [`VERSIONS_KEPT`] are kept.
/// - `open` of a path that never was, or is deleted, is [`KeyStoreError::NotFound`]; of a version that is not there, [`KeyStoreError::VersionNotFound`].
/// - `list` gives the paths at or below a prefix and after a path, in order, at most as many as asked and [`LIST_MAX`]; deleted ones are left out.
/// - `delete` hides a path with all its versions, and succeeds for what is not there.
/// - `restore` shows a deleted path again as it was; sealing a deleted path shows it too, and its numbering goes on.
/// - `rotate` makes a new key that everything sealed from then on is sealed under, and everything sealed before still opens.
/// - `reencrypt` brings at most as many records as asked under the current key, changing neither secrets nor versions,
///   and says how many remain; called until none remain, it is done.
#[async_trait]
pub trait KeyStore: Send + Sync + 'static {
    /// Stores a new version of a secret.
    ///
    /// # Errors
    /// [`KeyStoreError::TooLarge`], [`KeyStoreError::Full`], [`KeyStoreError::Unavailable`].
    async fn seal(&self, path: &SecretPath, plaintext: &[u8]) -> Result<SecretVersion, KeyStoreError>;

    /// Opens a version of a secret; the newest if none is named.
    ///
    /// # Errors
    /// [`KeyStoreError::NotFound`], [`KeyStoreError::VersionNotFound`], [`KeyStoreError::Unreadable`],
    /// [`KeyStoreError::UnknownKey`], [`KeyStoreError::Record`], [`KeyStoreError::Unavailable`].
    async fn open(
        &self,
        path: &SecretPath,
        version: Option<SecretVersion>,
    ) -> Result<OpenedSecret, KeyStoreError>;

    /// Lists secrets by path. Names leak too: let only those list who may.
    ///
    /// # Errors
    /// [`KeyStoreError::Record`], [`KeyStoreError::Unavailable`].
    async fn list(
        &self,
        prefix: Option<&SecretPath>,
        after: Option<&SecretPath>,
        limit: usize,
    ) -> Result<Vec<SecretEntry>, KeyStoreError>;

    /// Hides a secret. The sealed records stay.
    ///
    /// # Errors
    /// [`KeyStoreError::Unavailable`].
    async fn delete(&self, path: &SecretPath) -> Result<(), KeyStoreError>;

    /// Shows a deleted secret again; a no-op for one that is not deleted.
    ///
    /// # Errors
    /// [`KeyStoreError::NotFound`] for a path that never was, [`KeyStoreError::Unavailable`].
    async fn restore(&self, path: &SecretPath) -> Result<(), KeyStoreError>;

    /// Makes a new key current and answers its version.
    ///
    /// # Errors
    /// [`KeyStoreError::Full`] when the store holds as many keys as it may, [`KeyStoreError::Unavailable`].
    async fn rotate(&self) -> Result<KeyVersion, KeyStoreError>;

    /// Brings up to `limit` records (and [`REENCRYPT_MAX`]) under the current key. Safe to repeat and to interrupt.
    ///
    /// # Errors
    /// As [`KeyStore::open`]; what was rewritten before stays so.
    async fn reencrypt(&self, limit: usize) -> Result<ReencryptProgress, KeyStoreError>;
}
