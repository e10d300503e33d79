//! Settings are checked before anything is sent.

use std::time::Duration;

use hpc_timeseries::TimeSeriesError;
use hpc_tsdb_influxdb::{InfluxDbClient, InfluxDbConfig};

fn refused(config: &InfluxDbConfig) -> &'static str {
    match InfluxDbClient::with_config(config).err() {
        Some(TimeSeriesError::Config { setting, .. }) => setting,
        other => panic!("{other:?}"),
    }
}

#[test]
fn addresses_and_tokens_are_checked() {
    assert!(InfluxDbClient::new("http://influxdb:8086", "token").is_ok());
    assert!(InfluxDbClient::new("http://influxdb:8086/behind/a/path/", "").is_ok());
    for url in [
        "",
        "influxdb:8086",
        "https://influxdb",
        "ftp://x",
        "http://user:secret@x",
        "http://x?db=y",
        "http://x#y",
    ] {
        assert_eq!(refused(&InfluxDbConfig::new(url, "t")), "url", "{url}");
    }
    for token in ["a b", "a\r\nX-Forged: 1", "ü", &"x".repeat(1_025)] {
        assert_eq!(refused(&InfluxDbConfig::new("http://x", token)), "token", "{token:?}");
    }
    let mut database = InfluxDbConfig::new("http://x", "t");
    database.database = "a\"b".into();
    assert_eq!(refused(&database), "database");
    let mut timeout = InfluxDbConfig::new("http://x", "t");
    timeout.timeout = Duration::ZERO;
    assert_eq!(refused(&timeout), "timeout");
}

#[test]
fn errors_do_not_tell_the_token() {
    let config = InfluxDbConfig::new("http://x", "secret token");
    let said = InfluxDbClient::with_config(&config).err().unwrap().to_string();
    assert!(!said.contains("secret"), "{said}");
}
