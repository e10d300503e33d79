//! Memory of a broker through a simulated month.

use std::time::Duration;

use hpc_provider_sim::{ENDED_KEPT_MAX, Script};

use super::Promise;
use crate::Result;
use crate::harness::{Bench, Report, count, resident_bytes};
use crate::world::World;

pub(super) const PROMISE: Promise = Promise {
    name: "month_memory",
    about: "the memory of a broker stays as it is through a simulated month of leases: at most 1 KB for each one that ended",
    run,
};

const HOURS: usize = 30 * 24;
/// Leases of one hour.
const AN_HOUR: usize = 80;
/// Hours until the simulated clouds, which are in this process, forget as many ended instances as come.
const WARM_UP_HOURS: usize = ENDED_KEPT_MAX / AN_HOUR + 24;
/// Bytes for each lease that ended: pages of caches that fill, and what the audit log keeps of an entry.
const GROWTH_BYTES_MAX: f64 = 1_000.0;

fn run(bench: &Bench) -> Result<Report> {
    bench.runtime()?.block_on(measure(bench))
}

async fn measure(bench: &Bench) -> Result<Report> {
    let script = Script { no_quotas: true, ..Script::default() };
    let world = World::open(&bench.folder()?, script).await?;
    let (hours, warm, each) = (bench.size(HOURS, 6), bench.size(WARM_UP_HOURS, 3), bench.size(AN_HOUR, 4));
    let mut early = 0;
    for hour in 0..hours {
        if hour == warm {
            early = resident_bytes()?;
        }
        let plans = world.plans(each, each).await?;
        let leases = world.apply(plans, each).await?.0;
        world.sim.advance(Duration::from_secs(1_800))?;
        world.broker.reconcile().await?;
        world.release(leases, each).await?;
        world.sim.advance(Duration::from_secs(1_800))?;
        world.broker.reconcile().await?;
    }
    if !world.sim.live_instances().is_empty() {
        return Err("an instance was left".into());
    }
    let late = resident_bytes()?;
    let leases = (hours - warm) * each;
    let growth = (late as f64 - early as f64) / leases as f64;
    Ok(Report::new()
        .measured("bytes_per_lease", count(growth.max(0.0)))
        .measured("resident", count(late as f64))
        .goal("bytes_per_lease<1k", growth < GROWTH_BYTES_MAX)
        .note(format!(
            "{each} leases an hour: resident bytes {} after {warm} hours, {} after {hours}; the simulated clouds and what \
             they keep of {ENDED_KEPT_MAX} ended instances lie in the same process",
            count(early as f64),
            count(late as f64)
        )))
}
