//! Measuring: the host from `/proc`, devices from whoever can read them.

use hpc_types::telemetry::v1::{GpuMetric, HostMetric, MetricBatch};
use hpc_types::time::to_proto;
use jiff::Timestamp;

mod host;
pub mod proc_text;
mod simulated;

pub use host::HostSource;
pub use simulated::{GPUS_MAX, Load, SimulatedGpus};

/// Most device sources of one collector.
pub const SOURCES_MAX: usize = 16;
/// Most devices one batch reports; what a source gives beyond is dropped and counted.
pub const DEVICES_MAX: usize = 1_024;

/// Why something could not be measured.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CollectError {
    /// A file of the system cannot be read.
    #[error("cannot read `{path}`: {why}")]
    Read {
        /// The file.
        path: String,
        /// What the system said.
        why: String,
    },
    /// A file of the system does not have the form it should have.
    #[error("`{path}` does not say what it should")]
    Form {
        /// The file.
        path: String,
    },
    /// A device or its driver gives no answer.
    #[error("devices of source `{name}` cannot be read: {why}")]
    Device {
        /// Name of the source.
        name: &'static str,
        /// What the driver said.
        why: String,
    },
}

/// Something that reads the GPUs of this machine.
pub trait DeviceSource: Send {
    /// Name of the source, such as `nvml` or `simulated`.
    fn name(&self) -> &'static str;

    /// Whether the values are made up.
    fn is_simulated(&self) -> bool {
        false
    }

    /// One measurement of each device. What a device cannot tell stays absent, never zero.
    ///
    /// # Errors
    /// Only [`CollectError::Device`], when none can be read; a single silent device is left out.
    fn measure(&mut self, host_id: &str, now: Timestamp) -> Result<Vec<GpuMetric>, CollectError>;
}

/// Measures host and devices into batches. One per connection, because it counts the batches.
pub struct Collector {
    node_id: String,
    lease_id: String,
    host: HostSource,
    sources: Vec<Box<dyn DeviceSource>>,
    sequence: u64,
    dropped: u64,
    faults: Vec<CollectError>,
}

impl Collector {
    /// A collector for this machine without devices, under the given node name.
    pub fn new(node_id: impl Into<String>) -> Self {
        Self {
            node_id: node_id.into(),
            lease_id: String::new(),
            host: HostSource::default(),
            sources: Vec::new(),
            sequence: 0,
            dropped: 0,
            faults: Vec::new(),
        }
    }

    /// Measures these devices as well; beyond [`SOURCES_MAX`] sources nothing is added.
    #[must_use]
    pub fn with_devices(mut self, source: impl DeviceSource + 'static) -> Self {
        if self.sources.len() < SOURCES_MAX {
            self.sources.push(Box::new(source));
        }
        self
    }

    /// Reads the host from another place than `/proc`.
    #[must_use]
    pub fn with_host(mut self, host: HostSource) -> Self {
        self.host = host;
        self
    }

    /// Sets the lease the node works for; empty for none.
    #[must_use]
    pub fn with_lease(mut self, lease_id: impl Into<String>) -> Self {
        self.lease_id = lease_id.into();
        self
    }

    /// Changes the lease from the next batch on.
    pub fn set_lease(&mut self, lease_id: impl Into<String>) {
        self.lease_id = lease_id.into();
    }

    /// Counts measurements that were lost on the way out; the next batch tells.
    pub fn count_dropped(&mut self, measurements: u64) {
        self.dropped = self.dropped.saturating_add(measurements);
    }

    /// Measures everything once. What cannot be measured is absent and noted in [`Collector::faults`].
    ///
    /// The first batch has no processor share, because it takes two readings.
    pub fn collect(&mut self, now: Timestamp) -> MetricBatch {
        self.faults.clear();
        self.sequence += 1;
        let at = to_proto(now).ok();
        let reading = self.host.measure(&mut self.faults);
        let host = HostMetric {
            host_id: self.node_id.clone(),
            observed_at: at,
            cpu_ratio: reading.cpu_ratio,
            memory_used_bytes: reading.memory_used_bytes,
            memory_total_bytes: reading.memory_total_bytes,
            network_received_bytes: reading.network_received_bytes,
            network_sent_bytes: reading.network_sent_bytes,
        };
        let mut gpu = Vec::new();
        for source in &mut self.sources {
            match source.measure(&self.node_id, now) {
                Ok(metrics) => gpu.extend(metrics),
                Err(fault) => self.faults.push(fault),
            }
        }
        let beyond = gpu.len().saturating_sub(DEVICES_MAX);
        gpu.truncate(DEVICES_MAX);
        self.dropped = self.dropped.saturating_add(beyond as u64);
        MetricBatch {
            node_id: self.node_id.clone(),
            lease_id: self.lease_id.clone(),
            sequence: self.sequence,
            sent_at: at,
            gpu,
            host: vec![host],
            dropped_count: std::mem::take(&mut self.dropped),
        }
    }

    /// What could not be measured by the last [`Collector::collect`].
    pub fn faults(&self) -> &[CollectError] {
        &self.faults
    }

    /// Names of the sources whose values are made up; whoever shows values says so.
    pub fn simulated_sources(&self) -> Vec<&'static str> {
        self.sources.iter().filter(|source| source.is_simulated()).map(|source| source.name()).collect()
    }
}
