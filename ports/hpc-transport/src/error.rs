use std::time::Duration;

use bytes::{BufMut, Bytes, BytesMut};
use hpc_error::{HpcError, Retry};

/// Longest reason that is kept or sent, in bytes; the rest is cut.
pub const REASON_BYTES_MAX: usize = 1024;
/// Longest wait that is believed when the other end asks for one.
const RETRY_AFTER_MAX: Duration = Duration::from_secs(60 * 60);

/// Whether the handler may have seen the request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Sent {
    /// It provably has not: sending again cannot do a thing twice.
    Nothing,
    /// It may have: send again only what is idempotent.
    Maybe,
}

/// Why a call or stream failed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TransportError {
    /// A method or stream name breaks the rules; nothing was sent.
    #[error("invalid {what} `{value}`: {reason}")]
    InvalidName {
        /// `method` or `stream name`.
        what: &'static str,
        /// What was given, cut to 64 characters.
        value: String,
        /// Which rule it breaks.
        reason: &'static str,
    },
    /// No connection stands and none could be made; nothing was sent.
    #[error("cannot reach the server: {reason}")]
    Unreachable {
        /// What the attempt ended with.
        reason: String,
    },
    /// One end did not accept the other's certificate, or a certificate was missing; nothing was sent.
    #[error("not authenticated: {reason}")]
    Unauthenticated {
        /// What was not accepted.
        reason: String,
    },
    /// The handler knows the caller and does not allow it.
    #[error("not allowed: {reason}")]
    Denied {
        /// What is not allowed.
        reason: String,
    },
    /// The server serves no method or stream of this name.
    #[error("`{name}` is not served here")]
    Unimplemented {
        /// The name asked for.
        name: String,
    },
    /// A message or frame is over the limit.
    #[error("{bytes} bytes are over the limit of {max}; send less at once")]
    TooLarge {
        /// How large it is.
        bytes: u64,
        /// How large it may be.
        max: u64,
    },
    /// The server is at its limit of work and did not start this.
    #[error("the server is at its limit; try again in {} ms", .retry_after.as_millis())]
    Overloaded {
        /// The wait the server asks for.
        retry_after: Duration,
    },
    /// The server is shutting down and did not start this; another connection may serve it.
    #[error("the server is going away and did not start this")]
    GoingAway,
    /// The deadline passed before the reply came.
    #[error("deadline exceeded")]
    DeadlineExceeded,
    /// The link was cut after the request may have left.
    #[error("the connection was lost: {reason}")]
    Closed {
        /// How it ended.
        reason: String,
    },
    /// The other end broke the protocol.
    #[error("protocol violation: {reason}")]
    Malformed {
        /// Which rule was broken.
        reason: String,
    },
    /// The handler found the request to be wrong; the same request will fail again.
    #[error("rejected: {reason}")]
    Rejected {
        /// What is wrong with it.
        reason: String,
    },
    /// The handler failed.
    #[error("the handler failed: {reason}")]
    Failed {
        /// What it says about it.
        reason: String,
    },
}

impl TransportError {
    /// A [`TransportError::InvalidName`] with the value cut to what is worth showing.
    pub(crate) fn invalid_name(what: &'static str, value: &str, reason: &'static str) -> Self {
        Self::InvalidName { what, value: value.chars().take(64).collect(), reason }
    }

    /// A [`TransportError::Unreachable`].
    pub fn unreachable(reason: impl Into<String>) -> Self {
        Self::Unreachable { reason: cut(reason.into()) }
    }

    /// A [`TransportError::Unauthenticated`].
    pub fn unauthenticated(reason: impl Into<String>) -> Self {
        Self::Unauthenticated { reason: cut(reason.into()) }
    }

    /// A [`TransportError::Denied`].
    pub fn denied(reason: impl Into<String>) -> Self {
        Self::Denied { reason: cut(reason.into()) }
    }

    /// A [`TransportError::Unimplemented`].
    pub fn unimplemented(name: impl Into<String>) -> Self {
        Self::Unimplemented { name: cut(name.into()) }
    }

    /// A [`TransportError::Closed`].
    pub fn closed(reason: impl Into<String>) -> Self {
        Self::Closed { reason: cut(reason.into()) }
    }

    /// A [`TransportError::Malformed`].
    pub fn malformed(reason: impl Into<String>) -> Self {
        Self::Malformed { reason: cut(reason.into()) }
    }

