//! The import paths of the façade and the specification's snippet, as written.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

use std::convert::Infallible;
use std::future::{Ready, ready};
use std::task::{Context, Poll};

use hpc_auth::cert::{ServiceIdentity, generate_ca_cert, generate_signed_cert};
use hpc_rpc::grpc::{GrpcClientBuilder, GrpcServerBuilder};

#[derive(Clone)]
struct MyService;

impl MyService {
    fn new() -> Self {
        Self
    }
}

impl tonic::server::NamedService for MyService {
    const NAME: &'static str = "my.v1.Service";
}

impl tower::Service<http::Request<tonic::body::Body>> for MyService {
    type Response = http::Response<tonic::body::Body>;
    type Error = Infallible;
    type Future = Ready<Result<Self::Response, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: http::Request<tonic::body::Body>) -> Self::Future {
        let peer = request.extensions().get::<hpc_rpc::PeerIdentity>().map(ToString::to_string);
        ready(Ok(tonic::Status::already_exists(peer.unwrap_or_default()).into_http()))
    }
}

#[tokio::test]
async fn the_specifications_snippet_holds() -> Result<(), Box<dyn std::error::Error>> {
    let ca = generate_ca_cert("StratoSwarm CA")?;
    let server_cert = generate_signed_cert(&ServiceIdentity::new("server"), &ca)?;
    let client_cert = generate_signed_cert(&ServiceIdentity::new("client"), &ca)?;
    let addr = std::net::SocketAddr::from(([127, 0, 0, 1], 0));

    let server = GrpcServerBuilder::new(addr)
        .with_tls(server_cert)?
        .with_client_auth(&ca)?
        .add_service(MyService::new())
        .build()?;

    let uri = format!("https://{}", server.local_addr());
    let serving = tokio::spawn(server.serve());

    let channel = GrpcClientBuilder::new(uri)
        .with_server_ca(ca)
        .with_client_cert(client_cert)
        .with_pool_size(5)
        .connect()
        .await?;

    let mut client = tonic::client::Grpc::new(channel);
    client.ready().await?;
    let path = http::uri::PathAndQuery::from_static("/my.v1.Service/Anything");
    let codec = tonic_prost::ProstCodec::<(), ()>::default();
    let status = client.unary(tonic::Request::new(()), path, codec).await.unwrap_err();
    assert_eq!(status.message(), "spiffe://hpc.internal/service/client");
    serving.abort();
    Ok(())
}

#[test]
fn both_transports_are_reached_by_one_name() {
    fn is_transport<T: hpc_rpc::Transport>() {}
    is_transport::<hpc_rpc::grpc::GrpcTransport>();
    is_transport::<hpc_rpc::quic::QuicTransport>();
}
