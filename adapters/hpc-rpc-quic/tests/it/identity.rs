use std::net::UdpSocket;
use std::sync::Arc;

use hpc_auth::PeerPolicy;
use hpc_auth::source::RotatingIdentity;
use hpc_identity::SpiffeId;
use hpc_rpc_quic::{QuicClientBuilder, QuicError, QuicServerBuilder};
use hpc_transport::{Transport, TransportError};

use crate::limits::call;
use crate::world::{self, ECHO};

fn is_refused<T>(outcome: Result<T, QuicError>) {
    let error = outcome.err().unwrap();
    let QuicError::Connect { source, .. } = &error else { panic!("{error}") };
    assert!(matches!(source, TransportError::Unauthenticated { .. }), "{error}");
}

#[tokio::test]
async fn a_client_of_another_authority_is_refused() {
    let (ours, theirs) = (world::ca(), world::ca());
    let running = world::start(world::builder(&ours).with_handler(world::echo()).build().unwrap());
    let client = QuicClientBuilder::new(running.address.clone())
        .with_server_ca(&ours)
        .with_client_cert(world::svid("client", &theirs));
    is_refused(client.connect().await);
}

#[tokio::test]
async fn a_server_of_another_authority_is_refused() {
    let (ours, theirs) = (world::ca(), world::ca());
    let running = world::start(world::builder(&theirs).with_handler(world::echo()).build().unwrap());
    let client = QuicClientBuilder::new(running.address.clone())
        .with_server_ca(&ours)
        .with_client_cert(world::svid("client", &ours));
    is_refused(client.connect().await);
}

#[tokio::test]
async fn a_client_may_insist_on_one_server() {
    let ca = world::ca();
    let running = world::start(world::builder(&ca).with_handler(world::echo()).build().unwrap());
    let id = |name| SpiffeId::parse(&format!("spiffe://hpc.internal/service/{name}")).unwrap();
    assert!(world::client(&running, &ca).with_server_id(id("server")).connect().await.is_ok());
    is_refused(world::client(&running, &ca).with_server_id(id("other")).connect().await);
}

/// Another client of the same libraries, with settings our own builder does not offer.
async fn foreign(running: &world::Running, tls: rustls::ClientConfig) -> Result<(), quinn::ConnectionError> {
    let crypto = quinn::crypto::rustls::QuicClientConfig::try_from(tls).unwrap();
    let endpoint = quinn::Endpoint::client("127.0.0.1:0".parse().unwrap()).unwrap();
    let config = quinn::ClientConfig::new(Arc::new(crypto));
    let address = running.address.parse().unwrap();
    let connection = endpoint.connect_with(config, address, "server").unwrap().await?;
    // In TLS 1.3 the server's verdict comes after the client is done.
    Err(connection.closed().await)
}

#[tokio::test]
async fn a_client_without_a_certificate_is_refused() {
    let ca = world::ca();
    let running = world::start(world::builder(&ca).with_handler(world::echo()).build().unwrap());
    let policy = PeerPolicy::TrustDomain(ca.trust_domain().clone());
    let mut tls =
        hpc_auth::client::create_client_config(&world::svid("x", &ca), &[(&ca).into()], policy, &[b"hpc/1"])
            .unwrap();
    tls.client_auth_cert_resolver = Arc::new(Nameless);
    let error = foreign(&running, tls).await.unwrap_err();
    let quinn::ConnectionError::ConnectionClosed(closed) = &error else { panic!("{error}") };
    assert_eq!(u64::from(closed.error_code), 0x100 + 116, "certificate_required, not {error}");
}

#[derive(Debug)]
struct Nameless;

impl rustls::client::ResolvesClientCert for Nameless {
    fn resolve(&self, _: &[&[u8]], _: &[rustls::SignatureScheme]) -> Option<Arc<rustls::sign::CertifiedKey>> {
        None
    }

    fn has_certs(&self) -> bool {
        false
    }
}

#[tokio::test]
async fn another_protocol_is_refused_in_the_handshake() {
    let ca = world::ca();
    let running = world::start(world::builder(&ca).with_handler(world::echo()).build().unwrap());
    let policy = PeerPolicy::TrustDomain(ca.trust_domain().clone());
    let tls =
        hpc_auth::client::create_client_config(&world::svid("x", &ca), &[(&ca).into()], policy, &[b"h3"])
            .unwrap();
    assert!(foreign(&running, tls).await.is_err());
}

#[tokio::test]
async fn an_identity_is_replaced_without_a_dropped_link() {
    let ca = world::ca();
    let source = RotatingIdentity::new(world::svid("before", &ca), [(&ca).into()]).unwrap();
    let policy = PeerPolicy::TrustDomain(ca.trust_domain().clone());
    let server = QuicServerBuilder::new("127.0.0.1:0".parse().unwrap())
        .with_identity(Arc::new(source.clone()), policy)
        .unwrap()
        .with_handler(world::echo())
        .build()
        .unwrap();
    let running = world::start(server);
    let old = world::client(&running, &ca).connect().await.unwrap();
    assert_eq!(old.peer().unwrap().id().path(), "/service/before");
    source.rotate(world::svid("after", &ca)).unwrap();
    // The change is used from the next handshake on.
    loop {
        let new = world::client(&running, &ca).connect().await.unwrap();
        if new.peer().unwrap().id().path() == "/service/after" {
            break;
        }
    }
    assert_eq!(call(&old, ECHO, "still").await.unwrap(), "still");
}

#[tokio::test]
async fn settings_that_make_no_sense_are_refused() {
    let ca = world::ca();
    let server = || QuicServerBuilder::new("127.0.0.1:0".parse().unwrap());
    assert_eq!(server().build().err(), Some(QuicError::NoHandler));
    assert_eq!(server().with_handler(world::echo()).build().err(), Some(QuicError::NoServerIdentity));
    let outcome = server().with_handler(world::echo()).with_tls(world::svid("s", &ca)).unwrap().build();
    assert_eq!(outcome.err(), Some(QuicError::NoClientAuth));

    let client = || QuicClientBuilder::new("127.0.0.1:1");
    assert_eq!(client().connect().await.err(), Some(QuicError::NoServerCa));
    assert_eq!(client().with_server_ca(&ca).connect().await.err(), Some(QuicError::NoClientCert));
    for bad in ["", "server", ":1", "server:", "server:99999"] {
        let outcome = QuicClientBuilder::new(bad).connect_lazily().await;
        assert_eq!(outcome.err(), Some(QuicError::InvalidServer { server: bad.to_owned() }));
    }
}

#[test]
fn a_port_in_use_is_named() {
    let ca = world::ca();
    let taken = UdpSocket::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap();
    let outcome = QuicServerBuilder::new(address)
        .with_tls(world::svid("server", &ca))
        .unwrap()
        .with_client_auth(&ca)
        .unwrap()
        .with_handler(world::echo())
        .build();
    assert_eq!(outcome.err(), Some(QuicError::AddressInUse { address }));
}
