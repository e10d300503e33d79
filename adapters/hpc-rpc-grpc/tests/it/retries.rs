use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use hpc_rpc_grpc::{GrpcClientBuilder, GrpcServerBuilder, GrpcTransport};
use hpc_transport::{CallContext, TransportError};

use crate::limits::call;
use crate::world::{self, Answering};

const FLAKY: &str = "/hpc.test.v1.Test/Flaky";

/// Fails the first `failures` calls with `error`, then echoes.
async fn flaky(
    failures: usize,
    error: TransportError,
    idempotent: &[&str],
) -> (Arc<AtomicUsize>, GrpcTransport, world::Running) {
    let calls = Arc::new(AtomicUsize::new(0));
    let handler = {
        let calls = Arc::clone(&calls);
        Answering(move |_: CallContext, request: Bytes| {
            let (number, error) = (calls.fetch_add(1, Ordering::SeqCst), error.clone());
            async move { if number < failures { Err(error) } else { Ok(request) } }
        })
    };
    let server = GrpcServerBuilder::insecure_plaintext_for_tests("127.0.0.1:0")
        .with_handler(Arc::new(handler))
        .build()
        .unwrap();
    let running = world::start(server, "http");
    let channel = GrpcClientBuilder::insecure_plaintext_for_tests(running.uri.clone())
        .with_idempotent(idempotent)
        .connect()
        .await
        .unwrap();
    (calls, GrpcTransport::new(channel), running)
}

#[tokio::test]
async fn an_idempotent_call_is_tried_three_times() {
    let busy = TransportError::Overloaded { retry_after: Duration::ZERO };
    let (calls, link, _running) = flaky(2, busy.clone(), &[FLAKY]).await;
    assert_eq!(call(&link, FLAKY, "x").await.unwrap(), "x");
    assert_eq!(calls.load(Ordering::SeqCst), 3);
    let (calls, link, _running) = flaky(3, busy.clone(), &[FLAKY]).await;
    assert_eq!(call(&link, FLAKY, "x").await.unwrap_err(), busy);
    assert_eq!(calls.load(Ordering::SeqCst), 3);
}

#[tokio::test]
async fn any_other_method_is_tried_once() {
    let (calls, link, _running) = flaky(1, TransportError::GoingAway, &["/hpc.test.v1.Test/Other"]).await;
    assert_eq!(call(&link, FLAKY, "x").await.unwrap_err(), TransportError::GoingAway);
    assert_eq!(calls.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn only_unavailable_is_tried_again() {
    for error in
        [TransportError::DeadlineExceeded, TransportError::rejected("no"), TransportError::failed("no")]
    {
        let (calls, link, _running) = flaky(1, error.clone(), &[FLAKY]).await;
        assert_eq!(call(&link, FLAKY, "x").await.unwrap_err(), error);
        assert_eq!(calls.load(Ordering::SeqCst), 1);
    }
}

#[tokio::test]
async fn retries_stop_when_most_calls_fail() {
    let (calls, link, _running) = flaky(usize::MAX, TransportError::GoingAway, &[FLAKY]).await;
    for _ in 0..20 {
        assert!(call(&link, FLAKY, "x").await.is_err());
    }
    let calls = calls.load(Ordering::SeqCst);
    assert!((20..=26).contains(&calls), "{calls} calls left for 20 that were asked for");
}

#[tokio::test]
async fn a_lazy_channel_connects_when_the_server_is_there() {
    let server = GrpcServerBuilder::insecure_plaintext_for_tests("127.0.0.1:0")
        .with_handler(world::echo())
        .build()
        .unwrap();
    let address = server.local_addr();
    drop(server); // the port is free again, and nobody listens
    let channel = GrpcClientBuilder::insecure_plaintext_for_tests(format!("http://{address}"))
        .connect_lazily()
        .await
        .unwrap();
    let link = GrpcTransport::new(channel);
    let error = call(&link, world::ECHO, "x").await.unwrap_err();
    assert!(matches!(error, TransportError::Unreachable { .. }), "{error}");
    let server =
        GrpcServerBuilder::insecure_plaintext_for_tests(address).with_handler(world::echo()).build().unwrap();
    let _running = world::start(server, "http");
    assert_eq!(call(&link, world::ECHO, "x").await.unwrap(), "x");
}
