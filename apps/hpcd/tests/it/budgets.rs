//! Budgets over the API: set by whoever may, in the way of whoever spends; and charges, which add up to the clouds' bill.

use hpc_broker::{Charge, LimitsEdit};
use hpc_resources::{BudgetWindow, Limits, Money, Payer};
use hpc_rpc::grpc::control::v1::budget_service_client::BudgetServiceClient;
use hpc_rpc::grpc::control::v1::cost_service_client::CostServiceClient;
use hpc_types::control::v1::{ListBudgetsRequest, ListChargesRequest, SetBudgetRequest};
use hpcd::daemon::Daemon;
use hpcd::world::World;
use serde_json::Value;

use crate::{channel, daemon, lease, options, person};

async fn charges(daemon: &Daemon, who: [&str; 2]) -> Vec<Charge> {
    let mut costs = CostServiceClient::new(channel(daemon, who).await);
    let mut stream = costs.charges(ListChargesRequest::default()).await.unwrap().into_inner();
    let mut charges = Vec::new();
    while let Some(document) = stream.message().await.unwrap() {
        assert_eq!(document.schema, "hpc.charge/v1");
        charges.push(serde_json::from_slice(&document.json).unwrap());
    }
    charges
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_administrator_bounds_a_person_who_is_told_which_limit_it_is() {
    let daemon = daemon().await;
    let set = SetBudgetRequest { payer: "user:you".into(), hourly: "1.00 USD".into(), ..Default::default() };
    let mut yours = BudgetServiceClient::new(channel(&daemon, ["user", "you"]).await);
    let refused = yours.set(set.clone()).await.unwrap_err();
    assert_eq!(refused.code(), tonic::Code::PermissionDenied, "{refused}");
    let mut admin = BudgetServiceClient::new(channel(&daemon, ["user", "lead"]).await);
    let (document, receipts) = admin.set(set.clone()).await.unwrap().into_inner().into_parts();
    assert_eq!((document.schema.as_str(), receipts.len()), ("hpc.budgets/v1", 1));
    assert!(!receipts[0].proof.is_empty());
    let (again, _) = admin.set(set).await.unwrap().into_inner().into_parts();
    let again: Value = serde_json::from_slice(&again.json).unwrap();
    assert_eq!(again["repeated"], true);
    for broken in [
        SetBudgetRequest { payer: "user:you".into(), ..Default::default() },
        SetBudgetRequest { payer: "you".into(), total: "1".into(), ..Default::default() },
        SetBudgetRequest { payer: "user:you".into(), total: "one".into(), ..Default::default() },
        SetBudgetRequest { payer: "user:you".into(), remove: vec!["weekly".into()], ..Default::default() },
    ] {
        assert_eq!(admin.set(broken).await.unwrap_err().code(), tonic::Code::InvalidArgument);
    }
    let you = person(&daemon.world, "you");
    let request = hpcd::demo::built_in_request().into_request().unwrap();
    let (plan, _) = daemon.world.broker.plan(&you, request).await.unwrap();
    assert!(plan.plan.attempts.is_empty() && plan.plan.excluded_counts.contains_key("budgets"), "{plan:#?}");
    let listed = yours.list(ListBudgetsRequest::default()).await.unwrap().into_inner();
    let listed: Value = serde_json::from_slice(&listed.json).unwrap();
    let payers: Vec<&str> =
        listed["budgets"].as_array().unwrap().iter().map(|b| b["payer"].as_str().unwrap()).collect();
    assert_eq!(payers, ["team:ml", "user:you"]);
    let mut node = BudgetServiceClient::new(channel(&daemon, ["node", "gpu-1"]).await);
    let none = node.list(ListBudgetsRequest::default()).await.unwrap().into_inner();
    assert_eq!(serde_json::from_slice::<Value>(&none.json).unwrap()["budgets"], serde_json::json!([]));
    daemon.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn charges_are_streamed_to_whoever_may_see_them_and_are_the_bill() {
    let daemon = daemon().await;
    let you = person(&daemon.world, "you");
    let first = lease(&daemon.world, &you).await;
    daemon.world.pass(std::time::Duration::from_secs(601)).unwrap();
    lease(&daemon.world, &you).await;
    daemon.world.broker.release(&you, &first.id).await.unwrap();
    daemon.world.pass(std::time::Duration::from_secs(333)).unwrap();
    daemon.world.reconcile().await.unwrap();
    let sum = |amounts: Vec<Money>| {
        amounts.into_iter().fold(Money::ZERO_USD, |sum, amount| sum.checked_add(amount).unwrap())
    };
    let seen = charges(&daemon, ["user", "you"]).await;
    let bill = sum(daemon.world.sim.bill().into_iter().map(|line| line.amount).collect());
    assert_eq!(sum(seen.iter().map(|charge| charge.cost).collect()), bill, "{seen:#?}");
    assert!(bill.nanos() > 0 && seen.iter().all(|charge| charge.simulated));
    assert!(charges(&daemon, ["user", "lead"]).await.is_empty(), "no operator, and not theirs");
    assert!(charges(&daemon, ["node", "gpu-1"]).await.is_empty());
    daemon.stop().await.unwrap();
}

/// The team of the development world gets its budget once: what was removed stays removed.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_budget_that_was_removed_is_not_given_again_by_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let team: Payer = "team:ml".parse().unwrap();
    let world = World::open(options(Some(folder.path()))).await.unwrap();
    assert_eq!(world.broker.budgets_of(&team).len(), 1);
    let all = LimitsEdit { set: Limits::default(), remove: BudgetWindow::ALL.to_vec() };
    world.broker.set_limits(&team, &all).await.unwrap();
    world.audit.close().await.unwrap();
    drop(world);
    let world = World::open(options(Some(folder.path()))).await.unwrap();
    assert!(world.broker.budgets_of(&team).is_empty());
}
