use std::sync::Arc;

use hpc_conformance::transport::Link;
use hpc_identity::SpiffeId;
use hpc_rpc_quic::PeerIdentity;
use hpc_transport::Handler;

use crate::world;

fn named(name: &str) -> Option<PeerIdentity> {
    Some(PeerIdentity(SpiffeId::parse(&format!("spiffe://hpc.internal/service/{name}")).unwrap()))
}

async fn connect(handler: Arc<dyn Handler>) -> Link {
    let ca = world::ca();
    let running = world::start(world::builder(&ca).with_handler(handler).build().unwrap());
    let link = world::client(&running, &ca).connect().await.unwrap();
    Link {
        transport: Arc::new(link),
        client: named("client"),
        server: named("server"),
        keep: Box::new(running),
    }
}

hpc_conformance::transport!(connect);
