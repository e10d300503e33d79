//! Every limit, at its edge.

use std::time::Duration;

use hpc_timeseries::{
    Durability, Point, QueryBuilder, Rejection, TimeRange, TimeSeriesError, TimeSeriesStore,
};
use hpc_tsdb_embedded::{EmbeddedConfig, EmbeddedTsdb};

use crate::support::{NOW_NS, SECOND, clock, gpu, open, samples};

fn store(config: EmbeddedConfig) -> EmbeddedTsdb {
    EmbeddedTsdb::in_memory(config, clock()).unwrap()
}

#[tokio::test]
async fn the_window_has_two_edges() {
    let config = EmbeddedConfig {
        past_max: Duration::from_secs(60),
        future_max: Duration::from_secs(10),
        ..EmbeddedConfig::default()
    };
    let store = store(config);
    let (oldest_ns, newest_ns) = (NOW_NS - 60 * SECOND, NOW_NS + 10 * SECOND);
    let batch =
        [oldest_ns - 1, oldest_ns, newest_ns, newest_ns + 1].map(|ts_ns| gpu(ts_ns, "a", 1.0)).to_vec();
    let report = store.write(batch, Durability::Group).await.unwrap();
    assert_eq!(report.accepted, 2);
    let ts_ns = oldest_ns - 1;
    assert_eq!(report.rejected[0].why, Rejection::OutOfWindow { ts_ns, oldest_ns, newest_ns });
    assert_eq!(report.rejected[1].index, 3);
}

#[tokio::test]
async fn columns_are_counted_by_field_and_series() {
    let store = store(EmbeddedConfig { columns_max: 3, ..EmbeddedConfig::default() });
    let wide = |host: &str| gpu(NOW_NS, host, 1.0).field("fan_ratio", 0.5);
    let report =
        store.write(vec![wide("a"), wide("b"), gpu(NOW_NS, "b", 1.0)], Durability::Group).await.unwrap();
    assert_eq!(report.accepted, 2);
    assert_eq!(report.rejected[0].why, Rejection::CardinalityExceeded { limit: 3 });
    assert_eq!(store.columns(), 3);
}

#[tokio::test]
async fn a_full_queue_is_told() {
    let store =
        store(EmbeddedConfig { queue_batches_max: 1, queue_samples_max: 10, ..EmbeddedConfig::default() });
    let large: Vec<Point> = (0..8).map(|i| gpu(NOW_NS + i, "a", 1.0)).collect();
    let writes = (0..200).map(|_| store.write(large.clone(), Durability::Sync));
    let mut refused = 0;
    let mut stored = 0;
    // All are begun before the first is awaited, as by tasks that come at once.
    let mut pending: Vec<_> = writes.map(Box::pin).collect();
    std::future::poll_fn(|context| {
        pending.retain_mut(|write| match write.as_mut().poll(context) {
            std::task::Poll::Ready(Ok(_)) => {
                stored += 1;
                false
            }
            std::task::Poll::Ready(Err(error)) => {
                assert_eq!(error, TimeSeriesError::Backpressure);
                assert!(error.is_retriable());
                refused += 1;
                false
            }
            std::task::Poll::Pending => true,
        });
        if pending.is_empty() { std::task::Poll::Ready(()) } else { std::task::Poll::Pending }
    })
    .await;
    assert_eq!(stored + refused, 200);
    assert!(stored >= 1 && refused >= 1, "{stored} stored, {refused} refused");
    assert_eq!(samples(&store).await.len(), 8);
}

#[tokio::test]
async fn a_query_reads_only_so_much() {
    let store = store(EmbeddedConfig { scan_samples_max: 100, ..EmbeddedConfig::default() });
    store.write((0..150).map(|i| gpu(NOW_NS - i, "a", 1.0)).collect(), Durability::Group).await.unwrap();
    store.seal().await.unwrap();
    let wide = store.query(QueryBuilder::new("gpu").build()).await;
    assert!(matches!(wide, Err(TimeSeriesError::UnsupportedQuery { why }) if why.contains("shorter range")));
    let narrow = QueryBuilder::new("gpu").range(TimeRange::between_ns(0, 1)).build();
    assert_eq!(store.query(narrow).await.unwrap().series.len(), 0);
}

#[test]
fn settings_are_checked() {
    let default = EmbeddedConfig::default;
    for config in [
        EmbeddedConfig { cache_bytes: 0, ..default() },
        EmbeddedConfig { columns_max: 0, ..default() },
        EmbeddedConfig { columns_max: usize::MAX, ..default() },
        EmbeddedConfig { head_samples_max: 0, ..default() },
        EmbeddedConfig { queue_batches_max: 0, ..default() },
        EmbeddedConfig { queue_samples_max: 0, ..default() },
        EmbeddedConfig { group_linger: Duration::from_secs(2), ..default() },
        EmbeddedConfig { queries_max: 0, ..default() },
        EmbeddedConfig { scan_samples_max: 0, ..default() },
    ] {
        let refused = EmbeddedTsdb::in_memory(config.clone(), clock()).err();
        assert!(matches!(refused, Some(TimeSeriesError::Config { .. })), "{config:?}");
    }
}

#[tokio::test]
async fn retention_removes_chunks_from_the_file() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("t.redb");
    let store = open(&path);
    for hour in 0..3 {
        let base = NOW_NS - (hour + 1) * 3_600 * SECOND;
        store
            .write((0..2_000).map(|i| gpu(base + i * SECOND, "a", 1.0)).collect(), Durability::Group)
            .await
            .unwrap();
    }
    store.seal().await.unwrap();
    store.set_retention(Some(Duration::from_secs(3_600))).await.unwrap();
    assert_eq!(samples(&store).await.len(), 2_000);
    drop(store);
    let store = open(&path);
    assert_eq!(store.retention().await, Ok(Some(Duration::from_secs(3_600))));
    assert_eq!(samples(&store).await.len(), 2_000);
}
