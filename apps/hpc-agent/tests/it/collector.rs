//! The collector on real and made-up `/proc` folders.

use std::fs;

use hpc_agent::{CollectError, Collector, DeviceSource, HostSource, SimulatedGpus};
use hpc_types::telemetry::v1::GpuMetric;
use jiff::{SignedDuration, Timestamp};

const NOW: Timestamp = Timestamp::constant(1_760_000_000, 0);

#[test]
#[cfg(target_os = "linux")]
fn this_machine_is_measured() {
    let mut collector = Collector::new("node-1");
    let first = collector.collect(NOW);
    assert_eq!(first.sequence, 1);
    assert_eq!(first.host[0].cpu_ratio, None, "one reading gives no share");
    let memory = (first.host[0].memory_used_bytes.unwrap(), first.host[0].memory_total_bytes.unwrap());
    assert!(memory.0 > 0 && memory.0 < memory.1, "{memory:?}");
    assert!(HostSource::default().host_name().is_ok());
}

#[test]
fn a_made_up_host_is_measured_exactly() {
    let folder = tempfile::tempdir().unwrap();
    let put = |name: &str, text: &str| fs::write(folder.path().join(name), text).unwrap();
    fs::create_dir(folder.path().join("net")).unwrap();
    put("stat", "cpu 0 0 0 100\n");
    put("meminfo", "MemTotal: 10 kB\nMemAvailable: 4 kB\n");
    put("net/dev", "h\nh\neth0: 11 0 0 0 0 0 0 0 22 0\n");
    let mut collector =
        Collector::new("node-1").with_host(HostSource::at(folder.path())).with_lease("lease-1");
    collector.collect(NOW);
    put("stat", "cpu 75 0 0 125\n");
    let batch = collector.collect(NOW + SignedDuration::from_secs(1));
    assert_eq!(collector.faults(), []);
    let host = &batch.host[0];
    assert_eq!(host.cpu_ratio, Some(0.75));
    assert_eq!((host.memory_used_bytes, host.memory_total_bytes), (Some(6 * 1024), Some(10 * 1024)));
    assert_eq!((host.network_received_bytes, host.network_sent_bytes), (Some(11), Some(22)));
    assert_eq!((batch.lease_id.as_str(), batch.sequence), ("lease-1", 2));
}

#[test]
fn missing_and_huge_files_are_faults_and_not_zeros() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("stat"), "cpu 1 2 3 4\n".repeat(100_000)).unwrap();
    fs::write(folder.path().join("meminfo"), "nonsense").unwrap();
    let mut collector = Collector::new("node-1").with_host(HostSource::at(folder.path()));
    let batch = collector.collect(NOW);
    let host = &batch.host[0];
    assert_eq!((host.memory_used_bytes, host.network_sent_bytes, host.cpu_ratio), (None, None, None));
    assert_eq!(collector.faults().len(), 3);
    assert!(matches!(&collector.faults()[0], CollectError::Read { why, .. } if why.contains("more than")));
    assert!(matches!(&collector.faults()[1], CollectError::Form { path } if path.ends_with("meminfo")));
}

struct Broken;

impl DeviceSource for Broken {
    fn name(&self) -> &'static str {
        "broken"
    }

    fn measure(&mut self, _: &str, _: Timestamp) -> Result<Vec<GpuMetric>, CollectError> {
        Err(CollectError::Device { name: self.name(), why: "the driver is gone".to_owned() })
    }
}

#[test]
fn one_broken_source_does_not_silence_the_others() {
    let mut collector = Collector::new("node-1").with_devices(Broken).with_devices(SimulatedGpus::new(1, 3));
    let batch = collector.collect(NOW);
    assert_eq!(batch.gpu.len(), 3);
    assert!(
        collector.faults().iter().any(|fault| matches!(fault, CollectError::Device { name: "broken", .. }))
    );
    assert_eq!(collector.simulated_sources(), ["simulated"]);
}

#[test]
fn losses_are_told_once() {
    let mut collector = Collector::new("node-1");
    collector.count_dropped(4);
    assert_eq!(collector.collect(NOW).dropped_count, 4);
    assert_eq!(collector.collect(NOW).dropped_count, 0);
}
