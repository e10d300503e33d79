//! Everything that can go wrong, one at a time.

use std::time::Duration;

use futures_util::FutureExt;
use hpc_provider::{
    Billing, CapacityProvider, ErrorKind, INSTANCES_MAX, InstancePhase, InterruptionKind, Observe, Released,
    TAG_INTENT, TAGS_MAX,
};
use hpc_provider_sim::{
    Call, Chances, ENDED_KEPT_MAX, Effect, LIVE_MAX, Notice, OBSERVE_MAX, PAGE_INSTANCES, PRICE_HELD_S,
    PriceRule, PriceSeries, QuotaRule, RULES_MAX, ReclaimRule, Rule, Script, SimConfig, SimError, SimWorld,
    SpotTrace, Throttle, TraceRule, Where,
};
use hpc_resources::{Money, OfferKind, PerInstanceHour, ProviderId, StockHint, ZoneId};

use crate::tools::{cloud, config, create, offer, spec, start, world};

fn rule(call: Call, effect: Effect) -> Rule {
    Rule { call, at: Where::default(), effect, skip: 0, times: None }
}

fn rules(rules: impl IntoIterator<Item = Rule>) -> Script {
    Script { rules: rules.into_iter().collect(), ..Script::default() }
}

#[tokio::test]
async fn a_hung_call_never_answers_and_may_have_been_carried_out() {
    for (effect, made) in [(Effect::HangBefore, 0), (Effect::HangAfter, 1)] {
        let once = Rule { times: Some(1), ..rule(Call::Provision, effect) };
        let world = world(rules([once]));
        let offer = offer(&world, "sim-aws", "use1-az1", OfferKind::OnDemand).await;
        let spec = spec(&offer, 1, 1);
        assert!(create(&world, &spec).now_or_never().is_none(), "it answered");
        assert_eq!(world.live_instances().len(), made);
        // The world itself does not hang, and the same token tells what happened.
        assert_eq!(create(&world, &spec).await.unwrap().replayed, made == 1);
        assert_eq!(world.live_instances().len(), 1);
    }
}

#[tokio::test]
async fn a_rule_waits_happens_and_ends() {
    let some = Rule { skip: 1, times: Some(2), ..rule(Call::Observe, Effect::Internal) };
    let world = world(rules([some]));
    let aws = cloud(&world, "sim-aws");
    let mut worked = Vec::new();
    for _ in 0..5 {
        worked.push(aws.observe(&Observe::Handles(Vec::new())).await.is_ok());
    }
    assert_eq!(worked, [true, false, false, true, true]);
}

#[tokio::test]
async fn every_call_can_be_refused() {
    for (effect, kind) in [
        (Effect::Auth, ErrorKind::Auth),
        (Effect::Throttled { retry_after_ms: 250 }, ErrorKind::Throttled),
        (Effect::Internal, ErrorKind::Internal),
    ] {
        let calls = [
            Call::Quote,
            Call::Provision,
            Call::SpotPrices,
            Call::Observe,
            Call::Release,
            Call::ListOwned,
            Call::Quotas,
            Call::Interruptions,
        ];
        let fine = world(Script::default());
        let offer = offer(&fine, "sim-aws", "use1-az1", OfferKind::OnDemand).await;
        let handle = create(&fine, &spec(&offer, 1, 1)).await.unwrap().handles.remove(0);
        let world = world(rules(calls.map(|call| rule(call, effect))));
        let aws = cloud(&world, "sim-aws");
        let quote = hpc_provider::QuoteRequest { request: crate::tools::eight_h100(), now: world.now() };
        let errors = [
            aws.get_quote(&quote).await.err(),
            aws.provision(&spec(&offer, 1, 1)).await.err(),
            aws.check_spot_prices("p5.48xlarge", "us-east-1").await.err(),
            aws.observe(&Observe::Handles(Vec::new())).await.err(),
            aws.release(&handle).await.err(),
            aws.list_owned("x", None).await.err(),
            aws.quotas().await.err(),
            aws.interruptions(None).await.err(),
        ];
        for error in errors {
            let error = error.expect("refused");
            assert_eq!(error.kind, kind);
            if kind == ErrorKind::Throttled {
                assert_eq!(error.retry_after_ms, Some(250));
            }
        }
        assert!(world.instances().is_empty());
    }
}

