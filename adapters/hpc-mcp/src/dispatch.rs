//! One call from its name to its result, without any protocol.

use std::sync::Arc;
use std::time::Duration;

use hpc_error::HpcError;
use serde_json::{Map, Value};
use tokio::time::Instant;

use crate::caller::Caller;
use crate::error::shorten;
use crate::observe::{CallOutcome, CallRecord};
use crate::registry::{Registered, Registry};
use crate::schema::{ARGUMENTS_DEPTH_MAX, measure};
use crate::{CallContext, TOOL_NAME_BYTES_MAX, ToolCall, ToolResult};

/// Wait told to a client when too many calls run.
const BUSY_RETRY: Duration = Duration::from_secs(1);

/// There is no such tool: the one failure that is no result.
pub(crate) struct UnknownTool(pub(crate) String);

impl Registry {
    /// The tools that `caller` may call, in order of names, after the name `after`.
    pub(crate) fn visible<'a>(
        &'a self,
        caller: &'a Caller,
        after: Option<&str>,
    ) -> impl Iterator<Item = &'a Registered> + use<'a> {
        use std::ops::Bound;
        let start = after.map_or(Bound::Unbounded, |name| Bound::Excluded(name.to_owned()));
        self.tools
            .range::<String, _>((start, Bound::Unbounded))
            .map(|(_, registered)| registered)
            .filter(|registered| may_call(registered, caller))
    }

    /// Runs a call; `ctx.deadline` is set here.
    pub(crate) async fn call(
        &self,
        name: &str,
        arguments: Option<Map<String, Value>>,
        ctx: CallContext,
    ) -> Result<ToolResult, UnknownTool> {
        let started = Instant::now();
        let arguments = Value::Object(arguments.unwrap_or_default());
        let arguments_bytes = measure(&arguments).bytes;
        let (caller, client) = (Arc::clone(&ctx.caller), ctx.client.clone());
        let shown = shorten(name, TOOL_NAME_BYTES_MAX);
        let (outcome, result) = match self.tools.get(name) {
            None => (CallOutcome::Unknown, None),
            Some(registered) => {
                let (outcome, result) = self.run(registered, arguments, ctx).await;
                (outcome, Some(result))
            }
        };
        if let Some(observer) = &self.observer {
            observer.observe(&CallRecord {
                tool: &shown,
                principal: caller.principal(),
                client: client.as_ref().map(|(name, _)| name.as_str()),
                outcome,
                took: started.elapsed(),
                arguments_bytes,
                result_bytes: result.as_ref().map_or(0, ToolResult::size_bytes),
            });
        }
        result.ok_or(UnknownTool(shown))
    }

    async fn run(
        &self,
        registered: &Registered,
        arguments: Value,
        mut ctx: CallContext,
    ) -> (CallOutcome, ToolResult) {
        let tool = &registered.tool;
        if !may_call(registered, &ctx.caller) {
            let capability = tool.requires.as_deref().unwrap_or_default();
            let error = HpcError::denied(format!("tool `{}` needs the capability `{capability}`", tool.name))
                .with("tool", &tool.name)
                .with("capability", capability);
            return (CallOutcome::Denied, ToolResult::failure(&error));
        }
        if let Err(error) = self.check_arguments(registered, &arguments) {
            return (CallOutcome::Invalid, ToolResult::failure(&error));
        }
        let Ok(permit) = Arc::clone(&self.running).try_acquire_owned() else {
            let error = HpcError::unavailable(format!("{} calls run already", self.limits.calls_max))
                .retry_after(BUSY_RETRY);
            return (CallOutcome::Busy, ToolResult::failure(&error));
        };
        ctx.deadline = Instant::now() + tool.timeout;
        let deadline = ctx.deadline;
        let handler = Arc::clone(&registered.handler);
        let call = ToolCall { name: tool.name.clone(), arguments, ctx };
        // A task of its own: a panic is its result, and dropping it ends the handler.
        let mut running = AbortOnDrop(tokio::spawn(async move {
            let answer = handler.handle(call).await;
            drop(permit);
            answer
        }));
        match tokio::time::timeout_at(deadline, &mut running.0).await {
            Ok(Ok(Ok(result))) => self.check_result(registered, result),
            Ok(Ok(Err(error))) => (CallOutcome::Failed, ToolResult::failure(&error)),
            Ok(Err(_panic)) => {
                let error = HpcError::internal(format!("tool `{}` stopped unexpectedly", tool.name));
                (CallOutcome::Broken, ToolResult::failure(&error))
            }
            Err(_elapsed) => {
                let error = HpcError::timeout(format!(
                    "tool `{}` did not answer within {} ms; whether it had an effect is unknown",
                    tool.name,
                    tool.timeout.as_millis()
                ));
                (CallOutcome::TimedOut, ToolResult::failure(&error))
            }
        }
    }

    fn check_arguments(&self, registered: &Registered, arguments: &Value) -> Result<(), HpcError> {
        let size = measure(arguments);
        let limit = self.limits.arguments_bytes_max;
        if size.bytes > limit || size.depth > ARGUMENTS_DEPTH_MAX {
            return Err(HpcError::invalid_input(format!(
                "the arguments have {} bytes and {} levels, above the limit of {limit} and {ARGUMENTS_DEPTH_MAX}",
                size.bytes, size.depth
            )));
        }
        let violations = registered.input.violations(arguments);
        if violations.is_empty() {
            return Ok(());
        }
        Err(HpcError::invalid_input(format!(
            "the arguments do not match the input schema: {}",
            shorten(&violations.join("; "), 900)
        )))
    }

    fn check_result(&self, registered: &Registered, result: ToolResult) -> (CallOutcome, ToolResult) {
        let name = &registered.tool.name;
        let broken = |reason: String| {
            (CallOutcome::Broken, ToolResult::failure(&HpcError::internal(format!("tool `{name}` {reason}"))))
        };
        let bytes = result.size_bytes();
        if bytes > self.limits.result_bytes_max {
            return broken(format!(
                "answered {bytes} bytes, above the limit of {}; ask for less",
                self.limits.result_bytes_max
            ));
        }
        if result.is_error {
            return (CallOutcome::Failed, result);
        }
        if let Some(output) = &registered.output {
            let Some(data) = &result.structured else {
                return broken("has an output schema and answered no data".into());
            };
            let violations = output.violations(data);
            if !violations.is_empty() {
                return broken(format!("answered against its output schema: {}", violations.join("; ")));
            }
        }
        (CallOutcome::Answered, result)
    }
}

fn may_call(registered: &Registered, caller: &Caller) -> bool {
    registered.tool.requires.as_deref().is_none_or(|capability| caller.may(capability))
}

struct AbortOnDrop<T>(tokio::task::JoinHandle<T>);

impl<T> Drop for AbortOnDrop<T> {
    fn drop(&mut self) {
        self.0.abort();
    }
}
