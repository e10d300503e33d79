//! The embedded ledger: [`hpc_ledger::Ledger`] on one [redb](https://docs.rs/redb) file.
//!
//! Commits that wait at the same time share one write transaction and one `fsync`; each is judged against the state
//! its predecessors leave, so a conflict fails only its own transaction.
//!
//! Never reads the clock, never retries for its caller, and never makes a new ledger out of a damaged file.
//!
//! ```
//! use hpc_ledger::{Key, Ledger, Transaction};
//! use hpc_ledger_redb::{Options, RedbLedger};
//!
//! # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), hpc_ledger::LedgerError> {
//! # let folder = tempfile::tempdir().unwrap();
//! # let path = folder.path().join("ledger.redb");
//! let ledger = RedbLedger::open(&path, Options::default())?;
//! let key = Key::parse("lease/lse_1")?;
//! let revision = ledger.commit(Transaction::new().expect_absent(&key).put(&key, b"active")).await?;
//! assert_eq!(ledger.get(&key).await?.map(|read| read.version), Some(revision));
//! # Ok(()) }
//! ```
//!
//! | supported | cost of a call |
//! | --- | --- |
//! | `get`, `range` | one snapshot read on a blocking thread; never waits for a writer |
//! | `commit` | a share of one `fsync` |
//! | `watch` | reads the kept changes from the file, then waits |
//!
//! Settings: [`Options`]. Features: none.

mod error;
mod format;
mod group;
mod ledger;
mod open;
mod options;
mod read;
mod store;
mod watch;

#[cfg(test)]
mod faulty_disk;

pub use ledger::RedbLedger;
pub use options::{
    BATCH_BYTES_MAX, BATCH_COMMITS_MAX, HISTORY_BYTES_MAX, HISTORY_CHANGES_MAX, Options, WAITING_BYTES_MAX,
    WAITING_COMMITS_MAX, WATCHES_MAX,
};
