//! Who may spend: asked with the caller, the policies and the budgets as they are when money is held.

use std::sync::Arc;

use hpc_audit::{AuditLog, Search};
use hpc_broker::{Caller, LimitsEdit, Silent};
use hpc_error::HpcError;
use hpc_policy::{PolicySet, Principal};
use hpc_provider_sim::Script;
use hpc_resources::{BudgetWindow, Limits, Money, PlanId, ResourceRequest, TeamId};

use crate::storm::check_money;
use crate::world::{POLICY, World, eight_h100, lead, you};

const SPENDS: &str = r#"
    - name: spends-for-rich
      effect: allow
      principals: [{type: role, value: gpu-user}]
      resources: [{type: budget, pattern: "budget/rich"}]
      actions: [budget.spend]
"#;
const RENEWS: &str = r#"
    - name: renews-for-others
      effect: allow
      principals: [{type: role, value: gpu-user}]
      resources: [{type: lease, pattern: "lease/*"}]
      actions: [lease.renew]
"#;

fn obey(world: &World, more: &[&str]) {
    let text = format!("{POLICY}{}", more.concat());
    world.broker.set_policies(Arc::new(PolicySet::parse_documents([("test.yaml", text)]).unwrap()));
}

fn team(name: &str) -> TeamId {
    TeamId::parse(name).unwrap()
}

/// `you`, in no team but this one.
fn moved(name: &str) -> Caller {
    let principal = Principal::user("you").with_role("gpu-user").with_team(name);
    Caller { principal, team: team(name), ..you() }
}

fn usd(text: &str) -> Money {
    text.parse().unwrap()
}

async fn rich(more: &[&str]) -> World {
    let world = World::new(Script::named("none").unwrap()).await;
    world.broker.set_budget(&team("rich"), usd("100000 USD")).await.unwrap();
    obey(&world, more);
    world
}

async fn plan_for(world: &World, caller: &Caller, payer: &str) -> PlanId {
    let request = ResourceRequest::new("job").add_gpu_nvidia_h100(8).with_duration_s(7_200);
    let request = request.with_team(team(payer)).build().unwrap();
    world.broker.plan(caller, request).await.unwrap().0.plan.id
}

fn code(error: &HpcError) -> &str {
    error.code_text().unwrap_or_default()
}

