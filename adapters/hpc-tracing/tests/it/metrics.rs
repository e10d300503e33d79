use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use hpc_tracing::metrics::{
    CONNECTIONS_MAX, INSTRUMENTS_MAX, LATENCY_BUCKETS_SECONDS, Label, MetricsError, MetricsRegistry, OTHER,
    registry,
};
use hpc_tracing::{TracingError, init_metrics, serve_metrics};

const METHOD: Label = Label { name: "method", values: &["plan", "apply"] };
const OUTCOME: Label = Label { name: "outcome", values: &["ok", "denied"] };

fn loopback() -> SocketAddr {
    "127.0.0.1:0".parse().unwrap()
}

fn ask(addr: SocketAddr, request: &str) -> String {
    let mut stream = TcpStream::connect(addr).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    stream.write_all(request.as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}

fn get(addr: SocketAddr, path: &str) -> String {
    ask(addr, &format!("GET {path} HTTP/1.1\r\nHost: x\r\n\r\n"))
}

#[test]
fn the_text_is_open_metrics() {
    let registry = MetricsRegistry::new();
    registry.counter("hpc_plans", "Plans made").unwrap().add(3);
    registry.gauge("hpc_leases", "Leases active").unwrap().set(2.5);
    let calls = registry.counter_with("hpc_calls", "Calls", &[METHOD, OUTCOME]).unwrap();
    calls.with(&["plan", "ok"]).inc();
    let seconds = registry.histogram("hpc_call_seconds", "Time", &[0.1, 1.0]).unwrap();
    seconds.observe(0.5);
    seconds.observe(f64::NAN);
    seconds.observe_duration(Duration::from_millis(10));
    assert_eq!(
        registry.render(),
        "# HELP hpc_plans Plans made.\n# TYPE hpc_plans counter\nhpc_plans_total 3\n\
         # HELP hpc_leases Leases active.\n# TYPE hpc_leases gauge\nhpc_leases 2.5\n\
         # HELP hpc_calls Calls.\n# TYPE hpc_calls counter\n\
         hpc_calls_total{method=\"plan\",outcome=\"ok\"} 1\n\
         # HELP hpc_call_seconds Time.\n# TYPE hpc_call_seconds histogram\n\
         hpc_call_seconds_sum 0.51\nhpc_call_seconds_count 2\n\
         hpc_call_seconds_bucket{le=\"0.1\"} 1\nhpc_call_seconds_bucket{le=\"1.0\"} 2\n\
         hpc_call_seconds_bucket{le=\"+Inf\"} 2\n# EOF\n"
    );
}

#[test]
fn labels_take_listed_values_only() {
    let registry = MetricsRegistry::new();
    let calls = registry.counter_with("hpc_calls", "Calls", &[METHOD, OUTCOME]).unwrap();
    for index in 0..1000 {
        calls.with(&[&format!("from-input-{index}"), "ok\"} 1\nforged 1"]).inc();
    }
    calls.with(&[]).inc();
    calls.with(&["plan", "ok", "more"]).inc();
    let text = registry.render();
    assert_eq!(text.lines().filter(|line| line.starts_with("hpc_calls_total")).count(), 2, "{text}");
    assert_eq!(calls.with(&[OTHER, OTHER]).value(), 1001);
    assert!(!text.contains("forged"));
}

#[test]
fn definitions_are_checked_and_shared() {
    let registry = MetricsRegistry::new();
    let first = registry.counter("a", "A").unwrap();
    registry.counter("a", "A").unwrap().inc();
    assert_eq!(first.value(), 1);
    let taken = Err(MetricsError::Taken("a".into()));
    assert_eq!(registry.counter("a", "B").map(drop), taken);
    assert_eq!(registry.gauge("a", "A").map(drop), taken);
    assert_eq!(registry.counter_with("a", "A", &[METHOD]).map(drop), taken);
    for name in ["", "A", "1a", "a-b", "plans_total", "x_sum", "é"] {
        assert_eq!(registry.counter(name, "").map(drop), Err(MetricsError::InvalidName(name.into())));
    }
    let bad = Label { name: "Bad", values: &[] };
    assert!(matches!(registry.counter_with("b", "B", &[bad]), Err(MetricsError::InvalidName(_))));
    const TEN: Label = Label { name: "ten", values: &["0", "1", "2", "3", "4", "5", "6", "7", "8", "9"] };
    assert!(registry.counter_with("c", "C", &[TEN, TEN]).is_ok());
    let too_many = registry.counter_with("d", "D", &[TEN, TEN, TEN]).map(drop);
    assert_eq!(too_many, Err(MetricsError::TooManySeries("d".into())));
    for buckets in [&[][..], &[1.0, 1.0], &[2.0, 1.0], &[f64::INFINITY], &[f64::NAN]] {
        assert!(matches!(registry.histogram("h", "H", buckets), Err(MetricsError::InvalidBuckets(_))));
    }
    assert!(registry.histogram("h", "H", LATENCY_BUCKETS_SECONDS).is_ok());
}

#[test]
fn instruments_are_limited() {
    let registry = MetricsRegistry::new();
    for index in 0..INSTRUMENTS_MAX {
        let name: &'static str = Box::leak(format!("m{index}").into_boxed_str());
        registry.counter(name, "M").unwrap();
    }
    assert_eq!(registry.counter("one_more", "M").map(drop), Err(MetricsError::TooManyInstruments));
}

#[test]
fn the_endpoint_answers_without_a_runtime() {
    let metrics = MetricsRegistry::new();
    metrics.counter("hpc_plans", "Plans").unwrap().inc();
    let server = serve_metrics(loopback(), metrics).unwrap();
    let answer = get(server.addr(), "/metrics");
    assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer}");
    assert!(answer.contains("content-type: application/openmetrics-text; version=1.0.0; charset=utf-8"));
    assert!(answer.ends_with("hpc_plans_total 1\n# EOF\n"));
    assert!(get(server.addr(), "/").starts_with("HTTP/1.1 404"));
    assert!(get(server.addr(), "/metrics?x=1").starts_with("HTTP/1.1 200"));
    let post = ask(server.addr(), "POST /metrics HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n");
    assert!(post.starts_with("HTTP/1.1 405"));
    let head = ask(server.addr(), "HEAD /metrics HTTP/1.1\r\nHost: x\r\n\r\n");
    assert!(head.starts_with("HTTP/1.1 200") && head.ends_with("\r\n\r\n"));
    let long = ask(server.addr(), &format!("GET /{} HTTP/1.1\r\n\r\n", "x".repeat(100_000)));
    assert!(long.starts_with("HTTP/1.1 4"), "{long}");

    let addr = server.addr();
    drop(server);
    assert!(TcpStream::connect(addr).is_err(), "dropping the server frees the port");
}

