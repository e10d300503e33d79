//! Calling other servers.

use std::process::Stdio;
use std::time::Duration;

use rmcp::model::{
    CallToolRequest, CallToolRequestParams, ClientCapabilities, ClientConfig, ClientRequest, Implementation,
    PaginatedRequestParams, ProtocolVersion, ServerResult,
};
use rmcp::service::{ClientInitializeError, PeerRequestOptions, RunningService, ServiceError};
use rmcp::transport::async_rw::AsyncRwTransport;
use rmcp::{ClientHandler, ClientLifecycleMode, ClientServiceExt, RoleClient};
use serde_json::Value;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::process::{Child, Command};

use crate::error::shorten;
use crate::serve::{MESSAGE_BYTES_MAX, quit};
use crate::wire::from_wire_result;
use crate::{McpError, ToolResult};

/// Most tools read from one server.
pub const CLIENT_TOOLS_MAX: usize = 16 * 1024;

/// How long a server's process has to end by itself when its input closes.
pub const CHILD_EXIT_WAIT: Duration = Duration::from_secs(2);

/// Which era of the protocol a client speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum Era {
    /// Asks with `server/discover`, and falls back to `initialize` if the server does not know it.
    ///
    /// A server that stays silent costs 10 s.
    #[default]
    Auto,
    /// 2026-07-28: stateless, `server/discover`.
    Modern,
    /// 2025-11-25 and before: `initialize`.
    Legacy,
}

/// How a client behaves.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct ClientOptions {
    /// Which era; [`Era::Auto`] by default.
    pub era: Era,
    /// Longest wait for the session and for each answer; 30 s by default.
    pub timeout: Duration,
    /// Name told to the server.
    pub name: String,
}

impl Default for ClientOptions {
    fn default() -> Self {
        Self { era: Era::Auto, timeout: Duration::from_secs(30), name: "hpc-mcp".to_owned() }
    }
}

impl ClientOptions {
    /// Speaks this era.
    #[must_use]
    pub fn era(mut self, era: Era) -> Self {
        self.era = era;
        self
    }

    /// Waits at most so long.
    #[must_use]
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// Gives the server this name.
    #[must_use]
    pub fn name(mut self, name: impl Into<String>) -> Self {
        self.name = name.into();
        self
    }
}

/// A server to be started as a child process.
///
/// The child gets `PATH`, `HOME`, `LANG` and what is given here, not the rest of this process's environment: that
/// may hold secrets. Its standard error is this process's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServerProcess {
    program: String,
    arguments: Vec<String>,
    environment: Vec<(String, String)>,
}

impl ServerProcess {
    /// Runs `program`.
    #[must_use]
    pub fn new(program: impl Into<String>) -> Self {
        Self { program: program.into(), arguments: Vec::new(), environment: Vec::new() }
    }

    /// Adds an argument. Never a secret: other users see it.
    #[must_use]
    pub fn argument(mut self, argument: impl Into<String>) -> Self {
        self.arguments.push(argument.into());
        self
    }

    /// Sets an environment variable.
    #[must_use]
    pub fn environment(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.environment.push((name.into(), value.into()));
        self
    }

    fn spawn(&self) -> Result<Child, McpError> {
        let kept =
            ["PATH", "HOME", "LANG"].into_iter().filter_map(|name| Some((name, std::env::var_os(name)?)));
        Command::new(&self.program)
            .args(&self.arguments)
            .env_clear()
            .envs(kept)
            .envs(self.environment.iter().map(|(name, value)| (name, value)))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .map_err(|error| McpError::Spawn {
                program: shorten(&self.program, 200),
                reason: error.to_string(),
            })
    }
}

/// A tool as its server describes it: all of it untrusted.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct ToolInfo {
    /// Its name.
    pub name: String,
    /// A name for people.
    pub title: Option<String>,
    /// What it is for.
    pub description: Option<String>,
    /// The JSON Schema of its arguments.
    pub input_schema: Value,
    /// The JSON Schema of its structured answer.
    pub output_schema: Option<Value>,
    /// Whether it says that it changes nothing.
    pub read_only: bool,
    /// Whether it may remove or overwrite; true unless it says otherwise.
    pub destructive: bool,
    /// Whether it says that the same call twice has the effect of one.
    pub idempotent: bool,
    /// Whether it may touch things outside the server; true unless it says otherwise.
    pub open_world: bool,
}

