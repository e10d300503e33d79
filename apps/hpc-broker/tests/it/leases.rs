//! Leases while they run: renewed, drained, watched; with a crash at every commit.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use hpc_broker::{DRAIN_S_MAX, DrainReason, EndReason, LeaseState, RENEWALS_MAX};
use hpc_ledger::{Key, Ledger as _, Transaction};
use hpc_memory::ledger::CrashPoint;
use hpc_policy::{PolicySet, Principal};
use hpc_provider_sim::Script;
use hpc_resources::{LeaseId, TeamId};
use jiff::SignedDuration;

use crate::lost::odd;
use crate::storm::{Habit, Op, check_money, step_back};
use crate::world::{POLICY, World, eight_h100, lead, you};

const HOUR_S: u64 = 3_600;

async fn leased(world: &World) -> LeaseId {
    world.apply(eight_h100()).await.unwrap().lease.id
}

fn code(error: &hpc_error::HpcError) -> &str {
    error.code_text().unwrap_or_default()
}

#[tokio::test]
async fn a_renewed_lease_ends_later_and_holds_what_that_costs() {
    let world = World::new(Script::named("none").unwrap()).await;
    let id = leased(&world).await;
    let before = world.broker.lease_by_id(&id).await.unwrap();
    world.advance_s(1_000);
    let renewed = world.broker.renew(&you(), &id, HOUR_S, "k1").await.unwrap();
    assert!(!renewed.repeated && renewed.receipts.len() == 1);
    let lease = renewed.lease;
    let later = SignedDuration::from_secs(3_600);
    assert_eq!(lease.ends_at, before.ends_at.map(|end| end + later));
    assert_eq!(lease.duration_s, before.duration_s + HOUR_S);
    let on_top = lease.hold.checked_sub(before.hold).unwrap();
    let hourly = world.broker.cost(&you(), &id).await.unwrap().hourly;
    assert_eq!((on_top, lease.renewals[0].held), (hourly, hourly), "an hour at the running price");
    check_money(&world.broker).await;
    // The same key again changes nothing, over a restart too; with another time it is a mistake.
    let again = world.broker.renew(&you(), &id, HOUR_S, "k1").await.unwrap();
    assert!(again.repeated && again.lease == lease);
    assert_eq!(again.receipts[0].id, renewed.receipts[0].id);
    let other = world.broker.renew(&you(), &id, 2 * HOUR_S, "k1").await.unwrap_err();
    assert_eq!(code(&other), "HPC-USG-0016");
    world.advance_s(7_200 - 1_000);
    world.settle().await;
    assert_eq!(world.broker.lease_by_id(&id).await.unwrap().state, LeaseState::Active, "it has an hour more");
    world.advance_s(3_600);
    world.settle().await;
    let ended = world.broker.lease_by_id(&id).await.unwrap();
    assert_eq!(ended.end_reason, Some(EndReason::Expired), "and not its hold");
    assert_eq!(code(&world.broker.renew(&you(), &id, HOUR_S, "k2").await.unwrap_err()), "HPC-LSE-0002");
    world.check().await;
    check_money(&world.broker).await;
}

#[tokio::test]
async fn a_renewal_is_refused_before_anything_changes() {
    let world = World::new(Script::named("none").unwrap()).await;
    let id = leased(&world).await;
    let before = world.broker.lease_by_id(&id).await.unwrap();
    let renew = |by_s: u64| {
        let (broker, id) = (world.broker.clone(), id.clone());
        async move { broker.renew(&you(), &id, by_s, "k").await.unwrap_err() }
    };
    for by_s in [0, 59, 90 * 24 * HOUR_S, u64::MAX] {
        assert_eq!(code(&renew(by_s).await), "HPC-USG-0011", "{by_s}");
    }
    // Somebody else's lease.
    let refused = world.broker.renew(&lead(), &id, HOUR_S, "k").await.unwrap_err();
    assert_eq!(code(&refused), "HPC-LSE-0005");
    // Longer than a day needs a person, and a renewal has none.
    assert_eq!(code(&renew(24 * HOUR_S).await), "HPC-POL-0002");
    // The budget no longer has room.
    let team = TeamId::parse("ml").unwrap();
    world.broker.set_budget(&team, before.hold).await.unwrap();
    assert_eq!(code(&renew(HOUR_S).await), "HPC-BUD-0001");
    // Policy allows three hours in all, and later nothing at all.
    world.broker.set_budget(&team, "100000 USD".parse().unwrap()).await.unwrap();
    let limited = POLICY.replace(
        "actions: [capacity.request, capacity.provision]",
        "actions: [capacity.request, capacity.provision]\n      obligations: {max_lease_hours: 3, idle_release_minutes: 7}",
    );
    let limited = limited.replace(
        "resources: [{type: gpu, pattern: \"gpu/*\"}, {type: offer, pattern: \"**\"}]",
        "resources: [{type: gpu, pattern: \"gpu/*\"}]",
    );
    let offers = "    - name: offers\n      effect: allow\n      principals: [{type: any}]\n      resources: [{type: offer, pattern: \"**\"}]\n      actions: [capacity.provision]\n";
    let limited = PolicySet::parse_documents([("test.yaml", format!("{limited}{offers}"))]).unwrap();
    world.broker.set_policies(Arc::new(limited));
    let denied = renew(2 * HOUR_S).await;
    assert_eq!(code(&denied), "HPC-POL-0001");
    assert!(denied.message().contains("4 h, policy allows 3 h"), "{denied}");
    assert_eq!(world.broker.lease_by_id(&id).await.unwrap(), before);
    check_money(&world.broker).await;
    // What fits goes through, and takes over the idle time that policy allows now.
    let renewed = world.broker.renew(&you(), &id, HOUR_S, "k").await.unwrap().lease;
    assert_eq!(renewed.idle_release_s, Some(420));
    let none = PolicySet::parse_documents([("test.yaml", POLICY.replace("lease.renew, ", ""))]).unwrap();
    world.broker.set_policies(Arc::new(none));
    assert_eq!(code(&world.broker.renew(&you(), &id, HOUR_S, "k").await.unwrap_err()), "HPC-POL-0001");
    world.check().await;
}

