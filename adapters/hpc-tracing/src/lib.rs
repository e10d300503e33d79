//! Logs, spans and metrics of a process: one call to set up, one guard to flush.
//!
//! Never takes a second subscriber over the first, never waits longer than [`FLUSH_SECONDS_MAX`] at the end,
//! never makes a metric series from input.
//!
//! ```
//! use hpc_tracing::{TracingConfig, init, init_metrics, metrics::registry};
//!
//! let addr = init_metrics("127.0.0.1:0".parse()?)?; // http://ADDR/metrics
//! let config = TracingConfig {
//!     service_name: "my-service".to_string(),
//!     log_level: "info".to_string(),
//!     otlp_endpoint: None,
//! };
//! let _guard = init(config)?;
//! let plans = registry().counter("my_plans", "Plans made")?;
//! plans.inc();
//! # assert_ne!(addr.port(), 0);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # Features
//! - `otlp` (off): spans go to an OpenTelemetry collector. Without it a set `otlp_endpoint` is an error.

mod config;
mod error;
mod init;
pub mod metrics;
#[cfg(feature = "otlp")]
mod otlp;
mod tracer;

pub use config::{LogFormat, TracingBuilder, TracingConfig};
pub use error::TracingError;
pub use init::{FLUSH_SECONDS_MAX, TracingGuard, init};
pub use metrics::{MetricsServer, init_metrics, serve_metrics};
pub use tracer::TracingTracer;
