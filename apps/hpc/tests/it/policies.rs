//! `hpc policy test` and `hpc policy check`: policies and tables of cases, without a daemon.

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

fn check(folder: &Path, more: &[&str]) -> Outcome {
    let home = tempfile::tempdir().unwrap();
    hpc(home.path(), &[&["policy", "check", folder.to_str().unwrap()], more].concat())
}

#[test]
fn every_mistake_is_shown_where_it_stands() {
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str| folder.path().join(name).display().to_string();
    std::fs::write(folder.path().join("small.yaml"), POLICY).unwrap();
    std::fs::write(folder.path().join("a.test.yaml"), table(2, "allow")).unwrap();
    let fine = check(folder.path(), &[]);
    assert_eq!((fine.code, fine.out.as_str(), fine.err.as_str()), (0, "", "2 files, 0 mistakes, 1 rules\n"));
    assert_eq!(check(folder.path(), &["-o", "json"]).out.trim(), "[]");

    std::fs::write(folder.path().join("other.yaml"), POLICY.replace("effect: allow", "effect: alow"))
        .unwrap();
    std::fs::write(folder.path().join("a.test.yaml"), table(2, "maybe")).unwrap();
    let outcome = check(folder.path(), &[]);
    assert_eq!((outcome.code, outcome.err.as_str()), (1, "3 files, 2 mistakes, 0 rules\n"));
    let expected = format!(
        "{}:9:13: `expect` is `maybe`; expected `allow` or `deny`\n\
        \u{20}   9 |     expect: maybe\n      |             ^\n\
        {}:8:11: `effect` is `alow`; expected `allow` or `deny`\n\
        \u{20}   8 |   effect: alow\n      |           ^\n",
        file("a.test.yaml"),
        file("other.yaml")
    );
    assert_eq!(outcome.out, expected);
    let json = check(folder.path(), &["-o", "json"]);
    let read: Vec<serde_json::Value> = serde_json::from_str(&json.out).unwrap();
    assert_eq!((json.code, read.len()), (1, 2));
    assert_eq!((&read[1]["line"], &read[1]["column"]), (&8.into(), &11.into()));
    assert_eq!(read[1]["file"], file("other.yaml"));

    let empty = tempfile::tempdir().unwrap();
    assert_eq!(check(empty.path(), &[]).code, 2);
}
