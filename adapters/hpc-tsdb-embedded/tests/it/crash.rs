//! A killed process loses nothing it acknowledged.

use std::io::{BufRead, BufReader, Write};
use std::process::{Command, Stdio};
use std::sync::Arc;

use hpc_timeseries::{Durability, TimeSeriesStore};

use crate::support::{NOW_NS, gpu, open, samples};

const PATH: &str = "HPC_TSDB_CRASH_PATH";
const START: &str = "HPC_TSDB_CRASH_START";
const BATCH: i64 = 50;

/// Not a test of its own: the process that `kill_9_loses_nothing_acknowledged` starts and kills.
#[test]
fn writes_until_killed() {
    let (Ok(path), Ok(start)) = (std::env::var(PATH), std::env::var(START)) else { return };
    let start: i64 = start.parse().unwrap();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).build().unwrap();
    runtime.block_on(async {
        let store = Arc::new(open(std::path::Path::new(&path)));
        for batch in start.. {
            let points =
                (0..BATCH).map(|i| gpu(NOW_NS - 1_000_000_000 + batch * BATCH + i, "a", batch as f64));
            store.write(points.collect(), Durability::Group).await.unwrap();
            if batch % 7 == 6 {
                store.seal().await.unwrap();
            }
            let mut out = std::io::stdout().lock();
            writeln!(out, "acknowledged {batch}").unwrap();
            out.flush().unwrap();
        }
    });
}

#[tokio::test]
async fn kill_9_loses_nothing_acknowledged() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("t.redb");
    let mut next = 0_i64;
    for round in 0..8 {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "crash::writes_until_killed", "--nocapture"])
            .env(PATH, &path)
            .env(START, next.to_string())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines().map_while(Result::ok);
        let mut acknowledged = Vec::new();
        let numbers =
            |line: &str| line.split("acknowledged ").nth(1).and_then(|n| n.trim().parse::<i64>().ok());
        while acknowledged.len() < 3 + round * 5 {
            let line = lines.next().expect("the writer ended by itself");
            acknowledged.extend(numbers(&line));
        }
        child.kill().unwrap(); // SIGKILL
        child.wait().unwrap();
        acknowledged.extend(lines.filter_map(|line| numbers(&line)));
        let last = *acknowledged.last().unwrap();
        let have = samples(&open(&path)).await;
        let want_at_least = (last + 1) * BATCH;
        assert!(have.len() as i64 >= want_at_least, "round {round}: {} of {want_at_least}", have.len());
        for (index, (ts_ns, value)) in have.iter().enumerate() {
            let index = index as i64;
            assert_eq!((*ts_ns, *value), (NOW_NS - 1_000_000_000 + index, (index / BATCH) as f64));
        }
        // A batch is stored whole or not at all.
        assert_eq!(have.len() as i64 % BATCH, 0);
        next = have.len() as i64 / BATCH;
    }
}

#[tokio::test]
async fn unsaved_writes_are_saved_when_the_store_is_dropped() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("t.redb");
    let store = open(&path);
    store.write(vec![gpu(NOW_NS, "a", 1.0)], Durability::None).await.unwrap();
    drop(store);
    assert_eq!(samples(&open(&path)).await, [(NOW_NS, 1.0)]);
}

#[tokio::test]
async fn concurrent_writers_share_commits_and_lose_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("t.redb");
    let store = Arc::new(open(&path));
    let mut tasks = tokio::task::JoinSet::new();
    for writer in 0..16_i64 {
        let store = Arc::clone(&store);
        tasks.spawn(async move {
            for i in 0..20 {
                let points = vec![gpu(NOW_NS - writer * 1_000 - i, "a", 1.0)];
                store.write(points, Durability::Group).await.unwrap().all_accepted().unwrap();
            }
        });
    }
    tasks.join_all().await;
    drop(store);
    assert_eq!(samples(&open(&path)).await.len(), 16 * 20);
}
