//! `hpc audit`: search through pages, proofs that are checked before they are written, and verifying without a daemon.

use std::path::{Path, PathBuf};

use hpc_audit::{AuditLog, Entry, Outcome, Selection, export};
use hpc_audit_file::{Config, FileAuditLog};
use hpc_crypto::signing::KeyPair;

use crate::fake::{Answers, Daemon, hpc};
use crate::fixtures::now;

/// A log with seven entries in `folder`: its key, and a bundle of the entries 1, 2 and 5.
fn log(folder: &Path) -> (String, hpc_audit::Bundle) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let log = FileAuditLog::open(folder, KeyPair::from_seed([7; 32]), Config::new("test.audit")).unwrap();
        let entry = |n: u32| {
            Entry::new(format!("e{n}"), now(), "alice", "lease.active", Outcome::Ok)
                .subject("lease", "lse_1")
                .with("n", n)
        };
        log.append((0..7).map(entry).collect()).await.unwrap();
        let bundle = export(&log, Selection::Indices(vec![1, 2, 5])).await.unwrap();
        let key = log.verifier_key().to_string();
        log.close().await.unwrap();
        (key, bundle)
    })
}

fn verify(path: &Path, more: &[&str]) -> crate::fake::Outcome {
    let home = tempfile::tempdir().unwrap();
    hpc(home.path(), &[&["audit", "verify", path.to_str().unwrap()], more].concat())
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() { found.extend(files(&path)) } else { found.push(path) }
    }
    found
}

#[test]
fn a_bundle_verifies_and_says_what_the_key_is_worth() {
    let folder = tempfile::tempdir().unwrap();
    let (key, bundle) = log(&folder.path().join("log"));
    let path = folder.path().join("proof.json");
    std::fs::write(&path, bundle.to_json().unwrap()).unwrap();
    let outcome = verify(&path, &[]);
    assert_eq!(outcome.code, 0, "{}", outcome.err);
    assert!(outcome.out.starts_with("ok   3 entries included   order intact   checkpoint signature valid\n"));
    assert!(outcome.out.contains("only the one inside"), "{}", outcome.out);
    let outcome = verify(&path, &["--key", &key]);
    assert!(outcome.out.contains("the one given with --key"));
    let json = verify(&path, &["--key", &key, "-o", "json"]);
    let read: serde_json::Value = serde_json::from_str(&json.out).unwrap();
    assert_eq!(
        (read["ok"].as_bool(), read["entries"].as_u64(), read["key_trusted"].as_bool()),
        (Some(true), Some(3), Some(true))
    );
}

#[test]
fn any_changed_byte_of_a_bundle_is_found() {
    let folder = tempfile::tempdir().unwrap();
    let (_, bundle) = log(&folder.path().join("log"));
    let text = bundle.to_json().unwrap().into_bytes();
    let path = folder.path().join("proof.json");
    for position in (0..text.len()).step_by(37) {
        let mut changed = text.clone();
        changed[position] ^= 1;
        std::fs::write(&path, changed).unwrap();
        let outcome = verify(&path, &[]);
        assert_eq!(outcome.code, 1, "byte {position}: {}", outcome.out);
        assert!(outcome.err.contains("HPC-AUD-0002"), "byte {position}: {}", outcome.err);
        assert_eq!(outcome.out, "");
    }
    std::fs::write(&path, &text[..text.len() / 2]).unwrap();
    assert_eq!(verify(&path, &[]).code, 1, "cut short");
}

#[test]
fn a_folder_verifies_and_any_flipped_byte_is_named_by_file() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().join("log");
    let (key, _) = log(&root);
    let outcome = verify(&root, &["--key", &key]);
    assert_eq!(outcome.code, 0, "{}", outcome.err);
    assert!(outcome.out.starts_with("ok   7 entries in "), "{}", outcome.out);
    let mut flipped = 0;
    for file in files(&root) {
        let original = std::fs::read(&file).unwrap();
        if original.is_empty() {
            continue;
        }
        for position in [0, original.len() / 2, original.len() - 1] {
            let mut changed = original.clone();
            changed[position] ^= 1;
            std::fs::write(&file, changed).unwrap();
            let outcome = verify(&root, &["--key", &key, "-o", "json"]);
            assert_eq!(outcome.code, 1, "{} byte {position}: {}", file.display(), outcome.out);
            let report: serde_json::Value = serde_json::from_str(&outcome.err).unwrap();
            let code = report["code"].as_str().unwrap();
            assert!(["HPC-AUD-0002", "HPC-AUD-0004"].contains(&code), "{}: {report}", file.display());
            flipped += 1;
        }
        std::fs::write(&file, original).unwrap();
    }
    assert!(flipped >= 9, "the log has several files");
    std::fs::write(root.join("stranger"), "x").unwrap();
    let outcome = verify(&root, &[]);
    assert!(outcome.code == 1 && outcome.err.contains("`stranger` does not belong"), "{}", outcome.err);
}

