//! The provider on the vendor's SDK.

mod client;
mod error;
mod list;
mod map;
mod offers;
mod prices;
mod provider;
mod quotas;
mod recent;
mod reserved;
mod run;
mod whole;

use std::sync::Arc;

use jiff::Timestamp;

pub use client::ConnectError;
pub use prices::AwsPrices;
pub use provider::AwsProvider;

/// Says what time it is, by the caller's clock.
pub type Clock = Arc<dyn Fn() -> Timestamp + Send + Sync>;
