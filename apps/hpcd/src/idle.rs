//! Idle leases: policy says for how long, telemetry says whether. Silence counts as busy.

use hpc_broker::{LeaseRecord, LeaseState};
use hpc_error::{HpcError, codes};
use hpc_timeseries::{Aggregation, Query, QueryBuilder, TimeRange};
use jiff::{SignedDuration, Timestamp};

use crate::world::World;

/// Below this share of active multiprocessors a GPU is idle.
const IDLE_BELOW: f64 = 0.05;
/// Share of the minutes that must have been measured before a lease can be called idle.
const MEASURED_NEEDED: f64 = 0.9;
/// Most leases looked at in one round.
const LEASES_MAX: usize = 1_000;

/// Ends every lease that has been idle for as long as its policy allows.
///
/// # Errors
/// A ledger or telemetry failure; the next round tries again.
pub(crate) async fn end_idle_leases(world: &World, now: Timestamp) -> Result<(), HpcError> {
    let page = world.broker.leases(None, LEASES_MAX).await?;
    for lease in page.items.iter().filter(|lease| lease.state == LeaseState::Active) {
        if is_idle(world, lease, now).await? {
            let ended = world.broker.end_idle(&lease.id).await?;
            tracing::info!(lease = %ended.id, "ended for idleness");
        }
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
