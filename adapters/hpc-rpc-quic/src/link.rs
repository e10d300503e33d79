//! The port over QUIC.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use async_trait::async_trait;
use bytes::Bytes;
use quinn::{Connection, Endpoint, VarInt};
use tokio::sync::Mutex;

use hpc_transport::{
    Deadline, Frame, FrameKind, Frames, MESSAGE_BYTES_MAX, Method, Opening, PeerIdentity, Result, StreamName,
    Transport, TransportError,
};

use crate::limits::{ClientLimits, LINGER};
use crate::serve::{HELLO, peer_of};
use crate::stream::{FrameReader, QuicSink, QuicSource, lost, not_made, write};

/// Connections tried for one call or stream: the one that stands, and a fresh one when that is going away.
const ATTEMPTS_MAX: usize = 2;

/// One connection to one server, made again when it has gone. Clones share it.
///
/// A call or stream that the server answers with `GoingAway`, unrun, is tried once more on a fresh connection.
#[derive(Clone)]
pub struct QuicTransport {
    inner: Arc<Inner>,
}

struct Inner {
    server: String,
    config: quinn::ClientConfig,
    limits: ClientLimits,
    live: std::sync::Mutex<Option<Live>>,
    dialling: Mutex<()>,
}

#[derive(Clone)]
struct Live {
    endpoint: Endpoint,
    connection: Connection,
    peer: Option<PeerIdentity>,
    /// The server is going away: streams that run go on, what comes next dials anew.
    retired: Arc<AtomicBool>,
}

impl QuicTransport {
    pub(crate) fn new(server: String, config: quinn::ClientConfig, limits: ClientLimits) -> Self {
        let live = std::sync::Mutex::new(None);
        Self { inner: Arc::new(Inner { server, config, limits, live, dialling: Mutex::new(()) }) }
    }

    pub(crate) async fn ready(&self) -> Result<()> {
        self.inner.live().await.map(|_| ())
    }

    /// Closes the connection and waits until the server has been told. What runs is cut: finish streams before.
    pub async fn close(&self) {
        let live = self.inner.lock().take();
        if let Some(live) = live {
            live.connection.close(VarInt::from_u32(0), b"done");
            let _ = tokio::time::timeout(LINGER, live.endpoint.wait_idle()).await;
        }
    }
}

impl fmt::Debug for QuicTransport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("QuicTransport").field("server", &self.inner.server).finish_non_exhaustive()
    }
}

#[async_trait]
impl Transport for QuicTransport {
    async fn call(&self, method: &Method, request: Bytes, deadline: Deadline) -> Result<Bytes> {
        TransportError::check_size(request.len(), MESSAGE_BYTES_MAX)?;
        if deadline.has_passed(Instant::now()) {
            return Err(TransportError::DeadlineExceeded);
        }
        let calling = async {
            let mut outcome = Err(TransportError::GoingAway);
            for _ in 0..ATTEMPTS_MAX {
                let live = self.inner.live().await?;
                outcome = exchange(&live.connection, method, request.clone(), deadline).await;
                if outcome != Err(TransportError::GoingAway) {
                    break;
                }
                live.retired.store(true, Ordering::Relaxed);
            }
            outcome
        };
        tokio::time::timeout_at(deadline.at().into(), calling)
            .await
            .unwrap_or(Err(TransportError::DeadlineExceeded))
    }

    async fn open(&self, name: &StreamName) -> Result<Frames> {
        let live = self.inner.live().await?;
        let (mut send, recv) = live.connection.open_bi().await.map_err(|error| not_made(&error))?;
        write(&mut send, Frame::new(FrameKind::Stream, Opening::stream(name).encode())?).await?;
        let source = QuicSource::calling(FrameReader::new(recv), live.retired);
        Ok(Frames::new(Box::new(QuicSink::calling(send)), Box::new(source)))
    }

    fn peer(&self) -> Option<PeerIdentity> {
        self.inner.lock().as_ref().and_then(|live| live.peer.clone())
    }
}

