//! The algebra of money.

use hpc_resources::{Currency, Money, MoneyError, PerInstanceHour};
use proptest::prelude::*;

fn usd(nanos: i64) -> Money {
    Money::from_nanos(nanos, Currency::USD)
}

proptest! {
    #[test]
    fn text_round_trips(nanos in any::<i64>().prop_filter("its magnitude has a positive twin", |n| *n != i64::MIN)) {
        let money = usd(nanos);
        prop_assert_eq!(money.to_string().parse::<Money>(), Ok(money));
        let json = serde_json::to_string(&money).unwrap();
        prop_assert_eq!(serde_json::from_str::<Money>(&json).unwrap(), money);
    }

    #[test]
    fn any_text_is_an_amount_or_an_error(text in "\\PC{0,40}") {
        let _ = text.parse::<Money>();
        let _ = Money::parse_decimal(&text, Currency::USD);
        let _ = Currency::parse(&text);
    }

    #[test]
    fn addition_and_subtraction_undo_each_other(a in any::<i64>(), b in any::<i64>()) {
        match usd(a).checked_add(usd(b)) {
            Ok(sum) => prop_assert_eq!(sum.checked_sub(usd(b)), Ok(usd(a))),
            Err(error) => prop_assert_eq!(error, MoneyError::Overflow),
        }
    }

    /// A hold covers what a meter will count, however the time is cut; and rounding up is never off by a whole nano-unit.
    #[test]
    fn a_hold_covers_every_meter(price in 0..1_000_000_000_000_i64, instances in 1..512_u32, cuts in proptest::collection::vec(0..100_000_u64, 1..6)) {
        let price = PerInstanceHour(usd(price));
        let seconds: u64 = cuts.iter().sum();
        let held = price.cost_rounded_up(instances, seconds).unwrap();
        let whole = price.cost_half_even(instances, seconds).unwrap();
        prop_assert!(!whole.exceeds(held));
        prop_assert!(held.nanos() - whole.nanos() <= 1);
        // Metering in pieces strays by at most half a nano-unit for each piece.
        let pieces: i64 = cuts.iter().map(|cut| price.cost_half_even(instances, *cut).unwrap().nanos()).sum();
        prop_assert!((pieces - whole.nanos()).unsigned_abs() <= cuts.len() as u64);
    }

    #[test]
    fn longer_and_more_never_cost_less(price in 0..i64::MAX / 1_000_000, n in 1..100_u32, s in 0..1_000_u64) {
        let price = PerInstanceHour(usd(price));
        let cost = |n, s| price.cost_half_even(n, s).unwrap().nanos();
        prop_assert!(cost(n, s) <= cost(n + 1, s) && cost(n, s) <= cost(n, s + 1));
    }

    #[test]
    fn the_shares_of_devices_cover_the_instance(price in 0..i64::MAX, gpus in 1..64_u32) {
        let share = PerInstanceHour(usd(price)).per_gpu_rounded_up(gpus).unwrap().0.nanos();
        let all = i128::from(share) * i128::from(gpus);
        prop_assert!(all >= i128::from(price) && all - i128::from(price) < i128::from(gpus));
    }

    #[test]
    fn nothing_mixes_currencies(a in any::<i64>(), b in any::<i64>()) {
        let euro = Money::from_nanos(b, Currency::parse("EUR").unwrap());
        prop_assert!(matches!(usd(a).checked_add(euro), Err(MoneyError::Mixed(..))));
        prop_assert!(matches!(usd(a).checked_sub(euro), Err(MoneyError::Mixed(..))));
        prop_assert!(matches!(usd(a).checked_cmp(euro), Err(MoneyError::Mixed(..))));
        prop_assert!(usd(a).exceeds(euro) && euro.exceeds(usd(a)));
    }
}
