//! The process may die at every commit: restart, reconcile, and nothing is doubled, lost or unexplained.

use hpc_memory::ledger::CrashPoint;
use hpc_provider_sim::Script;

use crate::storm::check_money;
use crate::world::{World, eight_h100, you};

/// One life: plan, apply, wait, release. Whatever fails, fails.
async fn live(world: &World) {
    if let Ok(applied) = world.apply(eight_h100()).await {
        world.advance_s(100);
        drop(world.broker.release(&you(), &applied.lease.id).await);
    }
}

async fn commits_of(story: &str) -> u64 {
    let world = World::new(Script::named(story).unwrap()).await;
    let before = world.ledger.faults().commits();
    live(&world).await;
    world.ledger.faults().commits() - before
}

#[tokio::test]
async fn a_crash_at_every_commit_of_every_story_is_recovered() {
    let mut crashes = 0;
    for story in ["none", "stock-out", "quota", "lost-answer"] {
        let commits = commits_of(story).await;
        assert!(commits >= 5, "{story} has only {commits} commits");
        for nth in 1..=commits {
            for point in [CrashPoint::BeforeCommit, CrashPoint::AfterCommit] {
                let mut world = World::new(Script::named(story).unwrap()).await;
                world.ledger.faults().crash_at(nth, point);
                live(&world).await;
                assert!(world.ledger.faults().crashed(), "{story} {nth} {point:?} did not crash");
                crashes += 1;
                world.restart().await;
                world.settle().await;
                world.check().await;
                check_money(&world.broker).await;
                // Life goes on: the same team can lease again.
                live(&world).await;
                world.settle().await;
                world.check().await;
                check_money(&world.broker).await;
            }
        }
    }
    println!("{crashes} crashes");
}
