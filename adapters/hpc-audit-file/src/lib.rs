//! An audit log on files: C2SP tiles, signed checkpoints, a write-ahead tail, and a verifier for every byte of the folder.
//!
//! Never keeps the private key in the folder, never reads the clock, never signs a checkpoint that goes back.
//!
//! ```
//! use hpc_audit::{AuditLog, Entry, Outcome};
//! use hpc_audit_file::{Config, FileAuditLog, verify_dir};
//! use hpc_crypto::signing::KeyPair;
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let dir = tempfile::tempdir()?;
//! # let dir = dir.path();
//! let log = FileAuditLog::open(dir, KeyPair::from_seed([1; 32]), Config::new("hpc.example/audit"))?;
//! let entry = Entry::new("id", "2026-11-23T15:00:00Z".parse()?, "alice", "lease.active", Outcome::Ok);
//! log.append(vec![entry]).await?;
//! log.close().await?;
//! assert_eq!(verify_dir(dir, None)?.entries, 1);
//! # Ok(())
//! # }
//! ```
//!
//! There are no optional features. The README describes the files.

mod config;
mod disk;
mod error;
mod examine;
#[cfg(fuzzing)]
#[doc(hidden)]
pub mod fuzzing;
mod head;
mod ids;
mod index;
mod lock;
mod log;
mod map;
mod opening;
mod publisher;
mod search;
mod segment;
mod shared;
mod tail;
mod tiles;
mod verify;
mod writer;

pub use config::{Config, GROUP_BYTES_MAX, PENDING_BYTES_MAX, PENDING_ENTRIES_MAX, TAIL_BYTES_MAX};
pub use error::DirError;
pub use index::IndexReport;
pub use log::FileAuditLog;
pub use opening::Opening;
pub use segment::TornTail;
pub use verify::{Against, DirReport, Progress, check_dir, verify_dir, visit_dir};

#[cfg(test)]
mod crashes;
#[cfg(test)]
mod openings;
