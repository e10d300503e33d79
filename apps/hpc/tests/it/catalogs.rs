//! `hpc catalog`: price lists, without a daemon.

use crate::fake::{Outcome, hpc};

const LIST: &str = "\
InstanceType,vCPUs,MemoryGiB,AcceleratorName,AcceleratorCount,GpuInfo,Price,SpotPrice,Region,AvailabilityZone
p5.48xlarge,192,2048,H100,8,\"{'Gpus': [{'MemoryInfo': {'SizeInMiB': 81920}}]}\",55.04,0.0,us-east-1,
m,2,7.5,,,,0.0,,us-east-1,us-east-1a
bad row,2,8,,,,0.1,,us-east-1,
";

fn ask(list: &str, more: &[&str]) -> Outcome {
    let home = tempfile::tempdir().unwrap();
    let file = home.path().join("prices.csv");
    std::fs::write(&file, list).unwrap();
    let (verb, options) = more.split_first().unwrap();
    hpc(home.path(), &[&["catalog", verb, file.to_str().unwrap()], options].concat())
}

#[test]
fn rows_that_cannot_be_meant_are_named() {
    let outcome = ask(LIST, &["check"]);
    assert_eq!(outcome.code, 1);
    let lines: Vec<&str> = outcome.out.lines().collect();
    assert_eq!(lines.len(), 3, "{}", outcome.out);
    assert!(
        lines.iter().any(|line| line.contains(" 3  used ") && line.contains("each account")),
        "{}",
        outcome.out
    );
    assert!(
        lines.iter().any(|line| line.contains(" 4  refused") && line.contains("instance type")),
        "{}",
        outcome.out
    );
    assert!(
        outcome.err.contains("2 rows used, 1 refused, 1 doubtful, 1 without a price\nsnapshot "),
        "{}",
        outcome.err
    );
    let json = ask(LIST, &["check", "-o", "json", "--global-zones"]);
    let read: serde_json::Value = serde_json::from_str(&json.out).unwrap();
    assert_eq!((&read["used"], &read["refused"], &read["doubtful"]), (&2.into(), &1.into(), &0.into()));
    assert_eq!(read["problems"][0]["line"], 4);
    assert_eq!(read["hash"].as_str().unwrap().len(), 64);
    let good = LIST.lines().take(2).collect::<Vec<_>>().join("\n");
    assert_eq!(ask(&good, &["check"]).code, 0);
}

#[test]
fn what_can_be_used_is_shown_and_nothing_is_free() {
    let outcome = ask(LIST, &["show"]);
    assert_eq!(outcome.code, 0);
    let lines: Vec<Vec<&str>> = outcome.out.lines().map(|line| line.split_whitespace().collect()).collect();
    assert_eq!(lines[1], ["m", "us-east-1", "-", "-", "-", "2", "7680", "MiB", "unknown", "unknown"]);
    let p5 = ["p5.48xlarge", "us-east-1", "-", "8", "h100", "192", "2", "TiB", "55.04", "USD", "unknown"];
    assert_eq!(lines[2], p5);
    let one = ask(LIST, &["show", "--type", "p5.48xlarge", "-o", "json", "--currency", "EUR"]);
    let read: serde_json::Value = serde_json::from_str(&one.out).unwrap();
    assert_eq!(read.as_array().unwrap().len(), 1);
    assert_eq!((&read[0]["on_demand"], &read[0]["spot"]), (&"55.04 EUR".into(), &serde_json::Value::Null));
}

#[test]
fn lists_that_are_none_and_options_that_cannot_be_meant_are_refused() {
    for (list, options, code, said) in [
        ("a,b\n1,2\n", &["check"][..], "HPC-USG-0012", "columns"),
        (LIST, &["check", "--currency", "euro"], "HPC-USG-0012", "currency"),
        (LIST, &["check", "--region", "a b"], "HPC-USG-0012", "region"),
        (LIST, &["show", "--provider", "a/b"], "HPC-USG-0012", "provider"),
        (LIST, &["show", "--type", "a b"], "HPC-USG-0012", "instance type"),
    ] {
        let outcome = ask(list, options);
        assert_eq!(outcome.code, 2, "{options:?}");
        assert!(outcome.err.contains(code) && outcome.err.contains(said), "{options:?}: {}", outcome.err);
    }
    let home = tempfile::tempdir().unwrap();
    let missing = hpc(home.path(), &["catalog", "check", "no-such.csv"]);
    assert!(missing.code == 2 && missing.err.contains("HPC-USG-0005"), "{}", missing.err);
}
