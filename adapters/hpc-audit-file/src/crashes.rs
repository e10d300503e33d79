//! Stops and disk errors at every single step of writing: what was acknowledged stays, and the log never goes back.

use std::io;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use hpc_audit::{AuditError, AuditLog, Checkpoint, Entry, Outcome, PROFILE, Receipt};
use hpc_crypto::merkle::MerkleTree;
use hpc_crypto::signing::KeyPair;

use crate::disk::Disk;
use crate::{Config, DirError, FileAuditLog, verify_dir};

/// Steps that fail. The default lets everything pass.
#[derive(Default)]
pub(crate) struct Faults {
    steps: AtomicU64,
    /// The first step that fails, counted from 1; 0 for none.
    first: AtomicU64,
    /// How many steps fail from there on.
    count: AtomicU64,
}

impl Faults {
    pub(crate) fn step(&self) -> io::Result<()> {
        let step = self.steps.fetch_add(1, Ordering::SeqCst) + 1;
        let first = self.first.load(Ordering::SeqCst);
        if first > 0 && step >= first && step - first < self.count.load(Ordering::SeqCst) {
            return Err(io::Error::new(io::ErrorKind::StorageFull, format!("injected at step {step}")));
        }
        Ok(())
    }

    pub(crate) fn set(&self, first: u64, count: u64) {
        self.count.store(count, Ordering::SeqCst);
        self.first.store(first, Ordering::SeqCst);
    }

    pub(crate) fn steps(&self) -> u64 {
        self.steps.load(Ordering::SeqCst)
    }
}

fn keys() -> KeyPair {
    KeyPair::from_seed([3; 32])
}

fn config() -> Config {
    Config::new("test.example/audit")
}

fn open(dir: &Path, faults: &Arc<Faults>) -> Result<FileAuditLog, DirError> {
    let mut disk = Disk::new(dir);
    disk.faults = Arc::clone(faults);
    FileAuditLog::open_on(disk, dir, keys(), config())
}

fn entry(n: u64) -> Entry {
    let at = "2026-11-23T15:00:00Z".parse().unwrap();
    Entry::new(format!("id-{n}"), at, "alice", "lease.active", Outcome::Ok)
}

#[derive(Default)]
struct Seen {
    receipts: Vec<Receipt>,
    checkpoints: Vec<Checkpoint>,
    errors: usize,
}

/// Opens, appends across the border of a tile, signs, closes, twice. Notes everything that was promised.
async fn story(dir: &Path, faults: &Arc<Faults>, seen: &mut Seen) {
    for round in 0..2u64 {
        let Ok(log) = open(dir, faults) else {
            seen.errors += 1;
            continue;
        };
        for (first, count) in [(0, 2), (2, 3), (5, 250), (255, 3)] {
            let entries = (first..first + count).map(|n| entry(round * 1000 + n)).collect();
            match log.append(entries).await {
                Ok(receipts) => seen.receipts.extend(receipts),
                Err(AuditError::Unwritable { .. } | AuditError::Unknown { .. }) => seen.errors += 1,
                Err(other) => panic!("{other}"),
            }
            match log.checkpoint().await {
                Ok(signed) => seen.checkpoints.push(signed.checkpoint().clone()),
                Err(AuditError::Unwritable { .. }) => seen.errors += 1,
                Err(other) => panic!("{other}"),
            }
            // Reading goes on whatever the disk does.
            let size = log.size();
            assert_eq!(log.entries(size.saturating_sub(1), 1).await.unwrap().len() as u64, size.min(1));
        }
        match log.close().await {
            Ok(()) => {}
            Err(AuditError::Unwritable { .. }) => seen.errors += 1,
            Err(other) => panic!("{other}"),
        }
    }
}

/// After everything: opens without faults and holds the log against what was promised.
async fn judge(dir: &Path, seen: &Seen, context: &str) {
    let log = FileAuditLog::open(dir, keys(), config()).unwrap_or_else(|error| panic!("{context}: {error}"));
    let last = log.checkpoint().await.unwrap();
    let mut recorded = Vec::new();
    while (recorded.len() as u64) < log.size() {
        recorded.extend(log.entries(recorded.len() as u64, 1024).await.unwrap());
    }
    let mut tree = MerkleTree::new(PROFILE);
    recorded.iter().for_each(|recorded| drop(tree.append_hash(recorded.leaf_hash)));
    let (size, root) = (last.checkpoint().size, last.checkpoint().root);
    assert_eq!((size, root), (tree.len(), tree.root()), "{context}");
    for receipt in &seen.receipts {
        let recorded = &recorded[receipt.index as usize];
        assert_eq!((&recorded.entry.id, recorded.leaf_hash), (&receipt.id, receipt.leaf_hash), "{context}");
    }
    for receipt in seen.receipts.iter().step_by(97) {
        let proof = log.inclusion(receipt.index, size).await.unwrap();
        assert_eq!(proof.verify(&receipt.leaf_hash, &root), Ok(()), "{context}");
    }
    for old in &seen.checkpoints {
        assert_eq!(tree.root_at(old.size), Ok(old.root), "{context}");
    }
    // Repeating what may or may not have been recorded leaves one of each.
    let again = log.append(vec![entry(0), entry(1), entry(1255)]).await.unwrap();
    assert!(again.windows(2).all(|pair| pair[0].index != pair[1].index), "{context}");
    log.close().await.unwrap();
    let report = verify_dir(dir, Some(&log.verifier_key().to_string()))
        .unwrap_or_else(|error| panic!("{context}: {error}"));
    assert!(report.is_clean(), "{context}: {report:?}");
}

