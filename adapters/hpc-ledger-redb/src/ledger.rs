//! The port, implemented.

use std::path::Path;
use std::sync::Arc;
use std::thread::JoinHandle;

use async_trait::async_trait;
use hpc_ledger::{
    Description, Key, Ledger, LedgerError, Page, Range, Revision, Transaction, Versioned, Watch, check_keys,
    check_prefix,
};
use tokio::sync::mpsc::error::TrySendError;
use tokio::sync::{Semaphore, mpsc, oneshot};

use crate::group::{self, Waiting};
use crate::open::Place;
use crate::options::{
    HISTORY_BYTES_MAX, HISTORY_CHANGES_MAX, Options, WAITING_BYTES_MAX, WAITING_COMMITS_MAX, WATCHES_MAX,
};
use crate::read;
use crate::store::Store;
use crate::watch::RedbWatch;

/// A ledger in one redb file, or in memory.
///
/// Its calls need a Tokio runtime. Dropping it writes what waits, closes the file and ends its watches; that may
/// take as long as one write to the disk.
pub struct RedbLedger {
    store: Arc<Store>,
    /// `None` only while dropping.
    queue: Option<mpsc::Sender<Waiting>>,
    writer: Option<JoinHandle<()>>,
    waiting_bytes: Arc<Semaphore>,
    watches: Arc<Semaphore>,
}

impl std::fmt::Debug for RedbLedger {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RedbLedger").field("revision", &*self.store.revision.borrow()).finish_non_exhaustive()
    }
}

impl RedbLedger {
    /// Opens the ledger file `path`, or makes it (readable by its owner only) if `options.create` and it is not there.
    ///
    /// Blocks while it reads the file. Its folder must exist.
    ///
    /// # Errors
    /// [`LedgerError::Locked`] if a process has it open, [`LedgerError::Corrupt`] if it is empty, cut, damaged or no
    /// ledger, [`LedgerError::Format`] if another program wrote it, [`LedgerError::Full`], and
    /// [`LedgerError::Unavailable`] with the reason if it cannot be opened or made.
    pub fn open(path: impl AsRef<Path>, options: Options) -> Result<Self, LedgerError> {
        Self::start(Place::File(path.as_ref().to_owned()), options)
    }

    /// An empty ledger in memory, not durable: the same code without a disk.
    ///
    /// # Errors
    /// Only [`LedgerError::Unavailable`], if no thread can be started.
    pub fn in_memory() -> Result<Self, LedgerError> {
        Self::start(Place::Memory, Options::default().verify_on_open(false))
    }

    pub(crate) fn start(place: Place, options: Options) -> Result<Self, LedgerError> {
        let store = Arc::new(Store::open(place, options)?);
        let (queue, waiting) = mpsc::channel(WAITING_COMMITS_MAX);
        let writer = std::thread::Builder::new()
            .name("hpc-ledger".into())
            .spawn({
                let store = Arc::clone(&store);
                move || group::run(&store, waiting)
            })
            .map_err(|error| LedgerError::Unavailable {
                reason: format!("no thread for the writer: {error}"),
            })?;
        Ok(Self {
            store,
            queue: Some(queue),
            writer: Some(writer),
            waiting_bytes: Arc::new(Semaphore::new(WAITING_BYTES_MAX)),
            watches: Arc::new(Semaphore::new(WATCHES_MAX)),
        })
    }
}

impl Drop for RedbLedger {
    fn drop(&mut self) {
        drop(self.queue.take());
        if let Some(writer) = self.writer.take() {
            // It ends when the queue is empty; a panic in it is over.
            let _ = writer.join();
        }
        self.store.close();
    }
}

#[async_trait]
impl Ledger for RedbLedger {
    fn describe(&self) -> Description {
        let mut description = Description::new("redb", self.store.is_durable());
        description.history_changes_max = HISTORY_CHANGES_MAX;
        description.history_bytes_max = HISTORY_BYTES_MAX;
        description.watches_max = WATCHES_MAX;
        description.waiting_commits_max = WAITING_COMMITS_MAX;
        description
    }

    async fn get(&self, key: &Key) -> Result<Option<Versioned>, LedgerError> {
        let key = key.clone();
        self.store.read(move |database| read::get(database, &key)).await
    }

    async fn get_many(&self, keys: &[Key]) -> Result<Vec<Option<Versioned>>, LedgerError> {
        check_keys(keys)?;
        let keys = keys.to_vec();
        self.store.read(move |database| read::get_many(database, &keys)).await
    }

