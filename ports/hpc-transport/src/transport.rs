use async_trait::async_trait;
use bytes::Bytes;

use crate::{Deadline, Method, PeerIdentity, Result, StreamName};

/// Largest request or reply of a unary call, in bytes: 4 MiB.
pub const MESSAGE_BYTES_MAX: usize = crate::FRAME_PAYLOAD_BYTES_MAX;

/// The calling end of a link to one server.
///
/// The contract, checked sentence by sentence by `hpc_conformance::transport!`:
/// - A reply is the handler's bytes, unchanged; empty requests and replies are legal.
/// - A call whose deadline has passed fails with `DeadlineExceeded` and the handler never runs.
/// - A handler that is not done by the deadline gives `DeadlineExceeded`.
/// - The handler sees the caller's deadline, never a later one.
/// - A method the handler does not know gives `Unimplemented`.
/// - The handler's error arrives as the same case.
/// - A request over [`MESSAGE_BYTES_MAX`] is `TooLarge` before anything leaves.
/// - Calls run concurrently and each gets its own reply.
/// - The handler sees who calls, and the caller sees who answers.
#[async_trait]
pub trait Transport: Send + Sync {
    /// Calls `method` and waits for the reply, until `deadline` at the latest. Never retries.
    ///
    /// # Errors
    /// Any [`crate::TransportError`]; [`crate::TransportError::sent`] says whether the handler may have run.
    async fn call(&self, method: &Method, request: Bytes, deadline: Deadline) -> Result<Bytes>;

    /// Opens a stream of frames each way. It lives until both ends are done.
    ///
    /// # Errors
    /// `Unreachable`, `Unauthenticated`, `GoingAway`, `Closed`. An unknown name is `Unimplemented`, here or at the first receive.
    async fn open(&self, name: &StreamName) -> Result<Frames>;

    /// The server as its certificate proved it, once a connection stands; `None` before, and on a plaintext link.
    fn peer(&self) -> Option<PeerIdentity>;
}

/// Both halves of an open stream, so that sending and receiving need not take turns.
#[non_exhaustive]
pub struct Frames {
    /// Towards the other end.
    pub sink: Box<dyn FrameSink>,
    /// From the other end.
    pub source: Box<dyn FrameSource>,
}

impl Frames {
    /// Joins two halves.
    #[must_use]
    pub fn new(sink: Box<dyn FrameSink>, source: Box<dyn FrameSource>) -> Self {
        Self { sink, source }
    }
}

/// The sending half of a stream.
///
/// - Frames arrive in the order sent, whole, or not at all.
/// - A payload over [`crate::FRAME_PAYLOAD_BYTES_MAX`] is `TooLarge`, and the stream stays usable.
/// - A sink dropped without [`FrameSink::finish`] is seen as `Closed` by the other end, never as a good end.
#[async_trait]
pub trait FrameSink: Send {
    /// Sends one frame. Waits while the other end is slow: what is in flight is bounded.
    ///
    /// Not cancel-safe: a future dropped half way may have sent half a frame; the stream must then be dropped.
    ///
    /// # Errors
    /// `TooLarge`, or why the stream is gone.
    async fn send(&mut self, payload: Bytes) -> Result<()>;

    /// Says that no more frames follow. Twice succeeds.
    ///
    /// # Errors
    /// Why the stream is gone.
    async fn finish(&mut self) -> Result<()>;
}

/// The receiving half of a stream.
///
/// - After the other end's `finish`, or the handler's return, it gives `None`, and again `None`.
/// - The handler's error arrives as the same case, after the frames it sent before.
#[async_trait]
pub trait FrameSource: Send {
    /// The next frame, or `None` at the good end. Cancel-safe: no frame is lost when the future is dropped.
    ///
    /// # Errors
    /// The other end's error, or why the stream is gone.
    async fn receive(&mut self) -> Result<Option<Bytes>>;
}
