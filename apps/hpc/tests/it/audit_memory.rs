//! What the client remembers of a log, and what it says when a log goes back, shows two histories, or lacks witnesses.

use std::path::{Path, PathBuf};

use hpc_audit::{AuditLog, Bundle, BundleConsistency, Entry, Outcome, Selection, TileSource as _, export};
use hpc_audit_file::{Config, FileAuditLog};
use hpc_crypto::cosignature::Cosigner;
use hpc_crypto::signing::KeyPair;
use serde_json::{Value, json};

use crate::fake::{Answers, Daemon, hpc, write_context};
use crate::fixtures::now;

/// A log with `size` entries, of which those after the third tell `story`.
struct Log {
    folder: tempfile::TempDir,
    log: FileAuditLog,
    runtime: tokio::runtime::Runtime,
}

impl Log {
    fn new(size: u32, story: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let log = runtime.block_on(async {
            let keys = KeyPair::from_seed([7; 32]);
            let log = FileAuditLog::open(folder.path(), keys, Config::new("test.audit")).unwrap();
            let entry = |n: u32| {
                let told = if n < 3 { "same" } else { story };
                Entry::new(format!("e{n}"), now(), "alice", "lease.active", Outcome::Ok).with("told", told)
            };
            log.append((0..size).map(entry).collect()).await.unwrap();
            log.checkpoint().await.unwrap();
            log
        });
        Self { folder, log, runtime }
    }

    fn note(&self) -> String {
        self.log.published().to_string()
    }

    fn key(&self) -> String {
        self.log.verifier_key().to_string()
    }

    fn since(&self, old: u64) -> BundleConsistency {
        let proof = self.runtime.block_on(self.log.consistency(old, self.log.size())).unwrap();
        BundleConsistency::from(&proof)
    }

    /// What a daemon over this log answers to a client that remembers `old`.
    fn checkpoint(&self, old: Option<u64>) -> Value {
        json!({"note": self.note(), "verifier_key": self.key(), "consistency": old.map(|old| self.since(old))})
    }

    fn bundle(&self, indices: Vec<u64>) -> Bundle {
        self.runtime.block_on(export(&self.log, Selection::Indices(indices))).unwrap()
    }

    fn close(self) -> tempfile::TempDir {
        self.runtime.block_on(self.log.close()).unwrap();
        self.folder
    }
}

/// `hpc audit checkpoint` against a daemon that answers so, with what `home` remembers.
fn ask(home: &Path, log: &Log, answer: Value) -> crate::fake::Outcome {
    let daemon = Daemon::start(Answers::default().with("checkpoint", "hpc.audit-checkpoint/v1", &[answer]));
    let mut context = daemon.context.clone();
    context.audit_key = Some(log.key());
    write_context(home, &context, &daemon.ca, hpc::now());
    hpc(home, &["audit", "checkpoint"])
}

fn evidence(home: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(home.join("audit")).unwrap().map(|entry| entry.unwrap().path());
    entries.filter(|path| path.to_str().unwrap().contains("contradiction")).collect()
}

