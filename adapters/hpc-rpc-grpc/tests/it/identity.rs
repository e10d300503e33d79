use std::sync::Arc;

use hpc_auth::PeerPolicy;
use hpc_auth::cert::{ServiceIdentity, generate_signed_cert};
use hpc_auth::source::RotatingIdentity;
use hpc_identity::{SpiffeId, TrustDomain};
use hpc_rpc_grpc::{GrpcClientBuilder, GrpcError, GrpcServerBuilder, GrpcTransport};
use hpc_transport::{CallContext, Transport, TransportError};

use crate::limits::{call, method, soon};
use crate::world::{self, Answering, ECHO};

#[tokio::test]
async fn a_client_of_another_authority_is_refused() {
    let (ours, theirs) = (world::ca(), world::ca());
    let running = world::start(world::builder(&ours).with_handler(world::echo()).build().unwrap(), "https");
    let outcome = GrpcClientBuilder::new(running.uri.clone())
        .with_server_ca(&ours)
        .with_client_cert(world::svid("client", &theirs))
        .connect()
        .await;
    assert!(matches!(outcome, Err(GrpcError::Handshake { .. })), "{outcome:?}");
}

#[tokio::test]
async fn a_server_of_another_authority_is_refused() {
    let (ours, theirs) = (world::ca(), world::ca());
    let running = world::start(world::builder(&theirs).with_handler(world::echo()).build().unwrap(), "https");
    let outcome = GrpcClientBuilder::new(running.uri.clone())
        .with_server_ca(&ours)
        .with_client_cert(world::svid("client", &ours))
        .connect()
        .await;
    assert!(matches!(outcome, Err(GrpcError::Handshake { .. })), "{outcome:?}");
}

#[tokio::test]
async fn a_client_may_insist_on_one_server() {
    let ca = world::ca();
    let running = world::start(world::builder(&ca).with_handler(world::echo()).build().unwrap(), "https");
    let right = SpiffeId::parse("spiffe://hpc.internal/service/server").unwrap();
    let wrong = SpiffeId::parse("spiffe://hpc.internal/service/other").unwrap();
    assert!(world::client(&running, &ca).with_server_id(right).connect().await.is_ok());
    let outcome = world::client(&running, &ca).with_server_id(wrong).connect().await;
    assert!(matches!(outcome, Err(GrpcError::Handshake { .. })), "{outcome:?}");
}

#[tokio::test]
async fn a_client_without_a_certificate_is_refused() {
    let ca = world::ca();
    let running = world::start(world::builder(&ca).with_handler(world::echo()).build().unwrap(), "https");
    // Our own client cannot be built without one, so a bare TLS client stands in for a stranger.
    let stranger = world::Stranger::connect(&running.uri, &ca).await;
    assert!(stranger.is_err(), "the server let a nameless client in");
}

#[tokio::test]
async fn only_open_methods_serve_strangers() {
    const JOIN: &str = "/hpc.control.v1.NodeService/Join";
    let ca = world::ca();
    let handler = Answering(|context: CallContext, _| async move {
        match context.method.path() {
            JOIN => Ok(if context.peer.is_none() { "nameless" } else { "named" }.into()),
            other => Err(TransportError::unimplemented(other)),
        }
    });
    let server = world::builder(&ca)
        .allow_anonymous_for(&[JOIN])
        .unwrap()
        .with_handler(Arc::new(handler))
        .with_health()
        .build()
        .unwrap();
    let running = world::start(server, "https");

    let mut stranger = world::Stranger::connect(&running.uri, &ca).await.unwrap();
    assert_eq!(stranger.call(JOIN).await, "0");
    assert_eq!(stranger.call(ECHO).await, "16"); // UNAUTHENTICATED
    assert_eq!(stranger.call("/grpc.health.v1.Health/Check").await, "16");
    assert_eq!(stranger.call("/hpc.control.v1.NodeService/Join/").await, "16");

    let member = GrpcTransport::new(world::client(&running, &ca).connect().await.unwrap());
    assert_eq!(call(&member, JOIN, "").await.unwrap(), "named");
    assert_eq!(call(&member, ECHO, "x").await.unwrap(), "x");
}