#[test]
fn silent_connections_do_not_keep_scrapers_out_for_ever() {
    let server = serve_metrics(loopback(), MetricsRegistry::new()).unwrap();
    let silent: Vec<_> = (0..CONNECTIONS_MAX).map(|_| TcpStream::connect(server.addr()).unwrap()).collect();
    let began = Instant::now();
    assert!(get(server.addr(), "/metrics").starts_with("HTTP/1.1 200"));
    assert!(began.elapsed() < Duration::from_secs(9), "the header timeout frees a place");
    drop(silent);
}

#[tokio::test]
async fn the_process_has_one_endpoint_and_it_may_be_started_inside_a_runtime() {
    let taken = std::net::TcpListener::bind(loopback()).unwrap();
    let error = init_metrics(taken.local_addr().unwrap()).unwrap_err();
    assert!(matches!(error, TracingError::Bind { .. }), "{error}");
    let addr = init_metrics(loopback()).unwrap();
    registry().counter("hpc_of_the_process", "X").unwrap().inc();
    let text = tokio::task::spawn_blocking(move || get(addr, "/metrics")).await.unwrap();
    assert!(text.contains("hpc_of_the_process_total 1"));
    assert!(matches!(init_metrics(loopback()), Err(TracingError::AlreadyInitialised("metrics"))));
}