#[tokio::test]
async fn a_request_that_names_a_total_is_not_renewed_beyond_it() {
    let world = World::new(Script::named("none").unwrap()).await;
    let (plan, _) = world.broker.plan(&you(), eight_h100()).await.unwrap();
    let total = plan.plan.attempts[0].total;
    let request = hpc_resources::ResourceRequest::new("job")
        .add_gpu_nvidia_h100(8)
        .with_duration_s(7_200)
        .with_max_total(total)
        .build()
        .unwrap();
    let id = world.apply(request).await.unwrap().lease.id;
    let refused = world.broker.renew(&you(), &id, 60, "k").await.unwrap_err();
    assert_eq!(code(&refused), "HPC-BUD-0001", "{refused}");
}

#[tokio::test]
async fn a_lease_is_renewed_so_often_and_no_more() {
    let world = World::new(Script::named("none").unwrap()).await;
    let id = leased(&world).await;
    for number in 0..RENEWALS_MAX {
        world.broker.renew(&you(), &id, 60, &format!("k{number}")).await.unwrap();
    }
    let refused = world.broker.renew(&you(), &id, 60, "one more").await.unwrap_err();
    assert_eq!(code(&refused), "HPC-LSE-0008");
    assert!(world.broker.renew(&you(), &id, 60, "k0").await.unwrap().repeated);
}

#[tokio::test]
async fn a_drained_lease_takes_no_new_work_and_ends() {
    let world = World::new(Script::named("none").unwrap()).await;
    let id = leased(&world).await;
    let drained = world.broker.drain(&you(), &id, 600).await.unwrap();
    assert!(!drained.repeated && drained.receipts.len() == 1);
    assert_eq!(drained.lease.state, LeaseState::Draining);
    let drain = drained.lease.drain.unwrap();
    assert_eq!(
        (drain.reason, drain.until.duration_since(drain.since)),
        (DrainReason::Asked, SignedDuration::from_mins(10))
    );
    // Later, and the same, change nothing; nearer does.
    let again = world.broker.drain(&you(), &id, 900).await.unwrap();
    assert!(again.repeated && again.lease.drain == Some(drain));
    assert_eq!(again.receipts[0].id, drained.receipts[0].id);
    let nearer = world.broker.drain(&you(), &id, 300).await.unwrap();
    assert!(!nearer.repeated && nearer.lease.drain.unwrap().until < drain.until);
    assert_eq!(code(&world.broker.renew(&you(), &id, HOUR_S, "k").await.unwrap_err()), "HPC-LSE-0006");
    world.advance_s(299);
    world.settle().await;
    assert_eq!(world.broker.lease_by_id(&id).await.unwrap().state, LeaseState::Draining, "half open");
    world.advance_s(1);
    world.settle().await;
    let ended = world.broker.lease_by_id(&id).await.unwrap();
    assert_eq!((ended.state, ended.end_reason), (LeaseState::Released, Some(EndReason::Drained)));
    assert_eq!(code(&world.broker.drain(&you(), &id, 1).await.unwrap_err()), "HPC-LSE-0002");
    world.check().await;
    check_money(&world.broker).await;
}

