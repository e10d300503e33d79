//! Idle leases: policy says for how long, telemetry says whether. Silence counts as busy.

use hpc_broker::{LeaseRecord, LeaseState};
use hpc_error::{HpcError, codes};
use hpc_resources::LeaseId;
use hpc_timeseries::{Aggregation, Query, QueryBuilder, TimeRange};
use jiff::{SignedDuration, Timestamp};

use crate::world::World;

/// Below this share of active multiprocessors a GPU is idle.
const IDLE_BELOW: f64 = 0.05;
/// Share of the minutes that must have been measured before a lease can be called idle.
const MEASURED_NEEDED: f64 = 0.9;
/// Ends every lease that has been idle for as long as its policy allows. One that cannot be judged or ended keeps none of
/// the others: it is returned with what was wrong, and the next round tries again.
///
/// # Errors
/// A ledger failure that kept the leases from being listed.
pub(crate) async fn end_idle_leases(
    world: &World,
    now: Timestamp,
) -> Result<Vec<(LeaseId, HpcError)>, HpcError> {
    let leases = world.broker.open_leases().await?;
    let mut failed = Vec::new();
    for lease in leases.iter().filter(|lease| lease.state == LeaseState::Active) {
        if let Err(error) = end_if_idle(world, lease, now).await {
            failed.push((lease.id.clone(), error));
        }
    }
    Ok(failed)
}

async fn end_if_idle(world: &World, lease: &LeaseRecord, now: Timestamp) -> Result<(), HpcError> {
    if is_idle(world, lease, now).await? {
        let ended = world.broker.end_idle(&lease.id).await?;
        tracing::info!(lease = %ended.id, "ended for idleness");
    }
    Ok(())
}

async fn is_idle(world: &World, lease: &LeaseRecord, now: Timestamp) -> Result<bool, HpcError> {
    let Some(idle_s) = lease.idle_release_s.and_then(|seconds| i64::try_from(seconds).ok()) else {
        return Ok(false);
    };
    let Ok(since) = now.checked_sub(SignedDuration::from_secs(idle_s)) else { return Ok(false) };
    let answer =
        world.telemetry.query(activity(lease, since, now)).await.map_err(|error| {
            HpcError::coded(&codes::INT_STORE, format!("telemetry cannot be read: {error}"))
        })?;
    let minutes = idle_s / 60;
    let mut measured_min = i64::MAX;
    for series in &answer.series {
        let values: Vec<f64> = series.samples.iter().filter_map(hpc_timeseries::Sample::as_f64).collect();
        if values.iter().any(|value| *value >= IDLE_BELOW) {
            return Ok(false);
        }
        measured_min = measured_min.min(i64::try_from(values.len()).unwrap_or(i64::MAX));
    }
    #[expect(clippy::cast_precision_loss, reason = "minutes of a lease, far below 2^52")]
    let enough = !answer.series.is_empty() && measured_min as f64 >= minutes as f64 * MEASURED_NEEDED;
    Ok(enough)
}

fn activity(lease: &LeaseRecord, since: Timestamp, now: Timestamp) -> Query {
    QueryBuilder::new(hpc_agent::GPU)
        .field("sm_activity_ratio")
        .filter("lease", lease.id.as_str())
        .range(TimeRange::between(since, now))
        .aggregate(Aggregation::Max, "1m")
        .build()
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use hpc_broker::{EndReason, Silent};
    use hpc_timeseries::{Durability, Point};

    use super::*;
    use crate::clock::{Pace, wall_now};
    use crate::people::{PEOPLE, caller};
    use crate::world::WorldOptions;

    async fn world() -> Arc<World> {
        let options = WorldOptions {
            data: None,
            seed: Some(7),
            policies: None,
            policy_key: None,
            catalog: None,
            providers: None,
            story: "none".to_owned(),
            pace: Pace::Told,
            start: wall_now(),
        };
        World::open(options).await.unwrap()
    }

    async fn lease(world: &World) -> LeaseRecord {
        let you = caller(&PEOPLE[0].spiffe_id(world.identity.trust_domain()).unwrap()).unwrap();
        let request = crate::demo::built_in_request().into_request().unwrap();
        let (plan, _) = world.broker.plan(&you, request).await.unwrap();
        world.broker.apply(&you, &plan.plan.id, &Silent).await.unwrap().lease
    }

    /// One value a minute, over as long as policy looks back.
    async fn measured(world: &World, lease: &LeaseRecord, now: Timestamp, activity: f64) {
        let minutes = i64::try_from(lease.idle_release_s.unwrap() / 60).unwrap();
        let points = (0..minutes).map(|minute| {
            let at = now - SignedDuration::from_secs(minute * 60 + 30);
            let point = Point::at(hpc_agent::GPU, at).tag("gpu", "gpu-0").tag("lease", lease.id.as_str());
            point.field_if("sm_activity_ratio", Some(activity))
        });
        let report = world.telemetry.write(points.collect(), Durability::Group).await.unwrap();
        assert!(report.rejected.is_empty(), "{report:?}");
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn idle_is_ended_and_busy_and_silent_are_not() {
        let world = world().await;
        let now = wall_now();
        let [idle, busy, silent] = [lease(&world).await, lease(&world).await, lease(&world).await];
        measured(&world, &idle, now, 0.01).await;
        measured(&world, &busy, now, 0.5).await;
        assert!(end_idle_leases(&world, now).await.unwrap().is_empty());
        let ended = world.broker.lease_by_id(&idle.id).await.unwrap();
        assert_eq!(ended.end_reason, Some(EndReason::Idle));
        for lease in [busy, silent] {
            assert_eq!(world.broker.lease_by_id(&lease.id).await.unwrap().state, LeaseState::Active);
        }
        assert!(end_idle_leases(&world, now).await.unwrap().is_empty(), "ended once");
    }
}
