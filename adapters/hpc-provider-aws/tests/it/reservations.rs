//! Capacity that was set aside, on the stub: what is offered of it, and that a create never leaves it.

use hpc_conformance::provider::Rig;
use hpc_provider::{CapacityProvider, Certainty, ErrorKind, Observe, Scope, TAG_INTENT};
use hpc_resources::{Currency, Money, Offer, OfferKind};

use crate::rig::{ACCOUNT, StubRig, reserved, spec};
use crate::stub::cloud::Reserved;
use crate::stub::{Fault, Query};

fn shown(offer: &Offer) -> String {
    let have = offer.reservation.as_ref().unwrap();
    let price = offer.price.map_or("unknown".to_owned(), |price| price.0.to_string());
    let at = |what: &str, at: Option<jiff::Timestamp>| at.map_or(String::new(), |at| format!(" {what} {at}"));
    format!(
        "{} {} {} {} left at {price}{}{}",
        have.id,
        offer.kind.as_str(),
        offer.zone,
        have.left,
        at("from", have.starts_at),
        at("until", have.ends_at)
    )
}

async fn offered(rig: &StubRig) -> Vec<String> {
    rig.offers().await.iter().filter(|offer| offer.reservation.is_some()).map(shown).collect()
}

fn run_call(rig: &StubRig) -> Query {
    let cloud = rig.stub.cloud();
    cloud.calls.iter().rfind(|(action, _)| action == "RunInstances").unwrap().1.clone()
}

const TARGET: &str = "CapacityReservationSpecification.CapacityReservationTarget.CapacityReservationId";
const PREFERENCE: &str = "CapacityReservationSpecification.CapacityReservationPreference";
const MARKET: &str = "InstanceMarketOptions.MarketType";

#[tokio::test]
async fn what_can_be_used_is_offered_with_its_end_and_what_is_paid_for_costs_nothing() {
    let rig = StubRig::with_reservations(None).await;
    let later = Some("2026-11-30T11:30:00Z".parse().unwrap());
    rig.stub.cloud().reservations.extend([
        Reserved { owner: "999999999999", total: 3, ..reserved("cr-3", false) },
        Reserved {
            state: "scheduled",
            starts_at: "2026-11-28T11:30:00Z".parse().unwrap(),
            ends_at: later,
            ..reserved("cr-4", true)
        },
        Reserved { platform: "Windows", ..reserved("cr-5", false) },
        Reserved { state: "expired", ..reserved("cr-6", false) },
        Reserved { instance_type: "p4d.24xlarge", ..reserved("cr-7", false) },
        Reserved { instance_type: "g5.xlarge", ..reserved("cr-8", false) },
        Reserved { total: 0, ..reserved("cr-9", false) },
    ]);
    assert_eq!(
        offered(&rig).await,
        [
            "cr-1 reserved use1-az1 15 left at 0.00 USD",
            // Shared with us: what runs in it is ours to pay.
            "cr-3 reserved use1-az1 3 left at 55.04 USD",
            "cr-9 reserved use1-az1 0 left at 0.00 USD",
            // A block ends half an hour before its time.
            "cr-2 block use1-az1 15 left at 0.00 USD until 2026-11-28T11:00:00Z",
            "cr-4 block use1-az1 15 left at 0.00 USD from 2026-11-28T11:30:00Z until 2026-11-30T11:00:00Z",
        ]
    );
    let all = rig.offers().await;
    assert!(all.iter().any(|offer| offer.kind == OfferKind::Spot && offer.reservation.is_none()));
    let paid: Vec<&Offer> = all.iter().filter(|offer| offer.is_paid()).collect();
    assert!(paid.iter().all(|offer| offer.rate() == offer.price && offer.quota.is_none()));
}

#[tokio::test]
async fn a_type_that_is_sold_by_block_only_is_offered_by_block_only() {
    let rig = StubRig::with_reservations(None).await;
    rig.stub.cloud().reservations =
        vec![Reserved { instance_type: "p5e.48xlarge", ..reserved("cr-h200", true) }];
    let h200 = hpc_resources::AcceleratorModel::parse("h200").unwrap();
    let request = hpc_resources::ResourceRequest::new("x").add_accelerator(h200, 8).build().unwrap();
    let request = hpc_provider::QuoteRequest { request, now: rig.now() };
    let offers = rig.provider.get_quote(&request).await.unwrap().offers;
    assert_eq!(
        offers.iter().map(shown).collect::<Vec<_>>(),
        ["cr-h200 block use1-az1 15 left at 0.00 USD until 2026-11-28T11:00:00Z"]
    );
}

#[tokio::test]
async fn a_create_names_its_reservation_and_a_block_says_that_it_is_one() {
    for (kind, id, market) in
        [(OfferKind::Reserved, "cr-1", ""), (OfferKind::Block, "cr-2", "capacity-block")]
    {
        let rig = StubRig::with_reservations(Some(kind)).await;
        let wanted = rig.spec(1, 2).await;
        let made = rig.provider.provision(&wanted).await.unwrap();
        let call = run_call(&rig);
        assert_eq!((call.text(TARGET), call.text(PREFERENCE), call.text(MARKET)), (id, "", market));
        rig.stub.pass(std::time::Duration::from_secs(60));
        let seen = rig.provider.observe(&Observe::Handles(made.handles)).await.unwrap();
        assert!(seen.len() == 2 && seen.iter().all(|state| state.kind == kind), "{seen:?}");
        // A new process finds it again by its tag; the token of another reservation it is not.
        rig.stub.cloud().forget_tokens();
        assert!(rig.provider.provision(&wanted).await.unwrap().replayed);
        let mut other = wanted.clone();
        other.offer.reservation.as_mut().unwrap().id = hpc_resources::ReservationId::parse("cr-9").unwrap();
        let error = rig.provider.provision(&other).await.unwrap_err();
        assert_eq!((error.kind, error.certainty), (ErrorKind::Conflict, Certainty::NotDone), "{error}");
    }
}

