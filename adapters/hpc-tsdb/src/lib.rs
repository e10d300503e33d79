//! Time series under one name: the port and its backends.
//!
//! Holds no logic of its own; every type is documented where it comes from.
//!
//! ```no_run
//! use hpc_tsdb::{Aggregation, InfluxDbClient, QueryBuilder, TimeRange};
//!
//! # async fn run() -> Result<(), hpc_tsdb::TimeSeriesError> {
//! let client = InfluxDbClient::new("http://influxdb:8086", "token")?;
//!
//! let query = QueryBuilder::new("gpu_metrics")
//!     .filter("host", "server-01")
//!     .range(TimeRange::last_hour())
//!     .aggregate(Aggregation::Mean, "1m")
//!     .build();
//!
//! let series = client.query(query).await?;
//! # Ok(()) }
//! ```
//!
//! Features, both on by default: `embedded` brings `EmbeddedTsdb`, `influxdb` brings `InfluxDbClient`.

pub use hpc_timeseries::*;
#[cfg(feature = "embedded")]
pub use hpc_tsdb_embedded::{EmbeddedConfig, EmbeddedTsdb};
#[cfg(feature = "influxdb")]
pub use hpc_tsdb_influxdb::{InfluxDbClient, InfluxDbConfig};
