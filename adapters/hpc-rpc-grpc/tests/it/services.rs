//! Generated services and clients through the builders, health, and plain HTTP on the same port.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use hpc_rpc_grpc::PeerIdentity;
use hpc_rpc_grpc::control::v1::node_service_client::NodeServiceClient;
use hpc_rpc_grpc::control::v1::node_service_server::{NodeService, NodeServiceServer};
use hpc_rpc_grpc::control::v1::system_service_client::SystemServiceClient;
use hpc_types::control::v1::{HealthRequest, JoinRequest, JoinResponse, JoinTokenRequest, JoinTokenResponse};
use http::{Request, Response};
use tonic::body::Body;
use tonic::{Code, Status};
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_client::HealthClient;

use crate::world;

struct Nodes;

#[tonic::async_trait]
impl NodeService for Nodes {
    async fn join(
        &self,
        request: tonic::Request<JoinRequest>,
    ) -> Result<tonic::Response<JoinResponse>, Status> {
        let peer = request.extensions().get::<PeerIdentity>().map(ToString::to_string);
        Err(Status::already_exists(peer.unwrap_or_default()))
    }

    async fn join_token(
        &self,
        request: tonic::Request<JoinTokenRequest>,
    ) -> Result<tonic::Response<JoinTokenResponse>, Status> {
        assert!(request.extensions().get::<hpc_transport::Deadline>().is_some());
        std::future::pending().await
    }
}

#[tokio::test]
async fn a_generated_pair_sees_the_peer_and_the_deadline() {
    let ca = world::ca();
    let server = world::builder(&ca).add_service(NodeServiceServer::new(Nodes)).build().unwrap();
    let running = world::start(server, "https");
    let channel = world::client(&running, &ca).connect().await.unwrap();
    let mut nodes = NodeServiceClient::new(channel.clone());

    let status = nodes.join(JoinRequest::default()).await.unwrap_err();
    assert_eq!(
        (status.code(), status.message()),
        (Code::AlreadyExists, "spiffe://hpc.internal/service/client")
    );

    let mut request = tonic::Request::new(JoinTokenRequest::default());
    request.set_timeout(Duration::from_millis(50));
    assert_eq!(nodes.join_token(request).await.unwrap_err().code(), Code::DeadlineExceeded);

    let status = SystemServiceClient::new(channel).health(HealthRequest::default()).await.unwrap_err();
    assert_eq!(status.code(), Code::Unimplemented);
}

#[tokio::test]
async fn two_services_of_one_name_are_refused() {
    let outcome = world::builder(&world::ca())
        .add_service(NodeServiceServer::new(Nodes))
        .add_service(NodeServiceServer::new(Nodes))
        .build();
    let expected = hpc_rpc_grpc::GrpcError::DuplicateService { name: "hpc.control.v1.NodeService" };
    assert_eq!(outcome.err(), Some(expected));
}

#[tokio::test]
async fn health_is_served_and_turns_at_the_drain() {
    let ca = world::ca();
    let server =
        world::builder(&ca).add_service(NodeServiceServer::new(Nodes)).with_health().build().unwrap();
    let mut running = world::start(server, "https");
    let channel = world::client(&running, &ca).connect().await.unwrap();
    let mut health = HealthClient::new(channel);
    for service in ["", "hpc.control.v1.NodeService"] {
        let request = HealthCheckRequest { service: service.to_owned() };
        assert_eq!(health.check(request).await.unwrap().into_inner().status, 1, "`{service}` is not serving");
    }
    let unknown = HealthCheckRequest { service: "nothing".to_owned() };
    assert_eq!(health.check(unknown).await.unwrap_err().code(), Code::NotFound);

    let mut watch = health.watch(HealthCheckRequest::default()).await.unwrap().into_inner();
    assert_eq!(watch.message().await.unwrap().unwrap().status, 1);
    running.begin_drain();
    assert_eq!(
        watch.message().await.unwrap().unwrap().status,
        2,
        "a drain is announced before calls are cut"
    );
}

#[tokio::test]
async fn plain_http_shares_the_port_and_knows_the_peer() {
    let ca = world::ca();
    let page = tower::service_fn(|request: Request<Body>| async move {
        let peer = request.extensions().get::<PeerIdentity>().map(ToString::to_string).unwrap_or_default();
        let text = format!("{} {} for {peer}", request.method(), request.uri().path());
        Ok::<_, Infallible>(Response::new(Body::new(http_body_util::Full::new(bytes::Bytes::from(text)))))
    });
    let server = world::builder(&ca).with_handler(world::echo()).with_http_fallback(page).build().unwrap();
    let running = world::start(server, "https");

    let config = hpc_auth::client::create_client_config(
        &world::svid("browser", &ca),
        &[(&ca).into()],
        hpc_auth::PeerPolicy::TrustDomain(ca.trust_domain().clone()),
        &[b"http/1.1"],
    )
    .unwrap();
    let tcp = tokio::net::TcpStream::connect(running.uri.strip_prefix("https://").unwrap()).await.unwrap();
    let name = rustls_pki_types::ServerName::try_from("127.0.0.1").unwrap();
    let tls = tokio_rustls::TlsConnector::from(Arc::new(config)).connect(name, tcp).await.unwrap();
    let (mut sender, connection) =
        hyper::client::conn::http1::handshake(hyper_util::rt::TokioIo::new(tls)).await.unwrap();
    tokio::spawn(connection);
    let request = Request::get("/audit/checkpoint")
        .header("host", "hpcd")
        .body(http_body_util::Empty::<bytes::Bytes>::new())
        .unwrap();
    let response = sender.send_request(request).await.unwrap();
    let body = http_body_util::BodyExt::collect(response.into_body()).await.unwrap().to_bytes();
    assert_eq!(body, "GET /audit/checkpoint for spiffe://hpc.internal/service/browser");

    // gRPC goes on beside it.
    let link = hpc_rpc_grpc::GrpcTransport::new(world::client(&running, &ca).connect().await.unwrap());
    assert_eq!(crate::limits::call(&link, world::ECHO, "x").await.unwrap(), "x");
}
