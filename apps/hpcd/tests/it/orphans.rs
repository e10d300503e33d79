//! Orphans over the API: for operators, with limits.

use hpc_broker::{Orphans, ReapReport};
use hpc_rpc::grpc::control::v1::orphan_service_client::OrphanServiceClient;
use hpc_types::control::v1::{ListOrphansRequest, ReapRequest};
use hpc_types::validate::REAPED_MAX;
use tonic::Code;

use crate::{channel, daemon};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn orphans_are_for_operators() {
    let daemon = daemon().await;
    let mut yours = OrphanServiceClient::new(channel(&daemon, ["user", "you"]).await);
    let document = yours.list(ListOrphansRequest {}).await.unwrap().into_inner();
    assert_eq!(document.schema, "hpc.orphans/v1");
    let none: Orphans = serde_json::from_slice(&document.json).unwrap();
    assert!(none.orphans.is_empty() && none.unlisted.is_empty(), "{none:#?}");
    let named = ReapRequest { names: vec!["sim-aws.i-1".to_owned()], ..Default::default() };
    let answer = yours.reap(named).await.unwrap().into_inner();
    let report: ReapReport = serde_json::from_slice(&answer.json).unwrap();
    assert_eq!((answer.schema.as_str(), report.not_reaped.len()), ("hpc.reap/v1", 1), "{report:#?}");

    let many = |count| ReapRequest { names: vec!["sim-aws.i-1".to_owned(); count], ..Default::default() };
    yours.reap(many(REAPED_MAX)).await.unwrap();
    for broken in [
        ReapRequest::default(),
        many(REAPED_MAX + 1),
        ReapRequest { all: true, ..many(1) },
        ReapRequest { names: vec!["x".repeat(4_097)], ..Default::default() },
    ] {
        assert_eq!(yours.reap(broken).await.unwrap_err().code(), Code::InvalidArgument);
    }
    for who in [["user", "lead"], ["node", "gpu-1"]] {
        let mut theirs = OrphanServiceClient::new(channel(&daemon, who).await);
        let list = theirs.list(ListOrphansRequest {}).await.unwrap_err();
        let reap = theirs.reap(ReapRequest { all: true, ..Default::default() }).await.unwrap_err();
        assert_eq!((list.code(), reap.code()), (Code::PermissionDenied, Code::PermissionDenied));
    }
    daemon.stop().await.unwrap();
}
