//! Builders of telemetry messages that take the units people read and write the units the wire has.
//!
//! | method | takes | writes |
//! | --- | --- | --- |
//! | `utilization`, `sm_activity`, `cpu` | percent, 0 to 100 | ratio, 0 to 1 |
//! | `memory` | gigabytes, 10^9 bytes, used and total | bytes |
//! | `memory_bytes` | bytes, used and total | bytes |
//! | `temperature`, `memory_temperature` | degrees Celsius | degrees Celsius |
//! | `power` | watts | watts |
//! | `energy` | joules | joules |
//! | `sm_clock_mhz` | megahertz | hertz |
//!
//! A value that is not a number, is one of the vendor's "not available" values, or lies outside its range,
//! is left out by `build`, never written as 0. `try_build` tells which ones were out of range.

use jiff::Timestamp;

use crate::sample::{
    CLOCK_HERTZ_MAX, ENERGY_JOULES_MAX, MEMORY_BYTES_MAX, POWER_WATTS_MAX, TEMPERATURE_CELSIUS_MAX,
    TEMPERATURE_CELSIUS_MIN,
};
use crate::telemetry::v1::{GpuMetric, HostMetric};
use crate::time::to_proto;
use crate::validate::{Check, Violations, is_small_integer_sentinel};

const BYTES_PER_GB: f64 = 1e9;

/// Builds a [`GpuMetric`].
///
/// ```
/// use hpc_types::telemetry_helpers::GpuMetricBuilder;
///
/// let broken = GpuMetricBuilder::new("host-001", "gpu-0").utilization(4294967295.0).power(350.0);
/// assert_eq!(broken.try_build().unwrap_err().list()[0].field, "utilization_ratio");
/// ```
#[derive(Debug)]
#[must_use = "a builder does nothing until it is built"]
pub struct GpuMetricBuilder {
    metric: GpuMetric,
    check: Check,
}

impl GpuMetricBuilder {
    /// A metric of one GPU of one host; nothing is measured yet.
    pub fn new(host_id: impl Into<String>, gpu_id: impl Into<String>) -> Self {
        let mut check = Check::default();
        let mut metric = GpuMetric { host_id: host_id.into(), gpu_id: gpu_id.into(), ..GpuMetric::default() };
        if !check.id("host_id", &metric.host_id) {
            metric.host_id.clear();
        }
        if !check.id("gpu_id", &metric.gpu_id) {
            metric.gpu_id.clear();
        }
        Self { metric, check }
    }

    /// The vendor's unique id.
    pub fn uuid(mut self, uuid: impl Into<String>) -> Self {
        let uuid = uuid.into();
        if self.check.id("gpu_uuid", &uuid) {
            self.metric.gpu_uuid = uuid;
        }
        self
    }

    /// When it was measured.
    pub fn observed_at(mut self, time: Timestamp) -> Self {
        match to_proto(time) {
            Ok(time) => self.metric.observed_at = Some(time),
            Err(error) => self.check.broken("observed_at", error.to_string()),
        }
        self
    }

    /// Share of time with a kernel running, in percent.
    pub fn utilization(mut self, percent: f64) -> Self {
        self.metric.utilization_ratio = ratio(&mut self.check, "utilization_ratio", percent);
        self
    }

    /// Share of streaming multiprocessors with work, in percent.
    pub fn sm_activity(mut self, percent: f64) -> Self {
        self.metric.sm_activity_ratio = ratio(&mut self.check, "sm_activity_ratio", percent);
        self
    }

    /// Memory used and total, in gigabytes (10^9 bytes), rounded to whole bytes.
    pub fn memory(mut self, used_gb: f64, total_gb: f64) -> Self {
        let used = gigabytes(&mut self.check, "memory_used_bytes", used_gb);
        let total = gigabytes(&mut self.check, "memory_total_bytes", total_gb);
        self.set_memory(used, total);
        self
    }

    /// Memory used and total, in bytes.
    pub fn memory_bytes(mut self, used: u64, total: u64) -> Self {
        let used = self.check.count("memory_used_bytes", Some(used), MEMORY_BYTES_MAX);
        let total = self.check.count("memory_total_bytes", Some(total), MEMORY_BYTES_MAX);
        self.set_memory(used, total);
        self
    }

    /// Temperature of the chip, in degrees Celsius.
    pub fn temperature(mut self, celsius: f64) -> Self {
        self.metric.temperature_celsius = temperature(&mut self.check, "temperature_celsius", celsius);
        self
    }

    /// Temperature of the memory, in degrees Celsius.
    pub fn memory_temperature(mut self, celsius: f64) -> Self {
        self.metric.memory_temperature_celsius =
            temperature(&mut self.check, "memory_temperature_celsius", celsius);
        self
    }

    /// Power drawn, in watts.
    pub fn power(mut self, watts: f64) -> Self {
        self.metric.power_watts = self.check.number("power_watts", Some(watts), 0.0, POWER_WATTS_MAX);
        self
    }

