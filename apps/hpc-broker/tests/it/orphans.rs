//! Orphans by hand: shown, ended, and never in each other's way.

use hpc_audit::{AuditLog, Search};
use hpc_broker::{InstanceRecord, OrphanRecord, OrphanState, OrphanWhy};
use hpc_ledger::{Key, Ledger, Transaction};
use hpc_memory::ledger::CrashPoint;
use hpc_provider::InstanceHandle;
use hpc_provider_sim::{Call, Effect, Rule, Script, Where};
use hpc_resources::{PerInstanceHour, ProviderId, Region, ResourceRequest};

use crate::world::{World, lead, you};

/// A world whose clouds have instances that its ledger has never heard of.
async fn with_orphans(count: usize, rules: Vec<Rule>) -> World {
    let other = World::new(Script { rules, ..Script::default() }).await;
    for _ in 0..count {
        let request = ResourceRequest::new("job").add_gpu_nvidia_h100(8);
        let request = request.with_providers([ProviderId::parse("sim-aws").unwrap()]);
        other.apply(request.build().unwrap()).await.unwrap();
    }
    let mut world = World::new(Script::named("none").unwrap()).await;
    world.sim = other.sim;
    world.restart().await;
    world
}

/// An orphan on the books whose provider is no longer there.
async fn put_orphan(world: &World, provider: &str) {
    let price = PerInstanceHour("2 USD".parse().unwrap());
    let handle = InstanceHandle {
        provider: ProviderId::parse(provider).unwrap(),
        region: Region::parse("r-1").unwrap(),
        id: "i-1".to_owned(),
    };
    let from = world.sim.now();
    let instance = InstanceRecord {
        handle,
        price,
        from,
        to: None,
        reclaimed: false,
        missing_since: None,
        unseen: false,
    };
    let orphan = OrphanRecord { instance, intent: None, lease: None, why: Some(OrphanWhy::Untagged) };
    let at = |kind: &str| Key::parse(&format!("{kind}/{provider}.i-1")).unwrap();
    let change = Transaction::new()
        .put(at("orphan"), serde_json::to_vec(&orphan).unwrap())
        .put(at("open-orphan"), Vec::new());
    world.ledger.commit(change).await.unwrap();
}

fn rule(provider: &str, call: Call, effect: Effect, times: Option<u32>) -> Rule {
    let at = Where { provider: Some(ProviderId::parse(provider).unwrap()), ..Where::default() };
    Rule { call, at, effect, skip: 0, times }
}

#[tokio::test]
async fn an_orphan_is_shown_then_ended_when_it_is_old_enough() {
    let world = with_orphans(1, Vec::new()).await;
    // A cloud may show it late.
    world.advance_s(10);
    let found = world.broker.find_orphans().await.unwrap();
    assert!(found.unlisted.is_empty() && found.more == 0);
    let orphan = &found.orphans[0];
    assert_eq!((found.orphans.len(), orphan.state), (1, OrphanState::Young), "{found:#?}");
    assert_eq!(orphan.why, Some(OrphanWhy::UnknownIntent));
    let names = [orphan.name.clone()];
    // The grace holds by hand, too.
    assert!(world.broker.reap(&you(), None, false).await.unwrap().report.orphans.is_empty());
    let young = world.broker.reap(&you(), Some(&names), false).await.unwrap().report;
    assert!(young.orphans.is_empty() && young.not_reaped[0].why.contains("grace"), "{young:#?}");
    world.advance_s(31);
    let dry = world.broker.reap(&you(), None, true).await.unwrap();
    let view = &dry.report.orphans[0];
    assert_eq!((dry.report.orphans.len(), view.state, dry.receipts.len()), (1, OrphanState::Found, 0));
    assert!(view.cost.unwrap().nanos() > 0 && view.lease.is_some() && view.price.is_some());
    assert_eq!(world.sim.live_instances().len(), 1, "a dry run ends nothing");
    for dry_run in [true, false] {
        let refused = world.broker.reap(&lead(), None, dry_run).await.unwrap_err();
        assert_eq!(refused.code_text(), Some("HPC-POL-0001"));
    }
    let reaped = world.broker.reap(&you(), Some(&names), false).await.unwrap();
    assert_eq!((reaped.report.orphans.len(), reaped.receipts.len()), (1, 1), "{reaped:#?}");
    assert!(reaped.report.not_reaped.is_empty(), "{reaped:#?}");
    world.settle().await;
    assert!(world.broker.find_orphans().await.unwrap().orphans.is_empty());
    let again = world.broker.reap(&you(), Some(&names), false).await.unwrap().report;
    assert!(again.orphans.is_empty() && again.not_reaped[0].why.contains("not an orphan"), "{again:#?}");
    world.check().await;
    for action in ["orphan.reap", "orphan.found", "orphan.reaped"] {
        let search = Search { action: Some(action.to_owned()), ..Default::default() };
        let hits = world.audit.search(&search).await.unwrap().hits;
        assert_eq!(hits.len(), 1, "{action}");
    }
}

