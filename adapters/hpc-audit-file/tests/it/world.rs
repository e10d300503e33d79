use std::path::{Path, PathBuf};

use hpc_audit::{AuditLog as _, Entry, Outcome};
use hpc_audit_file::{Config, DirError, FileAuditLog};
use hpc_crypto::signing::KeyPair;

pub(crate) fn keys(seed: u8) -> KeyPair {
    KeyPair::from_seed([seed; 32])
}

pub(crate) fn open(dir: &Path) -> Result<FileAuditLog, DirError> {
    FileAuditLog::open(dir, keys(1), Config::new("test.example/audit"))
}

pub(crate) fn entry(n: u64) -> Entry {
    let at = "2026-11-23T15:00:00Z".parse().unwrap();
    Entry::new(format!("id-{n}"), at, "alice", "lease.active", Outcome::Ok)
        .subject("lease", format!("lse_{n}"))
}

pub(crate) async fn append(log: &FileAuditLog, from: u64, to: u64) {
    for chunk in (from..to).collect::<Vec<_>>().chunks(1000) {
        log.append(chunk.iter().map(|n| entry(*n)).collect()).await.unwrap();
    }
}

/// Every file below `dir`, by its path relative to it.
pub(crate) fn files(dir: &Path) -> Vec<String> {
    let mut found = Vec::new();
    let mut folders = vec![PathBuf::new()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(dir.join(&folder)).unwrap() {
            let entry = entry.unwrap();
            let path = folder.join(entry.file_name());
            if entry.file_type().unwrap().is_dir() {
                folders.push(path);
            } else {
                found.push(path.to_str().unwrap().to_owned());
            }
        }
    }
    found.sort();
    found
}

pub(crate) fn copy(from: &Path, to: &Path) {
    for file in files(from) {
        let target = to.join(&file);
        std::fs::create_dir_all(target.parent().unwrap()).unwrap();
        std::fs::copy(from.join(&file), target).unwrap();
    }
}
