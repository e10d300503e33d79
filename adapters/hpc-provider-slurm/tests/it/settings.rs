//! Settings that cannot be meant are refused with what is wrong.

use hpc_provider_slurm::{
    Cluster, ClusterDocument, ClusterError, INSTANCES_PER_JOB_MAX, PARTITIONS_MAX, SHAPES_MAX,
    START_WITHIN_S_MAX,
};
use serde_json::{Value, json};

use crate::rig::document;

fn with(change: impl FnOnce(&mut Value)) -> Result<Cluster, ClusterError> {
    let mut document = document(15);
    change(&mut document);
    Cluster::check(serde_json::from_value(document).unwrap())
}

#[test]
fn good_settings_are_read() {
    let cluster = with(|_| {}).unwrap();
    assert_eq!(cluster.shapes().count(), 3);
    let shape = cluster.shapes().next().unwrap();
    assert_eq!((shape.zone.as_str(), shape.gpus(), shape.mib_per_cpu()), ("gpu", 1, 100));
    let dearer = with(|d| d["partitions"]["gpu"]["shapes"]["h100-1"]["price"] = json!("2.01 USD")).unwrap();
    assert_ne!(cluster.snapshot(), dearer.snapshot());
}

#[test]
fn memory_is_rounded_up_to_what_slurm_can_be_told() {
    let per_cpu = |cpu: u32, memory: &str| {
        let cluster = with(|d| {
            d["partitions"]["gpu"]["shapes"]["h100-1"]["cpu"] = json!(cpu);
            d["partitions"]["gpu"]["shapes"]["h100-1"]["memory"] = json!(memory);
        });
        cluster.unwrap().shapes().next().unwrap().mib_per_cpu()
    };
    assert_eq!(per_cpu(3, "100 MiB"), 34);
    assert_eq!(per_cpu(4, "1 B"), 1);
    assert_eq!(per_cpu(2, "1 GB"), 477, "953.67 MiB are 954");
}

#[test]
fn mistakes_are_named() {
    type Change = fn(&mut Value);
    let cases: [(Change, &str); 13] = [
        (|d| d["partitions"] = json!({}), "offer nothing"),
        (|d| d["partitions"]["gpu"]["shapes"] = json!({ "x": shape_with("cpu", json!(0)) }), "`cpu`"),
        (|d| d["partitions"]["gpu"]["shapes"] = json!({ "x": shape_with("price", json!("0")) }), "0"),
        (
            |d| d["partitions"]["gpu"]["shapes"] = json!({ "x": shape_with("price", json!("0.00 USD")) }),
            "write `free`",
        ),
        (
            |d| d["partitions"]["gpu"]["shapes"] = json!({ "x": shape_with("memory", json!("0 B")) }),
            "`memory`",
        ),
        (
            |d| d["partitions"]["gpu"]["shapes"] = json!({ "x": shape_with("gres_type", json!("-x")) }),
            "`gres_type`",
        ),
        (
            |d| d["partitions"]["gpu"]["shapes"] = json!({ "x": shape_with("gpus", Value::Null) }),
            "needs `gpus`",
        ),
        (|d| d["partitions"]["gpu"]["shapes"]["h100-1"]["gpus"]["model"] = json!("A100"), "ambiguous"),
        (|d| d["partitions"]["gpu"]["shapes"]["h100-1"]["gpus"]["count"] = json!(0), "`gpus.count`"),
        (|d| d["partitions"]["gpu"]["account"] = json!("--wrap=x"), "`account`"),
        (|d| d["partitions"]["gpu"]["qos"] = json!("a,b"), "`qos`"),
        (|d| d["partitions"]["gpu"]["time_limit_min"] = json!(0), "`time_limit_min`"),
        (|d| d["start_within_s"] = json!(START_WITHIN_S_MAX + 1), "`start_within_s`"),
    ];
    for (change, wanted) in cases {
        let error = with(change).unwrap_err().to_string();
        assert!(error.contains(wanted), "{error} should say {wanted}");
    }
    for name in ["", "-gpu", "gpu,short", "gpu short", "gpu|x"] {
        let renamed = with(|d| {
            let partition = d["partitions"]["gpu"].take();
            d["partitions"] = json!({ name: partition });
        });
        assert!(matches!(renamed, Err(ClusterError::Name { .. })), "{name}");
    }
    let mut unknown = document(15);
    unknown["partitions"]["gpu"]["user"] = json!("root");
    assert!(serde_json::from_value::<ClusterDocument>(unknown).is_err(), "unknown fields are errors");
}

fn shape_with(field: &str, value: Value) -> Value {
    let mut shape = document(0)["partitions"]["gpu"]["shapes"]["h100-1"].clone();
    shape[field] = value;
    shape
}

#[test]
fn limits_are_exact() {
    let partitions = |count: usize| {
        with(|d| {
            let one = d["partitions"]["gpu"].clone();
            d["partitions"] = (0..count).map(|n| (format!("p{n}"), one.clone())).collect();
        })
    };
    assert!(partitions(PARTITIONS_MAX).is_ok());
    assert!(matches!(partitions(PARTITIONS_MAX + 1), Err(ClusterError::TooMany { what: "partitions", .. })));
    let shapes = |count: usize| {
        with(|d| {
            let one = d["partitions"]["gpu"]["shapes"]["h100-1"].clone();
            d["partitions"]["gpu"]["shapes"] = (0..count).map(|n| (format!("s{n}"), one.clone())).collect();
        })
    };
    assert!(shapes(SHAPES_MAX).is_ok());
    assert!(matches!(shapes(SHAPES_MAX + 1), Err(ClusterError::TooMany { .. })));
    assert_eq!(INSTANCES_PER_JOB_MAX, 256);
}
