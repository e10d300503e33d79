//! The `KeyStore` port on a directory.

use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions};
use std::io::ErrorKind;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use hpc_keystore::{
    Binding, HEADER_BYTES, KeyStore, KeyStoreError, KeyVersion, LIST_MAX, OpenedSecret, PATHS_MAX,
    REENCRYPT_MAX, ReencryptProgress, SECRET_BYTES_MAX, SealedRecord, SecretEntry, SecretPath, SecretVersion,
    TAG_BYTES, VERSIONS_KEPT,
};
use rustix::fs::{FlockOperation, flock};
use zeroize::Zeroizing;

use crate::aead::{Backend, open_record, random, seal_record};
use crate::files::{TEMPORARY, at, private_dir, read_file, remove, replace_file, sync_dir};
use crate::keyring::{KEYRING_FILE, Keyring, KeyringFile, UnlockHeader};
use crate::master::Argon2Params;
use crate::{MasterKey, VaultError};

const LOCK_FILE: &str = "lock";
const SECRETS_DIR: &str = "secrets";
const DELETED_FILE: &str = "deleted";
const RECORD_SUFFIX: &str = ".sealed";
const RECORD_BYTES_MAX: usize = HEADER_BYTES + SECRET_BYTES_MAX + TAG_BYTES;

/// What opens a store.
pub enum Unlock {
    /// A passphrase. A new store gets a random 32-byte salt and [`Argon2Params::RECOMMENDED`].
    Passphrase(Zeroizing<String>),
    /// A passphrase at a cost of the caller's for a new store; an existing one keeps its own.
    PassphraseAt(Zeroizing<String>, Argon2Params),
    /// A key, for example from [`MasterKey::load_or_create`].
    Key(MasterKey),
}

impl Unlock {
    fn kind(&self) -> &'static str {
        match self {
            Self::Passphrase(_) | Self::PassphraseAt(..) => "passphrase",
            Self::Key(_) => "key",
        }
    }

    /// For a new keyring: a master key and the header to find it again.
    fn fresh(self) -> Result<(MasterKey, UnlockHeader), VaultError> {
        let (passphrase, params) = match self {
            Self::Key(key) => return Ok((key, UnlockHeader::Key)),
            Self::Passphrase(passphrase) => (passphrase, Argon2Params::RECOMMENDED),
            Self::PassphraseAt(passphrase, params) => (passphrase, params),
        };
        let salt: [u8; 32] = random()?;
        let key = MasterKey::from_passphrase_with(&passphrase, &salt, params)?;
        Ok((key, UnlockHeader::Argon2id { params, salt: hex::encode(salt) }))
    }

    /// For an existing keyring. The cost is checked before it is paid.
    fn recover(self, header: &UnlockHeader) -> Result<MasterKey, VaultError> {
        let given = self.kind();
        match (self, header) {
            (Self::Key(key), UnlockHeader::Key) => Ok(key),
            (
                Self::Passphrase(passphrase) | Self::PassphraseAt(passphrase, _),
                UnlockHeader::Argon2id { params, salt },
            ) => {
                let salt = hex::decode(salt).map_err(|_| VaultError::Salt)?;
                MasterKey::from_passphrase_with(&passphrase, &salt, *params)
            }
            (_, UnlockHeader::Key) => Err(VaultError::WrongUnlock { expected: "key", given }),
            (_, UnlockHeader::Argon2id { .. }) => {
                Err(VaultError::WrongUnlock { expected: "passphrase", given })
            }
        }
    }
}

/// Secrets in a directory that belongs to one process at a time.
///
/// | in the directory | holds |
/// | --- | --- |
/// | `keyring.json` | how to unlock, and the keys sealed under the master key |
/// | `secrets/<path with + for />/<version>.sealed` | one sealed record |
/// | `secrets/<path>/deleted` | marks a deleted secret |
/// | `lock` | held while a process has the store open |
///
/// Directories have mode 0700 and files 0600; looser ones and links are refused. Every write is a new file, synced,
/// renamed, and its directory synced, before the call returns: one or two syncs of the disk each.
/// The work is done on tokio's blocking threads, one call at a time. Clones share the store.
#[derive(Clone)]
pub struct FileKeyStore(Arc<Mutex<Inner>>);

