//! Typed records on the ledger, with an outbox: a change and what the audit log must say of it are one transaction.
//!
//! The audit entry of a change is written into the ledger together with the change, then appended to the audit log, and
//! its outbox copy is dropped with a later transaction. A crash in between loses nothing: [`Store::drain`] appends what
//! is left, and appending is idempotent by entry id.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use hpc_audit::{AuditLog, Entry, Receipt};
use hpc_error::{HpcError, codes};
use hpc_ledger::{Key, Ledger, LedgerError, Range, Revision, Transaction, Versioned, Watch};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::fail;
use crate::sealed::Openings;

/// Most outbox copies dropped with one transaction.
const DROPS_PER_COMMIT_MAX: usize = 64;
/// Most records read in one page, or at once.
pub(crate) const PAGE: usize = 256;

/// A change of state, and what the audit log says of it.
#[derive(Default)]
pub(crate) struct Change {
    transaction: Transaction,
    entries: Vec<Entry>,
}

impl Change {
    pub(crate) fn new() -> Self {
        Self::default()
    }

    /// Writes a record.
    pub(crate) fn put<T: Serialize>(mut self, key: Key, record: &T) -> Result<Self, HpcError> {
        let bytes = serde_json::to_vec(record).map_err(fail::bug)?;
        self.transaction = self.transaction.put(key, bytes);
        Ok(self)
    }

    /// Writes an empty record: a marker.
    pub(crate) fn mark(mut self, key: Key) -> Self {
        self.transaction = self.transaction.put(key, Vec::new());
        self
    }

    pub(crate) fn delete(mut self, key: Key) -> Self {
        self.transaction = self.transaction.delete(key);
        self
    }

    /// Fails the whole change when the record has changed since it was read at `revision`.
    pub(crate) fn expect(mut self, key: Key, revision: Revision) -> Self {
        self.transaction = self.transaction.expect_version(key, revision);
        self
    }

    pub(crate) fn expect_absent(mut self, key: Key) -> Self {
        self.transaction = self.transaction.expect_absent(key);
        self
    }

    pub(crate) fn say(mut self, entry: Entry) -> Self {
        self.entries.push(entry);
        self
    }

    /// Says an entry with commitments in it, and keeps what opens them.
    pub(crate) fn say_sealed(self, entry: Entry, openings: &Openings) -> Result<Self, HpcError> {
        let place = key("opening", entry.id.as_str())?;
        self.say(entry).put(place, openings)
    }
}

/// What a commit made.
#[derive(Debug, Default)]
pub(crate) struct Committed {
    /// Proof in the audit log; empty while the entries wait in the outbox.
    pub(crate) receipts: Vec<Receipt>,
    /// The ledger's revision: of two commits, the later one has the greater.
    pub(crate) revision: Revision,
}

/// How a commit ended when it did not simply succeed.
#[derive(Debug)]
pub(crate) enum CommitError {
    /// Somebody else changed a record: read again and decide again.
    Conflict,
    /// The change is durable, but the audit log could not take its entry: it stays in the outbox.
    Unaudited(HpcError, Revision),
    /// Nothing was written, or nobody knows.
    Failed(HpcError),
}

impl From<CommitError> for HpcError {
    fn from(error: CommitError) -> Self {
        match error {
            CommitError::Conflict => Self::conflict("somebody else changed the same record; try again"),
            CommitError::Unaudited(error, _) => {
                error.with("stored", "look before you repeat: the entry follows when the log can be written")
            }
            CommitError::Failed(error) => error,
        }
    }
}

pub(crate) struct Store {
    ledger: Arc<dyn Ledger>,
    audit: Arc<dyn AuditLog>,
    /// Outbox keys whose entries are in the audit log.
    appended: Mutex<Vec<Key>>,
    /// Whether the log refused an entry that waits in the outbox since.
    behind: AtomicBool,
}

impl Store {
    pub(crate) fn new(ledger: Arc<dyn Ledger>, audit: Arc<dyn AuditLog>) -> Self {
        Self { ledger, audit, appended: Mutex::default(), behind: AtomicBool::new(false) }
    }

    pub(crate) fn audit(&self) -> &Arc<dyn AuditLog> {
        &self.audit
    }

    /// Follows the records under a prefix, from the changes after `revision` on.
    pub(crate) async fn watch(
        &self,
        prefix: &str,
        revision: Revision,
    ) -> Result<Box<dyn Watch>, LedgerError> {
        self.ledger.watch(prefix, revision).await
    }

