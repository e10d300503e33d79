//! The window fold against a plain restatement of its rules.

use std::collections::BTreeMap;

use hpc_timeseries::evaluate::Fold;
use hpc_timeseries::{Aggregation, Fill, Order, Value};
use proptest::prelude::*;

proptest! {
    #[test]
    fn folding_equals_sorting_into_boxes(
        samples in proptest::collection::vec((-1_000_i64..1_000, -100_i64..100), 0..60),
        window in 1_i64..300,
        start in -1_000_i64..1_000,
        length in 0_i64..1_500,
    ) {
        let end = start + length;
        let mut boxes: BTreeMap<i64, Vec<i64>> = BTreeMap::new();
        for (at, value) in &samples {
            if (start..end).contains(at) {
                boxes.entry(at.div_euclid(window) * window).or_default().push(*value);
            }
        }
        for aggregation in [Aggregation::Sum, Aggregation::Min, Aggregation::Max, Aggregation::Count] {
            let mut fold = Fold::new(aggregation, window, start, end);
            for (at, value) in &samples {
                fold.push(*at, Value::Integer(*value));
            }
            let (got, cut) = fold.finish(Fill::None, Order::OldestFirst, usize::MAX);
            let got: Vec<_> = got.iter().map(|s| (s.ts_ns, s.value.and_then(Value::as_i64).unwrap())).collect();
            let want: Vec<_> = boxes.iter().map(|(at, values)| (*at, match aggregation {
                Aggregation::Sum => values.iter().sum(),
                Aggregation::Min => *values.iter().min().unwrap(),
                Aggregation::Max => *values.iter().max().unwrap(),
                _ => i64::try_from(values.len()).unwrap(),
            })).collect();
            prop_assert_eq!(got, want);
            prop_assert!(!cut);
        }
    }
}
