//! What the program works with once a metric has been checked: the same values, with types that hold what they promise.

use jiff::Timestamp;

use crate::telemetry::v1::{GpuMetric, HostMetric};
use crate::time::to_proto;
use crate::validate::{Check, Violation, Violations, is_small_integer_sentinel};

/// Largest plausible memory: 1 PiB.
pub const MEMORY_BYTES_MAX: u64 = 1 << 50;
/// Coldest plausible temperature.
pub const TEMPERATURE_CELSIUS_MIN: f64 = -100.0;
/// Hottest plausible temperature.
pub const TEMPERATURE_CELSIUS_MAX: f64 = 300.0;
/// Largest plausible power of one GPU.
pub const POWER_WATTS_MAX: f64 = 100_000.0;
/// Largest plausible energy counter: 100 kW for 300 years.
pub const ENERGY_JOULES_MAX: f64 = 1e15;
/// Fastest plausible clock.
pub const CLOCK_HERTZ_MAX: u64 = 100_000_000_000;

/// One GPU at one moment. `None` means: not measured.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct GpuSample {
    /// Host the GPU sits in.
    pub host_id: String,
    /// The GPU's name within its host.
    pub gpu_id: String,
    /// The vendor's unique id.
    pub gpu_uuid: Option<String>,
    /// When it was measured.
    pub observed_at: Timestamp,
    /// Share of time in which at least one kernel ran, 0 to 1.
    pub utilization_ratio: Option<f64>,
    /// Memory in use; never more than the total.
    pub memory_used_bytes: Option<u64>,
    /// Memory there is.
    pub memory_total_bytes: Option<u64>,
    /// Temperature of the chip.
    pub temperature_celsius: Option<f64>,
    /// Power drawn.
    pub power_watts: Option<f64>,
    /// Energy used since the driver was loaded; a counter.
    pub energy_joules: Option<f64>,
    /// Share of streaming multiprocessors with work, 0 to 1.
    pub sm_activity_ratio: Option<f64>,
    /// Temperature of the memory.
    pub memory_temperature_celsius: Option<f64>,
    /// Clock of the streaming multiprocessors.
    pub sm_clock_hertz: Option<u64>,
    /// Code of the last driver error.
    pub last_xid: Option<u32>,
}

/// One host at one moment. `None` means: not measured.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct HostSample {
    /// The node's name.
    pub host_id: String,
    /// When it was measured.
    pub observed_at: Timestamp,
    /// Share of processor time in use, 0 to 1.
    pub cpu_ratio: Option<f64>,
    /// Memory in use; never more than the total.
    pub memory_used_bytes: Option<u64>,
    /// Memory there is.
    pub memory_total_bytes: Option<u64>,
    /// Bytes received since boot; a counter.
    pub network_received_bytes: Option<u64>,
    /// Bytes sent since boot; a counter.
    pub network_sent_bytes: Option<u64>,
}

impl GpuSample {
    /// The sample without the values that break a rule, and the rules they break.
    ///
    /// # Errors
    /// [`Violations`] when host, GPU or time are missing or broken: such a sample belongs nowhere.
    pub fn keep_valid(metric: &GpuMetric) -> Result<(Self, Vec<Violation>), Violations> {
        keep_valid(|check| Self::read(metric, "", check))
    }

    /// `None` when host, GPU or time are missing; `prefix` goes before the field names of violations.
    pub(crate) fn read(metric: &GpuMetric, prefix: &str, check: &mut Check) -> Option<Self> {
        let name = |field: &str| format!("{prefix}{field}");
        let host = check.id(&name("host_id"), &metric.host_id);
        let gpu = check.id(&name("gpu_id"), &metric.gpu_id);
        let uuid = check.optional_id(&name("gpu_uuid"), &metric.gpu_uuid) && !metric.gpu_uuid.is_empty();
        let observed_at = check.time(&name("observed_at"), metric.observed_at.as_ref());
        let celsius = |check: &mut Check, field: &str, value| {
            check.number(&name(field), value, TEMPERATURE_CELSIUS_MIN, TEMPERATURE_CELSIUS_MAX)
        };
        let temperature_celsius = celsius(check, "temperature_celsius", metric.temperature_celsius);
        let memory_temperature_celsius =
            celsius(check, "memory_temperature_celsius", metric.memory_temperature_celsius);
        let (memory_used_bytes, memory_total_bytes) =
            memory(check, prefix, metric.memory_used_bytes, metric.memory_total_bytes);
        let utilization_ratio = check.number(&name("utilization_ratio"), metric.utilization_ratio, 0.0, 1.0);
        let sm_activity_ratio = check.number(&name("sm_activity_ratio"), metric.sm_activity_ratio, 0.0, 1.0);
        let power_watts = check.number(&name("power_watts"), metric.power_watts, 0.0, POWER_WATTS_MAX);
        let energy_joules =
            check.number(&name("energy_joules"), metric.energy_joules, 0.0, ENERGY_JOULES_MAX);
        let sm_clock_hertz = check.count(&name("sm_clock_hertz"), metric.sm_clock_hertz, CLOCK_HERTZ_MAX);
        let observed_at = observed_at.filter(|_| host && gpu)?;
        Some(Self {
            host_id: metric.host_id.clone(),
            gpu_id: metric.gpu_id.clone(),
            gpu_uuid: uuid.then(|| metric.gpu_uuid.clone()),
            observed_at,
            utilization_ratio,
            memory_used_bytes,
            memory_total_bytes,
            temperature_celsius,
            power_watts,
            energy_joules,
            sm_activity_ratio,
            memory_temperature_celsius,
            sm_clock_hertz,
            // Zero is how a driver says that there was no error.
            last_xid: metric.last_xid.filter(|xid| *xid != 0 && !is_small_integer_sentinel(*xid)),
        })
    }
}

