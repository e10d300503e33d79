//! Capacity that was set aside, and flex-start, on the stub: what is offered, and what a create says.

use hpc_conformance::provider::Rig;
use hpc_provider::{CapacityProvider, Certainty, ErrorKind, Observe, Scope};
use hpc_resources::{Offer, OfferKind};
use serde_json::{Value, json};

use crate::rig::{StubRig, reserved, spec};
use crate::stub::cloud::Reserved;

fn sent(rig: &StubRig) -> Value {
    let cloud = rig.stub.cloud();
    let call = cloud.calls.iter().rfind(|call| call.action == "instances.bulkInsert").unwrap();
    call.body["instanceProperties"].clone()
}

fn shown(offer: &Offer) -> String {
    let have = offer.reservation.as_ref().unwrap();
    let until = have.ends_at.map_or(String::new(), |at| format!(" until {at}"));
    format!("{} {} {} left at {}{until}", have.id, offer.zone, have.left, offer.price.unwrap().0)
}

#[tokio::test]
async fn what_can_be_named_is_offered_and_costs_nothing_more() {
    let rig = StubRig::set_aside(None).await;
    rig.stub.cloud().reservations.extend([
        Reserved { ends_at: Some("2026-12-01T00:00:00Z".parse().unwrap()), count: 2, ..reserved("limited") },
        Reserved { by_name: false, ..reserved("open") },
        Reserved { status: "CREATING", ..reserved("unready") },
        Reserved { platform: Some("Intel Ice Lake"), ..reserved("picky") },
        Reserved { machine_type: "a2-ultragpu-1g", ..reserved("small") },
        Reserved { machine_type: "c3-standard-4", ..reserved("other") },
        Reserved { zone: "europe-west4-b", count: 0, ..reserved("empty") },
    ]);
    let offers = rig.offers().await;
    let mut found: Vec<String> = offers.iter().filter(|offer| offer.is_paid()).map(shown).collect();
    found.sort();
    assert_eq!(
        found,
        [
            "empty europe-west4-b 0 left at 0.00 USD",
            "limited us-central1-a 2 left at 0.00 USD until 2026-12-01T00:00:00Z",
            "small us-central1-a 15 left at 0.00 USD",
            "training us-central1-a 15 left at 0.00 USD",
        ]
    );
    assert!(offers.iter().filter(|offer| offer.is_paid()).all(|offer| offer.quota.is_none()));
    let plain = StubRig::start(None).await;
    plain.stub.cloud().reservations = vec![reserved("training")];
    assert!(
        plain.offers().await.iter().all(|offer| offer.reservation.is_none() && offer.run_max_s.is_none())
    );
    assert_eq!(plain.stub.cloud().count("reservations.aggregatedList"), 0);
}

#[tokio::test]
async fn a_create_names_its_reservation_and_what_is_on_demand_stays_out_of_all() {
    let rig = StubRig::set_aside(Some(OfferKind::Reserved)).await;
    let wanted = rig.spec(1, 2).await;
    let made = rig.provider.provision(&wanted).await.unwrap();
    assert_eq!(
        sent(&rig)["reservationAffinity"],
        json!({ "consumeReservationType": "SPECIFIC_RESERVATION", "key": "compute.googleapis.com/reservation-name",
            "values": ["training"] })
    );
    rig.stub.pass(std::time::Duration::from_secs(60));
    let seen = rig.provider.observe(&Observe::Handles(made.handles)).await.unwrap();
    assert!(seen.len() == 2 && seen.iter().all(|state| state.kind == OfferKind::Reserved), "{seen:?}");

    let rig = StubRig::set_aside(Some(OfferKind::OnDemand)).await;
    rig.provider.provision(&rig.spec(1, 1).await).await.unwrap();
    assert_eq!(sent(&rig)["reservationAffinity"], json!({ "consumeReservationType": "NO_RESERVATION" }));
    let plain = StubRig::start(Some(OfferKind::OnDemand)).await;
    plain.provider.provision(&plain.spec(1, 1).await).await.unwrap();
    assert_eq!(sent(&plain)["reservationAffinity"], Value::Null);
}

