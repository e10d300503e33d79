//! A Slurm cluster as a provider: through its commands, without a daemon of its own.
//!
//! An offer is a shape in a partition: so many GPUs, CPUs and bytes, as the settings name them. A create is one placeholder
//! job with as many tasks as instances: Slurm starts a job whole or not at all. Name and comment of the job carry the
//! token and the tags from its submission on; nothing is kept anywhere else.
//!
//! Never runs a shell, never reads a clock, and never waits for a queue: what does not start soon is cancelled and counts
//! as no stock.
//!
//! # Example: the settings of a cluster
//! ```
//! use hpc_provider_slurm::{Cluster, ClusterDocument};
//!
//! let document: ClusterDocument = serde_json::from_str(
//!     r#"{
//!         "region": "berlin-1",
//!         "partitions": { "gpu": { "shapes": { "h100-4": {
//!             "gpus": { "model": "h100", "count": 4, "memory_each": "80 GiB" }, "gres_type": "h100",
//!             "cpu": 48, "memory": "480 GiB", "price": "8.00 USD"
//!         } } } }
//!     }"#,
//! )?;
//! let cluster = Cluster::check(document)?;
//! assert_eq!(cluster.shapes().count(), 1);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! | supports | settings | cost of a call |
//! | --- | --- | --- |
//! | all but `check_spot_prices` and `quotas` | an id, a [`Cluster`], [`Commands`], a clock | one command; a create one or more every half second until it runs; a release four |
//!
//! Features: none.

mod cluster;
mod commands;
mod error;
mod interruption;
mod job;
mod nodes;
mod note;
mod price;
mod provider;
mod submit;
mod system;
mod turns;

pub use cluster::{
    Cluster, ClusterDocument, ClusterError, GpusDocument, INSTANCES_PER_JOB_MAX, PARTITIONS_MAX,
    PartitionDocument, SHAPES_MAX, START_WITHIN_S_DEFAULT, START_WITHIN_S_MAX, Shape, ShapeDocument,
};
pub use commands::{Call, CommandFailure, Commands, Output, Program};
pub use interruption::NOTICE_S;
pub use job::{JOBS_MAX, Job, JobState};
pub use note::COMMENT_BYTES_MAX;
pub use price::{Price, PriceError};
pub use provider::{Clock, OBSERVE_MAX, SlurmProvider};
pub use system::{COMMAND_TIME_MAX, ERROR_BYTES_MAX, OUTPUT_BYTES_MAX, SystemCommands};
