//! The node agent as a library: measures this machine and its GPUs, and turns what it measured into points.
//!
//! [`join`] turns a one-time token into a certificate, [`join_within`] also where the network comes late; [`Stream`] carries batches to the daemon over QUIC with mutual TLS.
//!
//! Never reads the clock: the caller passes "now".
//!
//! ```
//! use hpc_agent::{Collector, SimulatedGpus, points_from_batch};
//!
//! let now: jiff::Timestamp = "2026-01-01T00:00:00Z".parse().unwrap();
//! let mut collector = Collector::new("node-1").with_devices(SimulatedGpus::new(7, 2));
//! let batch = collector.collect(now);
//! assert_eq!(batch.gpu.len(), 2);
//! assert!(batch.gpu[0].gpu_id.starts_with("sim-"));
//! let stored = points_from_batch(&batch);
//! assert!(stored.points.len() >= 2 && stored.rejected == 0);
//! ```
//!
//! No features.

pub mod collect;
mod join;
mod patience;
mod points;
mod stream;

pub use collect::{CollectError, Collector, DeviceSource, HostSource, Load, SimulatedGpus};
pub use join::{Joined, Joining, join};
pub use patience::{JOIN_FOR_S_MAX, Patience, join_within, may_pass};
pub use stream::{ACK_WAIT, STREAM, Stream};

pub use points::{BatchPoints, GPU, HOST, points_from_batch};
