//! Group commit: one thread writes, and whatever waits shares one `fsync`.

use std::sync::Arc;

use hpc_ledger::{Key, LedgerError, Revision, Transaction, Write};
use redb::{Database, Durability, ReadableTable, Table};
use tokio::sync::{OwnedSemaphorePermit, mpsc, oneshot};

use crate::error::StoreError;
use crate::format::{
    HISTORY, META, META_COMPACTED, META_HISTORY_BYTES, META_HISTORY_CHANGES, META_REVISION, STATE,
    decode_version, encode_history, encode_state, history_count,
};
use crate::options::{BATCH_BYTES_MAX, BATCH_COMMITS_MAX, HISTORY_BYTES_MAX, HISTORY_CHANGES_MAX};
use crate::read::damaged;
use crate::store::Store;

/// A commit that waits to be written.
pub(crate) struct Waiting {
    pub(crate) transaction: Transaction,
    pub(crate) bytes: usize,
    pub(crate) answer: oneshot::Sender<Result<Revision, LedgerError>>,
    /// Its share of the bytes that may wait.
    pub(crate) _permit: OwnedSemaphorePermit,
}

/// What became of one transaction of a batch, once the batch is durable.
type Outcome = Result<Revision, LedgerError>;

/// Writes until the queue is closed and empty.
pub(crate) fn run(store: &Arc<Store>, mut queue: mpsc::Receiver<Waiting>) {
    while let Some(first) = queue.blocking_recv() {
        let mut bytes = first.bytes;
        let mut batch = vec![first];
        while batch.len() < BATCH_COMMITS_MAX && bytes < BATCH_BYTES_MAX {
            let Ok(waiting) = queue.try_recv() else { break };
            bytes = bytes.saturating_add(waiting.bytes);
            batch.push(waiting);
        }
        let outcomes = write_or_heal(store, &batch);
        for (waiting, outcome) in batch.into_iter().zip(outcomes) {
            // A caller that went away does not want to know.
            let _ = waiting.answer.send(outcome);
        }
    }
}

/// Writes a batch. After a failure the file is opened again, which tells whether the batch is there.
fn write_or_heal(store: &Arc<Store>, batch: &[Waiting]) -> Vec<Outcome> {
    let before = *store.revision.borrow();
    let error = match store.with(|database| write(database, batch, store)) {
        Ok((revision, outcomes)) => {
            publish(store, revision);
            return outcomes;
        }
        // It was closed by an earlier failure: this batch has touched nothing yet, so heal first and try once.
        Err(StoreError::Closed) => match heal(store, before) {
            Ok(()) => match store.with(|database| write(database, batch, store)) {
                Ok((revision, outcomes)) => {
                    publish(store, revision);
                    return outcomes;
                }
                Err(error) => error,
            },
            Err(error) => return refuse_all(batch, &error),
        },
        Err(error) => error,
    };
    let unknown = LedgerError::Unavailable {
        reason: format!("{}; whether the commit was written is unknown", store.in_words(&error)),
    };
    let answer = match (error, heal(store, before)) {
        // The batch is certainly not in the file, and the disk can be read again.
        (error @ (StoreError::Full | StoreError::Corrupt(_)), Ok(())) => store.in_words(&error),
        (error @ StoreError::Corrupt(_), Err(_)) => store.in_words(&error),
        _ => unknown,
    };
    refuse_all(batch, &answer)
}

/// Opens the file again; fine if it is at the revision it had before.
fn heal(store: &Arc<Store>, before: Revision) -> Result<(), LedgerError> {
    let found = store.reopen().map_err(|error| store.in_words(&error))?;
    publish(store, found);
    if found == before {
        return Ok(());
    }
    Err(LedgerError::Unavailable {
        reason: format!(
            "the file is at revision {found} after a failed write, and was at {before}; read again"
        ),
    })
}

fn publish(store: &Arc<Store>, revision: Revision) {
    store.revision.send_if_modified(|known| {
        let grown = *known < revision;
        *known = revision;
        grown
    });
}

fn refuse_all(batch: &[Waiting], error: &LedgerError) -> Vec<Outcome> {
    batch.iter().map(|_| Err(error.clone())).collect()
}

