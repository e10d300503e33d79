//! Single records under one key.

use hpc_keystore::{Binding, KeyStoreError, KeyVersion, SealedRecord, Secret};

use crate::aead::{Backend, open_record, seal_record};
use crate::{MasterKey, VaultError};

/// Seals and opens records under a master key. Has no `Debug`.
///
/// Every record has its own key and nonce, derived from a random salt, and commits to its key.
pub struct VaultEncryption {
    master: MasterKey,
    backend: Backend,
}

impl VaultEncryption {
    /// With the default backend.
    #[must_use]
    pub fn new(master: MasterKey) -> Self {
        Self::with_backend(master, Backend::default())
    }

    /// With this backend. What one backend sealed, the other opens.
    #[must_use]
    pub fn with_backend(master: MasterKey, backend: Backend) -> Self {
        Self { master, backend }
    }

    /// Seals a secret of at most 1 MiB.
    ///
    /// # Errors
    /// [`VaultError::Store`] with [`KeyStoreError::TooLarge`]; [`VaultError::System`].
    pub fn encrypt(&self, plaintext: &[u8]) -> Result<SealedRecord, VaultError> {
        self.encrypt_for(b"", plaintext)
    }

    /// Opens what [`VaultEncryption::encrypt`] sealed.
    ///
    /// # Errors
    /// [`VaultError::Store`] with [`KeyStoreError::Unreadable`] for another key, changed bytes or another context, or with
    /// [`KeyStoreError::UnknownKey`] for a record of a key store.
    pub fn decrypt(&self, record: &SealedRecord) -> Result<Secret, VaultError> {
        self.decrypt_for(b"", record)
    }

    /// Seals a secret for a context, such as the name of what it belongs to. It opens for the same context only.
    ///
    /// # Errors
    /// As [`VaultEncryption::encrypt`].
    pub fn encrypt_for(&self, context: &[u8], plaintext: &[u8]) -> Result<SealedRecord, VaultError> {
        let binding = Binding::Context(context);
        seal_record(self.backend, self.master.bytes(), KeyVersion::default(), binding, plaintext)
    }

    /// Opens what [`VaultEncryption::encrypt_for`] sealed for this context.
    ///
    /// # Errors
    /// As [`VaultEncryption::decrypt`].
    pub fn decrypt_for(&self, context: &[u8], record: &SealedRecord) -> Result<Secret, VaultError> {
        if record.key_version() != KeyVersion::default() {
            return Err(KeyStoreError::UnknownKey(record.key_version()).into());
        }
        Ok(open_record(self.backend, self.master.bytes(), Binding::Context(context), record)?)
    }
}
