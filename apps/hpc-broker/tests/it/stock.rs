//! One memory of stock-outs for all requests, over restarts.

use hpc_memory::ledger::CrashPoint;
use hpc_provider_sim::Script;
use hpc_resources::{Exclusion, StockReason, StockScope};

use crate::world::{World, eight_h100, lead, you};

#[tokio::test]
async fn what_one_request_learnt_keeps_the_next_one_away_even_after_a_restart() {
    let mut world = World::new(Script::named("stock-out").unwrap()).await;
    world.apply(eight_h100()).await.unwrap();
    let known = world.broker.stock_outs();
    assert_eq!(known.len(), 1, "{known:#?}");
    assert_eq!((known[0].reason, known[0].place.scope()), (StockReason::NoStock, StockScope::Zone));
    world.restart().await;
    assert_eq!(world.broker.stock_outs(), known, "the ledger has it");
    // Somebody else's plan leaves the offer out, and says why and until when.
    let (plan, _) = world.broker.plan(&lead(), eight_h100()).await.unwrap();
    let why = plan.plan.excluded.iter().find_map(|excluded| match &excluded.why {
        Exclusion::Stock { until, seen: Some(out) } => Some((*until, out.as_ref().clone())),
        _ => None,
    });
    assert_eq!(why, Some((known[0].until, known[0].clone())));
    // After its time the offer is tried again; the success is remembered by forgetting.
    world.advance_s(200);
    assert!(world.broker.stock_outs().is_empty());
    world.apply(eight_h100()).await.unwrap();
    world.advance_s(2_000);
    world.broker.reconcile().await.unwrap();
    world.restart().await;
    assert!(world.broker.stock_outs().is_empty());
    world.settle().await;
    world.check().await;
}

#[tokio::test]
async fn a_crash_leaves_the_try_and_what_it_taught_or_neither() {
    let mut both = 0;
    for nth in 1..=8 {
        for point in [CrashPoint::BeforeCommit, CrashPoint::AfterCommit] {
            let mut world = World::new(Script::named("stock-out").unwrap()).await;
            world.ledger.faults().crash_at(nth, point);
            drop(world.apply(eight_h100()).await);
            world.restart().await;
            let failed = world.broker.leases(None, 10).await.unwrap().items;
            let failed = failed.iter().any(|lease| lease.failures.iter().any(|why| why.contains("no stock")));
            assert_eq!(failed, !world.broker.stock_outs().is_empty(), "{nth} {point:?}");
            both += u32::from(failed);
            let (plan, _) = world.broker.plan(&you(), eight_h100()).await.unwrap();
            assert_eq!(plan.plan.excluded_counts.contains_key("stock"), failed);
        }
    }
    assert!(both > 0, "some crash came after the stock-out");
}
