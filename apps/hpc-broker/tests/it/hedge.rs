//! Tries beside others: the first complete success is kept, whatever the other one creates is ended and paid for, and a
//! crash at any step leaves one of the two at most.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};

use hpc_audit::{AuditLog, Search};
use hpc_broker::{Applied, HedgeEnd, IntentState, LeaseState, LimitsEdit, PlanState, Progress, Silent};
use hpc_error::HpcError;
use hpc_memory::ledger::CrashPoint;
use hpc_policy::PolicySet;
use hpc_provider::ProvisionSpec;
use hpc_provider_sim::{Call, Effect, Notice, ReclaimRule, Rule, Script, SimWorld, Where};
use hpc_resources::{BudgetWindow, Limits, Money, ResourceRequest};

use crate::lost::{cancelled, odd};
use crate::storm::{Habit, Later, check_money, step_back};
use crate::world::{POLICY, World, passes, you};

/// After how many seconds the next offer is tried beside the first.
const HEDGE_S: u64 = 20;

fn hedged() -> ResourceRequest {
    wanted().with_hedge_s(HEDGE_S).build().unwrap()
}

fn wanted() -> hpc_resources::ResourceRequestBuilder {
    ResourceRequest::new("job").add_gpu_nvidia_h100(8).with_duration_s(7_200)
}

/// One rule for each create, in order; what follows goes well.
fn creates(effects: &[Option<Effect>]) -> Script {
    let rule = |(nth, effect): (u32, &Option<Effect>)| {
        // A rule counts the calls that reach it: those before it are taken by the rules before it, or pass.
        let skip =
            effects.iter().take(usize::try_from(nth).unwrap()).filter(|before| before.is_none()).count();
        effect.map(|effect| Rule {
            call: Call::Provision,
            at: Where::default(),
            effect,
            skip: u32::try_from(skip).unwrap(),
            times: Some(1),
        })
    };
    let rules = (0_u32..).zip(effects).filter_map(rule).collect();
    Script { rules, ..Script::default() }
}

/// Time goes on while something is done, a second at a time; `None` when it takes longer than ten minutes.
async fn in_time<T>(sim: &SimWorld, what: impl Future<Output = T>) -> Option<T> {
    let ticks = async {
        for _ in 0..600 {
            step_back(30).await;
            sim.advance(std::time::Duration::from_secs(1)).unwrap();
        }
    };
    tokio::select! {
        biased;
        answer = what => Some(answer),
        () = ticks => None,
    }
}

async fn apply(world: &World, request: ResourceRequest) -> Result<Applied, HpcError> {
    in_time(&world.sim, world.apply(request)).await.expect("an apply that ends")
}

/// Of each lease at most one try is kept, and of a lease that runs exactly one.
async fn check(world: &World) {
    world.check().await;
    check_money(&world.broker).await;
    let intents = world.broker.intents(None, 1_000).await.unwrap().items;
    for lease in world.broker.leases(None, 1_000).await.unwrap().items {
        let kept = intents
            .iter()
            .filter(|intent| intent.spec.lease == lease.id && intent.state == IntentState::Acknowledged);
        assert_eq!(kept.count(), usize::from(lease.state.is_running()), "{lease:#?}");
    }
}

async fn told(world: &World, subject: &str) -> Vec<String> {
    let search = Search { subject: Some(subject.to_owned()), ..Search::default() };
    let hits = world.audit.search(&search).await.unwrap().hits;
    hits.into_iter().map(|hit| hit.entry.action).collect()
}

#[tokio::test]
async fn an_offer_that_answers_in_time_is_tried_alone() {
    let world = World::new(Script::default()).await;
    let lease = apply(&world, hedged()).await.unwrap().lease;
    assert!(lease.hedges.is_empty() && lease.intents.len() == 1, "{lease:#?}");
    // A stock-out is an answer: the next offer is tried at once, and alone.
    let world = World::new(creates(&[Some(Effect::StockOut)])).await;
    let lease = apply(&world, hedged()).await.unwrap().lease;
    assert!(lease.hedges.is_empty() && lease.intents.len() == 2, "{lease:#?}");
    check(&world).await;
}

#[tokio::test]
async fn nothing_is_tried_beside_anything_unless_the_request_says_so() {
    let world = World::new(creates(&[Some(Effect::HangBefore)])).await;
    let outcome = in_time(&world.sim, world.apply(wanted().build().unwrap())).await;
    assert!(outcome.is_none(), "it waits for the first offer: {outcome:?}");
    assert_eq!(world.broker.intents(None, 10).await.unwrap().items.len(), 1);
}