#[test]
fn another_key_is_not_this_log() {
    let folder = tempfile::tempdir().unwrap();
    let (_, bundle) = log(&folder.path().join("log"));
    let path = folder.path().join("proof.json");
    std::fs::write(&path, bundle.to_json().unwrap()).unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let other = runtime.block_on(async {
        let config = Config::new("test.audit");
        let log =
            FileAuditLog::open(&folder.path().join("other"), KeyPair::from_seed([8; 32]), config).unwrap();
        log.verifier_key().to_string()
    });
    for path in [path, folder.path().join("log")] {
        let outcome = verify(&path, &["--key", &other]);
        assert!(outcome.code == 1 && outcome.err.contains("HPC-AUD-0004"), "{}", outcome.err);
    }
}

#[test]
fn what_cannot_be_verified_is_a_usage_error() {
    let folder = tempfile::tempdir().unwrap();
    let missing = verify(&folder.path().join("nowhere"), &[]);
    assert!(missing.code == 2 && missing.err.contains("HPC-USG-0005"), "{}", missing.err);
    let file = folder.path().join("proof.json");
    std::fs::write(&file, "{}").unwrap();
    let key = verify(&file, &["--key", "nonsense"]);
    assert!(key.code == 2 && key.err.contains("HPC-USG-0012"), "{}", key.err);
    let other = verify(&file, &[]);
    assert!(other.code == 1 && other.err.contains("not an audit bundle"), "{}", other.err);
}

#[test]
fn a_proof_is_checked_before_it_is_written_and_verifies_afterwards() {
    let folder = tempfile::tempdir().unwrap();
    let (key, bundle) = log(&folder.path().join("log"));
    let daemon = Daemon::start(Answers::default().with("proof", "hpc.audit-bundle/v1", &[&bundle]));
    let out = folder.path().join("proof.json");
    let args = ["audit", "proof", "--lease", "lse_1", "--out", out.to_str().unwrap()];
    let outcome = daemon.hpc(&args);
    assert_eq!((outcome.code, outcome.out.as_str()), (0, ""), "{}", outcome.err);
    assert!(outcome.err.starts_with("3 records, tree size 7, signed by test.audit\n"), "{}", outcome.err);
    assert_eq!(verify(&out, &["--key", &key]).code, 0);

    let piped = daemon.hpc(&["audit", "proof", "--index", "5,1,2,1"]);
    assert_eq!(piped.out, bundle.to_json().unwrap());
    assert!(daemon.seen().last().unwrap().1.contains("[1, 2, 5]"));

    // With the key that the context names, the offline check says whose it is.
    let mut context = daemon.context.clone();
    context.audit_key = Some(key);
    daemon.write_context(&context);
    let outcome = daemon.hpc(&["audit", "verify", out.to_str().unwrap()]);
    assert!(outcome.out.contains("that of context `dev`"), "{}", outcome.out);

    let mut forged = bundle;
    forged.entries[0].entry = forged.entries[0].entry.replace("alice", "mallo");
    let daemon = Daemon::start(Answers::default().with("proof", "hpc.audit-bundle/v1", &[&forged]));
    let other = folder.path().join("forged.json");
    let outcome = daemon.hpc(&["audit", "proof", "--request", "req_1", "--out", other.to_str().unwrap()]);
    assert!(outcome.code == 1 && outcome.err.contains("HPC-AUD-0002") && !other.exists(), "{}", outcome.err);
}

#[test]
fn a_search_goes_on_through_pages() {
    let entries: Vec<_> = (0..5)
        .map(|index| {
            serde_json::json!({"index": index, "leaf_hash": "x", "id": "e", "at": now(), "principal": "alice",
                "action": "lease.active", "outcome": "ok", "subjects": {"lease": "lse_1"}, "data": {"n": 7},
                "dev": true, "simulated": true})
        })
        .collect();
    let daemon = Daemon::start(Answers::default().with("search", "hpc.audit-entry/v1", &entries));
    let args = [
        "audit",
        "search",
        "--subject",
        "lse_1",
        "--outcome",
        "ok",
        "--from",
        "2h",
        "--to",
        "2026-12-01T00:00:00Z",
    ];
    let outcome = daemon.hpc(&args);
    assert_eq!((outcome.code, outcome.err.as_str()), (0, ""));
    assert_eq!(outcome.out.lines().count(), 6, "{}", outcome.out);
    assert!(
        outcome.out.contains("    4  2026-11-23 20:41:10 UTC  lease.active  ok       alice      lse_1\n"),
        "{}",
        outcome.out
    );
    assert_eq!(daemon.seen().len(), 3);
    let some = daemon.hpc(&["audit", "search", "--limit", "3", "-o", "wide"]);
    assert!(
        some.out.lines().count() == 4 && some.out.contains("n=7") && some.err.contains("--after"),
        "{}",
        some.out
    );
    let rest = daemon.hpc(&["audit", "search", "--after", "2", "-o", "json"]);
    let read: Vec<serde_json::Value> = serde_json::from_str(&rest.out).unwrap();
    assert_eq!(read.iter().map(|entry| entry["index"].as_u64().unwrap()).collect::<Vec<_>>(), [3, 4]);
    let bad = daemon.hpc(&["audit", "search", "--from", "yesterday"]);
    assert!(bad.code == 2 && bad.err.contains("HPC-USG-0011"), "{}", bad.err);
}
