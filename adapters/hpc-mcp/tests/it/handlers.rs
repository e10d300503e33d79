//! Handlers the tests share.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use hpc_mcp::{
    Annotations, CallObserver, CallOutcome, CallRecord, Caller, Content, HpcError, JsonSchema, McpServer,
    McpServerBuilder, Result, Tool, ToolCall, ToolHandler, ToolResult,
};
use serde_json::json;
use tokio::sync::{Mutex, Notify};

pub(crate) struct Echo;

#[async_trait]
impl ToolHandler for Echo {
    async fn handle(&self, call: ToolCall) -> Result<ToolResult> {
        Ok(ToolResult::success(vec![Content::text(&call.arguments)]))
    }
}

/// A handler from a function.
pub(crate) struct With<F>(pub(crate) F);

#[async_trait]
impl<F: Fn(ToolCall) -> Result<ToolResult> + Send + Sync> ToolHandler for With<F> {
    async fn handle(&self, call: ToolCall) -> Result<ToolResult> {
        (self.0)(call)
    }
}

/// Waits until it is told to go on, and counts how many wait.
#[derive(Default)]
pub(crate) struct Gate {
    pub(crate) waiting: AtomicUsize,
    pub(crate) dropped: AtomicUsize,
    pub(crate) entered: Notify,
    pub(crate) open: Notify,
}

struct CountDrop(Arc<Gate>);

impl Drop for CountDrop {
    fn drop(&mut self) {
        self.0.dropped.fetch_add(1, Ordering::SeqCst);
    }
}

pub(crate) struct GateHandler(pub(crate) Arc<Gate>);

#[async_trait]
impl ToolHandler for GateHandler {
    async fn handle(&self, call: ToolCall) -> Result<ToolResult> {
        let _guard = CountDrop(Arc::clone(&self.0));
        self.0.waiting.fetch_add(1, Ordering::SeqCst);
        self.0.entered.notify_one();
        tokio::select! {
            () = self.0.open.notified() => Ok(ToolResult::success(vec![Content::text("through")])),
            () = call.ctx.cancelled() => Err(HpcError::cancelled("cancelled by the client")),
        }
    }
}

#[derive(serde::Deserialize, serde::Serialize, JsonSchema)]
pub(crate) struct Ask {
    /// How many.
    #[schemars(range(min = 1, max = 64))]
    pub(crate) gpus: u32,
    pub(crate) region: Option<String>,
}

#[derive(serde::Deserialize, serde::Serialize, JsonSchema)]
pub(crate) struct Plan {
    pub(crate) id: String,
}

#[derive(Default)]
pub(crate) struct Seen(pub(crate) std::sync::Mutex<Vec<(String, String, CallOutcome)>>);

impl CallObserver for Seen {
    fn observe(&self, record: &CallRecord<'_>) {
        self.0.lock().unwrap().push((record.tool.to_owned(), record.principal.to_owned(), record.outcome));
    }
}

pub(crate) type Log = Arc<Mutex<Vec<String>>>;

/// A server with one tool of each kind.
pub(crate) fn builder() -> McpServerBuilder {
    McpServer::builder()
        .identity("test-server", "1.2.3")
        .instructions("plan first")
        .register_tool(Tool::new("echo", "Echo a message"), Echo)
        .register_tool(
            Tool::new("plan", "Plan a request")
                .title("Plan")
                .input::<Ask>()
                .output::<Plan>()
                .annotations(Annotations::read_only()),
            With(|call: ToolCall| {
                let ask: Ask = call.arguments_as()?;
                if ask.region.as_deref() == Some("nowhere") {
                    return Err(HpcError::not_found("unknown region `nowhere`").with("region", "nowhere"));
                }
                ToolResult::structured(&Plan { id: format!("pln_{}", ask.gpus) })
            }),
        )
        .register_tool(
            Tool::new("release", "Release a lease")
                .annotations(Annotations::destructive().idempotent())
                .requires("spend"),
            With(|call: ToolCall| {
                Ok(ToolResult::success(vec![Content::text(call.ctx.caller().principal())]))
            }),
        )
        .register_tool(
            Tool::new("liar", "Answers against its schema").output::<Plan>(),
            With(|_| ToolResult::structured(&json!({"id": 7}))),
        )
        .register_tool(Tool::new("mute", "Answers no data").output::<Plan>(), Echo)
        .register_tool(
            Tool::new("large", "Answers too much"),
            With(|_| Ok(ToolResult::success(vec![Content::text("x".repeat((1 << 20) + 1))]))),
        )
        .register_tool(Tool::new("panic", "Panics"), With(|_| panic!("a bug with a s3cr3t")))
        .register_tool(
            Tool::new("picture", "Answers an image"),
            With(|_| {
                Ok(ToolResult::success(vec![Content::image(b"\x89PNG", "image/png"), Content::text("a dot")]))
            }),
        )
        .register_tool(
            Tool::new("slow", "Never answers").timeout(Duration::from_millis(50)),
            GateHandler(Arc::new(Gate::default())),
        )
}

pub(crate) fn spender() -> Caller {
    Caller::new("agent:train-bot", ["plan", "spend"]).unwrap()
}
