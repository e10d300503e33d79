//! Serving connections.

use rmcp::service::{QuitReason, RunningService, serve_server};
use rmcp::transport::async_rw::AsyncRwTransport;
use rmcp::transport::io::stdio_pipes;
use rmcp::{RoleServer, service::RunningServiceCancellationToken};
use std::sync::Arc;
use tokio::io::{AsyncRead, AsyncWrite};

use crate::client::{ClientOptions, McpClient};
use crate::error::shorten;
use crate::wire::Connection;
use crate::{Caller, McpError, McpServer};

/// Longest message read from a peer, in bytes; a longer line is dropped.
pub const MESSAGE_BYTES_MAX: usize = 4 << 20;

/// Buffer of an in-memory connection, in bytes.
const IN_MEMORY_BUFFER_BYTES: usize = 64 << 10;

impl McpServer {
    /// Serves one connection over a pair of byte streams; returns when the client has opened the session.
    ///
    /// Everything on the connection is done in the name of `caller`: the app has authenticated it.
    ///
    /// # Errors
    /// [`McpError::Handshake`] if the client does not open a session, [`McpError::Closed`] if it goes.
    pub async fn serve<R, W>(&self, read: R, write: W, caller: Caller) -> Result<McpSession, McpError>
    where
        R: AsyncRead + Send + Unpin + 'static,
        W: AsyncWrite + Send + Unpin + 'static,
    {
        let connection = Connection { registry: Arc::clone(&self.inner), caller: Arc::new(caller) };
        let transport = AsyncRwTransport::new_server(read, write).with_max_line_length(MESSAGE_BYTES_MAX);
        let running = serve_server(connection, transport).await.map_err(|error| handshake_error(&error))?;
        Ok(McpSession { stop: Some(running.cancellation_token()), running })
    }

    /// Serves standard input and output until the client closes them: how a desktop client runs a server.
    ///
    /// Nothing else may write to standard output; logs go to standard error.
    ///
    /// # Errors
    /// As [`serve`](Self::serve).
    pub async fn serve_stdio(&self, caller: Caller) -> Result<(), McpError> {
        let (read, write) = stdio_pipes();
        self.serve(read, write, caller).await?.wait().await
    }

    /// A client connected to this server within the process, as `caller`.
    ///
    /// # Errors
    /// [`McpError::Handshake`], [`McpError::Closed`], [`McpError::Timeout`].
    pub async fn connect_in_memory(&self, caller: Caller) -> Result<McpClient, McpError> {
        self.connect_in_memory_with(caller, ClientOptions::default()).await
    }

    /// As [`connect_in_memory`](Self::connect_in_memory), with options.
    ///
    /// # Errors
    /// [`McpError::Handshake`], [`McpError::Closed`], [`McpError::Timeout`].
    pub async fn connect_in_memory_with(
        &self,
        caller: Caller,
        options: ClientOptions,
    ) -> Result<McpClient, McpError> {
        let (ours, theirs) = tokio::io::duplex(IN_MEMORY_BUFFER_BYTES);
        let (read, write) = tokio::io::split(ours);
        let server = self.clone();
        tokio::spawn(async move {
            // A failed handshake is the client's to report.
            if let Ok(session) = server.serve(read, write, caller).await {
                let _ = session.wait().await;
            }
        });
        let (read, write) = tokio::io::split(theirs);
        McpClient::connect(read, write, options).await
    }
}

fn handshake_error(error: &rmcp::service::ServerInitializeError) -> McpError {
    use rmcp::service::ServerInitializeError as E;
    match error {
        E::ConnectionClosed(_) | E::TransportError { .. } => McpError::Closed,
        other => McpError::Handshake { reason: shorten(&other.to_string(), 200) },
    }
}

/// An open connection of a server. Dropping it closes the connection.
pub struct McpSession {
    running: RunningService<RoleServer, Connection>,
    stop: Option<RunningServiceCancellationToken>,
}

impl McpSession {
    /// Waits until the client closes the connection.
    ///
    /// # Errors
    /// [`McpError::Protocol`] if the connection's task failed.
    pub async fn wait(self) -> Result<(), McpError> {
        quit(self.running.waiting().await)
    }

    /// Closes the connection: calls that run are cancelled.
    ///
    /// # Errors
    /// [`McpError::Protocol`] if the connection's task failed.
    pub async fn close(mut self) -> Result<(), McpError> {
        if let Some(stop) = self.stop.take() {
            stop.cancel();
        }
        self.wait().await
    }
}

pub(crate) fn quit(ended: Result<QuitReason, tokio::task::JoinError>) -> Result<(), McpError> {
    match ended {
        Ok(QuitReason::JoinError(error)) | Err(error) if !error.is_cancelled() => {
            Err(McpError::Protocol { reason: "the connection's task stopped unexpectedly".into() })
        }
        _ => Ok(()),
    }
}

impl std::fmt::Debug for McpSession {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("McpSession").field("closed", &self.running.is_closed()).finish_non_exhaustive()
    }
}
