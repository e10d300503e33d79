//! `hpc policy test`: tables of cases, without a daemon.

use std::path::Path;

use crate::fake::{Outcome, hpc};

const POLICY: &str = "\
apiVersion: policy.horizon.dev/v1
kind: Policy
metadata: {name: small}
spec:
  principals: [{type: role, value: gpu-user}]
  resources: [{type: gpu, pattern: 'gpu/*'}]
  actions: [capacity.request]
  effect: allow
  conditions: [{attribute: context.hours, op: lte, value: 8}]
";

fn table(hours: u32, expect: &str) -> String {
    format!(
        "apiVersion: policy.horizon.dev/v1\nkind: PolicyTest\ncases:\n  - name: {hours} hours\n    \
         principal: {{user: alice, roles: [gpu-user]}}\n    action: capacity.request\n    \
         resource: {{type: gpu, id: gpu/h100}}\n    context: {{hours: {hours}}}\n    expect: {expect}\n"
    )
}

fn test(folder: &Path, more: &[&str]) -> Outcome {
    let home = tempfile::tempdir().unwrap();
    hpc(home.path(), &[&["policy", "test", folder.to_str().unwrap()], more].concat())
}

#[test]
fn passing_and_failing_cases_are_named_by_file_and_line() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("small.yaml"), POLICY).unwrap();
    std::fs::write(folder.path().join("a.test.yaml"), table(2, "allow")).unwrap();
    let outcome = test(folder.path(), &[]);
    assert_eq!((outcome.code, outcome.err.as_str()), (0, "1 case, 0 failed, 1 rules\n"));
    assert!(
        outcome.out.starts_with("pass  ") && outcome.out.ends_with("a.test.yaml:4  2 hours\n"),
        "{}",
        outcome.out
    );

    std::fs::write(folder.path().join("b.test.yaml"), table(12, "allow")).unwrap();
    let outcome = test(folder.path(), &[]);
    assert_eq!((outcome.code, outcome.err.as_str()), (1, "2 cases, 1 failed, 1 rules\n"));
    assert!(
        outcome.out.contains("FAIL  ") && outcome.out.contains("expected allow, got deny"),
        "{}",
        outcome.out
    );
    let json = test(folder.path(), &["-o", "json"]);
    let read: Vec<serde_json::Value> = serde_json::from_str(&json.out).unwrap();
    assert_eq!(read.iter().map(|case| case["passed"].as_bool().unwrap()).collect::<Vec<_>>(), [true, false]);
    assert_eq!(json.code, 1);
}

#[test]
fn broken_files_are_named() {
    let folder = tempfile::tempdir().unwrap();
    let nothing = test(folder.path(), &[]);
    assert!(nothing.code == 2 && nothing.err.contains("no policies"), "{}", nothing.err);
    std::fs::write(folder.path().join("small.yaml"), POLICY).unwrap();
    let no_table = test(folder.path(), &[]);
    assert!(no_table.code == 2 && no_table.err.contains("no tables"), "{}", no_table.err);
    std::fs::write(folder.path().join("a.test.yaml"), "kind: PolicyTest\n").unwrap();
    let bad_table = test(folder.path(), &[]);
    assert!(bad_table.code == 2 && bad_table.err.contains("a.test.yaml"), "{}", bad_table.err);
    std::fs::write(folder.path().join("broken.yaml"), "kind: [").unwrap();
    let bad_policy = test(folder.path(), &[]);
    assert!(
        bad_policy.code == 2
            && bad_policy.err.contains("broken.yaml")
            && bad_policy.err.contains("HPC-POL-0004")
    );
    std::fs::write(folder.path().join("broken.yaml"), "#".repeat(2 << 20)).unwrap();
    assert!(test(folder.path(), &[]).err.contains("HPC-USG-0003"));
    std::fs::write(folder.path().join("broken.yaml"), [0xff, 0xfe]).unwrap();
    assert!(test(folder.path(), &[]).err.contains("HPC-USG-0018"));
    assert!(test(&folder.path().join("nowhere"), &[]).err.contains("HPC-USG-0005"));
}
