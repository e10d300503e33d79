//! A disk without room: nothing is begun, what there is can be ended, and work goes on when there is room again.

use std::time::Duration;

use hpc_error::{HpcError, codes};
use hpc_rpc::grpc::control::v1::lease_service_client::LeaseServiceClient;
use hpc_rpc::grpc::control::v1::request_service_client::RequestServiceClient;
use hpc_types::control::v1;
use hpcd::daemon::{Daemon, Listen};
use hpcd::world::World;
use serde_json::json;

use crate::{channel, lease, options, person};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_room_nothing_is_begun_and_everything_can_be_ended() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let world = World::open(options(Some(&data))).await.unwrap();
    let you = person(&world, "you");
    let held = lease(&world, &you).await;
    assert!(world.room().is_ok() && world.trouble().is_none());
    world.audit.close().await.unwrap();
    drop(world);
    // What stands where the room would be cannot be a file of blocks: as if there were none on the disk.
    let place = data.join("reserve");
    std::fs::remove_file(&place).unwrap();
    std::fs::create_dir(&place).unwrap();
    let world = World::open(options(Some(&data))).await.unwrap();
    let refused = world.room().unwrap_err();
    assert_eq!(refused.registered(), Some(&codes::DAT_DISK_FULL));
    assert!(refused.to_string().contains("16 MiB must be free"), "{refused}");
    assert!(world.trouble().is_some_and(|trouble| trouble.contains("16 MiB must be free")));
    let daemon = Daemon::start(world, Listen::free()).await.unwrap();
    let channel = channel(&daemon, ["user", "you"]).await;
    let mut requests = RequestServiceClient::new(channel.clone());
    let mut leases = LeaseServiceClient::new(channel.clone());
    let request = json!({"name": "job", "gpu": {"model": "h100", "count": 8}, "duration": "2h"});
    let plan = |key: &str| v1::PlanRequest {
        request: Some(v1::Document::write("hpc.request/v1", &request).unwrap()),
        idempotency_key: key.to_owned(),
    };
    let by = Some(hpc_types::time::duration_to_proto(Duration::from_secs(600)).unwrap());
    let renew = v1::RenewRequest { lease_id: held.id.to_string(), by, idempotency_key: "more".to_owned() };
    for refused in [requests.plan(plan("one")).await.map(drop), leases.renew(renew).await.map(drop)] {
        let refused = HpcError::from(refused.unwrap_err());
        assert_eq!(refused.registered(), Some(&codes::DAT_DISK_FULL), "{refused}");
    }
    leases.release(v1::ReleaseRequest { lease_id: held.id.to_string() }).await.unwrap();
    std::fs::remove_dir(&place).unwrap();
    daemon.world.reconcile().await.unwrap();
    assert!(daemon.world.room().is_ok() && daemon.world.trouble().is_none());
    requests.plan(plan("two")).await.unwrap();
}