/// A connection to a server. Dropping it closes the connection and ends a child process.
pub struct McpClient {
    running: RunningService<RoleClient, Identity>,
    child: Option<Child>,
    timeout: Duration,
}

struct Identity(ClientConfig);

impl ClientHandler for Identity {
    fn get_info(&self) -> ClientConfig {
        self.0.clone()
    }
}

impl McpClient {
    /// Opens a session over a pair of byte streams.
    ///
    /// # Errors
    /// [`McpError::Handshake`], [`McpError::Closed`], [`McpError::Timeout`].
    pub async fn connect<R, W>(read: R, write: W, options: ClientOptions) -> Result<Self, McpError>
    where
        R: AsyncRead + Send + Unpin + 'static,
        W: AsyncWrite + Send + Unpin + 'static,
    {
        let identity = Identity(ClientConfig::new(
            ClientCapabilities::default(),
            Implementation::new(options.name, env!("CARGO_PKG_VERSION")),
        ));
        let preferred_versions = vec![ProtocolVersion::V_2026_07_28];
        let lifecycle = match options.era {
            Era::Auto => ClientLifecycleMode::Auto { preferred_versions, legacy_version: None },
            Era::Modern => ClientLifecycleMode::Discover { preferred_versions },
            Era::Legacy => ClientLifecycleMode::Initialize,
        };
        let transport = AsyncRwTransport::new_client(read, write).with_max_line_length(MESSAGE_BYTES_MAX);
        let opening = identity.serve_with_lifecycle(transport, lifecycle);
        let running = tokio::time::timeout(options.timeout, opening)
            .await
            .map_err(|_| timed_out(options.timeout))?
            .map_err(|error| handshake_error(&error))?;
        Ok(Self { running, child: None, timeout: options.timeout })
    }

    /// Starts a server as a child process and opens a session over its standard input and output.
    ///
    /// # Errors
    /// [`McpError::Spawn`], [`McpError::Handshake`], [`McpError::Closed`], [`McpError::Timeout`].
    pub async fn spawn(process: &ServerProcess, options: ClientOptions) -> Result<Self, McpError> {
        let mut child = process.spawn()?;
        let (Some(read), Some(write)) = (child.stdout.take(), child.stdin.take()) else {
            return Err(McpError::Closed);
        };
        let mut client = Self::connect(read, write, options).await?;
        client.child = Some(child);
        Ok(client)
    }

    /// The protocol version of the session, such as `2026-07-28`.
    #[must_use]
    pub fn protocol_version(&self) -> String {
        self.running.peer().peer_info().map(|info| info.protocol_version.to_string()).unwrap_or_default()
    }

    /// Name and version of the server, as it says itself.
    #[must_use]
    pub fn server(&self) -> Option<(String, String)> {
        let info = self.running.peer().peer_info()?;
        info.server_info.as_ref().map(|server| (server.name.clone(), server.version.clone()))
    }

    /// The server's text about how to use its tools.
    #[must_use]
    pub fn instructions(&self) -> Option<String> {
        self.running.peer().peer_info()?.instructions.clone()
    }

    /// All tools this client may see, over all pages.
    ///
    /// # Errors
    /// [`McpError::Closed`], [`McpError::Timeout`], [`McpError::Refused`], [`McpError::Protocol`] (also if there are
    /// more than [`CLIENT_TOOLS_MAX`] or the pages never end).
    pub async fn list_tools(&self) -> Result<Vec<ToolInfo>, McpError> {
        let mut tools = Vec::new();
        let mut cursor: Option<String> = None;
        loop {
            let params = PaginatedRequestParams::default().with_cursor(cursor.clone());
            let page = self.in_time(self.running.peer().list_tools(Some(params))).await?;
            tools.extend(page.tools.into_iter().map(to_tool_info));
            if tools.len() > CLIENT_TOOLS_MAX {
                return Err(McpError::Protocol { reason: format!("more than {CLIENT_TOOLS_MAX} tools") });
            }
            match page.next_cursor {
                None => return Ok(tools),
                Some(next) if cursor.as_ref() == Some(&next) => {
                    return Err(McpError::Protocol { reason: "the list of tools does not end".into() });
                }
                next => cursor = next,
            }
        }
    }

