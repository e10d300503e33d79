use std::io::{BufRead as _, BufReader, Write as _};
use std::process::{Command, Stdio};
use std::sync::Arc;

use hpc_audit::AuditLog as _;
use hpc_audit_file::verify_dir;

use crate::world::{entry, open};

const FOLDER: &str = "HPC_AUDIT_TEST_FOLDER";

/// Not a test of its own: what runs in the process that is killed. Appends from many tasks and says what is acknowledged.
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
                    for n in 0..100_000u64 {
                        let first = start * 1_000_000 + task * 100_000_000_000 + n * 10;
                        let receipts = log.append((first..first + 3).map(entry).collect()).await.unwrap();
                        let lines: String = receipts
                            .iter()
                            .map(|r| format!("ack {} {} {}\n", r.index, r.id, r.leaf_hash))
                            .collect();
                        std::io::stdout().lock().write_all(lines.as_bytes()).unwrap();
                        if n % 50 == task {
                            let signed = log.checkpoint().await.unwrap();
                            let (size, root) = (signed.checkpoint().size, signed.checkpoint().root);
                            std::io::stdout()
                                .lock()
                                .write_all(format!("signed {size} {root}\n").as_bytes())
                                .unwrap();
                        }
                    }
                })
            })
            .collect();
        for task in tasks {
            task.await.unwrap();
        }
    });
}

/// `HPC_AUDIT_KILLS` sets the number of kills; the default keeps the test short.
#[tokio::test]
async fn killed_in_a_storm_of_appends_nothing_acknowledged_is_lost() {
    let kills: u64 = std::env::var("HPC_AUDIT_KILLS").ok().and_then(|kills| kills.parse().ok()).unwrap_or(12);
    let dir = tempfile::tempdir().unwrap();
    let mut acknowledged: Vec<(u64, String, String)> = Vec::new();
    let mut signed: Vec<(u64, hpc_audit::Hash)> = Vec::new();
    for kill in 0..kills {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "kills::appends_until_it_is_killed", "--nocapture"])
            .env(FOLDER, dir.path())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut left = 20 + kill * 37 % 400;
        for line in BufReader::new(child.stdout.take().unwrap()).lines() {
            let line = line.unwrap();
            let words: Vec<&str> = line.split(' ').collect();
            match words[..] {
                ["ack", index, id, hash] => {
                    acknowledged.push((index.parse().unwrap(), id.to_owned(), hash.to_owned()));
                    if left == 0 {
                        child.kill().unwrap();
                    }
                    left = left.saturating_sub(1);
                }
                ["signed", size, root] => signed.push((size.parse().unwrap(), root.parse().unwrap())),
                _ => {}
            }
        }
        child.wait().unwrap();
        let report = verify_dir(dir.path(), None).unwrap();
        assert!(report.entries > acknowledged.iter().map(|(index, ..)| *index).max().unwrap());
    }
    let log = open(dir.path()).unwrap();
    let last = log.checkpoint().await.unwrap();
    let (size, root) = (last.checkpoint().size, last.checkpoint().root);
    for (index, id, hash) in &acknowledged {
        let recorded = log.entries(*index, 1).await.unwrap().remove(0);
        assert_eq!((&recorded.entry.id, &recorded.leaf_hash.to_string()), (id, hash));
        let proof = log.inclusion(*index, size).await.unwrap();
        assert_eq!(proof.verify(&recorded.leaf_hash, &root), Ok(()));
    }
    for (old, old_root) in &signed {
        let proof = log.consistency(*old, size).await.unwrap();
        assert_eq!(proof.verify(old_root, &root), Ok(()));
    }
    println!(
        "{kills} kills, {} acknowledged, {} checkpoints, {size} entries",
        acknowledged.len(),
        signed.len()
    );
    log.close().await.unwrap();
    assert!(verify_dir(dir.path(), None).unwrap().is_clean());
}