#[test]
fn a_daemon_is_held_to_what_it_signed_before() {
    let home = tempfile::tempdir().unwrap();
    let (three, five, seven) = (Log::new(3, "true"), Log::new(5, "true"), Log::new(7, "true"));
    let outcome = ask(home.path(), &five, five.checkpoint(None));
    assert!(
        outcome.code == 0 && outcome.out.contains("nothing to compare with"),
        "{} {}",
        outcome.out,
        outcome.err
    );
    let outcome = ask(home.path(), &five, five.checkpoint(Some(5)));
    assert!(outcome.code == 0 && outcome.out.contains("seen last"), "{} {}", outcome.out, outcome.err);
    // Without a proof it is not believed, and nothing is forgotten.
    let outcome = ask(home.path(), &seven, seven.checkpoint(None));
    assert!(outcome.code == 1 && outcome.err.contains("HPC-AUD-0002"), "{}", outcome.err);
    let outcome = ask(home.path(), &seven, seven.checkpoint(Some(5)));
    assert!(
        outcome.code == 0 && outcome.out.contains("only grew since size 5"),
        "{} {}",
        outcome.out,
        outcome.err
    );
    assert!(evidence(home.path()).is_empty());

    let outcome = ask(home.path(), &three, three.checkpoint(None));
    assert!(outcome.code == 11 && outcome.err.contains("HPC-AUD-0005"), "{}", outcome.err);
    assert!(outcome.err.contains("went back") && outcome.err.contains("try:"), "{}", outcome.err);
    let other = Log::new(7, "other");
    let outcome = ask(home.path(), &other, other.checkpoint(Some(7)));
    assert!(outcome.code == 11 && outcome.err.contains("HPC-AUD-0006"), "{}", outcome.err);
    let longer = Log::new(9, "other");
    let outcome = ask(home.path(), &longer, longer.checkpoint(Some(7)));
    assert!(outcome.code == 11 && outcome.err.contains("two histories"), "{}", outcome.err);
    let kept = evidence(home.path());
    assert_eq!(kept.len(), 3, "{kept:?}");
    for path in kept {
        let text = std::fs::read_to_string(path).unwrap();
        assert!(text.contains(&seven.note()), "both checkpoints are there: {text}");
    }
}

#[test]
fn proofs_of_a_daemon_and_files_are_held_to_it_as_well() {
    let (five, seven, other) = (Log::new(5, "true"), Log::new(7, "true"), Log::new(7, "other"));
    let mut grown = seven.bundle(vec![1, 5]);
    grown.consistency = Some(seven.since(5));
    let daemon = Daemon::start(Answers::default().with("proof", "hpc.audit-bundle/v1", &[&grown]).with(
        "checkpoint",
        "hpc.audit-checkpoint/v1",
        &[five.checkpoint(None)],
    ));
    let mut context = daemon.context.clone();
    context.audit_key = Some(five.key());
    daemon.write_context(&context);
    assert_eq!(daemon.hpc(&["audit", "checkpoint"]).code, 0);
    let out = daemon.home.path().join("proof.json");
    let outcome = daemon.hpc(&["audit", "proof", "--index", "1,5", "--out", out.to_str().unwrap()]);
    assert_eq!(outcome.code, 0, "{}", outcome.err);
    assert!(daemon.seen().last().unwrap().1.contains("old_size: 5"), "{:?}", daemon.seen());
    // The daemon answers with less than it had signed when it gave the proof.
    let outcome = daemon.hpc(&["audit", "checkpoint"]);
    assert!(outcome.code == 11 && outcome.err.contains("HPC-AUD-0005"), "{}", outcome.err);

    let verify = |bundle: &Bundle, more: &[&str]| {
        std::fs::write(&out, bundle.to_json().unwrap()).unwrap();
        daemon.hpc(&[&["audit", "verify", out.to_str().unwrap()], more].concat())
    };
    let outcome = verify(&five.bundle(vec![2]), &[]);
    assert!(
        outcome.code == 0 && outcome.out.contains("older than size 7"),
        "{} {}",
        outcome.out,
        outcome.err
    );
    let outcome = verify(&other.bundle(vec![2]), &[]);
    assert!(outcome.code == 11 && outcome.err.contains("HPC-AUD-0006"), "{}", outcome.err);
    let outcome = verify(&other.bundle(vec![2]), &["--no-remember"]);
    assert!(outcome.code == 0 && outcome.out.contains("not held against"), "{} {}", outcome.out, outcome.err);

    // Against a checkpoint that the caller names.
    let since = daemon.home.path().join("old.checkpoint");
    std::fs::write(&since, five.note()).unwrap();
    let named = ["--since", since.to_str().unwrap(), "-o", "json"];
    let standing = |bundle: &Bundle| {
        let outcome = verify(bundle, &named);
        let read: Value = serde_json::from_str(&outcome.out).unwrap();
        read["standing"].as_str().unwrap().to_owned()
    };
    assert_eq!(standing(&grown), "grown");
    assert_eq!(standing(&seven.bundle(vec![1])), "unproved");
    assert_eq!(standing(&five.bundle(vec![1])), "same");
    let mut changed = grown.clone();
    changed.consistency.as_mut().unwrap().proof.reverse();
    let outcome = verify(&changed, &named);
    assert!(outcome.code == 1 && outcome.err.contains("HPC-AUD-0002"), "{}", outcome.err);
    std::fs::write(&since, "nonsense").unwrap();
    assert_eq!(verify(&grown, &named).code, 2);
}

