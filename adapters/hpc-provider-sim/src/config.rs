//! What a world is made from.

use std::path::PathBuf;

use hpc_resources::{AcceleratorModel, Bytes, InstanceType, Money, Region, ZoneId};
use jiff::Timestamp;

use crate::catalog::CatalogSource;
use crate::cloud::default_racks;
use crate::script::Script;

/// How long `observe` and `list_owned` of `sim-aws` and `sim-gcp` may miss a new instance, in milliseconds.
pub const CONSISTENCY_MS_DEFAULT: u64 = 500;
/// Longest consistency lag that can be asked for, in milliseconds.
pub const CONSISTENCY_MS_MAX: u64 = 600_000;
/// Most kinds of rack nodes.
pub const RACKS_MAX: usize = 256;

/// Where the simulated clouds keep what exists in them, apart from anything the broker keeps.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub enum Persistence {
    /// Nowhere: it ends with the process.
    #[default]
    Memory,
    /// In this file: every create and release is on disk before it is answered.
    File(PathBuf),
}

/// Equal nodes in one rack of one's own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RackNodes {
    /// The site.
    pub region: Region,
    /// The rack.
    pub zone: ZoneId,
    /// What the node is called.
    pub instance_type: InstanceType,
    /// Its accelerators.
    pub model: AcceleratorModel,
    /// How many of them in each node.
    pub devices: u32,
    /// Memory of each.
    pub memory_each: Bytes,
    /// CPUs of a node.
    pub vcpus: u32,
    /// Memory of a node.
    pub memory: Bytes,
    /// How many nodes there are.
    pub nodes: u32,
    /// Internal rate of one node for an hour.
    pub rate: Money,
    /// How long a node takes to start, in seconds.
    pub start_delay_s: u32,
}

/// What a world is made from: the same configuration and the same calls give the same answers.
#[derive(Clone, Debug)]
pub struct SimConfig {
    /// The seed of all chance.
    pub seed: u64,
    /// Where the virtual clock begins. A world that is read from a file goes on where it was.
    pub start: Timestamp,
    /// Where it is kept.
    pub persistence: Persistence,
    /// The catalog of `sim-aws`.
    pub catalog: CatalogSource,
    /// What goes wrong, and when.
    pub script: Script,
    /// The racks of `sim-rack`, at most [`RACKS_MAX`].
    pub racks: Vec<RackNodes>,
    /// How long `sim-aws` and `sim-gcp` take to show a new instance, in milliseconds, at most [`CONSISTENCY_MS_MAX`].
    pub consistency_ms: u64,
    /// How long an instance is `Stopping` after its release, in milliseconds. Billing ends at the release.
    pub stop_delay_ms: u64,
}

impl SimConfig {
    /// A world in memory, with the built-in catalog, the built-in racks and nothing going wrong.
    #[must_use]
    pub fn new(seed: u64, start: Timestamp) -> Self {
        Self {
            seed,
            start,
            persistence: Persistence::Memory,
            catalog: CatalogSource::BuiltIn,
            script: Script::default(),
            racks: default_racks(),
            consistency_ms: CONSISTENCY_MS_DEFAULT,
            stop_delay_ms: 0,
        }
    }
}
