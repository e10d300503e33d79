//! Random writes, seals and reopenings against a sorted map.

use std::collections::BTreeMap;

use hpc_timeseries::{Durability, Order, QueryBuilder, TimeRange, TimeSeriesStore};
use hpc_tsdb_embedded::{EmbeddedConfig, EmbeddedTsdb};
use proptest::prelude::*;

use crate::support::{NOW_NS, clock, gpu};

#[derive(Debug, Clone)]
enum Step {
    Write(Vec<(i64, i64)>, Durability),
    Seal,
    Reopen,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let durability = prop_oneof![Just(Durability::None), Just(Durability::Group), Just(Durability::Sync)];
    let samples = prop_oneof![
        proptest::collection::vec((0_i64..200, -50_i64..50), 1..20),
        (0_i64..3_000, 1_000_usize..2_500).prop_map(|(from, count)| (from..).zip(0..count as i64).collect()),
    ];
    let step = prop_oneof![
        6 => (samples, durability).prop_map(|(samples, durability)| Step::Write(samples, durability)),
        2 => Just(Step::Seal),
        1 => Just(Step::Reopen),
    ];
    proptest::collection::vec(step, 1..12)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 40, ..ProptestConfig::default() })]

    #[test]
    fn the_store_equals_a_sorted_map(steps in steps(), from in 0_i64..4_000, length in 0_i64..4_000, limit in 1_usize..3_000) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(async {
            let folder = tempfile::tempdir().unwrap();
            let path = folder.path().join("t.redb");
            let config = || EmbeddedConfig { head_samples_max: 3_000, ..EmbeddedConfig::default() };
            let mut store = EmbeddedTsdb::open(&path, config(), clock()).unwrap();
            let mut model = BTreeMap::new();
            for step in steps {
                match step {
                    Step::Write(samples, durability) => {
                        let points = samples.iter().map(|(at, value)| gpu(NOW_NS - 5_000 + at, "a", *value as f64 / 10.0));
                        let report = store.write(points.collect(), durability).await.unwrap();
                        assert_eq!(report.accepted, samples.len());
                        model.extend(samples.into_iter().map(|(at, value)| (NOW_NS - 5_000 + at, value as f64 / 10.0)));
                    }
                    Step::Seal => store.seal().await.unwrap(),
                    Step::Reopen => {
                        drop(store);
                        store = EmbeddedTsdb::open(&path, config(), clock()).unwrap();
                    }
                }
            }
            let (start, end) = (NOW_NS - 5_000 + from, NOW_NS - 5_000 + from + length);
            for order in [Order::OldestFirst, Order::NewestFirst] {
                let query = QueryBuilder::new("gpu").range(TimeRange::between_ns(start, end)).order(order).limit(limit);
                let set = store.query(query.build()).await.unwrap();
                let got: Vec<(i64, f64)> = set.series.first().map_or_else(Vec::new, |series| {
                    series.samples.iter().map(|s| (s.ts_ns, s.as_f64().unwrap())).collect()
                });
                let mut want: Vec<(i64, f64)> = model.range(start..end).map(|(at, value)| (*at, *value)).collect();
                if order == Order::NewestFirst {
                    want.reverse();
                }
                assert_eq!(set.truncated, want.len() > limit);
                want.truncate(limit);
                assert_eq!(got, want, "{order:?}");
            }
        });
    }
}
