//! What is sent, and what each answer means.

use hpc_timeseries::{
    Aggregation, Durability, Fill, Point, QueryBuilder, Rejection, TimeRange, TimeSeriesError,
    TimeSeriesStore, Value,
};
use hpc_tsdb_influxdb::{InfluxDbClient, InfluxDbConfig};

use crate::stub::Stub;

const NOW: i64 = 1_760_000_000_000_000_000;
const KINDS: &str = r#"{"results":[{"statement_id":0,"series":[{"name":"gpu","columns":["fieldKey","fieldType"],
    "values":[["memory_bytes","integer"],["note","string"],["power_watts","float"]]}]}]}"#;

/// Status, body, and whether an error is the right one.
type Failure = (&'static str, &'static str, fn(&TimeSeriesError) -> bool);

fn point() -> Point {
    Point::new("gpu", NOW).tag("host", "a").field("power_watts", 1.5)
}

#[tokio::test]
async fn lines_are_sent_with_the_token() {
    let stub = Stub::start(vec![("204 No Content", String::new())]).await;
    let client = InfluxDbClient::new(stub.url.as_str(), "s3cret").unwrap();
    let batch = vec![point(), Point { measurement: "forged\n".into(), ..point() }];
    let report = client.write(batch, Durability::Group).await.unwrap();
    assert_eq!((report.accepted, report.rejected.len()), (1, 1));
    assert!(matches!(report.rejected[0].why, Rejection::Name { .. }));
    let request = &stub.requests()[0];
    assert!(request.head.starts_with("POST /write?db=hpc&precision=ns HTTP/1.1\r\n"), "{}", request.head);
    assert!(request.head.to_lowercase().contains("authorization: token s3cret\r\n"), "{}", request.head);
    assert_eq!(request.body, "gpu,host=a power_watts=1.5 1760000000000000000\n");
}

#[tokio::test]
async fn nothing_is_sent_without_a_valid_point() {
    let stub = Stub::start(Vec::new()).await;
    let client = InfluxDbClient::new(stub.url.as_str(), "").unwrap();
    let batch = vec![Point::new("gpu", 5).field("v", 1)];
    assert_eq!(client.write(batch, Durability::Group).await.unwrap().accepted, 0);
    assert!(stub.requests().is_empty());
}

#[tokio::test]
async fn failures_of_a_write_have_their_error() {
    let conflict = r#"{"error":"partial write: field type conflict: input field \"v\" dropped=1"}"#;
    let cases: [Failure; 9] = [
        (
            "400 Bad Request",
            conflict,
            |e| matches!(e, TimeSeriesError::BatchRefused { why } if why.contains("field type conflict")),
        ),
        ("401 Unauthorized", "{\"error\":\"no\"}", |e| matches!(e, TimeSeriesError::Denied { .. })),
        ("403 Forbidden", "", |e| matches!(e, TimeSeriesError::Denied { .. })),
        ("404 Not Found", "{\"error\":\"database not found\"}", |e| {
            matches!(e, TimeSeriesError::Config { setting: "database", .. })
        }),
        ("413 Too Large", "", |e| matches!(e, TimeSeriesError::BatchRefused { .. })),
        ("429 Too Many Requests", "", |e| matches!(e, TimeSeriesError::Backpressure)),
        ("503 Busy", "", |e| matches!(e, TimeSeriesError::Backpressure)),
        ("500 Oh", "<html>\n", |e| matches!(e, TimeSeriesError::Unavailable { why } if !why.contains('\n'))),
        ("302 Found", "", |e| matches!(e, TimeSeriesError::Config { setting: "url", .. })),
    ];
    for (status, body, is_right) in cases {
        let stub = Stub::start(vec![(status, body.to_owned())]).await;
        let client = InfluxDbClient::new(stub.url.as_str(), "t").unwrap();
        let error = client.write(vec![point()], Durability::Group).await.unwrap_err();
        assert!(is_right(&error), "{status}: {error:?}");
    }
}

#[tokio::test]
async fn a_server_that_is_not_there_is_unavailable() {
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let client = InfluxDbClient::new(format!("http://{free}"), "t").unwrap();
    let error = client.write(vec![point()], Durability::Group).await.unwrap_err();
    assert!(error.is_retriable(), "{error}");
}

