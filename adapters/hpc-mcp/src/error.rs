//! What can go wrong with servers and clients.

use hpc_error::HpcError;

/// Why a server could not be built or a connection did not work.
///
/// A tool's own failures are [`HpcError`]s, and reach the client as results.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum McpError {
    /// A tool that cannot be offered.
    #[error("tool `{name}` cannot be offered: {reason}")]
    InvalidTool {
        /// The tool, its name shortened.
        name: String,
        /// Why, and what to do.
        reason: String,
    },
    /// Two tools with one name.
    #[error("tool `{name}` is registered twice; rename one")]
    DuplicateTool {
        /// The name.
        name: String,
    },
    /// More tools than a server offers.
    #[error("{count} tools are above the limit of {limit}")]
    TooManyTools {
        /// How many were registered.
        count: usize,
        /// The limit.
        limit: usize,
    },
    /// A principal or capability that is no name.
    #[error("invalid caller: {reason}")]
    InvalidCaller {
        /// The rule broken.
        reason: String,
    },
    /// A setting out of bounds.
    #[error("invalid setting: {reason}")]
    InvalidSetting {
        /// The rule broken.
        reason: String,
    },
    /// The peer refused the request with a JSON-RPC error.
    #[error("the server refused the request ({code}): {message}")]
    Refused {
        /// The JSON-RPC code; -32602 for an unknown tool.
        code: i32,
        /// The peer's words: untrusted, shortened.
        message: String,
    },
    /// No protocol version in common, or the peer does not speak the protocol.
    #[error("no session with the peer: {reason}")]
    Handshake {
        /// What happened: may hold the peer's words, shortened.
        reason: String,
    },
    /// The connection ended.
    #[error("the connection is closed")]
    Closed,
    /// No answer in time; whether the call had an effect is unknown.
    #[error("no answer within {timeout_ms} ms; whether the call had an effect is unknown")]
    Timeout {
        /// The wait, in milliseconds.
        timeout_ms: u64,
    },
    /// The peer's answer is not what the protocol asks for, or above a limit.
    #[error("unusable answer: {reason}")]
    Protocol {
        /// What is wrong.
        reason: String,
    },
    /// The server's process could not be started.
    #[error("cannot start `{program}`: {reason}")]
    Spawn {
        /// The program.
        program: String,
        /// Why.
        reason: String,
    },
}

impl From<McpError> for HpcError {
    fn from(error: McpError) -> Self {
        let message = error.to_string();
        let wrapped = match &error {
            McpError::InvalidTool { .. }
            | McpError::DuplicateTool { .. }
            | McpError::TooManyTools { .. }
            | McpError::InvalidSetting { .. } => Self::config(message),
            McpError::InvalidCaller { .. } | McpError::Refused { .. } => Self::invalid_input(message),
            McpError::Timeout { .. } => Self::timeout(message),
            McpError::Closed | McpError::Spawn { .. } => Self::unavailable(message),
            McpError::Handshake { .. } | McpError::Protocol { .. } => Self::network(message),
        };
        wrapped.caused_by(error)
    }
}

/// Untrusted text cut to what a message may carry, without control characters.
pub(crate) fn shorten(text: &str, chars_max: usize) -> String {
    let clean = |character: char| if character.is_control() { ' ' } else { character };
    let mut shown: String = text.chars().take(chars_max).map(clean).collect();
    if text.chars().nth(chars_max).is_some() {
        shown.push('…');
    }
    shown
}
