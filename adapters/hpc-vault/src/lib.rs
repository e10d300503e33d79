//! Secrets sealed with AES-256-GCM under a passphrase or a key, in memory or in files.
//!
//! Never prints or logs a key or a secret, never talks to a network, and tells a wrong key from changed bytes to nobody.
//!
//! ```
//! use hpc_vault::{MasterKey, VaultEncryption};
//!
//! let master_key = MasterKey::from_passphrase("passphrase", b"salt")?;
//! let vault = VaultEncryption::new(master_key);
//!
//! let encrypted = vault.encrypt(b"aws-secret-key")?;
//! let decrypted = vault.decrypt(&encrypted)?;
//! assert_eq!(decrypted.expose(), b"aws-secret-key");
//! # Ok::<(), hpc_vault::VaultError>(())
//! ```
//!
//! - [`MasterKey`]: from a passphrase (Argon2id), from bytes, or from a key file
//! - [`VaultEncryption`]: seals and opens single records under one key
//! - [`FileKeyStore`]: the [`KeyStore`](hpc_keystore::KeyStore) port on a directory, with versions and key rotation
//!
//! The record format and the key schedule are those of `hpc-keystore`. Features: `aws-lc` (default) and `portable`
//! each make a [`Backend`] appear; both give the same bytes.

mod aead;
mod encryption;
mod error;
mod file_store;
mod files;
mod keyring;
mod master;

pub use aead::Backend;
pub use encryption::VaultEncryption;
pub use error::VaultError;
pub use file_store::{FileKeyStore, Unlock};
pub use hpc_keystore::{SealedRecord, Secret};
pub use keyring::KEYS_MAX;
pub use master::{Argon2Params, MasterKey, PASSPHRASE_BYTES_MAX};
