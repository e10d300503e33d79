//! Stops and disk errors at every single step of writing: what was acknowledged stays, and the log never goes back.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::sync::{Arc, Mutex};

use hpc_audit::{AuditError, AuditLog, Checkpoint, Entry, Outcome, PROFILE, Receipt};
use hpc_crypto::merkle::MerkleTree;
use hpc_crypto::signing::KeyPair;

use crate::disk::{CHECKPOINT, Disk};
use crate::writer::TAIL_MAX;
use crate::{Config, DirError, FileAuditLog, verify_dir};

/// Who changes the folder.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Who {
    /// The opening.
    Caller,
    Writer,
    Publisher,
}

const ALL: [Who; 3] = [Who::Caller, Who::Writer, Who::Publisher];

impl Who {
    fn here() -> Self {
        match std::thread::current().name() {
            Some("audit-writer") => Self::Writer,
            Some("audit-publisher") => Self::Publisher,
            _ => Self::Caller,
        }
    }
}

/// Steps that fail. The default lets everything pass.
#[derive(Default)]
pub(crate) struct Faults {
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// Steps so far, of each in the order of [`ALL`].
    steps: [u64; 3],
    /// Whose first step that fails, counted from 1, and how many fail from there on: those of the others too.
    fail: Option<(Option<Who>, u64, u64)>,
    failed: u64,
    /// Whether every step of the publisher fails.
    broken: bool,
    /// The file that is not put in place.
    refused: Option<&'static str>,
}

impl Faults {
    pub(crate) fn step(&self) -> io::Result<()> {
        let state = &mut *self.state.lock().unwrap();
        let who = Who::here();
        state.steps[who as usize] += 1;
        if state.broken && who == Who::Publisher {
            return Err(io::Error::new(io::ErrorKind::StorageFull, "injected"));
        }
        let Some((whose, first, count)) = state.fail else { return Ok(()) };
        let steps = whose.map_or(state.steps.iter().sum(), |whose| state.steps[whose as usize]);
        let begun = state.failed > 0 || (whose.is_none_or(|whose| whose == who) && steps >= first);
        if !begun || state.failed == count {
            return Ok(());
        }
        state.failed += 1;
        Err(io::Error::new(io::ErrorKind::StorageFull, format!("injected at step {first} of {whose:?}")))
    }

    /// A step that puts a file in place.
    pub(crate) fn step_on(&self, name: &str) -> io::Result<()> {
        if self.state.lock().unwrap().refused == Some(name) {
            return Err(io::Error::new(io::ErrorKind::StorageFull, format!("injected at `{name}`")));
        }
        self.step()
    }

    /// Lets a file never be put in place. Nothing else fails, and it does not matter who does what meanwhile.
    fn refuse(&self, name: &'static str) {
        self.state.lock().unwrap().refused = Some(name);
    }

    /// Lets `count` steps fail, beginning with step `first` of one.
    fn set_for(&self, who: Who, first: u64, count: u64) {
        let state = &mut *self.state.lock().unwrap();
        (state.fail, state.failed) = (Some((Some(who), first, count)), 0);
    }

    /// Lets `count` steps fail, beginning with step `first` of all together.
    pub(crate) fn set(&self, first: u64, count: u64) {
        let state = &mut *self.state.lock().unwrap();
        (state.fail, state.failed) = (Some((None, first, count)), 0);
    }

    /// All steps so far.
    pub(crate) fn steps(&self) -> u64 {
        self.state.lock().unwrap().steps.iter().sum()
    }

    /// Lets the next `count` steps of one fail that come after `skip` more.
    fn set_next(&self, who: Who, skip: u64, count: u64) {
        self.set_for(who, self.steps_of(who) + skip + 1, count);
    }

    /// Lets every step of the publisher fail, or none.
    fn break_publishing(&self, broken: bool) {
        self.state.lock().unwrap().broken = broken;
    }

    fn steps_of(&self, who: Who) -> u64 {
        self.state.lock().unwrap().steps[who as usize]
    }

    /// How many steps have failed.
    fn failed(&self) -> u64 {
        self.state.lock().unwrap().failed
    }
}

