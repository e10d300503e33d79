//! One error type that answers one question: *what can the caller do?*
//!
//! An [`HpcError`] has a kind, a retry class, context pairs, an optional stable code and a source.
//! The [`codes`] registry says for each code what it means and what to try.
//!
//! Never reads the clock, never retries by itself, never sends its source chain over a wire.
//!
//! ```
//! use hpc_error::{HpcError, Result, codes};
//! use std::time::Duration;
//!
//! fn operation() -> Result<String> {
//!     Err(HpcError::Database("connection failed".to_string()))
//! }
//! assert!(!operation().unwrap_err().is_retriable());
//!
//! let error = HpcError::unavailable("zone is draining")
//!     .with("region", "eu-west-1")
//!     .retry_after(Duration::from_secs(30));
//! assert!(error.is_retriable());
//! assert_eq!(HpcError::coded(&codes::PLN_EXPIRED, "plan `pln_7` expired").exit_code(), 9);
//! ```
//!
//! # Features
//! - `tonic` (off): `From<HpcError> for tonic::Status` and back, with `google.rpc.ErrorInfo` and `RetryInfo`.
//!
//! # Secrets
//! Everything in an error is meant to be read by a person: messages, context and sources end in logs,
//! terminals and `grpc-status` trailers. **Never put a secret, a token or a key into one**, not even
//! a part of it. Name the place the secret came from instead (`secret file `/run/keys/db``).
//! The project's secret types have neither `Display` nor `Debug`, so [`HpcError::with`] does not take them.

pub mod codes;
mod error;
mod kind;
mod report;
mod retry;
#[cfg(feature = "tonic")]
mod status;

pub use error::{
    CONTEXT_BYTES_MAX, CONTEXT_KEY_BYTES_MAX, CONTEXT_PAIRS_MAX, CONTEXT_VALUE_BYTES_MAX, HpcError,
    MESSAGE_BYTES_MAX, Result,
};
pub use kind::ErrorKind;
pub use report::ErrorReport;
pub use retry::Retry;
#[cfg(feature = "tonic")]
pub use status::ERROR_DOMAIN;