#[tokio::test]
async fn a_query_asks_for_kinds_and_then_for_each_field() {
    let rows = r#"{"results":[
        {"statement_id":0,"series":[{"name":"gpu","tags":{"host":"a","zone":""},"columns":["time","mean"],"values":[[60,5],[120,null]]}]},
        {"statement_id":1,"series":[{"name":"gpu","tags":{"host":"a","zone":""},"columns":["time","mean"],"values":[[60,7],[120,7.25]]}]}]}"#;
    let stub = Stub::start(vec![("200 OK", KINDS.to_owned()), ("200 OK", rows.to_owned())]).await;
    let client = InfluxDbClient::new(stub.url.as_str(), "t").unwrap();
    let query = QueryBuilder::new("gpu")
        .range(TimeRange::last_hour())
        .aggregate(Aggregation::Max, "1m")
        .fill(Fill::Null)
        .build();
    let set = client.query(query).await.unwrap();
    assert_eq!(set.series.len(), 2);
    assert_eq!(set.series[0].tags, [("host".to_owned(), "a".to_owned())], "an empty tag is no tag");
    assert_eq!(set.series[0].samples[0].value, Some(Value::Integer(5)));
    assert_eq!(set.series[0].samples[1].value, None);
    assert_eq!(set.series[1].samples[0].value, Some(Value::Float(7.0)), "the kind decides, not the text");
    let requests = stub.requests();
    assert!(requests[0].head.starts_with("POST /query HTTP/1.1"));
    assert_eq!(requests[0].body, "db=hpc&epoch=ns&q=SHOW+FIELD+KEYS+FROM+%22gpu%22");
    assert_eq!(requests[1].body.matches("SELECT").count(), 2, "text fields are not asked for");
}

#[tokio::test]
async fn limits_are_found_by_asking_for_one_more() {
    let rows = r#"{"results":[{"series":[{"tags":{},"values":[[1,1.0],[2,2.0],[3,3.0]]}]}]}"#;
    let stub = Stub::start(vec![("200 OK", KINDS.to_owned()), ("200 OK", rows.to_owned())]).await;
    let client = InfluxDbClient::new(stub.url.as_str(), "t").unwrap();
    let set = client.query(QueryBuilder::new("gpu").field("power_watts").limit(2).build()).await.unwrap();
    assert_eq!((set.series[0].samples.len(), set.truncated), (2, true));
    assert!(stub.requests()[1].body.contains("LIMIT+3"));
}

#[tokio::test]
async fn failures_of_a_query_have_their_error() {
    let cases: [Failure; 6] = [
        ("200 OK", r#"{"results":[{"error":"database not found: hpc"}]}"#, |e| {
            matches!(e, TimeSeriesError::Config { .. })
        }),
        ("400 Bad Request", r#"{"error":"error parsing query"}"#, |e| {
            matches!(e, TimeSeriesError::UnsupportedQuery { .. })
        }),
        ("401 Unauthorized", r#"{"error":"no"}"#, |e| matches!(e, TimeSeriesError::Denied { .. })),
        ("503 Busy", "", |e| matches!(e, TimeSeriesError::Unavailable { .. })),
        ("200 OK", "not json", |e| matches!(e, TimeSeriesError::Unavailable { .. })),
        ("200 OK", r#"{"results":[]}"#, |e| matches!(e, TimeSeriesError::Unavailable { .. })),
    ];
    for (status, body, is_right) in cases {
        let stub = Stub::start(vec![(status, body.to_owned())]).await;
        let client = InfluxDbClient::new(stub.url.as_str(), "t").unwrap();
        let error = client.query(QueryBuilder::new("gpu").build()).await.unwrap_err();
        assert!(is_right(&error), "{status} {body}: {error:?}");
    }
}

#[tokio::test]
async fn an_invalid_query_is_told_without_asking() {
    let stub = Stub::start(Vec::new()).await;
    let client = InfluxDbClient::new(stub.url.as_str(), "t").unwrap();
    let query = QueryBuilder::new("gpu").filter("host", "x' OR 1=1\n").build();
    assert!(matches!(client.query(query).await, Err(TimeSeriesError::UnsupportedQuery { .. })));
    assert!(stub.requests().is_empty());
}

#[tokio::test]
async fn answers_are_bounded() {
    let stub = Stub::start(vec![("200 OK", "x".repeat(2_000))]).await;
    let mut config = InfluxDbConfig::new(stub.url.as_str(), "t");
    config.response_bytes_max = 1_000;
    let client = InfluxDbClient::with_config(&config).unwrap();
    let error = client.query(QueryBuilder::new("gpu").build()).await.unwrap_err();
    assert!(matches!(error, TimeSeriesError::UnsupportedQuery { why } if why.contains("1000 bytes")));
}