/// A folder that costs no time to make durable, where there is one: no test here is about real disks.
fn folder() -> tempfile::TempDir {
    tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).unwrap()
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
        let calls: &[(u64, u64)] =
            if round == 0 { &[(0, 2), (2, 3), (5, 250), (255, 3)] } else { &[(0, 3), (3, 60)] };
        for (first, count) in calls.iter().copied() {
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
    let again = log.append(vec![entry(0), entry(1), entry(1062)]).await.unwrap();
    assert!(again.windows(2).all(|pair| pair[0].index != pair[1].index), "{context}");
    log.close().await.unwrap();
    let report = verify_dir(dir, Some(&log.verifier_key().to_string()))
        .unwrap_or_else(|error| panic!("{context}: {error}"));
    assert!(report.is_clean(), "{context}: {report:?}");
}

#[tokio::test]
async fn stopped_at_any_step_nothing_acknowledged_is_lost() {
    let whole = Arc::new(Faults::default());
    let dir = folder();
    let mut seen = Seen::default();
    story(dir.path(), &whole, &mut seen).await;
    assert_eq!((seen.errors, seen.receipts.len()), (0, 321));
    judge(dir.path(), &seen, "without faults").await;
    for who in ALL {
        let steps = whole.steps_of(who);
        assert!(steps > 10, "{who:?}: {steps}");
        for stop in 1..=steps {
            let faults = Arc::new(Faults::default());
            faults.set_for(who, stop, u64::MAX);
            let dir = folder();
            let mut seen = Seen::default();
            story(dir.path(), &faults, &mut seen).await;
            // What a program that died there leaves behind can be verified as it is.
            match verify_dir(dir.path(), None) {
                Ok(report) => assert!(report.entries >= seen.receipts.len() as u64),
                Err(DirError::Missing { .. }) if seen.receipts.is_empty() => {}
                Err(error) => panic!("stopped at step {stop} of {who:?}: {error}"),
            }
            judge(dir.path(), &seen, &format!("stopped at step {stop} of {steps} of {who:?}")).await;
        }
    }
}

#[tokio::test]
async fn one_disk_error_at_any_step_is_told_and_survived() {
    // Every step once; longer disturbances at every fifth.
    for (length, stride) in [(1, 1), (3, 5)] {
        for who in ALL {
            for first in (1..).step_by(stride) {
                let faults = Arc::new(Faults::default());
                faults.set_for(who, first, length);
                let dir = folder();
                let mut seen = Seen::default();
                story(dir.path(), &faults, &mut seen).await;
                judge(dir.path(), &seen, &format!("{length} errors from step {first} of {who:?}")).await;
                if faults.failed() == 0 {
                    assert_eq!(seen.errors, 0);
                    break;
                }
            }
        }
    }
}

#[tokio::test]
async fn a_full_disk_refuses_appends_until_there_is_room() {
    let (dir, faults) = (folder(), Arc::new(Faults::default()));
    let log = open(dir.path(), &faults).unwrap();
    log.append(vec![entry(1)]).await.unwrap();
    // The write fails, taking it back works.
    faults.set_next(Who::Writer, 0, 1);
    let error = log.append(vec![entry(2)]).await.unwrap_err();
    assert!(matches!(error, AuditError::Unwritable { .. }), "{error}");
    assert_eq!(log.size(), 1);
    let receipt = log.append(vec![entry(2)]).await.unwrap().remove(0);
    assert_eq!((receipt.index, receipt.repeated), (1, false));
}

#[tokio::test]
async fn after_a_failed_fsync_only_a_new_opening_helps() {
    let (dir, faults) = (folder(), Arc::new(Faults::default()));
    let log = open(dir.path(), &faults).unwrap();
    log.append(vec![entry(1)]).await.unwrap();
    faults.set_next(Who::Writer, 1, 1);
    assert!(matches!(log.append(vec![entry(2)]).await, Err(AuditError::Unknown { .. })));
    assert!(matches!(log.append(vec![entry(3)]).await, Err(AuditError::Unwritable { .. })));
    assert!(matches!(log.checkpoint().await, Err(AuditError::Unwritable { .. })));
    assert_eq!(log.entries(0, 10).await.unwrap().len(), 1);
    assert_eq!(log.head().await.unwrap().checkpoint().size, 1);
    drop(log);
    let log = open(dir.path(), &faults).unwrap();
    assert!(log.append(vec![entry(2)]).await.unwrap()[0].repeated, "it did reach the disk");
}

