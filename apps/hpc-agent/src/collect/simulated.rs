//! Simulated GPUs: plausible curves from a seed, and named so that nobody takes them for real.

use hpc_types::telemetry::v1::GpuMetric;
use hpc_types::time::to_proto;
use jiff::Timestamp;

use super::{CollectError, DeviceSource};

/// Most simulated GPUs.
pub const GPUS_MAX: usize = 64;

/// 80 GiB, as on the boards the curves imitate.
const MEMORY_TOTAL_BYTES: u64 = 80 * 1024 * 1024 * 1024;
const IDLE_WATTS: f64 = 72.0;
const FULL_WATTS: f64 = 700.0;
const IDLE_CELSIUS: f64 = 31.0;
const FULL_CELSIUS: f64 = 74.0;
const IDLE_CLOCK_HERTZ: f64 = 345e6;
const FULL_CLOCK_HERTZ: f64 = 1_980e6;
/// How many seconds of activity the chip's temperature follows.
const WARMTH_SECONDS: i64 = 60;
/// A gap longer than this is a restart: the energy counter does not grow over it.
const ENERGY_GAP_SECONDS: f64 = 600.0;

/// What the simulated GPUs are busy with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Load {
    /// Long steps near full use, with a pause for a checkpoint now and then.
    #[default]
    Training,
    /// Use that rises and falls with requests.
    Inference,
    /// Nothing.
    Idle,
}

/// GPUs that do not exist. Activity is a function of seed, GPU and time; only the energy counter remembers.
#[derive(Debug, Clone)]
pub struct SimulatedGpus {
    seed: u64,
    load: Load,
    gpus: Vec<Energy>,
}

#[derive(Debug, Clone, Copy, Default)]
struct Energy {
    joules: f64,
    last: Option<(Timestamp, f64)>,
}

impl SimulatedGpus {
    /// `count` GPUs (at most [`GPUS_MAX`]) which are training.
    pub fn new(seed: u64, count: usize) -> Self {
        Self { seed, load: Load::default(), gpus: vec![Energy::default(); count.min(GPUS_MAX)] }
    }

    /// Sets what they are busy with.
    #[must_use]
    pub fn with_load(mut self, load: Load) -> Self {
        self.load = load;
        self
    }

    /// Changes what they are busy with.
    pub fn set_load(&mut self, load: Load) {
        self.load = load;
    }

    /// Share of streaming multiprocessors with work in this second, 0 to 1.
    fn activity(&self, gpu: u64, second: i64) -> f64 {
        let noise = |salt: u64, at: i64| unit(mix(self.seed ^ mix(gpu ^ mix(salt ^ at as u64))));
        match self.load {
            Load::Idle => 0.0,
            Load::Training => {
                // All GPUs of a job pause together.
                let period = 300 + (mix(self.seed) % 120) as i64;
                let pause = second.rem_euclid(period) < 12;
                let base = if pause { 0.04 } else { 0.93 };
                (base + 0.05 * (noise(1, second) - 0.5)).clamp(0.0, 1.0)
            }
            Load::Inference => {
                let phase = noise(2, 0) * std::f64::consts::TAU;
                let wave = (second.rem_euclid(900) as f64 / 900.0 * std::f64::consts::TAU + phase).sin();
                (0.45 + 0.3 * wave + 0.2 * (noise(3, second) - 0.5)).clamp(0.0, 1.0)
            }
        }
    }

    fn warmth(&self, gpu: u64, second: i64) -> f64 {
        let samples = 12;
        let sum: f64 = (0..samples).map(|i| self.activity(gpu, second - i * WARMTH_SECONDS / samples)).sum();
        sum / samples as f64
    }

    fn memory_used_bytes(&self, gpu: u64) -> u64 {
        let share = match self.load {
            Load::Idle => 0.006,
            Load::Training => 0.86 + 0.06 * unit(mix(self.seed ^ gpu)),
            Load::Inference => 0.55 + 0.2 * unit(mix(self.seed ^ gpu)),
        };
        // Whole mebibytes, as drivers tell it.
        ((MEMORY_TOTAL_BYTES as f64 * share) as u64) & !0xf_ffff
    }
}

impl DeviceSource for SimulatedGpus {
    fn name(&self) -> &'static str {
        "simulated"
    }

    fn is_simulated(&self) -> bool {
        true
    }

    fn measure(&mut self, host_id: &str, now: Timestamp) -> Result<Vec<GpuMetric>, CollectError> {
        let second = now.as_second();
        let mut metrics = Vec::with_capacity(self.gpus.len());
        for index in 0..self.gpus.len() {
            let gpu = index as u64;
            let activity = self.activity(gpu, second);
            let warmth = self.warmth(gpu, second);
            let power_watts = round(IDLE_WATTS + (FULL_WATTS - IDLE_WATTS) * activity, 10.0);
            let energy = self.gpus.get_mut(index).map(|energy| energy.add(now, power_watts));
            let celsius = IDLE_CELSIUS + (FULL_CELSIUS - IDLE_CELSIUS) * warmth;
            let clock = IDLE_CLOCK_HERTZ + (FULL_CLOCK_HERTZ - IDLE_CLOCK_HERTZ) * activity.min(0.9) / 0.9;
            metrics.push(GpuMetric {
                host_id: host_id.to_owned(),
                gpu_id: format!("sim-gpu-{index}"),
                gpu_uuid: format!("SIM-{:016x}", mix(self.seed ^ mix(gpu))),
                observed_at: to_proto(now).ok(),
                // A kernel runs nearly all the time, also when few multiprocessors have work.
                utilization_ratio: Some(round((activity * 1.6).min(1.0), 100.0)),
                memory_used_bytes: Some(self.memory_used_bytes(gpu)),
                memory_total_bytes: Some(MEMORY_TOTAL_BYTES),
                temperature_celsius: Some(celsius.round()),
                power_watts: Some(power_watts),
                energy_joules: energy,
                sm_activity_ratio: Some(round(activity, 1_000.0)),
                memory_temperature_celsius: Some((celsius + 6.0 * warmth).round()),
                // Clocks move in steps of 15 MHz.
                sm_clock_hertz: Some((clock / 15e6).round() as u64 * 15_000_000),
                last_xid: None,
            });
        }
        Ok(metrics)
    }
}

impl Energy {
    fn add(&mut self, now: Timestamp, watts: f64) -> f64 {
        if let Some((last, last_watts)) = self.last {
            let seconds = now.duration_since(last).as_secs_f64();
            if (0.0..=ENERGY_GAP_SECONDS).contains(&seconds) {
                self.joules += (last_watts + watts) / 2.0 * seconds;
            }
        }
        self.last = Some((now, watts));
        round(self.joules, 1_000.0)
    }
}

fn round(value: f64, parts: f64) -> f64 {
    (value * parts).round() / parts
}

/// The top 53 bits as a number from 0 to 1.
fn unit(bits: u64) -> f64 {
    (bits >> 11) as f64 / (1_u64 << 53) as f64
}

/// SplitMix64's finalizer: scatters neighbouring inputs.
fn mix(mut bits: u64) -> u64 {
    bits = bits.wrapping_add(0x9e37_79b9_7f4a_7c15);
    bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    bits ^ (bits >> 31)
}
