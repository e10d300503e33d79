//! Budgets of teams, people and agents: all hold together, over months, crashes and lost answers.

use hpc_audit::{AuditLog, Search};
use hpc_broker::{LimitsEdit, PlanState, Silent};
use hpc_ledger::{Key, Ledger, Transaction};
use hpc_memory::ledger::CrashPoint;
use hpc_provider_sim::{Call, Effect, Rule, Script, SimConfig, Where};
use hpc_resources::{
    BudgetStanding, BudgetWindow, Exclusion, Limits, Money, Month, OfferKind, Payer, ResourceRequest,
};

use crate::storm::check_money;
use crate::world::{World, bot, eight_h100, lead, open, you};

fn usd(text: &str) -> Money {
    text.parse().unwrap()
}

fn payer(text: &str) -> Payer {
    text.parse().unwrap()
}

fn edit(total: Option<&str>, hourly: Option<&str>, monthly: Option<&str>) -> LimitsEdit {
    let set = Limits { total: total.map(usd), hourly: hourly.map(usd), monthly: monthly.map(usd) };
    LimitsEdit { set, remove: Vec::new() }
}

async fn limit(world: &World, who: &str, edit: LimitsEdit) {
    world.broker.set_limits(&payer(who), &edit).await.unwrap();
}

fn standing(world: &World, who: &str, window: BudgetWindow) -> BudgetStanding {
    let found = world.broker.budgets_of(&payer(who)).into_iter().find(|budget| budget.window == window);
    found.unwrap_or_else(|| panic!("{who} has no {} limit", window.as_str()))
}

async fn entries(world: &World, subject: &str) -> Vec<String> {
    let search = Search { subject: Some(subject.to_owned()), ..Search::default() };
    let hits = world.audit.search(&search).await.unwrap().hits;
    hits.into_iter().map(|hit| hit.entry.action).collect()
}

#[tokio::test]
async fn every_budget_in_the_way_is_named_and_nothing_is_held_of_any() {
    let world = World::new(Script::default()).await;
    let (plan, _) = world.broker.plan(&bot(), eight_h100()).await.unwrap();
    let team_hourly: Vec<_> = plan.budgets.iter().map(|budget| budget.payer.to_string()).collect();
    assert_eq!(team_hourly, ["team:ml"], "the only limit there is: {:?}", plan.budgets);
    limit(&world, "user:you", edit(None, Some("1 USD"), None)).await;
    limit(&world, "agent:bot", edit(Some("2 USD"), None, Some("3 USD"))).await;
    let before = world.broker.budgets();
    let error = world.broker.apply(&bot(), &plan.plan.id, &Silent).await.unwrap_err();
    assert_eq!((error.code_text(), error.exit_code()), (Some("HPC-BUD-0001"), 3));
    for part in [
        "user:you has 1.00 USD/h of 1.00 USD/h left",
        "agent:bot has 2.00 USD of 2.00 USD left",
        "3.00 USD left for 2026-11",
    ] {
        assert!(error.message().contains(part), "{part}: {error}");
    }
    assert!(error.message().contains("it resets at 2026-12-01T00:00:00Z"), "{error}");
    assert!(!error.message().contains("team:ml"), "{error}");
    assert_eq!(world.broker.budgets(), before);
    assert_eq!(world.broker.budget_refusals().values().sum::<u64>(), 3);
    assert!(entries(&world, plan.plan.id.as_str()).await.contains(&"policy.denied".to_owned()));
    // A plan made now says so at once.
    let (plan, _) = world.broker.plan(&bot(), eight_h100()).await.unwrap();
    assert_eq!(plan.state, PlanState::NoOffer);
    let excluded = plan.plan.excluded.iter().find_map(|excluded| match &excluded.why {
        Exclusion::Budgets { budgets, .. } => Some(budgets.len()),
        _ => None,
    });
    assert_eq!((excluded, plan.budgets.len()), (Some(3), 4));
    // The person is not bound by the agent's limits.
    let (plan, _) = world.broker.plan(&lead(), eight_h100()).await.unwrap();
    world.broker.apply(&lead(), &plan.plan.id, &Silent).await.unwrap();
    check_money(&world.broker).await;
}