#[tokio::test]
async fn a_drain_has_limits_and_an_owner() {
    let world = World::new(Script::named("none").unwrap()).await;
    let id = leased(&world).await;
    assert_eq!(code(&world.broker.drain(&you(), &id, DRAIN_S_MAX + 1).await.unwrap_err()), "HPC-USG-0011");
    assert_eq!(code(&world.broker.drain(&lead(), &id, 1).await.unwrap_err()), "HPC-LSE-0005");
    let unknown = LeaseId::from_bits(1);
    assert_eq!(code(&world.broker.drain(&you(), &unknown, 1).await.unwrap_err()), "HPC-LSE-0001");
    let drained = world.broker.drain(&you(), &id, DRAIN_S_MAX).await.unwrap().lease;
    assert_eq!(drained.drain.unwrap().until, drained.ends_at.unwrap(), "never past the lease's own end");
    // What drains may be released at once.
    world.broker.release(&you(), &id).await.unwrap();
    world.settle().await;
    world.check().await;
}

/// What a lease is projected to cost ends with its drain.
#[tokio::test]
async fn a_drain_makes_what_a_lease_will_have_cost_less() {
    let world = World::new(Script::named("none").unwrap()).await;
    let id = leased(&world).await;
    let before = world.broker.cost(&you(), &id).await.unwrap();
    world.broker.drain(&you(), &id, 600).await.unwrap();
    let after = world.broker.cost(&you(), &id).await.unwrap();
    let instance = &after.instances[0];
    let until = world.broker.lease_by_id(&id).await.unwrap().drain.unwrap().until;
    assert_eq!(after.projected, instance.cost(until).unwrap());
    assert!(before.projected.exceeds(after.projected));
    world.advance_s(600);
    world.settle().await;
    let ended = world.broker.cost(&you(), &id).await.unwrap();
    assert_eq!(ended.projected, ended.accrued);
}

/// A renewal whose commit takes a while, and what is done meanwhile: `meet` is told when the commit has begun.
async fn renewing<T>(world: &World, slow: &AtomicU64, id: &LeaseId, meet: impl Future<Output = T>) -> T {
    slow.store(1, Ordering::Relaxed);
    let meet = async {
        while slow.load(Ordering::Relaxed) == 1 {
            step_back(1).await;
        }
        meet.await
    };
    let caller = you();
    let (renewed, met) = tokio::join!(world.broker.renew(&caller, id, HOUR_S, "k"), meet);
    assert_eq!(renewed.unwrap().lease.renewals.len(), 1);
    met
}

/// At 1 the next commit is slow, and counts to 2; from then on gets of leases are counted, and the second is slow to answer.
async fn slow_world() -> (World, Arc<AtomicU64>) {
    struct Plain;
    impl Habit for Plain {}
    let state = Arc::new(AtomicU64::new(0));
    let seen = state.clone();
    let world = odd(Script::named("none").unwrap(), Arc::new(Plain), |slow| {
        slow.pace = Box::new(move |op| match op {
            Op::Commit(_) if seen.load(Ordering::Relaxed) == 1 => {
                seen.store(2, Ordering::Relaxed);
                (60, 0)
            }
            op if op.reads("lease/") && seen.load(Ordering::Relaxed) >= 2 => {
                let is_second = seen.fetch_add(1, Ordering::Relaxed) == 3;
                (0, if is_second { 200 } else { 0 })
            }
            _ => (0, 0),
        });
    })
    .await;
    (world, state)
}

#[tokio::test]
async fn an_end_that_was_decided_before_a_renewal_is_not_carried_out_after_it() {
    let (world, slow) = slow_world().await;
    let id = leased(&world).await;
    world.advance_s(7_199);
    // The renewal begins in time. Its lease is over before it is durable, and the loop has seen that.
    renewing(&world, &slow, &id, async {
        world.advance_s(2);
        world.broker.reconcile().await.unwrap();
    })
    .await;
    assert!(slow.load(Ordering::Relaxed) >= 5, "the loop read the lease before the renewal and after it");
    let lease = world.broker.lease_by_id(&id).await.unwrap();
    assert_eq!((lease.state, lease.end_reason), (LeaseState::Active, None), "{lease:#?}");
    world.settle().await;
    world.check().await;
    check_money(&world.broker).await;
}

#[tokio::test]
async fn a_release_that_meets_a_renewal_says_that_the_lease_is_being_changed() {
    let (world, slow) = slow_world().await;
    let id = leased(&world).await;
    let caller = you();
    let refused = renewing(&world, &slow, &id, world.broker.release(&caller, &id)).await.unwrap_err();
    assert_eq!(code(&refused), "HPC-LSE-0007", "{refused}");
    assert_eq!(world.broker.lease_by_id(&id).await.unwrap().state, LeaseState::Active);
    world.broker.release(&caller, &id).await.unwrap();
    world.settle().await;
    world.check().await;
    check_money(&world.broker).await;
}

