//! How long does a decision take, with and without its reasons, among how many rules?

use criterion::{BenchmarkId, Criterion};
use hpc_benches::fixtures::{Spread, policy_set, question};

fn main() -> hpc_benches::Result<()> {
    let mut criterion = Criterion::default().configure_from_args();
    let mut group = criterion.benchmark_group("policy_eval");
    for rules in [10, 100, 1_000, 10_000] {
        for (name, spread) in
            [("own_action", Spread::OwnAction), ("role", Spread::Role), ("comparison", Spread::Comparison)]
        {
            let set = policy_set(rules, spread)?;
            let asked = question(rules / 2, spread);
            group.bench_with_input(
                BenchmarkId::new(format!("decide_{name}"), rules),
                &asked,
                |bencher, asked| {
                    bencher.iter(|| set.decide(asked));
                },
            );
            group.bench_with_input(
                BenchmarkId::new(format!("evaluate_{name}"), rules),
                &asked,
                |bencher, asked| {
                    bencher.iter(|| set.evaluate(asked));
                },
            );
        }
    }
    group.finish();
    criterion.final_summary();
    Ok(())
}