struct Inner {
    dir: PathBuf,
    backend: Backend,
    master: MasterKey,
    unlock: UnlockHeader,
    keyring: Keyring,
    index: BTreeMap<SecretPath, Indexed>,
    _lock: Locked,
}

/// What is known of a path without opening anything.
#[derive(Default)]
struct Indexed {
    deleted: bool,
    /// Never empty once a path is in the index. The key version is none for a record whose header cannot be read.
    versions: BTreeMap<SecretVersion, Option<KeyVersion>>,
}

impl FileKeyStore {
    /// Makes a store in `dir`, which is made if it is missing; its parent must exist.
    ///
    /// # Errors
    /// [`VaultError::Exists`]; [`VaultError::Malformed`] when there are secrets and no keyring; [`VaultError::Passphrase`] and
    /// [`VaultError::Params`]; as [`FileKeyStore::open`] for the rest.
    pub async fn create(dir: &Path, unlock: Unlock) -> Result<Self, VaultError> {
        let dir = dir.to_owned();
        blocking(move || Inner::create(dir, unlock)).await
    }

    /// Opens the store in `dir`.
    ///
    /// # Errors
    /// [`VaultError::Missing`], [`VaultError::InUse`], [`VaultError::WrongUnlock`], [`VaultError::Mode`], [`VaultError::Malformed`],
    /// [`VaultError::File`]; [`VaultError::Store`] with [`KeyStoreError::Unreadable`] for another passphrase or key.
    pub async fn open(dir: &Path, unlock: Unlock) -> Result<Self, VaultError> {
        let dir = dir.to_owned();
        blocking(move || Inner::open(dir, unlock)).await
    }

    /// Opens the store in `dir`, or makes one if there is none.
    ///
    /// # Errors
    /// As both.
    pub async fn open_or_create(dir: &Path, unlock: Unlock) -> Result<Self, VaultError> {
        let dir = dir.to_owned();
        blocking(move || {
            if dir.join(KEYRING_FILE).exists() {
                Inner::open(dir, unlock)
            } else {
                Inner::create(dir, unlock)
            }
        })
        .await
    }

    /// Puts the store under another passphrase or key. The secrets need not be rewritten; a crash leaves the old or the new.
    ///
    /// # Errors
    /// [`VaultError::Passphrase`], [`VaultError::Params`], [`VaultError::System`], [`VaultError::File`]; the old one then still opens it.
    pub async fn change_unlock(&self, unlock: Unlock) -> Result<(), VaultError> {
        let shared = Arc::clone(&self.0);
        blocking(move || {
            let (master, header) = unlock.fresh()?;
            let mut inner = lock(&shared);
            inner.keyring.write(&inner.dir, inner.backend, &master, &header)?;
            (inner.master, inner.unlock) = (master, header);
            Ok(())
        })
        .await
    }

    async fn with<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut Inner) -> Result<T, VaultError> + Send + 'static,
    ) -> Result<T, KeyStoreError> {
        let shared = Arc::clone(&self.0);
        Ok(blocking(move || work(&mut lock(&shared))).await?)
    }
}

/// A panic while the lock was held leaves the disk right, and at worst an index that is behind it: go on.
fn lock(inner: &Mutex<Inner>) -> std::sync::MutexGuard<'_, Inner> {
    inner.lock().unwrap_or_else(PoisonError::into_inner)
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, VaultError> + Send + 'static,
) -> Result<T, VaultError> {
    tokio::task::spawn_blocking(work).await.unwrap_or(Err(VaultError::System("thread")))
}

impl Inner {
    fn create(dir: PathBuf, unlock: Unlock) -> Result<FileKeyStore, VaultError> {
        private_dir(&dir)?;
        let lock = take_lock(&dir)?;
        if dir.join(KEYRING_FILE).exists() {
            return Err(VaultError::Exists(dir));
        }
        let secrets = dir.join(SECRETS_DIR);
        private_dir(&secrets)?;
        // New keys beside old secrets would make these unreadable for ever, and take their names for others.
        if fs::read_dir(&secrets).map_err(at(&secrets))?.next().is_some() {
            let reason = "it is gone, and secrets sealed under it are there; restore it from a backup";
            return Err(VaultError::Malformed { path: dir.join(KEYRING_FILE), reason });
        }
        let (master, header) = unlock.fresh()?;
        let keyring = Keyring::generate()?;
        let backend = Backend::default();
        keyring.write(&dir, backend, &master, &header)?;
        let index = BTreeMap::new();
        Ok(Self { dir, backend, master, unlock: header, keyring, index, _lock: lock }.shared())
    }