    /// A [`TransportError::Rejected`].
    pub fn rejected(reason: impl Into<String>) -> Self {
        Self::Rejected { reason: cut(reason.into()) }
    }

    /// A [`TransportError::Failed`].
    pub fn failed(reason: impl Into<String>) -> Self {
        Self::Failed { reason: cut(reason.into()) }
    }

    /// Compares a size with its limit, both in bytes.
    ///
    /// # Errors
    /// [`TransportError::TooLarge`].
    pub fn check_size(bytes: usize, max: usize) -> crate::Result<()> {
        if bytes > max {
            return Err(Self::TooLarge { bytes: bytes as u64, max: max as u64 });
        }
        Ok(())
    }

    /// Whether the handler may have seen the request.
    ///
    /// `TooLarge` and `Malformed` say `Maybe`, because they may be about the reply.
    #[must_use]
    pub fn sent(&self) -> Sent {
        match self {
            Self::InvalidName { .. }
            | Self::Unreachable { .. }
            | Self::Unauthenticated { .. }
            | Self::Unimplemented { .. }
            | Self::Overloaded { .. }
            | Self::GoingAway => Sent::Nothing,
            Self::Denied { .. }
            | Self::TooLarge { .. }
            | Self::DeadlineExceeded
            | Self::Closed { .. }
            | Self::Malformed { .. }
            | Self::Rejected { .. }
            | Self::Failed { .. } => Sent::Maybe,
        }
    }

    /// Whether the same request may be sent again, by a caller that does not know whether it is idempotent.
    #[must_use]
    pub fn retry(&self) -> Retry {
        match self {
            Self::GoingAway => Retry::SameRequest,
            Self::Unreachable { .. } => Retry::WithBackoff { after: None },
            Self::Overloaded { retry_after } => Retry::WithBackoff { after: Some(*retry_after) },
            Self::InvalidName { .. }
            | Self::Unauthenticated { .. }
            | Self::Denied { .. }
            | Self::TooLarge { .. }
            | Self::Rejected { .. } => Retry::AfterFix,
            Self::Unimplemented { .. }
            | Self::DeadlineExceeded
            | Self::Closed { .. }
            | Self::Malformed { .. }
            | Self::Failed { .. } => Retry::Never,
        }
    }

    /// The payload of an error frame: a case number, two numbers of eight bytes, and the text.
    #[must_use]
    pub fn encode(&self) -> Bytes {
        let (code, first, second, text) = match self {
            // A name that is wrong at the far end was never sent by a caller that checks: it is a broken peer.
            Self::InvalidName { .. } => (11, 0, 0, self.to_string()),
            Self::Unreachable { reason } => (2, 0, 0, reason.clone()),
            Self::Unauthenticated { reason } => (3, 0, 0, reason.clone()),
            Self::Denied { reason } => (4, 0, 0, reason.clone()),
            Self::Unimplemented { name } => (5, 0, 0, name.clone()),
            Self::TooLarge { bytes, max } => (6, *bytes, *max, String::new()),
            Self::Overloaded { retry_after } => {
                (7, u64::try_from(retry_after.as_millis()).unwrap_or(u64::MAX), 0, String::new())
            }
            Self::GoingAway => (8, 0, 0, String::new()),
            Self::DeadlineExceeded => (9, 0, 0, String::new()),
            Self::Closed { reason } => (10, 0, 0, reason.clone()),
            Self::Malformed { reason } => (11, 0, 0, reason.clone()),
            Self::Rejected { reason } => (12, 0, 0, reason.clone()),
            Self::Failed { reason } => (13, 0, 0, reason.clone()),
        };
        let text = cut(text);
        let mut out = BytesMut::with_capacity(ERROR_FIXED_BYTES + text.len());
        out.put_u8(code);
        out.put_u64(first);
        out.put_u64(second);
        out.put_slice(text.as_bytes());
        out.freeze()
    }

