use async_trait::async_trait;
use bytes::Bytes;

use crate::{Deadline, FrameSink, FrameSource, Method, PeerIdentity, Result, StreamName};

/// What a handler knows about a unary call.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct CallContext {
    /// What is called.
    pub method: Method,
    /// When the caller stops waiting.
    pub deadline: Deadline,
    /// Who calls, as its certificate proved; `None` only where a server was told to let strangers in.
    pub peer: Option<PeerIdentity>,
}

impl CallContext {
    /// The context of one call.
    #[must_use]
    pub fn new(method: Method, deadline: Deadline, peer: Option<PeerIdentity>) -> Self {
        Self { method, deadline, peer }
    }
}

/// What a handler knows about a stream.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct StreamContext {
    /// Which stream was opened.
    pub name: StreamName,
    /// Who opened it, as its certificate proved; `None` only where a server was told to let strangers in.
    pub peer: Option<PeerIdentity>,
}

impl StreamContext {
    /// The context of one stream.
    #[must_use]
    pub fn new(name: StreamName, peer: Option<PeerIdentity>) -> Self {
        Self { name, peer }
    }
}

/// The serving end of a [`crate::Transport`].
///
/// A handler's future may be dropped at any await point, when the caller's time is up or it has gone:
/// work that must finish belongs in a task of its own.
#[async_trait]
pub trait Handler: Send + Sync + 'static {
    /// Answers one call.
    ///
    /// # Errors
    /// Arrive at the caller as they are; a name this handler does not know is [`crate::TransportError::Unimplemented`].
    async fn call(&self, context: CallContext, request: Bytes) -> Result<Bytes>;

    /// Serves one stream until the client has ended it (`source` gives `None`), then returns.
    ///
    /// `source` also gives `None` when this server is going away: answer what was received and return;
    /// the client sends the unanswered rest again on a new connection.
    ///
    /// # Errors
    /// Arrive at the client's source as they are.
    async fn stream(
        &self,
        context: StreamContext,
        source: Box<dyn FrameSource>,
        sink: &mut dyn FrameSink,
    ) -> Result<()>;
}
