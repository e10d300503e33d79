//! From a batch of the wire to points of a time-series store.

use hpc_timeseries::Point;
use hpc_types::sample::{GpuSample, HostSample};
use hpc_types::telemetry::v1::MetricBatch;
use hpc_types::validate::BATCH_METRICS_MAX;

/// Measurement of GPUs. Tags: `node`, `gpu`, and `lease` if there is one.
pub const GPU: &str = "gpu";
/// Measurement of hosts. Tags: `node`, and `lease` if there is one.
pub const HOST: &str = "host";

/// The points of a batch, and what became of the rest.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct BatchPoints {
    /// One point per metric, in the order of the batch: GPUs, then hosts.
    pub points: Vec<Point>,
    /// How many metrics gave no point.
    pub rejected: u64,
    /// Why the first of them gave none.
    pub reason: Option<String>,
}

impl BatchPoints {
    fn reject(&mut self, metrics: usize, why: impl FnOnce() -> String) {
        self.rejected += metrics as u64;
        self.reason.get_or_insert_with(why);
    }
}

/// Checks a batch and turns it into points.
///
/// A value that breaks a rule is left out and its metric kept; a metric without a place or a time,
/// of another host than the batch, or without a single value gives no point.
/// Whether `node_id` is who sent the batch must have been checked before.
/// Fields have the names of the wire, which hold their units.
pub fn points_from_batch(batch: &MetricBatch) -> BatchPoints {
    let mut out = BatchPoints::default();
    let metrics = batch.gpu.len() + batch.host.len();
    if metrics > BATCH_METRICS_MAX {
        out.reject(metrics, || format!("{metrics} metrics in one batch are more than {BATCH_METRICS_MAX}"));
        return out;
    }
    let place = |out: &mut BatchPoints, host_id: &str, point: Point| {
        if host_id != batch.node_id {
            let why = "a node reports for itself only: `host_id` differs from `node_id`";
            return out.reject(1, || why.to_owned());
        }
        match point.validate() {
            Ok(()) => out.points.push(point),
            Err(why) => out.reject(1, || why.to_string()),
        }
    };
    for metric in &batch.gpu {
        match GpuSample::keep_valid(metric) {
            Ok((sample, _)) => place(&mut out, &sample.host_id, gpu_point(batch, &sample)),
            Err(violations) => out.reject(1, || violations.to_string()),
        }
    }
    for metric in &batch.host {
        match HostSample::keep_valid(metric) {
            Ok((sample, _)) => place(&mut out, &sample.host_id, host_point(batch, &sample)),
            Err(violations) => out.reject(1, || violations.to_string()),
        }
    }
    out
}

fn gpu_point(batch: &MetricBatch, sample: &GpuSample) -> Point {
    let point = Point::at(GPU, sample.observed_at).tag("gpu", sample.gpu_id.clone());
    tags(point, batch)
        .field_if("utilization_ratio", sample.utilization_ratio)
        .field_if("memory_used_bytes", whole(sample.memory_used_bytes))
        .field_if("memory_total_bytes", whole(sample.memory_total_bytes))
        .field_if("temperature_celsius", sample.temperature_celsius)
        .field_if("power_watts", sample.power_watts)
        .field_if("energy_joules", sample.energy_joules)
        .field_if("sm_activity_ratio", sample.sm_activity_ratio)
        .field_if("memory_temperature_celsius", sample.memory_temperature_celsius)
        .field_if("sm_clock_hertz", whole(sample.sm_clock_hertz))
        .field_if("last_xid", sample.last_xid)
}

fn host_point(batch: &MetricBatch, sample: &HostSample) -> Point {
    tags(Point::at(HOST, sample.observed_at), batch)
        .field_if("cpu_ratio", sample.cpu_ratio)
        .field_if("memory_used_bytes", whole(sample.memory_used_bytes))
        .field_if("memory_total_bytes", whole(sample.memory_total_bytes))
        .field_if("network_received_bytes", whole(sample.network_received_bytes))
        .field_if("network_sent_bytes", whole(sample.network_sent_bytes))
}

fn tags(point: Point, batch: &MetricBatch) -> Point {
    let point = point.tag("node", batch.node_id.clone());
    if batch.lease_id.is_empty() { point } else { point.tag("lease", batch.lease_id.clone()) }
}

/// A count no store can hold is unknown.
fn whole(count: Option<u64>) -> Option<i64> {
    count.and_then(|count| i64::try_from(count).ok())
}
