//! A batch becomes points; what breaks a rule does not.

use hpc_agent::{Collector, SimulatedGpus, points_from_batch};
use hpc_timeseries::Value;
use hpc_types::telemetry::v1::{GpuMetric, HostMetric, MetricBatch};
use hpc_types::time::to_proto;
use hpc_types::validate::BATCH_METRICS_MAX;
use jiff::Timestamp;

const NOW: Timestamp = Timestamp::constant(1_760_000_000, 0);

fn gpu() -> GpuMetric {
    GpuMetric {
        host_id: "node-1".into(),
        gpu_id: "gpu-0".into(),
        observed_at: to_proto(NOW).ok(),
        power_watts: Some(350.5),
        memory_used_bytes: Some(1 << 36),
        ..GpuMetric::default()
    }
}

fn batch(gpu: Vec<GpuMetric>) -> MetricBatch {
    MetricBatch { node_id: "node-1".into(), lease_id: "lease-9".into(), gpu, ..MetricBatch::default() }
}

#[test]
fn a_gpu_becomes_one_point_with_its_tags() {
    let out = points_from_batch(&batch(vec![gpu()]));
    assert_eq!((out.points.len(), out.rejected, out.reason), (1, 0, None));
    let point = &out.points[0];
    assert_eq!(point.measurement, "gpu");
    assert_eq!(point.ts_ns, 1_760_000_000_000_000_000);
    let tags: Vec<_> = point.tags.iter().map(|(name, value)| (name.as_ref(), value.as_str())).collect();
    assert_eq!(tags, [("gpu", "gpu-0"), ("node", "node-1"), ("lease", "lease-9")]);
    let fields: Vec<_> = point.fields.iter().map(|(name, value)| (name.as_ref(), *value)).collect();
    assert_eq!(
        fields,
        [("memory_used_bytes", Value::Integer(1 << 36)), ("power_watts", Value::Float(350.5))]
    );
}

#[test]
fn broken_values_are_left_out_and_broken_metrics_counted() {
    let bad_value = GpuMetric { temperature_celsius: Some(1e9), ..gpu() };
    let sentinel = GpuMetric { memory_used_bytes: Some(0x7fff_ffff_ffff_fff2), ..gpu() };
    let no_time = GpuMetric { observed_at: None, ..gpu() };
    let other_host = GpuMetric { host_id: "node-2".into(), ..gpu() };
    let empty = GpuMetric { power_watts: None, memory_used_bytes: None, ..gpu() };
    let out = points_from_batch(&batch(vec![bad_value, sentinel, no_time, other_host, empty]));
    assert_eq!((out.points.len(), out.rejected), (2, 3));
    assert_eq!(out.points[0].fields.len(), 2);
    assert_eq!(out.points[1].fields.len(), 1, "a sentinel means not measured");
    assert!(out.reason.unwrap().contains("observed_at"));
}

#[test]
fn a_host_without_a_lease_has_one_tag() {
    let host = HostMetric {
        host_id: "node-1".into(),
        observed_at: to_proto(NOW).ok(),
        cpu_ratio: Some(0.25),
        network_sent_bytes: Some(u64::MAX - 1),
        ..HostMetric::default()
    };
    let out = points_from_batch(&MetricBatch {
        node_id: "node-1".into(),
        host: vec![host],
        ..MetricBatch::default()
    });
    assert_eq!(out.points[0].tags.len(), 1);
    assert_eq!(
        out.points[0].fields,
        [("cpu_ratio".into(), Value::Float(0.25))],
        "a count no i64 holds is unknown"
    );
}

#[test]
fn too_many_metrics_are_refused_whole() {
    let out = points_from_batch(&batch(vec![gpu(); BATCH_METRICS_MAX + 1]));
    assert_eq!((out.points.len(), out.rejected), (0, BATCH_METRICS_MAX as u64 + 1));
}

#[test]
fn everything_the_collector_measures_is_kept() {
    let mut collector = Collector::new("node-1").with_devices(SimulatedGpus::new(7, 8));
    let out = points_from_batch(&collector.collect(NOW));
    assert_eq!((out.points.len(), out.rejected), (9, 0), "{:?}", out.reason);
    assert_eq!(out.points[0].fields.len(), 9);
}
