//! What could be lost: money behind an answer that never came, an instance behind a provider's hasty word, a reason
//! behind a second try.

use std::future::Future;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};

use hpc_broker::{Broker, Caller, LeaseState, Progress, Silent};
use hpc_crypto::signing::KeyPair;
use hpc_memory::audit::MemoryAuditLog;
use hpc_memory::ledger::{CrashPoint, MemoryLedger};
use hpc_policy::{PolicySet, Principal};
use hpc_provider::{CapacityProvider, ProvisionSpec, TAG_OWNER};
use hpc_provider_sim::{Call, Effect, Rule, Script, SimConfig, SimWorld, Where};
use hpc_resources::{IntentId, LeaseId, OfferKind, ResourceRequest, TeamId};

use crate::storm::{Habit, Later, Op, SlowLedger, build, check_money, step_back};
use crate::world::{POLICY, World, eight_h100, lead, start, you};

struct Plain;
impl Habit for Plain {}

/// A world over a slow ledger, with providers of a habit.
pub async fn odd(script: Script, habit: Arc<dyn Habit>, change: impl FnOnce(&mut SlowLedger)) -> World {
    let sim = Arc::new(SimWorld::open(SimConfig { script, ..SimConfig::new(7, start()) }).unwrap());
    let ledger = Arc::new(MemoryLedger::new());
    let audit = Arc::new(MemoryAuditLog::new("test.log", KeyPair::from_seed([7; 32])).unwrap());
    let mut slow = SlowLedger::new(ledger.clone(), Box::new(|_| (0, 0)));
    change(&mut slow);
    let slow = Arc::new(slow);
    let broker = build(&sim, slow.clone(), &audit, &habit, 0).await.unwrap();
    broker.set_budget(&TeamId::parse("ml").unwrap(), "100000 USD".parse().unwrap()).await.unwrap();
    World { sim, ledger, audit, broker, runs: 0 }
}

fn rule(effect: Effect, skip: u32, times: Option<u32>) -> Rule {
    Rule { call: Call::Provision, at: Where::default(), effect, skip, times }
}

/// Plan, apply, wait, release; whatever fails, fails.
async fn live(world: &World) {
    if let Ok(applied) = world.apply(eight_h100()).await {
        world.advance_s(100);
        drop(world.broker.release(&you(), &applied.lease.id).await);
    }
}

#[tokio::test]
async fn a_commit_that_fails_or_whose_answer_is_lost_leaves_no_money_behind() {
    // The process goes on: nothing is read back from the ledger.
    for made in [false, true] {
        for nth in 2..=12 {
            let living = Arc::new(AtomicBool::new(true));
            let alive = living.clone();
            let fate = move |number: u64, _: &hpc_ledger::Transaction| {
                (number == nth && alive.load(Ordering::Relaxed)).then_some(made)
            };
            let world = odd(Script::named("lost-answer").unwrap(), Arc::new(Plain), |slow| {
                slow.fate = Box::new(fate);
            })
            .await;
            live(&world).await;
            living.store(false, Ordering::Relaxed);
            world.settle().await;
            println!("commit {nth} made {made}");
            check_money(&world.broker).await;
            world.check().await;
        }
    }
}

struct Meanwhile {
    world: OnceLock<(Arc<Broker>, Arc<SimWorld>)>,
    calls: AtomicU32,
    at: u32,
}

impl Habit for Meanwhile {
    fn before_provision<'a>(&'a self, _spec: &'a ProvisionSpec) -> Later<'a, ()> {
        Box::pin(async {
            if self.calls.fetch_add(1, Ordering::Relaxed) + 1 == self.at {
                let (broker, sim) = self.world.get().unwrap();
                sim.advance(std::time::Duration::from_secs(45)).unwrap();
                broker.reconcile().await.unwrap();
            }
        })
    }
}

