//! Plans: every offer is either in it or explained, in an order that can be recomputed.

use hpc_resources::{
    ATTEMPTS_MAX, AcceleratorModel, Accelerators, Bytes, Catalog, Currency, Facts, InstanceType, MilliCpu,
    Money, Offer, OfferKind, PerInstanceHour, Plan, PlanId, PlanInput, ProviderId, QuotaCost, QuotaFamily,
    RankWeights, Region, RequestId, ResourceRequest, StockHint, StockOut, StockPlace, StockReason,
    StockScope, ZoneId, plan,
};
use jiff::Timestamp;
use proptest::prelude::*;

const NOW: &str = "2026-11-20T12:00:00Z";

fn now() -> Timestamp {
    NOW.parse().unwrap()
}

/// Facts that depend on nothing but the offer, and so are the same when asked twice.
struct Odd;

impl Facts for Odd {
    fn policy(&self, offer: &Offer, _hourly: Money) -> Result<(), (String, String)> {
        if offer.region.as_str() == "r3" {
            Err(("doc/no-r3".to_owned(), "not there".to_owned()))
        } else {
            Ok(())
        }
    }
    fn quota(&self, offer: &Offer) -> Option<(u64, u64)> {
        (offer.region.as_str() == "r2").then_some((100, 40))
    }
    fn stock_out(&self, offer: &Offer) -> Option<StockOut> {
        (offer.zone.as_str() == "z1").then(|| StockOut {
            place: StockPlace::of(&offer.key(), StockScope::Zone),
            until: "2026-11-20T12:01:00Z".parse().unwrap(),
            seen_at: now(),
            times: 1,
            reason: StockReason::NoStock,
            code: "NoStock".to_owned(),
        })
    }
}

fn offer() -> impl Strategy<Value = Offer> {
    let place = (0..5_u8, 0..4_u8, 0..30_u16);
    let shape = (0..3_usize, 1..9_u32, 1..200_u32, 1..2_000_000_u64);
    let market = (
        proptest::option::of(1..200_000_000_000_i64),
        0..OfferKind::ALL.len(),
        0..3_usize,
        0..5_000_u32,
        0..2_000_u32,
    );
    (place, shape, market).prop_map(
        |((region, zone, name), (model, count, vcpus, mib), (price, kind, stock, delay, reclaim))| Offer {
            provider: ProviderId::parse("p").unwrap(),
            region: Region::parse(format!("r{region}")).unwrap(),
            zone: ZoneId::parse(format!("z{zone}")).unwrap(),
            instance_type: InstanceType::parse(format!("t{name}")).unwrap(),
            kind: OfferKind::ALL[kind],
            accelerators: [Some("h100"), Some("l4"), None][model].map(|model| Accelerators {
                model: AcceleratorModel::parse(model).unwrap(),
                count,
                memory_each: Bytes::from_mib(81_920),
            }),
            cpu: MilliCpu::whole(vcpus),
            memory: Bytes::from_mib(mib),
            price: price.map(|nanos| PerInstanceHour(Money::from_nanos(nanos, Currency::USD))),
            as_of: now(),
            snapshot: "s".to_owned(),
            stock: [StockHint::Likely, StockHint::Unlikely, StockHint::Unknown][stock],
            quota: Some(QuotaCost {
                family: QuotaFamily::parse("f").unwrap(),
                units_per_instance: u64::from(vcpus),
            }),
            start_delay_s: delay,
            reclaim_bp_per_hour: reclaim,
            simulated: true,
            reservation: None,
            run_max_s: None,
        },
    )
}

fn make(catalog: &Catalog, request: &ResourceRequest, headroom: Option<Money>) -> Plan {
    let input = PlanInput {
        plan_id: PlanId::from_bits(1),
        request_id: RequestId::from_bits(1),
        request,
        catalog,
        unavailable: &[],
        facts: &Odd,
        headroom,
        weights: RankWeights::default(),
        now: now(),
        valid_for_s: 300,
    };
    plan(&input).unwrap()
}

