//! How this provider says no.

use hpc_ledger::LedgerError;
use hpc_provider::{Certainty, ErrorKind, ProviderError, Scope};

pub(crate) fn config(code: &str, message: &str) -> ProviderError {
    ProviderError::new(ErrorKind::Config, Scope::Provider, Certainty::NotDone, code, message)
}

pub(crate) fn no_stock(place: &str, wanted: u32, free: usize) -> ProviderError {
    let message = format!("{place}: {wanted} wanted, {free} free");
    ProviderError::new(ErrorKind::Capacity, Scope::Zone, Certainty::NotDone, "NoFreeMachine", &message)
}

pub(crate) fn conflict() -> ProviderError {
    let message = "the token reserved something else before";
    ProviderError::new(ErrorKind::Conflict, Scope::Account, Certainty::NotDone, "TokenReused", message)
}

/// The ledger did not answer, or did not keep what it was given.
pub(crate) fn ledger(error: &LedgerError, certainty: Certainty) -> ProviderError {
    let (kind, code) = match error {
        LedgerError::Backpressure { .. } => (ErrorKind::Throttled, "LedgerBusy"),
        LedgerError::Conflict { .. } => (ErrorKind::Throttled, "LedgerContended"),
        LedgerError::Corrupt { .. } => (ErrorKind::Internal, "LedgerDamaged"),
        _ => (ErrorKind::Internal, "LedgerUnavailable"),
    };
    ProviderError::new(kind, Scope::Provider, certainty, code, &error.to_string())
}

/// A record that this program did not write.
pub(crate) fn damaged(key: &str, what: &str) -> LedgerError {
    LedgerError::Corrupt { what: what.to_owned(), location: key.to_owned() }
}