#[tokio::test]
async fn what_was_set_aside_and_ended_during_the_apply_is_paid_for() {
    // The first offer is created, and no answer comes in four tries; every other offer has no stock. While the second is
    // tried, the daemon's loop finds and ends what the first created.
    let rules = vec![rule(Effect::LostAfter, 0, Some(4)), rule(Effect::StockOut, 0, None)];
    let habit = Arc::new(Meanwhile { world: OnceLock::new(), calls: AtomicU32::new(0), at: 5 });
    let world = odd(Script { rules, ..Script::default() }, habit.clone(), |_| ()).await;
    assert!(habit.world.set((world.broker.clone(), world.sim.clone())).is_ok());
    assert!(world.apply(eight_h100()).await.is_err());
    world.settle().await;
    assert!(!world.sim.bill().is_empty(), "something was created");
    world.check().await;
    check_money(&world.broker).await;
}

#[tokio::test]
async fn a_repeat_that_is_refused_says_nothing_of_the_first_try() {
    for refusal in [Effect::Throttled { retry_after_ms: 100 }, Effect::Auth, Effect::Internal] {
        let rules = vec![rule(Effect::LostAfter, 0, Some(1)), rule(refusal, 0, Some(1))];
        let world = World::new(Script { rules, ..Script::default() }).await;
        world.apply(eight_h100()).await.unwrap();
        world.advance_s(60);
        world.settle().await;
        world.check().await;
        let orphans = world.broker.orphans(None, 10).await.unwrap().items;
        assert!(orphans.is_empty(), "{refusal:?}: its intent was journaled: {orphans:#?}");
        check_money(&world.broker).await;
    }
}

#[derive(Default)]
struct Hasty {
    blind: AtomicBool,
    denies: AtomicBool,
}

impl Habit for Hasty {
    fn is_blind(&self) -> bool {
        self.blind.load(Ordering::Relaxed)
    }
    fn denies_release(&self) -> bool {
        self.denies.load(Ordering::Relaxed)
    }
}

#[tokio::test]
async fn a_release_that_finds_nothing_is_not_believed_for_ever() {
    // `InvalidInstanceID.NotFound` on a terminate does not mean gone.
    let habit = Arc::new(Hasty::default());
    let world = odd(Script::default(), habit.clone(), |_| ()).await;
    let applied = world.apply(eight_h100()).await.unwrap();
    habit.denies.store(true, Ordering::Relaxed);
    habit.blind.store(true, Ordering::Relaxed);
    drop(world.broker.release(&you(), &applied.lease.id).await);
    habit.denies.store(false, Ordering::Relaxed);
    habit.blind.store(false, Ordering::Relaxed);
    for _ in 0..10 {
        world.advance_s(600);
        world.broker.reconcile().await.unwrap();
    }
    let live = world.sim.live_instances();
    assert!(live.is_empty(), "runs and bills for ever: {live:#?}");
    world.check().await;
}

#[tokio::test]
async fn one_blind_observation_ends_no_instance_on_paper_only() {
    let habit = Arc::new(Hasty::default());
    let world = odd(Script::default(), habit.clone(), |_| ()).await;
    world.apply(eight_h100()).await.unwrap();
    world.advance_s(600);
    // Both the list and the observation miss it once.
    world.sim.add_rule(Rule { call: Call::ListOwned, ..rule(Effect::Internal, 0, Some(4)) }).unwrap();
    habit.blind.store(true, Ordering::Relaxed);
    world.broker.reconcile().await.unwrap();
    habit.blind.store(false, Ordering::Relaxed);
    for _ in 0..3 {
        world.advance_s(600);
        world.broker.reconcile().await.unwrap();
    }
    world.check().await;
    check_money(&world.broker).await;
}

