//! Metrics: counters, gauges and histograms in a registry, and the endpoint Prometheus reads them from.
//!
//! The values of a label are listed when the instrument is made. A value that is not on the list is counted as
//! [`OTHER`], so that no input can make a series.
//!
//! ```
//! use hpc_tracing::metrics::{Label, MetricsRegistry};
//!
//! let registry = MetricsRegistry::new();
//! const OUTCOME: Label = Label { name: "outcome", values: &["ok", "denied"] };
//! let plans = registry.counter_with("hpc_plans", "Plans made", &[OUTCOME])?;
//! let ok = plans.with(&["ok"]); // bound once, then an atomic add
//! ok.inc();
//! plans.with(&["from the network"]).inc();
//! assert!(registry.render().contains("hpc_plans_total{outcome=\"_OTHER\"} 1"));
//! # Ok::<(), hpc_tracing::metrics::MetricsError>(())
//! ```

mod registry;
mod server;

pub use registry::{
    Counter, CounterFamily, Gauge, GaugeFamily, Histogram, HistogramFamily, INSTRUMENTS_MAX,
    LATENCY_BUCKETS_SECONDS, Label, MetricsError, MetricsRegistry, OTHER, SERIES_MAX, registry,
};
pub use server::{CONNECTIONS_MAX, MetricsServer, init_metrics, serve_metrics};
