//! Offers and providers over the API: for people who may, without a trace; nodes get neither.

use hpc_audit::AuditLog;
use hpc_broker::{Offers, ProviderStatus};
use hpc_rpc::grpc::control::v1::provider_service_client::ProviderServiceClient;
use hpc_types::control::v1::{Document, ListProvidersRequest, OffersRequest, ShowRequest};
use tonic::Code;

use crate::{channel, daemon};

fn offers(json: &[u8]) -> OffersRequest {
    let schema = "hpc.request/v1".to_owned();
    OffersRequest { request: Some(Document { schema, json: json.to_vec().into() }) }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn offers_and_providers_are_for_people_who_may() {
    let daemon = daemon().await;
    let wanted = serde_json::to_vec(&hpcd::demo::built_in_request()).unwrap();
    let mut yours = ProviderServiceClient::new(channel(&daemon, ["user", "you"]).await);
    let before = daemon.world.audit.head().await.unwrap().checkpoint().size;
    let document = yours.offers(offers(&wanted)).await.unwrap().into_inner();
    assert_eq!(document.schema, "hpc.offers/v1");
    let answer: Offers = serde_json::from_slice(&document.json).unwrap();
    assert!(answer.decision.allowed && !answer.attempts.is_empty(), "{answer:#?}");
    assert_eq!(daemon.world.audit.head().await.unwrap().checkpoint().size, before, "nothing is kept");

    let list = yours.list(ListProvidersRequest {}).await.unwrap().into_inner().items;
    assert_eq!(list.len(), daemon.world.broker.providers().count());
    let id = daemon.world.broker.providers().next().unwrap().to_string();
    let one = yours.show(ShowRequest { id }).await.unwrap().into_inner();
    let one: ProviderStatus = serde_json::from_slice(&one.json).unwrap();
    assert_eq!((one.healthy, one.quotas.is_some()), (Some(true), true), "{one:#?}");

    for (broken, code) in [
        (OffersRequest::default(), Code::InvalidArgument),
        (offers(b"{"), Code::InvalidArgument),
        (offers(b"{}"), Code::InvalidArgument),
    ] {
        assert_eq!(yours.offers(broken).await.unwrap_err().code(), code);
    }
    for id in ["", "Sim AWS", "sim-mars"] {
        let refused = yours.show(ShowRequest { id: id.into() }).await.unwrap_err();
        let want = if id == "sim-mars" { Code::NotFound } else { Code::InvalidArgument };
        assert_eq!(refused.code(), want, "{id}: {refused}");
    }

    let mut node = ProviderServiceClient::new(channel(&daemon, ["node", "gpu-1"]).await);
    let refused = node.offers(offers(&wanted)).await.unwrap_err();
    assert_eq!(refused.code(), Code::PermissionDenied, "{refused}");
    assert!(node.list(ListProvidersRequest {}).await.unwrap().into_inner().items.is_empty());
    for id in ["sim-aws", "sim-mars"] {
        // Who may not ask learns not even whether there is one.
        let refused = node.show(ShowRequest { id: id.into() }).await.unwrap_err();
        assert_eq!(refused.code(), Code::PermissionDenied, "{refused}");
    }
    daemon.stop().await.unwrap();
}
