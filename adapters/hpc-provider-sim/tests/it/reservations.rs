//! Capacity that is set aside: counted, paid for, and gone when it ends.

use std::time::Duration;

use hpc_provider::{CapacityProvider, Certainty, ErrorKind, InterruptionKind, QuoteRequest, Scope};
use hpc_provider_sim::{
    Notice, PriceRule, PriceSeries, ReservationRule, Script, SimError, SimWorld, SpotTrace, TraceRule, Where,
};
use hpc_resources::{InstanceType, Money, Offer, OfferKind, ProviderId, ReservationId, ZoneId};

use crate::tools::{cloud, config, create, eight_h100, offers, spec, start, world};

fn rule(id: &str, kind: OfferKind) -> ReservationRule {
    ReservationRule {
        id: ReservationId::parse(id).unwrap(),
        provider: ProviderId::parse("sim-aws").unwrap(),
        zone: ZoneId::parse("use1-az1").unwrap(),
        instance_type: InstanceType::parse("p5.48xlarge").unwrap(),
        kind,
        instances: 2,
        hidden: 0,
        from_s: 0,
        to_s: (kind == OfferKind::Block).then_some(7_200),
    }
}

fn script(reservations: Vec<ReservationRule>) -> Script {
    Script { reservations, ..Script::default() }
}

async fn found(world: &SimWorld, id: &str) -> Option<Offer> {
    let all = offers(cloud(world, "sim-aws").as_ref(), world.now()).await;
    let is = |offer: &Offer| offer.reservation.as_ref().is_some_and(|have| have.id.as_str() == id);
    all.into_iter().find(is)
}

#[tokio::test]
async fn what_is_set_aside_costs_nothing_and_is_counted() {
    let world = world(script(vec![rule("cr-1", OfferKind::Reserved)]));
    let offer = found(&world, "cr-1").await.unwrap();
    assert_eq!((offer.kind, offer.price.unwrap().0), (OfferKind::Reserved, Money::ZERO_USD));
    assert_eq!((offer.quota.as_ref(), offer.reservation.as_ref().unwrap().left), (None, 2));
    let made = create(&world, &spec(&offer, 1, 1)).await.unwrap();
    world.advance(Duration::from_secs(3_600)).unwrap();
    assert_eq!(world.bill()[0].amount, Money::ZERO_USD, "to the last nano-unit");
    assert_eq!(found(&world, "cr-1").await.unwrap().reservation.unwrap().left, 1);
    let error = create(&world, &spec(&offer, 2, 2)).await.unwrap_err();
    assert_eq!(
        (error.kind, error.scope, error.certainty),
        (ErrorKind::Capacity, Scope::Zone, Certainty::NotDone)
    );
    assert_eq!(error.code, "ReservationCapacityExceeded");
    assert_eq!(world.live_instances().len(), 1, "all or none");
    cloud(&world, "sim-aws").release(&made.handles[0]).await.unwrap();
    assert_eq!(found(&world, "cr-1").await.unwrap().reservation.unwrap().left, 2);
}

#[tokio::test]
async fn what_others_hold_in_secret_shows_when_it_is_asked_for() {
    let hidden = ReservationRule { hidden: 2, ..rule("cr-1", OfferKind::Reserved) };
    let world = world(script(vec![hidden, rule("cr-2", OfferKind::Reserved)]));
    let offer = found(&world, "cr-1").await.unwrap();
    assert_eq!(offer.reservation.as_ref().unwrap().left, 2);
    assert_eq!(create(&world, &spec(&offer, 1, 1)).await.unwrap_err().kind, ErrorKind::Capacity);
    create(&world, &spec(&found(&world, "cr-2").await.unwrap(), 2, 2)).await.unwrap();
}

#[tokio::test]
async fn a_block_begins_ends_and_takes_what_runs_in_it() {
    let block = ReservationRule { from_s: 600, to_s: Some(7_200), ..rule("cr-1", OfferKind::Block) };
    let world = world(script(vec![block]));
    let offer = found(&world, "cr-1").await.unwrap();
    let told = offer.reservation.as_ref().unwrap();
    assert_eq!(told.starts_at, Some("2026-11-20T12:10:00Z".parse().unwrap()));
    assert_eq!(told.ends_at, Some("2026-11-20T14:00:00Z".parse().unwrap()));
    let error = create(&world, &spec(&offer, 1, 1)).await.unwrap_err();
    assert_eq!((error.kind, error.code.as_str()), (ErrorKind::Config, "ReservationNotActive"));
    world.advance(Duration::from_secs(600)).unwrap();
    let offer = found(&world, "cr-1").await.unwrap();
    assert_eq!(offer.reservation.as_ref().unwrap().starts_at, None);
    create(&world, &spec(&offer, 2, 2)).await.unwrap();
    world.advance(Duration::from_secs(6_600 - 120)).unwrap();
    let events = cloud(&world, "sim-aws").interruptions(None).await.unwrap().events;
    assert!(
        events.len() == 2 && events.iter().all(|event| event.kind == InterruptionKind::Notice),
        "{events:?}"
    );
    assert_eq!(world.live_instances().len(), 2);
    world.advance(Duration::from_secs(120)).unwrap();
    assert_eq!((world.live_instances().len(), found(&world, "cr-1").await), (0, None), "half open");
    let ended = world.instances();
    assert!(
        ended
            .iter()
            .all(|one| one.reclaimed && one.ended_at == Some("2026-11-20T14:00:00Z".parse().unwrap()))
    );
    let late = create(&world, &spec(&offer, 3, 1)).await.unwrap_err();
    assert_eq!(late.code, "ReservationNotActive");
}