#[tokio::test]
async fn an_offer_that_does_not_answer_is_overtaken_and_what_it_created_is_ended_and_paid_for() {
    for (effect, created) in [(Effect::HangBefore, false), (Effect::HangAfter, true)] {
        let mut world = World::new(creates(&[Some(effect)])).await;
        let heard = Mutex::new(Vec::new());
        let sink = |step: Progress| heard.lock().unwrap().push(step);
        let (plan, _) = world.broker.plan(&you(), hedged()).await.unwrap();
        let begun = world.sim.now();
        let caller = you();
        let apply = world.broker.apply(&caller, &plan.plan.id, &sink);
        let applied = in_time(&world.sim, apply).await.unwrap().unwrap();
        let lease = applied.lease;
        let [hedge] = lease.hedges.as_slice() else { panic!("{lease:#?}") };
        assert_eq!([&hedge.first.intent, &hedge.second.intent], [&lease.intents[0], &lease.intents[1]]);
        assert_eq!(hedge.end, Some(HedgeEnd::Won { intent: hedge.second.intent.clone() }));
        assert_eq!((hedge.after_s, hedge.at.duration_since(begun).as_secs()), (HEDGE_S, 20));
        assert_eq!(applied.receipts.len(), 6, "accepted, two recorded, overtaken, acknowledged, active");
        let second = &plan.plan.attempts[1].offer;
        assert_eq!(lease.offer.as_ref().map(hpc_resources::Offer::key), Some(second.key()));
        let steps: Vec<String> = heard
            .into_inner()
            .unwrap()
            .iter()
            .map(|step| serde_json::to_value(step).unwrap()["event"].as_str().unwrap().to_owned())
            .collect();
        assert_eq!(steps, ["held", "trying", "hedging", "created", "overtaken"]);
        // The same after a restart; then the loser is found by its tag, ended and paid for.
        let before = world.broker.budgets();
        world.restart().await;
        assert_eq!(world.broker.budgets(), before);
        assert_eq!(world.sim.live_instances().len(), 1 + usize::from(created));
        world.settle().await;
        assert_eq!(world.sim.live_instances().len(), 1);
        check(&world).await;
        let loser = world.broker.intent_by_id(&hedge.first.intent).await.unwrap().unwrap();
        let state = if created { IntentState::Released } else { IntentState::Failed };
        assert!(loser.set_aside && loser.state == state, "{loser:#?}");
        let said = told(&world, hedge.first.intent.as_str()).await;
        let ends: &[&str] =
            if created { &["intent.releasing", "intent.released"] } else { &["intent.settled"] };
        assert_eq!(said, [&["intent.recorded", "intent.overtaken"], ends].concat());
        assert_eq!(
            told(&world, hedge.second.intent.as_str()).await,
            ["intent.recorded", "intent.acknowledged"]
        );
        // The lease costs what both did, and no more than was held.
        world.advance_s(600);
        world.broker.release(&you(), &lease.id).await.unwrap();
        world.settle().await;
        let ended = world.broker.lease_by_id(&lease.id).await.unwrap();
        let bill = world.sim.bill().into_iter().map(|line| line.amount.nanos()).sum::<i64>();
        assert_eq!((ended.state, ended.cost.unwrap().nanos()), (LeaseState::Released, bill));
        check(&world).await;
    }
}

/// Creates that are answered after so many seconds each, in order; `None` at once.
struct Late {
    sim: Mutex<Option<Arc<SimWorld>>>,
    after_s: Vec<u64>,
    calls: AtomicU32,
}

impl Late {
    fn new(after_s: &[u64]) -> Arc<Self> {
        Arc::new(Self { sim: Mutex::default(), after_s: after_s.to_vec(), calls: AtomicU32::new(0) })
    }
}

impl Habit for Late {
    fn before_provision<'a>(&'a self, _spec: &'a ProvisionSpec) -> Later<'a, ()> {
        Box::pin(async {
            let call = usize::try_from(self.calls.fetch_add(1, Ordering::Relaxed)).unwrap();
            let sim = self.sim.lock().unwrap().clone().unwrap();
            passes(&sim, self.after_s.get(call).copied().unwrap_or(0)).await;
        })
    }
}

async fn late(script: Script, after_s: &[u64]) -> World {
    let habit = Late::new(after_s);
    let world = odd(script, habit.clone(), |_| ()).await;
    *habit.sim.lock().unwrap() = Some(world.sim.clone());
    world
}