/// Ten entries of 30,000 bytes.
fn long(call: u64) -> Vec<Entry> {
    (0..10).map(|n| entry(call * 10 + n).with("text", "x".repeat(30_000))).collect()
}

#[tokio::test]
async fn the_tail_loses_its_beginning_when_that_is_published() {
    let (dir, faults) = (folder(), Arc::new(Faults::default()));
    let log = open(dir.path(), &faults).unwrap();
    let mut receipts = Vec::new();
    for call in 0..40 {
        receipts.extend(log.append(long(call)).await.unwrap());
    }
    // The publisher has been asked several times; one more, so as to wait for it.
    log.checkpoint().await.unwrap();
    // The one that is written to, and perhaps the next.
    let left = std::fs::read_dir(dir.path().join("tail")).unwrap().count();
    assert!(left <= 2 && !dir.path().join("tail/1").exists(), "{left}");
    assert!(log.shared_pending() < 256);
    drop(log);
    let seen = Seen { receipts, ..Seen::default() };
    judge(dir.path(), &seen, "long tail").await;
}

/// Appends and signs until files of the tail were filled, taken out, and used again; the names that each file had.
async fn turning(dir: &Path, faults: &Arc<Faults>, seen: &mut Seen) -> BTreeMap<u64, BTreeSet<String>> {
    let mut names: BTreeMap<u64, BTreeSet<String>> = BTreeMap::new();
    let Ok(log) = open(dir, faults) else {
        seen.errors += 1;
        return names;
    };
    for call in 0..20 {
        let entries = (0..8).map(|n| entry(call * 8 + n).with("text", "x".repeat(2_000))).collect();
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
        for file in std::fs::read_dir(dir.join("tail")).unwrap().map(Result::unwrap) {
            // The publisher may have taken it away meanwhile.
            let Ok(metadata) = file.metadata() else { continue };
            names.entry(metadata.ino()).or_default().insert(file.file_name().into_string().unwrap());
        }
    }
    if !matches!(log.close().await, Ok(()) | Err(AuditError::Unwritable { .. })) {
        panic!("closing fails otherwise");
    }
    names
}

#[tokio::test]
async fn files_of_the_tail_are_used_again_and_a_stop_at_any_step_loses_nothing() {
    let (dir, whole, mut seen) = (folder(), Arc::new(Faults::default()), Seen::default());
    let names = turning(dir.path(), &whole, &mut seen).await;
    let numbers = |names: &BTreeSet<String>| names.iter().filter(|name| !name.ends_with(".tmp")).count();
    assert!(names.values().any(|names| numbers(names) > 1), "{names:?}");
    assert_eq!((seen.errors, seen.receipts.len()), (0, 160));
    judge(dir.path(), &seen, "without faults").await;
    // One error, and a stop for good. The steps in between are those of the other stories.
    for (length, stride) in [(1, 3), (u64::MAX, 5)] {
        for step in (1..=whole.steps_of(Who::Publisher)).step_by(stride) {
            let (dir, faults, mut seen) = (folder(), Arc::new(Faults::default()), Seen::default());
            faults.set_for(Who::Publisher, step, length);
            turning(dir.path(), &faults, &mut seen).await;
            match verify_dir(dir.path(), None) {
                Ok(report) => assert!(report.entries >= seen.receipts.len() as u64),
                Err(error) => panic!("step {step}: {error}"),
            }
            judge(dir.path(), &seen, &format!("{length} errors from step {step} of the publisher")).await;
        }
    }
}

