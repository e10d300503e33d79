//! A record of every call, for audit and metrics.

use std::time::Duration;

/// Told of every call of a tool, refused ones included.
pub trait CallObserver: Send + Sync {
    /// One call has ended. Must not block: it runs on the connection's task.
    fn observe(&self, record: &CallRecord<'_>);
}

/// One call that has ended. It has no arguments and no content, which may be private.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct CallRecord<'a> {
    /// The tool asked for, shortened: untrusted if the outcome is [`CallOutcome::Unknown`].
    pub tool: &'a str,
    /// Who called.
    pub principal: &'a str,
    /// The client program's own name: untrusted.
    pub client: Option<&'a str>,
    /// What became of it.
    pub outcome: CallOutcome,
    /// How long it took.
    pub took: Duration,
    /// Bytes of the arguments.
    pub arguments_bytes: usize,
    /// Bytes of the result.
    pub result_bytes: usize,
}

/// What became of a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum CallOutcome {
    /// The handler answered.
    Answered,
    /// The handler failed, or answered with a failure.
    Failed,
    /// There is no such tool.
    Unknown,
    /// The caller lacks the capability.
    Denied,
    /// The arguments are too large or do not match the schema.
    Invalid,
    /// Too many calls ran already.
    Busy,
    /// The time was over; the handler was dropped.
    TimedOut,
    /// The handler panicked, or its answer was too large or against its own schema.
    Broken,
}
