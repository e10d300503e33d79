//! The serving loop: connections, their streams, and the drain.

use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

use quinn::{Connection, Endpoint, EndpointConfig, Incoming, RecvStream, SendStream, TokioRuntime, VarInt};
use rustls_pki_types::CertificateDer;
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinSet;

use hpc_transport::{
    CallContext, Deadline, Frame, FrameKind, Handler, Method, Opening, PeerIdentity, Result, StreamContext,
    StreamName, TransportError,
};

use crate::QuicError;
use crate::limits::{LINGER, ServerLimits};
use crate::server::{Drained, QuicServer};
use crate::stream::{FrameReader, QuicSink, QuicSource, write};

/// A method every server answers itself, with nothing: a client learns by it that it was accepted.
pub(crate) const HELLO: &str = "/hpc.transport.v1.Link/Hello";
/// The wait a refused caller is asked for.
const OVERLOAD_WAIT: Duration = Duration::from_millis(100);
/// Close code of a server that is done.
const CODE_DONE: VarInt = VarInt::from_u32(0);

struct Shared {
    handler: Arc<dyn Handler>,
    calls: Semaphore,
    streams: Semaphore,
    limits: ServerLimits,
    draining: watch::Receiver<bool>,
}

pub(crate) async fn serve(
    server: QuicServer,
    config: quinn::ServerConfig,
    signal: impl Future<Output = ()>,
) -> std::result::Result<Drained, QuicError> {
    let QuicServer { socket, handler, limits, .. } = server;
    let failed = |error: std::io::Error| QuicError::Serve { reason: error.to_string() };
    let endpoint = Endpoint::new(EndpointConfig::default(), Some(config), socket, Arc::new(TokioRuntime))
        .map_err(failed)?;
    let (drain, draining) = watch::channel(false);
    let shared = Arc::new(Shared {
        handler,
        calls: Semaphore::new(limits.calls),
        streams: Semaphore::new(limits.streams),
        limits,
        draining,
    });
    let mut connections = JoinSet::new();
    let mut signal = pin!(signal);
    loop {
        let incoming = tokio::select! {
            biased;
            () = &mut signal => break,
            Some(_) = connections.join_next(), if !connections.is_empty() => continue,
            incoming = endpoint.accept() => incoming,
        };
        match incoming {
            Some(incoming) => shared.admit(incoming, &mut connections),
            None => return Err(QuicError::Serve { reason: "the endpoint closed".to_owned() }),
        }
    }

    drain.send_replace(true);
    let mut drained = Drained::default();
    let grace = tokio::time::sleep(shared.limits.drain);
    let mut grace = pin!(grace);
    while !connections.is_empty() {
        tokio::select! {
            _ = connections.join_next() => drained.finished += 1,
            // Refused aloud: a client that hears nothing would wait for its own time limit.
            Some(incoming) = endpoint.accept() => incoming.refuse(),
            () = &mut grace => break,
        }
    }
    drained.cut = connections.len();
    connections.shutdown().await;
    endpoint.close(CODE_DONE, b"done");
    let _ = tokio::time::timeout(LINGER, endpoint.wait_idle()).await; // the close frames leave
    tracing::debug!(finished = drained.finished, cut = drained.cut, "drained");
    Ok(drained)
}

impl Shared {
    fn admit(self: &Arc<Self>, incoming: Incoming, connections: &mut JoinSet<()>) {
        if connections.len() >= self.limits.connections {
            return incoming.refuse();
        }
        if connections.len() >= self.limits.connections / 2 && incoming.may_retry() {
            let _ = incoming.retry(); // it comes back and has proved its address
            return;
        }
        let shared = Arc::clone(self);
        connections.spawn(async move {
            let connecting = match incoming.accept() {
                Ok(connecting) => connecting,
                Err(error) => return tracing::debug!(%error, "handshake refused"),
            };
            match tokio::time::timeout(shared.limits.handshake, connecting).await {
                Ok(Ok(connection)) => shared.connection(connection).await,
                Ok(Err(error)) => tracing::debug!(%error, "handshake refused"),
                Err(_) => tracing::debug!("handshake took too long"),
            }
        });
    }

    async fn connection(self: Arc<Self>, connection: Connection) {
        let Some(peer) = peer_of(&connection) else {
            return connection.close(CODE_DONE, b"no identity"); // cannot be: the handshake demands one
        };
        let mut streams = JoinSet::new();
        let mut draining = self.draining.clone();
        let went_away = loop {
            tokio::select! {
                Some(_) = streams.join_next(), if !streams.is_empty() => {}
                accepted = connection.accept_bi() => match accepted {
                    Ok((send, recv)) => {
                        streams.spawn(Arc::clone(&self).stream(peer.clone(), send, recv));
                    }
                    Err(_) => break true,
                },
                _ = draining.wait_for(|draining| *draining) => break false,
            }
        };
        if went_away {
            // Handlers learn it from their source or sink; one that asks neither is not waited for long.
            let _ =
                tokio::time::timeout(LINGER, async { while streams.join_next().await.is_some() {} }).await;
            return;
        }
        // The drain: what runs may finish, what comes is told to go elsewhere.
        while !streams.is_empty() {
            tokio::select! {
                _ = streams.join_next() => {}
                accepted = connection.accept_bi() => match accepted {
                    Ok((send, _)) => {
                        streams.spawn(refuse(send, TransportError::GoingAway));
                    }
                    Err(_) => break,
                },
            }
        }
        connection.close(CODE_DONE, b"going away");
    }

