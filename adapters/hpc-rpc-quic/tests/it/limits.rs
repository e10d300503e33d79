use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use hpc_rpc_quic::{QuicTransport, ServerLimits};
use hpc_transport::{
    CallContext, Deadline, FRAME_PAYLOAD_BYTES_MAX, Frame, FrameDecoder, FrameKind, Method, Opening,
    Transport, TransportError,
};
use tokio::sync::{Semaphore, mpsc};

use crate::world::{self, Answering, ECHO};

pub fn method(path: &str) -> Method {
    Method::parse(path).unwrap()
}

pub async fn call(
    link: &QuicTransport,
    path: &str,
    request: impl Into<Bytes>,
) -> hpc_transport::Result<Bytes> {
    link.call(&method(path), request.into(), Deadline::after(Instant::now(), Duration::from_secs(20))).await
}

pub const WAIT: &str = "/hpc.test.v1.Test/Wait";

/// A handler whose `Wait` tells that it runs and returns when it gets a permit.
pub fn waiting() -> (Arc<Semaphore>, mpsc::Receiver<()>, Arc<dyn hpc_transport::Handler>) {
    let gate = Arc::new(Semaphore::new(0));
    let (running, runs) = mpsc::channel(64);
    let handler = {
        let gate = Arc::clone(&gate);
        Answering(move |_: CallContext, request: Bytes| {
            let (gate, running) = (Arc::clone(&gate), running.clone());
            async move {
                running.send(()).await.unwrap();
                gate.acquire().await.unwrap().forget();
                Ok(request)
            }
        })
    };
    (gate, runs, Arc::new(handler))
}

#[tokio::test]
async fn a_call_over_the_limit_is_shed_unrun() {
    let ca = world::ca();
    let (gate, mut runs, handler) = waiting();
    let mut limits = ServerLimits::default();
    limits.calls = 1;
    let running =
        world::start(world::builder(&ca).with_limits(limits).with_handler(handler).build().unwrap());
    let link = world::client(&running, &ca).connect().await.unwrap();
    let held = {
        let link = link.clone();
        tokio::spawn(async move { call(&link, WAIT, "held").await })
    };
    runs.recv().await.unwrap();
    let error = call(&link, WAIT, "second").await.unwrap_err();
    assert_eq!(error, TransportError::Overloaded { retry_after: Duration::from_millis(100) });
    gate.add_permits(1);
    assert_eq!(held.await.unwrap().unwrap(), "held");
    assert!(runs.try_recv().is_err(), "the call that was shed ran");
}

#[tokio::test]
async fn a_cancelled_call_frees_its_place() {
    let ca = world::ca();
    let (_gate, mut runs, handler) = waiting();
    let mut limits = ServerLimits::default();
    limits.calls = 1;
    let running =
        world::start(world::builder(&ca).with_limits(limits).with_handler(handler).build().unwrap());
    let link = world::client(&running, &ca).connect().await.unwrap();
    let held = {
        let link = link.clone();
        tokio::spawn(async move { call(&link, WAIT, "held").await })
    };
    runs.recv().await.unwrap();
    held.abort();
    let freed = async {
        while let Err(error) = call(&link, ECHO, "x").await {
            assert!(matches!(error, TransportError::Overloaded { .. }), "{error}");
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(10), freed).await.unwrap();
}

#[tokio::test]
async fn more_calls_than_streams_wait_their_turn() {
    let ca = world::ca();
    let mut limits = ServerLimits::default();
    limits.streams_per_connection = 4;
    let running =
        world::start(world::builder(&ca).with_limits(limits).with_handler(world::echo()).build().unwrap());
    let link = world::client(&running, &ca).connect().await.unwrap();
    let calls = (0..100).map(|number| {
        let link = &link;
        async move { (number, call(link, ECHO, number.to_string()).await.unwrap()) }
    });
    for (number, reply) in futures_util::future::join_all(calls).await {
        assert_eq!(reply, number.to_string());
    }
}

#[tokio::test]
async fn a_connection_over_the_limit_is_refused() {
    let ca = world::ca();
    let mut limits = ServerLimits::default();
    limits.connections = 1;
    let running =
        world::start(world::builder(&ca).with_limits(limits).with_handler(world::echo()).build().unwrap());
    let first = world::client(&running, &ca).connect().await.unwrap();
    assert!(world::client(&running, &ca).connect().await.is_err());
    assert_eq!(call(&first, ECHO, "x").await.unwrap(), "x");
    first.close().await;
}

/// Sends bytes that our own client never would, and reads the server's answer.
async fn raw(running: &world::Running, ca: &hpc_auth::cert::CaCert, bytes: Vec<u8>) -> TransportError {
    let policy = hpc_auth::PeerPolicy::TrustDomain(ca.trust_domain().clone());
    let tls =
        hpc_auth::client::create_client_config(&world::svid("raw", ca), &[ca.into()], policy, &[b"hpc/1"])
            .unwrap();
    let crypto = quinn::crypto::rustls::QuicClientConfig::try_from(tls).unwrap();
    let endpoint = quinn::Endpoint::client("127.0.0.1:0".parse().unwrap()).unwrap();
    let config = quinn::ClientConfig::new(Arc::new(crypto));
    let connection =
        endpoint.connect_with(config, running.address.parse().unwrap(), "server").unwrap().await.unwrap();
    let (mut send, mut recv) = connection.open_bi().await.unwrap();
    send.write_all(&bytes).await.unwrap();
    send.finish().unwrap();
    let answer = recv.read_to_end(65536).await.unwrap();
    let mut decoder = FrameDecoder::new();
    decoder.push(&answer);
    let frame = decoder.next_frame().unwrap().unwrap();
    assert_eq!(frame.kind, FrameKind::Error);
    TransportError::decode(&frame.payload)
}

#[tokio::test]
async fn broken_frames_are_answered_and_the_server_goes_on() {
    let ca = world::ca();
    let running = world::start(world::builder(&ca).with_handler(world::echo()).build().unwrap());
    let mut oversize = vec![1, 1, 0, 0];
    oversize.extend((FRAME_PAYLOAD_BYTES_MAX as u32 + 1).to_be_bytes());
    assert!(matches!(raw(&running, &ca, oversize).await, TransportError::TooLarge { .. }));

    let opening = |name: &str| Opening { budget: None, name: name.to_owned() }.encode();
    let frame = |kind, payload: Bytes| Frame::new(kind, payload).unwrap().encode().to_vec();
    for bytes in [
        vec![9; 64],
        Vec::new(),
        frame(FrameKind::Data, "x".into()),
        frame(FrameKind::Call, "x".into()),
        [frame(FrameKind::Call, opening("/a.B/C")), frame(FrameKind::End, Bytes::new())].concat(),
        frame(FrameKind::Call, opening("no method")),
        frame(FrameKind::Stream, opening("no/stream")),
    ] {
        let error = raw(&running, &ca, bytes.clone()).await;
        assert!(matches!(error, TransportError::Malformed { .. }), "{bytes:?}: {error}");
    }
    let link = world::client(&running, &ca).connect().await.unwrap();
    assert_eq!(call(&link, ECHO, "x").await.unwrap(), "x");
}
