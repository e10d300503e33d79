//! Reservations: what is paid for is never mistaken for what is unknown, and nothing is planned past its end.

use hpc_resources::{
    AcceleratorModel, Accelerators, Bytes, Catalog, Exclusion, Facts, InstanceType, MilliCpu, Money, Offer,
    OfferKey, OfferKind, PerInstanceHour, Plan, PlanId, PlanInput, ProviderId, RankWeights, Region,
    RequestId, Reservation, ReservationId, ResourceRequest, StockHint, StockMemory, StockOut, StockPlace,
    StockPolicy, StockReason, StockScope, ZoneId, plan,
};
use jiff::Timestamp;

fn at(text: &str) -> Timestamp {
    format!("2026-11-20T{text}Z").parse().unwrap()
}

fn usd(text: &str) -> PerInstanceHour {
    PerInstanceHour(text.parse().unwrap())
}

fn offer(kind: OfferKind, price: Option<&str>) -> Offer {
    Offer {
        provider: ProviderId::parse("aws").unwrap(),
        region: Region::parse("us-east-1").unwrap(),
        zone: ZoneId::parse("use1-az1").unwrap(),
        instance_type: InstanceType::parse("p5.48xlarge").unwrap(),
        kind,
        accelerators: Some(Accelerators {
            model: AcceleratorModel::H100,
            count: 8,
            memory_each: Bytes::from_mib(81_920),
        }),
        cpu: MilliCpu::whole(192),
        memory: Bytes::from_mib(2_097_152),
        price: price.map(usd),
        as_of: at("12:00:00"),
        snapshot: "s".to_owned(),
        stock: StockHint::Likely,
        quota: None,
        start_delay_s: 120,
        reclaim_bp_per_hour: 0,
        simulated: true,
        reservation: None,
        run_max_s: None,
    }
}

fn reserved(id: &str, left: u32) -> Offer {
    let id = ReservationId::parse(id).unwrap();
    let reservation = Reservation { id, paid: true, left, starts_at: None, ends_at: None };
    Offer { reservation: Some(Box::new(reservation)), ..offer(OfferKind::Reserved, Some("0.00 USD")) }
}

fn block(id: &str, from: Option<&str>, to: &str) -> Offer {
    let mut block = Offer { kind: OfferKind::Block, ..reserved(id, 4) };
    let reservation = block.reservation.as_mut().unwrap();
    (reservation.starts_at, reservation.ends_at) = (from.map(at), Some(at(to)));
    block
}

struct Open;

impl Facts for Open {
    fn policy(&self, _offer: &Offer, _hourly: Money) -> Result<(), (String, String)> {
        Ok(())
    }
    fn quota(&self, _offer: &Offer) -> Option<(u64, u64)> {
        None
    }
    fn stock_out(&self, _offer: &Offer) -> Option<StockOut> {
        None
    }
}

/// A plan for two hours from noon.
fn planned(offers: Vec<Offer>, gpus: u32) -> Plan {
    let request = ResourceRequest::new("r")
        .add_gpu_nvidia_h100(gpus)
        .with_instances_max(8)
        .with_duration_s(7_200)
        .build()
        .unwrap();
    let input = PlanInput {
        plan_id: PlanId::from_bits(1),
        request_id: RequestId::from_bits(1),
        request: &request,
        catalog: &Catalog::new(offers),
        unavailable: &[],
        facts: &Open,
        headroom: None,
        weights: RankWeights::default(),
        now: at("12:00:00"),
        valid_for_s: 300,
    };
    plan(&input).unwrap()
}

fn why(offer: Offer, gpus: u32) -> Option<Exclusion> {
    planned(vec![offer], gpus).excluded.into_iter().next().map(|excluded| excluded.why)
}

