//! Compute Engine as a capacity provider.
//!
//! A create carries the intent's request id and its labels, both set by the one call that creates all instances or none; the
//! instances' names come from the intent's token, so that a repetition meets them; an error says whether anything can have
//! happened. Quotas are devices by model and region, zones have the names that all projects share.
//!
//! Never retries, caches or waits for a machine to boot: wrappers around the port do. Never offers flex-start capacity or a
//! reservation, for which an offer has no words.
//!
//! # Features
//! - `sdk`: the provider itself, `GcpProvider`, on the vendor's SDK. Nothing turns it on by default. What does not need the
//!   SDK (what an error code means, how a tag becomes a label, which quota counts a device) is always here, and always
//!   tested.
//!
//! # Example: what a stock-out means
//! ```
//! use hpc_provider::{Certainty, ErrorKind};
//! use hpc_provider_gcp::taxonomy::{Effect, Failure, judge};
//!
//! let refused = Failure::Code { code: "ZONE_RESOURCE_POOL_EXHAUSTED_WITH_DETAILS", message: "", status: 503 };
//! let error = judge(Effect::Write, &refused);
//! assert_eq!((error.kind, error.certainty), (ErrorKind::Capacity, Certainty::NotDone));
//! ```

pub mod config;
pub mod interruption;
pub mod labels;
pub mod machine;
pub mod names;
pub mod price;
pub mod quota;
pub mod reservation;
pub mod startup;
pub mod taxonomy;

#[cfg(feature = "sdk")]
mod sdk;

pub use config::{ConfigError, Credentials, GcpConfig, RegionConfig};
pub use price::{KnownPrice, PriceTable, Prices};
#[cfg(feature = "sdk")]
pub use sdk::{Clock, ConnectError, GcpProvider};
pub use startup::{AGENTS_MAX, SCRIPT_BYTES_MAX, startup_script};