    fn open(dir: PathBuf, unlock: Unlock) -> Result<FileKeyStore, VaultError> {
        if !dir.join(KEYRING_FILE).exists() {
            return Err(VaultError::Missing(dir));
        }
        private_dir(&dir)?;
        let lock = take_lock(&dir)?;
        private_dir(&dir.join(SECRETS_DIR))?;
        let file = KeyringFile::read(&dir)?;
        let backend = Backend::default();
        let master = unlock.recover(&file.unlock)?;
        let keyring = file.open(&dir, backend, &master)?;
        let index = read_index(&dir.join(SECRETS_DIR))?;
        Ok(Self { dir, backend, master, unlock: file.unlock, keyring, index, _lock: lock }.shared())
    }

    fn shared(self) -> FileKeyStore {
        FileKeyStore(Arc::new(Mutex::new(self)))
    }

    fn dir_of(&self, path: &SecretPath) -> PathBuf {
        self.dir.join(SECRETS_DIR).join(path.as_str().replace('/', "+"))
    }

    fn visible(&self, path: &SecretPath) -> Result<&Indexed, KeyStoreError> {
        self.index
            .get(path)
            .filter(|entry| !entry.deleted)
            .ok_or_else(|| KeyStoreError::NotFound(path.clone()))
    }

    fn seal(&mut self, path: &SecretPath, plaintext: &[u8]) -> Result<SecretVersion, VaultError> {
        if !self.index.contains_key(path) && self.index.len() >= PATHS_MAX {
            return Err(KeyStoreError::Full { what: "paths", max: PATHS_MAX }.into());
        }
        let newest = self.index.get(path).and_then(|entry| entry.versions.last_key_value());
        let version = newest.map_or(Some(SecretVersion::FIRST), |(newest, _)| newest.next());
        let version = version.ok_or(KeyStoreError::Full { what: "versions", max: usize::MAX })?;
        let record = self.seal_at(path, version, plaintext)?;
        let dir = self.dir_of(path);
        private_dir(&dir)?;
        replace_file(&dir, &record_name(version), &record.to_bytes())?;
        let entry = self.index.entry(path.clone()).or_default();
        entry.versions.insert(version, Some(record.key_version()));
        if entry.deleted {
            remove(&dir.join(DELETED_FILE))?;
            sync_dir(&dir)?;
            entry.deleted = false;
        }
        while entry.versions.len() > VERSIONS_KEPT
            && let Some((oldest, _)) = entry.versions.pop_first()
        {
            remove(&dir.join(record_name(oldest)))?;
        }
        Ok(version)
    }

    fn seal_at(
        &self,
        path: &SecretPath,
        version: SecretVersion,
        plaintext: &[u8],
    ) -> Result<SealedRecord, VaultError> {
        let current = self.keyring.current();
        let binding = Binding::Secret(path, version);
        seal_record(self.backend, self.keyring.key(current)?, current, binding, plaintext)
    }

    fn open_version(&self, path: &SecretPath, version: SecretVersion) -> Result<OpenedSecret, VaultError> {
        let file = self.dir_of(path).join(record_name(version));
        let record = SealedRecord::parse(&read_file(&file, RECORD_BYTES_MAX)?)?;
        let key = self.keyring.key(record.key_version())?;
        let secret = open_record(self.backend, key, Binding::Secret(path, version), &record)?;
        Ok(OpenedSecret { version, secret })
    }

