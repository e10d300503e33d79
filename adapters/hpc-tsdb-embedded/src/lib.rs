//! An embedded time-series store: one redb file, compressed columns, writes that survive a crash.
//!
//! Never reads the clock by itself, and never opens a socket: the application passes a clock and a path.
//!
//! ```
//! use std::sync::Arc;
//! use hpc_timeseries::{Durability, Point, QueryBuilder, TimeSeriesStore};
//! use hpc_tsdb_embedded::{EmbeddedConfig, EmbeddedTsdb};
//!
//! # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
//! let now: jiff::Timestamp = "2026-01-01T00:00:00Z".parse().unwrap();
//! let store = EmbeddedTsdb::in_memory(EmbeddedConfig::default(), Arc::new(move || now))?;
//! let point = Point::at("gpu", now).tag("host", "a").field("power_watts", 351.5);
//! store.write(vec![point], Durability::Group).await?;
//! let latest = store.latest(QueryBuilder::new("gpu").build()).await?;
//! assert_eq!(latest.series[0].samples[0].as_f64(), Some(351.5));
//! # Ok::<(), hpc_timeseries::TimeSeriesError>(())
//! # }).unwrap();
//! ```
//!
//! | supports | |
//! | --- | --- |
//! | durability | none, group (writes in flight share one fsync), sync |
//! | order | any, within the window of [`EmbeddedConfig`] |
//! | duplicates | the value written last remains |
//! | retention | read and set; whole chunks are removed, answers cut exactly |
//! | cost of a query | reads the chunks of the matching columns in the range, on a blocking thread |
//!
//! Features: none.

mod bits;
mod chunk;
mod config;
mod error;
mod heads;
mod index;
mod log;
mod reader;
mod store;
mod tables;
#[cfg(test)]
mod torn;
mod writer;

pub use config::EmbeddedConfig;
pub use store::EmbeddedTsdb;
