//! The port of the audit log: entries with one canonical form, receipts, proofs, and exports that anyone can check.
//!
//! Never stores anything and never reads the clock: adapters keep the log, callers say when things happened.
//!
//! ```
//! use hpc_audit::{Entry, Outcome};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let entry = Entry::new("req_1/planned", "2026-11-23T15:00:00Z".parse()?, "alice", "request.planned", Outcome::Ok)
//!     .subject("request", "req_1")
//!     .with("gpus", 8);
//! let bytes = entry.encode()?;
//! assert_eq!(Entry::decode(&bytes)?, entry);
//! # Ok(())
//! # }
//! ```
//!
//! - [`AuditLog`] is the port; [`Entry`], [`Receipt`], [`Recorded`], [`Search`] are its words.
//! - [`prove`] gives receipts their proofs as C2SP tlog-proof texts, [`Receipt::check`] and [`verify_receipt`] check them.
//! - [`Commitment`] binds an entry to a value that it does not hold; [`Opening`] proves the value, or is forgotten.
//! - [`export`] makes a [`Bundle`], [`verify_bundle`] checks one from the published formats alone.
//!
//! Features: `mock` adds `MockAuditLog`.

mod bundle;
mod commitment;
mod entry;
mod error;
mod log;
mod receipt;
mod search;

pub use bundle::{
    BUNDLE_BYTES_MAX, BUNDLE_ENTRIES_MAX, Bundle, BundleEntry, BundleError, Selection, Verified, export,
    verify_bundle,
};
pub use commitment::{COMMITMENT_PREFIX, Commitment, CommitmentError, Opening, SALT_BYTES};
pub use entry::{
    DATA_MAX, ENTRY_BYTES_MAX, ENTRY_VERSION, Entry, EntryError, ID_BYTES_MAX, NAME_BYTES_MAX, Outcome,
    PRINCIPAL_BYTES_MAX, SUBJECTS_MAX,
};
pub use error::AuditError;
#[cfg(feature = "mock")]
pub use log::MockAuditLog;
pub use log::{APPEND_BYTES_MAX, APPEND_ENTRIES_MAX, AuditLog, ENTRIES_LIMIT_MAX, PROFILE, Recorded};
pub use receipt::{Receipt, ReceiptError, prove, verify_receipt, verify_receipt_with};
pub use search::{SEARCH_LIMIT_MAX, SEARCH_SCAN_MAX, Search, SearchPage};

// The words of the proofs, so that a user of the port needs no second package for them.
pub use hpc_crypto::checkpoint::{Checkpoint, SignedCheckpoint};
pub use hpc_crypto::cosignature::Clock;
pub use hpc_crypto::hashing::Hash;
pub use hpc_crypto::merkle::{ConsistencyProof, InclusionProof};
pub use hpc_crypto::note::VerifierKey;
pub use hpc_crypto::tlog_policy::{TlogPolicy, Verdict};
