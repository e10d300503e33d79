//! Quotas: devices by model and region, spot apart, and one for all regions together.

/// The quota that counts the devices of all regions; where it is used up, every region is.
pub const ALL_REGIONS: &str = "GPUS_ALL_REGIONS";

/// Device, the quota of it on demand, and by spot.
///
/// Devices since the H100 have no quota of their own model here on demand: the Compute API does not tell it (it is a
/// dimension of `GPUS_PER_GPU_FAMILY` in the Cloud Quotas API), and no quota is better than a wrong one.
///
/// Source: `Quota.metric` of the Compute API's discovery document, revision 20261106.
const DEVICES: &[(&str, Option<&str>, Option<&str>)] = &[
    ("nvidia-tesla-t4", Some("NVIDIA_T4_GPUS"), Some("PREEMPTIBLE_NVIDIA_T4_GPUS")),
    ("nvidia-tesla-v100", Some("NVIDIA_V100_GPUS"), Some("PREEMPTIBLE_NVIDIA_V100_GPUS")),
    ("nvidia-tesla-p100", Some("NVIDIA_P100_GPUS"), Some("PREEMPTIBLE_NVIDIA_P100_GPUS")),
    ("nvidia-l4", Some("NVIDIA_L4_GPUS"), Some("PREEMPTIBLE_NVIDIA_L4_GPUS")),
    ("nvidia-tesla-a100", Some("NVIDIA_A100_GPUS"), Some("PREEMPTIBLE_NVIDIA_A100_GPUS")),
    ("nvidia-a100-80gb", Some("NVIDIA_A100_80GB_GPUS"), Some("PREEMPTIBLE_NVIDIA_A100_80GB_GPUS")),
    ("nvidia-h100-80gb", None, Some("PREEMPTIBLE_NVIDIA_H100_GPUS")),
];

/// Series of machines, and the quota of their vCPUs on demand. Spot vCPUs are counted by `PREEMPTIBLE_CPUS` where a project
/// has asked for it and by the series' quota where it has not, so none is named.
const SERIES: &[(&str, &str)] = &[
    ("n1", "CPUS"),
    ("n2", "N2_CPUS"),
    ("n2d", "N2D_CPUS"),
    ("c2", "C2_CPUS"),
    ("c2d", "C2D_CPUS"),
    ("c3", "C3_CPUS"),
    ("t2d", "T2D_CPUS"),
    ("t2a", "T2A_CPUS"),
];

/// What counts a machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Counted {
    /// Its devices, under this quota.
    Devices(&'static str),
    /// Its vCPUs, under this quota.
    Cpus(&'static str),
}

/// The quota of a machine bought this way; `None` where it is not known.
///
/// A machine with devices is counted by several quotas; the scarce one is that of its devices.
#[must_use]
pub fn of(machine_type: &str, device: Option<&str>, spot: bool) -> Option<Counted> {
    if let Some(device) = device {
        let (_, on_demand, preemptible) = DEVICES.iter().find(|(known, ..)| *known == device)?;
        return if spot { *preemptible } else { *on_demand }.map(Counted::Devices);
    }
    let (series, _) = machine_type.split_once('-')?;
    let (_, quota) = SERIES.iter().find(|(known, _)| *known == series && !spot)?;
    Some(Counted::Cpus(quota))
}

/// Whether a quota of Compute Engine's is one of devices or vCPUs that can be used without a commitment.
#[must_use]
pub fn is_of_machines(metric: &str) -> bool {
    let kind = metric.strip_suffix("_ALL_REGIONS").unwrap_or(metric);
    let counts = ["GPUS", "CPUS"].iter().any(|what| kind == *what || kind.ends_with(&format!("_{what}")));
    counts && !metric.starts_with("COMMITTED_") && !metric.contains("VWS")
}

/// A limit or a use is a whole number that arrives as a float. `None` for what cannot be one.
#[must_use]
pub fn whole(value: f64) -> Option<u64> {
    // 2^53: above it a float skips whole numbers, and "without a limit" is written there.
    const EXACT_MAX: f64 = 9_007_199_254_740_992.0;
    if !(0.0..=EXACT_MAX).contains(&value) {
        return None;
    }
    // Text is the one exact way from a float to an integer that needs no cast.
    format!("{:.0}", value.floor()).parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn devices_are_counted_by_model_and_spot_apart() {
        for (device, on_demand, spot) in [
            ("nvidia-tesla-t4", Some("NVIDIA_T4_GPUS"), Some("PREEMPTIBLE_NVIDIA_T4_GPUS")),
            ("nvidia-tesla-a100", Some("NVIDIA_A100_GPUS"), Some("PREEMPTIBLE_NVIDIA_A100_GPUS")),
            ("nvidia-a100-80gb", Some("NVIDIA_A100_80GB_GPUS"), Some("PREEMPTIBLE_NVIDIA_A100_80GB_GPUS")),
            ("nvidia-h100-80gb", None, Some("PREEMPTIBLE_NVIDIA_H100_GPUS")),
            ("nvidia-b200", None, None),
        ] {
            assert_eq!(of("x-1", Some(device), false), on_demand.map(Counted::Devices), "{device}");
            assert_eq!(of("x-1", Some(device), true), spot.map(Counted::Devices), "{device}");
        }
    }

    #[test]
    fn machines_without_devices_are_counted_by_series() {
        for (machine_type, want) in [
            ("n1-standard-8", Some("CPUS")),
            ("n2d-standard-8", Some("N2D_CPUS")),
            ("e2-standard-8", None),
            ("n1", None),
            ("", None),
        ] {
            assert_eq!(of(machine_type, None, false), want.map(Counted::Cpus), "{machine_type}");
            assert_eq!(of(machine_type, None, true), None);
        }
    }

    #[test]
    fn quotas_of_machines_are_told_from_all_the_others() {
        for metric in [
            "CPUS",
            "NVIDIA_T4_GPUS",
            "PREEMPTIBLE_CPUS",
            ALL_REGIONS,
            "CPUS_ALL_REGIONS",
            "NVIDIA_H300_GPUS",
        ] {
            assert!(is_of_machines(metric), "{metric}");
        }
        for metric in [
            "",
            "INSTANCES",
            "COMMITTED_NVIDIA_T4_GPUS",
            "COMMITTED_CPUS",
            "NVIDIA_T4_VWS_GPUS",
            "DISKS_TOTAL_GB",
            "XGPUS",
        ] {
            assert!(!is_of_machines(metric), "{metric}");
        }
        assert!(DEVICES.iter().flat_map(|(_, one, other)| [*one, *other]).flatten().all(is_of_machines));
    }

    #[test]
    fn a_limit_is_whole_and_never_made_up() {
        for (value, want) in [
            (0.0, Some(0)),
            (8.0, Some(8)),
            (0.9, Some(0)),
            (9_007_199_254_740_992.0, Some(1 << 53)),
            (9.223_372_036_854_776e18, None),
            (-1.0, None),
            (f64::NAN, None),
            (f64::INFINITY, None),
        ] {
            assert_eq!(whole(value), want, "{value}");
        }
    }
}
