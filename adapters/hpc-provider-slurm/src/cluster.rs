//! The settings of a cluster, checked once: Slurm says what is free, these say what it is and what it costs.

use std::collections::BTreeMap;
use std::time::Duration;

use hpc_resources::{
    AcceleratorModel, Accelerators, Bytes, IdError, InstanceType, MilliCpu, ModelError, Region, ZoneId,
};
use serde::{Deserialize, Serialize};

use crate::price::{Price, PriceError};

/// Most partitions in one cluster's settings.
pub const PARTITIONS_MAX: usize = 64;
/// Most shapes in one partition.
pub const SHAPES_MAX: usize = 64;
/// Most instances in one job.
pub const INSTANCES_PER_JOB_MAX: u32 = 256;
/// How long a job may take to start before it is cancelled, in seconds, if the settings do not say.
pub const START_WITHIN_S_DEFAULT: u32 = 15;
/// The longest that settings can say.
pub const START_WITHIN_S_MAX: u32 = 45;
/// Longest name of a partition, account, QOS, reservation or GRES type, in bytes.
const NAME_BYTES_MAX: usize = 63;
/// Most devices in one instance.
const DEVICES_MAX: u32 = 1_024;
/// Most CPUs in one instance.
const CPUS_MAX: u32 = 65_536;
/// Longest time limit of a job, in minutes: ten years.
const MINUTES_MAX: u32 = 5_256_000;

/// A cluster as people write it. Unknown fields are errors; sizes and prices are text with a unit.
///
/// ```yaml
/// region: berlin-1
/// start_within_s: 15               # a job that has not started by then is cancelled: no stock
/// partitions:
///   gpu:
///     account: ml                  # and `qos`, `reservation`: given to sbatch as they are
///     time_limit_min: 2880         # of every job; without it the partition's own limit holds
///     shapes:
///       h100-4:
///         gpus: { model: h100, count: 4, memory_each: 80 GiB }
///         gres_type: h100          # as in `gpu:h100:8`; without it any GPU of the partition
///         cpu: 48
///         memory: 480 GiB
///         price: 8.00 USD          # of one instance for an hour; or `free`; or `unknown`, which is never bought
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ClusterDocument {
    /// Where the cluster stands.
    pub region: Region,
    /// How long a job may take to start, in seconds: 0 to [`START_WITHIN_S_MAX`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub start_within_s: Option<u32>,
    /// What to offer of which partition.
    pub partitions: BTreeMap<String, PartitionDocument>,
}

/// What to offer of one partition, and how to submit to it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PartitionDocument {
    /// The account to charge.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub account: Option<String>,
    /// The quality of service.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub qos: Option<String>,
    /// The reservation to run in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reservation: Option<String>,
    /// The time limit of every job, in minutes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub time_limit_min: Option<u32>,
    /// The shapes, by name: the name is the instance type.
    pub shapes: BTreeMap<InstanceType, ShapeDocument>,
}

/// What one instance is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ShapeDocument {
    /// Its accelerators.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gpus: Option<GpusDocument>,
    /// The type of the GRES `gpu`, as Slurm calls it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gres_type: Option<String>,
    /// Its CPUs.
    pub cpu: u32,
    /// Its memory.
    pub memory: Bytes,
    /// What it costs for an hour.
    pub price: String,
}

/// The accelerators of one instance.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GpusDocument {
    /// Their model, in any known spelling.
    pub model: String,
    /// How many.
    pub count: u32,
    /// Memory of each.
    pub memory_each: Bytes,
}

