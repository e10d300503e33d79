//! Streams that stay open: one caller cannot take the places of the others.

use hpc_error::{HpcError, codes};
use hpc_rpc::grpc::control::v1::lease_service_client::LeaseServiceClient;
use hpc_types::control::v1::WatchRequest;

use crate::{channel, daemon, lease, person};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_caller_watches_so_many_and_others_still_may() {
    let daemon = daemon().await;
    let of = async |who| {
        let lease = lease(&daemon.world, &person(&daemon.world, who)).await;
        WatchRequest { lease_id: lease.id.to_string() }
    };
    let (watch, leads) = (of("you").await, of("lead").await);
    let mut yours = LeaseServiceClient::new(channel(&daemon, ["user", "you"]).await);
    let mut open = Vec::new();
    let refused = loop {
        match yours.watch(watch.clone()).await {
            Ok(steps) => open.push(steps),
            Err(refused) => break HpcError::from(refused),
        }
        assert!(open.len() <= 64, "there is no limit");
    };
    assert_eq!((open.len(), refused.registered()), (64, Some(&codes::NET_OVERLOADED)), "{refused}");
    assert!(refused.to_string().contains("you have 64"), "{refused}");
    let mut lead = LeaseServiceClient::new(channel(&daemon, ["user", "lead"]).await);
    let mut steps = lead.watch(leads).await.unwrap().into_inner();
    assert!(steps.message().await.unwrap().is_some());
    // Who hangs up gives the place back, as soon as the daemon has seen it.
    open.clear();
    while let Err(error) = yours.watch(watch.clone()).await {
        assert_eq!(HpcError::from(error).registered(), Some(&codes::NET_OVERLOADED));
    }
}