#[tokio::test]
async fn one_that_cannot_be_ended_stops_no_other() {
    let world = with_orphans(2, Vec::new()).await;
    put_orphan(&world, "gone-cloud").await;
    world.advance_s(31);
    assert_eq!(world.broker.find_orphans().await.unwrap().orphans.len(), 3);
    let report = world.broker.reap(&you(), None, false).await.unwrap().report;
    assert_eq!((report.orphans.len(), report.not_reaped.len()), (3, 1), "{report:#?}");
    assert_eq!(report.not_reaped[0].name, "gone-cloud.i-1");
    assert!(report.not_reaped[0].why.contains("no provider `gone-cloud`"), "{report:#?}");
    world.settle().await;
    assert!(world.sim.live_instances().is_empty());
    let left = world.broker.find_orphans().await.unwrap().orphans;
    assert_eq!((left.len(), left[0].state), (1, OrphanState::Ending), "{left:#?}");
}

#[tokio::test]
async fn a_provider_that_does_not_answer_is_asked_once_and_named() {
    let rules = vec![rule("sim-aws", Call::Observe, Effect::Auth, None)];
    let world = with_orphans(2, rules).await;
    world.advance_s(31);
    let found = world.broker.find_orphans().await.unwrap().orphans;
    assert_eq!(found.len(), 2);
    let report = world.broker.reap(&you(), None, false).await.unwrap().report;
    assert_eq!(report.not_reaped.len(), 2, "{report:#?}");
    assert!(report.not_reaped[1].why.starts_with("not tried"), "{report:#?}");
}

#[tokio::test]
async fn what_cannot_be_listed_is_never_shown_as_none() {
    let rules = vec![rule("sim-aws", Call::ListOwned, Effect::Internal, Some(1))];
    let world = World::new(Script { rules, ..Script::default() }).await;
    let blind = world.broker.find_orphans().await.unwrap();
    assert_eq!((blind.orphans.len(), blind.unlisted.len()), (0, 1), "{blind:#?}");
    assert_eq!(blind.unlisted[0].provider.as_str(), "sim-aws");
    assert!(world.broker.find_orphans().await.unwrap().unlisted.is_empty());
}

#[tokio::test]
async fn a_crash_at_every_commit_of_a_reap_leaves_nothing_behind() {
    let mut crashes = 0;
    for nth in 1..=4 {
        for point in [CrashPoint::BeforeCommit, CrashPoint::AfterCommit] {
            let mut world = with_orphans(1, Vec::new()).await;
            world.advance_s(31);
            world.ledger.faults().crash_at(nth, point);
            drop(world.broker.reap(&you(), None, false).await);
            crashes += u32::from(world.ledger.faults().crashed());
            world.restart().await;
            world.settle().await;
            assert!(world.sim.live_instances().is_empty(), "{nth} {point:?}");
            world.check().await;
        }
    }
    assert!(crashes >= 4, "{crashes}");
}