/// Why settings were refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ClusterError {
    /// Nothing is offered.
    #[error("the settings offer nothing; name at least one partition with one shape")]
    Empty,
    /// Too many of something.
    #[error("{have} {what}, at most {limit} are taken")]
    TooMany {
        /// What.
        what: &'static str,
        /// How many.
        have: usize,
        /// The limit.
        limit: usize,
    },
    /// A number out of its range.
    #[error("`{field}` is {least} to {most}, not {have}")]
    OutOfRange {
        /// Which field.
        field: String,
        /// What it is.
        have: u32,
        /// The least.
        least: u32,
        /// The most.
        most: u32,
    },
    /// A name that sbatch could take for something else.
    #[error(
        "`{field}`: a name has 1 to {NAME_BYTES_MAX} letters, digits, `-`, `_` and `.`, beginning with a letter or digit"
    )]
    Name {
        /// Which field.
        field: String,
    },
    /// A partition that is no zone.
    #[error("partition `{partition}`: {source}")]
    Zone {
        /// Which.
        partition: String,
        /// Why.
        source: IdError,
    },
    /// The accelerator's name.
    #[error("shape `{shape}`: {source}")]
    Model {
        /// Which.
        shape: InstanceType,
        /// Why.
        source: ModelError,
    },
    /// The price.
    #[error("shape `{shape}`: {source}")]
    Price {
        /// Which.
        shape: InstanceType,
        /// Why.
        source: PriceError,
    },
    /// A GRES type without GPUs, or a size of nothing.
    #[error("shape `{shape}`: {what}")]
    Shape {
        /// Which.
        shape: InstanceType,
        /// What is wrong with it.
        what: &'static str,
    },
}

/// One checked shape in one partition: what an offer is made of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shape {
    /// Its name.
    pub instance_type: InstanceType,
    /// The partition.
    pub zone: ZoneId,
    /// Its accelerators.
    pub accelerators: Option<Accelerators>,
    /// The type of the GRES `gpu`.
    pub gres_type: Option<String>,
    /// Its CPUs.
    pub cpus: u32,
    /// Its memory.
    pub memory: Bytes,
    /// What it costs.
    pub price: Price,
    /// Given to sbatch.
    pub(crate) options: Vec<String>,
    /// The time limit of its jobs.
    pub(crate) time_limit_min: Option<u32>,
}

impl Shape {
    /// Its CPUs, as an offer says it.
    #[must_use]
    pub const fn cpu(&self) -> MilliCpu {
        MilliCpu::whole(self.cpus)
    }

    /// GPUs of one instance.
    #[must_use]
    pub fn gpus(&self) -> u32 {
        self.accelerators.map_or(0, |have| have.count)
    }

    /// Memory per CPU in mebibytes, rounded up: how Slurm is told of memory, task by task.
    #[must_use]
    pub fn mib_per_cpu(&self) -> u64 {
        self.memory.0.div_ceil(1 << 20).div_ceil(u64::from(self.cpus.max(1))).max(1)
    }
}

/// A checked cluster. Immutable.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cluster {
    region: Region,
    start_within: Duration,
    shapes: BTreeMap<(ZoneId, InstanceType), Shape>,
    snapshot: String,
}

impl Cluster {
    /// Checks a document.
    ///
    /// # Errors
    /// The first mistake found, as a [`ClusterError`].
    pub fn check(document: ClusterDocument) -> Result<Self, ClusterError> {
        let text = serde_json::to_vec(&document).unwrap_or_default();
        let snapshot = blake3::hash(&text).to_hex().to_string();
        few("partitions", document.partitions.len(), PARTITIONS_MAX)?;
        let seconds = document.start_within_s.unwrap_or(START_WITHIN_S_DEFAULT);
        within("start_within_s", seconds, 0, START_WITHIN_S_MAX)?;
        let mut shapes = BTreeMap::new();
        for (name, partition) in &document.partitions {
            few("shapes in one partition", partition.shapes.len(), SHAPES_MAX)?;
            named("partitions", name)?;
            let zone = ZoneId::parse(name.as_str())
                .map_err(|source| ClusterError::Zone { partition: name.clone(), source })?;
            let mut options = Vec::new();
            for (field, value) in [
                ("account", &partition.account),
                ("qos", &partition.qos),
                ("reservation", &partition.reservation),
            ] {
                if let Some(value) = value {
                    named(field, value)?;
                    options.push(format!("--{field}={value}"));
                }
            }
            if let Some(minutes) = partition.time_limit_min {
                within("time_limit_min", minutes, 1, MINUTES_MAX)?;
                options.push(format!("--time={minutes}"));
            }
            for (instance_type, shape) in &partition.shapes {
                let mut shape = check_shape(instance_type, shape, &zone)?;
                shape.options.clone_from(&options);
                shape.time_limit_min = partition.time_limit_min;
                shapes.insert((zone.clone(), instance_type.clone()), shape);
            }
        }
        if shapes.is_empty() {
            return Err(ClusterError::Empty);
        }
        let start_within = Duration::from_secs(u64::from(seconds));
        Ok(Self { region: document.region, start_within, shapes, snapshot })
    }

