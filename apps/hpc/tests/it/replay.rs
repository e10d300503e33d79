//! `hpc policy replay`: the daemon's log, a log's folder, a proof and an export, against candidates.

use std::path::Path;

use hpc_audit::{AuditLog, Entry, Outcome, Selection, export};
use hpc_audit_file::{Config, FileAuditLog};
use hpc_crypto::signing::KeyPair;
use hpc_policy::{EvaluationContext, PolicySet, Principal, RecordedDecision, Resource};
use serde_json::{Value, json};

use crate::fake::{Answers, Daemon, Outcome as Ran, hpc};
use crate::fixtures::now;

/// A policy that allows between `min` and `max` hours.
fn policy(min: i64, max: i64, obligations: &str) -> String {
    format!(
        "apiVersion: policy.horizon.dev/v1\nkind: Policy\nmetadata: {{name: gpus}}\nspec:\n  rules:\n    \
         - name: hours\n      effect: allow\n      principals: [{{type: any}}]\n      \
         resources: [{{type: gpu, pattern: 'gpu/*'}}]\n      actions: [capacity.request]\n      \
         conditions: [{{attribute: context.hours, op: range, value: {{min: {min}, max: {max}}}}}]\n{obligations}"
    )
}

/// What the policies of 1 to 8 hours decided of 2, 8 and 12 hours, of a question with a secret; one record is broken.
fn entries() -> Vec<Entry> {
    let set = PolicySet::parse_documents([("gpus.yaml", policy(1, 8, ""))]).unwrap();
    let entry = |n: usize, data: &str| {
        Entry::new(format!("e{n}"), now(), "spiffe://x/user/alice", "request.planned", Outcome::Ok)
            .with("policy_decision", data)
    };
    let decided = |asked: &EvaluationContext| {
        let decision = set.evaluate(asked).deny_unless_understood(&["idle_minutes"]);
        serde_json::to_string(&RecordedDecision::of(asked, &decision, &["idle_minutes"]).unwrap()).unwrap()
    };
    let asked = |hours: i64| {
        let resource = Resource::new("gpu", "gpu/h100");
        EvaluationContext::new(Principal::user("alice"), resource, "capacity.request")
            .with_attribute("hours", hours)
    };
    let mut entries: Vec<Entry> =
        [2, 8, 12].into_iter().enumerate().map(|(n, hours)| entry(n, &decided(&asked(hours)))).collect();
    entries.push(entry(3, &decided(&asked(5).with_secret_attribute("token", "s3cret"))));
    entries.push(entry(4, "{\"format\":\"hpc.policy.decision/v9\"}\u{1b}[2J"));
    entries.push(Entry::new("e5", now(), "alice", "lease.active", Outcome::Ok));
    entries
}

fn documents() -> Vec<Value> {
    let document = |(index, entry): (usize, Entry)| {
        json!({"index": index, "leaf_hash": "x", "id": entry.id, "at": entry.at, "principal": entry.principal,
            "action": entry.action, "outcome": "ok", "subjects": entry.subjects, "data": entry.data,
            "dev": true, "simulated": true})
    };
    entries().into_iter().enumerate().map(document).collect()
}

fn candidate(folder: &Path, min: i64, max: i64, obligations: &str) -> String {
    let path = folder.join("gpus.yaml");
    std::fs::write(&path, policy(min, max, obligations)).unwrap();
    path.to_str().unwrap().to_owned()
}

fn offline(args: &[&str]) -> Ran {
    let home = tempfile::tempdir().unwrap();
    hpc(home.path(), &[&["policy", "replay"], args].concat())
}

