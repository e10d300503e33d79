//! What a handler receives.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use hpc_error::HpcError;
use serde::de::DeserializeOwned;
use serde_json::Value;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::{Caller, ToolResult};

/// Runs a tool.
#[async_trait]
pub trait ToolHandler: Send + Sync {
    /// Answers one call. Its arguments match the tool's input schema, and its caller holds the tool's capability.
    ///
    /// When the tool's time is over the future is dropped, so work that must not stop half-way belongs in a task of
    /// its own. When the client cancels, only [`CallContext::cancelled`] tells.
    ///
    /// # Errors
    /// Any [`HpcError`]: it becomes a failed result, with its kind, code, context and retry class as data. It is
    /// read by a model, so it holds no secret.
    async fn handle(&self, call: ToolCall) -> crate::Result<ToolResult>;
}

/// One call of a tool.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct ToolCall {
    /// The tool's name, for a handler that serves several.
    pub name: String,
    /// A JSON object that matches the tool's input schema.
    pub arguments: Value,
    /// Who calls, how long there is, and how to report.
    pub ctx: CallContext,
}

impl ToolCall {
    /// A call for a test of a handler: nobody listens to its progress and nobody cancels it.
    #[must_use]
    pub fn for_test(name: impl Into<String>, arguments: Value, caller: Caller) -> Self {
        Self {
            name: name.into(),
            arguments,
            ctx: CallContext {
                caller: Arc::new(caller),
                client: None,
                traceparent: None,
                deadline: Instant::now() + crate::TOOL_TIMEOUT_DEFAULT,
                cancelled: CancellationToken::new(),
                progress: None,
            },
        }
    }

    /// The arguments as `T`.
    ///
    /// # Errors
    /// [`HpcError::InvalidInput`] if they are no `T`, which a schema made from `T` rules out.
    pub fn arguments_as<T: DeserializeOwned>(&self) -> crate::Result<T> {
        T::deserialize(&self.arguments)
            .map_err(|error| HpcError::invalid_input(format!("the arguments have another form: {error}")))
    }
}

/// The circumstances of a call.
#[derive(Clone)]
pub struct CallContext {
    pub(crate) caller: Arc<Caller>,
    pub(crate) client: Option<(String, String)>,
    pub(crate) traceparent: Option<String>,
    pub(crate) deadline: Instant,
    pub(crate) cancelled: CancellationToken,
    pub(crate) progress: Option<Arc<dyn ProgressSink>>,
}

/// Where progress goes.
pub(crate) trait ProgressSink: Send + Sync {
    fn send(
        &self,
        done: f64,
        total: Option<f64>,
        message: String,
    ) -> Pin<Box<dyn Future<Output = ()> + Send + '_>>;
}

impl CallContext {
    /// Who calls.
    #[must_use]
    pub fn caller(&self) -> &Caller {
        &self.caller
    }

    /// Name and version of the client program, as it says itself: untrusted.
    #[must_use]
    pub fn client(&self) -> Option<(&str, &str)> {
        self.client.as_ref().map(|(name, version)| (name.as_str(), version.as_str()))
    }

    /// The W3C `traceparent` of the call, if it sent a well-formed one.
    #[must_use]
    pub fn traceparent(&self) -> Option<&str> {
        self.traceparent.as_deref()
    }

    /// Time until the handler is dropped.
    #[must_use]
    pub fn time_left(&self) -> Duration {
        self.deadline.saturating_duration_since(Instant::now())
    }

    /// Whether the client has cancelled the call.
    #[must_use]
    pub fn is_cancelled(&self) -> bool {
        self.cancelled.is_cancelled()
    }

    /// Waits until the client cancels the call.
    pub async fn cancelled(&self) {
        self.cancelled.cancelled().await;
    }

    /// Tells the client how far the call is, if it asked; `done` must grow. A client that is gone is no error.
    pub async fn progress(&self, done: f64, total: Option<f64>, message: impl Into<String> + Send) {
        const PROGRESS_MESSAGE_CHARS_MAX: usize = 1024;
        if let Some(progress) = &self.progress {
            progress
                .send(done, total, crate::error::shorten(&message.into(), PROGRESS_MESSAGE_CHARS_MAX))
                .await;
        }
    }
}

impl std::fmt::Debug for CallContext {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("CallContext")
            .field("caller", &self.caller)
            .field("client", &self.client)
            .field("traceparent", &self.traceparent)
            .finish_non_exhaustive()
    }
}

/// Whether `text` is a W3C `traceparent` of version 00.
pub(crate) fn is_traceparent(text: &str) -> bool {
    let parts: Vec<&str> = text.split('-').collect();
    let hex = |part: &str, len: usize| {
        part.len() == len && part.bytes().all(|byte| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte))
    };
    let set = |part: &str| part.bytes().any(|byte| byte != b'0');
    matches!(parts.as_slice(), ["00", trace, span, flags]
        if hex(trace, 32) && set(trace) && hex(span, 16) && set(span) && hex(flags, 2))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_well_formed_trace_parents_pass() {
        assert!(is_traceparent("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"));
        for bad in [
            "",
            "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331",
            "ff-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
            "00-00000000000000000000000000000000-b7ad6b7169203331-01",
            "00-0AF7651916CD43DD8448EB211C80319C-b7ad6b7169203331-01",
            "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01\n",
        ] {
            assert!(!is_traceparent(bad), "{bad:?}");
        }
    }
}