    /// Where it stands.
    #[must_use]
    pub const fn region(&self) -> &Region {
        &self.region
    }

    /// How long a job may take to start.
    #[must_use]
    pub const fn start_within(&self) -> Duration {
        self.start_within
    }

    /// Content hash of the settings, in hex: what every offer names as its snapshot.
    #[must_use]
    pub fn snapshot(&self) -> &str {
        &self.snapshot
    }

    /// The shape of this name in this partition.
    #[must_use]
    pub fn shape(&self, zone: &ZoneId, instance_type: &InstanceType) -> Option<&Shape> {
        self.shapes.get(&(zone.clone(), instance_type.clone()))
    }

    /// All shapes, by partition and name.
    pub fn shapes(&self) -> impl Iterator<Item = &Shape> {
        self.shapes.values()
    }

    /// The partitions, each once.
    pub(crate) fn partitions(&self) -> Vec<&str> {
        let mut names: Vec<&str> = self.shapes.keys().map(|(zone, _)| zone.as_str()).collect();
        names.dedup();
        names
    }
}

fn few(what: &'static str, have: usize, limit: usize) -> Result<(), ClusterError> {
    if have > limit { Err(ClusterError::TooMany { what, have, limit }) } else { Ok(()) }
}

fn within(field: &str, have: u32, least: u32, most: u32) -> Result<(), ClusterError> {
    if (least..=most).contains(&have) {
        return Ok(());
    }
    Err(ClusterError::OutOfRange { field: field.to_owned(), have, least, most })
}

/// Names become arguments: none may begin with a dash or hold a separator of Slurm's lists.
fn named(field: &str, value: &str) -> Result<(), ClusterError> {
    let good = value.len() <= NAME_BYTES_MAX
        && value.starts_with(|c: char| c.is_ascii_alphanumeric())
        && value.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.'));
    if good { Ok(()) } else { Err(ClusterError::Name { field: field.to_owned() }) }
}

fn check_shape(name: &InstanceType, document: &ShapeDocument, zone: &ZoneId) -> Result<Shape, ClusterError> {
    let wrong = |what| ClusterError::Shape { shape: name.clone(), what };
    within("cpu", document.cpu, 1, CPUS_MAX)?;
    if document.memory.0 == 0 {
        return Err(wrong("`memory` is above zero"));
    }
    let accelerators = match &document.gpus {
        None if document.gres_type.is_some() => return Err(wrong("`gres_type` needs `gpus`")),
        None => None,
        Some(gpus) => {
            let model = AcceleratorModel::parse(&gpus.model)
                .map_err(|source| ClusterError::Model { shape: name.clone(), source })?;
            within("gpus.count", gpus.count, 1, DEVICES_MAX)?;
            if gpus.memory_each.0 == 0 {
                return Err(wrong("`gpus.memory_each` is above zero"));
            }
            Some(Accelerators { model, count: gpus.count, memory_each: gpus.memory_each })
        }
    };
    if let Some(gres_type) = &document.gres_type {
        named("gres_type", gres_type)?;
    }
    let price = Price::parse(&document.price)
        .map_err(|source| ClusterError::Price { shape: name.clone(), source })?;
    Ok(Shape {
        instance_type: name.clone(),
        zone: zone.clone(),
        accelerators,
        gres_type: document.gres_type.clone(),
        cpus: document.cpu,
        memory: document.memory,
        price,
        options: Vec::new(),
        time_limit_min: None,
    })
}
