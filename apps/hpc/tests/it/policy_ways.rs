//! `hpc policy who-can` and `hpc policy what-can`.

use crate::fake::{Answers, Daemon, Outcome, hpc};

const POLICY: &str = "\
apiVersion: policy.horizon.dev/v1
kind: Policy
metadata: {name: p}
spec:
  rules:
    - name: read
      effect: allow
      principals: [{type: user, value: ann}]
      resources: [{type: gpu, id: gpu/h100}]
      actions: [read]
    - name: nightly
      effect: allow
      principals: [{type: role, value: gpu-user}]
      resources: [{type: gpu, pattern: 'gpu/*'}]
      actions: [use]
      conditions:
        - {attribute: context.now, op: time_window, value: {from: '22:00', to: '06:00'}}
        - {attribute: context.tags, op: contains, value: batch}
        - {attribute: context.ip, op: cidr, value: 10.0.0.0/8}
    - name: no-robots
      effect: deny
      principals: [{type: agent, pattern: '**'}]
      resources: [{type: gpu, pattern: '**'}]
      actions: [use]
";

fn run(args: &[&str]) -> Outcome {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("p.yaml");
    std::fs::write(&file, POLICY).unwrap();
    let args: Vec<&str> =
        args.iter().map(|arg| if *arg == "p.yaml" { file.to_str().unwrap() } else { arg }).collect();
    let outcome = hpc(folder.path(), &args);
    let folder = format!("{}/", folder.path().display());
    Outcome {
        code: outcome.code,
        out: outcome.out.replace(&folder, ""),
        err: outcome.err.replace(&folder, ""),
    }
}

#[test]
fn a_way_without_conditions_and_denials_holds_always() {
    let outcome = run(&["policy", "who-can", "read", "gpu", "gpu/h100", "p.yaml"]);
    assert_eq!((outcome.code, outcome.err.as_str()), (0, "1 way, 0 closed, 3 rules\n"));
    assert_eq!(outcome.out, "always user `ann`\n       by  p/read (p.yaml:6)\n");
    let outcome = run(&["policy", "who-can", "read", "gpu", "gpu/a100", "p.yaml"]);
    assert_eq!((outcome.code, outcome.out.as_str()), (0, ""));
    assert_eq!(outcome.err, "0 ways, 0 closed, 3 rules\n");
}

#[test]
fn what_is_known_is_no_condition_any_more() {
    let asked = ["policy", "what-can", "user:bob", "p.yaml", "--role", "gpu-user"];
    let conditions = |more: &[&str]| {
        let outcome = run(&[&asked[..], more, &["-o", "json"]].concat());
        assert_eq!(outcome.code, 0, "{}", outcome.err);
        let answer: serde_json::Value = serde_json::from_str(&outcome.out).unwrap();
        let ways = answer["ways"].as_array().unwrap().clone();
        ways.first().map(|way| way["conditions"].as_array().unwrap().len())
    };
    assert_eq!(conditions(&[]), Some(3));
    assert_eq!(conditions(&["--attribute", "context.now=2026-11-02T23:00:00Z"]), Some(2));
    let tags = r#"context.tags=["batch", "big"]"#;
    assert_eq!(
        conditions(&["--attribute", tags, "--attribute", r#"context.ip={"ip": "10.1.2.3"}"#]),
        Some(1)
    );
    assert_eq!(conditions(&["--attribute", "context.ip=10.1.2.3"]), Some(2));
    assert_eq!(conditions(&["--attribute", "context.ip=11.1.2.3"]), None);
    assert_eq!(conditions(&["--attribute", "context.tags=9"]), None);
}

#[test]
fn what_a_denial_undoes_is_closed() {
    let outcome = run(&["policy", "what-can", "agent:planner", "p.yaml", "--role", "gpu-user"]);
    assert_eq!((outcome.code, outcome.err.as_str()), (0, "0 ways, 1 closed, 3 rules\n"));
    assert!(outcome.out.starts_with("never  use on gpu `gpu/*`\n"), "{}", outcome.out);
    assert!(outcome.out.ends_with("       because of  p/no-robots (p.yaml:20) denies\n"), "{}", outcome.out);
}

#[test]
fn without_a_path_the_policies_in_force_are_asked() {
    let shown = serde_json::json!({
        "digest": "9f2c", "built_in": true, "rules": 3, "documents": [{"name": "starter.yaml", "text": POLICY}],
    });
    let daemon = Daemon::start(Answers::default().with("policy", "hpc.policy/v1", &[shown]));
    let outcome = daemon.hpc(&["policy", "who-can", "read", "gpu", "gpu/h100"]);
    assert_eq!(
        (outcome.code, outcome.out.as_str()),
        (0, "always user `ann`\n       by  p/read (starter.yaml:6)\n")
    );
}

#[test]
fn what_cannot_be_asked_is_refused() {
    let who = ["policy", "who-can", "read", "gpu", "gpu/h100", "p.yaml", "--attribute"];
    for (attribute, said) in [
        ("hours", "write PATH=VALUE"),
        ("hours=8", "hours is no attribute"),
        ("principal.id=eve", "belongs to the question itself"),
        ("context.now=noon", "write a time such as"),
        ("context.a=1.5", "write a whole number"),
        ("context.a=null", "write a whole number"),
        ("context.a=[1, [2]]", "is a list of lists"),
        ("context.a={\"x\": 1}", "write a whole number"),
        ("context.a=[1", "write a whole number"),
    ] {
        let outcome = run(&[&who[..], &[attribute]].concat());
        assert!(outcome.code == 2 && outcome.err.contains(said), "{attribute}: {outcome:?}");
        assert!(outcome.err.contains("HPC-USG-0012"), "{outcome:?}");
    }
    for principal in ["alice", "user:", "robot:r2", "user:a b"] {
        let outcome = run(&["policy", "what-can", principal, "p.yaml"]);
        assert!(outcome.code == 2 && outcome.err.contains("HPC-USG-0012"), "{principal}: {outcome:?}");
    }
    let outcome = run(&["policy", "who-can", "read", "gpu", "gpu/../h100", "p.yaml"]);
    assert!(
        outcome.code == 2 && outcome.err.contains("resource.id has a `.` or `..` segment"),
        "{outcome:?}"
    );
}