#[tokio::test]
async fn an_identity_is_replaced_under_load_without_a_failed_call() {
    let ca = world::ca();
    let id = |name: &str| generate_signed_cert(&ServiceIdentity::new(name), &ca).unwrap();
    let source = RotatingIdentity::new(id("before"), [(&ca).into()]).unwrap();
    let domain = PeerPolicy::TrustDomain(TrustDomain::parse("hpc.internal").unwrap());
    let server = GrpcServerBuilder::new("127.0.0.1:0")
        .with_identity(Arc::new(source.clone()), domain.clone())
        .unwrap()
        .with_handler(world::echo())
        .build()
        .unwrap();
    let running = world::start(server, "https");
    let client_source = RotatingIdentity::new(id("client"), [(&ca).into()]).unwrap();
    let connect = || {
        GrpcClientBuilder::new(running.uri.clone())
            .with_identity(Arc::new(client_source.clone()), domain.clone())
            .connect()
    };

    let old = GrpcTransport::new(connect().await.unwrap());
    assert_eq!(old.peer().unwrap().id().path(), "/service/before");
    let load = {
        let old = old.clone();
        tokio::spawn(async move {
            for number in 0..200u32 {
                let reply = old.call(&method(ECHO), number.to_string().into(), soon()).await.unwrap();
                assert_eq!(reply, number.to_string());
            }
        })
    };
    source.rotate(id("after")).unwrap();
    // The change is used from the next handshake on: the old connection lives, a new one shows the new name.
    loop {
        let new = GrpcTransport::new(connect().await.unwrap());
        if new.peer().unwrap().id().path() == "/service/after" {
            break;
        }
    }
    load.await.unwrap();
    assert_eq!(old.call(&method(ECHO), "still".into(), soon()).await.unwrap(), "still");
}

#[tokio::test]
async fn settings_that_make_no_sense_are_refused() {
    let ca = world::ca();
    let outcome = GrpcServerBuilder::new("127.0.0.1:0").build();
    assert_eq!(outcome.err(), Some(GrpcError::NoServerIdentity));
    let outcome = GrpcServerBuilder::new("127.0.0.1:0").with_tls(world::svid("server", &ca)).unwrap().build();
    assert_eq!(outcome.err(), Some(GrpcError::NoClientAuth));
    let outcome = GrpcServerBuilder::insecure_plaintext_for_tests("127.0.0.1:0").with_client_auth(&ca);
    assert!(matches!(outcome.err(), Some(GrpcError::Mixed { .. })));
    let outcome = GrpcServerBuilder::plain_http("127.0.0.1:0").with_health().build();
    assert!(matches!(outcome.err(), Some(GrpcError::Mixed { .. })));
    let outcome = GrpcServerBuilder::plain_http("127.0.0.1:0").with_handler(world::echo()).build();
    assert!(matches!(outcome.err(), Some(GrpcError::Mixed { .. })));
    let outcome = GrpcServerBuilder::plain_http("127.0.0.1:0").with_client_auth(&ca);
    assert!(matches!(outcome.err(), Some(GrpcError::Mixed { .. })));
    let outcome = GrpcServerBuilder::new("127.0.0.1:0").allow_anonymous_for(&["Join"]);
    assert_eq!(outcome.err(), Some(GrpcError::InvalidMethod { method: "Join".to_owned() }));

    let uri = "https://127.0.0.1:1";
    assert_eq!(GrpcClientBuilder::new(uri).connect().await.err(), Some(GrpcError::NoServerCa));
    let outcome = GrpcClientBuilder::new(uri).with_server_ca(&ca).connect().await;
    assert_eq!(outcome.err(), Some(GrpcError::NoClientCert));
    let outcome = GrpcClientBuilder::insecure_plaintext_for_tests("http://127.0.0.1:1")
        .with_server_ca(&ca)
        .connect()
        .await;
    assert!(matches!(outcome.err(), Some(GrpcError::Mixed { .. })));
    let outcome = GrpcClientBuilder::new(uri)
        .with_server_ca(&ca)
        .with_client_cert(world::svid("c", &ca))
        .with_pool_size(0)
        .connect()
        .await;
    assert_eq!(outcome.err(), Some(GrpcError::OutOfRange { what: "pool size", given: 0, min: 1, max: 64 }));
    let outcome = GrpcClientBuilder::new("http://127.0.0.1:1").with_server_ca(&ca).connect().await;
    assert!(matches!(outcome.err(), Some(GrpcError::InvalidUri { .. })));
}
