//! Model Context Protocol: an app's handlers as tools for AI agents, and a client for other servers.
//!
//! Arguments are checked against the tool's schema before its handler runs; tools that need a capability are neither
//! shown to nor run for callers without it; time, size and concurrency of every call are bounded.
//! Both eras of the protocol are served on one connection: the stateless one (2026-07-28) and `initialize`
//! (2025-11-25 and before).
//!
//! Never calls a use case by itself, never fetches a remote schema, and never writes to standard output but protocol.
//!
//! ```
//! use async_trait::async_trait;
//! use hpc_mcp::{Caller, Content, McpServer, Result, Tool, ToolCall, ToolHandler, ToolResult};
//!
//! struct EchoHandler;
//!
//! #[async_trait]
//! impl ToolHandler for EchoHandler {
//!     async fn handle(&self, call: ToolCall) -> Result<ToolResult> {
//!         Ok(ToolResult::success(vec![Content::text(&call.arguments)]))
//!     }
//! }
//!
//! # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let server = McpServer::builder()
//!     .register_tool(Tool::new("echo", "Echo a message"), EchoHandler)
//!     .build()?;
//! let client = server.connect_in_memory(Caller::anonymous()).await?;
//! let result = client.call_tool("echo", serde_json::json!({"message": "hi"})).await?;
//! assert_eq!(result.text(), r#"{"message":"hi"}"#);
//! # Ok(()) }
//! ```
//!
//! Features: none. Transports: standard input and output, any byte stream, a child process (client).

mod annotations;
mod call;
mod caller;
mod client;
mod content;
mod dispatch;
mod error;
mod observe;
mod registry;
mod result;
mod schema;
mod serve;
mod tool;
mod wire;

pub use annotations::Annotations;
pub use call::{CallContext, ToolCall, ToolHandler};
pub use caller::{CAPABILITIES_MAX, CAPABILITY_BYTES_MAX, Caller, PRINCIPAL_BYTES_MAX};
pub use client::{CHILD_EXIT_WAIT, CLIENT_TOOLS_MAX, ClientOptions, Era, McpClient, ServerProcess, ToolInfo};
pub use content::{Content, IntoText};
pub use error::McpError;
pub use hpc_error::{HpcError, Result};
pub use observe::{CallObserver, CallOutcome, CallRecord};
pub use registry::{Limits, McpServer, McpServerBuilder, TOOLS_MAX, TOOLS_PER_PAGE};
pub use result::ToolResult;
pub use schema::{ARGUMENTS_DEPTH_MAX, SCHEMA_BYTES_MAX, SCHEMA_DEPTH_MAX};
pub use schemars::JsonSchema;
pub use serve::{MESSAGE_BYTES_MAX, McpSession};
pub use tool::{DESCRIPTION_BYTES_MAX, TOOL_NAME_BYTES_MAX, TOOL_TIMEOUT_DEFAULT, TOOL_TIMEOUT_MAX, Tool};