#[tokio::test]
async fn the_rate_limit_refills_on_the_virtual_clock() {
    let throttle = Some(Throttle { burst: 3, refill_per_s: 2 });
    let world = world(Script { throttle, ..Script::default() });
    let aws = cloud(&world, "sim-aws");
    for _ in 0..3 {
        aws.quotas().await.unwrap();
    }
    let error = aws.quotas().await.unwrap_err();
    assert_eq!((error.kind, error.retry_after_ms), (ErrorKind::Throttled, Some(500)));
    cloud(&world, "sim-gcp").quotas().await.expect("each provider has a limit of its own");
    world.advance(Duration::from_millis(500)).unwrap();
    aws.quotas().await.unwrap();
    aws.quotas().await.unwrap_err();
    world.advance(Duration::from_secs(3_600)).unwrap();
    for _ in 0..3 {
        aws.quotas().await.unwrap();
    }
    aws.quotas().await.expect_err("the bucket holds no more than its burst");
}

#[tokio::test]
async fn an_instance_starts_slowly_and_is_seen_late() {
    let world = world(Script::default());
    let offer = offer(&world, "sim-aws", "use1-az1", OfferKind::OnDemand).await;
    let spec = spec(&offer, 1, 1);
    let aws = cloud(&world, "sim-aws");
    let handle = create(&world, &spec).await.unwrap().handles.remove(0);
    let tag = Observe::Tag { key: TAG_INTENT.to_owned(), value: spec.intent.as_str().to_owned() };
    assert!(aws.observe(&tag).await.unwrap().is_empty(), "not seen yet, which proves nothing");
    assert!(aws.list_owned("tests", None).await.unwrap().instances.is_empty());
    assert_eq!(world.live_instances().len(), 1, "but it exists, and costs money");
    world.advance(Duration::from_millis(500)).unwrap();
    assert_eq!(aws.observe(&tag).await.unwrap()[0].phase, InstancePhase::Pending);
    world.advance(Duration::from_secs(u64::from(offer.start_delay_s) * 9 / 8 + 1)).unwrap();
    assert_eq!(aws.observe(&tag).await.unwrap()[0].phase, InstancePhase::Running);
    assert_eq!(aws.release(&handle).await.unwrap(), Released::Released);
    assert_eq!(aws.observe(&tag).await.unwrap()[0].phase, InstancePhase::Terminated);
}

#[tokio::test]
async fn a_release_before_it_is_seen_is_not_lost() {
    let world = world(Script::default());
    let offer = offer(&world, "sim-aws", "use1-az1", OfferKind::OnDemand).await;
    let handle = create(&world, &spec(&offer, 1, 1)).await.unwrap().handles.remove(0);
    assert_eq!(cloud(&world, "sim-aws").release(&handle).await.unwrap(), Released::Released);
    assert!(world.live_instances().is_empty());
}

#[tokio::test]
async fn stopping_takes_time_and_costs_nothing() {
    let world = SimWorld::open(SimConfig { stop_delay_ms: 30_000, ..config(Script::default()) }).unwrap();
    let offer = offer(&world, "sim-aws", "use1-az1", OfferKind::OnDemand).await;
    let handle = create(&world, &spec(&offer, 1, 1)).await.unwrap().handles.remove(0);
    let aws = cloud(&world, "sim-aws");
    world.advance(Duration::from_secs(100)).unwrap();
    assert_eq!(aws.release(&handle).await.unwrap(), Released::InProgress);
    world.advance(Duration::from_secs(29)).unwrap();
    assert_eq!(aws.list_owned("tests", None).await.unwrap().instances[0].phase, InstancePhase::Stopping);
    assert_eq!(aws.release(&handle).await.unwrap(), Released::InProgress);
    world.advance(Duration::from_secs(1)).unwrap();
    assert!(aws.list_owned("tests", None).await.unwrap().instances.is_empty());
    assert_eq!(aws.release(&handle).await.unwrap(), Released::AlreadyGone);
    assert_eq!(aws.bill().await.unwrap()[0].amount, offer.price.unwrap().cost_half_even(1, 100).unwrap());
}

