//! Capacity that was set aside: first in every plan, free in every book, and no lease outlasts it.

use hpc_broker::{Applied, ChargeFilter, EndReason, LeaseState, Silent};
use hpc_provider_sim::{ReservationRule, Script};
use hpc_resources::{
    Exclusion, InstanceType, Money, OfferKind, OnInterruption, ProviderId, ReservationId, ResourceRequest,
    ZoneId,
};
use jiff::Timestamp;

use crate::world::{World, eight_h100, lead, start, you};

pub fn rule(id: &str, kind: OfferKind, instances: u32) -> ReservationRule {
    ReservationRule {
        id: ReservationId::parse(id).unwrap(),
        provider: ProviderId::parse("sim-aws").unwrap(),
        zone: ZoneId::parse("use1-az1").unwrap(),
        instance_type: InstanceType::parse("p5.48xlarge").unwrap(),
        kind,
        instances,
        hidden: 0,
        from_s: 0,
        to_s: None,
    }
}

/// Ends so many seconds after the world's start.
pub fn block(id: &str, to_s: u32) -> ReservationRule {
    ReservationRule { to_s: Some(to_s), ..rule(id, OfferKind::Block, 2) }
}

async fn world(reservations: Vec<ReservationRule>) -> World {
    World::new(Script { reservations, no_quotas: true, ..Script::default() }).await
}

fn of(applied: &Applied) -> Option<&str> {
    Some(applied.lease.offer.as_ref()?.reservation.as_ref()?.id.as_str())
}

fn later(seconds: i64) -> Timestamp {
    start().saturating_add(jiff::SignedDuration::from_secs(seconds)).unwrap()
}

#[tokio::test]
async fn the_whole_journey_costs_nothing_and_every_book_says_so() {
    let world = world(vec![rule("cr-1", OfferKind::Reserved, 2)]).await;
    let (plan, _) = world.broker.plan(&you(), eight_h100()).await.unwrap();
    let first = &plan.plan.attempts[0];
    assert_eq!(
        (first.offer.kind, first.total, first.hourly),
        (OfferKind::Reserved, Money::ZERO_USD, Money::ZERO_USD)
    );
    assert!(first.standing().unwrap().contains("paid for already"), "{:?}", first.standing());
    // What comes next costs something, and that is what is held until it is known to be needless.
    assert!(plan.hold.unwrap().nanos() > 0);
    let applied = world.broker.apply(&you(), &plan.plan.id, &Silent).await.unwrap();
    assert_eq!(of(&applied), Some("cr-1"));
    assert_eq!(applied.lease.hourly, Some(Money::ZERO_USD));
    world.advance_s(3_600);
    world.settle().await;
    let charges = async || {
        let filter = ChargeFilter { lease: Some(applied.lease.id.clone()), ..ChargeFilter::default() };
        world.broker.charges(&filter, None, &|_| true).await.unwrap().items
    };
    let running = charges().await;
    assert_eq!((running.len(), running[0].seconds, running[0].cost), (1, 3_600, Money::ZERO_USD));
    assert_eq!((running[0].reservation.as_ref().unwrap().as_str(), running[0].paid), ("cr-1", true));
    world.broker.release(&you(), &applied.lease.id).await.unwrap();
    world.settle().await;
    let ended = charges().await;
    assert!(ended[0].settled && ended[0].paid && ended[0].cost == Money::ZERO_USD);
    assert_eq!(world.broker.lease_by_id(&applied.lease.id).await.unwrap().cost, Some(Money::ZERO_USD));
    let (again, _) = world.broker.plan(&you(), eight_h100()).await.unwrap();
    assert_eq!(again.plan.attempts[0].offer.reservation.as_ref().unwrap().left, 2, "given back");
    world.check().await;
}