#[tokio::test]
async fn what_runs_counts_per_hour_until_it_has_ended() {
    let world = World::new(Script::named("none").unwrap()).await;
    let (plan, _) = world.broker.plan(&you(), eight_h100()).await.unwrap();
    let dearest =
        plan.plan.attempts.iter().map(|attempt| attempt.hourly).max_by_key(|hourly| hourly.nanos()).unwrap();
    let room = dearest.nanos() / 100 * 110;
    let set = Limits { hourly: Some(Money::from_nanos(room, dearest.currency())), ..Limits::default() };
    limit(&world, "user:you", LimitsEdit { set, remove: Vec::new() }).await;
    let first = world.apply(eight_h100()).await.unwrap();
    let price = first.lease.hourly.unwrap();
    assert_eq!(standing(&world, "user:you", BudgetWindow::Hourly).held, price, "what it does cost");
    let second = world.broker.apply(&you(), &plan.plan.id, &Silent).await;
    assert_eq!(second.unwrap_err().code_text(), Some("HPC-BUD-0001"));
    world.advance_s(60);
    world.broker.release(&you(), &first.lease.id).await.unwrap();
    world.settle().await;
    assert_eq!(standing(&world, "user:you", BudgetWindow::Hourly).held, usd("0"));
    world.apply(eight_h100()).await.unwrap();
    world.check().await;
}

#[tokio::test]
async fn a_try_that_was_set_aside_counts_beside_the_next() {
    // The first try creates and never answers; there is room for one at a time only.
    for (percent, goes_on) in [(105, false), (200, true)] {
        let rules = vec![Rule {
            call: Call::Provision,
            at: Where::default(),
            effect: Effect::LostAfter,
            skip: 0,
            times: Some(4),
        }];
        let mut world = World::new(Script { rules, ..Script::default() }).await;
        let (plan, _) = world.broker.plan(&you(), eight_h100()).await.unwrap();
        let hourly = plan.plan.attempts.iter().map(|attempt| attempt.hourly.nanos()).max().unwrap();
        let currency = plan.plan.attempts[0].hourly.currency();
        let set =
            Limits { hourly: Some(Money::from_nanos(hourly / 100 * percent, currency)), ..Limits::default() };
        limit(&world, "user:you", LimitsEdit { set, remove: Vec::new() }).await;
        let applied = world.broker.apply(&you(), &plan.plan.id, &Silent).await;
        assert_eq!(applied.is_ok(), goes_on, "{applied:?}");
        let running: i64 = world.sim.live_instances().len().try_into().unwrap();
        assert_eq!(running, if goes_on { 2 } else { 1 });
        let counted = standing(&world, "user:you", BudgetWindow::Hourly);
        assert!(counted.held.nanos() > 0 && !counted.left.is_negative(), "{counted:?}");
        if let Err(error) = applied {
            assert_eq!(error.code_text(), Some("HPC-BUD-0001"), "{error}");
        }
        world.restart().await;
        assert_eq!(standing(&world, "user:you", BudgetWindow::Hourly), counted, "the same after a restart");
        world.settle().await;
        world.check().await;
        check_money(&world.broker).await;
    }
}

