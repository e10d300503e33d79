//! The port itself. Every sentence of these docs is a case in the conformance suite.

use async_trait::async_trait;

use crate::{Key, LedgerError, Page, Revision, Transaction, Versioned};

/// Durable key-value state with compare-and-commit transactions, prefix ranges and watches.
///
/// Each sentence below is a case of the conformance suite.
#[cfg_attr(feature = "mock", mockall::automock)]
#[async_trait]
pub trait Ledger: Send + Sync {
    /// What this ledger is and keeps.
    fn describe(&self) -> Description;

    /// The value of `key`, or `None` if it has none.
    ///
    /// A read sees every commit that returned before the read began.
    /// The version is the revision of the last commit that wrote the key.
    ///
    /// # Errors
    /// [`LedgerError::Corrupt`], [`LedgerError::Unavailable`].
    async fn get(&self, key: &Key) -> Result<Option<Versioned>, LedgerError>;

    /// The values of several keys, in the order asked: read at once, for less than a read for each.
    ///
    /// They are all of one revision.
    /// More than [`KEYS_PER_READ_MAX`](crate::KEYS_PER_READ_MAX) keys are [`LedgerError::TooLarge`].
    /// An answer stops early rather than exceed [`PAGE_BYTES_MAX`](crate::PAGE_BYTES_MAX): it is shorter than what was
    /// asked, and has the first value at least; ask again for the others.
    ///
    /// # Errors
    /// [`LedgerError::TooLarge`], [`LedgerError::Corrupt`], [`LedgerError::Unavailable`].
    async fn get_many(&self, keys: &[Key]) -> Result<Vec<Option<Versioned>>, LedgerError>;

    /// One page of the keys that begin with a prefix, in byte order.
    ///
    /// All entries of a page are of one revision, the one it names.
    /// A page holds at most the limit, and says whether more follow.
    /// Entries start after `after`, which itself need not exist.
    /// Pages read one after another until none follows give every key of an unchanged ledger exactly once.
    /// A page stops early rather than exceed [`PAGE_BYTES_MAX`](crate::PAGE_BYTES_MAX).
    /// A prefix that can begin no key is refused.
    ///
    /// # Errors
    /// [`LedgerError::InvalidKey`], [`LedgerError::Corrupt`], [`LedgerError::Unavailable`].
    async fn range(&self, range: &crate::Range) -> Result<Page, LedgerError>;

    /// Makes every write of `transaction`, if every comparison holds.
    ///
    /// A commit is atomic: all writes become visible together or not at all.
    /// It is durable when it returns, if the ledger says it is durable at all.
    /// A comparison that fails is [`LedgerError::Conflict`] with the first such key, and nothing is written.
    /// Revisions grow by one with each commit that changes something, and the answer is the revision made.
    /// A transaction that changes nothing makes no revision and answers the current one.
    /// Deleting an absent key is no change.
    /// Of concurrent commits that expect the same version of a key and write it, exactly one succeeds.
    /// A transaction above a limit is [`LedgerError::TooLarge`], and nothing is written.
    ///
    /// A commit whose future is dropped before it answers may or may not happen.
    ///
    /// # Errors
    /// [`LedgerError::Conflict`], [`LedgerError::TooLarge`], [`LedgerError::Backpressure`], [`LedgerError::Full`]:
    /// nothing was written. [`LedgerError::Unavailable`], [`LedgerError::Corrupt`]: the outcome is unknown.
    async fn commit(&self, transaction: Transaction) -> Result<Revision, LedgerError>;

    /// Follows the changes of keys that begin with `prefix`, made after the revision `after`.
    ///
    /// A watch gives every committed change after that revision exactly once, in the order of the commits.
    /// Changes of one commit come in key order, and all but the last say that more follow.
    /// A watch from an earlier revision begins with the changes since then.
    /// A watch that asks for changes no longer kept is [`LedgerError::Compacted`], at the start or, if its reader
    /// falls that far behind, later.
    /// The oldest revision named by `Compacted` can be watched from.
    ///
    /// # Errors
    /// [`LedgerError::Compacted`], [`LedgerError::InvalidKey`], [`LedgerError::Backpressure`] (too many watches),
    /// [`LedgerError::Corrupt`], [`LedgerError::Unavailable`].
    async fn watch(&self, prefix: &str, after: Revision) -> Result<Box<dyn Watch>, LedgerError>;
}

/// Changes as they are committed; see [`Ledger::watch`].
#[cfg_attr(feature = "mock", mockall::automock)]
#[async_trait]
pub trait Watch: Send {
    /// Waits for the next change.
    ///
    /// A call dropped before it answers loses nothing: the next call gives the same change.
    ///
    /// # Errors
    /// [`LedgerError::Compacted`] and [`LedgerError::Corrupt`] end the watch; after [`LedgerError::Unavailable`] it
    /// may be asked again.
    async fn next(&mut self) -> Result<Change, LedgerError>;
}

/// One key changed by one commit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// The commit.
    pub revision: Revision,
    /// The key.
    pub key: Key,
    /// Its new value, or `None` if it was deleted.
    pub value: Option<Vec<u8>>,
    /// Whether another watched change of the same commit follows.
    ///
    /// A reader that keeps its place by revision stores it only when this is false.
    pub more: bool,
}

/// What a [`Ledger`] is and keeps.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Description {
    /// The adapter, such as `redb` or `memory`.
    pub name: &'static str,
    /// Whether a commit that returned survives the end of the process and of the machine's power.
    pub durable: bool,
    /// How many changes are kept for watches at least, if they are small.
    pub history_changes_max: usize,
    /// How many bytes of changes are kept for watches at most, beside the newest commit.
    pub history_bytes_max: usize,
    /// How many watches may be open at once.
    pub watches_max: usize,
    /// How many commits may wait to be written; one more is refused with [`LedgerError::Backpressure`].
    pub waiting_commits_max: usize,
}

impl Description {
    /// A description of the adapter `name`; the limits start at 0.
    #[must_use]
    pub fn new(name: &'static str, durable: bool) -> Self {
        Self {
            name,
            durable,
            history_changes_max: 0,
            history_bytes_max: 0,
            watches_max: 0,
            waiting_commits_max: 0,
        }
    }
}