#[test]
fn the_folder_of_a_log_is_held_to_it_and_says_how_far_the_check_is() {
    let home = tempfile::tempdir().unwrap();
    let (three, seven, other) = (Log::new(3, "true"), Log::new(700, "true"), Log::new(700, "other"));
    let key = seven.key();
    let folders = [three.close(), seven.close(), other.close()];
    let fsck = |at: usize, more: &[&str]| {
        let path = folders[at].path().to_str().unwrap();
        hpc(home.path(), &[&["audit", "fsck", path, "--key", &key], more].concat())
    };
    let outcome = fsck(0, &[]);
    assert_eq!(outcome.code, 0, "{}", outcome.err);
    let outcome = fsck(1, &[]);
    assert!(
        outcome.code == 0 && outcome.out.contains("only grew since size 3"),
        "{} {}",
        outcome.out,
        outcome.err
    );
    assert!(outcome.err.lines().filter(|line| line.starts_with("checked ")).count() >= 2, "{}", outcome.err);
    let outcome = fsck(1, &["-o", "json"]);
    assert!(outcome.out.contains("\"standing\":\"same\""), "{}", outcome.out);
    let outcome = fsck(0, &[]);
    assert!(outcome.code == 11 && outcome.err.contains("HPC-AUD-0005"), "{}", outcome.err);
    assert_eq!(fsck(0, &["--no-remember"]).code, 0, "an old copy, knowingly");
    let outcome = fsck(2, &[]);
    assert!(outcome.code == 11 && outcome.err.contains("HPC-AUD-0006"), "{}", outcome.err);
    assert_eq!(evidence(home.path()).len(), 2);
    let file = home.path().join("x");
    std::fs::write(&file, "x").unwrap();
    assert_eq!(hpc(home.path(), &["audit", "fsck", file.to_str().unwrap()]).code, 2);
}

#[test]
fn a_policy_of_witnesses_must_have_its_quorum() {
    let home = tempfile::tempdir().unwrap();
    let log = Log::new(5, "true");
    let witnesses: Vec<Cosigner> = (1..4)
        .map(|n| Cosigner::new(&format!("w{n}.example"), KeyPair::from_seed([n; 32])).unwrap())
        .collect();
    let policy = home.path().join("witnesses.policy");
    let lines: Vec<String> =
        witnesses.iter().zip(1..).map(|(witness, n)| format!("witness w{n} {}\n", witness.key())).collect();
    let text = format!("log {}\n{}group g 2 w1 w2 w3\nquorum g\n", log.key(), lines.concat());
    std::fs::write(&policy, text).unwrap();
    let mut bundle = log.bundle(vec![1]);
    let path = home.path().join("proof.json");
    let verify = |bundle: &Bundle| {
        std::fs::write(&path, bundle.to_json().unwrap()).unwrap();
        hpc(home.path(), &["audit", "verify", path.to_str().unwrap(), "--policy", policy.to_str().unwrap()])
    };
    let time_s = u64::try_from(hpc::now().as_second()).unwrap();
    let line =
        |at: usize, time_s: u64| format!("{}\n", witnesses[at].cosign(&log.log.published(), time_s).unwrap());
    assert_eq!(verify(&bundle).code, 1);
    bundle.checkpoint.push_str(&line(0, time_s));
    let outcome = verify(&bundle);
    assert!(outcome.code == 1 && outcome.err.contains("HPC-AUD-0007"), "{}", outcome.err);
    assert!(outcome.err.contains("1 of 2"), "it says what is missing: {}", outcome.err);
    // One from the future does not count.
    let mut ahead = bundle.clone();
    ahead.checkpoint.push_str(&line(1, time_s + 3_600));
    assert_eq!(verify(&ahead).code, 1);
    bundle.checkpoint.push_str(&line(2, time_s));
    let outcome = verify(&bundle);
    assert_eq!(outcome.code, 0, "{}", outcome.err);
    assert!(outcome.out.contains("w1 at ") && outcome.out.contains("w3 at "), "{}", outcome.out);
    assert!(outcome.out.contains("the policy's"), "{}", outcome.out);
    std::fs::write(&policy, "quorum of all\n").unwrap();
    assert_eq!(verify(&bundle).code, 2);
}

