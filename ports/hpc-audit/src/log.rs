use async_trait::async_trait;
use hpc_crypto::checkpoint::SignedCheckpoint;
use hpc_crypto::hashing::Hash;
use hpc_crypto::merkle::{ConsistencyProof, InclusionProof, Profile};
use hpc_crypto::note::VerifierKey;

use crate::{AuditError, Entry, Receipt, Search, SearchPage};

/// The hash profile of every audit log: the one that outside verifiers know.
pub const PROFILE: Profile = Profile::Rfc6962Sha256;
/// The most entries of one append.
pub const APPEND_ENTRIES_MAX: usize = 1024;
/// The most encoded bytes of one append: 8 MiB.
pub const APPEND_BYTES_MAX: usize = 8 << 20;
/// The most entries that [`AuditLog::entries`] returns at once.
pub const ENTRIES_LIMIT_MAX: usize = 1024;

/// An append-only log of entries with proofs.
#[cfg_attr(feature = "mock", mockall::automock)]
#[async_trait]
pub trait AuditLog: Send + Sync {
    /// Records entries and returns one receipt for each, in the order given.
    ///
    /// The entries are durable when this returns. All of them are recorded or none is.
    /// Entries of one call have neighbouring indices in the order given, and indices have no gaps.
    /// An id that is already recorded is not recorded again: its old receipt comes back with `repeated` set, whatever
    /// else the repeated entry says, also within one call. No entries is fine and records nothing.
    ///
    /// # Errors
    /// [`AuditError::InvalidEntry`], [`AuditError::TooMuch`], [`AuditError::Unwritable`] and [`AuditError::Closed`]:
    /// nothing was recorded. [`AuditError::Unknown`]: repeat with the same ids.
    async fn append(&self, entries: Vec<Entry>) -> Result<Vec<Receipt>, AuditError>;

    /// A checkpoint over every entry acknowledged before the call, signed by the log.
    ///
    /// The size never goes back, and any two checkpoints of a log are consistent.
    ///
    /// # Errors
    /// [`AuditError::Unwritable`] and what the backend says.
    async fn checkpoint(&self) -> Result<SignedCheckpoint, AuditError>;

    /// A checkpoint over every entry acknowledged before the call, signed by the log and not published: what a receipt
    /// is proved under. It writes nothing, and works on a log that can be read but not written.
    ///
    /// The size never goes back, and a head is consistent with every checkpoint and every other head of the log, before
    /// and after, also when the log is opened again. That needs no publication: an entry is durable before it is
    /// acknowledged and opening keeps every such entry, so the root of any acknowledged size can never become another.
    ///
    /// # Errors
    /// What the backend says.
    async fn head(&self) -> Result<SignedCheckpoint, AuditError>;

    /// Up to `limit` entries beginning at index `start`; fewer at the end of the log, none at its size.
    ///
    /// # Errors
    /// [`AuditError::OutOfRange`] for a start beyond the size or a limit not in 1 to [`ENTRIES_LIMIT_MAX`].
    async fn entries(&self, start: u64, limit: usize) -> Result<Vec<Recorded>, AuditError>;

    /// The proof that entry `index` is in the log of `size` entries, for any size up to now.
    ///
    /// # Errors
    /// [`AuditError::OutOfRange`] and what the backend says.
    async fn inclusion(&self, index: u64, size: u64) -> Result<InclusionProof, AuditError>;

    /// The proof that the log of `old` entries is the beginning of the log of `new` entries, 1 <= old <= new <= now.
    ///
    /// # Errors
    /// [`AuditError::OutOfRange`] and what the backend says.
    async fn consistency(&self, old: u64, new: u64) -> Result<ConsistencyProof, AuditError>;

    /// The entries that fit, in order of their index, and the range that they are an answer for.
    ///
    /// The range begins behind `after` and ends at the size of the log, or behind the last hit when there are `limit`,
    /// or where [`crate::SEARCH_SCAN_MAX`] entries were read.
    ///
    /// # Errors
    /// [`AuditError::OutOfRange`] for a limit not in 1 to [`crate::SEARCH_LIMIT_MAX`], and what the backend says.
    async fn search(&self, search: &Search) -> Result<SearchPage, AuditError>;

    /// Number of entries acknowledged so far.
    fn size(&self) -> u64;

    /// The public key under which the log signs; its name is the log's origin.
    fn verifier_key(&self) -> VerifierKey;
}

/// An entry as the log has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Recorded {
    /// The entry's index.
    pub index: u64,
    /// The hash of its encoded form.
    pub leaf_hash: Hash,
    /// The entry.
    pub entry: Entry,
}