#[test]
fn a_zero_is_believed_only_of_what_is_paid_for() {
    let unpaid = |price: Option<&str>| {
        let mut unpaid = Offer { price: price.map(usd), ..reserved("cr-1", 1) };
        unpaid.reservation.as_mut().unwrap().paid = false;
        unpaid
    };
    let zero = Some("0.00 USD");
    for (offer, believed) in [
        (offer(OfferKind::Spot, zero), None),
        (offer(OfferKind::OnDemand, zero), None),
        (offer(OfferKind::Flex, zero), None),
        // The word for the kind is not enough: a reservation must say that it is paid for.
        (offer(OfferKind::Reserved, zero), None),
        (offer(OfferKind::Block, zero), None),
        (unpaid(zero), None),
        (offer(OfferKind::OnDemand, Some("-1.00 USD")), None),
        (Offer { price: Some(usd("-0.01 USD")), ..reserved("cr-1", 1) }, None),
        // What is paid for and has no price at all is unknown, and not free.
        (Offer { price: None, ..reserved("cr-1", 1) }, None),
        (offer(OfferKind::Owned, None), None),
        (offer(OfferKind::Owned, zero), zero),
        (reserved("cr-1", 1), zero),
        (unpaid(Some("55.04 USD")), Some("55.04 USD")),
        (offer(OfferKind::Spot, Some("0.000000001 USD")), Some("0.000000001 USD")),
    ] {
        assert_eq!(offer.rate(), believed.map(usd), "{offer:?}");
        let expected = if believed.is_none() { Some(Exclusion::PriceUnknown) } else { None };
        assert_eq!(why(offer, 8), expected);
    }
}

#[test]
fn what_is_paid_for_comes_first_and_costs_nothing() {
    let spot = offer(OfferKind::Spot, Some("0.000000001 USD"));
    let plan = planned(vec![spot, reserved("cr-1", 2), block("cr-2", None, "18:00:00")], 16);
    let order: Vec<String> = plan.attempts.iter().map(|attempt| attempt.offer.key().to_string()).collect();
    assert_eq!(
        order,
        [
            // What ends by itself is used up first.
            "aws/us-east-1/use1-az1/p5.48xlarge/block/cr-2",
            "aws/us-east-1/use1-az1/p5.48xlarge/reserved/cr-1",
            "aws/us-east-1/use1-az1/p5.48xlarge/spot",
        ]
    );
    for attempt in plan.attempts.iter().take(2) {
        assert_eq!((attempt.hourly, attempt.total), (Money::ZERO_USD, Money::ZERO_USD));
        assert_eq!(attempt.score.total_nanos, 0);
    }
    let standing: Vec<Option<String>> = plan.attempts.iter().map(hpc_resources::Attempt::standing).collect();
    assert_eq!(
        standing,
        [
            Some("paid for already, used or not: 4 left in cr-2, ends at 2026-11-20T18:00:00Z".to_owned()),
            Some("paid for already, used or not: 2 left in cr-1".to_owned()),
            None,
        ]
    );
    // The dearest attempt is what a budget holds, should the others be gone.
    assert_eq!(plan.worst_case, Some("0.000000004 USD".parse().unwrap()));
}

#[test]
fn a_reservation_without_room_for_all_is_left_out() {
    assert_eq!(why(reserved("cr-1", 2), 16), None);
    assert_eq!(why(reserved("cr-1", 2), 17), Some(Exclusion::ReservationFull { need: 3, left: 2 }));
    assert_eq!(why(reserved("cr-1", 0), 8), Some(Exclusion::ReservationFull { need: 1, left: 0 }));
}

#[test]
fn nothing_is_planned_past_an_end_or_before_a_beginning() {
    let need_until = at("14:00:00");
    let ends = |to: &str| Some(Exclusion::Window { opens_at: None, ends_at: Some(at(to)), need_until });
    assert_eq!(why(block("cr-1", None, "14:00:00"), 8), None, "half open: it may end when the lease ends");
    assert_eq!(why(block("cr-1", None, "13:59:59"), 8), ends("13:59:59"));
    assert_eq!(why(block("cr-1", None, "11:00:00"), 8), ends("11:00:00"));
    assert_eq!(why(block("cr-1", Some("12:00:00"), "18:00:00"), 8), None, "it begins now");
    let later = Exclusion::Window { opens_at: Some(at("12:00:01")), ends_at: None, need_until };
    assert_eq!(why(block("cr-1", Some("12:00:01"), "18:00:00"), 8), Some(later));
    let flex = |run_max_s| Offer { run_max_s, ..offer(OfferKind::Flex, Some("20.00 USD")) };
    assert_eq!(why(flex(Some(7_200)), 8), None);
    assert_eq!(why(flex(Some(7_199)), 8), ends("13:59:59"));
    assert_eq!(why(flex(Some(u64::MAX)), 8), None, "the end of time is no overflow");
}

