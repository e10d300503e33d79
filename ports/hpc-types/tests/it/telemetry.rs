use hpc_error::{ErrorKind, HpcError};
use hpc_types::sample::MEMORY_BYTES_MAX;
use hpc_types::telemetry::v1::{GpuMetric, HostMetric, MetricBatch};
use hpc_types::telemetry_helpers::{GpuMetricBuilder, HostMetricBuilder};
use hpc_types::validate::{BATCH_METRICS_MAX, VIOLATIONS_MAX};
use hpc_types::{GpuSample, HostSample, Validate};
use jiff::Timestamp;
use proptest::prelude::*;
use prost::Message as _;

fn now() -> Timestamp {
    "2026-11-01T12:00:00.25Z".parse().unwrap()
}

fn gpu() -> GpuMetricBuilder {
    GpuMetricBuilder::new("host-001", "gpu-0").observed_at(now())
}

fn fields(metric: &impl Validate) -> Vec<String> {
    metric.violations().into_iter().map(|violation| violation.field).collect()
}

#[test]
fn the_snippet_holds_in_si_units() {
    let metric = GpuMetricBuilder::new("host-001", "gpu-0")
        .utilization(87.5)
        .memory(64.5, 80.0)
        .temperature(68.5)
        .power(350.0)
        .build();
    assert_eq!((metric.host_id.as_str(), metric.gpu_id.as_str()), ("host-001", "gpu-0"));
    assert_eq!(metric.utilization_ratio, Some(0.875));
    assert_eq!(
        (metric.memory_used_bytes, metric.memory_total_bytes),
        (Some(64_500_000_000), Some(80_000_000_000))
    );
    assert_eq!((metric.temperature_celsius, metric.power_watts), (Some(68.5), Some(350.0)));
    assert_eq!((metric.energy_joules, metric.observed_at), (None, None));
}

#[test]
fn what_is_out_of_range_is_absent_and_named() {
    let broken = || {
        GpuMetricBuilder::new("host 1", "gpu-0")
            .uuid("a\nb")
            .utilization(101.0)
            .sm_activity(-1.0)
            .memory(90.0, 80.0)
            .temperature(999.0)
            .memory_temperature(f64::INFINITY)
            .power(-5.0)
            .energy(-1.0)
            .sm_clock_mhz(200_000)
    };
    assert_eq!(broken().build(), GpuMetric { gpu_id: "gpu-0".into(), ..GpuMetric::default() });
    let violations = broken().try_build().unwrap_err();
    let fields: Vec<_> = violations.list().iter().map(|violation| violation.field.as_str()).collect();
    assert_eq!(
        fields,
        [
            "host_id",
            "gpu_uuid",
            "utilization_ratio",
            "sm_activity_ratio",
            "memory_used_bytes",
            "temperature_celsius",
            "memory_temperature_celsius",
            "power_watts",
            "energy_joules",
            "sm_clock_hertz"
        ]
    );
    assert!(!violations.to_string().contains("999"), "values are not repeated");
    let error = HpcError::from(violations);
    assert_eq!((error.kind(), error.context_value("field")), (ErrorKind::InvalidInput, Some("host_id")));
}

#[test]
fn sentinels_mean_not_measured() {
    let metric = gpu()
        .utilization(f64::NAN)
        .temperature(140_737_488_355_328.0)
        .power(140_737_488_355_330.0)
        .energy(140_737_488_355_328.0)
        .memory_bytes(u64::MAX, 0x7fff_ffff_ffff_fff0)
        .sm_clock_mhz(u32::MAX)
        .last_xid(0x7fff_fff0)
        .try_build()
        .unwrap();
    assert_eq!(metric, gpu().build());
    assert_eq!(gpu().last_xid(0).build().last_xid, None);
    assert_eq!(gpu().last_xid(79).build().last_xid, Some(79));

    let raw = GpuMetric {
        temperature_celsius: Some(140_737_488_355_328.0),
        last_xid: Some(u32::MAX),
        ..gpu().build()
    };
    let sample = GpuSample::try_from(&raw).unwrap();
    assert_eq!((sample.temperature_celsius, sample.last_xid), (None, None));
}

