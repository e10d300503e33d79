use hpc_tracing::{LogFormat, TracingBuilder, TracingConfig, TracingError, init};

fn config() -> TracingConfig {
    TracingConfig {
        service_name: "my-service".to_string(),
        log_level: "info".to_string(),
        otlp_endpoint: None,
    }
}

#[test]
fn bad_configuration_is_refused_before_anything_is_set_up() {
    let no_name = TracingConfig { service_name: String::new(), ..config() };
    assert!(matches!(init(no_name), Err(TracingError::InvalidServiceName)));
    let loud = TracingConfig { log_level: "loud".to_string(), ..config() };
    let error = init(loud).unwrap_err();
    assert!(error.to_string().starts_with("log level `loud` is not one of"), "{error}");
}

#[cfg(not(feature = "otlp"))]
#[test]
fn an_endpoint_without_the_feature_is_an_error() {
    let config = TracingConfig { otlp_endpoint: Some("http://collector:4317".to_string()), ..config() };
    assert!(matches!(init(config), Err(TracingError::OtlpNotBuilt)));
}

/// Each case runs in a process of its own, because a process sets up once.
fn in_child(case: &str) -> (String, bool) {
    let output = std::process::Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "--nocapture", "--test-threads=1", "setup::child"])
        .env("HPC_TRACING_CASE", case)
        .output()
        .unwrap();
    (String::from_utf8(output.stderr).unwrap(), output.status.success())
}

#[test]
fn child() {
    let Ok(case) = std::env::var("HPC_TRACING_CASE") else { return };
    match case.as_str() {
        "twice" => {
            let _guard = init(config()).unwrap();
            assert!(matches!(init(config()), Err(TracingError::AlreadyInitialised("logs"))));
        }
        "json" => {
            let _guard = init(config()).unwrap();
            tracing::info!(user = "a\nb\u{1b}[31m", "hello\nforged line");
            tracing::debug!("not shown");
        }
        "text" => {
            let _guard = TracingBuilder::new(config()).format(LogFormat::Text).init().unwrap();
            tracing::info!(user = "a\u{1b}[31mb", "hello");
        }
        #[cfg(feature = "otlp")]
        "otlp" => otlp_child(),
        other => panic!("{other}"),
    }
}

#[test]
fn a_second_setup_is_an_error() {
    let (stderr, ok) = in_child("twice");
    assert!(ok, "{stderr}");
}

#[test]
fn logs_off_a_terminal_are_json_on_standard_error() {
    let (stderr, ok) = in_child("json");
    assert!(ok, "{stderr}");
    let lines: Vec<_> = stderr.lines().filter(|line| line.starts_with('{')).collect();
    assert_eq!(lines.len(), 1, "{stderr}");
    let event: serde_json::Value = serde_json::from_str(lines[0]).unwrap();
    assert_eq!(event["message"], "hello\nforged line");
    assert_eq!(event["user"], "a\nb\u{1b}[31m");
    assert!(!stderr.contains("\nforged") && !stderr.contains('\u{1b}'));
}

#[test]
fn text_logs_carry_no_control_characters_of_the_input() {
    let (stderr, ok) = in_child("text");
    assert!(ok, "{stderr}");
    assert!(stderr.contains("hello") && !stderr.contains('\u{1b}'), "{stderr:?}");
}

#[cfg(feature = "otlp")]
fn otlp_child() {
    use std::io::Read;
    use std::time::{Duration, Instant};

    // A collector that takes the connection and never answers.
    let collector = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let endpoint = Some(format!("http://{}", collector.local_addr().unwrap()));
    let reader = std::thread::spawn(move || {
        let (mut stream, _) = collector.accept().unwrap();
        let mut preface = [0; 14];
        stream.read_exact(&mut preface).unwrap();
        (stream, preface)
    });
    let guard = init(TracingConfig { otlp_endpoint: endpoint, ..config() }).unwrap();
    tracing::info_span!("op").in_scope(|| tracing::info!("inside"));
    let began = Instant::now();
    drop(guard);
    assert!(
        began.elapsed() < Duration::from_secs(hpc_tracing::FLUSH_SECONDS_MAX + 2),
        "{:?}",
        began.elapsed()
    );
    let (_stream, preface) = reader.join().unwrap();
    assert_eq!(&preface, b"PRI * HTTP/2.0", "the exporter speaks gRPC");
}

#[cfg(feature = "otlp")]
#[test]
fn the_guard_does_not_wait_for_a_dead_collector() {
    let (stderr, ok) = in_child("otlp");
    assert!(ok, "{stderr}");
}

#[cfg(feature = "otlp")]
#[test]
fn bad_endpoints_are_refused() {
    for endpoint in ["collector:4317", "https://collector:4317", "http://u:hunter2@c:4317"] {
        let error =
            init(TracingConfig { otlp_endpoint: Some(endpoint.to_string()), ..config() }).unwrap_err();
        assert!(matches!(error, TracingError::InvalidEndpoint(_)), "{error}");
        assert!(!error.to_string().contains("hunter2"));
    }
}
