//! Other capacity for what the provider took back: linked, judged and paid for anew, and exactly one whatever crashes.

use std::sync::Arc;

use hpc_audit::{AuditLog, Search};
use hpc_broker::{
    EndReason, LeaseRecord, LeaseState, REPLACEMENT_TRIES_MAX, REPLACEMENTS_MAX, ReplacementState,
};
use hpc_memory::ledger::CrashPoint;
use hpc_policy::PolicySet;
use hpc_provider_sim::{Call, Effect, Notice, ReclaimRule, Rule, Script, Where};
use hpc_resources::{LeaseId, OfferKind, OnInterruption, ResourceRequest, TeamId};

use crate::storm::check_money;
use crate::world::{POLICY, World, lead, you};

fn spot() -> hpc_resources::ResourceRequestBuilder {
    ResourceRequest::new("job")
        .add_gpu_nvidia_h100(8)
        .with_duration_s(7_200)
        .with_kinds([OfferKind::Spot])
        .with_on_interruption(OnInterruption::Replace)
}

async fn world(notice: Notice, times: Option<u32>, rules: Vec<Rule>) -> World {
    let at = Where { kind: Some(OfferKind::Spot), ..Where::default() };
    let reclaims = vec![ReclaimRule { at, after_s: 600, notice, times }];
    World::new(Script { reclaims, rules, ..Script::default() }).await
}

async fn leased(world: &World) -> LeaseId {
    world.apply(spot().build().unwrap()).await.unwrap().lease.id
}

/// Rounds of both kinds, as the daemon has them, until nothing is open.
async fn settle(world: &World) {
    for _ in 0..200 {
        world.settle().await;
        let report = world.broker.replace_interrupted().await.unwrap();
        assert_eq!(report.problems, Vec::<String>::new());
        if report == hpc_broker::Replacements::default() {
            return world.settle().await;
        }
        world.advance_s(20);
    }
    panic!("did not settle: {:#?}", all(world).await);
}

async fn all(world: &World) -> Vec<LeaseRecord> {
    world.broker.leases(None, 1_000).await.unwrap().items
}

async fn check(world: &World) {
    world.check().await;
    check_money(&world.broker).await;
    check_links(&all(world).await);
}

/// What was replaced was replaced once, by the lease that it names; both say so.
pub fn check_links(leases: &[LeaseRecord]) {
    for new in leases.iter().filter(|lease| lease.active_at.is_some()) {
        let Some(old) = &new.replaces else { continue };
        let old = leases.iter().find(|lease| lease.id == *old).unwrap();
        let record = old.replacement.as_ref().unwrap();
        assert_eq!(
            (record.state, record.by.as_ref()),
            (ReplacementState::Replaced, Some(&new.id)),
            "{old:#?}"
        );
        assert_eq!((new.generation, &new.request), (old.generation + 1, &old.request));
    }
    for old in leases.iter().filter(|lease| lease.replacement.is_some()) {
        let had = leases.iter().filter(|new| new.replaces.as_ref() == Some(&old.id));
        let had = had.filter(|new| new.active_at.is_some()).count();
        assert!(had <= 1, "{had} replacements of {old:#?}");
    }
}

