//! The import paths people use.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

#[cfg(feature = "influxdb")]
mod influxdb {
    use hpc_tsdb::{Aggregation, InfluxDbClient, QueryBuilder, TimeRange, TimeSeriesError};

    /// The specification's example, word for word; nobody listens at the address.
    #[tokio::test]
    async fn the_example_of_the_specification_runs() -> Result<(), TimeSeriesError> {
        let client = InfluxDbClient::new("http://127.0.0.1:9", "token")?;

        let query = QueryBuilder::new("gpu_metrics")
            .filter("host", "server-01")
            .range(TimeRange::last_hour())
            .aggregate(Aggregation::Mean, "1m")
            .build();

        let series = client.query(query).await;
        assert!(matches!(series, Err(TimeSeriesError::Unavailable { .. })), "{series:?}");
        Ok(())
    }
}

#[cfg(feature = "embedded")]
mod embedded {
    use std::sync::Arc;

    use hpc_tsdb::{
        Aggregation, Durability, EmbeddedConfig, EmbeddedTsdb, Point, QueryBuilder, TimeRange,
        TimeSeriesStore,
    };
    use jiff::{SignedDuration, Timestamp};

    #[tokio::test]
    async fn the_same_query_runs_on_the_embedded_store() {
        let now = Timestamp::constant(1_760_000_000, 0);
        let store: Arc<dyn TimeSeriesStore> =
            Arc::new(EmbeddedTsdb::in_memory(EmbeddedConfig::default(), Arc::new(move || now)).unwrap());
        let point = Point::at("gpu_metrics", now - SignedDuration::from_mins(5));
        let batch = vec![point.tag("host", "server-01").field("power_watts", 350.0)];
        store.write(batch, Durability::Group).await.unwrap();
        let query = QueryBuilder::new("gpu_metrics")
            .filter("host", "server-01")
            .range(TimeRange::last_hour())
            .aggregate(Aggregation::Mean, "1m")
            .build();
        let set = store.query(query).await.unwrap();
        assert_eq!(set.series.first().and_then(|series| series.samples.first()?.as_f64()), Some(350.0));
    }
}