#[tokio::test]
async fn recordings_of_the_market_do_not_reach_it() {
    let series = PriceSeries::parse(r#"{"metadata":{"gap_seconds":60},"data":["1.25 USD"]}"#).unwrap();
    let trace = SpotTrace::parse(r#"{"metadata":{"gap_seconds":60},"data":[0,0]}"#).unwrap();
    let world = world(Script {
        prices: vec![PriceRule { at: Where::default(), series }],
        traces: vec![TraceRule { at: Where::default(), trace, notice: Notice::Never }],
        ..script(vec![rule("cr-1", OfferKind::Reserved)])
    });
    let offer = found(&world, "cr-1").await.unwrap();
    assert_eq!((offer.price.unwrap().0, offer.reservation.as_ref().unwrap().left), (Money::ZERO_USD, 2));
    create(&world, &spec(&offer, 1, 2)).await.unwrap();
    world.advance(Duration::from_secs(600)).unwrap();
    assert_eq!(world.live_instances().len(), 2);
}

#[tokio::test]
async fn the_name_is_a_parameter_of_the_token_and_must_fit() {
    let world = world(script(vec![rule("cr-1", OfferKind::Reserved), rule("cr-2", OfferKind::Reserved)]));
    let (first, second) = (found(&world, "cr-1").await.unwrap(), found(&world, "cr-2").await.unwrap());
    create(&world, &spec(&first, 1, 1)).await.unwrap();
    assert_eq!(create(&world, &spec(&second, 1, 1)).await.unwrap_err().kind, ErrorKind::Conflict);
    for wrong in [
        Offer { kind: OfferKind::Block, ..first.clone() },
        Offer { zone: ZoneId::parse("use1-az2").unwrap(), ..first.clone() },
        Offer { instance_type: InstanceType::parse("p4d.24xlarge").unwrap(), ..first.clone() },
        Offer { reservation: None, ..first.clone() },
    ] {
        assert_eq!(
            create(&world, &spec(&wrong, 2, 1)).await.unwrap_err().kind,
            ErrorKind::Config,
            "{wrong:?}"
        );
    }
    assert_eq!(world.live_instances().len(), 1);
}

#[test]
fn rules_that_cannot_be_are_refused() {
    let good = || rule("cr-1", OfferKind::Reserved);
    let other = |name: &str| ProviderId::parse(name).unwrap();
    for (rules, why) in [
        (vec![good(), good()], "twice"),
        (vec![ReservationRule { instances: 0, ..good() }], "no room"),
        (vec![ReservationRule { hidden: 3, ..good() }], "no room"),
        (vec![ReservationRule { from_s: 60, to_s: Some(60), ..good() }], "ends before"),
        (vec![ReservationRule { to_s: None, ..rule("cr-1", OfferKind::Block) }], "without an end"),
        (vec![ReservationRule { kind: OfferKind::Spot, ..good() }], "neither"),
        (vec![ReservationRule { zone: ZoneId::parse("nowhere").unwrap(), ..good() }], "sells no"),
        (vec![ReservationRule { provider: other("sim-rack"), ..good() }], "sells no"),
        (vec![ReservationRule { provider: other("aws"), ..good() }], "no cloud"),
        ((0..257).map(|n| rule(&format!("cr-{n}"), OfferKind::Reserved)).collect(), "at most 256"),
    ] {
        let Err(SimError::Script { what }) = SimWorld::open(config(script(rules))) else { panic!("{why}") };
        assert!(what.contains(why), "{what}");
    }
    let all = (0..256).map(|n| rule(&format!("cr-{n}"), OfferKind::Reserved)).collect();
    assert!(SimWorld::open(config(script(all))).is_ok());
}

#[tokio::test]
async fn the_story_has_one_that_is_full_and_one_that_is_not() {
    let world = world(Script::named("reservation").unwrap());
    let full = found(&world, "cr-sim-block").await.unwrap();
    assert_eq!(create(&world, &spec(&full, 1, 1)).await.unwrap_err().kind, ErrorKind::Capacity);
    create(&world, &spec(&found(&world, "cr-sim-open").await.unwrap(), 2, 2)).await.unwrap();
    let request = QuoteRequest { request: eight_h100(), now: start() };
    let elsewhere = cloud(&world, "sim-gcp").get_quote(&request).await.unwrap().offers;
    assert!(elsewhere.iter().all(|offer| offer.reservation.is_none()));
}
