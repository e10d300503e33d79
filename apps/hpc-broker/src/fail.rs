//! Failures of the broker: every one carries a code from the registry of `hpc-error`.

use hpc_error::{HpcError, Retry, codes};
use hpc_ledger::LedgerError;

/// A ledger failure, as the caller of a use case sees it.
pub(crate) fn ledger(error: LedgerError) -> HpcError {
    let code = match &error {
        LedgerError::Full { .. } => &codes::DAT_DISK_FULL,
        LedgerError::Corrupt { .. } => &codes::DAT_CORRUPT,
        LedgerError::Locked { .. } => &codes::DAT_LOCKED,
        LedgerError::Backpressure { .. } => &codes::NET_OVERLOADED,
        _ => &codes::INT_STORE,
    };
    let full = matches!(error, LedgerError::Full { .. });
    let failed = HpcError::coded(code, error.to_string()).caused_by(error);
    // Nothing was done, and will be once there is room.
    if full { failed.retry_class(Retry::AfterFix) } else { failed }
}

/// A record that does not read as what it should be.
pub(crate) fn corrupt(key: &str, error: &serde_json::Error) -> HpcError {
    HpcError::coded(&codes::DAT_CORRUPT, format!("the ledger's `{key}` cannot be read: {error}"))
        .with("key", key)
}

/// A bug: something that cannot be serialised, or an id that cannot be a key.
pub(crate) fn bug(what: impl std::fmt::Display) -> HpcError {
    HpcError::coded(&codes::INT_BUG, what.to_string())
}

/// An amount that left the range of money.
pub(crate) fn money(error: hpc_resources::MoneyError) -> HpcError {
    HpcError::coded(&codes::USG_BAD_AMOUNT, error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_disk_says_that_room_helps_and_an_unknown_outcome_does_not() {
        let full = ledger(LedgerError::Full { location: "ledger.redb".to_owned() });
        assert_eq!((full.registered(), full.retry()), (Some(&codes::DAT_DISK_FULL), Retry::AfterFix));
        let lost = ledger(LedgerError::Unavailable { reason: "it hangs".to_owned() });
        assert_eq!(lost.retry(), codes::INT_STORE.retry());
    }
}