#[tokio::test]
async fn an_orphan_is_on_the_books_whenever_the_process_dies() {
    for point in [CrashPoint::BeforeCommit, CrashPoint::AfterCommit] {
        for nth in 1..=6 {
            let mut world = World::new(Script::default()).await;
            let (plan, _) = world.broker.plan(&you(), eight_h100()).await.unwrap();
            let attempt = &plan.plan.attempts[0];
            let offer = attempt.offer.clone();
            let intent = IntentId::from_bits(9);
            let spec = ProvisionSpec {
                token: hpc_provider::Token::derive(&intent, 0, &offer.provider, &offer.region, &offer.zone),
                intent,
                lease: LeaseId::from_bits(9),
                price: attempt.price,
                instances: attempt.instances,
                tags: [(TAG_OWNER.to_owned(), "test".to_owned())].into(),
                price_ceiling: None,
                user_data_ref: None,
                deadline: world.sim.now(),
                offer,
            };
            let provider = world.sim.provider(spec.offer.provider.as_str()).unwrap();
            provider.provision(&spec).await.unwrap();
            world.advance_s(300);
            world.ledger.faults().crash_at(nth, point);
            drop(world.broker.reconcile().await);
            world.restart().await;
            world.settle().await;
            println!("crash at commit {nth}, {point:?}");
            world.check().await;
        }
    }
}

#[tokio::test]
async fn nobody_spends_the_budget_of_a_team_they_are_not_in() {
    let world = World::new(Script::default()).await;
    let rich = TeamId::parse("rich").unwrap();
    world.broker.set_budget(&rich, "100000 USD".parse().unwrap()).await.unwrap();
    world.broker.set_budget(&TeamId::parse("ml").unwrap(), "1 USD".parse().unwrap()).await.unwrap();
    assert!(world.apply(eight_h100()).await.is_err(), "the own budget is too small");
    for team in ["rich", "a-team-that-nobody-has-heard-of"] {
        let request = ResourceRequest::new("job")
            .add_gpu_nvidia_h100(8)
            .with_duration_s(7_200)
            .with_team(TeamId::parse(team).unwrap())
            .build()
            .unwrap();
        let outcome = world.apply(request).await;
        assert!(outcome.is_err(), "paid by `{team}`: {:?}", outcome.map(|applied| applied.lease.hold));
    }
}

#[tokio::test]
async fn a_second_apply_of_a_plan_that_got_nothing_is_no_success() {
    let rules = vec![rule(Effect::StockOut, 0, None)];
    let world = World::new(Script { rules, ..Script::default() }).await;
    let (plan, _) = world.broker.plan(&you(), eight_h100()).await.unwrap();
    let first = world.broker.apply(&you(), &plan.plan.id, &Silent).await.unwrap_err();
    assert_eq!(first.exit_code(), 5);
    let second = world.broker.apply(&you(), &plan.plan.id, &Silent).await;
    assert!(
        second.is_err(),
        "an agent that retries believes it has capacity: {:?}",
        second.unwrap().lease.state
    );
}

fn policies(text: &str) -> Arc<PolicySet> {
    let from = POLICY.find("require_approval: ").unwrap() + "require_approval: ".len();
    let to = from + POLICY[from..].find('}').unwrap();
    let rules = [("test.yaml", format!("{}\"{text}\"{}", &POLICY[..from], &POLICY[to..]))];
    Arc::new(PolicySet::parse_documents(rules).unwrap())
}

#[tokio::test]
async fn an_approval_is_for_whom_the_policy_names() {
    // `lead` may decide approvals, but this one is for somebody else.
    let world = World::new(Script::default()).await;
    world.broker.set_policies(policies("user:director"));
    let request =
        ResourceRequest::new("job").add_gpu_nvidia_h100(8).with_duration_s(48 * 3_600).build().unwrap();
    let (plan, _) = world.broker.plan(&you(), request).await.unwrap();
    let outcome = world.broker.approve(&lead(), &plan.plan.id, &plan.hash, true, "me too").await;
    assert!(outcome.is_err(), "anybody who may approve anything approves this");
}

