//! What could be had without a plan, and how the providers are.

use hpc_audit::AuditLog;
use hpc_broker::ProviderStatus;
use hpc_provider::ErrorKind;
use hpc_provider_sim::{Call, Effect, Rule, Script, Where};
use hpc_resources::{ProviderId, ResourceRequest};

use crate::world::{World, eight_h100, you};

fn id(name: &str) -> ProviderId {
    ProviderId::parse(name).unwrap()
}

fn of(world: &World, name: &str) -> ProviderStatus {
    let all = world.broker.provider_statuses();
    all.into_iter().find(|status| status.description.provider == id(name)).unwrap()
}

async fn size(world: &World) -> u64 {
    world.audit.head().await.unwrap().checkpoint().size
}

fn fails(call: Call, effect: Effect) -> Rule {
    let at = Where { provider: Some(id("sim-aws")), ..Where::default() };
    Rule { call, at, effect, skip: 0, times: Some(1) }
}

#[tokio::test]
async fn offers_are_what_a_plan_would_say_and_leave_nothing_behind() {
    let world = World::new(Script::named("none").unwrap()).await;
    let (entries, budgets) = (size(&world).await, world.broker.budgets());
    let offers = world.broker.offers(&you(), eight_h100()).await.unwrap();
    assert!(!offers.attempts.is_empty() && offers.decision.allowed && offers.simulated, "{offers:#?}");
    assert_eq!(size(&world).await, entries);
    assert_eq!(world.broker.budgets(), budgets);
    assert!(world.broker.requests(None, 10).await.unwrap().items.is_empty());
    let (plan, _) = world.broker.plan(&you(), eight_h100()).await.unwrap();
    assert_eq!((&offers.attempts, offers.hold), (&plan.plan.attempts, plan.hold));
    assert_eq!(offers.excluded_counts, plan.plan.excluded_counts);
    assert_eq!((offers.decision.allowed, offers.decision.rules), (true, plan.decision.rules));
}

#[tokio::test]
async fn offers_that_policy_denies_say_so() {
    let world = World::new(Script::named("none").unwrap()).await;
    let many = ResourceRequest::new("job").add_gpu_nvidia_h100(72).with_instances_max(9).build().unwrap();
    let offers = world.broker.offers(&you(), many).await.unwrap();
    assert!(!offers.decision.allowed, "{offers:#?}");
}

#[tokio::test]
async fn a_provider_is_well_or_failing_by_its_last_call() {
    let world = World::new(Script::named("none").unwrap()).await;
    let new = of(&world, "sim-aws");
    assert_eq!((new.healthy, new.last_ok, new.missing.len()), (None, None, 0));
    world.broker.offers(&you(), eight_h100()).await.unwrap();
    let asked = of(&world, "sim-aws");
    assert_eq!((asked.healthy, asked.last_ok), (Some(true), Some(world.sim.now())));
    let snapshot = asked.snapshot.clone().unwrap();
    assert!(snapshot.offers > 0 && !snapshot.hash.is_empty() && snapshot.as_of <= world.sim.now());

    world.sim.add_rule(fails(Call::Quote, Effect::Auth)).unwrap();
    world.sim.add_rule(fails(Call::Quotas, Effect::Auth)).unwrap();
    world.advance_s(60);
    world.broker.offers(&you(), eight_h100()).await.unwrap();
    let failing = of(&world, "sim-aws");
    let error = failing.last_error.clone().unwrap();
    assert_eq!(
        (failing.healthy, error.error.kind, error.at),
        (Some(false), ErrorKind::Auth, world.sim.now())
    );
    assert_eq!((failing.last_ok, failing.snapshot), (asked.last_ok, Some(snapshot)), "what it said last");
    assert_eq!(of(&world, "sim-gcp").healthy, Some(true), "its neighbour is well");

    world.broker.offers(&you(), eight_h100()).await.unwrap();
    let well = of(&world, "sim-aws");
    assert_eq!((well.healthy, well.last_error), (Some(true), Some(error)));
}

#[tokio::test]
async fn no_stock_is_an_answer_and_is_listed() {
    let world = World::new(Script::named("stock-out").unwrap()).await;
    world.apply(eight_h100()).await.unwrap();
    let known = world.broker.stock_outs();
    assert_eq!(known.len(), 1, "{known:#?}");
    for status in world.broker.provider_statuses() {
        assert_eq!((status.healthy, &status.last_error), (Some(true), &None), "{status:#?}");
        let out = known[0].place.provider == status.description.provider;
        assert_eq!(status.stock_outs.is_empty(), !out);
    }
}

#[tokio::test]
async fn one_provider_tells_its_quotas_even_when_it_cannot() {
    let world = World::new(Script::named("none").unwrap()).await;
    let quotas = world.broker.provider_status(&id("sim-aws")).await.unwrap().quotas.unwrap();
    assert!(!quotas.is_empty());
    world.sim.add_rule(fails(Call::Quotas, Effect::Internal)).unwrap();
    let status = world.broker.provider_status(&id("sim-aws")).await.unwrap();
    assert_eq!((status.quotas, status.healthy), (None, Some(false)));
    assert_eq!(status.last_error.unwrap().call, "quotas");
    let unknown = world.broker.provider_status(&id("sim-mars")).await.unwrap_err();
    assert_eq!(unknown.code_text(), Some("HPC-PRV-0006"));
}
