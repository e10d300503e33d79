//! Connections to one server: each dialled when first needed, dialled again when it has gone.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use hyper::client::conn::http2::{self, SendRequest};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tonic::Status;
use tonic::body::Body;

use hpc_error::{HpcError, Retry};
use hpc_transport::PeerIdentity;

use crate::GrpcError;
use crate::chance;
use crate::limits::ClientLimits;
use crate::target::Target;
use crate::tls::{Connector, FirstByte};

/// A fixed number of connections, chosen by power of two choices on the calls in flight.
pub(crate) struct Pool {
    slots: Vec<Arc<Slot>>,
    dialler: Dialler,
}

/// What every dial needs.
pub(crate) struct Dialler {
    pub(crate) target: Target,
    pub(crate) tls: Option<Connector>,
    pub(crate) limits: ClientLimits,
}

#[derive(Default)]
struct Slot {
    in_flight: AtomicUsize,
    live: Mutex<Option<Live>>,
    dialling: tokio::sync::Mutex<()>,
}

#[derive(Clone)]
struct Live {
    sender: SendRequest<Body>,
    peer: Option<PeerIdentity>,
}

/// Counts one call until its response body is dropped.
pub(crate) struct InFlight(Arc<Slot>);

impl Drop for InFlight {
    fn drop(&mut self) {
        self.0.in_flight.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Pool {
    pub(crate) fn new(size: usize, dialler: Dialler) -> Self {
        Self { slots: (0..size).map(|_| Arc::default()).collect(), dialler }
    }

    /// Dials every connection at once; one that stands is enough, the others are dialled again when needed.
    pub(crate) async fn connect(&self) -> Result<(), GrpcError> {
        let dials = self.slots.iter().map(|slot| slot.sender(&self.dialler));
        let outcomes = futures_util::future::join_all(dials).await;
        let mut failure = None;
        for outcome in outcomes {
            match outcome {
                Ok(_) => return Ok(()),
                Err(error) => failure = Some(error),
            }
        }
        failure.map_or(Ok(()), Err)
    }

    /// A connection to send one call on, and the guard that counts it.
    pub(crate) async fn sender(&self) -> Result<(SendRequest<Body>, InFlight), Status> {
        let (first, second) = chance::two_of(self.slots.len());
        let slot = match (self.slots.get(first), self.slots.get(second)) {
            (Some(first), Some(second)) if second.load() < first.load() => second,
            (Some(first), _) => first,
            (None, _) => return Err(Status::internal("the pool has no connections")),
        };
        let max = self.dialler.limits.calls_per_connection;
        if slot.in_flight.fetch_add(1, Ordering::Relaxed) >= max {
            slot.in_flight.fetch_sub(1, Ordering::Relaxed);
            let message =
                format!("{max} calls are under way in one connection; raise the pool size or slow down");
            return Err(HpcError::exhausted(message).into());
        }
        let guard = InFlight(Arc::clone(slot));
        let sender = slot.sender(&self.dialler).await.map_err(|error| status_of(&error))?;
        Ok((sender, guard))
    }

    /// The server as the newest live connection proved it.
    pub(crate) fn peer(&self) -> Option<PeerIdentity> {
        self.slots.iter().find_map(|slot| slot.lock().as_ref().and_then(|live| live.peer.clone()))
    }

    pub(crate) fn target(&self) -> &Target {
        &self.dialler.target
    }

    pub(crate) fn limits(&self) -> &ClientLimits {
        &self.dialler.limits
    }

    /// Connections that stand.
    pub(crate) fn live(&self) -> usize {
        self.slots.iter().filter(|slot| slot.ready().is_some()).count()
    }
}

impl Slot {
    fn load(&self) -> usize {
        self.in_flight.load(Ordering::Relaxed)
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Option<Live>> {
        // Nothing panics while it is held; a poisoned lock still guards a whole value.
        self.live.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn ready(&self) -> Option<SendRequest<Body>> {
        self.lock().as_ref().filter(|live| !live.sender.is_closed()).map(|live| live.sender.clone())
    }

    async fn sender(&self, dialler: &Dialler) -> Result<SendRequest<Body>, GrpcError> {
        if let Some(sender) = self.ready() {
            return Ok(sender);
        }
        // One dial at a time for a slot; whoever waited finds the connection made.
        let _dialling = self.dialling.lock().await;
        if let Some(sender) = self.ready() {
            return Ok(sender);
        }
        let live = dialler.dial().await?;
        let sender = live.sender.clone();
        *self.lock() = Some(live);
        Ok(sender)
    }
}

impl Dialler {
    async fn dial(&self) -> Result<Live, GrpcError> {
        tokio::time::timeout(self.limits.connect, self.dial_without_limit())
            .await
            .unwrap_or_else(|_| Err(self.failed(format!("no connection within {:?}", self.limits.connect))))
    }

    async fn dial_without_limit(&self) -> Result<Live, GrpcError> {
        let stream = TcpStream::connect((self.target.host(), self.target.port()))
            .await
            .map_err(|error| self.failed(error.to_string()))?;
        let _ = stream.set_nodelay(true); // without it a call is slower, not wrong
        let Some(tls) = &self.tls else {
            return Ok(Live { sender: self.http2(stream).await?, peer: None });
        };
        let refused = |reason| GrpcError::Handshake { uri: self.target.uri().to_owned(), reason };
        let (stream, peer) = tls.connect(self.target.host(), stream).await.map_err(refused)?;
        let (stream, first_byte) = FirstByte::new(stream);
        let sender = self.http2(stream).await?;
        match first_byte.await {
            Ok(Ok(())) => Ok(Live { sender, peer }),
            Ok(Err(reason)) => Err(refused(reason)),
            Err(_) => Err(refused("the connection ended before the server answered".to_owned())),
        }
    }

    async fn http2<S>(&self, stream: S) -> Result<SendRequest<Body>, GrpcError>
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let limits = &self.limits;
        let (sender, connection) = http2::Builder::new(TokioExecutor::new())
            .timer(TokioTimer::new())
            .initial_stream_window_size(limits.stream_window_bytes)
            .initial_connection_window_size(limits.connection_window_bytes)
            .adaptive_window(false)
            .max_frame_size(16 * 1024)
            .max_header_list_size(limits.header_list_bytes)
            .max_send_buf_size(256 * 1024)
            .max_concurrent_streams(0) // a server never opens streams to us
            .max_concurrent_reset_streams(64)
            .max_pending_accept_reset_streams(20)
            .max_local_error_reset_streams(64)
            .keep_alive_interval(limits.keepalive_interval)
            .keep_alive_timeout(limits.keepalive_timeout)
            .keep_alive_while_idle(true)
            .handshake(TokioIo::new(stream))
            .await
            .map_err(|error| self.failed(error.to_string()))?;
        tokio::spawn(async move {
            // It ends when the server closes it or every handle to it is dropped.
            if let Err(error) = connection.await {
                tracing::debug!(%error, "connection ended");
            }
        });
        Ok(sender)
    }

    fn failed(&self, reason: String) -> GrpcError {
        GrpcError::Connect { uri: self.target.uri().to_owned(), reason }
    }
}

/// No connection: nothing was sent, so the call may be tried again, unless an identity was refused.
fn status_of(error: &GrpcError) -> Status {
    let error = match error {
        GrpcError::Handshake { .. } | GrpcError::Tls { .. } => {
            HpcError::unavailable(error.to_string()).retry_class(Retry::AfterFix)
        }
        other => HpcError::unavailable(other.to_string()),
    };
    error.into()
}
