//! Receipts: told when they hold, kept when asked for, and loud when they do not hold.

use hpc::context::Context;
use hpc_audit::{PROFILE, verify_receipt};
use hpc_broker::LeaseState;
use serde_json::json;

use crate::fake::{Answers, Daemon, Outcome, audit_key, hpc};
use crate::fixtures::{info, lease, plan};

const RELEASE: [&str; 3] = ["lease", "release", "lse_3vx9"];

fn released() -> Answers {
    Answers::default().with("release", "hpc.lease/v1", &[lease(LeaseState::Released)]).with(
        "info",
        "hpc.info/v1",
        &[info()],
    )
}

/// A daemon whose context has the key of its log.
fn known(answers: Answers) -> Daemon {
    let daemon = Daemon::start(answers);
    daemon.write_context(&Context { audit_key: Some(audit_key()), ..daemon.context.clone() });
    daemon
}

fn wrong(outcome: &Outcome, code: &str) {
    assert_eq!(outcome.code, 1, "{}", outcome.err);
    assert!(outcome.err.contains(code), "{}", outcome.err);
    assert!(!outcome.err.contains("recorded  audit"), "{}", outcome.err);
    // What was done is shown all the same: it costs money, or has ended.
    assert!(outcome.out.contains("lse_3vx9"), "{}", outcome.out);
}

#[test]
fn receipts_that_hold_are_told() {
    let outcome = known(released()).hpc(&RELEASE);
    assert_eq!((outcome.code, outcome.err.as_str()), (0, "  recorded  audit 41, proved\n"));
}

#[test]
fn receipts_that_do_not_hold_are_loud() {
    for forge in [
        |receipt: &mut hpc_types::control::v1::Receipt| receipt.index = 40,
        |receipt: &mut hpc_types::control::v1::Receipt| receipt.leaf_hash = vec![0; 32].into(),
        |receipt: &mut hpc_types::control::v1::Receipt| receipt.leaf_hash = vec![0; 31].into(),
        |receipt: &mut hpc_types::control::v1::Receipt| receipt.proof.insert(0, ' '),
        |receipt: &mut hpc_types::control::v1::Receipt| receipt.proof = "x".repeat(64 * 1024 + 1),
        |receipt: &mut hpc_types::control::v1::Receipt| {
            receipt.proof = receipt.proof.replace("index 41", "index 40");
        },
    ] {
        wrong(&known(released().forging(forge)).hpc(&RELEASE), "HPC-AUD-0002");
    }
    let daemon = Daemon::start(released());
    let other = audit_key().replace("test.example", "test.elsewhere");
    daemon.write_context(&Context { audit_key: Some(other), ..daemon.context.clone() });
    wrong(&daemon.hpc(&RELEASE), "HPC-AUD-0004");
}

#[test]
fn receipts_are_kept_where_they_are_wanted_and_can_be_checked_there() {
    let daemon = known(released());
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path().join("new");
    let mut args = vec!["--receipts", folder.to_str().unwrap()];
    args.extend(RELEASE);
    for _ in 0..2 {
        let outcome = daemon.hpc(&args);
        assert_eq!(outcome.code, 0, "{}", outcome.err);
        let proof = std::fs::read_to_string(folder.join("41.tlog-proof")).unwrap();
        let checked = verify_receipt(&PROFILE.leaf(&[41]), &proof, &audit_key().parse().unwrap());
        assert_eq!(checked.unwrap().0, 41);
    }
    assert_eq!(std::fs::read_dir(&folder).unwrap().count(), 1);
    // A receipt that does not hold is not kept.
    let forged = known(released().forging(|receipt| receipt.leaf_hash = vec![0; 32].into()));
    let empty = tempfile::tempdir().unwrap();
    let mut args = vec!["--receipts", empty.path().to_str().unwrap()];
    args.extend(RELEASE);
    wrong(&forged.hpc(&args), "HPC-AUD-0002");
    assert_eq!(std::fs::read_dir(empty.path()).unwrap().count(), 0);
}