#[tokio::test]
async fn while_tiles_cannot_be_written_the_tail_takes_entries_up_to_its_limit() {
    let (dir, faults) = (folder(), Arc::new(Faults::default()));
    let log = open(dir.path(), &faults).unwrap();
    let mut receipts = log.append(long(0)).await.unwrap();
    log.checkpoint().await.unwrap();
    faults.break_publishing(true);
    let mut refused = None;
    for call in 1..400 {
        match log.append(long(call)).await {
            Ok(more) => receipts.extend(more),
            Err(error) => {
                refused = Some((call, error));
                break;
            }
        }
    }
    let (call, error) = refused.unwrap();
    assert!(matches!(&error, AuditError::Unwritable { reason } if reason.contains("injected")), "{error}");
    let bytes: usize = receipts.len() * 30_200;
    assert!(bytes as u64 > TAIL_MAX * 3 / 4 && (bytes as u64) < TAIL_MAX * 5 / 4, "{bytes}");
    assert!(matches!(log.checkpoint().await, Err(AuditError::Unwritable { .. })));
    assert_eq!(log.entries(log.size() - 1, 10).await.unwrap().len(), 1);
    assert_eq!(log.head().await.unwrap().checkpoint().size, receipts.len() as u64);
    // Room again: the next append waits for the tiles, and is taken.
    faults.break_publishing(false);
    receipts.extend(log.append(long(call)).await.unwrap());
    drop(log);
    judge(dir.path(), &Seen { receipts, ..Seen::default() }, "after a full disk").await;
}

#[tokio::test]
async fn tiles_that_did_not_reach_the_disk_are_made_anew_from_the_tail() {
    let source = folder();
    let faults = Arc::new(Faults::default());
    let log = open(source.path(), &faults).unwrap();
    let mut seen = Seen::default();
    seen.receipts.extend(log.append((0..300).map(entry).collect()).await.unwrap());
    seen.checkpoints.push(log.checkpoint().await.unwrap().checkpoint().clone());
    // The tiles are written; the checkpoint over them is not.
    seen.receipts.extend(log.append((300..800).map(entry).collect()).await.unwrap());
    faults.refuse(CHECKPOINT);
    let error = log.checkpoint().await.unwrap_err();
    assert!(error.to_string().contains("injected at `checkpoint`"), "{error}");
    drop(log);
    for name in ["tile/0/001", "tile/entries/001", "tile/0/002", "tile/entries/002"] {
        let whole = std::fs::read(source.path().join(name)).unwrap();
        let mut holes = whole.clone();
        holes[512..1024].fill(0);
        let mut other = whole.clone();
        other[700] ^= 1;
        let torn =
            [whole[..0].to_vec(), whole[..100].to_vec(), whole[..4096].to_vec(), vec![0; whole.len()], holes];
        for left in torn.iter().map(Some).chain([None]) {
            let dir = folder();
            copy(source.path(), dir.path());
            let path = dir.path().join(name);
            match left {
                Some(bytes) => std::fs::write(&path, bytes).unwrap(),
                None => std::fs::remove_file(&path).unwrap(),
            }
            let report = verify_dir(dir.path(), None).unwrap();
            assert_eq!(report.unfinished.contains(&name.to_owned()), left.is_some(), "{name}");
            judge(dir.path(), &seen, name).await;
        }
        // A file that is whole but other is damage, signed or not.
        let dir = folder();
        copy(source.path(), dir.path());
        std::fs::write(dir.path().join(name), &other).unwrap();
        assert!(matches!(verify_dir(dir.path(), None), Err(DirError::Damaged { file, .. }) if file == name));
    }
}

fn copy(from: &Path, to: &Path) {
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            std::fs::create_dir(&target).unwrap();
            copy(&entry.path(), &target);
        } else {
            std::fs::copy(entry.path(), target).unwrap();
        }
    }
}

#[tokio::test]
async fn a_log_has_as_many_entries_as_it_may() {
    let dir = folder();
    let log = FileAuditLog::open(dir.path(), keys(), Config { entries_max: 3, ..config() }).unwrap();
    log.append(vec![entry(1), entry(2)]).await.unwrap();
    assert!(matches!(log.append(vec![entry(3), entry(4)]).await, Err(AuditError::Unwritable { .. })));
    assert!(log.append(vec![entry(1)]).await.unwrap()[0].repeated);
    assert_eq!(log.append(vec![entry(3)]).await.unwrap()[0].index, 2);
    assert!(log.append(vec![entry(4)]).await.is_err());
    log.close().await.unwrap();
    assert_eq!(verify_dir(dir.path(), None).unwrap().entries, 3);
}