#[tokio::test]
async fn what_is_taken_back_is_replaced_for_the_time_that_is_left() {
    for notice in [Notice::Before, Notice::Twice, Notice::Late, Notice::Never] {
        let world = world(notice, Some(1), Vec::new()).await;
        let id = leased(&world).await;
        let before = world.broker.lease_by_id(&id).await.unwrap();
        world.advance_s(490);
        world.broker.reconcile().await.unwrap();
        let first = world.broker.replace_interrupted().await.unwrap();
        let announced = matches!(notice, Notice::Before | Notice::Twice);
        assert_eq!(first.replaced, usize::from(announced), "{notice:?} {first:?}");
        world.advance_s(210);
        settle(&world).await;
        let old = world.broker.lease_by_id(&id).await.unwrap();
        assert_eq!((old.state, old.end_reason), (LeaseState::Released, Some(EndReason::Reclaimed)));
        let record = old.replacement.clone().unwrap();
        assert_eq!((record.state, record.tries), (ReplacementState::Replaced, 1), "{notice:?}");
        let new = world.broker.lease_by_id(&record.by.unwrap()).await.unwrap();
        assert_eq!((new.state, new.replaces.as_ref()), (LeaseState::Active, Some(&id)));
        // The same end, give or take the second in which it began; somewhere else; its own hold.
        let apart = new.ends_at.unwrap().duration_since(before.ends_at.unwrap()).abs().as_secs();
        assert!(apart <= 1, "{apart}");
        assert_ne!(new.offer.as_ref().unwrap().key(), old.offer.as_ref().unwrap().key());
        assert!(new.hold.nanos() < before.hold.nanos(), "less time, less money");
        check(&world).await;
        let search = Search { action: Some("lease.replacement".to_owned()), ..Default::default() };
        let said = world.audit.search(&search).await.unwrap().hits;
        let states: Vec<_> = said.iter().map(|hit| hit.entry.data["state"].as_str().unwrap()).collect();
        assert_eq!(states, ["wanted", "trying", "replaced"]);
        world.advance_s(7_200);
        settle(&world).await;
        check(&world).await;
        assert!(world.sim.live_instances().is_empty());
    }
}

#[tokio::test]
async fn nothing_is_spent_unasked() {
    let world = world(Notice::Before, Some(1), Vec::new()).await;
    let request = spot().with_on_interruption(OnInterruption::End).build().unwrap();
    let id = world.apply(request).await.unwrap().lease.id;
    world.advance_s(700);
    settle(&world).await;
    let lease = world.broker.lease_by_id(&id).await.unwrap();
    assert_eq!((lease.replacement, lease.end_reason), (None, Some(EndReason::Reclaimed)));
    assert_eq!(all(&world).await.len(), 1);
    check(&world).await;
}

#[tokio::test]
async fn a_watch_tells_of_the_replacement_and_ends_after_it() {
    let world = world(Notice::Never, Some(1), Vec::new()).await;
    let id = leased(&world).await;
    let mut watch = world.broker.watch_lease(&you(), &id).await.unwrap();
    world.advance_s(700);
    settle(&world).await;
    let mut steps = Vec::new();
    while let Some(lease) = watch.next().await.unwrap() {
        steps.push((lease.state, lease.replacement.map(|record| record.state)));
    }
    assert!(steps.contains(&(LeaseState::Released, Some(ReplacementState::Wanted))), "{steps:?}");
    assert_eq!(steps.last(), Some(&(LeaseState::Released, Some(ReplacementState::Replaced))));
}

#[tokio::test]
async fn policy_and_budget_are_asked_anew_and_a_no_is_tried_again_later() {
    let world = world(Notice::Never, Some(1), Vec::new()).await;
    let id = leased(&world).await;
    let record = async || world.broker.lease_by_id(&id).await.unwrap().replacement.unwrap();
    world.advance_s(700);
    world.settle().await;
    // Policy no longer lets anybody have this.
    let none =
        POLICY.replace("actions: [capacity.request, capacity.provision]", "actions: [capacity.provision]");
    let parse = |text: &str| Arc::new(PolicySet::parse_documents([("test.yaml", text.to_owned())]).unwrap());
    world.broker.set_policies(parse(&none));
    assert_eq!(world.broker.replace_interrupted().await.unwrap().refused, 1);
    let denied = record().await;
    assert_eq!((denied.state, denied.tries), (ReplacementState::Wanted, 1));
    assert!(denied.problem.unwrap().contains("policy denies it"));
    // Not yet due.
    assert_eq!(world.broker.replace_interrupted().await.unwrap().waiting, 1);
    assert_eq!(record().await.tries, 1);
    // The budget has no room.
    world.broker.set_policies(parse(POLICY));
    let team = TeamId::parse("ml").unwrap();
    world.broker.set_budget(&team, "1 USD".parse().unwrap()).await.unwrap();
    world.advance_s(15);
    assert_eq!(world.broker.replace_interrupted().await.unwrap().refused, 1);
    let short = record().await;
    assert_eq!((short.state, short.tries), (ReplacementState::Wanted, 2), "{short:?}");
    assert_eq!(all(&world).await.len(), 1, "nothing was begun");
    // Whoever it is for may have it now.
    world.broker.set_budget(&team, "100000 USD".parse().unwrap()).await.unwrap();
    world.advance_s(30);
    settle(&world).await;
    let done = record().await;
    assert_eq!((done.state, done.tries, done.problem), (ReplacementState::Replaced, 3, None));
    check(&world).await;
}