#[test]
fn zero_is_a_value() {
    let metric = gpu().utilization(0.0).power(0.0).memory(0.0, 80.0).build();
    assert_eq!(
        (metric.utilization_ratio, metric.power_watts, metric.memory_used_bytes),
        (Some(0.0), Some(0.0), Some(0))
    );
    let back = GpuMetric::decode(metric.encode_to_vec().as_slice()).unwrap();
    assert_eq!(back, metric, "a measured zero survives the wire");
}

#[test]
fn a_sample_goes_there_and_back() {
    let metric = gpu().uuid("GPU-8f6a").utilization(50.0).memory(1.0, 80.0).temperature(60.0).power(300.0);
    let metric =
        metric.energy(1e6).sm_activity(40.0).memory_temperature(70.0).sm_clock_mhz(1980).last_xid(31).build();
    let sample = GpuSample::try_from(&metric).unwrap();
    assert_eq!(sample.observed_at, now());
    assert_eq!(GpuMetric::from(&sample), metric);

    let metric = HostMetricBuilder::new("host-001").observed_at(now()).cpu(25.0).memory_bytes(1, 2);
    let metric = metric.network_bytes(10, 20).try_build().unwrap();
    let sample = HostSample::try_from(&metric).unwrap();
    assert_eq!(HostMetric::from(&sample), metric);
}

#[test]
fn keep_valid_drops_values_but_not_the_sample() {
    let raw = GpuMetric { utilization_ratio: Some(87.5), power_watts: Some(300.0), ..gpu().build() };
    assert!(GpuSample::try_from(&raw).is_err());
    let (sample, violations) = GpuSample::keep_valid(&raw).unwrap();
    assert_eq!((sample.utilization_ratio, sample.power_watts), (None, Some(300.0)));
    assert_eq!(violations.len(), 1);
    assert_eq!(violations[0].to_string(), "`utilization_ratio` must lie between 0 and 1");

    let nowhere = GpuMetric { observed_at: None, ..raw };
    let violations = GpuSample::keep_valid(&nowhere).unwrap_err();
    assert_eq!(violations.list()[0].field, "observed_at");
    let nobody = HostMetric { observed_at: gpu().build().observed_at, ..HostMetric::default() };
    assert_eq!(HostSample::keep_valid(&nobody).unwrap_err().list()[0].field, "host_id");
}

#[test]
fn a_batch_names_the_entry() {
    let batch = MetricBatch {
        node_id: "node-1".into(),
        sequence: 1,
        sent_at: gpu().build().observed_at,
        gpu: vec![gpu().build(), GpuMetric { power_watts: Some(-1.0), ..gpu().build() }],
        ..MetricBatch::default()
    };
    assert_eq!(fields(&batch), ["gpu[1].power_watts"]);
    assert_eq!(fields(&MetricBatch::default()), ["node_id", "sequence", "sent_at"]);
    let many = MetricBatch { gpu: vec![GpuMetric::default(); BATCH_METRICS_MAX + 1], ..batch };
    let violations = many.violations();
    assert_eq!((violations.len(), violations[0].field.as_str()), (VIOLATIONS_MAX, "gpu"));
}

proptest! {
    #[test]
    fn what_a_builder_builds_is_valid(
        numbers in proptest::collection::vec(any::<f64>(), 7),
        used in any::<u64>(), total in any::<u64>(), clock in any::<u32>(), xid in any::<u32>(),
    ) {
        let metric = gpu()
            .utilization(numbers[0]).temperature(numbers[1]).power(numbers[2]).energy(numbers[3])
            .sm_activity(numbers[4]).memory_temperature(numbers[5]).memory(numbers[6], numbers[0])
            .memory_bytes(used, total).sm_clock_mhz(clock).last_xid(xid).build();
        prop_assert_eq!(metric.violations(), vec![]);
        let sample = GpuSample::try_from(&metric).unwrap();
        prop_assert_eq!(GpuMetric::from(&sample), metric);
        if let (Some(used), Some(total)) = (sample.memory_used_bytes, sample.memory_total_bytes) {
            prop_assert!(used <= total && total <= MEMORY_BYTES_MAX);
        }
    }

    #[test]
    fn any_bytes_are_survived(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        if let Ok(batch) = MetricBatch::decode(bytes.as_slice()) {
            let _ = batch.violations();
            for metric in &batch.gpu {
                let _ = GpuSample::keep_valid(metric);
            }
        }
    }
}