#[test]
fn the_daemons_log_shows_a_flip_in_each_direction_and_no_secret() {
    let folder = tempfile::tempdir().unwrap();
    let daemon = Daemon::start(Answers::default().with("search", "hpc.audit-entry/v1", &documents()));
    let new = candidate(folder.path(), 4, 12, "");
    let outcome = daemon.hpc(&["policy", "replay", &new]);
    assert_eq!((outcome.code, outcome.err.as_str()), (1, ""), "{}", outcome.out);
    let lines: Vec<&str> = outcome.out.lines().collect();
    let head = "2026-11-23 20:41:10 UTC  user:alice  capacity.request  gpu gpu/h100";
    assert_eq!(lines[0], format!("#0  allow -> deny  {head}"));
    assert_eq!(lines[1], "    then  allowed by `gpus/hours`");
    assert!(lines[2].starts_with("    now   ") && lines[2].contains("context.hours"), "{}", lines[2]);
    assert_eq!(lines[3], format!("#2  deny -> allow  {head}"));
    assert_eq!(lines[5], "    now   allowed by `gpus/hours`");
    assert_eq!(lines[6], "1 decision not judged again, a secret was asked for: #3");
    assert_eq!(lines[7], "1 record could not be read:");
    assert!(lines[8].starts_with("  #4  ") && !lines[8].contains('\u{1b}'), "{}", lines[8]);
    assert_eq!(lines[9], "4 decisions in 6 entries of the daemon's log");
    assert_eq!(lines[10], "1 allow -> deny, 1 deny -> allow, 0 with other obligations, 1 the same");
    assert!(!outcome.out.contains("s3cret"));
    assert_eq!(daemon.seen().len(), 3, "page by page");

    let json = daemon.hpc(&["policy", "replay", &new, "-o", "json"]);
    let read: Value = serde_json::from_str(&json.out).unwrap();
    assert_eq!((json.code, &read["source"], &read["entries"]), (1, &json!("daemon"), &json!(6)));
    assert_eq!((&read["allow_to_deny"], &read["deny_to_allow"]), (&json!(1), &json!(1)));
    assert_eq!((&read["flips"][1]["index"], &read["flips"][1]["to"]), (&json!(2), &json!("allow")));
    assert_eq!((&read["incomplete_at"], &read["unreadable_at"][0]["index"]), (&json!([3]), &json!(4)));
    assert!(!json.out.contains("s3cret"));
}

#[test]
fn the_same_policies_change_nothing_and_obligations_are_no_flip() {
    let folder = tempfile::tempdir().unwrap();
    let daemon = Daemon::start(Answers::default().with("search", "hpc.audit-entry/v1", &documents()));
    let same = daemon.hpc(&["policy", "replay", &candidate(folder.path(), 1, 8, "")]);
    assert_eq!(same.code, 0, "{}", same.out);
    assert!(same.out.contains("0 allow -> deny, 0 deny -> allow, 0 with other obligations, 3 the same\n"));
    let duty = candidate(folder.path(), 1, 8, "      obligations: {idle_minutes: 15}\n");
    let duty = daemon.hpc(&["policy", "replay", &duty]);
    assert_eq!(duty.code, 0, "{}", duty.out);
    assert!(duty.out.contains("    then  none\n    now   idle_minutes: 15\n"), "{}", duty.out);
    assert!(duty.out.contains("0 allow -> deny, 0 deny -> allow, 2 with other obligations, 1 the same\n"));
    // A time after the whole log: nothing is there to judge, which is said.
    let none = daemon.hpc(&[
        "policy",
        "replay",
        &folder.path().display().to_string(),
        "--to",
        "2026-01-01T00:00:00Z",
    ]);
    assert!(none.code == 0 && none.out.contains("0 decisions in 0 entries"), "{}", none.out);
}

