use std::time::Duration;

/// Whether and how the failed call may be tried again.
///
/// It leaves out `#[non_exhaustive]`: a new class must make every retry loop stop and think.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Retry {
    /// Trying again cannot help, or could do the thing twice.
    Never,
    /// The very same request may be sent again at once: it never reached the other side.
    SameRequest,
    /// The very same request may be sent again after a wait.
    WithBackoff {
        /// The wait the other side asked for; `None` leaves it to the caller's own backoff.
        after: Option<Duration>,
    },
    /// Read the state again and start the whole transaction over; the same request would fail again.
    RestartTransaction,
    /// Somebody has to change the request, the policy, the quota or the set-up first.
    AfterFix,
}

impl Retry {
    /// True for the classes where the unchanged request may be sent again without a person:
    /// [`Retry::SameRequest`] and [`Retry::WithBackoff`].
    #[must_use]
    pub const fn is_retriable(self) -> bool {
        matches!(self, Self::SameRequest | Self::WithBackoff { .. })
    }

    /// Stable name in snake case, as it travels on the wire and in JSON.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Never => "never",
            Self::SameRequest => "same_request",
            Self::WithBackoff { .. } => "with_backoff",
            Self::RestartTransaction => "restart_transaction",
            Self::AfterFix => "after_fix",
        }
    }

    /// The class with this [`Retry::name`]; `after` is used by `with_backoff` alone.
    #[must_use]
    pub fn from_name(name: &str, after: Option<Duration>) -> Option<Self> {
        Some(match name {
            "never" => Self::Never,
            "same_request" => Self::SameRequest,
            "with_backoff" => Self::WithBackoff { after },
            "restart_transaction" => Self::RestartTransaction,
            "after_fix" => Self::AfterFix,
            _ => return None,
        })
    }
}