#[test]
fn an_export_comes_in_parts_and_is_checked_before_it_is_written() {
    let log = Log::new(7, "true");
    let whole = log.runtime.block_on(export(&log.log, 0..7)).unwrap();
    let first = Bundle { entries: Vec::new(), ..whole.clone() };
    let parts: Vec<Value> =
        [&whole.entries[..3], &whole.entries[3..]].iter().map(|part| json!(part)).collect();
    let answers = |parts: &[Value]| {
        let mut documents = vec![("hpc.audit-bundle/v1", json!(first))];
        documents.extend(parts.iter().map(|part| ("hpc.audit-entries/v1", part.clone())));
        Answers::default().documents("export", &documents)
    };
    let daemon = Daemon::start(answers(&parts));
    let out = daemon.home.path().join("all.json");
    let args = ["audit", "export", "--range", "0..7", "--out", out.to_str().unwrap()];
    let outcome = daemon.hpc(&args);
    assert_eq!(outcome.code, 0, "{}", outcome.err);
    assert_eq!(std::fs::read_to_string(&out).unwrap(), whole.to_json().unwrap());
    let outcome = daemon.hpc(&args);
    assert!(outcome.code == 2 && outcome.err.contains("there already"), "{}", outcome.err);
    // One part is kept back: the range says that it is missing.
    let daemon = Daemon::start(answers(&parts[..1]));
    let out = daemon.home.path().join("some.json");
    let outcome = daemon.hpc(&["audit", "export", "--range", "0..7", "--out", out.to_str().unwrap()]);
    assert!(outcome.code == 1 && outcome.err.contains("HPC-AUD-0002") && !out.exists(), "{}", outcome.err);
    for bad in [&["--range", "7..7"][..], &["--range", "x"], &[], &["--range", "0..1", "--index", "1"]] {
        let args = [&["audit", "export", "--out", out.to_str().unwrap()], bad].concat();
        assert_eq!(daemon.hpc(&args).code, 2, "{bad:?}");
    }
}

#[test]
fn one_entry_is_shown_in_full_with_its_proof() {
    let log = Log::new(7, "true");
    let bundle = log.bundle(vec![4]);
    let first = Bundle { entries: Vec::new(), ..bundle.clone() };
    let documents = [("hpc.audit-bundle/v1", json!(first)), ("hpc.audit-entries/v1", json!(bundle.entries))];
    let daemon = Daemon::start(Answers::default().documents("export", &documents));
    let outcome = daemon.hpc(&["audit", "show", "4"]);
    assert_eq!(outcome.code, 0, "{}", outcome.err);
    for word in ["e4", "alice", "lease.active", "told", "included, in the tree of 7 entries"] {
        assert!(outcome.out.contains(word), "{word}: {}", outcome.out);
    }
    let outcome = daemon.hpc(&["audit", "show", "4", "-o", "json"]);
    assert_eq!(serde_json::from_str::<Bundle>(&outcome.out).unwrap(), bundle);
}