#[test]
fn what_an_offer_lasts_is_the_shorter_of_two_ends() {
    let start = at("12:00:00");
    let block = block("cr-1", None, "13:00:00");
    assert_eq!((block.ends_by(start), block.falls_short_s(start, 7_200)), (Some(at("13:00:00")), 3_600));
    assert_eq!(block.falls_short_s(start, 3_600), 0);
    assert_eq!(block.falls_short_s(at("14:00:00"), 60), 3_660, "it is over");
    let spot = offer(OfferKind::Spot, None);
    assert_eq!((spot.ends_by(start), spot.falls_short_s(start, u64::MAX)), (None, 0));
    let both = Offer { run_max_s: Some(600), ..block };
    assert_eq!(both.ends_by(start), Some(at("12:10:00")));
    assert_eq!(both.ends_by(at("12:55:00")), Some(at("13:00:00")));
}

#[test]
fn a_full_reservation_says_nothing_of_another_or_of_the_market() {
    let mut memory = StockMemory::new(StockPolicy::default());
    let (first, second) = (reserved("cr-1", 1).key(), reserved("cr-2", 1).key());
    let market = OfferKey { reservation: None, ..first.clone() };
    let now = at("12:00:00");
    for scope in [StockScope::Zone, StockScope::Region, StockScope::Account] {
        memory.out_of_stock(&first, scope, StockReason::NoStock, "ReservationCapacityExceeded", now);
        assert!(memory.find(&first, now).is_some());
        assert_eq!((memory.find(&second, now), memory.find(&market, now)), (None, None), "{scope:?}");
        memory.in_stock(&second);
        assert!(memory.find(&first, now).is_some(), "another reservation proves nothing");
        memory.in_stock(&first);
        assert_eq!(memory.find(&first, now), None);
    }
}

/// Written by a version that knew no reservations: it must be read, and what it says must be written as it was, because
/// approvals and tokens are bound to its bytes.
#[test]
fn records_from_before_are_read_and_written_as_they_were() {
    let old = r#"{"provider":"aws","region":"us-east-1","zone":"use1-az1","instance_type":"p5.48xlarge","kind":"on-demand","accelerators":{"model":"h100","count":8,"memory_each":"80 GiB"},"cpu":192000,"memory":"2 TiB","price":"55.04 USD","as_of":"2026-11-20T12:00:00Z","snapshot":"s","stock":"likely","quota":null,"start_delay_s":120,"reclaim_bp_per_hour":0,"simulated":true}"#;
    let read: Offer = serde_json::from_str(old).unwrap();
    assert_eq!(read, offer(OfferKind::OnDemand, Some("55.04 USD")));
    assert_eq!(serde_json::to_string(&read).unwrap(), old);
    let old = r#"{"provider":"aws","region":"us-east-1","zone":"use1-az1","instance_type":"p5.48xlarge","kind":"on-demand"}"#;
    let key: OfferKey = serde_json::from_str(old).unwrap();
    assert_eq!(key, read.key());
    assert_eq!(serde_json::to_string(&key).unwrap(), old);
    assert_eq!(key.to_string(), "aws/us-east-1/use1-az1/p5.48xlarge/on-demand");
    let old = r#"{"provider":"aws","instance_type":"p5.48xlarge","kind":"on-demand","region":"us-east-1","zone":"use1-az1"}"#;
    let place: StockPlace = serde_json::from_str(old).unwrap();
    assert_eq!(place, StockPlace::of(&key, StockScope::Zone));
    assert_eq!(serde_json::to_string(&place).unwrap(), old);
    // And a new one comes back as it went.
    let new = block("cr-1", Some("13:00:00"), "18:00:00");
    assert_eq!(serde_json::from_str::<Offer>(&serde_json::to_string(&new).unwrap()).unwrap(), new);
    assert!(
        serde_json::from_str::<Offer>(&serde_json::to_string(&new).unwrap().replace("cr-1", "a b")).is_err()
    );
}
