//! In-memory fake of the `keystore` port.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use hpc_keystore::{
    KeyStore, KeyStoreError, KeyVersion, LIST_MAX, OpenedSecret, PATHS_MAX, REENCRYPT_MAX, ReencryptProgress,
    SECRET_BYTES_MAX, Secret, SecretEntry, SecretPath, SecretVersion, VERSIONS_KEPT,
};
use zeroize::Zeroizing;

/// A [`KeyStore`] that keeps secrets in memory, in the clear, and wipes them on drop. Clones share one state.
#[derive(Clone)]
pub struct MemoryKeyStore(Arc<Mutex<State>>);

struct State {
    key: KeyVersion,
    paths: BTreeMap<SecretPath, Kept>,
    failure: Option<KeyStoreError>,
}

#[derive(Default)]
struct Kept {
    deleted: bool,
    versions: BTreeMap<SecretVersion, (KeyVersion, Zeroizing<Vec<u8>>)>,
}

impl Default for MemoryKeyStore {
    fn default() -> Self {
        Self::new()
    }
}

impl MemoryKeyStore {
    /// An empty store.
    #[must_use]
    pub fn new() -> Self {
        Self(Arc::new(Mutex::new(State { key: KeyVersion::new(1), paths: BTreeMap::new(), failure: None })))
    }

    /// Makes every call fail with this error until [`MemoryKeyStore::recover`], and change nothing.
    pub fn fail(&self, error: KeyStoreError) {
        self.state().failure = Some(error);
    }

    /// Ends [`MemoryKeyStore::fail`].
    pub fn recover(&self) {
        self.state().failure = None;
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn working(&self) -> Result<MutexGuard<'_, State>, KeyStoreError> {
        let state = self.state();
        match &state.failure {
            Some(error) => Err(error.clone()),
            None => Ok(state),
        }
    }
}

#[async_trait]
impl KeyStore for MemoryKeyStore {
    async fn seal(&self, path: &SecretPath, plaintext: &[u8]) -> Result<SecretVersion, KeyStoreError> {
        let mut state = self.working()?;
        if plaintext.len() > SECRET_BYTES_MAX {
            return Err(KeyStoreError::TooLarge { bytes: plaintext.len() });
        }
        if !state.paths.contains_key(path) && state.paths.len() >= PATHS_MAX {
            return Err(KeyStoreError::Full { what: "paths", max: PATHS_MAX });
        }
        let key = state.key;
        let kept = state.paths.entry(path.clone()).or_default();
        let version = match kept.versions.last_key_value() {
            None => SecretVersion::FIRST,
            Some((newest, _)) => {
                newest.next().ok_or(KeyStoreError::Full { what: "versions", max: usize::MAX })?
            }
        };
        kept.versions.insert(version, (key, Zeroizing::new(plaintext.to_vec())));
        kept.deleted = false;
        while kept.versions.len() > VERSIONS_KEPT {
            kept.versions.pop_first();
        }
        Ok(version)
    }

    async fn open(
        &self,
        path: &SecretPath,
        version: Option<SecretVersion>,
    ) -> Result<OpenedSecret, KeyStoreError> {
        let state = self.working()?;
        let not_found = || KeyStoreError::NotFound(path.clone());
        let kept = state.paths.get(path).filter(|kept| !kept.deleted).ok_or_else(not_found)?;
        let (newest, _) = kept.versions.last_key_value().ok_or_else(not_found)?;
        let version = version.unwrap_or(*newest);
        match kept.versions.get(&version) {
            Some((_, bytes)) => Ok(OpenedSecret { version, secret: Secret::new(bytes.clone()) }),
            None => Err(KeyStoreError::VersionNotFound { path: path.clone(), version }),
        }
    }

    async fn list(
        &self,
        prefix: Option<&SecretPath>,
        after: Option<&SecretPath>,
        limit: usize,
    ) -> Result<Vec<SecretEntry>, KeyStoreError> {
        let state = self.working()?;
        let entries = state.paths.iter().filter(|(path, kept)| {
            !kept.deleted
                && prefix.is_none_or(|prefix| path.is_under(prefix))
                && after.is_none_or(|after| *path > after)
        });
        let entry = |(path, kept): (&SecretPath, &Kept)| {
            let (version, (key, _)) = kept.versions.last_key_value()?;
            Some(SecretEntry { path: path.clone(), version: *version, key_version: Some(*key) })
        };
        Ok(entries.filter_map(entry).take(limit.min(LIST_MAX)).collect())
    }

    async fn delete(&self, path: &SecretPath) -> Result<(), KeyStoreError> {
        if let Some(kept) = self.working()?.paths.get_mut(path) {
            kept.deleted = true;
        }
        Ok(())
    }

    async fn restore(&self, path: &SecretPath) -> Result<(), KeyStoreError> {
        let mut state = self.working()?;
        let kept = state.paths.get_mut(path).ok_or_else(|| KeyStoreError::NotFound(path.clone()))?;
        kept.deleted = false;
        Ok(())
    }

    async fn rotate(&self) -> Result<KeyVersion, KeyStoreError> {
        let mut state = self.working()?;
        state.key = KeyVersion::new(state.key.get().saturating_add(1));
        Ok(state.key)
    }

    async fn reencrypt(&self, limit: usize) -> Result<ReencryptProgress, KeyStoreError> {
        let mut state = self.working()?;
        let key = state.key;
        let mut progress = ReencryptProgress { done: 0, remaining: 0 };
        for (sealed_under, _) in state.paths.values_mut().flat_map(|kept| kept.versions.values_mut()) {
            if *sealed_under == key {
                continue;
            }
            if progress.done < limit.min(REENCRYPT_MAX) {
                *sealed_under = key;
                progress.done += 1;
            } else {
                progress.remaining += 1;
            }
        }
        Ok(progress)
    }
}

#[cfg(test)]
mod tests {
    use hpc_conformance::keystore::Subject;

    use super::*;

    hpc_conformance::key_store!(async {
        Subject { store: Arc::new(MemoryKeyStore::new()), keep: Box::new(()) }
    });

    #[tokio::test]
    async fn it_fails_when_told_to() {
        let store = MemoryKeyStore::new();
        let (path, down) =
            (SecretPath::parse("a").unwrap(), KeyStoreError::Unavailable { reason: "told to".into() });
        store.fail(down.clone());
        assert_eq!(store.seal(&path, b"x").await, Err(down));
        store.recover();
        assert_eq!(store.open(&path, None).await.map(drop), Err(KeyStoreError::NotFound(path)));
    }
}
