//! What a node may ask of the control API: next to nothing.

use hpc_audit::AuditLog;
use hpc_auth::csr::CsrRequest;
use hpc_auth::join::NodeName;
use hpc_error::{HpcError, codes};
use hpc_rpc::grpc::control::v1::request_service_client::RequestServiceClient;
use hpc_rpc::grpc::control::v1::system_service_client::SystemServiceClient;
use hpc_types::control::v1::{Document, HealthRequest, InfoRequest, PlanRequest};
use hpcd::daemon::{Daemon, Listen};
use hpcd::world::World;
use serde_json::Value;

use crate::{channel, daemon, options, person};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn info_and_health_tell_a_node_no_more_than_it_needs() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let daemon =
        Daemon::start(World::open(options(Some(&data))).await.unwrap(), Listen::free()).await.unwrap();
    for (who, all) in [(["user", "you"], true), (["node", "gpu-1"], false)] {
        let mut system = SystemServiceClient::new(channel(&daemon, who).await);
        let info = system.info(InfoRequest {}).await.unwrap().into_inner();
        let info: Value = serde_json::from_slice(&info.json).unwrap();
        // What `hpc doctor` reads is there for everybody.
        assert!(
            info["version"].is_string() && info["simulated"] == true && info["now"].is_string(),
            "{info}"
        );
        assert!(info["you"].as_str().unwrap().ends_with(&who.join("/")), "{info}");
        assert_eq!(info["data"] == data.display().to_string(), all, "{info}");
        assert_eq!(info["seed"] == 7, all, "{info}");
        assert_eq!(info.to_string().contains(data.to_str().unwrap()), all);
        let health = system.health(HealthRequest {}).await.unwrap().into_inner();
        assert!(health.serving && health.reason.is_empty(), "{health:?}");
    }
    daemon.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_plan_for_a_node_is_refused_before_anything_is_kept() {
    let daemon = daemon().await;
    let before = daemon.world.audit.size();
    let json = serde_json::to_vec(&hpcd::demo::built_in_request()).unwrap();
    let asked = PlanRequest {
        request: Some(Document { schema: "hpc.request/v1".to_owned(), json: json.into() }),
        idempotency_key: "once".to_owned(),
    };
    let mut as_node = RequestServiceClient::new(channel(&daemon, ["node", "gpu-1"]).await);
    let refused = HpcError::from(as_node.plan(asked.clone()).await.unwrap_err());
    assert_eq!(refused.registered(), Some(&codes::AUT_NOT_ALLOWED), "{refused}");
    assert!(daemon.world.broker.requests(None, 10).await.unwrap().items.is_empty());
    assert_eq!(daemon.world.audit.size(), before);
    let mut as_person = RequestServiceClient::new(channel(&daemon, ["user", "you"]).await);
    as_person.plan(asked).await.unwrap();
    assert_eq!(daemon.world.broker.requests(None, 10).await.unwrap().items.len(), 1);
    daemon.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_name_stays_with_whoever_invited_it() {
    let daemon = daemon().await;
    let nodes = &daemon.world.nodes;
    let (you, lead) = (person(&daemon.world, "you").name, person(&daemon.world, "lead").name);
    let name = NodeName::parse("gpu-1").unwrap();
    let life = std::time::Duration::from_secs(300);
    let csr = || CsrRequest::generate().unwrap().csr_der().to_vec();
    assert_eq!(nodes.inviter("gpu-1").await.unwrap(), None);
    let token = nodes.invite(&you, name.clone(), life).await.unwrap().token;
    assert_eq!(nodes.inviter("gpu-1").await.unwrap(), None, "invited is not joined");
    nodes.join(&token, &name, &csr()).await.unwrap();
    assert_eq!(nodes.inviter("gpu-1").await.unwrap().as_ref(), Some(&you));
    let again = nodes.join(&token, &name, &csr()).await.err().unwrap();
    assert_eq!(again.registered(), Some(&codes::AUT_TOKEN_INVALID), "{again}");
    // The machine may come again, by the same invitation's author alone.
    let token = nodes.invite(&you, name.clone(), life).await.unwrap().token;
    nodes.join(&token, &name, &csr()).await.unwrap();
    let token = nodes.invite(&lead, name.clone(), life).await.unwrap().token;
    let taken = nodes.join(&token, &name, &csr()).await.err().unwrap();
    assert_eq!(taken.registered(), Some(&codes::AUT_NOT_ALLOWED), "{taken}");
    assert_eq!(nodes.inviter("gpu-1").await.unwrap(), Some(you));
    daemon.stop().await.unwrap();
}
