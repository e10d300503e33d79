//! Spans to an OpenTelemetry collector over OTLP/gRPC.
//!
//! The exporter lives on a runtime of its own, so that it neither needs the caller's nor can block it.

use std::fmt;
use std::sync::mpsc;
use std::time::Duration;

use opentelemetry::KeyValue;
use opentelemetry::trace::TracerProvider;
use opentelemetry_otlp::{SpanExporter, WithExportConfig};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::trace::{Sampler, SdkTracerProvider};
use tracing::Level;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::{Layer, Registry};

use crate::config::TracingConfig;
use crate::error::TracingError;
use crate::init::FLUSH_SECONDS_MAX;

/// The exporter's own libraries: their spans would make spans for ever.
const NOT_EXPORTED: [&str; 7] = ["h2", "hyper", "hyper_util", "tonic", "tower", "reqwest", "opentelemetry"];
const EXPORT_SECONDS_MAX: u64 = 3;

pub(crate) struct Export {
    provider: SdkTracerProvider,
    runtime: Option<tokio::runtime::Runtime>,
}

impl fmt::Debug for Export {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Export").finish_non_exhaustive()
    }
}

pub(crate) fn layer(
    config: &TracingConfig,
    sample_ratio: f64,
    endpoint: &str,
) -> Result<(Box<dyn Layer<Registry> + Send + Sync>, Export), TracingError> {
    check_endpoint(endpoint)?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .thread_name("otlp")
        .enable_all()
        .build()
        .map_err(TracingError::Thread)?;
    let exporter = {
        let _inside = runtime.enter();
        SpanExporter::builder()
            .with_tonic()
            .with_endpoint(endpoint)
            .with_timeout(Duration::from_secs(EXPORT_SECONDS_MAX))
            .build()
            .map_err(|error| TracingError::Exporter(error.to_string()))?
    };
    let provider = SdkTracerProvider::builder()
        .with_resource(
            Resource::builder_empty()
                .with_attribute(KeyValue::new("service.name", config.service_name.clone()))
                .build(),
        )
        .with_sampler(Sampler::ParentBased(Box::new(Sampler::TraceIdRatioBased(sample_ratio))))
        .with_batch_exporter(exporter)
        .build();
    let spans = Targets::new()
        .with_default(Level::INFO)
        .with_targets(NOT_EXPORTED.map(|target| (target, tracing_subscriber::filter::LevelFilter::OFF)));
    let layer = tracing_opentelemetry::layer().with_tracer(provider.tracer("hpc")).with_filter(spans).boxed();
    Ok((layer, Export { provider, runtime: Some(runtime) }))
}

fn check_endpoint(endpoint: &str) -> Result<(), TracingError> {
    const ENDPOINT_BYTES_MAX: usize = 512;
    let invalid = |why| Err(TracingError::InvalidEndpoint(why));
    if endpoint.len() > ENDPOINT_BYTES_MAX {
        return invalid("it is too long");
    }
    let Ok(uri) = endpoint.parse::<http::Uri>() else { return invalid("it is no URL") };
    match (uri.scheme_str(), uri.authority()) {
        (Some("https"), _) => invalid("TLS is not supported, send to a collector on this machine"),
        (Some("http"), Some(authority)) if !authority.as_str().contains('@') => Ok(()),
        (Some("http"), Some(_)) => invalid("it holds a user"),
        _ => invalid("the scheme is missing"),
    }
}

impl Drop for Export {
    /// Flushes on a thread of its own: on an async worker the exporter would wait for itself.
    fn drop(&mut self) {
        let provider = self.provider.clone();
        let limit = Duration::from_secs(FLUSH_SECONDS_MAX);
        let (done, wait) = mpsc::channel();
        let thread = std::thread::Builder::new().name("otlp-flush".to_owned()).spawn(move || {
            let _ = provider.shutdown_with_timeout(limit);
            let _ = done.send(());
        });
        if thread.is_ok() {
            let _ = wait.recv_timeout(limit);
        }
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn endpoints_are_checked() {
        assert!(check_endpoint("http://collector:4317").is_ok());
        for endpoint in [
            "collector:4317",
            "https://collector:4317",
            "http://user:hunter2@c:4317",
            "",
            "ftp://x",
            "http://",
        ] {
            let error = check_endpoint(endpoint).unwrap_err().to_string();
            assert!(!error.contains("hunter2"), "{error}");
        }
    }
}
