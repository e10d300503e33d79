//! The port [`Ledger`]: durable key-value state with compare-and-commit transactions, prefix ranges and watches.
//!
//! Never reads the clock, never retries and never opens a file: those belong to adapters and their callers.
//!
//! ```
//! use hpc_ledger::{Key, Ledger, LedgerError, Range, Revision, Transaction};
//!
//! async fn open_lease(ledger: &dyn Ledger, lease: &str) -> Result<Revision, LedgerError> {
//!     let key = Key::parse(&format!("lease/{lease}"))?;
//!     let intent = Key::parse(&format!("intent/{lease}"))?;
//!     // Either both writes happen and are durable, or none and the answer is `Conflict { key }`.
//!     ledger.commit(Transaction::new().expect_absent(&key).put(&key, b"active").delete(&intent)).await
//! }
//!
//! async fn count_leases(ledger: &dyn Ledger) -> Result<usize, LedgerError> {
//!     Ok(ledger.range(&Range::prefix("lease/").limit(100)).await?.entries.len())
//! }
//! ```
//!
//! Features: `mock` adds `MockLedger` and `MockWatch` (mockall) for downstream tests.

mod error;
mod key;
mod ledger;
mod range;
mod transaction;

pub use error::LedgerError;
pub use key::{KEY_BYTES_MAX, Key};
pub use ledger::{Change, Description, Ledger, Watch};
#[cfg(feature = "mock")]
pub use ledger::{MockLedger, MockWatch};
pub use range::{
    KEYS_PER_READ_MAX, PAGE_BYTES_MAX, Page, RANGE_LIMIT_MAX, Range, Versioned, check_keys, check_prefix,
};
pub use transaction::{
    COMPARISONS_AND_WRITES_MAX, Comparison, Expect, TRANSACTION_BYTES_MAX, Transaction, VALUE_BYTES_MAX,
    Write,
};

/// Number of a commit: 1 for the first one that changed something, and one more for each after it.
///
/// 0 means "before any commit".
pub type Revision = u64;