#[tokio::test]
async fn the_first_offer_is_kept_if_it_answers_before_the_second() {
    let world = late(Script::default(), &[25, 60]).await;
    let lease = apply(&world, hedged()).await.unwrap().lease;
    let won = HedgeEnd::Won { intent: lease.intents[0].clone() };
    assert_eq!(lease.hedges.iter().map(|hedge| hedge.end.clone()).collect::<Vec<_>>(), [Some(won)]);
    world.settle().await;
    check(&world).await;
}

#[tokio::test]
async fn two_at_once_are_the_most_and_one_that_fails_makes_room_for_another() {
    // The first never answers. The second has no stock: it makes room, and after another wait the third is tried.
    let world = World::new(creates(&[Some(Effect::HangAfter), Some(Effect::StockOut)])).await;
    let begun = world.sim.now();
    let lease = apply(&world, hedged()).await.unwrap().lease;
    let ends: Vec<_> = lease.hedges.iter().map(|hedge| hedge.end.clone().unwrap()).collect();
    let (second, third) = (lease.intents[1].clone(), lease.intents[2].clone());
    assert_eq!(ends, [HedgeEnd::Failed { intent: second }, HedgeEnd::Won { intent: third }]);
    assert!(lease.hedges.iter().all(|hedge| hedge.first.intent == lease.intents[0]));
    let waits: Vec<i64> = lease.hedges.iter().map(|hedge| hedge.at.duration_since(begun).as_secs()).collect();
    assert_eq!(waits, [20, 40]);
    assert_eq!(lease.hedges[0].held, Money::ZERO_USD, "it created nothing");
    world.settle().await;
    check(&world).await;
    // Two that never answer keep a third one away.
    let world = World::new(creates(&[Some(Effect::HangBefore), Some(Effect::HangAfter)])).await;
    assert!(in_time(&world.sim, world.apply(hedged())).await.is_none());
    assert_eq!(world.broker.intents(None, 10).await.unwrap().items.len(), 2);
    // Whoever asked has gone: the one that created is adopted, the other one ends.
    world.settle().await;
    check(&world).await;
    let lease = world.broker.leases(None, 10).await.unwrap().items.remove(0);
    assert_eq!(lease.hedges[0].end, Some(HedgeEnd::Won { intent: lease.intents[1].clone() }));
}

#[tokio::test]
async fn an_outcome_that_nobody_knows_is_set_aside_and_the_other_try_goes_on() {
    // The second creates, and its answer is lost as often as it is asked for.
    let world =
        World::new(creates(&[&[Some(Effect::HangAfter)][..], &[Some(Effect::LostAfter); 4]].concat())).await;
    let lease = apply(&world, hedged()).await.unwrap().lease;
    let ends: Vec<_> = lease.hedges.iter().map(|hedge| hedge.end.clone().unwrap()).collect();
    let (second, third) = (lease.intents[1].clone(), lease.intents[2].clone());
    assert_eq!(ends, [HedgeEnd::Failed { intent: second }, HedgeEnd::Won { intent: third }]);
    assert!(lease.hedges.iter().all(|hedge| hedge.held.nanos() > 0), "both may have created something");
    assert_eq!(world.sim.live_instances().len(), 3);
    world.settle().await;
    check(&world).await;
}

#[tokio::test]
async fn a_notice_about_a_try_that_was_overtaken_drains_nothing() {
    let cheapest = {
        let (plan, _) = World::new(Script::default()).await.broker.plan(&you(), hedged()).await.unwrap();
        plan.plan.attempts[0].offer.clone()
    };
    // What the first offer created cannot be ended for a while, and is then taken back.
    let at = Where { zone: Some(cheapest.zone.clone()), kind: Some(cheapest.kind), ..Where::default() };
    let of_it = Where { provider: Some(cheapest.provider.clone()), ..Where::default() };
    let stays = Rule { call: Call::Release, at: of_it, effect: Effect::Internal, skip: 0, times: Some(20) };
    let reclaim = ReclaimRule { at, after_s: 300, notice: Notice::Before, times: None };
    let mut script = creates(&[Some(Effect::HangAfter)]);
    script.rules.push(stays);
    script.reclaims.push(reclaim);
    let world = World::new(script).await;
    let lease = apply(&world, hedged()).await.unwrap().lease;
    assert_eq!(lease.hedges.len(), 1);
    // Found by its tag before there is a notice.
    world.advance_s(60);
    world.broker.reconcile().await.unwrap();
    world.advance_s(130);
    let mut told = 0;
    for _ in 0..3 {
        told += world.broker.reconcile().await.unwrap().interruptions;
    }
    let loser = world.broker.intent_by_id(&lease.hedges[0].first.intent).await.unwrap().unwrap();
    assert!(loser.set_aside && loser.instances.iter().any(|instance| instance.to.is_none()), "{loser:#?}");
    assert!(told > 0, "a notice that was not told shows nothing");
    let now = world.broker.lease_by_id(&lease.id).await.unwrap();
    assert_eq!((now.state, now.drain), (LeaseState::Active, None));
    world.advance_s(200);
    world.settle().await;
    check(&world).await;
}