    /// Reads a record and its revision.
    pub(crate) async fn read<T: DeserializeOwned>(
        &self,
        key: &Key,
    ) -> Result<Option<(T, Revision)>, HpcError> {
        match self.ledger.get(key).await.map_err(fail::ledger)? {
            None => Ok(None),
            Some(found) => {
                let record = serde_json::from_slice(&found.value)
                    .map_err(|error| fail::corrupt(key.as_str(), &error))?;
                Ok(Some((record, found.version)))
            }
        }
    }

    /// Reads many records, in the order asked, in fewer reads than there are. They may be of several revisions.
    ///
    /// One that cannot be read is `None`, as one that is not there, and keeps nobody from the others: whoever needs it reads
    /// it alone, and is told.
    pub(crate) async fn read_many<T: DeserializeOwned>(
        &self,
        keys: &[Key],
    ) -> Result<Vec<Option<T>>, HpcError> {
        let mut records = Vec::with_capacity(keys.len());
        while let Some(rest) = keys.get(records.len()..).filter(|rest| !rest.is_empty()) {
            let part = rest.get(..PAGE).unwrap_or(rest);
            match self.ledger.get_many(part).await {
                // One of them, and nobody says which.
                Err(LedgerError::Corrupt { .. }) => records.extend(part.iter().map(|_| None)),
                Err(error) => return Err(fail::ledger(error)),
                Ok(read) if read.is_empty() => {
                    return Err(fail::bug("the ledger answers nothing about keys that it was asked for"));
                }
                Ok(read) => {
                    let found = |read: Versioned| serde_json::from_slice(&read.value).ok();
                    records.extend(read.into_iter().map(|read| read.and_then(found)));
                }
            }
        }
        Ok(records)
    }

    /// Whether there is a record, or a marker.
    pub(crate) async fn has(&self, key: &Key) -> Result<bool, HpcError> {
        Ok(self.ledger.get(key).await.map_err(fail::ledger)?.is_some())
    }

    /// Reads one page of records: those after `after`, at most `limit`; and whether more follow.
    pub(crate) async fn page<T: DeserializeOwned>(
        &self,
        prefix: &str,
        after: Option<Key>,
        limit: usize,
    ) -> Result<(Vec<(Key, T)>, bool), HpcError> {
        let mut range = Range::prefix(prefix).limit(limit);
        if let Some(after) = after {
            range = range.after(after);
        }
        let page = self.ledger.range(&range).await.map_err(fail::ledger)?;
        let mut records = Vec::with_capacity(page.entries.len());
        for (key, found) in page.entries {
            let record =
                serde_json::from_slice(&found.value).map_err(|error| fail::corrupt(key.as_str(), &error))?;
            records.push((key, record));
        }
        Ok((records, page.more))
    }

    /// Reads all keys under a prefix.
    pub(crate) async fn keys(&self, prefix: &str) -> Result<Vec<Key>, HpcError> {
        let mut keys: Vec<Key> = Vec::new();
        let mut range = Range::prefix(prefix).limit(PAGE);
        loop {
            let page = self.ledger.range(&range).await.map_err(fail::ledger)?;
            let more = page.more;
            keys.extend(page.entries.into_iter().map(|(key, _)| key));
            match keys.last() {
                Some(last) if more => range = Range::prefix(prefix).limit(PAGE).after(last),
                _ => return Ok(keys),
            }
        }
    }

    /// Where the open records of a kind are: `open-lease/X` marks `lease/X`.
    pub(crate) async fn open_keys(&self, kind: &str) -> Result<Vec<Key>, HpcError> {
        let marks = self.keys(&format!("open-{kind}/")).await?;
        marks.iter().map(|mark| key(kind, mark.name())).collect()
    }

    /// Refuses what may be refused while the audit log does not take what waits for it: before anything is done.
    ///
    /// # Errors
    /// `HPC-AUD-0001`, and ledger failures.
    pub(crate) async fn check_audited(&self) -> Result<(), HpcError> {
        if self.behind.load(Ordering::Acquire) { self.drain().await.map(drop) } else { Ok(()) }
    }

