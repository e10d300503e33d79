//! redb's failures in the words of the port.

use std::any::Any;
use std::io::ErrorKind;

use hpc_ledger::LedgerError;
use redb::{CommitError, DatabaseError, SetDurabilityError, StorageError, TableError, TransactionError};

use crate::format::SCHEMA_VERSION;

/// Why the store could not do something; [`StoreError::at`] adds where.
#[derive(Debug)]
pub(crate) enum StoreError {
    Corrupt(String),
    Format(u64),
    Locked,
    Full,
    Io(std::io::Error),
    /// redb wants to be closed and opened again, or is closed.
    Closed,
    Other(String),
}

impl StoreError {
    pub(crate) fn at(&self, location: &str) -> LedgerError {
        let location = location.to_owned();
        match self {
            Self::Corrupt(what) => LedgerError::Corrupt { what: what.clone(), location },
            Self::Format(found) => LedgerError::Format { location, found: *found, known: SCHEMA_VERSION },
            Self::Locked => LedgerError::Locked { location },
            Self::Full => LedgerError::Full { location },
            Self::Io(error) => LedgerError::Unavailable { reason: format!("`{location}`: {error}") },
            Self::Closed => LedgerError::Unavailable {
                reason: format!("`{location}` is being opened again after a failure"),
            },
            Self::Other(reason) => LedgerError::Unavailable { reason: format!("`{location}`: {reason}") },
        }
    }

    /// A panic inside redb: it met bytes that it would never have written.
    pub(crate) fn from_panic(panic: &(dyn Any + Send)) -> Self {
        let message = panic
            .downcast_ref::<&str>()
            .map(|text| (*text).to_owned())
            .or_else(|| panic.downcast_ref::<String>().cloned())
            .unwrap_or_default();
        let first_line: String = message.lines().next().unwrap_or_default().chars().take(200).collect();
        Self::Corrupt(format!("the storage engine stopped at an inconsistency: {first_line}"))
    }
}

impl From<std::io::Error> for StoreError {
    fn from(error: std::io::Error) -> Self {
        match error.kind() {
            ErrorKind::StorageFull | ErrorKind::QuotaExceeded | ErrorKind::FileTooLarge => Self::Full,
            ErrorKind::InvalidData | ErrorKind::UnexpectedEof => Self::Corrupt(error.to_string()),
            _ => Self::Io(error),
        }
    }
}

impl From<StorageError> for StoreError {
    fn from(error: StorageError) -> Self {
        match error {
            StorageError::Corrupted(what) => Self::Corrupt(what),
            StorageError::Io(error) => error.into(),
            StorageError::PreviousIo | StorageError::DatabaseClosed => Self::Closed,
            StorageError::LockPoisoned(_) => Self::Corrupt("the storage engine stopped earlier".into()),
            other => Self::Other(other.to_string()),
        }
    }
}

impl From<DatabaseError> for StoreError {
    fn from(error: DatabaseError) -> Self {
        match error {
            DatabaseError::DatabaseAlreadyOpen | DatabaseError::LockProtocolMismatch => Self::Locked,
            DatabaseError::UpgradeRequired(version) => {
                Self::Corrupt(format!("written by an older storage engine (file format {version})"))
            }
            DatabaseError::RepairAborted => Self::Corrupt("its repair was not possible".into()),
            DatabaseError::Storage(error) => error.into(),
            other => Self::Other(other.to_string()),
        }
    }
}

impl From<TransactionError> for StoreError {
    fn from(error: TransactionError) -> Self {
        match error {
            TransactionError::Storage(error) => error.into(),
            other => Self::Other(other.to_string()),
        }
    }
}

impl From<TableError> for StoreError {
    fn from(error: TableError) -> Self {
        match error {
            TableError::Storage(error) => error.into(),
            other => Self::Corrupt(format!("not a ledger: {other}")),
        }
    }
}

impl From<CommitError> for StoreError {
    fn from(error: CommitError) -> Self {
        match error {
            CommitError::Storage(error) => error.into(),
            other => Self::Other(other.to_string()),
        }
    }
}

impl From<SetDurabilityError> for StoreError {
    fn from(error: SetDurabilityError) -> Self {
        Self::Other(error.to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn failures_become_words_of_the_port() {
        let at = |error: StoreError| error.at("/x/ledger.redb");
        let io = |kind: ErrorKind| StoreError::from(StorageError::Io(std::io::Error::from(kind)));
        assert_eq!(at(io(ErrorKind::StorageFull)), LedgerError::Full { location: "/x/ledger.redb".into() });
        assert!(matches!(at(io(ErrorKind::InvalidData)), LedgerError::Corrupt { .. }));
        assert!(matches!(at(io(ErrorKind::PermissionDenied)), LedgerError::Unavailable { .. }));
        assert!(matches!(at(DatabaseError::DatabaseAlreadyOpen.into()), LedgerError::Locked { .. }));
        assert!(matches!(
            at(TableError::TableDoesNotExist("meta".into()).into()),
            LedgerError::Corrupt { .. }
        ));
        assert!(matches!(at(StoreError::Format(2)), LedgerError::Format { found: 2, known: 1, .. }));
        assert!(matches!(at(StorageError::PreviousIo.into()), LedgerError::Unavailable { .. }));
    }

    #[test]
    fn a_panic_is_reported_in_one_bounded_line() {
        let panic: Box<dyn Any + Send> = Box::new("x".repeat(900) + "\nmore");
        let StoreError::Corrupt(what) = StoreError::from_panic(&*panic) else { panic!("not corrupt") };
        assert!(what.len() < 300 && !what.contains('\n'));
    }
}