#[tokio::test]
async fn a_lease_over_the_end_of_a_month_costs_in_each_what_its_seconds_cost() {
    let begin = "2026-11-30T23:30:00Z".parse().unwrap();
    let script = Script::named("none").unwrap();
    let world = open(SimConfig { script, ..SimConfig::new(7, begin) }).await;
    limit(&world, "user:you", edit(None, None, Some("100000 USD"))).await;
    let applied = world.apply(eight_h100()).await.unwrap();
    let (november, december): (Month, Month) = ("2026-11".parse().unwrap(), "2026-12".parse().unwrap());
    let held = standing(&world, "user:you", BudgetWindow::Monthly);
    assert_eq!((held.month, held.resets_at), (Some(november), Some(november.end())));
    assert!(held.held.nanos() > 0 && held.held.nanos() < applied.lease.hold.nanos(), "{held:?}");
    world.advance_s(5_400);
    let later = standing(&world, "user:you", BudgetWindow::Monthly);
    assert_eq!((later.month, later.spent), (Some(december), usd("0")));
    world.broker.release(&you(), &applied.lease.id).await.unwrap();
    world.settle().await;
    let lease = world.broker.lease_by_id(&applied.lease.id).await.unwrap();
    let cost = world.broker.cost_of(&lease).await.unwrap();
    let instance = &cost.instances[0];
    let seconds = |from: jiff::Timestamp, to: jiff::Timestamp| {
        u64::try_from(to.as_second() - from.as_second()).unwrap()
    };
    let before = instance.price.cost_half_even(1, seconds(instance.from, november.end())).unwrap();
    let whole = instance.price.cost_half_even(1, seconds(instance.from, instance.to.unwrap())).unwrap();
    let in_december = standing(&world, "user:you", BudgetWindow::Monthly).spent;
    assert_eq!(in_december, whole.checked_sub(before).unwrap());
    assert_eq!(lease.cost, Some(whole));
    assert_eq!(standing(&world, "team:ml", BudgetWindow::Total).spent, whole);
    assert!(!before.exceeds(held.held), "November was held for what it cost");
    world.check().await;
}

#[tokio::test]
async fn what_was_spent_before_a_limit_counts_under_it() {
    let world = World::new(Script::named("none").unwrap()).await;
    let applied = world.apply(eight_h100()).await.unwrap();
    world.advance_s(600);
    world.broker.release(&you(), &applied.lease.id).await.unwrap();
    world.settle().await;
    let cost = world.broker.lease_by_id(&applied.lease.id).await.unwrap().cost.unwrap();
    limit(&world, "user:you", edit(Some("1000 USD"), None, Some("500 USD"))).await;
    assert_eq!(standing(&world, "user:you", BudgetWindow::Total).spent, cost);
    assert_eq!(standing(&world, "user:you", BudgetWindow::Monthly).spent, cost);
    world.advance_s(30 * 86_400);
    assert_eq!(standing(&world, "user:you", BudgetWindow::Monthly).spent, usd("0"), "another month");
    let error =
        world.broker.set_limits(&payer("user:you"), &edit(None, None, Some("5 EUR"))).await.unwrap_err();
    assert_eq!(error.code_text(), Some("HPC-BUD-0004"), "limits of one payer have one currency");
    let error = world.broker.set_limits(&payer("user:lead"), &edit(Some("5 USD"), None, Some("5 EUR"))).await;
    assert_eq!(error.unwrap_err().code_text(), Some("HPC-BUD-0004"));
    limit(&world, "user:lead", edit(Some("5 EUR"), None, None)).await;
    let (plan, _) = world.broker.plan(&lead(), eight_h100()).await.unwrap();
    assert_eq!(
        plan.state,
        PlanState::NoOffer,
        "a limit in another currency is none that holds: {:?}",
        plan.plan.excluded
    );
}

#[tokio::test]
async fn an_administrator_sets_and_removes_budgets_once_and_on_the_record() {
    let world = World::new(Script::default()).await;
    let who = payer("agent:bot");
    let set = edit(Some("10 USD"), None, Some("5 USD"));
    let error = world.broker.edit_budget(&you(), &who, &set).await.unwrap_err();
    assert_eq!(error.code_text(), Some("HPC-POL-0001"));
    assert!(world.broker.budgets_of(&who).is_empty());
    let first = world.broker.edit_budget(&lead(), &who, &set).await.unwrap();
    assert_eq!((first.receipts.len(), first.repeated, first.budgets.len()), (1, false, 2));
    let again = world.broker.edit_budget(&lead(), &who, &set).await.unwrap();
    assert!(again.repeated);
    assert_eq!(again.receipts[0].id, first.receipts[0].id, "the same proof");
    // One window is changed, another removed.
    let change = LimitsEdit { remove: vec![BudgetWindow::Total], ..edit(None, Some("3 USD"), None) };
    let changed = world.broker.edit_budget(&lead(), &who, &change).await.unwrap();
    let windows: Vec<_> = changed.budgets.iter().map(|budget| budget.window).collect();
    assert_eq!(windows, [BudgetWindow::Hourly, BudgetWindow::Monthly]);
    let all = LimitsEdit { set: Limits::default(), remove: BudgetWindow::ALL.to_vec() };
    let removed = world.broker.edit_budget(&lead(), &who, &all).await.unwrap();
    assert!(removed.budgets.is_empty() && removed.receipts.len() == 1);
    assert!(world.broker.edit_budget(&lead(), &who, &all).await.unwrap().repeated);
    assert_eq!(
        entries(&world, "agent:bot").await,
        ["policy.denied", "budget.set", "budget.set", "budget.removed"]
    );
    assert!(world.broker.edit_budget(&lead(), &who, &edit(Some("-1 USD"), None, None)).await.is_err());
}