#[test]
fn a_kept_receipt_is_checked_without_the_daemon() {
    let daemon = known(released());
    let folder = tempfile::tempdir().unwrap();
    let mut args = vec!["--receipts", folder.path().to_str().unwrap()];
    args.extend(RELEASE);
    assert_eq!(daemon.hpc(&args).code, 0);
    let kept = folder.path().join("41.tlog-proof");
    let path = kept.to_str().unwrap();
    let verify = |more: &[&str]| daemon.hpc(&[&["audit", "verify", path], more].concat());
    let good = verify(&[]);
    assert_eq!(good.code, 0, "{}", good.err);
    assert!(good.out.contains("entry 41 included") && good.out.contains("that of context"), "{}", good.out);
    let leaf = PROFILE.leaf(&[41]).to_base64();
    let json: serde_json::Value = serde_json::from_str(&verify(&["-o", "json"]).out).unwrap();
    assert_eq!(
        (&json["kind"], &json["index"], &json["leaf_hash"]),
        (&json!("receipt"), &json!(41), &json!(leaf))
    );

    // Elsewhere there is no context: a proof carries no key of its own.
    let elsewhere = tempfile::tempdir().unwrap();
    let away = |path: &std::path::Path, more: &[&str]| {
        hpc(elsewhere.path(), &[&["audit", "verify", path.to_str().unwrap()], more].concat())
    };
    let unknown = away(&kept, &[]);
    assert!(unknown.code != 0 && unknown.err.contains("HPC-AUD-0004"), "{}", unknown.err);
    let key = audit_key();
    let given = away(&kept, &["--key", &key]);
    assert!(given.code == 0 && given.out.contains("the one given with --key"), "{} {}", given.out, given.err);
    let other = away(&kept, &["--key", &key.replace("test.example", "test.elsewhere")]);
    assert!(other.code != 0, "{}", other.out);

    // Whatever is changed in it, also which entry it says it is of, and a text that says nothing of that.
    let text = std::fs::read_to_string(&kept).unwrap();
    let changed = |text: &str| {
        let path = folder.path().join("changed");
        std::fs::write(&path, text).unwrap();
        path
    };
    let extra = text.lines().nth(1).unwrap();
    assert!(extra.starts_with("extra "), "{text}");
    let another = format!("extra {}", PROFILE.leaf(&[40]).to_base64());
    for bad in
        [text.replace(extra, &another), text.replace("index 41", "index 40"), text.replace("@v1", "@v2")]
    {
        let outcome = away(&changed(&bad), &["--key", &key]);
        assert!(outcome.code != 0 && outcome.err.contains("HPC-AUD-0002"), "{bad}: {}", outcome.err);
    }
    let bare = changed(&text.replace(&format!("{extra}\n"), ""));
    let outcome = away(&bare, &["--key", &key]);
    assert!(outcome.code == 2 && outcome.err.contains("--leaf-hash"), "{} {}", outcome.code, outcome.err);
    assert_eq!(away(&bare, &["--key", &key, "--leaf-hash", &leaf]).code, 0);
    assert_ne!(away(&bare, &["--key", &key, "--leaf-hash", "41"]).code, 0);
    assert_eq!(away(&bare, &["--key", &key, "--leaf-hash", &PROFILE.leaf(&[41]).to_string()]).code, 0);
    let wrong = PROFILE.leaf(&[40]).to_base64();
    assert!(away(&kept, &["--key", &key, "--leaf-hash", &wrong]).err.contains("HPC-AUD-0002"));
}

#[test]
fn without_a_proof_or_a_key_nothing_is_called_proved() {
    let older = released().forging(|receipt| receipt.proof.clear());
    let daemon = known(older);
    assert_eq!(daemon.hpc(&RELEASE).err, "  recorded  audit 41\n");
    let folder = tempfile::tempdir().unwrap();
    let mut args = vec!["--receipts", folder.path().to_str().unwrap()];
    args.extend(RELEASE);
    let outcome = daemon.hpc(&args);
    assert!(outcome.code == 1 && outcome.err.contains("HPC-AUD-0003"), "{}", outcome.err);
    assert!(outcome.err.contains("not checked: the daemon sent no proof"), "{}", outcome.err);
    let unknown = Daemon::start(released());
    assert_eq!(unknown.hpc(&RELEASE).err, "  recorded  audit 41\n");
    let outcome = unknown.hpc(&args);
    assert_eq!(outcome.code, 0, "{}", outcome.err);
    assert!(outcome.err.contains("not checked: the context has no audit key"), "{}", outcome.err);
}

#[test]
fn every_command_that_records_something_says_so() {
    let digest = "5f".repeat(32);
    let report = json!({"digest": digest, "rules": 1, "since": hpc::now(), "active_digest": "ab", "decisions": 0,
        "allow_to_deny": 0, "deny_to_allow": 0, "obligations": 0, "failures": 0, "recent": []});
    let policy = json!({"digest": digest, "built_in": false, "rules": 3, "documents": [], "since": hpc::now(),
        "failures": 0, "source": {"kind": "documents"}, "promoted": null, "failure": null, "candidate": null,
        "signed_only": false});
    let daemon = known(
        released()
            .with("plan", "hpc.plan/v1", &[plan()])
            .with("clear_candidate", "hpc.policy-candidate/v1", &[&report])
            .with("promote", "hpc.policy/v1", &[&policy])
            .with("reload", "hpc.policy/v1", &[&policy]),
    );
    for args in [
        &["request", "plan", "--gpu", "h100:8", "--for", "2h"] as &[&str],
        &["node", "join-token", "node-1"],
        &["policy", "shadow", "clear"],
        &["policy", "promote", &digest],
        &["policy", "reload"],
    ] {
        let outcome = daemon.hpc(args);
        assert_eq!(outcome.code, 0, "{args:?}: {}", outcome.err);
        assert!(outcome.err.contains("  recorded  audit 41, proved\n"), "{args:?}: {}", outcome.err);
    }
}
