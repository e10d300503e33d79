//! A log that cannot be written: what would be recorded is refused with one code, and reads go on.

use hpc_error::HpcError;
use hpc_rpc::grpc::GrpcChannel;
use hpc_rpc::grpc::control::v1 as rpc;
use hpc_types::control::v1::{self, Document};
use serde_json::json;
use tonic::Status;

use crate::{channel, daemon, lease, person};

fn code(status: Status) -> String {
    HpcError::from(status).code_text().unwrap_or_default().to_owned()
}

fn requests(channel: &GrpcChannel) -> rpc::request_service_client::RequestServiceClient<GrpcChannel> {
    rpc::request_service_client::RequestServiceClient::new(channel.clone())
}

fn plan_request(key: &str) -> v1::PlanRequest {
    let request = json!({"name": "job", "gpu": {"model": "h100", "count": 8}, "duration": "2h"});
    let request = Some(Document::write("hpc.request/v1", &request).unwrap());
    v1::PlanRequest { request, idempotency_key: key.to_owned() }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_a_log_nothing_changes_and_everything_can_be_looked_at() {
    let daemon = daemon().await;
    let (you, lead) = (channel(&daemon, ["user", "you"]).await, channel(&daemon, ["user", "lead"]).await);
    let open = lease(&daemon.world, &person(&daemon.world, "you")).await;
    let planned = requests(&you).plan(plan_request("before")).await.unwrap().into_inner();
    let proofs: Vec<&str> = planned.receipts.iter().map(|receipt| receipt.proof.as_str()).collect();
    assert!(proofs.len() == 1 && proofs[0].starts_with("c2sp.org/tlog-proof@v1\n"), "{proofs:?}");
    // A log that is closed takes nothing more, and is read as before.
    daemon.world.audit.close().await.unwrap();
    for key in ["one", "two"] {
        assert_eq!(code(requests(&you).plan(plan_request(key)).await.unwrap_err()), "HPC-AUD-0001");
    }
    let mut policies = rpc::policy_service_client::PolicyServiceClient::new(lead.clone());
    assert_eq!(code(policies.reload(v1::ReloadPolicyRequest {}).await.unwrap_err()), "HPC-AUD-0001");
    let mut nodes = rpc::node_service_client::NodeServiceClient::new(you.clone());
    let invite = v1::JoinTokenRequest { node_name: "node-1".to_owned(), ttl: None };
    assert_eq!(code(nodes.join_token(invite).await.unwrap_err()), "HPC-AUD-0001");
    // Reads, proofs among them, go on; so does what ends costs.
    let list = v1::ListRequest::default();
    assert!(!requests(&you).list(list.clone()).await.unwrap().into_inner().items.is_empty());
    let mut leases = rpc::lease_service_client::LeaseServiceClient::new(you.clone());
    assert_eq!(leases.list(list).await.unwrap().into_inner().items.len(), 1);
    let mut audit = rpc::audit_service_client::AuditServiceClient::new(lead.clone());
    let found = audit.search(v1::SearchRequest::default()).await.unwrap().into_inner();
    assert_eq!(found.tree_size, found.entries.len() as u64);
    // What the log would have to sign first is refused for that reason, not as unknown.
    let newest = audit.checkpoint(v1::CheckpointRequest::default()).await.map(drop);
    assert_eq!(newest.map_err(code), Err("HPC-AUD-0001".to_owned()));
    let released = leases.release(v1::ReleaseRequest { lease_id: open.id.to_string() }).await.unwrap();
    assert!(released.into_inner().receipts.is_empty(), "its entries wait, and nothing is called proved");
}
