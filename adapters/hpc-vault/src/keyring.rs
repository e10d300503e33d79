//! The keys of a store, sealed under the master key in one file.

use std::collections::BTreeMap;
use std::path::Path;

use hpc_keystore::{Binding, KEY_BYTES, KeyStoreError, KeyVersion, SealedRecord};
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use crate::aead::{Backend, open_record, random, seal_record};
use crate::files::{read_file, replace_file};
use crate::master::Argon2Params;
use crate::{MasterKey, VaultError};

/// Most keys one store holds: one for each rotation ever made.
pub const KEYS_MAX: usize = 1024;

pub(crate) const KEYRING_FILE: &str = "keyring.json";
const FILE_BYTES_MAX: usize = 256 * 1024;
const FORMAT: u32 = 1;

/// What is needed, besides a secret, to come by the master key. Not secret; bound to the keyring it stands beside.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case", deny_unknown_fields)]
pub(crate) enum UnlockHeader {
    /// A passphrase, through Argon2id.
    Argon2id { params: Argon2Params, salt: String },
    /// A key given as it is.
    Key,
}

impl UnlockHeader {
    /// Unambiguous bytes of every field, for the additional data of the sealed keyring.
    fn context(&self) -> Vec<u8> {
        let mut context = b"keyring\0".to_vec();
        match self {
            Self::Key => context.push(0),
            Self::Argon2id { params, salt } => {
                context.push(1);
                for number in [params.memory_kib, params.passes, params.lanes] {
                    context.extend(number.to_be_bytes());
                }
                context.extend_from_slice(salt.as_bytes());
            }
        }
        context
    }
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct KeyringFile {
    format: u32,
    pub(crate) unlock: UnlockHeader,
    sealed: String,
}

impl KeyringFile {
    pub(crate) fn read(dir: &Path) -> Result<Self, VaultError> {
        let path = dir.join(KEYRING_FILE);
        let malformed = |reason| VaultError::Malformed { path: path.clone(), reason };
        let file: Self = serde_json::from_slice(&read_file(&path, FILE_BYTES_MAX)?)
            .map_err(|_| malformed("not the JSON expected"))?;
        if file.format != FORMAT {
            return Err(malformed("of another format"));
        }
        Ok(file)
    }

    pub(crate) fn open(
        &self,
        dir: &Path,
        backend: Backend,
        master: &MasterKey,
    ) -> Result<Keyring, VaultError> {
        let malformed = |reason| VaultError::Malformed { path: dir.join(KEYRING_FILE), reason };
        let bytes = hex::decode(&self.sealed).map_err(|_| malformed("not hexadecimal"))?;
        let record = SealedRecord::parse(&bytes)?;
        let context = self.unlock.context();
        let opened = open_record(backend, master.bytes(), Binding::Context(&context), &record)?;
        Keyring::decode(opened.expose()).ok_or(malformed("the keys inside are not as they were written"))
    }
}

/// The keys by version. Wiped on drop; no `Debug`.
#[derive(Clone)]
pub(crate) struct Keyring {
    keys: BTreeMap<KeyVersion, Zeroizing<[u8; KEY_BYTES]>>,
}

impl Keyring {
    /// One key, version 1.
    pub(crate) fn generate() -> Result<Self, VaultError> {
        let mut ring = Self { keys: BTreeMap::new() };
        ring.add()?;
        Ok(ring)
    }

    /// Draws a key and makes it current.
    pub(crate) fn add(&mut self) -> Result<KeyVersion, VaultError> {
        if self.keys.len() == KEYS_MAX {
            return Err(KeyStoreError::Full { what: "keys", max: KEYS_MAX }.into());
        }
        let version = KeyVersion::new(self.current().get().saturating_add(1));
        self.keys.insert(version, Zeroizing::new(random()?));
        Ok(version)
    }

    /// The newest version; 0, which is no key of a ring, only while it is empty.
    pub(crate) fn current(&self) -> KeyVersion {
        self.keys.last_key_value().map_or(KeyVersion::default(), |(version, _)| *version)
    }

    pub(crate) fn key(&self, version: KeyVersion) -> Result<&[u8; KEY_BYTES], KeyStoreError> {
        self.keys.get(&version).map(|key| &**key).ok_or(KeyStoreError::UnknownKey(version))
    }

    /// Seals and writes the ring: the old file or the new one is there after a crash.
    pub(crate) fn write(
        &self,
        dir: &Path,
        backend: Backend,
        master: &MasterKey,
        unlock: &UnlockHeader,
    ) -> Result<(), VaultError> {
        let context = unlock.context();
        let sealed = seal_record(
            backend,
            master.bytes(),
            KeyVersion::default(),
            Binding::Context(&context),
            &self.encode(),
        )?;
        let file =
            KeyringFile { format: FORMAT, unlock: unlock.clone(), sealed: hex::encode(sealed.to_bytes()) };
        let mut text = serde_json::to_vec_pretty(&file).map_err(|_| VaultError::System("JSON"))?;
        text.push(b'\n');
        replace_file(dir, KEYRING_FILE, &text)
    }

    /// Version (4 bytes, big endian) and key (32 bytes), one after the other.
    fn encode(&self) -> Zeroizing<Vec<u8>> {
        let mut bytes = Zeroizing::new(Vec::with_capacity(self.keys.len() * (4 + KEY_BYTES)));
        for (version, key) in &self.keys {
            bytes.extend_from_slice(&version.get().to_be_bytes());
            bytes.extend_from_slice(&**key);
        }
        bytes
    }

    fn decode(bytes: &[u8]) -> Option<Self> {
        let (entries, rest) = bytes.as_chunks::<{ 4 + KEY_BYTES }>();
        if entries.is_empty() || !rest.is_empty() || entries.len() > KEYS_MAX {
            return None;
        }
        let mut keys = BTreeMap::new();
        for entry in entries {
            let (version, key) = entry.split_first_chunk::<4>()?;
            let mut owned = Zeroizing::new([0; KEY_BYTES]);
            owned.copy_from_slice(key);
            keys.insert(KeyVersion::new(u32::from_be_bytes(*version)), owned);
        }
        (keys.len() == entries.len() && !keys.contains_key(&KeyVersion::default())).then_some(Self { keys })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ring_reads_back_and_other_bytes_do_not() {
        let mut ring = Keyring::generate().ok().unwrap();
        assert_eq!(ring.add().unwrap(), KeyVersion::new(2));
        let bytes = ring.encode();
        let again = Keyring::decode(&bytes).unwrap();
        assert_eq!(again.current(), KeyVersion::new(2));
        for version in [1, 2].map(KeyVersion::new) {
            assert_eq!(again.key(version).unwrap(), ring.key(version).unwrap());
        }
        assert_eq!(again.key(KeyVersion::new(3)), Err(KeyStoreError::UnknownKey(KeyVersion::new(3))));
        assert!(Keyring::decode(b"").is_none());
        assert!(Keyring::decode(&bytes[..71]).is_none());
        assert!(Keyring::decode(&[&bytes[..36], &bytes[..36]].concat()).is_none(), "a version twice");
        assert!(Keyring::decode(&[0; 36]).is_none(), "version 0");
    }

    #[test]
    fn a_ring_has_a_limit() {
        let mut ring = Keyring::generate().ok().unwrap();
        for _ in 1..KEYS_MAX {
            ring.add().unwrap();
        }
        assert_eq!(ring.add(), Err(KeyStoreError::Full { what: "keys", max: KEYS_MAX }.into()));
        assert!(Keyring::decode(&ring.encode()).is_some());
    }
}