#[tokio::test]
async fn after_so_many_tries_it_is_given_up() {
    let world = world(Notice::Never, Some(1), Vec::new()).await;
    let request = spot().with_duration_s(24 * 3_600).build().unwrap();
    let id = world.apply(request).await.unwrap().lease.id;
    world.advance_s(700);
    world.settle().await;
    let none =
        POLICY.replace("actions: [capacity.request, capacity.provision]", "actions: [capacity.provision]");
    let none = PolicySet::parse_documents([("test.yaml", none)]).unwrap();
    world.broker.set_policies(Arc::new(none));
    for _ in 0..REPLACEMENT_TRIES_MAX {
        world.broker.replace_interrupted().await.unwrap();
        world.advance_s(1_800);
    }
    let lease = world.broker.lease_by_id(&id).await.unwrap();
    let record = lease.replacement.unwrap();
    assert_eq!((record.state, record.tries), (ReplacementState::GivenUp, REPLACEMENT_TRIES_MAX));
    assert!(record.problem.unwrap().contains("policy denies"));
    assert_eq!(world.broker.replace_interrupted().await.unwrap(), hpc_broker::Replacements::default());
    check(&world).await;
}

#[tokio::test]
async fn a_lease_that_somebody_ends_is_not_replaced() {
    for drained in [false, true] {
        let world = world(Notice::Before, Some(1), Vec::new()).await;
        let id = leased(&world).await;
        world.advance_s(490);
        world.broker.reconcile().await.unwrap();
        if drained {
            world.broker.drain(&you(), &id, 30).await.unwrap();
        } else {
            world.broker.release(&you(), &id).await.unwrap();
        }
        assert_eq!(world.broker.replace_interrupted().await.unwrap().given_up, 1);
        world.advance_s(120);
        settle(&world).await;
        assert_eq!(all(&world).await.len(), 1);
        check(&world).await;
    }
}

#[tokio::test]
async fn whom_nobody_knows_any_more_gets_nothing() {
    let world = world(Notice::Never, Some(1), Vec::new()).await;
    // The callers of this test know `you` alone.
    let (plan, _) = world.broker.plan(&lead(), spot().build().unwrap()).await.unwrap();
    let id = world.broker.apply(&lead(), &plan.plan.id, &hpc_broker::Silent).await.unwrap().lease.id;
    world.advance_s(700);
    settle(&world).await;
    let record = world.broker.lease_by_id(&id).await.unwrap().replacement.unwrap();
    assert_eq!(record.state, ReplacementState::GivenUp);
    assert!(record.problem.unwrap().contains("nobody here knows"), "{id}");
}

#[tokio::test]
async fn a_total_holds_for_all_leases_of_a_request_together() {
    let world = world(Notice::Never, Some(1), Vec::new()).await;
    let (plan, _) = world.broker.plan(&you(), spot().build().unwrap()).await.unwrap();
    let total = plan.plan.attempts[0].total;
    let id = world.apply(spot().with_max_total(total).build().unwrap()).await.unwrap().lease.id;
    world.advance_s(700);
    settle(&world).await;
    let old = world.broker.lease_by_id(&id).await.unwrap();
    let record = old.replacement.clone().unwrap();
    assert_eq!(record.state, ReplacementState::Replaced, "{record:?}");
    let new = world.broker.lease_by_id(&record.by.unwrap()).await.unwrap();
    let plan = world.broker.plan_by_id(&new.plan).await.unwrap();
    let left = total.checked_sub(old.cost.unwrap()).unwrap();
    assert_eq!(plan.request.max_total(), Some(left));
    check(&world).await;
}