/// Makes the transactions of a batch one after another in one durable transaction of redb.
fn write(
    database: &Database,
    batch: &[Waiting],
    store: &Store,
) -> Result<(Revision, Vec<Outcome>), StoreError> {
    let mut transaction = database.begin_write()?;
    transaction.set_durability(Durability::Immediate)?;
    let mut outcomes = Vec::with_capacity(batch.len());
    let (before, after) = {
        let mut meta = transaction.open_table(META)?;
        let mut tables = Tables {
            state: transaction.open_table(STATE)?,
            history: transaction.open_table(HISTORY)?,
            numbers: Numbers::read(&meta)?,
        };
        let before = tables.numbers.revision;
        for waiting in batch {
            outcomes.push(tables.apply(&waiting.transaction, store)?);
        }
        if tables.numbers.revision != before {
            tables.prune()?;
            tables.numbers.write(&mut meta)?;
        }
        (before, tables.numbers.revision)
    };
    if before == after {
        transaction.abort()?; // conflicts and empty transactions need no disk
    } else {
        transaction.commit()?;
    }
    Ok((after, outcomes))
}

struct Tables<'a> {
    state: Table<'a, &'static str, &'static [u8]>,
    history: Table<'a, u64, &'static [u8]>,
    numbers: Numbers,
}

/// The numbers of table `meta` that change.
#[derive(Clone, Copy)]
struct Numbers {
    revision: Revision,
    compacted: Revision,
    history_changes: u64,
    history_bytes: u64,
}

impl Numbers {
    fn read(meta: &Table<'_, &'static str, u64>) -> Result<Self, StoreError> {
        let number = |name: &str| {
            let number = meta.get(name)?.map(|number| number.value());
            number.ok_or_else(|| StoreError::Corrupt(format!("table `meta` has no `{name}`")))
        };
        Ok(Self {
            revision: number(META_REVISION)?,
            compacted: number(META_COMPACTED)?,
            history_changes: number(META_HISTORY_CHANGES)?,
            history_bytes: number(META_HISTORY_BYTES)?,
        })
    }

    fn write(self, meta: &mut Table<'_, &'static str, u64>) -> Result<(), StoreError> {
        meta.insert(META_REVISION, self.revision)?;
        meta.insert(META_COMPACTED, self.compacted)?;
        meta.insert(META_HISTORY_CHANGES, self.history_changes)?;
        meta.insert(META_HISTORY_BYTES, self.history_bytes)?;
        Ok(())
    }
}

impl Tables<'_> {
    fn apply(&mut self, transaction: &Transaction, store: &Store) -> Result<Outcome, StoreError> {
        for comparison in transaction.comparisons() {
            let Some(version) = self.version(&comparison.key)? else {
                // A damaged record fails whoever asks for it, not its neighbours in the batch.
                return Ok(Err(store.in_words(&damaged("state", &comparison.key))));
            };
            if !comparison.expect.holds(version) {
                return Ok(Err(LedgerError::Conflict { key: comparison.key.clone() }));
            }
        }
        let revision = self.numbers.revision.saturating_add(1);
        let mut changes: Vec<(&Key, Option<&[u8]>)> = Vec::with_capacity(transaction.writes().len());
        for (key, write) in transaction.writes() {
            match write {
                Write::Put(value) => {
                    self.state.insert(key.as_str(), encode_state(key, revision, value).as_slice())?;
                    changes.push((key, Some(value)));
                }
                Write::Delete => {
                    if self.state.remove(key.as_str())?.is_some() {
                        changes.push((key, None));
                    }
                }
            }
        }
        if changes.is_empty() {
            return Ok(Ok(self.numbers.revision));
        }
        let record = encode_history(revision, &changes);
        self.history.insert(revision, record.as_slice())?;
        self.numbers.revision = revision;
        self.numbers.history_changes = self.numbers.history_changes.saturating_add(changes.len() as u64);
        self.numbers.history_bytes = self.numbers.history_bytes.saturating_add(record.len() as u64);
        Ok(Ok(revision))
    }

    /// The version of a key, `Some(None)` if it has no value, and `None` if its record is damaged.
    fn version(&self, key: &Key) -> Result<Option<Option<Revision>>, StoreError> {
        let Some(record) = self.state.get(key.as_str())? else { return Ok(Some(None)) };
        Ok(decode_version(key.as_str(), record.value()).map(Some))
    }

    /// Drops the oldest history above the limits; the newest commit always stays.
    fn prune(&mut self) -> Result<(), StoreError> {
        let numbers = &mut self.numbers;
        while (numbers.history_changes > HISTORY_CHANGES_MAX as u64
            || numbers.history_bytes > HISTORY_BYTES_MAX as u64)
            && numbers.compacted.saturating_add(1) < numbers.revision
        {
            let Some((revision, record)) = self.history.pop_first()? else { break };
            numbers.compacted = revision.value();
            numbers.history_changes = numbers.history_changes.saturating_sub(history_count(record.value()));
            numbers.history_bytes = numbers.history_bytes.saturating_sub(record.value().len() as u64);
        }
        Ok(())
    }
}
