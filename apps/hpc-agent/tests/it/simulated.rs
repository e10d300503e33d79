//! Simulated GPUs are plausible, repeatable, and say what they are.

use hpc_agent::{DeviceSource, Load, SimulatedGpus};
use hpc_types::Validate;
use jiff::{SignedDuration, Timestamp};

const NOW: Timestamp = Timestamp::constant(1_760_000_000, 0);

fn at(second: i64) -> Timestamp {
    NOW + SignedDuration::from_secs(second)
}

#[test]
fn values_are_valid_and_named_simulated() {
    for load in [Load::Training, Load::Inference, Load::Idle] {
        let mut gpus = SimulatedGpus::new(7, 8).with_load(load);
        for second in (0..2_000).step_by(10) {
            for metric in gpus.measure("node-1", at(second)).unwrap() {
                metric.validate().unwrap();
                assert!(metric.gpu_id.starts_with("sim-") && metric.gpu_uuid.starts_with("SIM-"));
                assert!((70.0..=720.0).contains(&metric.power_watts.unwrap()));
                assert!((30.0..=80.0).contains(&metric.temperature_celsius.unwrap()));
            }
        }
    }
}

#[test]
fn the_seed_decides() {
    let run = |seed| SimulatedGpus::new(seed, 2).measure("n", at(5)).unwrap();
    assert_eq!(run(1), run(1));
    assert_ne!(run(1), run(2));
}

#[test]
fn energy_is_the_integral_of_power() {
    let mut gpus = SimulatedGpus::new(7, 1).with_load(Load::Idle);
    assert_eq!(gpus.measure("n", at(0)).unwrap()[0].energy_joules, Some(0.0));
    assert_eq!(gpus.measure("n", at(10)).unwrap()[0].energy_joules, Some(720.0), "72 W for 10 s");
    assert_eq!(
        gpus.measure("n", at(4)).unwrap()[0].energy_joules,
        Some(720.0),
        "a clock that went back adds nothing"
    );
}

#[test]
fn idle_and_busy_differ() {
    let mean = |load| {
        let mut gpus = SimulatedGpus::new(3, 1).with_load(load);
        (0..600).map(|s| gpus.measure("n", at(s)).unwrap()[0].sm_activity_ratio.unwrap()).sum::<f64>() / 600.0
    };
    assert_eq!(mean(Load::Idle), 0.0);
    assert!(mean(Load::Training) > 0.8);
    assert!((0.2..0.7).contains(&mean(Load::Inference)));
}
