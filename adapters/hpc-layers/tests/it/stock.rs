//! What is remembered, for how long.

use hpc_layers::{STOCK_OUTS_MAX, StockMemory, StockPolicy};
use hpc_resources::{InstanceType, OfferKey, OfferKind, ProviderId, Region, ZoneId};
use jiff::{SignedDuration, Timestamp};
use proptest::prelude::*;

fn offer(number: usize) -> OfferKey {
    OfferKey {
        provider: ProviderId::parse("p").unwrap(),
        region: Region::parse("r").unwrap(),
        zone: ZoneId::parse(format!("z{number}")).unwrap(),
        instance_type: InstanceType::parse("t").unwrap(),
        kind: OfferKind::Spot,
    }
}

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(second).unwrap()
}

#[test]
fn repeats_are_remembered_longer_success_and_quiet_end_it() {
    let mut memory = StockMemory::new(StockPolicy { first_s: 100, most_s: 350 });
    let mut now = 0;
    for seconds in [100, 200, 350, 350] {
        memory.out_of_stock(&offer(1), at(now));
        assert_eq!(memory.until(&offer(1), at(now)), Some(at(now + seconds)));
        assert_eq!(memory.until(&offer(1), at(now + seconds - 1)), Some(at(now + seconds)));
        assert_eq!(memory.until(&offer(1), at(now + seconds)), None, "half open");
        now += seconds + 10;
    }
    assert_eq!(memory.until(&offer(2), at(0)), None, "another zone is another offer");
    memory.in_stock(&offer(1));
    memory.out_of_stock(&offer(1), at(now));
    assert_eq!(memory.until(&offer(1), at(now)), Some(at(now + 100)), "a success wipes the slate");
    memory.out_of_stock(&offer(1), at(now + 100 + 350));
    assert_eq!(memory.known(at(now + 450))[0].times, 1, "so does a quiet time");
}

#[test]
fn it_survives_a_restart() {
    let mut memory = StockMemory::default();
    for (number, second) in [(1, 0), (2, 50), (1, 60)] {
        memory.out_of_stock(&offer(number), at(second));
    }
    let known = memory.known(at(100));
    assert_eq!(
        known.iter().map(|k| (k.offer.clone(), k.times)).collect::<Vec<_>>(),
        [(offer(2), 1), (offer(1), 2)]
    );
    let mut again = StockMemory::default();
    again.restore(known.clone());
    assert_eq!(again.known(at(100)), known);
    assert!(memory.known(at(100_000)).is_empty());
}

#[test]
fn it_is_bounded_and_drops_what_would_be_back_first() {
    let mut memory = StockMemory::default();
    for number in 0..=STOCK_OUTS_MAX {
        memory.out_of_stock(&offer(number), at(i64::try_from(number / 1_000).unwrap()));
    }
    assert_eq!(memory.known(at(0)).len(), STOCK_OUTS_MAX);
    assert_eq!(memory.until(&offer(STOCK_OUTS_MAX), at(20)), Some(at(190)));
    let mut other = StockMemory::default();
    other.out_of_stock(&offer(0), Timestamp::MAX);
    other.restore(memory.known(at(0)));
}

proptest! {
    #[test]
    fn never_longer_than_the_policy(gaps in proptest::collection::vec(0..5_000_i64, 1..60), first in 1..1_000_u32, most in 1..5_000_u32) {
        let mut memory = StockMemory::new(StockPolicy { first_s: first, most_s: most });
        let mut now = at(0);
        for gap in gaps {
            now += SignedDuration::from_secs(gap);
            memory.out_of_stock(&offer(0), now);
            let left = memory.until(&offer(0), now).map_or(0, |until| until.duration_since(now).as_secs());
            prop_assert!(left >= i64::from(first.min(most)) && left <= i64::from(most));
        }
    }
}
