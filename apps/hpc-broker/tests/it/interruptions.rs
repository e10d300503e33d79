//! A provider takes capacity back: with notice, twice, late, never; and a crash at every commit in between.

use hpc_audit::{AuditLog, Search};
use hpc_broker::{DrainReason, EndReason, LeaseState};
use hpc_ledger::{Key, Ledger};
use hpc_memory::ledger::CrashPoint;
use hpc_provider_sim::{Call, Effect, Notice, ReclaimRule, Rule, Script, Where};
use hpc_resources::{OfferKind, ResourceRequest, StockReason};

use crate::storm::check_money;
use crate::world::{World, you};

pub async fn world(notice: Notice) -> World {
    let at = Where { kind: Some(OfferKind::Spot), ..Where::default() };
    let reclaims = vec![ReclaimRule { at, after_s: 600, notice, times: Some(1) }];
    World::new(Script { reclaims, ..Script::default() }).await
}

fn spot() -> ResourceRequest {
    ResourceRequest::new("job")
        .add_gpu_nvidia_h100(8)
        .with_duration_s(7_200)
        .with_kinds([OfferKind::Spot])
        .build()
        .unwrap()
}

#[tokio::test]
async fn a_notice_drains_the_lease_and_the_entry_says_how_fast() {
    for notice in [Notice::Before, Notice::Twice] {
        let world = world(notice).await;
        let id = world.apply(spot()).await.unwrap().lease.id;
        world.advance_s(490);
        for _ in 0..3 {
            world.broker.reconcile().await.unwrap();
        }
        let lease = world.broker.lease_by_id(&id).await.unwrap();
        assert_eq!((lease.state, lease.replacement.as_ref()), (LeaseState::Draining, None), "{notice:?}");
        let drain = lease.drain.unwrap();
        let lasts = drain.until.duration_since(drain.since).as_secs();
        assert_eq!((drain.reason, lasts), (DrainReason::Interrupted, 110));
        let search = Search { action: Some("lease.draining".to_owned()), ..Default::default() };
        let hits = world.audit.search(&search).await.unwrap().hits;
        assert_eq!(hits.len(), 1, "{notice:?}: once, however often it is told");
        assert_eq!(hits[0].entry.data["reacted_ms"], 10_000, "{:?}", hits[0].entry);
        // What took one back may take the next: the place is avoided for a while.
        let out = world.broker.stock_outs();
        assert_eq!((out.len(), out[0].reason, out[0].times), (1, StockReason::Reclaimed, 1), "{out:?}");
        world.advance_s(120);
        world.settle().await;
        let ended = world.broker.lease_by_id(&id).await.unwrap();
        assert_eq!((ended.state, ended.end_reason), (LeaseState::Released, Some(EndReason::Reclaimed)));
        assert_eq!(world.broker.stock_outs()[0].times, 1, "and remembered once");
        world.check().await;
        check_money(&world.broker).await;
    }
}

#[tokio::test]
async fn late_and_never_end_the_lease_all_the_same() {
    for notice in [Notice::Late, Notice::Never] {
        let world = world(notice).await;
        let id = world.apply(spot()).await.unwrap().lease.id;
        world.advance_s(700);
        world.settle().await;
        let ended = world.broker.lease_by_id(&id).await.unwrap();
        assert_eq!((ended.state, ended.end_reason), (LeaseState::Released, Some(EndReason::Reclaimed)));
        assert_eq!(world.broker.stock_outs()[0].reason, StockReason::Reclaimed, "{notice:?}");
        world.check().await;
        check_money(&world.broker).await;
    }
}

