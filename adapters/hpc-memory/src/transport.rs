//! In-memory fake of the `transport` port: a link to a handler in the same process, with queues that fill up
//! and faults that come from a seed.
//!
//! ```
//! # use std::sync::Arc;
//! # use hpc_transport::{Handler, Transport};
//! use hpc_memory::transport::{Faults, MemoryTransport};
//!
//! # fn example(handler: Arc<dyn Handler>) {
//! let link = MemoryTransport::new(handler).with_faults(7, Faults { lost_reply_permille: 20, ..Faults::default() });
//! # let _: &dyn Transport = &link;
//! # }
//! ```

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Instant;

use async_trait::async_trait;
use bytes::Bytes;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use hpc_transport::{
    CallContext, Deadline, Frame, FrameKind, FrameSink, FrameSource, Frames, Handler, MESSAGE_BYTES_MAX,
    Method, PeerIdentity, Result, StreamContext, StreamName, Transport, TransportError,
};

/// Frames that wait in one direction of a stream before its sender has to.
pub const FRAMES_QUEUED_MAX: usize = 8;

/// How often what goes wrong, in thousandths of the calls and opens.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Faults {
    /// The server cannot be reached: nothing runs.
    pub unreachable_permille: u16,
    /// The handler runs and its reply is lost. Calls only.
    pub lost_reply_permille: u16,
}

/// A link to one handler. Clones are links of their own to the same server.
#[derive(Clone)]
pub struct MemoryTransport {
    handler: Arc<RwLock<Option<Arc<dyn Handler>>>>,
    client: Option<PeerIdentity>,
    server: Option<PeerIdentity>,
    faults: Faults,
    chance: Arc<AtomicU64>,
}

impl MemoryTransport {
    /// A faultless link between two ends that have no names.
    #[must_use]
    pub fn new(handler: Arc<dyn Handler>) -> Self {
        Self {
            handler: Arc::new(RwLock::new(Some(handler))),
            client: None,
            server: None,
            faults: Faults::default(),
            chance: Arc::default(),
        }
    }

    /// Names both ends.
    #[must_use]
    pub fn between(mut self, client: PeerIdentity, server: PeerIdentity) -> Self {
        (self.client, self.server) = (Some(client), Some(server));
        self
    }

    /// Adds faults; the same seed gives the same faults to the same sequence of calls.
    #[must_use]
    pub fn with_faults(mut self, seed: u64, faults: Faults) -> Self {
        self.faults = faults;
        self.chance = Arc::new(AtomicU64::new(seed));
        self
    }

    /// Takes the server away (`None`) or puts another in its place, for this link and its clones.
    pub fn replace_server(&self, handler: Option<Arc<dyn Handler>>) {
        *self.handler.write().unwrap_or_else(PoisonError::into_inner) = handler;
    }

    fn reach(&self) -> Result<Arc<dyn Handler>> {
        if self.strikes(self.faults.unreachable_permille) {
            return Err(TransportError::unreachable("injected fault"));
        }
        let handler = self.handler.read().unwrap_or_else(PoisonError::into_inner).clone();
        handler.ok_or_else(|| TransportError::unreachable("there is no server"))
    }

    fn strikes(&self, permille: u16) -> bool {
        if permille == 0 {
            return false;
        }
        let mut z = self.chance.fetch_add(0x9E37_79B9_7F4A_7C15, Ordering::SeqCst); // splitmix64
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        (z ^ (z >> 31)) % 1000 < u64::from(permille)
    }
}

#[async_trait]
impl Transport for MemoryTransport {
    async fn call(&self, method: &Method, request: Bytes, deadline: Deadline) -> Result<Bytes> {
        TransportError::check_size(request.len(), MESSAGE_BYTES_MAX)?;
        let left = deadline.remaining(Instant::now());
        if left.is_zero() {
            return Err(TransportError::DeadlineExceeded);
        }
        let handler = self.reach()?;
        let context = CallContext::new(method.clone(), deadline, self.client.clone());
        let reply = tokio::time::timeout(left, handler.call(context, request))
            .await
            .map_err(|_| TransportError::DeadlineExceeded)??;
        if self.strikes(self.faults.lost_reply_permille) {
            return Err(TransportError::closed("injected fault: the reply was lost"));
        }
        TransportError::check_size(reply.len(), MESSAGE_BYTES_MAX)?;
        Ok(reply)
    }

    async fn open(&self, name: &StreamName) -> Result<Frames> {
        let handler = self.reach()?;
        let (to_server, from_client) = mpsc::channel(FRAMES_QUEUED_MAX);
        let (to_client, from_server) = mpsc::channel(FRAMES_QUEUED_MAX);
        let context = StreamContext::new(name.clone(), self.client.clone());
        let task = tokio::spawn(async move {
            let source = Box::new(MemorySource { frames: from_client, ended: false, task: None });
            let mut sink = MemorySink { out: Some(to_client.clone()) };
            let ended = match handler.stream(context, source, &mut sink).await {
                Ok(()) => Frame::end(),
                Err(error) => Frame::error(&error),
            };
            // A client that has gone does not hear how it ended.
            let _ = to_client.send(ended).await;
        });
        let source = MemorySource { frames: from_server, ended: false, task: Some(task) };
        Ok(Frames::new(Box::new(MemorySink { out: Some(to_server) }), Box::new(source)))
    }

