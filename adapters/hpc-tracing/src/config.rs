use crate::error::TracingError;
use crate::init::{TracingGuard, init_with};

/// What [`init`](crate::init) needs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TracingConfig {
    /// Name under which an OpenTelemetry collector sees this process; 1 to 128 bytes.
    pub service_name: String,
    /// `off`, `error`, `warn`, `info`, `debug`, `trace`, or directives like `info,hpc_broker=debug`.
    pub log_level: String,
    /// `http://host:port` of an OTLP/gRPC collector. Needs the feature `otlp`.
    pub otlp_endpoint: Option<String>,
}

/// How log lines look.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum LogFormat {
    /// Text on a terminal, JSON otherwise.
    #[default]
    Auto,
    /// One line of text an event, with control characters escaped.
    Text,
    /// One JSON object a line.
    Json,
}

/// The options beside [`TracingConfig`].
///
/// ```no_run
/// use hpc_tracing::{LogFormat, TracingBuilder, TracingConfig};
/// # let config = TracingConfig { service_name: "x".into(), log_level: "info".into(), otlp_endpoint: None };
/// let _guard = TracingBuilder::new(config).format(LogFormat::Json).sample_ratio(0.1).init()?;
/// # Ok::<(), hpc_tracing::TracingError>(())
/// ```
#[derive(Debug, Clone)]
#[must_use = "a builder does nothing until `init`"]
pub struct TracingBuilder {
    pub(crate) config: TracingConfig,
    pub(crate) format: LogFormat,
    #[cfg_attr(not(feature = "otlp"), allow(dead_code, reason = "only an exporter samples"))]
    pub(crate) sample_ratio: f64,
}

impl TracingBuilder {
    /// Logs as [`LogFormat::Auto`], every span exported.
    pub const fn new(config: TracingConfig) -> Self {
        Self { config, format: LogFormat::Auto, sample_ratio: 1.0 }
    }

    /// How log lines look.
    pub const fn format(mut self, format: LogFormat) -> Self {
        self.format = format;
        self
    }

    /// Share of traces that are exported, 0 to 1; a caller's own decision goes before it.
    pub const fn sample_ratio(mut self, ratio: f64) -> Self {
        self.sample_ratio = ratio.clamp(0.0, 1.0);
        self
    }

    /// Sets it up for the process.
    ///
    /// # Errors
    /// Those of [`init`](crate::init).
    pub fn init(self) -> Result<TracingGuard, TracingError> {
        init_with(&self)
    }
}
