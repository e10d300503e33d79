//! The named stories hold for every seed: that is what a demo stands on.

use std::time::Duration;

use hpc_provider::{CapacityProvider, Certainty, ErrorKind, InterruptionKind, Observe};
use hpc_provider_sim::{STORIES, Script, SimConfig, SimError, SimWorld};
use hpc_resources::{OfferKind, StockHint};

use crate::tools::{cloud, create, offer, offers, spec, start, world};

#[test]
fn every_name_has_a_story_and_others_say_which_there_are() {
    for name in STORIES {
        let script = Script::named(name).unwrap();
        let text = serde_json::to_string(&script).unwrap();
        assert_eq!(serde_json::from_str::<Script>(&text).unwrap(), script, "scripts are data");
    }
    let error = Script::named("spot-recliam").unwrap_err();
    assert!(matches!(&error, SimError::Script { what } if what.contains("spot-reclaim")), "{error}");
    assert!(serde_json::from_str::<Script>(r#"{"rulez": []}"#).is_err(), "unknown fields are mistakes");
}

#[tokio::test]
async fn the_cheapest_spot_is_where_the_story_says_for_every_seed() {
    for seed in 0..50 {
        let world = SimWorld::open(SimConfig::new(seed, start())).unwrap();
        world.advance(Duration::from_secs(seed * 977)).unwrap();
        let mut all = Vec::new();
        for id in ["sim-aws", "sim-gcp"] {
            all.extend(offers(cloud(&world, id).as_ref(), world.now()).await);
        }
        all.retain(|offer| offer.kind == OfferKind::Spot && offer.accelerators.unwrap().count == 8);
        all.sort_by_key(|offer| offer.price.unwrap().0.nanos());
        assert_eq!(all[0].zone.as_str(), "us-central1-a", "seed {seed}");
        // `us-west-2` has no quota in any story.
        let next = all.iter().filter(|offer| offer.region.as_str() != "us-west-2").nth(1).unwrap();
        assert_eq!(next.zone.as_str(), "use1-az1", "seed {seed}");
        let dear = all.iter().find(|offer| offer.region.as_str() == "europe-west4").unwrap();
        let limit = "30.00 USD".parse().unwrap();
        assert!(dear.price.unwrap().0.exceeds(limit), "seed {seed}: {:?}", dear.price);
        let aws = all.iter().find(|offer| offer.zone.as_str() == "use1-az1").unwrap();
        assert!(!aws.price.unwrap().0.exceeds("26.00 USD".parse().unwrap()), "seed {seed}: {:?}", aws.price);
    }
}

#[tokio::test]
async fn stock_out_looks_good_until_it_is_asked() {
    let world = world(Script::named("stock-out").unwrap());
    let cheapest = offer(&world, "sim-gcp", "us-central1-a", OfferKind::Spot).await;
    assert_eq!(cheapest.stock, StockHint::Likely);
    let error = create(&world, &spec(&cheapest, 1, 1)).await.unwrap_err();
    assert_eq!((error.kind, error.certainty), (ErrorKind::Capacity, Certainty::NotDone));
    assert_eq!(error.code, "ZONE_RESOURCE_POOL_EXHAUSTED");
    assert!(error.message.starts_with("simulated"));
    let next = offer(&world, "sim-aws", "use1-az1", OfferKind::Spot).await;
    let made = create(&world, &spec(&next, 2, 1)).await.unwrap();
    assert!(made.handles[0].id.starts_with("i-sim-"));
    assert_eq!(world.live_instances().len(), 1);
    let quotas = cloud(&world, "sim-aws").quotas().await.unwrap();
    let spot_p = |region: &str| {
        let found = quotas.iter().find(|q| q.region.as_str() == region && q.family.as_str() == "L-7212CCBC");
        found.map(|quota| (quota.limit, quota.used)).unwrap()
    };
    assert_eq!(spot_p("us-west-2"), (0, 0));
    assert_eq!(spot_p("us-east-1").1, 192, "one p5.48xlarge is 192 vCPUs");
    let refused = offer(&world, "sim-aws", "usw2-az1", OfferKind::Spot).await;
    let error = create(&world, &spec(&refused, 3, 1)).await.unwrap_err();
    assert_eq!((error.kind, error.code.as_str()), (ErrorKind::Quota, "MaxSpotInstanceCountExceeded"));
}

#[tokio::test]
async fn quota_and_lost_answer_hit_the_cheapest_zone() {
    let quota = world(Script::named("quota").unwrap());
    let cheapest = offer(&quota, "sim-gcp", "us-central1-a", OfferKind::Spot).await;
    let error = create(&quota, &spec(&cheapest, 1, 1)).await.unwrap_err();
    assert_eq!((error.kind, error.code.as_str()), (ErrorKind::Quota, "QUOTA_EXCEEDED"));

    let lost = world(Script::named("lost-answer").unwrap());
    let spec = spec(&cheapest, 1, 1);
    assert_eq!(create(&lost, &spec).await.unwrap_err().certainty, Certainty::Unknown);
    assert_eq!(lost.live_instances().len(), 1);
    let again = create(&lost, &spec).await.unwrap();
    assert!(again.replayed);
    assert_eq!(lost.live_instances().len(), 1);
}

#[tokio::test]
async fn spot_reclaim_announces_itself_and_the_bill_stops() {
    let world = world(Script::named("spot-reclaim").unwrap());
    let offer = offer(&world, "sim-aws", "use1-az1", OfferKind::Spot).await;
    let made = create(&world, &spec(&offer, 1, 1)).await.unwrap();
    let aws = cloud(&world, "sim-aws");
    world.advance(Duration::from_secs(479)).unwrap();
    let quiet = aws.interruptions(None).await.unwrap();
    assert!(quiet.events.is_empty());
    world.advance(Duration::from_secs(1)).unwrap();
    let page = aws.interruptions(Some(quiet.cursor)).await.unwrap();
    assert_eq!(page.events.len(), 1);
    assert_eq!(page.events[0].kind, InterruptionKind::Notice);
    assert_eq!(page.events[0].deadline.duration_since(world.now()).as_secs(), 120);
    world.advance(Duration::from_secs(10_000)).unwrap();
    let state = aws.observe(&Observe::Handles(made.handles)).await.unwrap().remove(0);
    assert!(state.reclaimed);
    let bill = world.bill();
    assert_eq!(bill[0].to, state.ended_at);
    assert_eq!(bill[0].amount, offer.price.unwrap().cost_half_even(1, 600).unwrap());
    let second = create(&world, &spec(&offer, 2, 1)).await.unwrap();
    world.advance(Duration::from_secs(10_000)).unwrap();
    assert_eq!(world.live_instances()[0].handle, second.handles[0], "the story takes one instance only");
}
