use std::io::{BufRead as _, BufReader, Write as _};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;

use hpc_audit::{AuditLog as _, Hash, Recorded, SignedCheckpoint};
use hpc_audit_file::{FileAuditLog, verify_dir};

use crate::world::{entry, open};

const FOLDER: &str = "HPC_AUDIT_TEST_FOLDER";
/// Kills of one storm; `HPC_AUDIT_KILLS` sets another number, and the gate has it at 50. There are four storms.
const KILLS: u64 = 10;

/// Appends of each of the eight tasks of one life: more than are acknowledged before the kill, and few enough for the log
/// to stay short.
const APPENDS: u64 = 12;

/// Not a test of its own: what runs in the process that is killed. Appends from many tasks and says what it is told.
#[test]
fn appends_until_it_is_killed() {
    let Ok(dir) = std::env::var(FOLDER) else { return };
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).build().unwrap();
    runtime.block_on(async move {
        let log = Arc::new(open(dir.as_ref()).unwrap());
        let start = log.size();
        let tasks: Vec<_> = (0..8u64)
            .map(|task| {
                let log = Arc::clone(&log);
                tokio::spawn(async move {
                    for n in 0..APPENDS {
                        let first = start * 1_000_000 + task * 100_000_000_000 + n * 10;
                        let receipts =
                            log.append((first..first + 1 + n % 5).map(entry).collect()).await.unwrap();
                        let lines: Vec<String> = receipts
                            .iter()
                            .map(|r| format!("ack {} {} {}", r.index, r.id, r.leaf_hash))
                            .collect();
                        say(&lines.join("\n"));
                        if n % 7 == task {
                            say(&signed("head", &log.head().await.unwrap()));
                        } else if n % 5 == task {
                            say(&signed("published", &log.checkpoint().await.unwrap()));
                        }
                    }
                })
            })
            .collect();
        for task in tasks {
            task.await.unwrap();
        }
        std::future::pending::<()>().await;
    });
}

fn say(lines: &str) {
    let mut out = std::io::stdout().lock();
    out.write_all(format!("{lines}\n").as_bytes()).unwrap();
}

fn signed(word: &str, signed: &SignedCheckpoint) -> String {
    format!("{word} {} {}", signed.checkpoint().size, signed.checkpoint().root)
}

/// Everything that the children were told.
#[derive(Default)]
struct Told {
    /// Index, id and hash.
    acknowledged: Vec<(u64, String, String)>,
    /// Size and root of every checkpoint, published or not.
    signed: Vec<(u64, Hash)>,
    /// The largest size that was published.
    published: u64,
}

#[tokio::test]
async fn killed_in_a_storm_of_appends_on_disk_nothing_is_lost() {
    storm(tempfile::tempdir().unwrap().path(), 1).await;
}

#[tokio::test]
async fn killed_in_a_second_storm_on_disk_nothing_is_lost() {
    storm(tempfile::tempdir().unwrap().path(), 2).await;
}

/// Where making durable takes no time, other steps are under way when the kill comes.
#[tokio::test]
async fn killed_in_a_storm_of_appends_in_memory_nothing_is_lost() {
    storm(in_memory().path(), 3).await;
}

#[tokio::test]
async fn killed_in_a_second_storm_in_memory_nothing_is_lost() {
    storm(in_memory().path(), 4).await;
}

fn in_memory() -> tempfile::TempDir {
    tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).unwrap()
}

async fn storm(dir: &Path, seed: u64) {
    let kills = std::env::var("HPC_AUDIT_KILLS").ok().and_then(|kills| kills.parse().ok()).unwrap_or(KILLS);
    let mut told = Told::default();
    let mut entries = 0;
    for kill in 0..kills {
        let known = told.acknowledged.len();
        child_until_killed(dir, &mut told, (seed * 31 + kill * 37) % 83);
        assert!(told.acknowledged.len() > known, "kill {kill}: nothing was acknowledged");
        let report = verify_dir(dir, None).unwrap_or_else(|error| panic!("kill {kill}: {error}"));
        assert!(report.checkpoint.size >= told.published, "kill {kill}: the checkpoint went back");
        let log = open(dir).unwrap_or_else(|error| panic!("kill {kill}: {error}"));
        assert_eq!((log.size(), log.size() >= entries), (report.entries, true));
        entries = log.size();
        let last = kill + 1 == kills;
        // Every entry is compared every time; proofs are made for all new ones and for some older ones, at the end for all.
        check(&log, &told, |at| last || at >= known || at as u64 % 29 == kill % 29).await;
        // Half of the time the next child finds a tail that was put in order, half of the time what was left.
        if last || kill % 2 == 0 {
            log.close().await.unwrap();
            assert!(verify_dir(dir, None).unwrap().is_clean());
        }
    }
    println!(
        "{kills} kills, {} acknowledged, {} checkpoints, {entries} entries",
        told.acknowledged.len(),
        told.signed.len()
    );
}

/// Runs a child and kills it after so many acknowledgements; what it has still said counts.
fn child_until_killed(dir: &Path, told: &mut Told, acknowledgements: u64) {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "kills::appends_until_it_is_killed", "--nocapture"])
        .env(FOLDER, dir)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut left = acknowledgements;
    for line in BufReader::new(child.stdout.take().unwrap()).lines() {
        let line = line.unwrap();
        let words: Vec<&str> = line.split(' ').collect();
        match words[..] {
            ["ack", index, id, hash] => {
                told.acknowledged.push((index.parse().unwrap(), id.to_owned(), hash.to_owned()));
                if left == 0 {
                    child.kill().unwrap();
                }
                left = left.saturating_sub(1);
            }
            [word @ ("head" | "published"), size, root] => {
                let size = size.parse().unwrap();
                told.signed.push((size, root.parse().unwrap()));
                if word == "published" {
                    told.published = told.published.max(size);
                }
            }
            _ => {}
        }
    }
    child.wait().unwrap();
}

async fn check(log: &FileAuditLog, told: &Told, prove: impl Fn(usize) -> bool) {
    let head = log.head().await.unwrap();
    let (size, root) = (head.checkpoint().size, head.checkpoint().root);
    let mut recorded: Vec<Recorded> = Vec::new();
    while (recorded.len() as u64) < size {
        recorded.extend(log.entries(recorded.len() as u64, 1024).await.unwrap());
    }
    for (at, (index, id, hash)) in told.acknowledged.iter().enumerate() {
        let found = &recorded[*index as usize];
        assert_eq!((&found.entry.id, &found.leaf_hash.to_string()), (id, hash));
        if prove(at) {
            let proof = log.inclusion(*index, size).await.unwrap();
            assert_eq!(proof.verify(&found.leaf_hash, &root), Ok(()));
        }
    }
    for (old, old_root) in &told.signed {
        if *old == 0 {
            continue;
        }
        let proof = log.consistency(*old, size).await.unwrap();
        assert_eq!(proof.verify(old_root, &root), Ok(()));
    }
}