#[tokio::test]
async fn an_obligation_that_cannot_be_read_denies() {
    let limits = [
        "max_lease_hours: \"1h\"",
        "max_lease_hours: -1",
        "max_lease_hours: \"1\"",
        "idle_release_minutes: 15m",
    ];
    for limit in limits {
        let world = World::new(Script::default()).await;
        let text = POLICY.replace("op: gt, value: 24", "op: gt, value: 0");
        let from = text.find("require_approval").unwrap();
        let to = from + text[from..].find('}').unwrap();
        let text = format!("{}{limit}{}", &text[..from], &text[to..]);
        // Refusing the policy when it is loaded is as good.
        let Ok(set) = PolicySet::parse_documents([("test.yaml", text)]) else { continue };
        world.broker.set_policies(Arc::new(set));
        let outcome = world.apply(eight_h100()).await;
        assert!(outcome.is_err(), "two hours were allowed under `{limit}`");
    }
}

#[tokio::test]
async fn a_stale_look_at_a_lease_does_not_fail_it() {
    // The daemon's loop reads a lease that has just been accepted, and is slow; the apply ends in the meantime.
    let armed = Arc::new(AtomicU64::new(0));
    let counter = armed.clone();
    let world = odd(Script::default(), Arc::new(Plain), |slow| {
        slow.pace = Box::new(move |op| match op {
            // The apply waits before its intent is durable, the loop after it has read the lease: once each.
            Op::Commit(change)
                if change.writes().any(|(key, _)| key.as_str().starts_with("open-intent/")) =>
            {
                (20, 0)
            }
            op if op.reads("lease/")
                && counter.compare_exchange(1, 2, Ordering::Relaxed, Ordering::Relaxed).is_ok() =>
            {
                (0, 200)
            }
            _ => (0, 0),
        });
    })
    .await;
    let broker = world.broker.clone();
    let (plan, _) = broker.plan(&you(), eight_h100()).await.unwrap();
    let sink = |event: Progress| {
        if matches!(event, Progress::Held { .. }) {
            armed.store(1, Ordering::Relaxed);
        }
    };
    let looks = async {
        while armed.load(Ordering::Relaxed) == 0 {
            step_back(1).await;
        }
        broker.reconcile().await.unwrap();
    };
    let apply = async { broker.apply(&you(), &plan.plan.id, &sink).await };
    let (applied, ()) = tokio::join!(apply, looks);
    assert_eq!(armed.load(Ordering::Relaxed), 2, "the loop read the lease");
    let lease = broker.lease_by_id(&applied.unwrap().lease.id).await.unwrap();
    assert_eq!(lease.state, LeaseState::Active, "{lease:#?}");
    world.settle().await;
    world.check().await;
    check_money(&world.broker).await;
}

#[tokio::test]
async fn two_leases_that_end_at_once_are_both_spent() {
    // The first to be settled is the last to hear of it.
    let settles = Arc::new(AtomicU64::new(0));
    let world = odd(Script::default(), Arc::new(Plain), |slow| {
        slow.pace = Box::new(move |op| {
            let Op::Commit(change) = op else { return (0, 0) };
            let settles_budget = change.writes().any(|(key, _)| key.as_str() == "budget/ml");
            // The first is the setting of the budget itself.
            let slowed = settles_budget && settles.fetch_add(1, Ordering::Relaxed) == 1;
            if slowed { (0, 300) } else { (0, 0) }
        });
    })
    .await;
    let a = world.apply(eight_h100()).await.unwrap().lease.id;
    let b = world.apply(eight_h100()).await.unwrap().lease.id;
    world.advance_s(600);
    let (broker, caller) = (&world.broker, you());
    let (first, second) = tokio::join!(broker.release(&caller, &a), broker.release(&caller, &b));
    assert!(first.is_ok() && second.is_ok());
    world.settle().await;
    check_money(broker).await;
}

/// Polls `future` at most `polls` times, then drops it. Whether it ended.
pub async fn cancelled<F: Future>(future: F, polls: u32) -> bool {
    let mut future = Box::pin(future);
    let mut left = polls;
    std::future::poll_fn(move |context| {
        if left == 0 {
            return std::task::Poll::Ready(false);
        }
        left -= 1;
        match future.as_mut().poll(context) {
            std::task::Poll::Ready(_) => std::task::Poll::Ready(true),
            std::task::Poll::Pending => {
                context.waker().wake_by_ref();
                std::task::Poll::Pending
            }
        }
    })
    .await
}

