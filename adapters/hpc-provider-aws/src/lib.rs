//! EC2 as a capacity provider.
//!
//! A create carries the intent's token and its tags, both set by the one call that creates; an error says whether anything
//! can have happened; whatever exists is found again by its tags. Prices are decimal text read exactly, quotas are vCPUs by
//! family, zones are the account-independent ids.
//!
//! Never retries, caches or waits: wrappers around the port do. Never buys a capacity block, whose purchase has no token;
//! what was bought or reserved before is offered.
//!
//! # Features
//! - `sdk`: the provider itself, `AwsProvider`, on the vendor's SDK. Nothing turns it on by default, because it takes
//!   minutes to build. What does not need the SDK (what an error code means, how a price is read, which quota counts a
//!   type) is always here, and always tested.
//!
//! # Example: what a stock-out means
//! ```
//! use hpc_provider::{Certainty, ErrorKind};
//! use hpc_provider_aws::taxonomy::{Effect, Failure, judge};
//!
//! let refused = Failure::Code { code: "InsufficientInstanceCapacity", message: "", status: 500 };
//! let error = judge(Effect::Write, &refused);
//! assert_eq!((error.kind, error.certainty), (ErrorKind::Capacity, Certainty::NotDone));
//! ```

pub mod config;
pub mod ending;
pub mod facts;
pub mod interruption;
pub mod price;
pub mod quota;
pub mod reservation;
pub mod tags;
pub mod taxonomy;
pub mod user_data;

#[cfg(feature = "sdk")]
mod sdk;

pub use config::{AwsConfig, ConfigError, Credentials, RegionConfig, ReservationConfig};
pub use price::{OnDemandPrice, OnDemandPrices, PriceTable};
#[cfg(feature = "sdk")]
pub use sdk::{AwsPrices, AwsProvider, Clock, ConnectError};
pub use user_data::{AGENTS_MAX, USER_DATA_BYTES_MAX, user_data};
