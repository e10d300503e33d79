//! What can go wrong.

use crate::{Key, Revision};

/// Why a ledger did not do what it was asked.
///
/// For a commit, [`LedgerError::outcome_unknown`] tells whether the transaction may have happened nevertheless.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum LedgerError {
    /// A comparison of the transaction did not hold; nothing was written. Read again and decide anew.
    #[error("the value of `{key}` is not the one expected; read it again and decide anew")]
    Conflict {
        /// The first key, in the order the comparisons were given, whose comparison failed.
        key: Key,
    },
    /// A value, transaction or count above a written limit; nothing was written.
    #[error("{what} is {actual}, above the limit of {limit}; split it")]
    TooLarge {
        /// What was too large, with its unit.
        what: &'static str,
        /// How large it was.
        actual: u64,
        /// The limit.
        limit: u64,
    },
    /// A text that is no [`Key`], or no prefix of one.
    #[error("invalid key `{key}`: {reason}")]
    InvalidKey {
        /// The text, shortened.
        key: String,
        /// The rule it breaks.
        reason: &'static str,
    },
    /// The changes asked for are no longer kept. Read the state with [`range`](crate::Ledger::range) and watch from
    /// the revision of that page.
    #[error(
        "changes before revision {oldest} are no longer kept; read the state and watch from its revision"
    )]
    Compacted {
        /// The smallest revision that can still be given as `after`.
        oldest: Revision,
    },
    /// The stored bytes are not what was written.
    #[error("ledger `{location}` is damaged: {what}; keep a copy of it and restore a backup")]
    Corrupt {
        /// What is wrong.
        what: String,
        /// The file, and the key or table if known.
        location: String,
    },
    /// The file was written by a program that knows another format.
    #[error(
        "ledger `{location}` has format {found}, this program knows {known}; run the program that wrote it"
    )]
    Format {
        /// The file.
        location: String,
        /// The format of the file.
        found: u64,
        /// The format this program reads and writes.
        known: u64,
    },
    /// Another process, or another part of this one, has the ledger open.
    #[error("ledger `{location}` is in use by another process; stop that process or choose another path")]
    Locked {
        /// The file.
        location: String,
    },
    /// No space left; nothing was written.
    #[error("no space left for ledger `{location}`; free some and repeat the request")]
    Full {
        /// The file.
        location: String,
    },
    /// The ledger cannot answer; for a commit the outcome is unknown.
    #[error("ledger unavailable: {reason}")]
    Unavailable {
        /// Why, and what to do.
        reason: String,
    },
    /// Too many requests wait already; nothing was written. Repeat later.
    #[error("{limit} {what} wait already; repeat the request later")]
    Backpressure {
        /// What waits.
        what: &'static str,
        /// How many may.
        limit: usize,
    },
}

impl LedgerError {
    /// Whether a commit that failed so may have been applied nevertheless.
    ///
    /// True for [`Unavailable`](Self::Unavailable) and [`Corrupt`](Self::Corrupt): read back before deciding.
    #[must_use]
    pub fn outcome_unknown(&self) -> bool {
        matches!(self, Self::Unavailable { .. } | Self::Corrupt { .. })
    }

    /// Whether the same request may succeed later without anyone's decision.
    ///
    /// True for [`Unavailable`](Self::Unavailable), [`Backpressure`](Self::Backpressure), [`Full`](Self::Full) and
    /// [`Locked`](Self::Locked).
    #[must_use]
    pub fn is_transient(&self) -> bool {
        matches!(
            self,
            Self::Unavailable { .. } | Self::Backpressure { .. } | Self::Full { .. } | Self::Locked { .. }
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_name_the_thing_and_the_way_out() {
        let full = LedgerError::Full { location: "/var/lib/hpc/ledger.redb".into() };
        assert_eq!(
            full.to_string(),
            "no space left for ledger `/var/lib/hpc/ledger.redb`; free some and repeat the request"
        );
        assert!(full.is_transient() && !full.outcome_unknown());
        let unavailable = LedgerError::Unavailable { reason: "the writer stopped".into() };
        assert!(unavailable.is_transient() && unavailable.outcome_unknown());
        let conflict = LedgerError::Conflict { key: Key::parse("a/b").unwrap() };
        assert!(!conflict.is_transient() && !conflict.outcome_unknown());
    }
}