struct Slow;
impl Habit for Slow {
    fn before_provision<'a>(&'a self, _spec: &'a ProvisionSpec) -> Later<'a, ()> {
        Box::pin(step_back(1))
    }
    fn after_any(&self) -> Later<'_, ()> {
        Box::pin(step_back(1))
    }
}

#[tokio::test]
async fn a_caller_may_walk_away_at_any_moment() {
    for polls in 0..200 {
        let world = odd(Script::named("lost-answer").unwrap(), Arc::new(Slow), |slow| {
            slow.pace = Box::new(|_| (1, 1));
        })
        .await;
        let story = async {
            let applied = world.apply(eight_h100()).await.unwrap();
            world.advance_s(100);
            world.broker.release(&you(), &applied.lease.id).await.unwrap();
        };
        let ended = cancelled(story, polls).await;
        world.settle().await;
        println!("{polls} polls");
        world.check().await;
        check_money(&world.broker).await;
        if ended {
            return;
        }
    }
    panic!("the story never ended");
}

#[tokio::test]
async fn a_budget_in_another_currency_waits_for_what_is_held() {
    let world = World::new(Script::default()).await;
    let team = TeamId::parse("new").unwrap();
    let request = ResourceRequest::new("job")
        .add_gpu_nvidia_h100(8)
        .with_duration_s(7_200)
        .with_team(team.clone())
        .build()
        .unwrap();
    let principal = Principal::user("you").with_role("gpu-user").with_team("new");
    let caller = Caller { name: "user:you".to_owned(), principal, team: team.clone() };
    let unknown = world.broker.plan(&caller, request.clone()).await.unwrap_err();
    assert_eq!(unknown.code_text(), Some("HPC-BUD-0003"), "no budget, no lease");
    world.broker.set_budget(&team, "100000 USD".parse().unwrap()).await.unwrap();
    let (plan, _) = world.broker.plan(&caller, request).await.unwrap();
    let applied = world.broker.apply(&caller, &plan.plan.id, &Silent).await.unwrap();
    let set = world.broker.set_budget(&team, "100000 EUR".parse().unwrap()).await;
    assert_eq!(set.unwrap_err().code_text(), Some("HPC-BUD-0004"));
    world.advance_s(600);
    world.broker.release(&caller, &applied.lease.id).await.unwrap();
    world.check().await;
}

#[tokio::test]
async fn quota_that_a_cancelled_apply_reserved_comes_back() {
    let rules = vec![rule(Effect::HangBefore, 0, Some(1))];
    let world = World::new(Script { rules, ..Script::default() }).await;
    let spot = || {
        ResourceRequest::new("job")
            .add_gpu_nvidia_h100(8)
            .with_duration_s(7_200)
            .with_kinds([OfferKind::Spot])
            .build()
            .unwrap()
    };
    let (plan, _) = world.broker.plan(&you(), spot()).await.unwrap();
    let first = plan.plan.attempts[0].offer.clone();
    let quota = first.quota.clone().unwrap();
    world
        .sim
        .set_quota(hpc_provider_sim::QuotaRule {
            provider: first.provider.clone(),
            region: Some(first.region.clone()),
            family: Some(quota.family.clone()),
            limit: quota.units_per_instance,
        })
        .unwrap();
    assert!(!cancelled(world.broker.apply(&you(), &plan.plan.id, &Silent), 3).await, "the provider hangs");
    for _ in 0..5 {
        world.advance_s(120);
        world.broker.reconcile().await.unwrap();
    }
    world.check().await;
    let (again, _) = world.broker.plan(&you(), spot()).await.unwrap();
    let found = again.plan.attempts.iter().any(|attempt| attempt.offer.region == first.region);
    assert!(found, "nothing runs there, and yet: {:#?}", again.plan.excluded);
}
