//! Keeping secrets: the port [`KeyStore`], the words it speaks, and the sealed record with its key schedule.
//!
//! Never encrypts, draws randomness, or touches a file: it says what is derived, bound and written,
//! so that every implementation writes the same records and a third one can read them from this description.
//!
//! ```
//! use hpc_keystore::{KeyVersion, SealedRecord, SecretPath};
//!
//! let path = SecretPath::parse("provider/aws/token")?;
//! assert!(SecretPath::parse("provider/../token").is_err());
//!
//! let record = SealedRecord::new(KeyVersion::new(1), [7; 32], [9; 32], vec![0; 16])?;
//! let bytes = record.to_bytes();
//! assert_eq!(SealedRecord::parse(&bytes)?.key_version(), KeyVersion::new(1));
//! assert!(SealedRecord::parse(&bytes[1..]).is_err());
//! # Ok::<(), hpc_keystore::KeyStoreError>(())
//! ```
//!
//! The format of a record and the derivation of its keys are described in [`SealedRecord`] and [`MessageKeys`].
//!
//! Features: none.

mod error;
mod path;
mod record;
mod schedule;
mod secret;
mod store;

pub use error::{KeyStoreError, RecordError};
pub use path::{SECRET_PATH_BYTES_MAX, SecretPath, SecretVersion};
pub use record::{ALGORITHM, FORMAT, HEADER_BYTES, KeyVersion, MAGIC, SALT_BYTES, SealedRecord, TAG_BYTES};
pub use schedule::{Binding, COMMITMENT_BYTES, KEY_BYTES, MessageKeys, NONCE_BYTES};
pub use secret::{SECRET_BYTES_MAX, Secret};
pub use store::{
    KeyStore, LIST_MAX, OpenedSecret, PATHS_MAX, REENCRYPT_MAX, ReencryptProgress, SecretEntry, VERSIONS_KEPT,
};