#[tokio::test]
async fn what_two_may_cost_at_once_is_held_first_or_one_goes_on_alone() {
    for fits in [false, true] {
        // The first answers after a minute: there is time to look while both are tried.
        let world = late(Script::default(), &[60, 600]).await;
        let (plan, _) = world.broker.plan(&you(), hedged()).await.unwrap();
        let attempts = &plan.plan.attempts;
        let most = |attempts: &[hpc_resources::Attempt]| {
            let most = attempts.iter().map(|attempt| attempt.hourly.nanos()).max().unwrap();
            // The tolerance of a price, rounded up.
            (most * 102 + 99) / 100
        };
        let needed = most(attempts) + most(&attempts[..2]);
        let limit = Money::from_nanos(needed - i64::from(!fits), attempts[0].hourly.currency());
        let set = Limits { hourly: Some(limit), ..Limits::default() };
        let edit = LimitsEdit { set, remove: Vec::new() };
        world.broker.set_limits(&"user:you".parse().unwrap(), &edit).await.unwrap();
        let look = async {
            passes(&world.sim, 40).await;
            world.broker.budgets_of(&"user:you".parse().unwrap()).remove(0)
        };
        let caller = you();
        let both = async { tokio::join!(world.broker.apply(&caller, &plan.plan.id, &Silent), look) };
        let (applied, during) = in_time(&world.sim, both).await.unwrap();
        let lease = applied.unwrap().lease;
        assert_eq!((lease.hedges.len(), lease.intents.len()), if fits { (1, 2) } else { (0, 1) });
        assert_eq!(during.window, BudgetWindow::Hourly);
        assert_eq!(during.held.nanos(), if fits { needed } else { most(attempts) });
        if !fits {
            assert!(lease.failures.iter().any(|why| why.contains("not tried beside another")), "{lease:#?}");
        }
        world.settle().await;
        check(&world).await;
    }
}

#[tokio::test]
async fn a_limit_of_the_request_bounds_both_tries_together() {
    let world = World::new(Script::default()).await;
    let attempts = world.broker.plan(&you(), hedged()).await.unwrap().0.plan.attempts;
    let two = attempts[0].hourly.checked_add(attempts[1].hourly).unwrap();
    let least = Money::from_nanos(two.nanos() - 1, two.currency());
    let dearest = attempts.iter().take(2).map(|attempt| attempt.total.nanos()).max().unwrap();
    let total = Money::from_nanos(dearest + 1, two.currency());
    for (request, fits) in [
        (wanted().with_max_hourly(two), true),
        (wanted().with_max_hourly(least), false),
        (wanted().with_max_total(total), false),
    ] {
        let world = late(Script::default(), &[60]).await;
        let lease = apply(&world, request.with_hedge_s(HEDGE_S).build().unwrap()).await.unwrap().lease;
        assert_eq!(lease.hedges.len(), usize::from(fits), "{lease:#?}");
        world.settle().await;
        check(&world).await;
    }
}