proptest! {
    #[test]
    fn a_plan_keeps_every_promise(offers in proptest::collection::vec(offer(), 0..120), count in 1..40_u32, instances in 1..8_u32, hourly in 1..400_i64, headroom in proptest::option::of(1..900_i64)) {
        let limit = Money::from_nanos(hourly * 1_000_000_000, Currency::USD);
        let request = ResourceRequest::new("r")
            .add_gpu_nvidia_h100(count)
            .with_instances_max(instances)
            .with_max_hourly(limit)
            .with_duration_s(7_200)
            .with_kinds([OfferKind::Spot, OfferKind::OnDemand, OfferKind::Owned])
            .build()
            .unwrap();
        let headroom = headroom.map(|units| Money::from_nanos(units * 1_000_000_000, Currency::USD));
        let total = offers.len() as u64;
        let catalog = Catalog::new(offers.clone());
        let made = make(&catalog, &request, headroom);

        // Nothing disappears.
        let excluded: u64 = made.excluded_counts.values().sum();
        prop_assert_eq!(made.attempts.len() as u64 + excluded, total);
        prop_assert!(made.attempts.len() <= ATTEMPTS_MAX);
        // What is in it is allowed, large enough, affordable and in stock.
        for attempt in &made.attempts {
            let offer = &attempt.offer;
            prop_assert!(Odd.policy(offer, attempt.hourly).is_ok() && Odd.stock_out(offer).is_none());
            prop_assert!(offer.kind != OfferKind::Reserved);
            let have = offer.accelerators.unwrap();
            prop_assert!(have.model == AcceleratorModel::H100 && have.count * attempt.instances >= count);
            prop_assert!(attempt.instances <= instances);
            prop_assert!(!attempt.hourly.exceeds(limit));
            prop_assert!(headroom.is_none_or(|headroom| !attempt.total.exceeds(headroom)));
            if let Some((limit, used)) = Odd.quota(offer) {
                prop_assert!(offer.quota.as_ref().unwrap().units_per_instance * u64::from(attempt.instances) <= limit - used);
            }
            prop_assert_eq!(Some(attempt.price), offer.price);
            prop_assert!(attempt.score.total_nanos >= attempt.score.price_nanos);
        }
        prop_assert!(made.attempts.is_sorted_by_key(|attempt| attempt.score));
        prop_assert_eq!(made.worst_case.map(|m| m.nanos()), made.attempts.iter().map(|a| a.total.nanos()).max());
        // Each exclusion says what would include the offer.
        prop_assert!(made.excluded.iter().all(|excluded| !excluded.included_by.is_empty()));

        // The order in which offers arrive does not matter, nor does asking twice.
        let mut shuffled = offers;
        shuffled.reverse();
        shuffled.dedup();
        let again = make(&catalog, &request, headroom);
        prop_assert_eq!(made.hash_hex().unwrap(), again.hash_hex().unwrap());
        let back: Plan = serde_json::from_str(&serde_json::to_string(&made).unwrap()).unwrap();
        prop_assert_eq!(&back, &made);
    }

    /// The price knob of an exclusion is exact: with it the offer is in, with a nano-unit less it is not.
    #[test]
    fn the_knob_for_the_price_is_exact(offer in offer(), nanos in 1_000_000_000..200_000_000_000_i64) {
        let cost = PerInstanceHour(Money::from_nanos(nanos, Currency::USD));
        let good = Offer {
            region: Region::parse("r0").unwrap(),
            zone: ZoneId::parse("z0").unwrap(),
            price: Some(cost),
            accelerators: Some(Accelerators { model: AcceleratorModel::H100, count: 8, memory_each: Bytes(1) }),
            ..offer
        };
        let catalog = Catalog::new(vec![good]);
        let planned = |limit: Money| {
            let request = ResourceRequest::new("r").add_gpu_nvidia_h100(8).with_max_hourly(limit).build().unwrap();
            make(&catalog, &request, None)
        };
        let short = planned(Money::from_nanos(nanos - 1, Currency::USD));
        prop_assert!(short.attempts.is_empty());
        let knob = short.excluded[0].included_by.strip_prefix("max_hourly: ").unwrap().parse().unwrap();
        prop_assert_eq!(planned(knob).attempts.len(), 1);
    }
}

#[test]
fn a_plan_expires_half_open_and_its_hash_covers_everything() {
    let request = ResourceRequest::new("r").add_gpu_nvidia_h100(8).build().unwrap();
    let made = make(&Catalog::default(), &request, None);
    let end: Timestamp = "2026-11-20T12:05:00Z".parse().unwrap();
    assert!(!made.is_expired("2026-11-20T12:04:59.999Z".parse().unwrap()) && made.is_expired(end));
    let other = Plan { duration_s: made.duration_s + 1, ..made.clone() };
    assert_ne!(made.hash_hex().unwrap(), other.hash_hex().unwrap());
}