#[tokio::test]
async fn a_reclaim_is_announced_once_twice_late_or_never() {
    use InterruptionKind::{Notice as Told, Reclaimed};
    for (notice, events) in [
        (Notice::Before, vec![(Told, 480), (Reclaimed, 600)]),
        (Notice::Twice, vec![(Told, 480), (Told, 480), (Reclaimed, 600)]),
        (Notice::Late, vec![(Told, 660)]),
        (Notice::Never, vec![]),
    ] {
        let reclaims = vec![ReclaimRule { at: Where::default(), after_s: 600, notice, times: None }];
        let world = world(Script { reclaims, ..Script::default() });
        let spot = offer(&world, "sim-aws", "use1-az1", OfferKind::Spot).await;
        let kept = offer(&world, "sim-aws", "use1-az1", OfferKind::OnDemand).await;
        create(&world, &spec(&spot, 1, 1)).await.unwrap();
        create(&world, &spec(&kept, 2, 1)).await.unwrap();
        // In one leap, or in many small ones: the same things happen at the same times.
        world.advance(Duration::from_secs(3_600)).unwrap();
        let page = cloud(&world, "sim-aws").interruptions(None).await.unwrap();
        let seen: Vec<_> = page
            .events
            .iter()
            .map(|event| (event.kind, event.seen_at.duration_since(start()).as_secs()))
            .collect();
        assert_eq!(seen, events, "{notice:?}");
        assert!(page.events.iter().all(|event| event.deadline.duration_since(start()).as_secs() == 600));
        let live = world.live_instances();
        assert_eq!(live.len(), 1, "{notice:?}");
        assert_eq!(live[0].kind, OfferKind::OnDemand, "nobody takes back what is not spot");
        let taken = world.instances().into_iter().find(|instance| instance.reclaimed).unwrap();
        assert_eq!(taken.ended_at.unwrap().duration_since(start()).as_secs(), 600);
    }
}