    async fn stream(self: Arc<Self>, peer: PeerIdentity, send: SendStream, recv: RecvStream) {
        let mut reader = FrameReader::new(recv);
        let opening = match tokio::time::timeout(self.limits.handshake, open(&mut reader)).await {
            Ok(Ok(opening)) => opening,
            Ok(Err(error)) => return refuse(send, error).await,
            Err(_) => {
                return refuse(send, TransportError::malformed("the stream was not opened in time")).await;
            }
        };
        match opening {
            Opened::Call(method, budget) => self.call(peer, method, budget, send, reader).await,
            Opened::Stream(name) => self.serve_stream(peer, name, send, reader).await,
        }
    }

    async fn call(
        &self,
        peer: PeerIdentity,
        method: Method,
        budget: Option<Duration>,
        mut send: SendStream,
        mut reader: FrameReader,
    ) {
        if method.path() == HELLO {
            return reply(send, Ok(bytes::Bytes::new())).await;
        }
        if *self.draining.borrow() {
            return refuse(send, TransportError::GoingAway).await;
        }
        let Ok(_permit) = self.calls.try_acquire() else {
            return refuse(send, TransportError::Overloaded { retry_after: OVERLOAD_WAIT }).await;
        };
        let budget = budget.map_or(self.limits.deadline, |budget| budget.min(self.limits.deadline));
        let deadline = Deadline::after(Instant::now(), budget);
        let gone = send.stopped();
        let answer = async {
            let request = match reader.next().await? {
                Some(Frame { kind: FrameKind::Data, payload }) => payload,
                Some(_) => return Err(TransportError::malformed("a call carries one data frame")),
                None => return Err(TransportError::closed("the call was cut before its request")),
            };
            self.handler.call(CallContext::new(method, deadline, Some(peer)), request).await
        };
        let outcome = tokio::select! {
            biased;
            outcome = tokio::time::timeout_at(deadline.at().into(), answer) => outcome,
            _ = gone => {
                let _ = send.reset(CODE_DONE);
                return; // the caller has given up: dropping the handler's future ends its work
            }
        };
        reply(send, outcome.unwrap_or(Err(TransportError::DeadlineExceeded))).await;
    }

    async fn serve_stream(
        &self,
        peer: PeerIdentity,
        name: StreamName,
        send: SendStream,
        reader: FrameReader,
    ) {
        if *self.draining.borrow() {
            return refuse(send, TransportError::GoingAway).await;
        }
        let Ok(_permit) = self.streams.try_acquire() else {
            return refuse(send, TransportError::Overloaded { retry_after: OVERLOAD_WAIT }).await;
        };
        let stopped = send.stopped();
        let gone = async {
            match stopped.await {
                Ok(Some(_)) => {} // the client reads no more: nobody waits for the handler
                // A lost connection shows in the handler's own source, so that it can tidy up.
                _ => std::future::pending().await,
            }
        };
        let source = Box::new(QuicSource::serving(reader, self.draining.clone()));
        let mut sink = QuicSink::serving(send);
        let outcome = tokio::select! {
            biased;
            outcome = self.handler.stream(StreamContext::new(name, Some(peer)), source, &mut sink) => outcome,
            () = gone => return,
        };
        let last = match &outcome {
            Ok(()) => Frame::end(),
            Err(error) => Frame::error(error),
        };
        if let Ok(send) = sink.end(last).await {
            linger(send).await;
        }
    }
}

enum Opened {
    Call(Method, Option<Duration>),
    Stream(StreamName),
}

async fn open(reader: &mut FrameReader) -> Result<Opened> {
    let Some(frame) = reader.next().await? else {
        return Err(TransportError::malformed("the stream ends before its opening"));
    };
    match frame.kind {
        FrameKind::Call => {
            let opening = Opening::decode(&frame.payload)?;
            Ok(Opened::Call(Method::parse(&opening.name)?, opening.budget))
        }
        FrameKind::Stream => Ok(Opened::Stream(StreamName::parse(&Opening::decode(&frame.payload)?.name)?)),
        _ => Err(TransportError::malformed("a stream starts with an opening")),
    }
}

async fn reply(mut send: SendStream, outcome: Result<bytes::Bytes>) {
    let frame = match outcome.and_then(|reply| Frame::new(FrameKind::Data, reply)) {
        Ok(frame) => frame,
        Err(error) => Frame::error(&error),
    };
    if write(&mut send, frame).await.is_ok() {
        let _ = send.finish(); // fails only when the peer has stopped it
        linger(send).await;
    }
}

async fn refuse(send: SendStream, error: TransportError) {
    reply(send, Err(error)).await;
}

/// Holds the stream until its last byte is acknowledged, so that a close does not overtake it.
async fn linger(send: SendStream) {
    let _ = tokio::time::timeout(LINGER, send.stopped()).await;
}

pub(crate) fn peer_of(connection: &Connection) -> Option<PeerIdentity> {
    let chain = connection.peer_identity()?.downcast::<Vec<CertificateDer<'static>>>().ok()?;
    hpc_auth::peer_spiffe_id(&chain).ok().map(PeerIdentity)
}
