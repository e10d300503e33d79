//! Commits per second on a file in the folder given (default: the current one), beside one bare `fdatasync` each.
//!
//! `cargo run --release -p hpc-ledger-redb --example commit_rate -- /var/lib/somewhere`
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a measurement fails by panicking")]

use std::io::Write;
use std::sync::Arc;
use std::time::Instant;

use hpc_ledger::{Key, Ledger, Transaction};
use hpc_ledger_redb::{Options, RedbLedger};

const COMMITS: usize = 4096;

#[tokio::main]
async fn main() {
    let folder = tempfile::tempdir_in(std::env::args().nth(1).unwrap_or_else(|| ".".into())).unwrap();
    for writers in [1, 8, 64, 256] {
        let path = folder.path().join(format!("{writers}.redb"));
        let ledger = Arc::new(RedbLedger::open(&path, Options::default()).unwrap());
        let each = (if writers == 1 { COMMITS / 8 } else { COMMITS }) / writers;
        let start = Instant::now();
        let tasks: Vec<_> = (0..writers)
            .map(|writer| {
                let ledger = Arc::clone(&ledger);
                tokio::spawn(async move {
                    for index in 0..each {
                        let key = Key::parse(&format!("intent/{writer}/{index}")).unwrap();
                        ledger
                            .commit(Transaction::new().expect_absent(&key).put(&key, vec![7; 200]))
                            .await
                            .unwrap();
                    }
                })
            })
            .collect();
        for task in tasks {
            task.await.unwrap();
        }
        let rate = (each * writers) as f64 / start.elapsed().as_secs_f64();
        println!("{writers:>4} writers: {rate:>8.0} commits/s");
    }
    let mut file = std::fs::File::create(folder.path().join("bare")).unwrap();
    let start = Instant::now();
    for _ in 0..512 {
        file.write_all(&[7; 200]).unwrap();
        file.sync_data().unwrap();
    }
    println!("bare append + fdatasync: {:>8.0} /s", 512.0 / start.elapsed().as_secs_f64());

    let path = folder.path().join("large.redb");
    let ledger = RedbLedger::open(&path, Options::default()).unwrap();
    for block in 0..200 {
        let mut filling = Transaction::new();
        for index in 0..500 {
            filling = filling.put(Key::parse(&format!("k/{block}/{index}")).unwrap(), vec![7; 200]);
        }
        ledger.commit(filling).await.unwrap();
    }
    drop(ledger);
    for verify in [true, false] {
        let start = Instant::now();
        drop(RedbLedger::open(&path, Options::default().verify_on_open(verify)).unwrap());
        println!("open 100,000 keys, verify {verify}: {:?}", start.elapsed());
    }
    println!("file of 100,000 keys of 200 bytes: {} bytes", std::fs::metadata(&path).unwrap().len());
}