/// The newest entry about a thing, with the action that it says was refused.
async fn refused_action(world: &World, subject: &str) -> String {
    let search = Search { subject: Some(subject.to_owned()), ..Search::default() };
    let hits = world.audit.search(&search).await.unwrap().hits;
    let denied = hits.into_iter().rfind(|hit| hit.entry.action == "policy.denied").unwrap();
    denied.entry.data["action"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn who_may_no_longer_spend_for_a_team_carries_no_plan_of_it_out() {
    // Policy let them, and does not any more; or they were in the team, and are not any more.
    let world = rich(&[SPENDS]).await;
    let by_policy = plan_for(&world, &you(), "rich").await;
    let by_team = plan_for(&world, &moved("rich"), "rich").await;
    obey(&world, &[]);
    for plan in [&by_policy, &by_team] {
        let refused = world.broker.apply(&you(), plan, &Silent).await.unwrap_err();
        assert_eq!(code(&refused), "HPC-POL-0001", "{refused}");
        assert_eq!(refused_action(&world, "rich").await, "budget.spend");
    }
    assert!(world.sim.live_instances().is_empty());
    check_money(&world.broker).await;
    // Whoever is in the team, or may again, goes on; the decision is kept where there was one.
    world.broker.apply(&moved("rich"), &by_team, &Silent).await.unwrap();
    obey(&world, &[SPENDS]);
    let lease = world.broker.apply(&you(), &by_policy, &Silent).await.unwrap().lease;
    let search = Search { subject: Some(lease.id.to_string()), ..Search::default() };
    let hits = world.audit.search(&search).await.unwrap().hits;
    let accepted = hits.into_iter().find(|hit| hit.entry.action == "lease.accepted").unwrap();
    assert!(accepted.entry.data.contains_key("policy_decision.budget"), "{:?}", accepted.entry);
    check_money(&world.broker).await;
}

#[tokio::test]
async fn who_may_no_longer_spend_for_a_team_renews_no_lease_of_it() {
    let world = rich(&[SPENDS]).await;
    let plan = plan_for(&world, &you(), "rich").await;
    let lease = world.broker.apply(&you(), &plan, &Silent).await.unwrap().lease;
    obey(&world, &[]);
    let refused = world.broker.renew(&you(), &lease.id, 3_600, "k").await.unwrap_err();
    assert_eq!(code(&refused), "HPC-POL-0001", "{refused}");
    assert_eq!(refused_action(&world, "rich").await, "budget.spend");
    assert_eq!(world.broker.lease_by_id(&lease.id).await.unwrap(), lease, "nothing was changed");
    check_money(&world.broker).await;
    // What costs nothing more is theirs all the same.
    world.broker.drain(&you(), &lease.id, 60).await.unwrap();
    world.broker.release(&you(), &lease.id).await.unwrap();
    let own = world.apply(eight_h100()).await.unwrap().lease;
    world.broker.renew(&you(), &own.id, 3_600, "k").await.unwrap();
    assert_eq!(
        code(&world.broker.renew(&moved("other"), &own.id, 3_600, "k2").await.unwrap_err()),
        "HPC-POL-0001"
    );
}

#[tokio::test]
async fn who_renews_the_lease_of_somebody_else_is_asked_for_their_own_budgets_and_pays() {
    let mut world = rich(&[RENEWS]).await;
    let lease = world.apply(eight_h100()).await.unwrap().lease;
    let who = "user:lead".parse().unwrap();
    let limit = |total: &str, hourly: Option<&str>| {
        let set = Limits { total: Some(usd(total)), hourly: hourly.map(usd), monthly: None };
        LimitsEdit { set, remove: Vec::new() }
    };
    for (total, hourly) in [("1 USD", None), ("100000 USD", Some("1 USD"))] {
        world.broker.set_limits(&who, &limit(total, hourly)).await.unwrap();
        let refused = world.broker.renew(&lead(), &lease.id, 3_600, "k").await.unwrap_err();
        assert_eq!(code(&refused), "HPC-BUD-0001", "{refused}");
        assert!(refused.message().contains("user:lead"), "{refused}");
        assert_eq!(world.broker.lease_by_id(&lease.id).await.unwrap(), lease);
        check_money(&world.broker).await;
    }
    let remove = LimitsEdit { remove: vec![BudgetWindow::Hourly], ..limit("100000 USD", None) };
    world.broker.set_limits(&who, &remove).await.unwrap();
    let renewed = world.broker.renew(&lead(), &lease.id, 3_600, "k").await.unwrap().lease;
    assert!(renewed.paid_by().contains(&who) && renewed.paid_by().len() == lease.paid_by().len() + 1);
    let held = |world: &World| world.broker.budgets_of(&who).remove(0).held;
    assert_eq!(held(&world), renewed.hold);
    world.restart().await;
    obey(&world, &[RENEWS]);
    assert_eq!(held(&world), renewed.hold, "the same after a restart");
    // Twice is once, and the holder goes on to pay.
    assert!(world.broker.renew(&lead(), &lease.id, 3_600, "k").await.unwrap().repeated);
    let again = world.broker.renew(&you(), &lease.id, 3_600, "k").await.unwrap().lease;
    assert_eq!(again.paid_by(), renewed.paid_by());
    world.advance_s(600);
    world.broker.release(&you(), &lease.id).await.unwrap();
    world.settle().await;
    let cost = world.broker.lease_by_id(&lease.id).await.unwrap().cost.unwrap();
    assert_eq!(world.broker.budgets_of(&who).remove(0).spent, cost);
    check_money(&world.broker).await;
    // Somebody who may renew it and may not spend for its team does not.
    let other = world.apply(eight_h100()).await.unwrap().lease;
    let principal = Principal::user("eve").with_role("gpu-user").with_team("other");
    let eve = Caller { name: "user:eve".to_owned(), principal, team: team("other") };
    assert_eq!(code(&world.broker.renew(&eve, &other.id, 3_600, "k").await.unwrap_err()), "HPC-POL-0001");
}