impl HostSample {
    /// The sample without the values that break a rule, and the rules they break.
    ///
    /// # Errors
    /// [`Violations`] when host or time are missing or broken.
    pub fn keep_valid(metric: &HostMetric) -> Result<(Self, Vec<Violation>), Violations> {
        keep_valid(|check| Self::read(metric, "", check))
    }

    pub(crate) fn read(metric: &HostMetric, prefix: &str, check: &mut Check) -> Option<Self> {
        let name = |field: &str| format!("{prefix}{field}");
        let host = check.id(&name("host_id"), &metric.host_id);
        let observed_at = check.time(&name("observed_at"), metric.observed_at.as_ref());
        let cpu_ratio = check.number(&name("cpu_ratio"), metric.cpu_ratio, 0.0, 1.0);
        let (memory_used_bytes, memory_total_bytes) =
            memory(check, prefix, metric.memory_used_bytes, metric.memory_total_bytes);
        let counter = |check: &mut Check, field: &str, value| check.count(&name(field), value, u64::MAX - 1);
        let network_received_bytes = counter(check, "network_received_bytes", metric.network_received_bytes);
        let network_sent_bytes = counter(check, "network_sent_bytes", metric.network_sent_bytes);
        let observed_at = observed_at.filter(|_| host)?;
        Some(Self {
            host_id: metric.host_id.clone(),
            observed_at,
            cpu_ratio,
            memory_used_bytes,
            memory_total_bytes,
            network_received_bytes,
            network_sent_bytes,
        })
    }
}

/// Used memory over the total makes both worthless.
fn memory(
    check: &mut Check,
    prefix: &str,
    used: Option<u64>,
    total: Option<u64>,
) -> (Option<u64>, Option<u64>) {
    let used = check.count(&format!("{prefix}memory_used_bytes"), used, MEMORY_BYTES_MAX);
    let total = check.count(&format!("{prefix}memory_total_bytes"), total, MEMORY_BYTES_MAX);
    match (used, total) {
        (Some(used), Some(total)) if used > total => {
            check.broken(&format!("{prefix}memory_used_bytes"), "must not be over `memory_total_bytes`");
            (None, None)
        }
        both => both,
    }
}

fn keep_valid<S>(read: impl FnOnce(&mut Check) -> Option<S>) -> Result<(S, Vec<Violation>), Violations> {
    let mut check = Check::default();
    let sample = read(&mut check);
    let violations = check.finish();
    match sample {
        Some(sample) => Ok((sample, violations)),
        // A sample that cannot be placed has broken at least one rule.
        None => match Violations::none_or(violations) {
            Err(violations) => Err(violations),
            Ok(()) => Err(Violations::unplaced()),
        },
    }
}

fn all_valid<S>(read: impl FnOnce(&mut Check) -> Option<S>) -> Result<S, Violations> {
    let (sample, violations) = keep_valid(read)?;
    Violations::none_or(violations).map(|()| sample)
}

impl TryFrom<&GpuMetric> for GpuSample {
    type Error = Violations;

    fn try_from(metric: &GpuMetric) -> Result<Self, Violations> {
        all_valid(|check| Self::read(metric, "", check))
    }
}

impl TryFrom<&HostMetric> for HostSample {
    type Error = Violations;

    fn try_from(metric: &HostMetric) -> Result<Self, Violations> {
        all_valid(|check| Self::read(metric, "", check))
    }
}

/// The time is absent when it lies before the year 1, which nothing measured does.
impl From<&GpuSample> for GpuMetric {
    fn from(sample: &GpuSample) -> Self {
        Self {
            host_id: sample.host_id.clone(),
            gpu_id: sample.gpu_id.clone(),
            gpu_uuid: sample.gpu_uuid.clone().unwrap_or_default(),
            observed_at: to_proto(sample.observed_at).ok(),
            utilization_ratio: sample.utilization_ratio,
            memory_used_bytes: sample.memory_used_bytes,
            memory_total_bytes: sample.memory_total_bytes,
            temperature_celsius: sample.temperature_celsius,
            power_watts: sample.power_watts,
            energy_joules: sample.energy_joules,
            sm_activity_ratio: sample.sm_activity_ratio,
            memory_temperature_celsius: sample.memory_temperature_celsius,
            sm_clock_hertz: sample.sm_clock_hertz,
            last_xid: sample.last_xid,
        }
    }
}

/// The time is absent when it lies before the year 1, which nothing measured does.
impl From<&HostSample> for HostMetric {
    fn from(sample: &HostSample) -> Self {
        Self {
            host_id: sample.host_id.clone(),
            observed_at: to_proto(sample.observed_at).ok(),
            cpu_ratio: sample.cpu_ratio,
            memory_used_bytes: sample.memory_used_bytes,
            memory_total_bytes: sample.memory_total_bytes,
            network_received_bytes: sample.network_received_bytes,
            network_sent_bytes: sample.network_sent_bytes,
        }
    }
}
