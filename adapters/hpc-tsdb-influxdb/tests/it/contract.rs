//! The suite of the port on a real server: set `HPC_TEST_INFLUXDB` to its address, as `http://127.0.0.1:8086`.
//!
//! Each case makes a database of its own, named `hpc_test_...`; they stay behind.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use hpc_conformance::timeseries::Subject;
use hpc_tsdb_influxdb::{InfluxDbClient, InfluxDbConfig};
use jiff::Timestamp;

static NEXT: AtomicU32 = AtomicU32::new(0);

#[expect(clippy::disallowed_methods, reason = "a real server has a real clock")]
async fn subject() -> Option<Subject> {
    let Ok(url) = std::env::var("HPC_TEST_INFLUXDB") else {
        eprintln!("skipped: HPC_TEST_INFLUXDB does not name an InfluxDB server");
        return None;
    };
    let token = std::env::var("HPC_TEST_INFLUXDB_TOKEN").unwrap_or_default();
    let now = Timestamp::now();
    let unique = NEXT.fetch_add(1, Ordering::Relaxed);
    let database = format!("hpc_test_{}_{}_{unique}", now.as_nanosecond(), std::process::id());
    let mut config = InfluxDbConfig::new(url, token);
    config.database = database;
    let client = InfluxDbClient::with_config(&config).expect("settings");
    client.create_database().await.expect("a database of its own");
    Some(Subject::new(Arc::new(client), now))
}

hpc_conformance::time_series_store!(subject());