    /// Reads what [`TransportError::encode`] wrote. An error that cannot be read is itself a [`TransportError::Malformed`].
    #[must_use]
    pub fn decode(payload: &[u8]) -> Self {
        let Some((head, text)) = payload.split_first_chunk::<ERROR_FIXED_BYTES>() else {
            return Self::malformed("error frame is too short");
        };
        let [code, a0, a1, a2, a3, a4, a5, a6, a7, b0, b1, b2, b3, b4, b5, b6, b7] = *head;
        let first = u64::from_be_bytes([a0, a1, a2, a3, a4, a5, a6, a7]);
        let second = u64::from_be_bytes([b0, b1, b2, b3, b4, b5, b6, b7]);
        let text = cut(String::from_utf8_lossy(text.get(..REASON_BYTES_MAX).unwrap_or(text)).into_owned());
        match code {
            2 => Self::Unreachable { reason: text },
            3 => Self::Unauthenticated { reason: text },
            4 => Self::Denied { reason: text },
            5 => Self::Unimplemented { name: text },
            6 => Self::TooLarge { bytes: first, max: second },
            7 => Self::Overloaded { retry_after: Duration::from_millis(first).min(RETRY_AFTER_MAX) },
            8 => Self::GoingAway,
            9 => Self::DeadlineExceeded,
            10 => Self::Closed { reason: text },
            11 => Self::Malformed { reason: text },
            12 => Self::Rejected { reason: text },
            13 => Self::Failed { reason: text },
            other => Self::malformed(format!("unknown error case {other}")),
        }
    }
}

const ERROR_FIXED_BYTES: usize = 1 + 8 + 8;

impl From<TransportError> for HpcError {
    fn from(error: TransportError) -> Self {
        let message = error.to_string();
        let plain = match &error {
            TransportError::InvalidName { .. } | TransportError::Rejected { .. } => {
                Self::invalid_input(message)
            }
            TransportError::Unreachable { .. } | TransportError::Closed { .. } => Self::network(message),
            TransportError::Unauthenticated { .. } => Self::unauthenticated(message),
            TransportError::Denied { .. } => Self::denied(message),
            TransportError::Unimplemented { .. } => Self::unsupported(message),
            TransportError::TooLarge { .. } => Self::exhausted(message),
            TransportError::Overloaded { .. } | TransportError::GoingAway => Self::unavailable(message),
            TransportError::DeadlineExceeded => Self::timeout(message),
            TransportError::Malformed { .. } | TransportError::Failed { .. } => Self::internal(message),
        };
        if plain.retry() == error.retry() { plain } else { plain.retry_class(error.retry()) }
    }
}

/// Cuts at a character boundary.
fn cut(mut text: String) -> String {
    let mut end = text.len().min(REASON_BYTES_MAX);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    text.truncate(end);
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    pub(crate) fn one_of_each() -> Vec<TransportError> {
        vec![
            TransportError::unreachable("no route"),
            TransportError::unauthenticated("no certificate"),
            TransportError::denied("not yours"),
            TransportError::unimplemented("/a.B/C"),
            TransportError::TooLarge { bytes: 9, max: 8 },
            TransportError::Overloaded { retry_after: Duration::from_millis(250) },
            TransportError::GoingAway,
            TransportError::DeadlineExceeded,
            TransportError::closed("reset"),
            TransportError::malformed("bad frame"),
            TransportError::rejected("zone is empty"),
            TransportError::failed("disk full"),
        ]
    }

    #[test]
    fn every_case_survives_the_wire() {
        for error in one_of_each() {
            assert_eq!(TransportError::decode(&error.encode()), error);
        }
    }

    #[test]
    fn an_unreadable_error_is_a_protocol_violation() {
        for bad in [&b""[..], &[7; 16], &[0; 17], &[99; 40]] {
            assert!(matches!(TransportError::decode(bad), TransportError::Malformed { .. }), "{bad:?}");
        }
    }

    #[test]
    fn reasons_are_cut_at_a_character() {
        let error = TransportError::failed("ä".repeat(REASON_BYTES_MAX));
        let TransportError::Failed { reason } = &error else { panic!("{error}") };
        assert_eq!(reason.len(), REASON_BYTES_MAX);
        assert_eq!(TransportError::decode(&error.encode()), error);
    }

    #[test]
    fn an_absurd_wait_is_not_believed() {
        let error = TransportError::Overloaded { retry_after: Duration::MAX };
        assert_eq!(
            TransportError::decode(&error.encode()),
            TransportError::Overloaded { retry_after: RETRY_AFTER_MAX }
        );
    }

    #[test]
    fn only_what_never_ran_may_be_sent_again_blindly() {
        for error in one_of_each() {
            if error.retry().is_retriable() {
                assert_eq!(error.sent(), Sent::Nothing, "{error}");
            }
            let foreign: HpcError = error.clone().into();
            assert_eq!(foreign.retry(), error.retry(), "{error}");
        }
    }
}
