//! The way of a request when things go well, and when clouds fail.

use std::sync::Mutex;

use hpc_broker::{EndReason, LeaseState, PlanState, Progress};
use hpc_provider_sim::Script;
use hpc_resources::{LeaseId, TeamId};

use crate::world::{World, eight_h100, you};

fn ids(receipts: &[hpc_audit::Receipt]) -> Vec<String> {
    receipts.iter().map(|receipt| receipt.id.clone()).collect()
}

#[tokio::test]
async fn plan_apply_release_and_the_bill_agrees() {
    let world = World::new(Script::named("none").unwrap()).await;
    let (plan, receipts) = world.broker.plan(&you(), eight_h100()).await.unwrap();
    assert_eq!(plan.state, PlanState::Open, "{plan:#?}");
    assert_eq!(receipts.len(), 1);
    assert!(world.sim.live_instances().is_empty(), "a plan creates nothing");
    let applied = world.broker.apply(&you(), &plan.plan.id, &hpc_broker::Silent).await.unwrap();
    assert_eq!(applied.lease.state, LeaseState::Active);
    world.check().await;
    world.advance_s(1_234);
    let cost = world.broker.cost(&you(), &applied.lease.id).await.unwrap();
    assert!(cost.accrued.nanos() > 0 && cost.accrued.nanos() < cost.projected.nanos(), "{cost:#?}");
    let released = world.broker.release(&you(), &applied.lease.id).await.unwrap();
    assert_eq!(released.lease.state, LeaseState::Released);
    world.check().await;
    let budget = world.broker.budgets().remove(0);
    assert_eq!(Some(budget.spent), released.lease.cost);
    assert_eq!(budget.held.nanos(), 0);
    let again = world.broker.release(&you(), &applied.lease.id).await.unwrap();
    assert!(again.repeated, "releasing twice succeeds the second time");
    assert_eq!(
        ids(&again.receipts),
        [format!("{0}.releasing", applied.lease.id), format!("{0}.released", applied.lease.id)]
    );
}

#[tokio::test]
async fn applying_twice_gives_one_lease() {
    let world = World::new(Script::named("none").unwrap()).await;
    let (plan, _) = world.broker.plan(&you(), eight_h100()).await.unwrap();
    let first = world.broker.apply(&you(), &plan.plan.id, &hpc_broker::Silent).await.unwrap();
    let second = world.broker.apply(&you(), &plan.plan.id, &hpc_broker::Silent).await.unwrap();
    assert!(second.repeated);
    assert_eq!(first.lease.id, second.lease.id);
    assert_eq!(
        ids(&second.receipts),
        [format!("{0}.accepted", first.lease.id), format!("{0}.active", first.lease.id)]
    );
    assert!(
        second.receipts.iter().all(|receipt| first.receipts.iter().any(|given| given.index == receipt.index))
    );
    assert_eq!(world.sim.live_instances().len(), 1);
}

#[tokio::test]
async fn a_stock_out_fails_over_to_the_next_offer() {
    let world = World::new(Script::named("stock-out").unwrap()).await;
    let (plan, _) = world.broker.plan(&you(), eight_h100()).await.unwrap();
    let events = Mutex::new(Vec::new());
    let sink = |event: Progress| events.lock().unwrap().push(event);
    let applied = world.broker.apply(&you(), &plan.plan.id, &sink).await.unwrap();
    let events = events.into_inner().unwrap();
    assert!(
        events.iter().any(|event| matches!(event, Progress::Failed { nothing_created: true, .. })),
        "{events:#?}"
    );
    assert_ne!(applied.lease.offer.as_ref().unwrap().key(), plan.plan.attempts[0].offer.key());
    world.check().await;
    // The stock-out is remembered: the next plan leaves the offer out and says why.
    let (next, _) = world.broker.plan(&you(), eight_h100()).await.unwrap();
    assert!(next.plan.excluded_counts.contains_key("stock"), "{:?}", next.plan.excluded_counts);
}

#[tokio::test]
async fn a_lost_answer_is_found_by_its_token() {
    let world = World::new(Script::named("lost-answer").unwrap()).await;
    let applied = world.apply(eight_h100()).await.unwrap();
    assert_eq!(applied.lease.state, LeaseState::Active);
    assert_eq!(world.sim.live_instances().len(), 1);
    world.check().await;
}

#[tokio::test]
async fn a_quota_refusal_fails_over() {
    let world = World::new(Script::named("quota").unwrap()).await;
    let applied = world.apply(eight_h100()).await.unwrap();
    assert_eq!(applied.lease.failures.len(), 1, "{:?}", applied.lease.failures);
    world.check().await;
}

#[tokio::test]
async fn a_lease_ends_when_its_time_is_over() {
    let world = World::new(Script::named("none").unwrap()).await;
    let applied = world.apply(eight_h100()).await.unwrap();
    world.advance_s(7_200);
    world.settle().await;
    let lease = world.broker.lease_by_id(&applied.lease.id).await.unwrap();
    assert_eq!((lease.state, lease.end_reason), (LeaseState::Released, Some(EndReason::Expired)));
    world.check().await;
}

#[tokio::test]
async fn a_reclaimed_lease_is_settled_and_told() {
    let world = World::new(Script::named("spot-reclaim").unwrap()).await;
    let request = hpc_resources::ResourceRequest::new("job")
        .add_gpu_nvidia_h100(8)
        .with_duration_s(7_200)
        .with_kinds([hpc_resources::OfferKind::Spot])
        .with_providers([hpc_resources::ProviderId::parse("sim-aws").unwrap()])
        .build()
        .unwrap();
    let applied = world.apply(request).await.unwrap();
    world.advance_s(601);
    let report = world.broker.reconcile().await.unwrap();
    assert!(report.interruptions > 0, "{report:?}");
    world.settle().await;
    let lease = world.broker.lease_by_id(&applied.lease.id).await.unwrap();
    assert_eq!((lease.state, lease.end_reason), (LeaseState::Released, Some(EndReason::Reclaimed)));
    world.check().await;
}

#[tokio::test]
async fn an_unknown_lease_has_a_code() {
    let world = World::new(Script::default()).await;
    let error = world.broker.release(&you(), &LeaseId::from_bits(1)).await.unwrap_err();
    assert_eq!(error.code_text(), Some("HPC-LSE-0001"));
    assert!(world.broker.set_budget(&TeamId::parse("ml").unwrap(), "-1 USD".parse().unwrap()).await.is_err());
}
