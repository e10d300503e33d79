//! The protocol's types on one side, ours on the other. rmcp is named here, in `serve.rs` and in `client.rs` only.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use rmcp::model::{
    CacheScope, CallToolRequestParams, CallToolResponse, CallToolResult, ContentBlock, ErrorData,
    Implementation, JsonObject, ListToolsResult, PaginatedRequestParams, ProgressNotificationParam,
    ProgressToken, ServerCapabilities, ServerConfig, Tool as WireTool, ToolAnnotations,
};
use rmcp::service::RequestContext;
use rmcp::{Peer, RoleServer, ServerHandler};
use serde_json::Value;
use tokio::time::Instant;

use crate::call::{CallContext, ProgressSink, is_traceparent};
use crate::caller::Caller;
use crate::dispatch::UnknownTool;
use crate::error::shorten;
use crate::registry::{Registered, Registry};
use crate::tool::is_tool_name;
use crate::{Content, TOOLS_PER_PAGE, Tool, ToolResult};

/// How long a client may keep the list of tools: it never changes while a server runs.
const TOOLS_TTL_MS: u64 = 5 * 60 * 1000;

/// Characters of a client's own name and version that are kept.
const CLIENT_NAME_CHARS_MAX: usize = 128;

/// One connection's view of the server.
pub(crate) struct Connection {
    pub(crate) registry: Arc<Registry>,
    pub(crate) caller: Arc<Caller>,
}

impl ServerHandler for Connection {
    fn get_info(&self) -> ServerConfig {
        let mut info = ServerConfig::new(ServerCapabilities::builder().enable_tools().build())
            .with_server_info(Implementation::new(&self.registry.name, &self.registry.version));
        info.instructions.clone_from(&self.registry.instructions);
        info
    }

    async fn list_tools(
        &self,
        request: Option<PaginatedRequestParams>,
        _context: RequestContext<RoleServer>,
    ) -> Result<ListToolsResult, ErrorData> {
        let cursor = request.and_then(|params| params.cursor);
        let after = cursor.as_deref().map(after_cursor).transpose()?;
        let mut shown = self.registry.visible(&self.caller, after).peekable();
        let mut result = ListToolsResult::default();
        let mut last = None;
        for registered in shown.by_ref().take(TOOLS_PER_PAGE) {
            last = Some(&registered.tool.name);
            result.tools.push(to_wire_tool(registered));
        }
        if shown.peek().is_some() {
            result.next_cursor = last.map(|name| format!("{CURSOR_PREFIX}{name}"));
        }
        result.ttl_ms = Some(TOOLS_TTL_MS);
        // What a caller sees depends on what it may do.
        result.cache_scope = Some(CacheScope::Private);
        Ok(result)
    }

    async fn call_tool(
        &self,
        request: CallToolRequestParams,
        context: RequestContext<RoleServer>,
    ) -> Result<CallToolResponse, ErrorData> {
        let ctx = call_context(&self.caller, &context);
        match self.registry.call(&request.name, request.arguments, ctx).await {
            Ok(result) => Ok(to_wire_result(result).into()),
            Err(UnknownTool(name)) => Err(ErrorData::invalid_params(
                format!("unknown tool `{name}`; `tools/list` names those there are"),
                None,
            )),
        }
    }

    fn get_tool(&self, name: &str) -> Option<WireTool> {
        let registered = self.registry.tools.get(name)?;
        let capability = registered.tool.requires.as_deref();
        capability.is_none_or(|capability| self.caller.may(capability)).then(|| to_wire_tool(registered))
    }
}

/// A cursor is the last name shown, so the list needs no memory of its readers.
const CURSOR_PREFIX: &str = "after:";

fn after_cursor(cursor: &str) -> Result<&str, ErrorData> {
    cursor
        .strip_prefix(CURSOR_PREFIX)
        .filter(|name| is_tool_name(name))
        .ok_or_else(|| ErrorData::invalid_params("invalid cursor; use `nextCursor` of the page before", None))
}

fn call_context(caller: &Arc<Caller>, context: &RequestContext<RoleServer>) -> CallContext {
    let client = context.client_info().map(|client| {
        (shorten(&client.name, CLIENT_NAME_CHARS_MAX), shorten(&client.version, CLIENT_NAME_CHARS_MAX))
    });
    let traceparent = context.meta.get("traceparent").and_then(Value::as_str);
    let progress = context.meta.get_progress_token().map(|token| {
        let sink: Arc<dyn ProgressSink> = Arc::new(PeerProgress { peer: context.peer.clone(), token });
        sink
    });
    CallContext {
        caller: Arc::clone(caller),
        client,
        traceparent: traceparent.filter(|text| is_traceparent(text)).map(str::to_owned),
        deadline: Instant::now(), // set when the handler starts
        cancelled: context.ct.clone(),
        progress,
    }
}

struct PeerProgress {
    peer: Peer<RoleServer>,
    token: ProgressToken,
}

impl ProgressSink for PeerProgress {
    fn send(
        &self,
        done: f64,
        total: Option<f64>,
        message: String,
    ) -> Pin<Box<dyn Future<Output = ()> + Send + '_>> {
        Box::pin(async move {
            let mut progress = ProgressNotificationParam::new(self.token.clone(), done).with_message(message);
            progress.total = total;
            // A client that is gone will not read the result either.
            let _ = self.peer.notify_progress(progress).await;
        })
    }
}

fn to_wire_tool(registered: &Registered) -> WireTool {
    let object = |schema: &Value| Arc::new(schema.as_object().cloned().unwrap_or_else(JsonObject::new));
    let Tool { name, title, description, annotations, .. } = &registered.tool;
    let mut tool = WireTool::new(name.clone(), description.clone(), object(&registered.input.schema));
    tool.title.clone_from(title);
    tool.output_schema = registered.output.as_ref().map(|output| object(&output.schema));
    tool.annotations = annotations.map(|annotations| {
        ToolAnnotations::new()
            .read_only(annotations.read_only)
            .destructive(annotations.destructive)
            .idempotent(annotations.idempotent)
            .open_world(annotations.open_world)
    });
    tool
}

fn to_wire_result(result: ToolResult) -> CallToolResult {
    let content = result.content.into_iter().map(to_wire_content).collect();
    let mut wire =
        if result.is_error { CallToolResult::error(content) } else { CallToolResult::success(content) };
    wire.structured_content = result.structured;
    wire
}

fn to_wire_content(content: Content) -> ContentBlock {
    match content {
        Content::Text(text) => ContentBlock::text(text),
        Content::Image { base64, mime_type } => ContentBlock::image(base64, mime_type),
        Content::Audio { base64, mime_type } => ContentBlock::audio(base64, mime_type),
        Content::Other(value) => {
            let text = value.to_string();
            serde_json::from_value(value).unwrap_or_else(|_| ContentBlock::text(text))
        }
    }
}

pub(crate) fn from_wire_result(wire: CallToolResult) -> ToolResult {
    ToolResult {
        content: wire.content.into_iter().map(from_wire_content).collect(),
        structured: wire.structured_content,
        is_error: wire.is_error.unwrap_or(false),
    }
}

fn from_wire_content(content: ContentBlock) -> Content {
    match content {
        ContentBlock::Text(text) => Content::Text(text.text),
        ContentBlock::Image(image) => Content::Image { base64: image.data, mime_type: image.mime_type },
        ContentBlock::Audio(audio) => Content::Audio { base64: audio.data, mime_type: audio.mime_type },
        other => Content::Other(serde_json::to_value(&other).unwrap_or(Value::Null)),
    }
}
