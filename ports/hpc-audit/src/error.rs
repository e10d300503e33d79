use crate::EntryError;

/// What can come back from an audit log.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum AuditError {
    /// An entry of the call breaks a rule; nothing of the call was recorded.
    #[error("entry `{id}` was refused: {source}")]
    InvalidEntry {
        /// The entry's id, shortened when it is long.
        id: String,
        /// The rule.
        source: EntryError,
    },
    /// More entries or bytes than one call may carry; nothing was recorded.
    #[error("one call takes at most {max} {what}, got {got}: split it")]
    TooMuch {
        /// What there is too much of.
        what: &'static str,
        /// How much there is.
        got: usize,
        /// How much there may be.
        max: usize,
    },
    /// An index, size or limit that the log does not have.
    #[error("{what} {got} is out of range: the log allows {min} to {max}")]
    OutOfRange {
        /// Which number.
        what: &'static str,
        /// The number given.
        got: u64,
        /// The least allowed.
        min: u64,
        /// The most allowed.
        max: u64,
    },
    /// The log cannot be written now; nothing of the call was recorded. Reading goes on.
    #[error("the audit log cannot be written, nothing was recorded: {reason}")]
    Unwritable {
        /// Why.
        reason: String,
    },
    /// Whether the entries were recorded is not known. Append them again with the same ids.
    #[error(
        "it is not known whether the entries were recorded, append them again with the same ids: {reason}"
    )]
    Unknown {
        /// Why.
        reason: String,
    },
    /// What is stored contradicts itself. Stop and verify the log.
    #[error("the audit log is damaged at {place}: {reason}")]
    Damaged {
        /// File and offset, or index.
        place: String,
        /// The contradiction.
        reason: String,
    },
    /// The log has been closed.
    #[error("the audit log is closed")]
    Closed,
    /// Anything else that the backend says.
    #[error("audit log on {name}: {reason}")]
    Backend {
        /// The backend.
        name: &'static str,
        /// What it said.
        reason: String,
    },
}