#[tokio::test]
async fn what_is_full_is_left_for_the_next_and_remembered_alone() {
    let full = ReservationRule { hidden: 2, ..rule("cr-1", OfferKind::Reserved, 2) };
    let world = world(vec![full, rule("cr-2", OfferKind::Reserved, 1)]).await;
    let applied = world.apply(eight_h100()).await.unwrap();
    assert_eq!(of(&applied), Some("cr-2"), "the other reservation is not blamed");
    assert!(
        applied.lease.failures[0].contains("ReservationCapacityExceeded"),
        "{:?}",
        applied.lease.failures
    );
    let (plan, _) = world.broker.plan(&you(), eight_h100()).await.unwrap();
    let why = |id: &str| {
        let of = |text: &str| text.ends_with(&format!("/reserved/{id}"));
        plan.plan.excluded.iter().find(|excluded| of(&excluded.offer)).map(|excluded| excluded.why.clone())
    };
    assert!(matches!(why("cr-1"), Some(Exclusion::Stock { .. })), "{:?}", why("cr-1"));
    assert_eq!(why("cr-2"), Some(Exclusion::ReservationFull { need: 1, left: 0 }));
    let bought = world.broker.apply(&you(), &plan.plan.id, &Silent).await.unwrap();
    assert_eq!(of(&bought), None, "the market is next");
    world.check().await;
}

#[tokio::test]
async fn no_lease_outlasts_its_block() {
    // Two hours and a minute: it fits when the plan is made, and is a little short when it is applied.
    let world = world(vec![block("cr-1", 7_260)]).await;
    let (plan, _) = world.broker.plan(&you(), eight_h100()).await.unwrap();
    assert_eq!(plan.plan.attempts[0].offer.kind, OfferKind::Block);
    world.advance_s(240);
    let lease = world.broker.apply(&you(), &plan.plan.id, &Silent).await.unwrap().lease;
    assert_eq!(lease.ends_at, Some(later(7_260)));
    let error = world.broker.renew(&you(), &lease.id, 3_600, "more").await.unwrap_err();
    assert_eq!(error.code_text(), Some("HPC-USG-0011"), "{error}");
    assert!(error.to_string().contains("2026-11-01T02:01:00Z"), "{error}");
    world.advance_s(7_260 - 240 - 1);
    world.settle().await;
    assert_eq!(world.broker.lease_by_id(&lease.id).await.unwrap().state, LeaseState::Active);
    world.advance_s(1);
    world.settle().await;
    let ended = world.broker.lease_by_id(&lease.id).await.unwrap();
    assert_eq!((ended.state, ended.cost), (LeaseState::Released, Some(Money::ZERO_USD)));
    assert_eq!(ended.end_reason, Some(EndReason::Expired));
    world.check().await;
}

#[tokio::test]
async fn a_block_that_ends_with_its_lease_is_no_interruption() {
    let world = world(vec![block("cr-1", 7_200)]).await;
    let request = ResourceRequest::new("job").add_gpu_nvidia_h100(8).with_duration_s(7_200);
    let request = request.with_on_interruption(OnInterruption::Replace).build().unwrap();
    let lease = world.apply(request).await.unwrap().lease;
    assert_eq!(lease.ends_at, Some(later(7_200)));
    // The provider says two minutes before that it takes its instances back.
    world.advance_s(7_200 - 60);
    assert_eq!(world.broker.reconcile().await.unwrap().interruptions, 1);
    assert_eq!(world.broker.lease_by_id(&lease.id).await.unwrap().state, LeaseState::Active);
    world.advance_s(60);
    world.settle().await;
    world.broker.replace_interrupted().await.unwrap();
    let ended = world.broker.lease_by_id(&lease.id).await.unwrap();
    assert_eq!((ended.state, ended.end_reason), (LeaseState::Released, Some(EndReason::Expired)));
    assert_eq!((ended.replacement, world.broker.leases(None, 10).await.unwrap().items.len()), (None, 1));
    world.check().await;
}

