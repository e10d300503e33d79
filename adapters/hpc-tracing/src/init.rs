use std::io::IsTerminal;

use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::{EnvFilter, Layer, Registry};

use crate::config::{LogFormat, TracingBuilder, TracingConfig};
use crate::error::TracingError;

/// Longest time a guard waits for what is still to be exported.
pub const FLUSH_SECONDS_MAX: u64 = 5;
const SERVICE_NAME_BYTES_MAX: usize = 128;
const LEVEL_BYTES_MAX: usize = 1024;

type BoxedLayer = Box<dyn Layer<Registry> + Send + Sync>;

/// Sends the process's logs to standard error and, if asked, its spans to a collector.
///
/// Works inside a tokio runtime and without one. Keep the guard: dropping it exports what is left.
///
/// # Errors
/// Every case of [`TracingError`] but those of metrics. Nothing is set up then.
pub fn init(config: TracingConfig) -> Result<TracingGuard, TracingError> {
    TracingBuilder::new(config).init()
}

pub(crate) fn init_with(builder: &TracingBuilder) -> Result<TracingGuard, TracingError> {
    let config = &builder.config;
    if config.service_name.is_empty() || config.service_name.len() > SERVICE_NAME_BYTES_MAX {
        return Err(TracingError::InvalidServiceName);
    }
    let mut layers: Vec<BoxedLayer> = vec![log_layer(builder.format, filter(&config.log_level)?)];
    let guard = export(builder, &mut layers)?;
    tracing::subscriber::set_global_default(Registry::default().with(layers))
        .map_err(|_| TracingError::AlreadyInitialised("logs"))?;
    Ok(guard)
}

fn log_layer(format: LogFormat, filter: EnvFilter) -> BoxedLayer {
    let terminal = std::io::stderr().is_terminal();
    let layer = tracing_subscriber::fmt::layer().with_writer(std::io::stderr);
    match (format, terminal) {
        (LogFormat::Json, _) | (LogFormat::Auto, false) => {
            layer.json().flatten_event(true).with_filter(filter).boxed()
        }
        _ => layer.with_ansi(terminal).with_filter(filter).boxed(),
    }
}

/// A level or a list of directives; what is neither is refused, never skipped.
pub(crate) fn filter(level: &str) -> Result<EnvFilter, TracingError> {
    let invalid = || TracingError::InvalidLevel(level.chars().take(64).collect());
    if level.trim().is_empty() || level.len() > LEVEL_BYTES_MAX {
        return Err(invalid());
    }
    // A bare word that is no level would be taken for the name of a module.
    for directive in level.split(',') {
        let known = |level: &str| {
            ["off", "error", "warn", "info", "debug", "trace"].contains(&level.to_ascii_lowercase().as_str())
        };
        let level = directive.rsplit('=').next().unwrap_or_default().trim();
        if !known(level) {
            return Err(invalid());
        }
    }
    EnvFilter::builder().parse(level).map_err(|_| invalid())
}

#[cfg(not(feature = "otlp"))]
fn export(builder: &TracingBuilder, _layers: &mut Vec<BoxedLayer>) -> Result<TracingGuard, TracingError> {
    match builder.config.otlp_endpoint {
        None => Ok(TracingGuard {}),
        Some(_) => Err(TracingError::OtlpNotBuilt),
    }
}

#[cfg(feature = "otlp")]
fn export(builder: &TracingBuilder, layers: &mut Vec<BoxedLayer>) -> Result<TracingGuard, TracingError> {
    let Some(endpoint) = &builder.config.otlp_endpoint else { return Ok(TracingGuard { export: None }) };
    let (layer, export) = crate::otlp::layer(&builder.config, builder.sample_ratio, endpoint)?;
    layers.push(layer);
    Ok(TracingGuard { export: Some(export) })
}

/// Keeps the exporter alive; dropping it exports what is left, for at most [`FLUSH_SECONDS_MAX`] seconds.
///
/// Logs go on after it is dropped.
#[derive(Debug)]
#[must_use = "dropped at once, it exports nothing"]
pub struct TracingGuard {
    #[cfg(feature = "otlp")]
    #[allow(dead_code, reason = "its drop is its use")]
    export: Option<crate::otlp::Export>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn levels_and_directives_are_understood() {
        for level in ["info", "OFF", "trace", "info,hyper=warn", "hpc_broker=debug, info"] {
            assert!(filter(level).is_ok(), "{level}");
        }
        for level in ["", " ", "loud", "info,hyper=loud", "info,,debug", "hpc_broker", &"x".repeat(5000)] {
            assert!(matches!(filter(level), Err(TracingError::InvalidLevel(_))), "{level}");
        }
    }
}
