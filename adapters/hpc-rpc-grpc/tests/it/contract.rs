use std::sync::Arc;

use hpc_conformance::transport::Link;
use hpc_identity::SpiffeId;
use hpc_rpc_grpc::{GrpcClientBuilder, GrpcServerBuilder, GrpcTransport, PeerIdentity};
use hpc_transport::Handler;

use crate::world;

fn named(name: &str) -> Option<PeerIdentity> {
    Some(PeerIdentity(SpiffeId::parse(&format!("spiffe://hpc.internal/service/{name}")).unwrap()))
}

async fn mutual_tls(handler: Arc<dyn Handler>) -> Link {
    let ca = world::ca();
    let running = world::start(world::builder(&ca).with_handler(handler).build().unwrap(), "https");
    let channel = world::client(&running, &ca).with_pool_size(2).connect().await.unwrap();
    Link {
        transport: Arc::new(GrpcTransport::new(channel)),
        client: named("client"),
        server: named("server"),
        keep: Box::new(running),
    }
}

async fn plaintext(handler: Arc<dyn Handler>) -> Link {
    let server =
        GrpcServerBuilder::insecure_plaintext_for_tests("127.0.0.1:0").with_handler(handler).build().unwrap();
    let running = world::start(server, "http");
    let channel =
        GrpcClientBuilder::insecure_plaintext_for_tests(running.uri.clone()).connect().await.unwrap();
    Link {
        transport: Arc::new(GrpcTransport::new(channel)),
        client: None,
        server: None,
        keep: Box::new(running),
    }
}

mod over_mutual_tls {
    use super::*;
    hpc_conformance::transport!(mutual_tls);
}

mod over_plaintext {
    use super::*;
    hpc_conformance::transport!(plaintext);
}