#[tokio::test]
async fn a_block_that_is_too_short_is_no_offer_and_a_plan_that_waited_goes_on_without_it() {
    let short = world(vec![block("cr-1", 7_199)]).await;
    let (plan, _) = short.broker.plan(&you(), eight_h100()).await.unwrap();
    assert!(plan.plan.attempts.iter().all(|attempt| attempt.offer.reservation.is_none()));
    assert_eq!(plan.plan.excluded_counts.get("window"), Some(&1));
    // A day of work needs a person, who takes an hour, and by then the block is too short by far.
    let world = world(vec![block("cr-1", 90_000)]).await;
    let day = || ResourceRequest::new("day").add_gpu_nvidia_h100(8).with_duration_s(90_000).build().unwrap();
    let (plan, _) = world.broker.plan(&you(), day()).await.unwrap();
    assert_eq!(plan.plan.attempts[0].offer.kind, OfferKind::Block);
    world.advance_s(3_600);
    world.broker.approve(&lead(), &plan.plan.id, &plan.hash, true, "fine").await.unwrap();
    let applied = world.broker.apply(&you(), &plan.plan.id, &Silent).await.unwrap();
    assert_eq!(of(&applied), None);
    assert!(applied.lease.failures[0].contains("ends 3600 s too early"), "{:?}", applied.lease.failures);
    assert_eq!(applied.lease.ends_at, Some(later(3_600 + 90_000)));
    world.check().await;
}

#[tokio::test]
async fn of_two_that_race_for_the_last_one_gets_it_and_the_other_goes_on() {
    let world = world(vec![rule("cr-1", OfferKind::Reserved, 1)]).await;
    let (first, _) = world.broker.plan(&you(), eight_h100()).await.unwrap();
    let (second, _) = world.broker.plan(&lead(), eight_h100()).await.unwrap();
    for plan in [&first, &second] {
        assert_eq!(plan.plan.attempts[0].offer.reservation.as_ref().unwrap().left, 1, "both see the last");
    }
    let (you, lead) = (you(), lead());
    let (a, b) = tokio::join!(
        world.broker.apply(&you, &first.plan.id, &Silent),
        world.broker.apply(&lead, &second.plan.id, &Silent),
    );
    let (a, b) = (a.unwrap(), b.unwrap());
    let mut got = [of(&a), of(&b)];
    got.sort_unstable();
    assert_eq!(got, [None, Some("cr-1")]);
    world.advance_s(1_800);
    world.settle().await;
    world.check().await;
    for (caller, applied) in [(&you, &a), (&lead, &b)] {
        world.broker.release(caller, &applied.lease.id).await.unwrap();
    }
    world.settle().await;
    let cost = async |applied: &Applied| {
        world.broker.lease_by_id(&applied.lease.id).await.unwrap().cost.unwrap().nanos()
    };
    let costs = [cost(&a).await, cost(&b).await];
    assert!(costs.contains(&0) && costs.iter().any(|nanos| *nanos > 0), "{costs:?}");
    world.check().await;
}

#[tokio::test]
async fn a_crash_between_create_and_answer_finds_it_again_with_its_end() {
    let mut world = world(vec![block("cr-1", 10_000)]).await;
    let lost = hpc_provider_sim::Rule {
        call: hpc_provider_sim::Call::Provision,
        at: hpc_provider_sim::Where::default(),
        effect: hpc_provider_sim::Effect::LostAfter,
        skip: 0,
        times: None,
    };
    world.sim.add_rule(hpc_provider_sim::Rule { times: Some(1), ..lost }).unwrap();
    let applied = world.apply(eight_h100()).await.unwrap();
    assert_eq!(of(&applied), Some("cr-1"), "the same token finds it");
    world.restart().await;
    world.settle().await;
    world.check().await;
    world.advance_s(10_000);
    world.settle().await;
    world.check().await;
    assert!(world.sim.live_instances().is_empty());
}