    /// Energy used since the driver was loaded, in joules.
    pub fn energy(mut self, joules: f64) -> Self {
        self.metric.energy_joules = self.check.number("energy_joules", Some(joules), 0.0, ENERGY_JOULES_MAX);
        self
    }

    /// Clock of the streaming multiprocessors, in megahertz.
    pub fn sm_clock_mhz(mut self, megahertz: u32) -> Self {
        let hertz = (!is_small_integer_sentinel(megahertz)).then(|| u64::from(megahertz) * 1_000_000);
        self.metric.sm_clock_hertz = self.check.count("sm_clock_hertz", hertz, CLOCK_HERTZ_MAX);
        self
    }

    /// Code of the last driver error; 0 means that there was none.
    pub fn last_xid(mut self, code: u32) -> Self {
        self.metric.last_xid = Some(code).filter(|code| *code != 0 && !is_small_integer_sentinel(*code));
        self
    }

    /// The metric, without the values that were out of range.
    #[must_use]
    pub fn build(self) -> GpuMetric {
        self.metric
    }

    /// The metric, if nothing was out of range.
    ///
    /// # Errors
    /// [`Violations`]: every value that was.
    pub fn try_build(self) -> Result<GpuMetric, Violations> {
        Violations::none_or(self.check.finish()).map(|()| self.metric)
    }

    fn set_memory(&mut self, used: Option<u64>, total: Option<u64>) {
        let (used, total) = memory(&mut self.check, used, total);
        self.metric.memory_used_bytes = used;
        self.metric.memory_total_bytes = total;
    }
}

/// Builds a [`HostMetric`].
#[derive(Debug)]
#[must_use = "a builder does nothing until it is built"]
pub struct HostMetricBuilder {
    metric: HostMetric,
    check: Check,
}

impl HostMetricBuilder {
    /// A metric of one host; nothing is measured yet.
    pub fn new(host_id: impl Into<String>) -> Self {
        let mut check = Check::default();
        let mut metric = HostMetric { host_id: host_id.into(), ..HostMetric::default() };
        if !check.id("host_id", &metric.host_id) {
            metric.host_id.clear();
        }
        Self { metric, check }
    }

    /// When it was measured.
    pub fn observed_at(mut self, time: Timestamp) -> Self {
        match to_proto(time) {
            Ok(time) => self.metric.observed_at = Some(time),
            Err(error) => self.check.broken("observed_at", error.to_string()),
        }
        self
    }

    /// Share of processor time in use over all cores, in percent.
    pub fn cpu(mut self, percent: f64) -> Self {
        self.metric.cpu_ratio = ratio(&mut self.check, "cpu_ratio", percent);
        self
    }

    /// Memory used and total, in bytes.
    pub fn memory_bytes(mut self, used: u64, total: u64) -> Self {
        let used = self.check.count("memory_used_bytes", Some(used), MEMORY_BYTES_MAX);
        let total = self.check.count("memory_total_bytes", Some(total), MEMORY_BYTES_MAX);
        let (used, total) = memory(&mut self.check, used, total);
        self.metric.memory_used_bytes = used;
        self.metric.memory_total_bytes = total;
        self
    }

    /// Bytes received and sent since boot, over all network devices.
    pub fn network_bytes(mut self, received: u64, sent: u64) -> Self {
        self.metric.network_received_bytes = Some(received);
        self.metric.network_sent_bytes = Some(sent);
        self
    }

    /// The metric, without the values that were out of range.
    #[must_use]
    pub fn build(self) -> HostMetric {
        self.metric
    }

    /// The metric, if nothing was out of range.
    ///
    /// # Errors
    /// [`Violations`]: every value that was.
    pub fn try_build(self) -> Result<HostMetric, Violations> {
        Violations::none_or(self.check.finish()).map(|()| self.metric)
    }
}

fn ratio(check: &mut Check, field: &str, percent: f64) -> Option<f64> {
    check.number(field, Some(percent), 0.0, 100.0).map(|percent| percent / 100.0)
}

fn temperature(check: &mut Check, field: &str, celsius: f64) -> Option<f64> {
    check.number(field, Some(celsius), TEMPERATURE_CELSIUS_MIN, TEMPERATURE_CELSIUS_MAX)
}

fn gigabytes(check: &mut Check, field: &str, gigabytes: f64) -> Option<u64> {
    const GIGABYTES_MAX: f64 = 1_000_000.0; // under MEMORY_BYTES_MAX, and exact in a double
    check.number(field, Some(gigabytes), 0.0, GIGABYTES_MAX).map(|gb| (gb * BYTES_PER_GB).round() as u64)
}

fn memory(check: &mut Check, used: Option<u64>, total: Option<u64>) -> (Option<u64>, Option<u64>) {
    match (used, total) {
        (Some(used), Some(total)) if used > total => {
            check.broken("memory_used_bytes", "must not be over `memory_total_bytes`");
            (None, None)
        }
        both => both,
    }
}
