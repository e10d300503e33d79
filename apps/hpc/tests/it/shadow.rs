//! `hpc policy shadow`, `promote`, `reload`, and what `show` and `doctor` say of policies that are refused.

use serde_json::{Value, json};

use crate::fake::{Answers, Daemon, hpc};
use crate::fixtures::{info, now};

const DIGEST: &str = "5f0c5f0c5f0c5f0c5f0c5f0c5f0c5f0c5f0c5f0c5f0c5f0c5f0c5f0c5f0c5f0c";

fn candidate() -> Value {
    let answer =
        |verdict: &str, reason: &str| json!({"verdict": verdict, "reasons": [reason], "obligations": {}});
    json!({"digest": DIGEST, "rules": 12, "since": now(), "active_digest": "ab", "decisions": 40, "allow_to_deny": 1,
        "deny_to_allow": 0, "obligations": 3, "failures": 0, "recent": [
            {"number": 7, "at": now(), "principal": "user:alice\u{1b}[2J", "action": "lease.read",
                "resource": "lease lease/1", "active": answer("allow", "allowed by `a/b`"),
                "candidate": answer("deny", "denied by `c/d`"), "question": null},
            {"number": 9, "at": null, "principal": "user:bob", "action": "use", "resource": "gpu gpu/1",
                "active": {"verdict": "allow", "reasons": [], "obligations": {}},
                "candidate": {"verdict": "allow", "reasons": [], "obligations": {"max_lease_hours": 4}}}]})
}

fn policy(failure: Value) -> Value {
    json!({"digest": DIGEST, "built_in": false, "rules": 3, "documents": [], "since": now(), "failures": 1,
        "source": {"kind": "bundle", "name": "production", "sequence": 7, "signer": "policies.example.org+0a+b"},
        "promoted": {"by": "lead", "at": now()}, "failure": failure, "candidate": "cd", "signed_only": true})
}

#[test]
fn differences_are_shown_with_both_verdicts_and_the_rules() {
    let report = candidate();
    let daemon =
        Daemon::start(Answers::default().with("show_candidate", "hpc.policy-candidate/v1", &[&report]));
    let outcome = daemon.hpc(&["policy", "shadow", "show"]);
    assert_eq!(outcome.code, 0, "{}", outcome.err);
    let lines: Vec<&str> = outcome.out.lines().collect();
    assert!(lines[0].starts_with("#7  allow -> deny  2026-11-23 20:41:10 UTC  user:alice"), "{}", lines[0]);
    assert_eq!(lines[1], "    in force   allowed by `a/b`");
    assert_eq!(lines[2], "    candidate  denied by `c/d`");
    assert_eq!(lines[3], "#9  obligations  -  user:bob  use  gpu gpu/1");
    assert_eq!(lines[5], "    candidate  max_lease_hours: 4");
    assert_eq!(lines[6], "2 older differences are counted and not kept");
    assert!(!outcome.out.contains('\u{1b}'), "{}", outcome.out);
    assert!(outcome.out.contains("decisions      40\nallow -> deny  1\n"), "{}", outcome.out);
    let json = daemon.hpc(&["policy", "shadow", "show", "-o", "json"]);
    assert_eq!(serde_json::from_str::<Value>(&json.out).unwrap(), report);
}

#[test]
fn a_candidate_is_sent_under_the_names_that_a_daemon_uses() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("a.yaml"), "kind: Policy").unwrap();
    std::fs::write(folder.path().join("a.test.yaml"), "left out").unwrap();
    let path = folder.path().to_str().unwrap();
    let daemon = Daemon::start(
        Answers::default().with("set_candidate", "hpc.policy-candidate/v1", &[candidate()]).with(
            "clear_candidate",
            "hpc.policy-candidate/v1",
            &[candidate()],
        ),
    );
    assert_eq!(daemon.hpc(&["policy", "shadow", "set", path]).code, 0);
    let sent = daemon.seen().pop().unwrap().1;
    assert!(sent.contains("name: \"a.yaml\"") && !sent.contains("left out"), "{sent}");
    let bundle = folder.path().join("1.bundle");
    std::fs::write(&bundle, "hpc.policy.bundle/v1").unwrap();
    assert_eq!(daemon.hpc(&["policy", "shadow", "set", "--bundle", bundle.to_str().unwrap()]).code, 0);
    let sent = daemon.seen().pop().unwrap().1;
    assert!(sent.contains("hpc.policy.bundle/v1"), "{sent}");
    assert_eq!(daemon.hpc(&["policy", "shadow", "clear"]).code, 0);

    std::fs::write(&bundle, vec![b'x'; 4 * 1024 * 1024 + 1]).unwrap();
    let large = daemon.hpc(&["policy", "shadow", "set", "--bundle", bundle.to_str().unwrap()]);
    assert!(large.code == 2 && large.err.contains("HPC-USG-0003"), "{}", large.err);
    let nothing = hpc(folder.path(), &["policy", "shadow", "set"]);
    assert_eq!(nothing.code, 2);
    std::fs::create_dir(folder.path().join("other")).unwrap();
    std::fs::write(folder.path().join("other/a.yaml"), "kind: Policy").unwrap();
    let twice = daemon.hpc(&["policy", "shadow", "set", path, &format!("{path}/other")]);
    assert!(twice.code == 2 && twice.err.contains("HPC-USG-0009"), "{}", twice.err);
}

#[test]
fn what_is_in_force_says_where_it_comes_from_and_what_is_refused() {
    let failure = json!({"at": now(), "code": "HPC-POL-0012", "message": "the policies: older"});
    let daemon = Daemon::start(
        Answers::default()
            .with("info", "hpc.info/v1", &[info()])
            .with("policy", "hpc.policy/v1", &[policy(failure)])
            .with("promote", "hpc.policy/v1", &[policy(Value::Null)])
            .with("reload", "hpc.policy/v1", &[policy(Value::Null)]),
    );
    let shown = daemon.hpc(&["policy", "show"]);
    let head = "# 3 rules, bundle production, sequence 7, signed by policies.example.org, promoted by lead at \
                2026-11-23 20:41:10 UTC, digest 5f0c";
    assert!(shown.code == 0 && shown.out.starts_with(head), "{}", shown.out);
    assert!(shown.out.contains("\n# candidate cd\n"), "{}", shown.out);
    assert!(shown.err.contains("refused since 2026-11-23 20:41:10 UTC (HPC-POL-0012)"), "{}", shown.err);
    for args in [["policy", "promote", DIGEST].as_slice(), &["policy", "reload"]] {
        let outcome = daemon.hpc(args);
        assert!(outcome.code == 0 && outcome.out.starts_with(head), "{}", outcome.out);
    }
    let doctor = daemon.hpc(&["doctor"]);
    let line = doctor.out.lines().find(|line| line.contains("policies")).unwrap_or_default();
    assert!(line.starts_with("warn") && line.contains("HPC-POL-0012"), "{}", doctor.out);
}
