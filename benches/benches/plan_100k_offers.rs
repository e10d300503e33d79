//! How long does a plan from 100,000 offers take?

use criterion::Criterion;
use hpc_benches::fixtures::{NothingInTheWay, eight_h100, offers, plan_input};
use hpc_resources::{AcceleratorModel, Catalog, plan};

fn main() -> hpc_benches::Result<()> {
    let mut criterion = Criterion::default().configure_from_args();
    let mut group = criterion.benchmark_group("plan_100k_offers");
    for (name, only) in [("all_models", None), ("one_model", Some(AcceleratorModel::H100))] {
        let catalog = Catalog::new(offers(100_000, only)?);
        let request = eight_h100()?;
        let input = plan_input(&request, &catalog, &NothingInTheWay)?;
        group.bench_function(name, |bencher| bencher.iter(|| plan(&input)));
    }
    group.finish();
    criterion.final_summary();
    Ok(())
}
