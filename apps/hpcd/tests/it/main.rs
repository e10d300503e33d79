//! The daemon as a whole: its directory, its servers, what nodes may do, and the demo.
#![allow(
    missing_docs,
    unreachable_pub,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking, and its modules are for itself"
)]

mod authzen;
#[cfg(feature = "aws")]
mod aws;
mod budgets;
mod capacity;
mod changes;
mod client;
mod cosigning;
mod costs;
mod directory;
mod entries;
mod first_boot;
mod nodes;
mod orphans;
mod owner;
mod policies;
mod process;
mod providers;
mod replace;
mod room;
mod secrets;
mod stories;
mod telemetry;
mod tiles;
mod unwritable;
mod watches;
mod witness;

use std::path::Path;
use std::sync::Arc;

use hpc_agent::Joined;
use hpc_auth::join::NodeName;
use hpc_broker::{Caller, LeaseRecord};
use hpc_identity::SpiffeId;
use hpc_rpc::grpc::{GrpcChannel, GrpcClientBuilder};
use hpcd::clock::{Pace, wall_now};
use hpcd::daemon::{Daemon, Listen};
use hpcd::people::{self, PEOPLE};
use hpcd::world::{World, WorldOptions};

pub fn options(data: Option<&Path>) -> WorldOptions {
    WorldOptions {
        data: data.map(Path::to_owned),
        seed: Some(7),
        policies: None,
        policy_key: None,
        catalog: None,
        providers: None,
        story: "none".to_owned(),
        pace: Pace::Told,
        start: wall_now(),
    }
}

/// A daemon on free ports over a temporary directory. Its time passes only when told to.
pub async fn daemon() -> Daemon {
    Daemon::start(World::open(options(None)).await.unwrap(), Listen::free()).await.unwrap()
}

/// One of the people: `you` or `lead`.
pub fn person(world: &World, name: &str) -> Caller {
    let person = PEOPLE.into_iter().find(|person| person.name == name).unwrap();
    people::caller(&person.spiffe_id(world.identity.trust_domain()).unwrap()).unwrap()
}

/// A lease of the built-in request.
pub async fn lease(world: &World, holder: &Caller) -> LeaseRecord {
    let request = hpcd::demo::built_in_request().into_request().unwrap();
    let (plan, _) = world.broker.plan(holder, request).await.unwrap();
    world.broker.apply(holder, &plan.plan.id, &hpc_broker::Silent).await.unwrap().lease
}

/// A node that has joined by invitation.
pub async fn node(daemon: &Daemon, name: &str, by: &Caller) -> Joined {
    let life = std::time::Duration::from_secs(300);
    let name = NodeName::parse(name).unwrap();
    let token = daemon.world.nodes.invite(&by.name, name, life).await.unwrap().token;
    hpc_agent::join(&daemon.endpoint(), &token).await.unwrap()
}

/// The control API, as somebody of the trust domain: `["user", "you"]`.
pub async fn channel(daemon: &Daemon, who: [&str; 2]) -> GrpcChannel {
    let identity = Arc::clone(&daemon.world.identity);
    let id = SpiffeId::new(identity.trust_domain(), who).unwrap();
    GrpcClientBuilder::new(daemon.endpoint())
        .with_server_ca(identity.bundle())
        .with_server_id(identity.server_id().clone())
        .with_client_cert(identity.issue(&id, wall_now()).unwrap())
        .connect()
        .await
        .unwrap()
}