#[tokio::test]
async fn a_recorded_trace_limits_stock_and_takes_back_the_newest() {
    let trace = SpotTrace::parse(r#"{"metadata":{"gap_seconds":1000},"data":[3,3,1,0]}"#).unwrap();
    let at = Where { kind: Some(OfferKind::Spot), ..Where::default() };
    let world =
        world(Script { traces: vec![TraceRule { at, trace, notice: Notice::Before }], ..Script::default() });
    let spot = offer(&world, "sim-aws", "use1-az1", OfferKind::Spot).await;
    assert_eq!(create(&world, &spec(&spot, 1, 4)).await.unwrap_err().kind, ErrorKind::Capacity);
    assert!(world.instances().is_empty(), "all or nothing");
    let first = create(&world, &spec(&spot, 2, 1)).await.unwrap().handles.remove(0);
    create(&world, &spec(&spot, 3, 2)).await.unwrap();
    assert_eq!(offer(&world, "sim-aws", "use1-az1", OfferKind::Spot).await.stock, StockHint::Unlikely);
    assert_eq!(offer(&world, "sim-aws", "use1-az2", OfferKind::Spot).await.stock, StockHint::Likely);
    world.advance(Duration::from_secs(2_119)).unwrap();
    assert_eq!(world.live_instances().len(), 3, "announced at 2000, taken two minutes later");
    world.advance(Duration::from_secs(1)).unwrap();
    let live = world.live_instances();
    assert_eq!(live.iter().map(|instance| &instance.handle).collect::<Vec<_>>(), [&first]);
    world.advance(Duration::from_secs(100_000)).unwrap();
    assert!(world.live_instances().is_empty());
}

#[tokio::test]
async fn the_bill_is_exact_and_by_the_second() {
    let world = world(Script::default());
    let spot = offer(&world, "sim-gcp", "us-central1-a", OfferKind::Spot).await;
    world.advance(Duration::from_millis(700)).unwrap();
    let handles = create(&world, &spec(&spot, 1, 3)).await.unwrap().handles;
    world.advance(Duration::from_millis(12_345_678)).unwrap();
    cloud(&world, "sim-gcp").release(&handles[0]).await.unwrap();
    world.advance(Duration::from_secs(60)).unwrap();
    let bill = world.bill();
    let price = spot.price.unwrap();
    assert_eq!(bill.len(), 3);
    assert_eq!(bill[0].from, start(), "the second of the clock that the creation falls in");
    assert_eq!(bill[0].amount, price.cost_half_even(1, 12_346).unwrap());
    assert_eq!(bill[1].amount, price.cost_half_even(1, 12_406).unwrap());
    assert_eq!((bill[1].to, bill[0].tags.get(TAG_INTENT)), (None, bill[1].tags.get(TAG_INTENT)));
}

#[tokio::test]
async fn a_quoted_price_holds_for_an_hour_and_a_false_one_never() {
    let world = world(Script::default());
    let quoted = offer(&world, "sim-aws", "use1-az1", OfferKind::Spot).await;
    world.advance(Duration::from_secs(u64::try_from(PRICE_HELD_S).unwrap() - 1)).unwrap();
    let current = offer(&world, "sim-aws", "use1-az1", OfferKind::Spot).await;
    assert_ne!(current.price, quoted.price, "the seed of this test lets the price move");
    create(&world, &spec(&quoted, 1, 1)).await.unwrap();
    assert_eq!(world.instances()[0].price, quoted.price);
    world.advance(Duration::from_secs(1)).unwrap();
    create(&world, &spec(&quoted, 2, 1)).await.unwrap();
    let now = offer(&world, "sim-aws", "use1-az1", OfferKind::Spot).await;
    assert_eq!(world.instances()[1].price, now.price, "too old");
    let mut cheap = spec(&now, 3, 1);
    cheap.price = PerInstanceHour(Money::from_nanos(1, now.price.unwrap().0.currency()));
    create(&world, &cheap).await.unwrap();
    assert_eq!(world.instances()[2].price, now.price, "nobody names their own price");
    let mut capped = spec(&now, 4, 1);
    capped.price_ceiling = Some("1.00 USD".parse().unwrap());
    let error = create(&world, &capped).await.unwrap_err();
    assert_eq!((error.kind, error.code.as_str()), (ErrorKind::Config, "SpotMaxPriceTooLow"));
}

#[tokio::test]
async fn nonsense_is_refused_and_creates_nothing() {
    let world = world(Script::default());
    let good = offer(&world, "sim-aws", "use1-az1", OfferKind::Spot).await;
    let unknown_price = {
        let request = hpc_resources::ResourceRequest::new("t").add_gpu_named("h200", 8).build().unwrap();
        let quote = hpc_provider::QuoteRequest { request, now: world.now() };
        let offers = cloud(&world, "sim-aws").get_quote(&quote).await.unwrap().offers;
        let offer = offers.into_iter().find(|offer| offer.price.is_none()).expect("p5e has no known price");
        spec(&hpc_resources::Offer { price: good.price, ..offer }, 9, 1)
    };
    let change = |change: &dyn Fn(&mut hpc_provider::ProvisionSpec)| {
        let mut spec = spec(&good, 5, 1);
        change(&mut spec);
        spec
    };
    let cases = [
        change(&|spec| spec.instances = 0),
        change(&|spec| spec.instances = INSTANCES_MAX + 1),
        change(&|spec| spec.offer.kind = OfferKind::Reserved),
        change(&|spec| spec.offer.instance_type = hpc_resources::InstanceType::parse("p9.huge").unwrap()),
        change(&|spec| spec.offer.zone = hpc_resources::ZoneId::parse("us-east-1a").unwrap()),
        change(&|spec| spec.tags.extend((0..TAGS_MAX).map(|n| (format!("t{n}"), String::new())))),
        change(&|spec| drop(spec.tags.insert("x".repeat(257), String::new()))),
        change(&|spec| drop(spec.tags.insert(String::new(), String::new()))),
        unknown_price,
    ];
    for spec in cases {
        let error = create(&world, &spec).await.unwrap_err();
        assert_eq!(error.kind, ErrorKind::Config, "{error}");
    }
    let aws = cloud(&world, "sim-aws");
    let elsewhere = spec(&offer(&world, "sim-gcp", "us-central1-a", OfferKind::Spot).await, 6, 1);
    assert_eq!(aws.provision(&elsewhere).await.unwrap_err().kind, ErrorKind::Config);
    assert_eq!(aws.list_owned("x", Some("bad".to_owned())).await.unwrap_err().kind, ErrorKind::Config);
    assert_eq!(aws.interruptions(Some("-1".to_owned())).await.unwrap_err().kind, ErrorKind::Config);
    let handle = hpc_provider::InstanceHandle {
        provider: ProviderId::parse("sim-gcp").unwrap(),
        region: good.region.clone(),
        id: "i-sim-1".to_owned(),
    };
    assert_eq!(aws.release(&handle).await.unwrap_err().kind, ErrorKind::Config);
    let many = Observe::Handles(vec![handle; OBSERVE_MAX + 1]);
    assert_eq!(aws.observe(&many).await.unwrap_err().kind, ErrorKind::Config);
    for (name, region) in
        [("p9.huge", "us-east-1"), ("p5.48xlarge", "mars-1"), ("a b", "us-east-1"), ("", "")]
    {
        assert_eq!(aws.check_spot_prices(name, region).await.unwrap_err().kind, ErrorKind::Config);
    }
    assert!(world.instances().is_empty());
}

#[tokio::test]
async fn spot_prices_are_a_history_that_ends_with_the_quoted_price() {
    let world = world(Script::default());
    let quoted = offer(&world, "sim-aws", "use1-az1", OfferKind::Spot).await;
    let history = cloud(&world, "sim-aws").check_spot_prices("p5.48xlarge", "us-east-1").await.unwrap();
    assert!(history.simulated);
    assert_eq!(history.prices.len(), 73 * 3, "six hours, every five minutes, three zones");
    assert!(history.prices.is_sorted_by_key(|price| price.at), "newest last");
    let last = history.prices.iter().rfind(|price| price.zone == quoted.zone).unwrap();
    assert_eq!(Some(last.price), quoted.price);
    assert!(last.at <= world.now());
}

#[tokio::test]
async fn recorded_prices_are_quoted_listed_and_billed() {
    let series = PriceSeries::parse(
        r#"{"metadata":{"gap_seconds":600},"data":["20.5 USD","70.25 USD",null,"21 USD"]}"#,
    )
    .unwrap();
    let zone = Some(ZoneId::parse("use1-az1").unwrap());
    let at = Where { kind: Some(OfferKind::Spot), zone, ..Where::default() };
    let world = world(Script { prices: vec![PriceRule { at, series }], ..Script::default() });
    let aws = cloud(&world, "sim-aws");
    let first = offer(&world, "sim-aws", "use1-az1", OfferKind::Spot).await;
    let mut seen = Vec::new();
    for _ in 0..5 {
        let quoted = offer(&world, "sim-aws", "use1-az1", OfferKind::Spot).await;
        seen.push(quoted.price.map(|price| price.0.to_string()));
        if let Some(price) = quoted.price {
            let handle =
                create(&world, &spec(&quoted, seen.len() as u128, 1)).await.unwrap().handles.remove(0);
            world.advance(Duration::from_secs(600)).unwrap();
            aws.release(&handle).await.unwrap();
            let line = world.bill().pop().unwrap();
            assert_eq!(line.amount, price.cost_half_even(1, 600).unwrap());
        } else {
            let mut wanted = spec(&first, 99, 1);
            wanted.price = PerInstanceHour("1.00 USD".parse().unwrap());
            assert_eq!(create(&world, &wanted).await.unwrap_err().code, "PriceUnknown");
            world.advance(Duration::from_secs(600)).unwrap();
        }
    }
    let text = |text: &str| Some(text.to_owned());
    assert_eq!(seen, [text("20.50 USD"), text("70.25 USD"), None, text("21.00 USD"), text("20.50 USD")]);
    let history = aws.check_spot_prices("p5.48xlarge", "us-east-1").await.unwrap().prices;
    let listed: Vec<String> = history
        .iter()
        .filter(|price| price.zone.as_str() == "use1-az1")
        .map(|price| price.price.0.to_string())
        .collect();
    // One point for each tick since the world began; what is not known is left out.
    assert_eq!(listed, ["20.50 USD", "70.25 USD", "21.00 USD", "20.50 USD", "70.25 USD"]);
    assert!(
        offer(&world, "sim-aws", "use1-az2", OfferKind::Spot).await.price.is_some(),
        "others walk as before"
    );
}

#[tokio::test]
async fn the_rack_has_four_nodes_and_they_come_back() {
    let world = world(Script::default());
    let node = offer(&world, "sim-rack", "rack-07", OfferKind::Owned).await;
    assert_eq!((node.quota.as_ref(), node.start_delay_s), (None, 4_200));
    assert_eq!(create(&world, &spec(&node, 1, 5)).await.unwrap_err().code, "NO_FREE_NODE");
    let handles = create(&world, &spec(&node, 2, 4)).await.unwrap().handles;
    assert_eq!(offer(&world, "sim-rack", "rack-07", OfferKind::Owned).await.stock, StockHint::Unlikely);
    assert_eq!(create(&world, &spec(&node, 3, 1)).await.unwrap_err().kind, ErrorKind::Capacity);
    cloud(&world, "sim-rack").release(&handles[2]).await.unwrap();
    create(&world, &spec(&node, 4, 1)).await.expect("one is free again");
}

#[tokio::test]
async fn quotas_count_spot_and_on_demand_apart_and_come_back() {
    let limit =
        QuotaRule { provider: ProviderId::parse("sim-aws").unwrap(), region: None, family: None, limit: 200 };
    let world = world(Script { quotas: vec![limit], ..Script::default() });
    let spot = offer(&world, "sim-aws", "use1-az1", OfferKind::Spot).await;
    let kept = offer(&world, "sim-aws", "use1-az1", OfferKind::OnDemand).await;
    let first = create(&world, &spec(&spot, 1, 1)).await.unwrap().handles.remove(0);
    let error = create(&world, &spec(&spot, 2, 1)).await.unwrap_err();
    assert_eq!((error.kind, error.scope), (ErrorKind::Quota, hpc_provider::Scope::Region));
    create(&world, &spec(&kept, 3, 1)).await.expect("another family");
    assert_eq!(create(&world, &spec(&kept, 4, 1)).await.unwrap_err().code, "VcpuLimitExceeded");
    let there = offer(&world, "sim-aws", "use2-az1", OfferKind::Spot).await;
    create(&world, &spec(&there, 5, 1)).await.expect("another region");
    cloud(&world, "sim-aws").release(&first).await.unwrap();
    create(&world, &spec(&spot, 6, 1)).await.expect("the released vCPUs are free again");
}

#[tokio::test]
async fn there_is_an_end_to_instances_and_pages_hold_a_hundred() {
    let world = world(Script { no_quotas: true, ..Script::default() });
    let kept = offer(&world, "sim-aws", "use1-az1", OfferKind::OnDemand).await;
    assert_eq!(kept.quota, None, "no quotas, none shown");
    let rounds = u128::try_from(LIVE_MAX).unwrap() / u128::from(INSTANCES_MAX);
    for number in 0..rounds {
        create(&world, &spec(&kept, number, INSTANCES_MAX)).await.unwrap();
    }
    assert_eq!(create(&world, &spec(&kept, 1 << 70, 1)).await.unwrap_err().kind, ErrorKind::Quota);
    world.advance(Duration::from_secs(1)).unwrap();
    let page = cloud(&world, "sim-aws").list_owned("tests", None).await.unwrap();
    assert_eq!(page.instances.len(), PAGE_INSTANCES);
    assert!(page.next.is_some() && page.complete);
}

#[test]
fn scripts_have_limits() {
    let script = rules(vec![rule(Call::Quote, Effect::Internal); RULES_MAX + 1]);
    assert!(matches!(SimWorld::open(config(script)), Err(SimError::Script { .. })));
    let lag = SimConfig { consistency_ms: u64::MAX, ..config(Script::default()) };
    assert!(matches!(SimWorld::open(lag), Err(SimError::Script { .. })));
}

#[tokio::test]
async fn the_clock_never_goes_back() {
    let world = world(Script::default());
    world.advance(Duration::from_secs(10)).unwrap();
    assert_eq!(world.advance_to(start()).unwrap(), world.now());
    assert_eq!(world.now().duration_since(start()).as_secs(), 10);
    world.advance(Duration::MAX).unwrap();
    world.advance(Duration::MAX).unwrap();
}

#[tokio::test]
async fn chance_loses_answers_and_takes_instances_but_never_more_than_it_says() {
    let chances = Chances {
        stock_out_bp: 1_000,
        lost_before_bp: 1_000,
        lost_after_bp: 1_000,
        internal_bp: 0,
        reclaims: true,
    };
    let world = world(Script { chances, no_quotas: true, ..Script::default() });
    let spot = offer(&world, "sim-aws", "use1-az1", OfferKind::Spot).await;
    let (mut unknown, mut none) = (0, 0);
    for number in 0..1_000 {
        match create(&world, &spec(&spot, number, 1)).await {
            Ok(_) => {}
            Err(error) if error.kind == ErrorKind::Capacity => none += 1,
            Err(_) => unknown += 1,
        }
    }
    assert!((60..140).contains(&none) && (130..250).contains(&unknown), "{none} {unknown}");
    assert!(world.live_instances().len() < 1_000);
    world.advance(Duration::from_secs(3_600)).unwrap();
    let taken = world.instances().iter().filter(|instance| instance.reclaimed).count();
    assert!((5..60).contains(&taken), "three percent an hour: {taken}");
}

/// What is dropped from memory is still in the sums.
#[tokio::test]
async fn the_oldest_ended_instances_are_forgotten_but_not_what_they_cost() {
    let world = world(Script { no_quotas: true, ..Script::default() });
    let kept = offer(&world, "sim-aws", "use1-az1", OfferKind::OnDemand).await;
    let aws = cloud(&world, "sim-aws");
    let rounds = ENDED_KEPT_MAX / 4_096 + 1;
    for number in 0..u128::try_from(rounds).unwrap() {
        let handles = create(&world, &spec(&kept, number, 4_096)).await.unwrap().handles;
        world.advance(Duration::from_secs(10)).unwrap();
        for handle in handles {
            aws.release(&handle).await.unwrap();
        }
    }
    let forgotten = world.forgotten();
    let all = u64::try_from(rounds * 4_096).unwrap();
    assert_eq!(world.bill().len(), ENDED_KEPT_MAX);
    assert_eq!(forgotten.instances, all - u64::try_from(ENDED_KEPT_MAX).unwrap());
    let each = kept.price.unwrap().cost_half_even(1, 10).unwrap();
    let billed =
        world.bill().iter().fold(forgotten.amount, |sum, line| sum.checked_add(line.amount).unwrap());
    assert_eq!(billed, each.checked_mul(all).unwrap());
}

/// The recordings are played as they were made: availability of V100 in nine zones, of 16 nodes, and preemptions.
#[tokio::test]
async fn real_recordings_are_played_tick_by_tick() {
    let folder = std::path::Path::new("../../../shared/data/spot-traces");
    if !folder.exists() {
        assert!(std::env::var("CI").as_deref() != Ok("true"), "{} is missing", folder.display());
        eprintln!("skipped: {} is not there", folder.display());
        return;
    }
    let mut traces = 0;
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let trace = SpotTrace::parse(&std::fs::read_to_string(&path).unwrap()).unwrap();
        traces += 1;
        if !path.to_string_lossy().contains("16-node") {
            continue;
        }
        let at = Where { kind: Some(OfferKind::Spot), ..Where::default() };
        let rule = TraceRule { at, trace: trace.clone(), notice: Notice::Never };
        let world = world(Script { traces: vec![rule], no_quotas: true, ..Script::default() });
        let spot = offer(&world, "sim-aws", "use1-az1", OfferKind::Spot).await;
        let mut refused = 0;
        for tick in 0..500_u32 {
            let room = usize::try_from(trace.room_at(start(), world.now())).unwrap();
            assert!(world.live_instances().len() <= room, "tick {tick}: more than there is room for");
            let fits = world.live_instances().len() < room;
            let made = create(&world, &spec(&spot, u128::from(tick), 1)).await;
            assert_eq!(made.is_ok(), fits, "tick {tick}");
            refused += u32::from(made.is_err());
            world.advance(Duration::from_secs(u64::from(trace.gap_s()))).unwrap();
        }
        assert!(refused > 50, "{}: a recording without shortage tests nothing", path.display());
    }
    assert_eq!(traces, 16);
}
