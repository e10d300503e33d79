//! Ledger and key store of a data directory: opened first, in the order in which they are made.

use std::sync::Arc;

use hpc_error::codes::ErrorCode;
use hpc_error::{HpcError, codes};
use hpc_keystore::{KeyStore, KeyStoreError, SecretPath};
use hpc_ledger::{Ledger, LedgerError};
use hpc_ledger_redb::{Options as LedgerOptions, RedbLedger};
use hpc_vault::{FileKeyStore, MasterKey, Unlock};

use crate::clock::draw_32;
use crate::data::DataDir;
use crate::reserve::{Reserve, ReservedLedger};

/// What a data directory keeps for itself.
pub(crate) struct Stores {
    pub(crate) ledger: Arc<dyn Ledger>,
    pub(crate) reserve: Arc<Reserve>,
    pub(crate) keys: FileKeyStore,
}

impl Stores {
    /// Opens both, or makes them in a new directory.
    ///
    /// # Errors
    /// `HPC-DAT-*`: gone, damaged, locked, unsafe permissions, not writable.
    pub(crate) async fn open(data: &DataDir) -> Result<Self, HpcError> {
        // The directory is locked; the ledger has a lock of its own, and comes before anything that is made once.
        ledger_is_there(data)?;
        let reserve = Arc::new(Reserve::open(data.path()));
        let inner: Arc<dyn Ledger> =
            Arc::new(RedbLedger::open(data.at("ledger.redb"), LedgerOptions::default()).map_err(stored)?);
        let ledger = Arc::new(ReservedLedger { inner, reserve: Arc::clone(&reserve) });
        let master = MasterKey::load_or_create(&data.at("vault.key")).map_err(|error| vault(&error))?;
        let keys = FileKeyStore::open_or_create(&data.at("keys"), Unlock::Key(master))
            .await
            .map_err(|error| vault(&error))?;
        Ok(Self { ledger, reserve, keys })
    }

    /// A 32-byte secret of the key store, drawn the first time.
    pub(crate) async fn seed_of(&self, path: &str) -> Result<[u8; 32], HpcError> {
        let path = SecretPath::parse(path).map_err(broken)?;
        match self.keys.open(&path, None).await {
            Ok(opened) => opened.secret.expose().try_into().map_err(|_| {
                HpcError::coded(
                    &codes::DAT_CORRUPT,
                    format!("the key `{}` is not 32 bytes long", path.as_str()),
                )
            }),
            Err(KeyStoreError::NotFound { .. }) => {
                let drawn = draw_32()?;
                self.keys.seal(&path, &drawn).await.map_err(broken)?;
                Ok(drawn)
            }
            Err(error) => Err(broken(error)),
        }
    }
}

/// The key store fails at what it alone has made.
pub(crate) fn broken(error: KeyStoreError) -> HpcError {
    HpcError::coded(&codes::DAT_CORRUPT, format!("the key store: {error}"))
}

/// The ledger is made before the key that opens all others: where that is and the ledger is not, state was lost.
fn ledger_is_there(data: &DataDir) -> Result<(), HpcError> {
    let ledger = data.at("ledger.redb");
    if ledger.exists() || !data.at("vault.key").exists() {
        return Ok(());
    }
    let message = format!("`{}` is gone, and all leases with it; restore it from a backup", ledger.display());
    Err(HpcError::coded(&codes::DAT_CORRUPT, message).with("path", ledger.display()))
}

fn vault(error: &hpc_vault::VaultError) -> HpcError {
    let code: &'static ErrorCode = match error {
        hpc_vault::VaultError::Mode { .. } => &codes::DAT_UNSAFE_PERMISSIONS,
        hpc_vault::VaultError::File { .. } => &codes::DAT_NOT_WRITABLE,
        _ => &codes::DAT_CORRUPT,
    };
    HpcError::coded(code, format!("the key store cannot be opened: {error}"))
}

fn stored(error: LedgerError) -> HpcError {
    let code: &'static ErrorCode = match &error {
        LedgerError::Locked { .. } => &codes::DAT_LOCKED,
        LedgerError::Corrupt { .. } => &codes::DAT_CORRUPT,
        LedgerError::Full { .. } => &codes::DAT_DISK_FULL,
        _ => &codes::DAT_NOT_WRITABLE,
    };
    HpcError::coded(code, format!("the ledger cannot be opened: {error}"))
}