/// Taking a team's budget away stops its spending: what was planned before it, and what runs.
#[tokio::test]
async fn a_budget_that_was_taken_away_carries_no_plan_and_no_renewal() {
    let world = World::new(Script::default()).await;
    let running = world.apply(eight_h100()).await.unwrap().lease;
    let planned = world.broker.plan(&you(), eight_h100()).await.unwrap().0.plan.id;
    limit(&world, "team:ml", LimitsEdit { set: Limits::default(), remove: BudgetWindow::ALL.to_vec() }).await;
    let calls = [
        world.broker.apply(&you(), &planned, &Silent).await.map(drop),
        world.broker.renew(&you(), &running.id, 3_600, "k1").await.map(drop),
    ];
    for refused in calls {
        assert_eq!(refused.unwrap_err().code_text(), Some("HPC-BUD-0003"));
    }
    assert_eq!(world.sim.live_instances().len(), 1, "nothing was created");
    let kept = world.broker.lease_by_id(&running.id).await.unwrap();
    assert_eq!((kept.ends_at, kept.hold), (running.ends_at, running.hold));
    world.broker.release(&you(), &running.id).await.unwrap();
}

#[tokio::test]
async fn a_crash_at_every_commit_of_a_change_leaves_the_old_limits_or_the_new() {
    for nth in 1..=2 {
        for point in [CrashPoint::BeforeCommit, CrashPoint::AfterCommit] {
            let mut world = World::new(Script::default()).await;
            limit(&world, "user:you", edit(Some("10 USD"), None, None)).await;
            world.ledger.faults().crash_at(nth, point);
            drop(
                world
                    .broker
                    .edit_budget(&lead(), &payer("user:you"), &edit(Some("20 USD"), None, None))
                    .await,
            );
            drop(
                world.broker.edit_budget(&lead(), &payer("team:new"), &edit(None, Some("2 USD"), None)).await,
            );
            assert!(world.ledger.faults().crashed());
            world.restart().await;
            world.settle().await;
            let limit = standing(&world, "user:you", BudgetWindow::Total).limit;
            let made = nth > 1 || point == CrashPoint::AfterCommit;
            assert_eq!(limit, usd(if made { "20 USD" } else { "10 USD" }));
            // Whoever got no answer asks again.
            let again = world
                .broker
                .edit_budget(&lead(), &payer("user:you"), &edit(Some("20 USD"), None, None))
                .await
                .unwrap();
            assert_eq!(again.repeated, made);
            assert_eq!(again.receipts.len(), 1, "proved either way");
            let told = entries(&world, "user:you").await;
            assert_eq!(told.iter().filter(|action| *action == "budget.set").count(), 2, "{told:?}");
        }
    }
}

#[tokio::test]
async fn a_budget_of_before_becomes_an_account() {
    let mut world = World::new(Script::default()).await;
    let old = Key::parse("budget/old").unwrap();
    let text = br#"{"team":"old","limit":"100.00 USD","spent":"40.00 USD"}"#;
    world.ledger.commit(Transaction::new().put(&old, text.to_vec())).await.unwrap();
    for _ in 0..2 {
        world.restart().await;
        let budget = standing(&world, "team:old", BudgetWindow::Total);
        assert_eq!((budget.limit, budget.spent), (usd("100"), usd("40")));
        assert!(world.ledger.get(&old).await.unwrap().is_none());
    }
    limit(&world, "team:old", edit(None, None, Some("50 USD"))).await;
    assert_eq!(
        standing(&world, "team:old", BudgetWindow::Monthly).left,
        usd("10"),
        "it may have been this month"
    );
}