    /// Makes the change durable, then appends its entries to the audit log.
    pub(crate) async fn commit(&self, change: Change) -> Result<Committed, CommitError> {
        let Change { mut transaction, entries } = change;
        let mut outbox = Vec::with_capacity(entries.len());
        for entry in &entries {
            let key = outbox_key(entry).map_err(CommitError::Failed)?;
            let bytes = entry.encode().map_err(|error| CommitError::Failed(fail::bug(error)))?;
            transaction = transaction.put(key.clone(), bytes);
            outbox.push(key);
        }
        let drops = self.take_drops();
        for key in &drops {
            transaction = transaction.delete(key);
        }
        let revision = match self.ledger.commit(transaction).await {
            Ok(revision) => revision,
            Err(error) => {
                self.put_back(drops);
                return Err(match error {
                    LedgerError::Conflict { .. } => CommitError::Conflict,
                    error => CommitError::Failed(fail::ledger(error)),
                });
            }
        };
        if entries.is_empty() {
            return Ok(Committed { receipts: Vec::new(), revision });
        }
        match self.audit.append(entries).await {
            Ok(receipts) => {
                self.put_back(outbox);
                Ok(Committed { receipts, revision })
            }
            Err(error) => {
                self.behind.store(true, Ordering::Release);
                Err(CommitError::Unaudited(unwritable(error), revision))
            }
        }
    }

    /// The receipts of entries that were recorded before, of those ids that have one.
    pub(crate) async fn receipts<const N: usize>(&self, ids: [String; N]) -> Result<Vec<Receipt>, HpcError> {
        let found = self.audit.receipts(&ids).await.map_err(unwritable)?;
        Ok(found.into_iter().flatten().collect())
    }

    /// Like [`Store::commit`], for changes that must go on even when the audit log cannot be written, above all releases:
    /// their entries wait in the outbox.
    pub(crate) async fn commit_even_unaudited(&self, change: Change) -> Result<Committed, CommitError> {
        match self.commit(change).await {
            Err(CommitError::Unaudited(_, revision)) => Ok(Committed { receipts: Vec::new(), revision }),
            outcome => outcome,
        }
    }

    /// Appends every entry that a crash or a full disk left in the outbox. Returns how many.
    pub(crate) async fn drain(&self) -> Result<usize, HpcError> {
        let mut drained = 0;
        loop {
            self.drop_appended().await?;
            let page =
                self.ledger.range(&Range::prefix("outbox/").limit(PAGE)).await.map_err(fail::ledger)?;
            let mut waiting = Vec::with_capacity(page.entries.len());
            for (key, found) in page.entries {
                let entry = Entry::decode(&found.value).map_err(|error| {
                    HpcError::coded(
                        &codes::DAT_CORRUPT,
                        format!("the ledger's `{key}` cannot be read: {error}"),
                    )
                })?;
                waiting.push((key, entry));
            }
            if waiting.is_empty() {
                self.behind.store(false, Ordering::Release);
                return Ok(drained);
            }
            waiting.sort_by_key(|(_, entry)| entry.at);
            let (keys, entries): (Vec<Key>, Vec<Entry>) = waiting.into_iter().unzip();
            drained += entries.len();
            if let Err(error) = self.audit.append(entries).await {
                self.behind.store(true, Ordering::Release);
                return Err(unwritable(error));
            }
            self.put_back(keys);
        }
    }

    /// Drops the outbox copies of everything that the audit log has.
    async fn drop_appended(&self) -> Result<(), HpcError> {
        let drops = std::mem::take(&mut *self.appended.lock().unwrap_or_else(PoisonError::into_inner));
        for chunk in drops.chunks(PAGE) {
            let transaction =
                chunk.iter().fold(Transaction::new(), |transaction, key| transaction.delete(key));
            self.ledger.commit(transaction).await.map_err(fail::ledger)?;
        }
        Ok(())
    }

    fn take_drops(&self) -> Vec<Key> {
        let mut appended = self.appended.lock().unwrap_or_else(PoisonError::into_inner);
        let from = appended.len().saturating_sub(DROPS_PER_COMMIT_MAX);
        appended.split_off(from)
    }

    fn put_back(&self, keys: Vec<Key>) {
        self.appended.lock().unwrap_or_else(PoisonError::into_inner).extend(keys);
    }
}

fn unwritable(error: hpc_audit::AuditError) -> HpcError {
    HpcError::coded(&codes::AUD_NOT_WRITABLE, format!("the audit log cannot be written: {error}"))
        .caused_by(error)
}

fn outbox_key(entry: &Entry) -> Result<Key, HpcError> {
    key("outbox", entry.id.as_str())
}

/// The ledger key of a record.
pub(crate) fn key(kind: &str, id: &str) -> Result<Key, HpcError> {
    Key::parse(&format!("{kind}/{id}")).map_err(fail::bug)
}