#[tokio::test]
async fn policy_may_deny_two_at_once() {
    let world = World::new(Script::default()).await;
    let rule = "    - name: one-at-a-time\n      effect: deny\n      principals: [{type: any}]\n      \
        resources: [{type: gpu, pattern: \"**\"}]\n      actions: [capacity.request]\n      \
        conditions: [{attribute: context.hedge_s, op: gt, value: 0}]\n      message: one offer at a time\n";
    let set = PolicySet::parse_documents([("test.yaml", format!("{POLICY}{rule}"))]).unwrap();
    world.broker.set_policies(Arc::new(set));
    let refused = world.broker.plan(&you(), hedged()).await.unwrap().0;
    assert_eq!((refused.state, refused.decision.reasons.len()), (PlanState::Denied, 1));
    let alone = world.broker.plan(&you(), wanted().build().unwrap()).await.unwrap().0;
    assert_eq!(alone.state, PlanState::Open);
    // What policy sees of the price is that of two.
    let cap = |limit: i64| {
        let rule = rule
            .replace("context.hedge_s", "context.max_hourly_microusd")
            .replace("value: 0", &format!("value: {limit}"));
        Arc::new(PolicySet::parse_documents([("test.yaml", format!("{POLICY}{rule}"))]).unwrap())
    };
    let mut hourly: Vec<i64> =
        alone.plan.attempts.iter().map(|attempt| attempt.hourly.micros_rounded_up()).collect();
    hourly.sort_unstable();
    let (one, two) = (hourly[hourly.len() - 1], hourly[hourly.len() - 2..].iter().sum::<i64>());
    for (limit, hedge, state) in [
        (two, true, PlanState::Open),
        (two - 1, true, PlanState::Denied),
        (one, false, PlanState::Open),
        (one - 1, false, PlanState::Denied),
    ] {
        world.broker.set_policies(cap(limit));
        let request = if hedge { hedged() } else { wanted().build().unwrap() };
        assert_eq!(world.broker.plan(&you(), request).await.unwrap().0.state, state, "{limit} {hedge}");
    }
}

/// Stories in which two are tried at once.
fn stories() -> BTreeMap<&'static str, (Script, Vec<u64>)> {
    use Effect::{HangAfter, HangBefore, LostAfter, StockOut};
    BTreeMap::from([
        ("the first never arrives", (creates(&[Some(HangBefore)]), vec![])),
        ("the first creates and never answers", (creates(&[Some(HangAfter)]), vec![])),
        ("the first is kept", (creates(&[]), vec![25, 60])),
        ("both create at once", (creates(&[]), vec![30, 10])),
        ("the second has no stock", (creates(&[Some(HangAfter), Some(StockOut)]), vec![])),
        ("the first has no stock at last", (creates(&[None, Some(StockOut)]), vec![50, 0, 90])),
        ("the second loses its answers", (creates(&[Some(HangAfter), Some(LostAfter)]), vec![])),
        (
            "the second is lost for good",
            (
                creates(&[
                    Some(HangAfter),
                    Some(LostAfter),
                    Some(LostAfter),
                    Some(LostAfter),
                    Some(LostAfter),
                ]),
                vec![],
            ),
        ),
    ])
}

/// One life: plan, apply, wait, release. Whatever fails, fails.
async fn live(world: &World) {
    if let Some(Ok(applied)) = in_time(&world.sim, world.apply(hedged())).await {
        world.advance_s(100);
        drop(world.broker.release(&you(), &applied.lease.id).await);
    }
}

#[tokio::test]
async fn a_crash_at_every_commit_of_every_story_leaves_one_of_two() {
    let mut crashes = 0;
    for (story, (script, after_s)) in stories() {
        let world = late(script.clone(), &after_s).await;
        let before = world.ledger.faults().commits();
        live(&world).await;
        let commits = world.ledger.faults().commits() - before;
        let lease = world.broker.leases(None, 10).await.unwrap().items.remove(0);
        assert!(!lease.hedges.is_empty(), "{story}: nothing was tried beside anything: {lease:#?}");
        world.settle().await;
        check(&world).await;
        for nth in 1..=commits {
            for point in [CrashPoint::BeforeCommit, CrashPoint::AfterCommit] {
                println!("{story}: commit {nth} of {commits}, {point:?}");
                let mut world = late(script.clone(), &after_s).await;
                world.ledger.faults().crash_at(nth, point);
                live(&world).await;
                assert!(world.ledger.faults().crashed(), "did not crash");
                crashes += 1;
                world.restart().await;
                world.settle().await;
                check(&world).await;
                // Life goes on: the same team can lease again.
                live(&world).await;
                world.settle().await;
                check(&world).await;
            }
        }
    }
    println!("{crashes} crashes");
    assert!(crashes > 100, "{crashes}");
}

#[tokio::test]
async fn a_caller_may_walk_away_at_any_moment_of_a_hedged_apply() {
    for (story, (script, after_s)) in stories() {
        for polls in (0..).step_by(3) {
            let world = late(script.clone(), &after_s).await;
            let ended = cancelled(live(&world), polls).await;
            world.settle().await;
            println!("{story}: {polls} polls");
            check(&world).await;
            if ended {
                break;
            }
        }
    }
}