    fn open_secret(
        &self,
        path: &SecretPath,
        version: Option<SecretVersion>,
    ) -> Result<OpenedSecret, VaultError> {
        let versions = &self.visible(path)?.versions;
        let newest = versions.last_key_value().map(|(newest, _)| *newest);
        match version.or(newest) {
            Some(version) if versions.contains_key(&version) => self.open_version(path, version),
            Some(version) => Err(KeyStoreError::VersionNotFound { path: path.clone(), version }.into()),
            None => Err(KeyStoreError::NotFound(path.clone()).into()),
        }
    }

    fn list(
        &self,
        prefix: Option<&SecretPath>,
        after: Option<&SecretPath>,
        limit: usize,
    ) -> Vec<SecretEntry> {
        let shown = |path: &SecretPath, entry: &Indexed| {
            !entry.deleted
                && prefix.is_none_or(|prefix| path.is_under(prefix))
                && after.is_none_or(|after| path > after)
        };
        let entry = |(path, entry): (&SecretPath, &Indexed)| {
            let (version, key_version) = entry.versions.last_key_value()?;
            Some(SecretEntry { path: path.clone(), version: *version, key_version: *key_version })
        };
        let found = self.index.iter().filter(|(path, entry)| shown(path, entry));
        found.filter_map(entry).take(limit.min(LIST_MAX)).collect()
    }

    fn delete(&mut self, path: &SecretPath) -> Result<(), VaultError> {
        let dir = self.dir_of(path);
        if let Some(entry) = self.index.get_mut(path).filter(|entry| !entry.deleted) {
            replace_file(&dir, DELETED_FILE, b"")?;
            entry.deleted = true;
        }
        Ok(())
    }

    fn restore(&mut self, path: &SecretPath) -> Result<(), VaultError> {
        let dir = self.dir_of(path);
        let entry = self.index.get_mut(path).ok_or_else(|| KeyStoreError::NotFound(path.clone()))?;
        if entry.deleted {
            remove(&dir.join(DELETED_FILE))?;
            sync_dir(&dir)?;
            entry.deleted = false;
        }
        Ok(())
    }

    fn rotate(&mut self) -> Result<KeyVersion, VaultError> {
        let mut next = self.keyring.clone();
        let version = next.add()?;
        next.write(&self.dir, self.backend, &self.master, &self.unlock)?;
        self.keyring = next;
        Ok(version)
    }

    /// Rewrites records in place, each by a rename. A record that cannot be opened is passed over and reported at the end.
    fn reencrypt(&mut self, limit: usize) -> Result<ReencryptProgress, VaultError> {
        let current = self.keyring.current();
        let stale: Vec<(SecretPath, SecretVersion)> = self
            .index
            .iter()
            .flat_map(|(path, entry)| entry.versions.iter().map(move |(version, key)| (path, *version, *key)))
            .filter(|(_, _, key)| *key != Some(current))
            .map(|(path, version, _)| (path.clone(), version))
            .collect();
        let (mut done, mut failure) = (0, None);
        for (path, version) in &stale {
            if done == limit.min(REENCRYPT_MAX) {
                break;
            }
            match self.reencrypt_one(path, *version) {
                Ok(()) => done += 1,
                Err(error) => failure = failure.or(Some(error)),
            }
        }
        match failure {
            Some(error) => Err(error),
            None => Ok(ReencryptProgress { done, remaining: stale.len() - done }),
        }
    }

    fn reencrypt_one(&mut self, path: &SecretPath, version: SecretVersion) -> Result<(), VaultError> {
        let opened = self.open_version(path, version)?;
        let record = self.seal_at(path, version, opened.secret.expose())?;
        replace_file(&self.dir_of(path), &record_name(version), &record.to_bytes())?;
        if let Some(entry) = self.index.get_mut(path) {
            entry.versions.insert(version, Some(record.key_version()));
        }
        Ok(())
    }
}

/// A file whose lock is held until this is dropped: let go of by name, not only by closing, because a child process
/// that is just being started shares every open file for a moment.
struct Locked(File);

impl Drop for Locked {
    fn drop(&mut self) {
        // What cannot be unlocked is unlocked by being closed.
        drop(self.0.unlock());
    }
}

fn take_lock(dir: &Path) -> Result<Locked, VaultError> {
    let path = dir.join(LOCK_FILE);
    let file = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .open(&path)
        .map_err(at(&path))?;
    match flock(&file, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => Ok(Locked(file)),
        Err(rustix::io::Errno::WOULDBLOCK) => Err(VaultError::InUse(dir.to_owned())),
        Err(error) => Err(at(&path)(error.into())),
    }
}