#[tokio::test]
async fn the_token_of_another_reservation_is_a_conflict_for_a_new_process_too() {
    let rig = StubRig::set_aside(Some(OfferKind::Reserved)).await;
    rig.stub.cloud().reservations.push(reserved("second"));
    let offers = rig.offers().await;
    let [first, second] = ["training", "second"].map(|name| {
        let is = |offer: &&Offer| offer.reservation.as_ref().is_some_and(|have| have.id.as_str() == name);
        offers.iter().find(is).cloned().unwrap()
    });
    rig.provider.provision(&spec(first.clone(), 1, 1, rig.now())).await.unwrap();
    rig.stub.pass(std::time::Duration::from_secs(60));
    rig.stub.cloud().forget_requests();
    let config = hpc_provider_gcp::GcpConfig { reservations: true, ..crate::rig::config(&rig.stub.url) };
    let other = crate::rig::connect(&rig.stub, config, std::sync::Arc::new(hpc_provider::NoBoot)).await;
    let error = other.provision(&spec(second, 1, 1, rig.now())).await.unwrap_err();
    assert_eq!((error.kind, error.certainty), (ErrorKind::Conflict, Certainty::NotDone), "{error}");
    assert!(other.provision(&spec(first, 1, 1, rig.now())).await.unwrap().replayed);
    assert_eq!(rig.stub.cloud().machines.len(), 1);
}

#[tokio::test]
async fn a_reservation_that_is_full_or_gone_says_so_and_nothing_is_created() {
    let change = |of: fn(&mut Reserved)| of;
    for (change, kind) in [
        (change(|have| have.hidden = 15), ErrorKind::Capacity),
        (change(|have| have.name = "renamed"), ErrorKind::Config),
    ] {
        let rig = StubRig::set_aside(Some(OfferKind::Reserved)).await;
        let wanted = rig.spec(1, 1).await;
        change(&mut rig.stub.cloud().reservations[0]);
        let error = rig.provider.provision(&wanted).await.unwrap_err();
        assert_eq!((error.kind, error.certainty), (kind, Certainty::NotDone), "{error}");
        if kind == ErrorKind::Capacity {
            assert_eq!((error.scope, error.code.as_str()), (Scope::Zone, "CONDITION_NOT_MET"));
        }
        assert!(rig.stub.cloud().machines.is_empty() && rig.provider.unknown_codes().is_empty());
    }
}

#[tokio::test]
async fn flex_start_says_how_long_it_runs_and_is_no_reservation() {
    let rig = StubRig::set_aside(Some(OfferKind::Flex)).await;
    let offers = rig.offers().await;
    let offer = offers.iter().find(|offer| offer.price.is_some()).unwrap();
    assert_eq!((offer.run_max_s, offer.reclaim_bp_per_hour, offer.kind), (Some(86_400), 0, OfferKind::Flex));
    assert_eq!(offer.quota.as_ref().unwrap().family.as_str(), "PREEMPTIBLE_NVIDIA_A100_80GB_GPUS");
    let made = rig.provider.provision(&spec(offer.clone(), 1, 1, rig.now())).await.unwrap();
    let properties = sent(&rig);
    assert_eq!(
        properties["scheduling"],
        json!({ "provisioningModel": "FLEX_START", "maxRunDuration": { "seconds": "86400" },
            "instanceTerminationAction": "DELETE", "automaticRestart": false, "onHostMaintenance": "TERMINATE" })
    );
    assert_eq!(properties["reservationAffinity"]["consumeReservationType"], "NO_RESERVATION");
    rig.stub.pass(std::time::Duration::from_secs(60));
    let seen = rig.provider.observe(&Observe::Handles(made.handles)).await.unwrap();
    assert_eq!(seen[0].kind, OfferKind::Flex);
}

#[tokio::test]
async fn an_offer_that_is_none_of_ours_is_refused_before_anything_is_sent() {
    let rig = StubRig::set_aside(None).await;
    let offers = rig.offers().await;
    let of = |kind| offers.iter().find(|offer| offer.kind == kind && offer.price.is_some()).cloned().unwrap();
    let (paid, flex, market) = (of(OfferKind::Reserved), of(OfferKind::Flex), of(OfferKind::OnDemand));
    for bad in [
        Offer { reservation: None, ..paid.clone() },
        Offer { kind: OfferKind::OnDemand, ..paid.clone() },
        Offer { kind: OfferKind::Block, ..paid.clone() },
        Offer { reservation: paid.reservation.clone(), ..market },
        Offer { run_max_s: None, ..flex.clone() },
        Offer { run_max_s: Some(599), ..flex.clone() },
        Offer { run_max_s: Some(604_801), ..flex },
    ] {
        let error = rig.provider.provision(&spec(bad, 1, 1, rig.now())).await.unwrap_err();
        assert_eq!(
            (error.kind, error.certainty, error.code.as_str()),
            (ErrorKind::Config, Certainty::NotDone, "Kind")
        );
    }
    let plain = StubRig::start(None).await;
    let error = plain.provider.provision(&spec(paid, 1, 1, rig.now())).await.unwrap_err();
    assert_eq!(error.code, "Kind", "not where the settings know of no reservations");
    assert_eq!(rig.stub.cloud().count("instances.bulkInsert"), 0);
}
