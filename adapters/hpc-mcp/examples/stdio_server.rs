//! A server on standard input and output with two tools: `echo`, and `env` for tests of what a child inherits.
//!
//! Any MCP client can start it as a command: `cargo run -q -p hpc-mcp --example stdio_server`

use async_trait::async_trait;
use hpc_mcp::{Annotations, Caller, Content, McpServer, Result, Tool, ToolCall, ToolHandler, ToolResult};

struct EchoHandler;

#[async_trait]
impl ToolHandler for EchoHandler {
    async fn handle(&self, call: ToolCall) -> Result<ToolResult> {
        Ok(ToolResult::success(vec![Content::text(&call.arguments)]))
    }
}

struct EnvHandler;

#[async_trait]
impl ToolHandler for EnvHandler {
    async fn handle(&self, _call: ToolCall) -> Result<ToolResult> {
        let mut names: Vec<String> = std::env::vars().map(|(name, _)| name).collect();
        names.sort();
        Ok(ToolResult::success(vec![Content::text(names.join(" "))]))
    }
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> std::result::Result<(), Box<dyn std::error::Error>> {
    let server = McpServer::builder()
        .identity("stdio_server", "1.0.0")
        .register_tool(
            Tool::new("echo", "Echo the arguments").annotations(Annotations::read_only().closed_world()),
            EchoHandler,
        )
        .register_tool(Tool::new("env", "Names of the environment variables"), EnvHandler)
        .build()?;
    server.serve_stdio(Caller::anonymous()).await?;
    Ok(())
}