#[tokio::test]
async fn a_watch_tells_every_step_up_to_the_end() {
    let world = World::new(Script::named("none").unwrap()).await;
    let id = leased(&world).await;
    let refused = match world.broker.watch_lease(&nobody(), &id).await {
        Err(error) => error,
        Ok(_) => panic!("somebody else watches"),
    };
    assert_eq!(code(&refused), "HPC-LSE-0005");
    let mut watch = world.broker.watch_lease(&you(), &id).await.unwrap();
    assert_eq!(watch.next().await.unwrap().unwrap().state, LeaseState::Active);
    world.broker.renew(&you(), &id, HOUR_S, "k").await.unwrap();
    world.broker.drain(&you(), &id, 0).await.unwrap();
    world.settle().await;
    let mut states = Vec::new();
    while let Some(lease) = watch.next().await.unwrap() {
        states.push((lease.state, lease.renewals.len()));
    }
    assert_eq!(states.first(), Some(&(LeaseState::Active, 1)));
    assert!(states.contains(&(LeaseState::Draining, 1)) && states.contains(&(LeaseState::Releasing, 1)));
    assert_eq!(states.last(), Some(&(LeaseState::Released, 1)));
    assert!(watch.next().await.unwrap().is_none(), "and stays ended");
}

fn nobody() -> hpc_broker::Caller {
    let team = TeamId::parse("other").unwrap();
    hpc_broker::Caller { name: "user:nobody".to_owned(), principal: Principal::user("nobody"), team }
}

/// Lease, renew, wait, drain, wait for its end. Whatever fails, fails.
async fn live(world: &World) {
    if let Ok(applied) = world.apply(eight_h100()).await {
        world.advance_s(100);
        drop(world.broker.renew(&you(), &applied.lease.id, HOUR_S, "key").await);
        drop(world.broker.drain(&you(), &applied.lease.id, 60).await);
        world.advance_s(61);
        drop(world.broker.reconcile().await);
    }
}

#[tokio::test]
async fn a_crash_at_every_commit_of_a_renewal_and_a_drain_is_recovered() {
    let world = World::new(Script::named("none").unwrap()).await;
    let before = world.ledger.faults().commits();
    live(&world).await;
    let commits = world.ledger.faults().commits() - before;
    assert!(commits >= 9, "{commits}");
    for nth in 1..=commits {
        for point in [CrashPoint::BeforeCommit, CrashPoint::AfterCommit] {
            let mut world = World::new(Script::named("none").unwrap()).await;
            world.ledger.faults().crash_at(nth, point);
            live(&world).await;
            assert!(world.ledger.faults().crashed(), "{nth} {point:?} did not crash");
            world.restart().await;
            world.settle().await;
            world.check().await;
            check_money(&world.broker).await;
            // The renewal goes on with its key: it happens once, whatever was durable.
            for lease in world.broker.leases(None, 10).await.unwrap().items {
                assert!(lease.renewals.len() <= 1);
                let by: u64 = lease.renewals.iter().map(|renewal| renewal.by_s).sum();
                assert_eq!(lease.duration_s, 7_200 + by);
                if lease.state == LeaseState::Active {
                    world.broker.renew(&you(), &lease.id, HOUR_S, "key").await.unwrap();
                    let lease = world.broker.lease_by_id(&lease.id).await.unwrap();
                    assert_eq!((lease.renewals.len(), lease.duration_s), (1, 7_200 + HOUR_S));
                }
            }
            check_money(&world.broker).await;
            world.advance_s(20_000);
            world.settle().await;
            world.check().await;
            check_money(&world.broker).await;
        }
    }
}

#[tokio::test]
async fn an_intent_that_cannot_be_read_keeps_no_other_lease_from_its_end() {
    let world = World::new(Script::named("none").unwrap()).await;
    let (damaged, other) = (leased(&world).await, leased(&world).await);
    let intent = world.broker.lease_by_id(&damaged).await.unwrap().intents.remove(0);
    let key = Key::parse(&format!("intent/{intent}")).unwrap();
    world.ledger.commit(Transaction::new().put(key, b"{")).await.unwrap();
    world.advance_s(3 * HOUR_S);
    let report = world.broker.reconcile().await.unwrap();
    assert!(report.problems.iter().any(|problem| problem.starts_with(intent.as_str())), "{report:#?}");
    assert!(report.problems.iter().any(|problem| problem.starts_with(damaged.as_str())), "{report:#?}");
    world.broker.reconcile().await.unwrap();
    let ended = world.broker.lease_by_id(&other).await.unwrap();
    assert_eq!((ended.state, ended.end_reason), (LeaseState::Released, Some(EndReason::Expired)));
    assert_eq!(world.sim.live_instances().len(), 1, "what nobody can read about goes on, and is told of");
}
