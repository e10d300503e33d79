//! The accept loop: handshakes beside each other, connections counted, and a drain that fails no call.

use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use http::Request;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio::task::JoinSet;
use tokio::time::Instant;

use hpc_transport::PeerIdentity;

use crate::gate::Gate;
use crate::server::{Drained, GrpcServer};
use crate::tls::Acceptor;
use crate::{GrpcError, ServerLimits};

/// Wait after the operating system refused to accept (no file handles left): nothing tells us when it will again.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

pub(crate) async fn serve(
    server: GrpcServer,
    signal: impl Future<Output = ()>,
) -> Result<Drained, GrpcError> {
    let GrpcServer { listener, tls, gate, drain, health, accepts_http1, limits, .. } = server;
    let acceptor = match tls {
        Some(tls) => Some(tls.into_acceptor(accepts_http1).await?),
        None => None,
    };
    let listener =
        TcpListener::from_std(listener).map_err(|error| GrpcError::Serve { reason: error.to_string() })?;
    if let Some(health) = &health {
        health.report(true).await;
    }
    let shared = Arc::new(Shared { gate, acceptor, http: http_builder(&limits, accepts_http1), limits });
    let mut connections = JoinSet::new();
    accept_until(signal, listener, &shared, &drain, &mut connections).await;

    // From here on nothing is accepted: the listener is closed and new clients go elsewhere.
    if let Some(health) = &health {
        health.report(false).await;
    }
    drain.send_replace(true);
    let mut drained = Drained::default();
    let deadline = Instant::now() + shared.limits.drain;
    while let Ok(Some(_)) = tokio::time::timeout_at(deadline, connections.join_next()).await {
        drained.finished += 1;
    }
    drained.cut = connections.len();
    connections.shutdown().await;
    tracing::debug!(finished = drained.finished, cut = drained.cut, "drained");
    Ok(drained)
}

async fn accept_until(
    signal: impl Future<Output = ()>,
    listener: TcpListener,
    shared: &Arc<Shared>,
    drain: &watch::Sender<bool>,
    connections: &mut JoinSet<()>,
) {
    let mut signal = pin!(signal);
    let slots = Arc::new(Semaphore::new(shared.limits.connections));
    loop {
        let accepted = async {
            // A slot first: while none is free, clients wait in the kernel's bounded queue.
            let slot = Arc::clone(&slots).acquire_owned().await;
            (slot, listener.accept().await)
        };
        let (slot, accepted) = tokio::select! {
            biased;
            () = &mut signal => return,
            Some(_) = connections.join_next(), if !connections.is_empty() => continue,
            accepted = accepted => accepted,
        };
        match (slot, accepted) {
            (Ok(slot), Ok((stream, _))) => {
                let connection = Arc::clone(shared).connection(stream, slot, drain.subscribe());
                connections.spawn(connection);
            }
            (_, Err(error)) => {
                tracing::debug!(%error, "accept failed");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
            (Err(_), _) => return, // cannot be: the semaphore is never closed
        }
    }
}

struct Shared {
    gate: Arc<Gate>,
    acceptor: Option<Acceptor>,
    http: auto::Builder<TokioExecutor>,
    limits: ServerLimits,
}

impl Shared {
    async fn connection(
        self: Arc<Self>,
        stream: TcpStream,
        _slot: OwnedSemaphorePermit,
        mut draining: watch::Receiver<bool>,
    ) {
        let _ = stream.set_nodelay(true); // without it a call is slower, not wrong
        let Some(acceptor) = &self.acceptor else {
            return self.serve_http(stream, None, draining).await;
        };
        let handshake = tokio::time::timeout(self.limits.handshake, acceptor.accept(stream));
        let outcome = tokio::select! {
            outcome = handshake => outcome,
            _ = draining.wait_for(|draining| *draining) => return,
        };
        match outcome {
            Ok(Ok((stream, peer))) => self.serve_http(stream, peer, draining).await,
            Ok(Err(error)) => tracing::debug!(%error, "handshake refused"),
            Err(_) => tracing::debug!("handshake took too long"),
        }
    }

    async fn serve_http<S>(&self, stream: S, peer: Option<PeerIdentity>, mut draining: watch::Receiver<bool>)
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let service = service_fn(|request: Request<Incoming>| {
            let passed = Arc::clone(&self.gate).pass(peer.clone(), request);
            async move { Ok::<_, std::convert::Infallible>(passed.await) }
        });
        let connection = self.http.serve_connection(TokioIo::new(stream), service);
        let mut connection = pin!(connection);
        let age = tokio::time::sleep(spread(self.limits.connection_age));
        let ended = tokio::select! {
            ended = connection.as_mut() => Some(ended),
            () = age => None,
            _ = draining.wait_for(|draining| *draining) => None,
        };
        let ended = match ended {
            Some(ended) => ended,
            None => {
                connection.as_mut().graceful_shutdown();
                match tokio::time::timeout(self.limits.drain, connection).await {
                    Ok(ended) => ended,
                    Err(_) => return tracing::debug!("connection cut: its calls outlived the grace"),
                }
            }
        };
        if let Err(error) = ended {
            tracing::debug!(%error, "connection ended");
        }
    }
}

/// Takes up to a tenth off, so that connections made together do not all end together.
fn spread(age: Duration) -> Duration {
    age.saturating_sub(age.mul_f64(crate::chance::unit() / 10.0))
}

fn http_builder(limits: &ServerLimits, accepts_http1: bool) -> auto::Builder<TokioExecutor> {
    let mut builder = auto::Builder::new(TokioExecutor::new());
    builder
        .http2()
        .timer(TokioTimer::new())
        .max_concurrent_streams(limits.streams_per_connection)
        .max_pending_accept_reset_streams(limits.pending_accept_resets)
        .max_local_error_reset_streams(limits.local_error_resets)
        .max_header_list_size(limits.header_list_bytes)
        .max_frame_size(16 * 1024)
        .max_send_buf_size(256 * 1024)
        .adaptive_window(false)
        .initial_stream_window_size(limits.stream_window_bytes)
        .initial_connection_window_size(limits.connection_window_bytes)
        .keep_alive_interval(limits.keepalive_interval)
        .keep_alive_timeout(limits.keepalive_timeout);
    if accepts_http1 {
        builder
            .http1()
            .timer(TokioTimer::new())
            .header_read_timeout(limits.handshake)
            .max_buf_size((limits.header_list_bytes as usize).max(8192)); // hyper's own minimum
        builder
    } else {
        builder.http2_only()
    }
}