#[tokio::test]
async fn what_is_bought_on_demand_leaves_an_open_reservation_alone() {
    let rig = StubRig::with_reservations(Some(OfferKind::OnDemand)).await;
    rig.stub.cloud().reservations[0].open = true;
    let wanted = rig.spec(1, 1).await;
    let same_zone = |offer: &Offer| offer.zone.as_str() == "use1-az1" && offer.price.is_some();
    let offer = rig.offers().await.into_iter().find(same_zone).unwrap();
    let made = rig.provider.provision(&spec(offer, 2, 1, rig.now())).await.unwrap();
    assert_eq!((run_call(&rig).text(TARGET), run_call(&rig).text(PREFERENCE)), ("", "none"));
    assert_eq!(rig.stub.cloud().machines[0].reserved, None);
    rig.stub.pass(std::time::Duration::from_secs(60));
    let seen = rig.provider.observe(&Observe::Handles(made.handles)).await.unwrap();
    assert_eq!(seen[0].kind, OfferKind::OnDemand);
    // Where reservations are not looked for, EC2 puts it there by itself, and it is on demand all the same.
    let plain = StubRig::start(Some(OfferKind::OnDemand)).await;
    plain.stub.cloud().reservations = vec![Reserved { open: true, ..reserved("cr-1", false) }];
    let offer = plain.offers().await.into_iter().find(same_zone).unwrap();
    let made = plain.provider.provision(&spec(offer, 1, 1, plain.now())).await.unwrap();
    assert_eq!(run_call(&plain).text(PREFERENCE), "");
    assert!(plain.stub.cloud().machines[0].reserved.is_some());
    assert_eq!(plain.stub.cloud().count("DescribeCapacityReservations"), 0);
    plain.stub.pass(std::time::Duration::from_secs(60));
    let seen = plain.provider.observe(&Observe::Handles(made.handles)).await.unwrap();
    assert_eq!(seen[0].kind, OfferKind::OnDemand);
    drop(wanted);
}

#[tokio::test]
async fn a_reservation_that_is_full_gone_or_over_says_so_and_nothing_is_created() {
    let change = |of: fn(&mut Reserved)| of;
    for (change, code, kind) in [
        (change(|have| have.hidden = 15), "ReservationCapacityExceeded", ErrorKind::Capacity),
        (change(|have| have.id = "cr-0"), "InvalidCapacityReservationId.NotFound", ErrorKind::Config),
        (change(|have| have.state = "expired"), "InvalidCapacityReservationState", ErrorKind::Config),
    ] {
        let rig = StubRig::with_reservations(Some(OfferKind::Reserved)).await;
        let wanted = rig.spec(1, 1).await;
        change(&mut rig.stub.cloud().reservations[0]);
        let error = rig.provider.provision(&wanted).await.unwrap_err();
        assert_eq!(
            (error.kind, error.scope, error.certainty),
            (kind, Scope::Zone, Certainty::NotDone),
            "{error}"
        );
        assert_eq!(error.code, code);
        assert!(rig.stub.cloud().machines.is_empty() && rig.provider.unknown_codes().is_empty());
    }
}

#[tokio::test]
async fn an_answer_lost_after_the_commit_is_found_in_its_reservation() {
    let rig = StubRig::with_reservations(Some(OfferKind::Block)).await;
    let wanted = rig.spec(1, 1).await;
    rig.stub.cloud().fail_next("RunInstances", Fault::DropAfter);
    assert_eq!(rig.provider.provision(&wanted).await.unwrap_err().certainty, Certainty::Unknown);
    rig.stub.pass(std::time::Duration::from_secs(60));
    let tag = Observe::Tag { key: TAG_INTENT.to_owned(), value: wanted.intent.to_string() };
    assert_eq!(rig.provider.observe(&tag).await.unwrap().len(), 1);
    assert!(rig.provider.provision(&wanted).await.unwrap().replayed);
    assert_eq!(rig.stub.cloud().machines.len(), 1);
}

#[tokio::test]
async fn an_offer_that_is_none_of_ours_is_refused_before_anything_is_sent() {
    let rig = StubRig::with_reservations(Some(OfferKind::Reserved)).await;
    let wanted = rig.spec(1, 1).await;
    let plain = StubRig::start(None).await;
    let bad = |of: fn(&mut Offer)| {
        let mut bad = wanted.clone();
        of(&mut bad.offer);
        bad
    };
    for bad in [
        bad(|offer| offer.reservation = None),
        bad(|offer| offer.kind = OfferKind::Spot),
        bad(|offer| offer.kind = OfferKind::OnDemand),
        bad(|offer| offer.kind = OfferKind::Flex),
    ] {
        let error = rig.provider.provision(&bad).await.unwrap_err();
        assert_eq!(
            (error.kind, error.certainty, error.code.as_str()),
            (ErrorKind::Config, Certainty::NotDone, "Kind")
        );
    }
    let error = plain.provider.provision(&wanted).await.unwrap_err();
    assert_eq!(error.code, "Kind", "not where the settings know of no reservations");
    assert_eq!(rig.stub.cloud().count("RunInstances") + plain.stub.cloud().count("RunInstances"), 0);
    assert_eq!(wanted.price.0, Money::from_nanos(0, Currency::USD));
    assert_eq!(ACCOUNT.len(), 12);
}
