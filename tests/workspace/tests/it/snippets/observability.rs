//! Configuration, observability and errors.

use serde::Deserialize;

use super::{Outcome, alone, is_alone};

mod configuration {
    use super::Deserialize;
    // begin
    use hpc_config::ConfigBuilder;

    #[derive(Deserialize)]
    struct AppConfig {
        listen_addr: String,
        log_level: String,
        #[serde(default)]
        database_url: Option<String>,
    }
    // end

    fn load() -> Result<AppConfig, hpc_config::ConfigError> {
        // begin
        let config: AppConfig =
            ConfigBuilder::new().add_file("config.yaml")?.add_env_prefix("APP").build()?;
        // end
        Ok(config)
    }

    const HERE: &str = "snippets::observability::configuration::in_a_folder_of_its_own";

    /// The snippet names a file of the current folder and reads the environment: a process of its own has both.
    #[test]
    fn hpc_config() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("config.yaml"), "listen_addr: 127.0.0.1:7801\nlog_level: info\n")
            .unwrap();
        super::alone(HERE, folder.path(), ("APP_LOG_LEVEL", "debug"));
    }

    #[test]
    fn in_a_folder_of_its_own() {
        if super::is_alone(HERE) {
            let config = load().unwrap();
            assert_eq!((config.listen_addr.as_str(), config.log_level.as_str()), ("127.0.0.1:7801", "debug"));
            assert_eq!(config.database_url, None);
        }
    }
}

/// As the snippet has it; run on loopback and a free port instead, below.
#[expect(dead_code, reason = "compiled only: it would serve on every address of this machine")]
fn metrics_for_everyone() -> Outcome {
    use hpc_tracing::init_metrics;
    // begin
    // Initialize metrics endpoint
    init_metrics("0.0.0.0:9090".parse()?)?;
    // end
    Ok(())
}

const TRACING: &str = "snippets::observability::in_a_process_of_its_own";

/// A process takes one subscriber.
#[test]
fn hpc_tracing() {
    alone(TRACING, &std::env::temp_dir(), ("NO_COLOR", "1"));
}

#[test]
fn in_a_process_of_its_own() -> Outcome {
    if !is_alone(TRACING) {
        return Ok(());
    }
    // begin
    use hpc_tracing::{TracingConfig, init, init_metrics};
    // end
    let addr = init_metrics("127.0.0.1:0".parse()?)?;
    // begin
    // Initialize tracing with OTLP export
    let config = TracingConfig {
        service_name: "my-service".to_string(),
        log_level: "info".to_string(),
        otlp_endpoint: Some("http://collector:4317".to_string()),
    };
    let _guard = init(config)?;
    // end
    hpc_tracing::metrics::registry().counter("snippets_run", "Snippets run")?.inc();
    let mut answer = String::new();
    let mut stream = std::net::TcpStream::connect(addr)?;
    std::io::Write::write_all(&mut stream, b"GET /metrics HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n")?;
    std::io::Read::read_to_string(&mut stream, &mut answer)?;
    assert!(answer.contains("snippets_run_total 1"), "{answer}");
    Ok(())
}

mod errors {
    // begin
    use hpc_error::{HpcError, Result};

    fn operation() -> Result<String> {
        Err(HpcError::Database("connection failed".to_string()))
    }
    // end

    #[test]
    fn hpc_error() {
        let error = operation().unwrap_err();
        // begin
        // Converts to tonic::Status for gRPC
        let status: tonic::Status = error.into();
        // end
        assert_eq!(status.code(), tonic::Code::Internal);

        let error = HpcError::unavailable("draining");
        let mut retried = false;
        // begin
        // Check if retriable
        if error.is_retriable() {
            // Retry logic
            retried = true;
        }
        // end
        assert!(retried && !operation().unwrap_err().is_retriable());
    }

    #[test]
    fn with_anyhow() {
        fn outer() -> anyhow::Result<String> {
            Ok(operation()?)
        }
        assert!(outer().unwrap_err().to_string().contains("connection failed"));
    }
}
