//! What is remembered, for how long, and how far it reaches.

use hpc_resources::{
    InstanceType, OfferKey, OfferKind, ProviderId, Region, STOCK_OUTS_MAX, StockMemory, StockOut, StockPlace,
    StockPolicy, StockReason, StockScope, ZoneId,
};
use jiff::{SignedDuration, Timestamp};
use proptest::prelude::*;

fn offer(number: usize) -> OfferKey {
    offer_in("r", number)
}

fn offer_in(region: &str, number: usize) -> OfferKey {
    OfferKey {
        provider: ProviderId::parse("p").unwrap(),
        region: Region::parse(region).unwrap(),
        zone: ZoneId::parse(format!("z{number}")).unwrap(),
        instance_type: InstanceType::parse("t").unwrap(),
        kind: OfferKind::Spot,
        reservation: None,
    }
}

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(second).unwrap()
}

fn out(memory: &mut StockMemory, offer: &OfferKey, now: Timestamp) {
    memory.out_of_stock(offer, StockScope::Zone, StockReason::NoStock, "ICE", now);
}

fn until(memory: &StockMemory, offer: &OfferKey, now: Timestamp) -> Option<Timestamp> {
    memory.find(offer, now).map(|out| out.until)
}

#[test]
fn repeats_are_remembered_longer_success_and_quiet_end_it() {
    let mut memory = StockMemory::new(StockPolicy { first_s: 100, most_s: 350 });
    let mut now = 0;
    for seconds in [100, 200, 350, 350] {
        out(&mut memory, &offer(1), at(now));
        assert_eq!(until(&memory, &offer(1), at(now)), Some(at(now + seconds)));
        assert_eq!(until(&memory, &offer(1), at(now + seconds - 1)), Some(at(now + seconds)));
        assert_eq!(until(&memory, &offer(1), at(now + seconds)), None, "half open");
        now += seconds + 10;
    }
    assert_eq!(until(&memory, &offer(2), at(0)), None, "another zone is another offer");
    assert_eq!(memory.in_stock(&offer(1)), [StockPlace::of(&offer(1), StockScope::Zone)]);
    out(&mut memory, &offer(1), at(now));
    assert_eq!(until(&memory, &offer(1), at(now)), Some(at(now + 100)), "a success wipes the slate");
    out(&mut memory, &offer(1), at(now + 100 + 350));
    assert_eq!(memory.known(at(now + 450))[0].times, 1, "so does a quiet time");
}

#[test]
fn tries_that_meet_one_wall_at_once_count_once() {
    let mut memory = StockMemory::new(StockPolicy { first_s: 100, most_s: 1_000 });
    for second in [0, 1, 2, 3] {
        out(&mut memory, &offer(1), at(second));
    }
    let known = memory.known(at(3));
    assert_eq!((known[0].times, known[0].until), (1, at(103)), "four at once are no repeat");
    out(&mut memory, &offer(1), at(103));
    assert_eq!(memory.known(at(103))[0].times, 2);
}

#[test]
fn a_stock_out_reaches_as_far_as_its_scope() {
    let (here, beside, elsewhere) = (offer(1), offer(2), offer_in("other", 1));
    for (scope, reached) in [
        (StockScope::Zone, [true, false, false]),
        (StockScope::Region, [true, true, false]),
        (StockScope::Account, [true, true, true]),
    ] {
        let mut memory = StockMemory::default();
        memory.out_of_stock(&here, scope, StockReason::NoStock, "ICE", at(0));
        let found = [&here, &beside, &elsewhere].map(|offer| memory.find(offer, at(1)).is_some());
        assert_eq!(found, reached, "{scope:?}");
        assert_eq!(memory.known(at(1))[0].place.scope(), scope);
        let other = OfferKey { kind: OfferKind::OnDemand, ..here.clone() };
        assert_eq!(memory.find(&other, at(1)), None, "another way of buying is another stock");
        memory.in_stock(&here);
        assert!(memory.known(at(1)).is_empty(), "what can be bought here is not out all around");
    }
    let mut memory = StockMemory::default();
    memory.out_of_stock(&here, StockScope::Region, StockReason::NoStock, "a", at(0));
    memory.out_of_stock(&here, StockScope::Zone, StockReason::Deadline, "b", at(60));
    assert_eq!(memory.find(&here, at(61)).unwrap().code, "b", "the one that lasts");
    assert_eq!(memory.find(&beside, at(61)).unwrap().code, "a");
}

#[test]
fn it_survives_a_restart() {
    let mut memory = StockMemory::default();
    for (number, second) in [(1, 0), (2, 50), (1, 200)] {
        out(&mut memory, &offer(number), at(second));
    }
    let known = memory.known(at(210));
    assert_eq!(known.iter().map(|k| k.times).collect::<Vec<_>>(), [1, 2]);
    let mut again = StockMemory::default();
    let kept: Vec<StockOut> = serde_json::from_str(&serde_json::to_string(&known).unwrap()).unwrap();
    again.restore(kept);
    assert_eq!(again.known(at(210)), known);
    assert!(memory.known(at(100_000)).is_empty());
    assert_eq!(memory.forget(at(230 + 1_800)), [known[0].place.clone()]);
    assert_eq!(memory.forget(at(100_000)), [known[1].place.clone()]);
}

#[test]
fn it_is_bounded_and_drops_what_would_be_back_first() {
    let mut memory = StockMemory::default();
    let mut forgotten = Vec::new();
    for number in 0..=STOCK_OUTS_MAX {
        let now = at(i64::try_from(number / 1_000).unwrap());
        let learnt = memory.out_of_stock(&offer(number), StockScope::Zone, StockReason::NoStock, "ICE", now);
        forgotten.extend(learnt.forgotten);
    }
    assert_eq!(memory.known(at(0)).len(), STOCK_OUTS_MAX);
    assert_eq!(forgotten, [StockPlace::of(&offer(0), StockScope::Zone)], "whoever keeps it is told");
    assert_eq!(until(&memory, &offer(STOCK_OUTS_MAX), at(20)), Some(at(190)));
    let mut other = StockMemory::default();
    out(&mut other, &offer(0), Timestamp::MAX);
    other.restore(memory.known(at(0)));
    assert_eq!(other.known(at(0)).len(), STOCK_OUTS_MAX);
}

#[test]
fn a_providers_code_is_cut_and_cleaned() {
    let mut memory = StockMemory::default();
    let code = format!("\u{1b}[2J{}", "é".repeat(1_000));
    memory.out_of_stock(&offer(1), StockScope::Zone, StockReason::Failure, &code, at(0));
    let kept = &memory.known(at(1))[0].code;
    assert!(kept.starts_with("[2Jé") && kept.len() <= 128, "{kept}");
}

proptest! {
    #[test]
    fn never_longer_than_the_policy(gaps in proptest::collection::vec(0..5_000_i64, 1..60), first in 1..1_000_u32, most in 1..5_000_u32) {
        let mut memory = StockMemory::new(StockPolicy { first_s: first, most_s: most });
        let mut now = at(0);
        for gap in gaps {
            now += SignedDuration::from_secs(gap);
            out(&mut memory, &offer(0), now);
            let left = until(&memory, &offer(0), now).map_or(0, |until| until.duration_since(now).as_secs());
            prop_assert!(left >= i64::from(first.min(most)) && left <= i64::from(most));
        }
    }
}
