use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use hpc_rpc_grpc::{ClientLimits, GrpcClientBuilder, GrpcServerBuilder, GrpcTransport, ServerLimits};
use hpc_transport::{CallContext, Deadline, Method, Transport, TransportError};
use tokio::sync::{Semaphore, mpsc};

use crate::world::{self, Answering, ECHO};

pub fn method(path: &str) -> Method {
    Method::parse(path).unwrap()
}

pub fn soon() -> Deadline {
    Deadline::after(Instant::now(), Duration::from_secs(20))
}

pub async fn call(
    link: &GrpcTransport,
    path: &str,
    request: impl Into<Bytes>,
) -> hpc_transport::Result<Bytes> {
    link.call(&method(path), request.into(), soon()).await
}

const WAIT: &str = "/hpc.test.v1.Test/Wait";

/// A handler whose `Wait` tells that it runs and returns when it gets a permit.
fn waiting() -> (Arc<Semaphore>, mpsc::Receiver<()>, Arc<dyn hpc_transport::Handler>) {
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

async fn plain(
    limits: ServerLimits,
    handler: Arc<dyn hpc_transport::Handler>,
) -> (world::Running, GrpcTransport) {
    let server = GrpcServerBuilder::insecure_plaintext_for_tests("127.0.0.1:0")
        .with_limits(limits)
        .with_handler(handler)
        .build()
        .unwrap();
    let running = world::start(server, "http");
    let channel =
        GrpcClientBuilder::insecure_plaintext_for_tests(running.uri.clone()).connect().await.unwrap();
    (running, GrpcTransport::new(channel))
}

#[tokio::test]
async fn a_call_over_the_limit_is_shed_unrun_and_told_to_wait() {
    let mut limits = ServerLimits::default();
    limits.calls = 2;
    let (gate, mut runs, handler) = waiting();
    let (_running, link) = plain(limits, handler).await;
    let held: Vec<_> = (0..2)
        .map(|_| {
            let link = link.clone();
            tokio::spawn(async move { call(&link, WAIT, "held").await })
        })
        .collect();
    runs.recv().await.unwrap();
    runs.recv().await.unwrap();
    let error = call(&link, WAIT, "third").await.unwrap_err();
    assert_eq!(error, TransportError::Overloaded { retry_after: Duration::from_millis(100) });
    gate.add_permits(2);
    for held in held {
        assert_eq!(held.await.unwrap().unwrap(), "held");
    }
    assert!(runs.try_recv().is_err(), "the call that was shed ran");
    assert_eq!(call(&link, ECHO, "free again").await.unwrap(), "free again");
}

#[tokio::test]
async fn the_server_refuses_a_message_over_its_own_limit() {
    let mut limits = ServerLimits::default();
    limits.message_bytes = 1000;
    let (_running, link) = plain(limits, world::echo()).await;
    assert_eq!(call(&link, ECHO, vec![1; 1000]).await.unwrap().len(), 1000);
    let error = call(&link, ECHO, vec![1; 1001]).await.unwrap_err();
    assert_eq!(error, TransportError::TooLarge { bytes: 1001, max: 1000 });
}

#[tokio::test]
async fn the_client_refuses_a_reply_over_its_own_limit() {
    let server = GrpcServerBuilder::insecure_plaintext_for_tests("127.0.0.1:0")
        .with_handler(Arc::new(Answering(|_, _| async { Ok(vec![1; 2000].into()) })))
        .build()
        .unwrap();
    let running = world::start(server, "http");
    let mut limits = ClientLimits::default();
    limits.message_bytes = 1000;
    let channel = GrpcClientBuilder::insecure_plaintext_for_tests(running.uri.clone())
        .with_limits(limits)
        .connect()
        .await
        .unwrap();
    let error = call(&GrpcTransport::new(channel), "/hpc.test.v1.Test/Big", "").await.unwrap_err();
    assert_eq!(error, TransportError::TooLarge { bytes: 2000, max: 1000 });
}

#[tokio::test]
async fn the_servers_own_deadline_holds_for_a_patient_caller() {
    let mut limits = ServerLimits::default();
    limits.deadline = Duration::from_millis(50);
    let (_gate, _runs, handler) = waiting();
    let (_running, link) = plain(limits, handler).await;
    let started = Instant::now();
    assert_eq!(call(&link, WAIT, "").await.unwrap_err(), TransportError::DeadlineExceeded);
    assert!(started.elapsed() < Duration::from_secs(10));
}

#[tokio::test]
async fn a_cancelled_call_frees_its_place() {
    let mut limits = ServerLimits::default();
    limits.calls = 1;
    let (_gate, mut runs, handler) = waiting();
    let (_running, link) = plain(limits, handler).await;
    let held = {
        let link = link.clone();
        tokio::spawn(async move { call(&link, WAIT, "").await })
    };
    runs.recv().await.unwrap();
    held.abort();
    // The server hears of it when the reset arrives; until then it says that it is full.
    let freed = async {
        while let Err(error) = call(&link, ECHO, "x").await {
            assert!(matches!(error, TransportError::Overloaded { .. }), "{error}");
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(10), freed).await.unwrap();
}

#[tokio::test]
async fn the_pool_opens_as_many_connections_as_told() {
    let server = GrpcServerBuilder::insecure_plaintext_for_tests("127.0.0.1:0")
        .with_handler(world::echo())
        .build()
        .unwrap();
    let running = world::start(server, "http");
    let channel = GrpcClientBuilder::insecure_plaintext_for_tests(running.uri.clone())
        .with_pool_size(5)
        .connect()
        .await
        .unwrap();
    assert_eq!(channel.connections(), 5);
    let link = GrpcTransport::new(channel);
    let calls = (0..200).map(|number| {
        let link = &link;
        async move { (number, call(link, ECHO, number.to_string()).await.unwrap()) }
    });
    for (number, reply) in futures_util::future::join_all(calls).await {
        assert_eq!(reply, number.to_string());
    }
}

#[tokio::test]
async fn a_connection_has_its_own_limit_of_calls() {
    let (gate, mut runs, handler) = waiting();
    let server =
        GrpcServerBuilder::insecure_plaintext_for_tests("127.0.0.1:0").with_handler(handler).build().unwrap();
    let running = world::start(server, "http");
    let mut limits = ClientLimits::default();
    limits.calls_per_connection = 1;
    let channel = GrpcClientBuilder::insecure_plaintext_for_tests(running.uri.clone())
        .with_limits(limits)
        .connect()
        .await
        .unwrap();
    let link = GrpcTransport::new(channel);
    let held = {
        let link = link.clone();
        tokio::spawn(async move { call(&link, WAIT, "held").await })
    };
    runs.recv().await.unwrap();
    assert!(call(&link, ECHO, "second").await.is_err());
    gate.add_permits(1);
    assert_eq!(held.await.unwrap().unwrap(), "held");
    assert_eq!(call(&link, ECHO, "third").await.unwrap(), "third");
}

#[tokio::test]
async fn a_flood_of_resets_costs_the_connection_and_nothing_else() {
    let (_gate, _runs, handler) = waiting();
    let (running, link) = plain(ServerLimits::default(), handler).await;
    let address = running.uri.strip_prefix("http://").unwrap();
    let tcp = tokio::net::TcpStream::connect(address).await.unwrap();
    let (mut h2, connection) = h2::client::handshake(tcp).await.unwrap();
    let driver = tokio::spawn(connection);
    // Opens and resets at once, as CVE-2023-44487 does; the server ends the connection, not itself.
    let mut sent = 0;
    let cut = loop {
        let request = http::Request::post(format!("{}{WAIT}", running.uri))
            .header("content-type", "application/grpc")
            .body(())
            .unwrap();
        match std::future::poll_fn(|cx| h2.poll_ready(cx)).await {
            Err(error) => break error,
            Ok(()) => match h2.send_request(request, false) {
                Err(error) => break error,
                Ok((_, mut stream)) => stream.send_reset(h2::Reason::CANCEL),
            },
        }
        sent += 1;
        assert!(sent < 1_000_000, "a million resets and the server still listens");
        tokio::task::yield_now().await;
    };
    // The reason is lost when our next write meets the closed socket before we have read it.
    assert!(cut.is_io() || cut.reason() == Some(h2::Reason::ENHANCE_YOUR_CALM), "{cut}");
    driver.abort();
    assert_eq!(call(&link, ECHO, "still here").await.unwrap(), "still here");
}
