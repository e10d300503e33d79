//! The open database, shared by readers, watches and the writer.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, PoisonError, RwLock};

use hpc_ledger::{LedgerError, Revision};
use redb::Database;
use tokio::sync::watch;

use crate::error::StoreError;
use crate::open::{Place, open};
use crate::options::Options;
use crate::read::current_revision;

/// A database that can be taken away and opened again while readers exist.
pub(crate) struct Store {
    place: Place,
    options: Options,
    /// Readers and the writer share it; exclusive only while it is closed or opened again.
    database: RwLock<Option<Database>>,
    /// The newest durable revision; its end tells watches that the ledger is closed.
    pub(crate) revision: watch::Sender<Revision>,
}

impl Store {
    pub(crate) fn open(place: Place, options: Options) -> Result<Self, LedgerError> {
        let in_words = |error: StoreError| error.at(&place.name());
        let database = open(&place, &options).map_err(in_words)?;
        let revision = guarded(|| current_revision(&database)).map_err(in_words)?;
        Ok(Self {
            place,
            options,
            database: RwLock::new(Some(database)),
            revision: watch::Sender::new(revision),
        })
    }

    pub(crate) fn is_durable(&self) -> bool {
        !matches!(self.place, Place::Memory)
    }

    pub(crate) fn in_words(&self, error: &StoreError) -> LedgerError {
        error.at(&self.place.name())
    }

    /// Does `work` with the database on this thread; a panic of the storage engine is an error.
    pub(crate) fn with<T>(
        &self,
        work: impl FnOnce(&Database) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        let database = self.database.read().unwrap_or_else(PoisonError::into_inner);
        let database = database.as_ref().ok_or(StoreError::Closed)?;
        guarded(|| work(database))
    }

    /// Does `work` with the database on a thread that may block.
    pub(crate) async fn read<T: Send + 'static>(
        self: &Arc<Self>,
        work: impl FnOnce(&Database) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, LedgerError> {
        let store = Arc::clone(self);
        tokio::task::spawn_blocking(move || store.with(work).map_err(|error| store.in_words(&error)))
            .await
            .unwrap_or_else(|_| Err(LedgerError::Unavailable { reason: "the runtime is stopping".into() }))
    }

    /// Closes the database and opens it again, as redb asks after a failed write; gives the revision found.
    pub(crate) fn reopen(&self) -> Result<Revision, StoreError> {
        let mut database = self.database.write().unwrap_or_else(PoisonError::into_inner);
        if matches!(self.place, Place::Memory) {
            return Err(StoreError::Other("a ledger in memory cannot be opened again".into()));
        }
        close(&mut database);
        let options = self.options.clone().create(false);
        let opened = open(&self.place, &options)?;
        let revision = guarded(|| current_revision(&opened))?;
        *database = Some(opened);
        Ok(revision)
    }

    /// Closes the database, so that the file can be opened by others.
    pub(crate) fn close(&self) {
        close(&mut self.database.write().unwrap_or_else(PoisonError::into_inner));
    }
}

fn close(database: &mut Option<Database>) {
    // Closing writes; after a panic or on a bad disk it may panic again, and there is nothing left to save.
    let taken = AssertUnwindSafe(database.take());
    let _ = catch_unwind(move || drop({ taken }.0));
}

pub(crate) fn guarded<T>(work: impl FnOnce() -> Result<T, StoreError>) -> Result<T, StoreError> {
    catch_unwind(AssertUnwindSafe(work)).unwrap_or_else(|panic| Err(StoreError::from_panic(&*panic)))
}
