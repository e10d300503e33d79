//! Queries are checked when built and told when run.

use hpc_timeseries::{
    Aggregation, FILTER_VALUES_MAX, FILTERS_MAX, Fill, Grouping, Order, QueryBuilder, SAMPLES_MAX, TimeRange,
    TimeSeriesError,
};

fn refused(builder: QueryBuilder, word: &str) {
    match builder.build().into_select() {
        Err(TimeSeriesError::UnsupportedQuery { why }) => {
            assert!(why.contains(word), "{why} should tell `{word}`")
        }
        other => panic!("expected a refusal about `{word}`, got {other:?}"),
    }
}

#[test]
fn all_parts_are_kept() {
    let query = QueryBuilder::new("gpu_metrics")
        .filter("host", "server-01")
        .filter_not("lease", "none")
        .filter_in("zone", ["a", "b"])
        .field("power_watts")
        .field("power_watts")
        .range(TimeRange::last_hour())
        .aggregate(Aggregation::Mean, "1m")
        .group_by(["host"])
        .fill(Fill::Null)
        .order(Order::NewestFirst)
        .limit(5)
        .build();
    let select = query.select().unwrap();
    assert_eq!(select.measurement(), "gpu_metrics");
    assert_eq!(select.fields(), ["power_watts"]);
    assert_eq!(select.filters().len(), 3);
    assert_eq!(select.aggregate(), Some((Aggregation::Mean, 60_000_000_000)));
    assert_eq!(select.grouping(), &Grouping::ByTags(vec!["host".to_owned()]));
    assert_eq!((select.fill(), select.order(), select.limit()), (Fill::Null, Order::NewestFirst, 5));
    assert!(select.require_plain().is_err());
}

#[test]
fn invalid_parts_are_remembered() {
    let base = || QueryBuilder::new("gpu");
    refused(QueryBuilder::new("gpu\"; DROP"), "name");
    refused(base().filter("host\"", "a"), "name");
    refused(base().filter("host", "a\nb"), "host");
    refused(base().filter_not("host", ""), "host");
    refused(base().filter_in("host", Vec::<String>::new()), "values");
    refused(base().filter_in("host", (0..=FILTER_VALUES_MAX).map(|i| i.to_string())), "values");
    refused(base().field("*"), "name");
    refused(base().range(TimeRange::between_ns(2, 1)), "ends before");
    refused(base().aggregate(Aggregation::Mean, "1 minute"), "window");
    refused(base().range(TimeRange::last_day()).aggregate(Aggregation::Mean, "1ms"), "windows");
    refused(base().aggregate(Aggregation::Mean, "1m"), "windows");
    refused(base().group_by(["host"]), "aggregation");
    refused(
        base()
            .range(TimeRange::last_hour())
            .aggregate(Aggregation::Min, "1m")
            .aggregate(Aggregation::Max, "1m"),
        "one",
    );
    refused(base().limit(0), "limit");
    refused(base().limit(SAMPLES_MAX + 1), "limit");
    let many = (0..=FILTERS_MAX).fold(base(), |builder, index| builder.filter("host", index.to_string()));
    refused(many, "filters");
    let fields = (0..65).fold(base(), |builder, index| builder.field(format!("f{index}")));
    refused(fields, "fields");
}