/// Twenty digits, so that names sort as numbers do.
fn record_name(version: SecretVersion) -> String {
    format!("{:020}{RECORD_SUFFIX}", version.get())
}

/// Reads which versions there are, and under which keys. Leftovers of a crash are removed; strange names are left alone.
fn read_index(secrets: &Path) -> Result<BTreeMap<SecretPath, Indexed>, VaultError> {
    let mut index = BTreeMap::new();
    for name in names(secrets)? {
        let Ok(path) = SecretPath::parse(&name.replace('+', "/")) else { continue };
        if index.len() >= PATHS_MAX {
            return Err(KeyStoreError::Full { what: "paths", max: PATHS_MAX }.into());
        }
        let dir = secrets.join(&name);
        private_dir(&dir)?;
        let mut entry = Indexed::default();
        for name in names(&dir)? {
            if name.ends_with(TEMPORARY) {
                remove(&dir.join(name))?;
            } else if name == DELETED_FILE {
                entry.deleted = true;
            } else if let Some(version) = version_of(&name) {
                let record = read_file(&dir.join(&name), RECORD_BYTES_MAX)?;
                let key_version = SealedRecord::parse(&record).ok().map(|record| record.key_version());
                entry.versions.insert(version, key_version);
            }
        }
        // A crash before the first record was renamed leaves a directory without versions: as if it were not there.
        if !entry.versions.is_empty() {
            index.insert(path, entry);
        }
    }
    Ok(index)
}

fn version_of(name: &str) -> Option<SecretVersion> {
    let digits = name.strip_suffix(RECORD_SUFFIX)?;
    let version = SecretVersion::new(digits.parse().ok()?)?;
    (record_name(version) == name).then_some(version)
}

fn names(dir: &Path) -> Result<Vec<String>, VaultError> {
    let mut names = Vec::new();
    for entry in fs::read_dir(dir).map_err(at(dir))? {
        match entry.map_err(at(dir))?.file_name().into_string() {
            Ok(name) => names.push(name),
            Err(_) => return Err(at(dir)(ErrorKind::InvalidData.into())),
        }
    }
    Ok(names)
}

#[async_trait]
impl KeyStore for FileKeyStore {
    async fn seal(&self, path: &SecretPath, plaintext: &[u8]) -> Result<SecretVersion, KeyStoreError> {
        if plaintext.len() > SECRET_BYTES_MAX {
            return Err(KeyStoreError::TooLarge { bytes: plaintext.len() });
        }
        let (path, plaintext) = (path.clone(), Zeroizing::new(plaintext.to_vec()));
        self.with(move |inner| inner.seal(&path, &plaintext)).await
    }

    async fn open(
        &self,
        path: &SecretPath,
        version: Option<SecretVersion>,
    ) -> Result<OpenedSecret, KeyStoreError> {
        let path = path.clone();
        self.with(move |inner| inner.open_secret(&path, version)).await
    }

    async fn list(
        &self,
        prefix: Option<&SecretPath>,
        after: Option<&SecretPath>,
        limit: usize,
    ) -> Result<Vec<SecretEntry>, KeyStoreError> {
        let (prefix, after) = (prefix.cloned(), after.cloned());
        self.with(move |inner| Ok(inner.list(prefix.as_ref(), after.as_ref(), limit))).await
    }

    async fn delete(&self, path: &SecretPath) -> Result<(), KeyStoreError> {
        let path = path.clone();
        self.with(move |inner| inner.delete(&path)).await
    }

    async fn restore(&self, path: &SecretPath) -> Result<(), KeyStoreError> {
        let path = path.clone();
        self.with(move |inner| inner.restore(&path)).await
    }

    async fn rotate(&self) -> Result<KeyVersion, KeyStoreError> {
        self.with(Inner::rotate).await
    }

    async fn reencrypt(&self, limit: usize) -> Result<ReencryptProgress, KeyStoreError> {
        self.with(move |inner| inner.reencrypt(limit)).await
    }
}