#[tokio::test]
async fn stopped_at_any_step_nothing_acknowledged_is_lost() {
    let whole = Arc::new(Faults::default());
    let dir = tempfile::tempdir().unwrap();
    let mut seen = Seen::default();
    story(dir.path(), &whole, &mut seen).await;
    assert_eq!((seen.errors, seen.receipts.len()), (0, 516));
    judge(dir.path(), &seen, "without faults").await;
    let steps = whole.steps();
    assert!(steps > 100, "{steps}");
    for stop in 1..=steps {
        let faults = Arc::new(Faults::default());
        faults.set(stop, u64::MAX);
        let dir = tempfile::tempdir().unwrap();
        let mut seen = Seen::default();
        story(dir.path(), &faults, &mut seen).await;
        // What a program that died there leaves behind can be verified as it is.
        match verify_dir(dir.path(), None) {
            Ok(report) => assert!(report.entries >= seen.receipts.len() as u64),
            Err(DirError::Missing { .. }) if seen.receipts.is_empty() => {}
            Err(error) => panic!("stopped at step {stop}: {error}"),
        }
        judge(dir.path(), &seen, &format!("stopped at step {stop} of {steps}")).await;
    }
}

#[tokio::test]
async fn one_disk_error_at_any_step_is_told_and_survived() {
    // Every step once; longer disturbances at every fifth.
    for (length, stride) in [(1, 1), (3, 5)] {
        for first in (1..).step_by(stride) {
            let faults = Arc::new(Faults::default());
            faults.set(first, length);
            let dir = tempfile::tempdir().unwrap();
            let mut seen = Seen::default();
            story(dir.path(), &faults, &mut seen).await;
            judge(dir.path(), &seen, &format!("{length} errors from step {first}")).await;
            if faults.steps() < first {
                assert_eq!(seen.errors, 0);
                break;
            }
        }
    }
}

#[tokio::test]
async fn a_full_disk_refuses_appends_until_there_is_room() {
    let (dir, faults) = (tempfile::tempdir().unwrap(), Arc::new(Faults::default()));
    let log = open(dir.path(), &faults).unwrap();
    log.append(vec![entry(1)]).await.unwrap();
    // The write fails, taking it back works.
    faults.set(faults.steps() + 1, 1);
    let error = log.append(vec![entry(2)]).await.unwrap_err();
    assert!(matches!(error, AuditError::Unwritable { .. }), "{error}");
    assert_eq!(log.size(), 1);
    let receipt = log.append(vec![entry(2)]).await.unwrap().remove(0);
    assert_eq!((receipt.index, receipt.repeated), (1, false));
}

#[tokio::test]
async fn after_a_failed_fsync_only_a_new_opening_helps() {
    let (dir, faults) = (tempfile::tempdir().unwrap(), Arc::new(Faults::default()));
    let log = open(dir.path(), &faults).unwrap();
    log.append(vec![entry(1)]).await.unwrap();
    faults.set(faults.steps() + 2, 1);
    assert!(matches!(log.append(vec![entry(2)]).await, Err(AuditError::Unknown { .. })));
    assert!(matches!(log.append(vec![entry(3)]).await, Err(AuditError::Unwritable { .. })));
    assert!(matches!(log.checkpoint().await, Err(AuditError::Unwritable { .. })));
    assert_eq!(log.entries(0, 10).await.unwrap().len(), 1);
    drop(log);
    let log = open(dir.path(), &faults).unwrap();
    assert!(log.append(vec![entry(2)]).await.unwrap()[0].repeated, "it did reach the disk");
}

#[tokio::test]
async fn the_tail_begins_anew_when_it_is_long() {
    let (dir, faults) = (tempfile::tempdir().unwrap(), Arc::new(Faults::default()));
    let log = open(dir.path(), &faults).unwrap();
    let mut receipts = Vec::new();
    for call in 0..60u64 {
        let long = |n| entry(call * 10 + n).with("text", "x".repeat(30_000));
        receipts.extend(log.append((0..10).map(long).collect()).await.unwrap());
    }
    let tail = std::fs::metadata(dir.path().join("tail")).unwrap().len();
    assert!(tail < 10 << 20, "{tail}");
    assert!(log.shared_pending() < 300);
    drop(log);
    let seen = Seen { receipts, ..Seen::default() };
    judge(dir.path(), &seen, "long tail").await;
}

#[tokio::test]
async fn a_log_has_as_many_entries_as_it_may() {
    let dir = tempfile::tempdir().unwrap();
    let log = FileAuditLog::open(dir.path(), keys(), Config { entries_max: 3, ..config() }).unwrap();
    log.append(vec![entry(1), entry(2)]).await.unwrap();
    assert!(matches!(log.append(vec![entry(3), entry(4)]).await, Err(AuditError::Unwritable { .. })));
    assert!(log.append(vec![entry(1)]).await.unwrap()[0].repeated);
    assert_eq!(log.append(vec![entry(3)]).await.unwrap()[0].index, 2);
    assert!(log.append(vec![entry(4)]).await.is_err());
    log.close().await.unwrap();
    assert_eq!(verify_dir(dir.path(), None).unwrap().entries, 3);
}
