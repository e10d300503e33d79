//! The provider on the vendor's SDK.

mod client;
mod create;
mod error;
mod list;
mod map;
mod offers;
mod operation;
mod provider;
mod quotas;
mod recent;
mod release;
mod reserved;

use std::sync::Arc;

use jiff::Timestamp;

pub use client::ConnectError;
pub use provider::GcpProvider;

/// Says what time it is, by the caller's clock.
pub type Clock = Arc<dyn Fn() -> Timestamp + Send + Sync>;