impl Inner {
    fn lock(&self) -> std::sync::MutexGuard<'_, Option<Live>> {
        // Nothing panics while it is held; a poisoned lock still guards a whole value.
        self.live.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    fn standing(&self) -> Option<Live> {
        let stands =
            |live: &&Live| live.connection.close_reason().is_none() && !live.retired.load(Ordering::Relaxed);
        self.lock().as_ref().filter(stands).cloned()
    }

    async fn live(&self) -> Result<Live> {
        if let Some(live) = self.standing() {
            return Ok(live);
        }
        // One dial at a time; whoever waited finds the connection made.
        let _dialling = self.dialling.lock().await;
        if let Some(live) = self.standing() {
            return Ok(live);
        }
        let live = tokio::time::timeout(self.limits.connect, self.dial()).await.unwrap_or_else(|_| {
            Err(TransportError::unreachable(format!("no connection within {:?}", self.limits.connect)))
        })?;
        *self.lock() = Some(live.clone());
        Ok(live)
    }

    async fn dial(&self) -> Result<Live> {
        let unreachable = |error: std::io::Error| TransportError::unreachable(error.to_string());
        let mut addresses = tokio::net::lookup_host(&self.server).await.map_err(unreachable)?;
        let address =
            addresses.next().ok_or_else(|| TransportError::unreachable("the name has no address"))?;
        let any: IpAddr =
            if address.is_ipv4() { Ipv4Addr::UNSPECIFIED.into() } else { Ipv6Addr::UNSPECIFIED.into() };
        let endpoint = Endpoint::client(SocketAddr::new(any, 0)).map_err(unreachable)?;
        let host = self.server.rsplit_once(':').map_or(self.server.as_str(), |(host, _)| host);
        let host = host.trim_start_matches('[').trim_end_matches(']');
        let connection = endpoint
            .connect_with(self.config.clone(), address, host)
            .map_err(|error| TransportError::unreachable(error.to_string()))?
            .await
            .map_err(|error| not_made(&error))?;
        // In TLS 1.3 the client is done before the server has judged its certificate: only an answer says that it was accepted.
        let hello = Method::parse(HELLO)?;
        let deadline = Deadline::after(Instant::now(), self.limits.connect);
        if let Err(error) = exchange(&connection, &hello, Bytes::new(), deadline).await {
            return Err(match error {
                TransportError::Closed { reason } => TransportError::Unreachable { reason },
                other => other,
            });
        }
        let peer = peer_of(&connection);
        Ok(Live { endpoint, connection, peer, retired: Arc::default() })
    }
}

/// One call on a QUIC stream of its own.
async fn exchange(
    connection: &Connection,
    method: &Method,
    request: Bytes,
    deadline: Deadline,
) -> Result<Bytes> {
    let (mut send, recv) = connection.open_bi().await.map_err(|error| lost(&error))?;
    let mut reader = FrameReader::new(recv);
    let opening = Frame::new(FrameKind::Call, Opening::call(method, deadline, Instant::now()).encode())?;
    let request = Frame::new(FrameKind::Data, request)?;
    let head = [opening.encode().as_ref(), &request.header()].concat();
    let sent = send.write_all_chunks(&mut [Bytes::from(head), request.payload]).await;
    if sent.is_ok() {
        let _ = send.finish(); // fails only when the peer has stopped it
    }
    // A server may refuse before it has read all: its answer says more than the failed write.
    match reader.next().await {
        Ok(Some(Frame { kind: FrameKind::Data, payload })) => Ok(payload),
        Ok(Some(Frame { kind: FrameKind::Error, payload })) => Err(TransportError::decode(&payload)),
        Ok(Some(_)) => Err(TransportError::malformed("a reply is one data frame or one error frame")),
        Ok(None) => Err(TransportError::closed("the reply was cut")),
        Err(error) => Err(error),
    }
}
