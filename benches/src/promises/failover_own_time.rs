//! How long the broker itself takes from a cloud's refusal to the next call.

use std::sync::Mutex;
use std::time::{Duration, Instant};

use hpc_broker::Progress;
use hpc_provider_sim::{Call, Effect, Rule, Script, Where};

use super::Promise;
use crate::harness::{Bench, Report, Samples, show};
use crate::world::{World, you};
use crate::{Result, fixtures};

pub(super) const PROMISE: Promise = Promise {
    name: "failover_own_time",
    about: "under 250 ms of own time from one offer's refusal to the call for the next",
    run,
};

fn run(bench: &Bench) -> Result<Report> {
    bench.runtime()?.block_on(measure(bench))
}

async fn measure(bench: &Bench) -> Result<Report> {
    let rule =
        Rule { call: Call::Provision, at: Where::default(), effect: Effect::StockOut, skip: 0, times: None };
    let script = Script { rules: vec![rule], no_quotas: true, ..Script::default() };
    let world = World::open(&bench.folder()?, script).await?;
    let mut gaps = Samples::default();
    for _ in 0..bench.size(100, 2) {
        let (plan, _) = world.broker.plan(&you()?, fixtures::eight_h100()?).await?;
        let calls: Mutex<Vec<Instant>> = Mutex::default();
        let sink = |progress: Progress| {
            // `Trying` is said when the intent is durable, right before the call.
            if let (Progress::Trying { .. }, Ok(mut calls)) = (progress, calls.lock()) {
                calls.push(Instant::now());
            }
        };
        let refused = world.broker.apply(&you()?, &plan.plan.id, &sink).await.is_err();
        let calls = calls.into_inner()?;
        if !refused || calls.len() < 2 {
            return Err("a cloud without stock should refuse every offer of the plan".into());
        }
        for pair in calls.windows(2) {
            if let [refused, next] = pair {
                gaps.push(next.duration_since(*refused));
            }
        }
        // Stock-outs are remembered for up to half an hour.
        world.sim.advance(Duration::from_secs(3_600))?;
    }
    let worst = gaps.percentile(100.0);
    Ok(Report::new()
        .measured("p50", show(gaps.p50()))
        .measured("p99", show(gaps.p99()))
        .measured("max", show(worst))
        .goal("max<250ms", worst < Duration::from_millis(250))
        .note(format!(
            "{} failovers: call, refusal of the simulated cloud, its record and the next intent on disk, next call",
            gaps.len()
        )))
}