#[tokio::test]
async fn too_little_time_is_not_worth_a_lease() {
    let world = world(Notice::Never, Some(1), Vec::new()).await;
    let id = world.apply(spot().with_duration_s(650).build().unwrap()).await.unwrap().lease.id;
    world.advance_s(605);
    settle(&world).await;
    let lease = world.broker.lease_by_id(&id).await.unwrap();
    assert_eq!(lease.end_reason, Some(EndReason::Reclaimed));
    let record = lease.replacement.unwrap();
    assert_eq!((record.state, record.tries, record.by), (ReplacementState::GivenUp, 0, None));
    assert!(record.problem.unwrap().contains("s of its time are left"));
    assert_eq!(all(&world).await.len(), 1);
    check(&world).await;
}

#[tokio::test]
async fn a_replacement_may_be_replaced_so_often_and_no_more() {
    let world = world(Notice::Never, None, Vec::new()).await;
    let request = spot().with_duration_s(24 * 3_600).build().unwrap();
    world.apply(request).await.unwrap();
    for _ in 0..=REPLACEMENTS_MAX {
        world.advance_s(700);
        settle_until_running(&world).await;
    }
    settle(&world).await;
    let leases = all(&world).await;
    let had = leases.iter().filter(|lease| lease.active_at.is_some()).count();
    assert_eq!(u32::try_from(had).unwrap(), REPLACEMENTS_MAX + 1);
    let last = leases.iter().max_by_key(|lease| lease.generation).unwrap();
    let record = last.replacement.as_ref().unwrap();
    assert_eq!((record.state, record.by.as_ref()), (ReplacementState::GivenUp, None), "{record:?}");
    check(&world).await;
}

async fn settle_until_running(world: &World) {
    for _ in 0..100 {
        world.broker.reconcile().await.unwrap();
        let report = world.broker.replace_interrupted().await.unwrap();
        if report.waiting + report.refused == 0 && report.problems.is_empty() {
            return;
        }
        world.advance_s(20);
    }
}

/// Lease, notice, replacement, the end of the old one. Whatever fails, fails.
async fn live(world: &World) {
    drop(world.apply(spot().build().unwrap()).await);
    world.advance_s(490);
    for wait in [20, 100, 60] {
        drop(world.broker.reconcile().await);
        drop(world.broker.replace_interrupted().await);
        world.advance_s(wait);
    }
}

#[tokio::test]
async fn a_crash_between_any_two_steps_gives_exactly_one_replacement() {
    let lost = |effect| Rule { call: Call::Provision, at: Where::default(), effect, skip: 1, times: Some(1) };
    let mut crashes = 0;
    for (notice, rules) in [
        (Notice::Twice, Vec::new()),
        (Notice::Never, Vec::new()),
        (Notice::Before, vec![lost(Effect::LostAfter)]),
        (Notice::Before, vec![lost(Effect::StockOut)]),
    ] {
        let calm = world(notice, Some(1), rules.clone()).await;
        let before = calm.ledger.faults().commits();
        live(&calm).await;
        let commits = calm.ledger.faults().commits() - before;
        assert!(commits >= 10, "{commits}");
        for nth in 1..=commits {
            for point in [CrashPoint::BeforeCommit, CrashPoint::AfterCommit] {
                let mut world = world(notice, Some(1), rules.clone()).await;
                world.ledger.faults().crash_at(nth, point);
                live(&world).await;
                assert!(world.ledger.faults().crashed(), "{notice:?} {nth} {point:?} did not crash");
                crashes += 1;
                world.restart().await;
                // Whichever round comes first: what a crash left on its way is waited for.
                if crashes % 2 == 0 || rules.iter().any(|rule| rule.effect == Effect::LostAfter) {
                    drop(world.broker.replace_interrupted().await.unwrap());
                }
                settle(&world).await;
                check(&world).await;
                let leases = all(&world).await;
                let Some(old) = leases.iter().find(|lease| lease.replacement.is_some()) else {
                    // It died before the lease had its capacity.
                    assert!(
                        leases
                            .iter()
                            .all(|lease| lease.active_at.is_none() || lease.state == LeaseState::Active)
                    );
                    continue;
                };
                let record = old.replacement.as_ref().unwrap();
                assert_eq!(
                    record.state,
                    ReplacementState::Replaced,
                    "{notice:?} {nth} {point:?} {leases:#?}"
                );
                assert_eq!(world.sim.live_instances().len(), 1);
            }
        }
    }
    println!("{crashes} crashes");
}