    /// Calls a tool with an object of arguments (`null` for none).
    ///
    /// A failure of the tool, bad arguments and a missing capability are results with `is_error`.
    ///
    /// # Errors
    /// [`McpError::Refused`] (an unknown tool is -32602), [`McpError::Closed`], [`McpError::Timeout`],
    /// [`McpError::Protocol`] (also if the arguments are no object or the server asks for further input).
    pub async fn call_tool(&self, name: impl Into<String>, arguments: Value) -> Result<ToolResult, McpError> {
        let arguments = match arguments {
            Value::Object(members) => Some(members),
            Value::Null => None,
            _ => return Err(McpError::Protocol { reason: "the arguments are no JSON object".into() }),
        };
        let mut params = CallToolRequestParams::new(name.into());
        params.arguments = arguments;
        let request = ClientRequest::CallToolRequest(CallToolRequest::new(params));
        // The timeout is rmcp's, so that the server is told that the call is cancelled.
        let handle = self
            .running
            .peer()
            .send_request_with_option(request, PeerRequestOptions::with_timeout(self.timeout))
            .await
            .map_err(|error| self.service_error(&error))?;
        match handle.await_response().await.map_err(|error| self.service_error(&error))? {
            ServerResult::CallToolResult(result) => Ok(from_wire_result(result)),
            ServerResult::InputRequiredResult(_) => {
                Err(McpError::Protocol { reason: "the tool asks for further input".into() })
            }
            _ => Err(McpError::Protocol { reason: "the answer is no tool result".into() }),
        }
    }

    /// Closes the connection; a child process that does not end by itself is killed.
    ///
    /// # Errors
    /// [`McpError::Protocol`] if the connection's task failed.
    pub async fn close(self) -> Result<(), McpError> {
        let Self { running, child, .. } = self;
        let ended = quit(running.cancel().await);
        if let Some(mut child) = child
            && tokio::time::timeout(CHILD_EXIT_WAIT, child.wait()).await.is_err()
        {
            let _ = child.kill().await;
        }
        ended
    }

    async fn in_time<T>(
        &self,
        request: impl Future<Output = Result<T, ServiceError>>,
    ) -> Result<T, McpError> {
        tokio::time::timeout(self.timeout, request)
            .await
            .map_err(|_| timed_out(self.timeout))?
            .map_err(|error| self.service_error(&error))
    }

    fn service_error(&self, error: &ServiceError) -> McpError {
        match error {
            ServiceError::McpError(refusal) => {
                McpError::Refused { code: refusal.code.0, message: shorten(&refusal.message, 500) }
            }
            ServiceError::TransportClosed
            | ServiceError::TransportSend(_)
            | ServiceError::Cancelled { .. } => McpError::Closed,
            ServiceError::Timeout { .. } => timed_out(self.timeout),
            other => McpError::Protocol { reason: shorten(&other.to_string(), 200) },
        }
    }
}

impl std::fmt::Debug for McpClient {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("McpClient")
            .field("protocol_version", &self.protocol_version())
            .finish_non_exhaustive()
    }
}

fn timed_out(timeout: Duration) -> McpError {
    McpError::Timeout { timeout_ms: u64::try_from(timeout.as_millis()).unwrap_or(u64::MAX) }
}

fn handshake_error(error: &ClientInitializeError) -> McpError {
    match error {
        ClientInitializeError::ConnectionClosed(_) => McpError::Closed,
        other => McpError::Handshake { reason: shorten(&other.to_string(), 200) },
    }
}

fn to_tool_info(tool: rmcp::model::Tool) -> ToolInfo {
    let hints = tool.annotations.unwrap_or_default();
    ToolInfo {
        name: tool.name.into_owned(),
        title: tool.title,
        description: tool.description.map(std::borrow::Cow::into_owned),
        input_schema: Value::Object(tool.input_schema.as_ref().clone()),
        output_schema: tool.output_schema.map(|schema| Value::Object(schema.as_ref().clone())),
        read_only: hints.read_only_hint.unwrap_or(false),
        destructive: hints.destructive_hint.unwrap_or(true),
        idempotent: hints.idempotent_hint.unwrap_or(false),
        open_world: hints.open_world_hint.unwrap_or(true),
    }
}
