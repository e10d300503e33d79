//! One byte of any file of an audit folder: `hpc audit verify` fails and names the file.

use std::fs;
use std::path::Path;

use hpc_audit::{AuditLog, Entry, Outcome};
use hpc_audit_file::{Config, FileAuditLog};
use hpc_crypto::signing::KeyPair;

use super::{Running, files, hpc};

/// Places in a file: its ends, its middle, and others drawn by its length.
fn offsets(length: usize) -> Vec<usize> {
    let mut places = vec![0, 1, length / 4, length / 2, length * 3 / 4, length - 1];
    places.extend((1..4).map(|step| (length * 7919 * step) % length));
    places.retain(|place| *place < length);
    places.sort_unstable();
    places.dedup();
    places
}

fn every_flip_is_named(folder: &Path, least: usize) {
    let home = tempfile::tempdir().unwrap();
    let verify = || hpc(home.path(), &["audit", "verify", folder.to_str().unwrap()]);
    assert_eq!(verify().code, 0, "{:?}", verify());
    let mut flipped = 0;
    for file in files(folder) {
        let name = file.strip_prefix(folder).unwrap().to_str().unwrap().to_owned();
        let whole = fs::read(&file).unwrap();
        for place in if whole.is_empty() { Vec::new() } else { offsets(whole.len()) } {
            let mut bytes = whole.clone();
            bytes[place] ^= 0x01;
            fs::write(&file, bytes).unwrap();
            let said = verify();
            said.failed(1, "HPC-AUD-");
            assert!(said.err.contains(&name), "byte {place} of {name}: {said:?}");
            assert_eq!(said.out, "", "byte {place} of {name}");
            flipped += 1;
        }
        // Cut short, and gone.
        if !whole.is_empty() {
            // Behind the end of the tail is room, which holds nothing.
            let end = whole.iter().rposition(|byte| !name.starts_with("tail/") || *byte != 0).unwrap();
            fs::write(&file, &whole[..end]).unwrap();
            assert_ne!(verify().code, 0, "{name} cut short");
            fs::remove_file(&file).unwrap();
            // Partial tiles may go: fuller ones say the same.
            assert!(verify().code != 0 || name.contains(".p/"), "{name} gone");
        }
        fs::write(&file, whole).unwrap();
    }
    assert_eq!(verify().code, 0, "all is as it was");
    assert!(flipped >= least, "only {flipped} bytes were flipped");
}

#[test]
fn in_the_folder_of_a_daemon() {
    let mut daemon = Running::start();
    let plan = daemon.hpc(&["request", "plan", "--gpu", "h100:8", "-o", "json"]).json();
    daemon.hpc(&["request", "apply", plan["plan"]["id"].as_str().unwrap(), "--yes", "-o", "json"]).json();
    daemon.stop(true);
    every_flip_is_named(&daemon.audit(), 20);
}

#[test]
fn in_a_folder_with_full_tiles() {
    let folder = tempfile::tempdir().unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let log = FileAuditLog::open(folder.path(), KeyPair::from_seed([7; 32]), Config::new("test.audit"))
            .unwrap();
        for part in 0..3 {
            let entry = |n: u32| {
                let time = "2026-11-02T09:00:00Z".parse().unwrap();
                Entry::new(format!("e{part}.{n}"), time, "alice", "lease.active", Outcome::Ok).with("n", n)
            };
            log.append((0..200).map(entry).collect()).await.unwrap();
            log.checkpoint().await.unwrap();
        }
        log.close().await.unwrap();
    });
    every_flip_is_named(folder.path(), 40);
}
