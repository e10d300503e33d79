//! A thin InfluxDB client: line protocol in, InfluxQL out, over the HTTP paths that InfluxDB 1, 2 and 3 all serve.
//!
//! Never builds query text from anything but a checked query, never escapes what line protocol cannot express,
//! and never retries by itself.
//!
//! ```no_run
//! use hpc_timeseries::{Aggregation, QueryBuilder, TimeRange};
//! use hpc_tsdb_influxdb::InfluxDbClient;
//!
//! # async fn run() -> Result<(), hpc_timeseries::TimeSeriesError> {
//! let client = InfluxDbClient::new("http://influxdb:8086", "token")?;
//! let query = QueryBuilder::new("gpu_metrics")
//!     .filter("host", "server-01")
//!     .range(TimeRange::last_hour())
//!     .aggregate(Aggregation::Mean, "1m")
//!     .build();
//! let series = client.query(query).await?;
//! # Ok(()) }
//! ```
//!
//! | supports | |
//! | --- | --- |
//! | durability | the server's own: it saves before it answers, unless its configuration says otherwise |
//! | duplicates | the value written last remains |
//! | rejections | per point for what the port checks; the server's own refuse the batch without saying which point |
//! | retention | not through the port: it belongs to the database on the server |
//! | TLS | not yet: `https` addresses are refused |
//! | cost of a query | two requests: the kinds of the fields, then one statement per field |
//!
//! Features: none.

mod client;
mod config;
mod error;
mod influxql;
mod line;
mod map;
mod store;

pub use client::InfluxDbClient;
pub use config::{DATABASE_DEFAULT, InfluxDbConfig};