    async fn range(&self, range: &Range) -> Result<Page, LedgerError> {
        check_prefix(&range.prefix)?;
        let range = range.clone();
        self.store.read(move |database| read::page(database, &range)).await
    }

    async fn commit(&self, transaction: Transaction) -> Result<Revision, LedgerError> {
        transaction.check()?;
        let bytes = transaction.bytes();
        let too_many_bytes = LedgerError::Backpressure { what: "bytes of commits", limit: WAITING_BYTES_MAX };
        // INVARIANT: a transaction has at most 4 MiB, so its size fits.
        let permit = Arc::clone(&self.waiting_bytes)
            .try_acquire_many_owned(u32::try_from(bytes).unwrap_or(u32::MAX))
            .map_err(|_| too_many_bytes)?;
        let stopped = || LedgerError::Unavailable { reason: "its writer has stopped; open it again".into() };
        let (answer, outcome) = oneshot::channel();
        let queue = self.queue.as_ref().ok_or_else(stopped)?;
        queue.try_send(Waiting { transaction, bytes, answer, _permit: permit }).map_err(|refused| {
            match refused {
                TrySendError::Full(_) => {
                    LedgerError::Backpressure { what: "commits", limit: WAITING_COMMITS_MAX }
                }
                TrySendError::Closed(_) => stopped(),
            }
        })?;
        outcome.await.unwrap_or_else(|_| Err(stopped()))
    }

    async fn watch(&self, prefix: &str, after: Revision) -> Result<Box<dyn Watch>, LedgerError> {
        check_prefix(prefix)?;
        let permit = Arc::clone(&self.watches)
            .try_acquire_owned()
            .map_err(|_| LedgerError::Backpressure { what: "open watches", limit: WATCHES_MAX })?;
        // Subscribed before the check, so that nothing committed meanwhile is missed.
        let watch = RedbWatch::new(&self.store, prefix, after, permit);
        let oldest = self.store.read(read::oldest_revision).await?;
        if after < oldest {
            return Err(LedgerError::Compacted { oldest });
        }
        Ok(Box::new(watch))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    mod in_memory_contract {
        use super::*;

        hpc_conformance::ledger!(Arc::new(RedbLedger::in_memory().unwrap()));
    }

    #[tokio::test]
    async fn too_many_waiting_commits_are_refused_and_write_nothing() {
        let ledger = Arc::new(RedbLedger::in_memory().unwrap());
        // Stop the writer at the database's lock, so that everything after the first batch waits.
        let (held, holding) = std::sync::mpsc::channel();
        let (release, released) = std::sync::mpsc::channel::<()>();
        let store = Arc::clone(&ledger.store);
        let holder = std::thread::spawn(move || {
            store
                .with(|database| {
                    let transaction = database.begin_write()?;
                    held.send(()).unwrap();
                    released.recv().unwrap();
                    transaction.abort()?;
                    Ok(())
                })
                .unwrap();
        });
        holding.recv().unwrap();
        let mut accepted = Vec::new();
        let mut refused = 0;
        for index in 0..WAITING_COMMITS_MAX + BATCH_SLACK {
            let key = Key::parse(&format!("k/{index}")).unwrap();
            let ledger = Arc::clone(&ledger);
            let mut commit = Box::pin(async move { ledger.commit(Transaction::new().put(&key, b"")).await });
            match futures_poll_once(&mut commit).await {
                None => accepted.push(commit),
                Some(Err(LedgerError::Backpressure { limit, .. })) => {
                    assert_eq!(limit, WAITING_COMMITS_MAX);
                    refused += 1;
                }
                Some(other) => panic!("{other:?}"),
            }
        }
        assert!(refused > 0);
        release.send(()).unwrap();
        holder.join().unwrap();
        let count = accepted.len() as u64;
        for commit in accepted {
            commit.await.unwrap();
        }
        assert_eq!(ledger.range(&Range::prefix("")).await.unwrap().revision, count);
    }

    const BATCH_SLACK: usize = crate::BATCH_COMMITS_MAX + 10;

    async fn futures_poll_once<F: Future + Unpin>(future: &mut F) -> Option<F::Output> {
        tokio::select! { biased; output = future => Some(output), () = std::future::ready(()) => None }
    }

    #[tokio::test]
    async fn a_watch_ends_when_the_ledger_closes() {
        let ledger = RedbLedger::in_memory().unwrap();
        let mut watch = ledger.watch("", 0).await.unwrap();
        drop(ledger);
        assert!(matches!(watch.next().await, Err(LedgerError::Unavailable { .. })));
    }
}