#[tokio::test]
async fn a_limit_that_is_nearly_used_up_is_told_of_once() {
    let mut world = World::new(Script::named("none").unwrap()).await;
    let applied = world.apply(eight_h100()).await.unwrap();
    let hold = applied.lease.hold;
    let tight = Money::from_nanos(hold.nanos() / 8 * 10, hold.currency());
    let set = Limits { total: Some(tight), monthly: Some(usd("100000")), ..Limits::default() };
    limit(&world, "user:you", LimitsEdit { set, remove: Vec::new() }).await;
    for _ in 0..3 {
        world.broker.reconcile().await.unwrap();
    }
    world.restart().await;
    world.settle().await;
    let warnings = |told: Vec<String>| told.iter().filter(|action| *action == "budget.warning").count();
    assert_eq!(warnings(entries(&world, "user:you").await), 1);
    assert_eq!(warnings(entries(&world, "team:ml").await), 0);
    // Another limit is another matter.
    let tighter = Money::from_nanos(hold.nanos(), hold.currency());
    let set = Limits { total: Some(tighter), ..Limits::default() };
    limit(&world, "user:you", LimitsEdit { set, remove: Vec::new() }).await;
    world.broker.reconcile().await.unwrap();
    assert_eq!(warnings(entries(&world, "user:you").await), 2);
}

#[tokio::test]
async fn an_owned_machine_that_costs_nothing_needs_a_budget_all_the_same() {
    let world = World::new(Script::default()).await;
    let request =
        ResourceRequest::new("job").add_gpu_nvidia_h100(8).with_kinds([OfferKind::OnDemand]).build().unwrap();
    let edit = LimitsEdit { set: Limits::default(), remove: BudgetWindow::ALL.to_vec() };
    world.broker.set_limits(&payer("team:ml"), &edit).await.unwrap();
    let error = world.broker.plan(&you(), request).await.unwrap_err();
    assert_eq!(error.code_text(), Some("HPC-BUD-0003"));
}

#[tokio::test]
async fn markers_of_warnings_go_with_their_month() {
    let mut world = World::new(Script::named("none").unwrap()).await;
    let lease = world.apply(eight_h100()).await.unwrap().lease;
    let tight = Some(lease.hold);
    let set = Limits { total: tight, hourly: lease.hourly, monthly: tight };
    limit(&world, "user:you", LimitsEdit { set, remove: Vec::new() }).await;
    world.settle().await;
    let markers = async |world: &World| {
        let page = world.ledger.range(&hpc_ledger::Range::prefix("warned/")).await.unwrap();
        page.entries
            .into_iter()
            .map(|(key, _)| key.name().rsplit_once('.').unwrap().1.to_owned())
            .collect::<Vec<_>>()
    };
    let mut months = markers(&world).await;
    months.sort();
    assert_eq!(months, ["2026-11", "2026-11", "ever"]);
    world.broker.release(&you(), &lease.id).await.unwrap();
    world.settle().await;
    world.advance_s(31 * 86_400);
    world.settle().await;
    assert_eq!(markers(&world).await, ["ever"], "a limit in all has no end");
    world.restart().await;
    world.settle().await;
    assert_eq!(markers(&world).await, ["ever"]);
}

#[tokio::test]
async fn a_budget_that_was_removed_is_known_to_have_been() {
    let mut world = World::new(Script::default()).await;
    let all = LimitsEdit { set: Limits::default(), remove: BudgetWindow::ALL.to_vec() };
    limit(&world, "team:ml", all).await;
    world.restart().await;
    assert!(world.broker.ever_had_limits(&payer("team:ml")).await.unwrap());
    assert!(!world.broker.ever_had_limits(&payer("team:other")).await.unwrap());
}