#[tokio::test]
async fn a_drain_that_ends_sooner_stays_and_a_released_lease_needs_no_answer() {
    let world = world(Notice::Before).await;
    let id = world.apply(spot()).await.unwrap().lease.id;
    world.advance_s(470);
    let asked = world.broker.drain(&you(), &id, 60).await.unwrap().lease.drain;
    world.advance_s(15);
    world.broker.reconcile().await.unwrap();
    assert_eq!(world.broker.lease_by_id(&id).await.unwrap().drain, asked);
    world.broker.release(&you(), &id).await.unwrap();
    world.advance_s(10);
    world.settle().await;
    assert_eq!(world.broker.lease_by_id(&id).await.unwrap().end_reason, Some(EndReason::Asked));
    world.check().await;
}

#[tokio::test]
async fn a_notice_that_comes_sooner_than_an_asked_drain_brings_the_end_nearer() {
    let world = world(Notice::Before).await;
    let id = world.apply(spot()).await.unwrap().lease.id;
    world.advance_s(470);
    let asked = world.broker.drain(&you(), &id, 3_600).await.unwrap().lease.drain.unwrap();
    world.advance_s(15);
    world.broker.reconcile().await.unwrap();
    let drain = world.broker.lease_by_id(&id).await.unwrap().drain.unwrap();
    assert!(drain.until < asked.until && drain.since == asked.since, "{drain:?}");
    assert_eq!(drain.reason, DrainReason::Asked, "whoever had it drained wants no more of it");
    world.advance_s(120);
    world.settle().await;
    world.check().await;
}

#[tokio::test]
async fn a_crash_at_every_commit_of_an_interruption_is_recovered() {
    let mut crashes = 0;
    for nth in 1..=12 {
        for point in [CrashPoint::BeforeCommit, CrashPoint::AfterCommit] {
            let mut world = world(Notice::Twice).await;
            let id = world.apply(spot()).await.unwrap().lease.id;
            world.advance_s(490);
            world.ledger.faults().crash_at(nth, point);
            drop(world.broker.reconcile().await);
            world.advance_s(120);
            drop(world.broker.reconcile().await);
            crashes += u32::from(world.ledger.faults().crashed());
            world.restart().await;
            world.settle().await;
            let ended = world.broker.lease_by_id(&id).await.unwrap();
            let how = (ended.state, ended.end_reason);
            assert_eq!(how, (LeaseState::Released, Some(EndReason::Reclaimed)), "{nth} {point:?}");
            world.check().await;
            check_money(&world.broker).await;
        }
    }
    assert!(crashes >= 10, "{crashes}");
}

#[tokio::test]
async fn a_notice_about_a_lease_that_somebody_works_on_is_read_again() {
    let at = Where { kind: Some(OfferKind::Spot), ..Where::default() };
    let reclaims = vec![ReclaimRule { at, after_s: 600, notice: Notice::Before, times: Some(1) }];
    let (call, effect) = (Call::Release, Effect::HangBefore);
    let rules = vec![Rule { call, at: Where::default(), effect, skip: 0, times: Some(1) }];
    let world = World::new(Script { reclaims, rules, ..Script::default() }).await;
    let lease = world.apply(spot()).await.unwrap().lease;
    world.broker.reconcile().await.unwrap();
    let provider = lease.offer.unwrap().provider;
    let place = Key::parse(&format!("cursor/{provider}")).unwrap();
    let cursor = async || world.ledger.get(&place).await.unwrap().map(|found| found.value);
    let before = cursor().await;
    world.advance_s(485);
    {
        let caller = you();
        let release = std::pin::pin!(world.broker.release(&caller, &lease.id));
        tokio::select! {
            biased;
            _ = release => panic!("the provider answered"),
            () = async {
                let report = world.broker.reconcile().await.unwrap();
                assert!(report.interruptions == 1 && report.pending > 0, "{report:?}");
                assert_eq!(cursor().await, before, "it is not answered yet");
            } => {}
        }
    }
    world.settle().await;
    assert_ne!(cursor().await, before);
    assert_eq!(world.broker.lease_by_id(&lease.id).await.unwrap().end_reason, Some(EndReason::Asked));
    world.check().await;
}