    fn peer(&self) -> Option<PeerIdentity> {
        self.server.clone()
    }
}

struct MemorySink {
    out: Option<mpsc::Sender<Frame>>,
}

#[async_trait]
impl FrameSink for MemorySink {
    async fn send(&mut self, payload: Bytes) -> Result<()> {
        let frame = Frame::new(FrameKind::Data, payload)?;
        let out =
            self.out.as_ref().ok_or_else(|| TransportError::closed("the stream was already finished"))?;
        out.send(frame).await.map_err(|_| TransportError::closed("the other end has gone"))
    }

    async fn finish(&mut self) -> Result<()> {
        match self.out.take() {
            None => Ok(()),
            Some(out) => {
                out.send(Frame::end()).await.map_err(|_| TransportError::closed("the other end has gone"))
            }
        }
    }
}

struct MemorySource {
    frames: mpsc::Receiver<Frame>,
    ended: bool,
    /// The handler's task, on the client's side: a client that goes away ends it.
    task: Option<JoinHandle<()>>,
}

#[async_trait]
impl FrameSource for MemorySource {
    async fn receive(&mut self) -> Result<Option<Bytes>> {
        if self.ended {
            return Ok(None);
        }
        let Some(frame) = self.frames.recv().await else {
            self.ended = true;
            return Err(TransportError::closed("the stream was cut before its end"));
        };
        self.ended = frame.kind != FrameKind::Data;
        match frame.kind {
            FrameKind::Data => Ok(Some(frame.payload)),
            FrameKind::Error => Err(TransportError::decode(&frame.payload)),
            _ => Ok(None),
        }
    }
}

impl Drop for MemorySource {
    fn drop(&mut self) {
        if let Some(task) = &self.task {
            task.abort();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    use std::sync::atomic::AtomicUsize;
    use std::time::Duration;

    #[derive(Default)]
    struct Counting(AtomicUsize);

    #[async_trait]
    impl Handler for Counting {
        async fn call(&self, _: CallContext, request: Bytes) -> Result<Bytes> {
            self.0.fetch_add(1, Ordering::SeqCst);
            Ok(request)
        }

        async fn stream(
            &self,
            _: StreamContext,
            _: Box<dyn FrameSource>,
            _: &mut dyn FrameSink,
        ) -> Result<()> {
            Ok(())
        }
    }

    async fn outcomes(seed: u64, faults: Faults) -> (Vec<Result<Bytes>>, usize) {
        let handler = Arc::new(Counting::default());
        let link = MemoryTransport::new(Arc::clone(&handler) as _).with_faults(seed, faults);
        let method = Method::parse("/a.B/C").unwrap();
        let mut outcomes = Vec::new();
        for _ in 0..500 {
            let deadline = Deadline::after(Instant::now(), Duration::from_secs(9));
            outcomes.push(link.call(&method, "x".into(), deadline).await);
        }
        (outcomes, handler.0.load(Ordering::SeqCst))
    }

    #[tokio::test]
    async fn a_seed_gives_its_faults_again() {
        let faults = Faults { unreachable_permille: 100, lost_reply_permille: 100 };
        let (first, ran) = outcomes(7, faults).await;
        assert_eq!((&first, ran), (&outcomes(7, faults).await.0, outcomes(7, faults).await.1));
        let unreachable =
            first.iter().filter(|o| matches!(o, Err(TransportError::Unreachable { .. }))).count();
        let lost = first.iter().filter(|o| matches!(o, Err(TransportError::Closed { .. }))).count();
        assert!(unreachable > 20 && lost > 20, "seed 7: {unreachable} unreachable, {lost} lost");
        assert_eq!(ran, 500 - unreachable, "what was unreachable never ran, what was lost did");
    }

    #[tokio::test]
    async fn a_server_can_go_and_come_back() {
        let link = MemoryTransport::new(Arc::new(Counting::default()));
        let method = Method::parse("/a.B/C").unwrap();
        let deadline = Deadline::after(Instant::now(), Duration::from_secs(9));
        link.replace_server(None);
        let gone = link.call(&method, "x".into(), deadline).await;
        assert_eq!(gone, Err(TransportError::unreachable("there is no server")));
        link.replace_server(Some(Arc::new(Counting::default())));
        assert_eq!(link.call(&method, "x".into(), deadline).await, Ok("x".into()));
    }
}

#[cfg(test)]
mod contract {
    use super::*;

    use hpc_conformance::transport::Link;
    use hpc_identity::SpiffeId;

    async fn connect(handler: Arc<dyn Handler>) -> Link {
        let named = |id| PeerIdentity(SpiffeId::parse(id).unwrap());
        let client = named("spiffe://hpc.internal/service/client");
        let server = named("spiffe://hpc.internal/service/server");
        let transport = MemoryTransport::new(handler).between(client.clone(), server.clone());
        Link {
            transport: Arc::new(transport),
            client: Some(client),
            server: Some(server),
            keep: Box::new(()),
        }
    }

    hpc_conformance::transport!(connect);
}