#[test]
fn a_log_and_a_proof_are_believed_only_when_they_hold() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().join("log");
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let (key, proof) = runtime.block_on(async {
        let log = FileAuditLog::open(&root, KeyPair::from_seed([7; 32]), Config::new("test.audit")).unwrap();
        log.append(entries()).await.unwrap();
        let proof = export(&log, Selection::Indices(vec![0, 2, 5])).await.unwrap();
        let key = log.verifier_key().to_string();
        log.close().await.unwrap();
        (key, proof)
    });
    let new = candidate(folder.path(), 4, 12, "");
    let path = root.to_str().unwrap();
    let outcome = offline(&[&new, "--audit", path, "--key", &key]);
    assert_eq!(outcome.code, 1, "{}", outcome.err);
    assert!(outcome.out.contains("4 decisions in 6 entries of a log that holds\n"), "{}", outcome.out);
    let file = folder.path().join("proof.json");
    std::fs::write(&file, proof.to_json().unwrap()).unwrap();
    let proved = offline(&[&new, "--audit", file.to_str().unwrap(), "-o", "json"]);
    let read: Value = serde_json::from_str(&proved.out).unwrap();
    assert_eq!((proved.code, &read["verified"], &read["decisions"]), (1, &json!(true), &json!(2)));

    let other = key.replacen("test.audit", "other.audit", 1);
    let wrong = offline(&[&new, "--audit", file.to_str().unwrap(), "--key", &other]);
    assert!(wrong.code != 0 && wrong.out.is_empty(), "{}", wrong.out);
    let mut forged = proof;
    forged.entries[0].entry = forged.entries[0].entry.replace("alice", "mallo");
    std::fs::write(&file, forged.to_json().unwrap()).unwrap();
    let forged = offline(&[&new, "--audit", file.to_str().unwrap()]);
    assert!(
        forged.code == 1 && forged.err.contains("HPC-AUD-0002") && forged.out.is_empty(),
        "{}",
        forged.err
    );
    let tail = root.join("tail");
    let mut bytes = std::fs::read(&tail).unwrap_or_default();
    if bytes.is_empty() {
        std::fs::write(root.join("stranger"), "x").unwrap();
    } else {
        bytes[0] ^= 1;
        std::fs::write(&tail, bytes).unwrap();
    }
    let broken = offline(&[&new, "--audit", path]);
    assert!(
        broken.code == 1 && broken.err.contains("HPC-AUD-0002") && broken.out.is_empty(),
        "{}",
        broken.err
    );
}

#[test]
fn an_export_is_read_line_by_line_and_a_bad_line_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let new = candidate(folder.path(), 4, 12, "");
    let file = folder.path().join("log.ndjson");
    let lines: Vec<String> = documents().iter().map(Value::to_string).collect();
    std::fs::write(&file, lines.join("\n")).unwrap();
    let path = file.to_str().unwrap();
    let outcome = offline(&[&new, "--decisions", path]);
    assert_eq!(outcome.code, 1, "{}", outcome.err);
    assert!(outcome.out.contains("4 decisions in 6 entries of an export that nothing proves\n"));
    std::fs::write(&file, format!("{}\n{{}}\n", lines[0])).unwrap();
    let bad = offline(&[&new, "--decisions", path]);
    assert!(bad.code == 2 && bad.err.contains("line 2 is no entry"), "{}", bad.err);
    std::fs::write(&file, " ".repeat(1024 * 1024 + 1)).unwrap();
    let long = offline(&[&new, "--decisions", path]);
    assert!(long.code == 2 && long.err.contains("HPC-USG-0003"), "{}", long.err);
    let nowhere = offline(&[&new, "--decisions", "nowhere.ndjson"]);
    assert!(nowhere.code == 2 && nowhere.err.contains("HPC-USG-0005"), "{}", nowhere.err);
    std::fs::write(folder.path().join("gpus.yaml"), "kind: Policy\n").unwrap();
    let invalid = offline(&[&new, "--decisions", path]);
    assert!(invalid.code == 2 && invalid.err.contains("HPC-POL-0004"), "{}", invalid.err);
}

#[test]
fn the_readme_shows_what_really_comes_out() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let readme = std::fs::read_to_string(root.join("domain/hpc-policy/README.md")).unwrap();
    let (_, shown) = readme.split_once("$ hpc policy replay ").unwrap();
    let (command, rest) = shown.split_once('\n').unwrap();
    let (expected, _) = rest.split_once("```").unwrap();
    // The paths begin at the root of the repository.
    let from_root = |word: &str| match word.strip_prefix("domain/") {
        Some(_) => root.join(word).display().to_string(),
        None => word.to_owned(),
    };
    let args: Vec<String> = command.split(' ').map(from_root).collect();
    let outcome = offline(&args.iter().map(String::as_str).collect::<Vec<_>>());
    assert_eq!((outcome.code, outcome.out.as_str()), (1, expected), "{}", outcome.err);
}
