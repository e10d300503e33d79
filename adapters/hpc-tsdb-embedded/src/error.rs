//! redb's failures in the words of the port.

use hpc_timeseries::TimeSeriesError;
use redb::{DatabaseError, StorageError};

/// What to do about a damaged file, in one place so that every message says the same.
const ADVICE: &str = "stop the daemon, move the file away and restore a backup; without one a new file is made at the next start";

/// Names the place of the data in every error.
#[derive(Debug, Clone)]
pub(crate) struct Place(pub(crate) String);

impl Place {
    pub(crate) fn corrupt(&self, what: impl std::fmt::Display) -> TimeSeriesError {
        TimeSeriesError::Corrupt { place: self.0.clone(), why: format!("{what}; {ADVICE}") }
    }

    pub(crate) fn unavailable(&self, what: impl std::fmt::Display) -> TimeSeriesError {
        TimeSeriesError::Unavailable { why: format!("`{}`: {what}", self.0) }
    }

    pub(crate) fn open_failed(&self, error: DatabaseError) -> TimeSeriesError {
        match error {
            DatabaseError::DatabaseAlreadyOpen => {
                self.unavailable("another process has this file open; stop it or use another path")
            }
            DatabaseError::UpgradeRequired(version) => {
                self.corrupt(format!("the file has the format {version} of another version"))
            }
            DatabaseError::RepairAborted => self.corrupt("the repair after a crash was stopped"),
            DatabaseError::Storage(error) => self.storage(error),
            other => self.unavailable(other),
        }
    }

    pub(crate) fn storage(&self, error: StorageError) -> TimeSeriesError {
        match error {
            StorageError::Corrupted(what) => self.corrupt(what),
            // redb answers so to files that are not its own, and to files cut short.
            StorageError::Io(error)
                if matches!(
                    error.kind(),
                    std::io::ErrorKind::InvalidData | std::io::ErrorKind::UnexpectedEof
                ) =>
            {
                self.corrupt(error)
            }
            StorageError::PreviousIo => self
                .unavailable("an earlier write to the disk failed; restart once there is space and health"),
            other => self.unavailable(other),
        }
    }

    pub(crate) fn redb(&self, error: impl Into<redb::Error>) -> TimeSeriesError {
        match error.into() {
            redb::Error::Corrupted(what) => self.corrupt(what),
            redb::Error::Io(error) => self.storage(StorageError::Io(error)),
            redb::Error::PreviousIo => self.storage(StorageError::PreviousIo),
            error @ (redb::Error::TableTypeMismatch { .. } | redb::Error::TypeDefinitionChanged { .. }) => {
                self.corrupt(format!("the file belongs to something else: {error}"))
            }
            other => self.unavailable(other),
        }
    }
}
