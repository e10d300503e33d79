use std::path::Path;

use hpc_audit::AuditLog as _;
use hpc_audit_file::{DirError, verify_dir};

use crate::world::{append, copy, entry, files, open};

/// The file that an error names.
fn file_of(error: &DirError) -> &str {
    match error {
        DirError::Io { file, .. }
        | DirError::Missing { file }
        | DirError::Unexpected { file }
        | DirError::Damaged { file, .. } => file,
        other => panic!("{other}"),
    }
}

/// Changes bytes of every file in turn and expects each change to be found in that file.
fn every_change_is_found(dir: &Path, pick: impl Fn(&str, usize, usize) -> bool) -> usize {
    verify_dir(dir, None).unwrap();
    let mut changes = 0;
    for file in files(dir) {
        let path = dir.join(&file);
        let original = std::fs::read(&path).unwrap();
        for at in (0..original.len()).filter(|at| pick(&file, *at, original.len())) {
            for mask in [1 << (at % 8), 0x20, 0xff] {
                let mut changed = original.clone();
                changed[at] ^= mask;
                std::fs::write(&path, &changed).unwrap();
                match verify_dir(dir, None) {
                    Ok(_) => panic!("`{file}` byte {at} mask {mask:#x} was not noticed"),
                    Err(error) => assert_eq!(file_of(&error), file, "byte {at} mask {mask:#x}: {error}"),
                }
                changes += 1;
            }
        }
        // Shorter and longer files.
        for (length, name) in [(original.len().saturating_sub(1), "shorter"), (original.len() + 1, "longer")]
        {
            if length == original.len() {
                continue;
            }
            let mut changed = original.clone();
            changed.resize(length, 0x41);
            std::fs::write(&path, &changed).unwrap();
            let verdict = verify_dir(dir, None);
            // A tail that does not end with a sector is torn, and said to be, when it does not go on in another file.
            if file.starts_with("tail/") {
                match verdict {
                    Ok(report) => assert!(report.torn_tail.is_some(), "`{file}` one byte {name}"),
                    Err(error) => assert_eq!(file_of(&error), file, "one byte {name}"),
                }
            } else {
                assert!(verdict.is_err(), "`{file}` one byte {name}");
            }
        }
        std::fs::write(&path, &original).unwrap();
    }
    verify_dir(dir, None).unwrap();
    changes
}

/// Every byte; of the zeros at the end of a tail some are enough.
fn all_but_zeros(file: &str, at: usize, _: usize) -> bool {
    !file.starts_with("tail/") || at < 4096 || at.is_multiple_of(113)
}

#[tokio::test]
async fn every_byte_of_a_small_log_counts() {
    let dir = tempfile::tempdir().unwrap();
    let log = open(dir.path()).unwrap();
    log.append(vec![entry(1), entry(2)]).await.unwrap();
    log.checkpoint().await.unwrap();
    log.append(vec![entry(3)]).await.unwrap();
    log.checkpoint().await.unwrap();
    log.append(vec![entry(4)]).await.unwrap();
    drop(log);
    let names = files(dir.path());
    assert_eq!(
        names,
        [
            "checkpoint",
            "lock",
            "log.vkey",
            "tail/1",
            "tile/0/000.p/2",
            "tile/0/000.p/3",
            "tile/entries/000.p/2",
            "tile/entries/000.p/3"
        ]
    );
    let report = verify_dir(dir.path(), None).unwrap();
    assert_eq!((report.entries, report.checkpoint.size, report.is_clean()), (4, 3, false));
    assert!(every_change_is_found(dir.path(), all_but_zeros) > 4000);
}

#[tokio::test]
async fn every_byte_of_a_small_closed_log_counts() {
    let dir = tempfile::tempdir().unwrap();
    let log = open(dir.path()).unwrap();
    log.append(vec![entry(1), entry(2)]).await.unwrap();
    log.close().await.unwrap();
    assert!(verify_dir(dir.path(), None).unwrap().is_clean());
    every_change_is_found(dir.path(), all_but_zeros);
}

#[tokio::test]
async fn samples_of_a_larger_log_count_before_and_after_closing() {
    let dir = tempfile::tempdir().unwrap();
    let log = open(dir.path()).unwrap();
    append(&log, 0, 600).await;
    log.checkpoint().await.unwrap();
    append(&log, 600, 700).await;
    drop(log);
    every_change_is_found(dir.path(), |_, at, length| (at * 7919 + length) % 1501 == 0);
    let log = open(dir.path()).unwrap();
    append(&log, 700, 800).await;
    log.close().await.unwrap();
    let names = files(dir.path());
    for name in ["tile/0/000", "tile/0/002", "tile/0/003.p/32", "tile/1/000.p/3", "tile/entries/002"] {
        assert!(names.contains(&name.to_owned()), "{name}: {names:?}");
    }
    assert!(!names.contains(&"tile/entries/002.p/88".to_owned()), "{names:?}");
    every_change_is_found(dir.path(), |_, at, length| (at * 7919 + length) % 1501 == 0);
}

/// Someone who can compute hashes changes an entry and every tile above it, but cannot sign.
#[tokio::test]
async fn a_consistent_forgery_does_not_fit_the_checkpoint() {
    let dirs = [tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap()];
    for (seed, dir) in dirs.iter().enumerate() {
        let log = open(dir.path()).unwrap();
        log.append(vec![entry(1), entry(2 + seed as u64)]).await.unwrap();
        log.close().await.unwrap();
    }
    let forged = tempfile::tempdir().unwrap();
    copy(dirs[1].path(), forged.path());
    std::fs::copy(dirs[0].path().join("checkpoint"), forged.path().join("checkpoint")).unwrap();
    let error = verify_dir(forged.path(), None).unwrap_err();
    assert_eq!(file_of(&error), "checkpoint", "{error}");
    assert!(open(forged.path()).is_err());
}

#[tokio::test]
async fn every_cut_of_the_tail_is_torn_or_a_loss_of_signed_entries() {
    const SECTOR: u64 = 512;
    let dir = tempfile::tempdir().unwrap();
    let log = open(dir.path()).unwrap();
    for n in 0..5 {
        // A group of one sector, behind the header's.
        log.append(vec![entry(10 * n)]).await.unwrap();
        if n == 1 {
            log.checkpoint().await.unwrap();
        }
    }
    drop(log);
    let whole = std::fs::read(dir.path().join("tail/1")).unwrap();
    for cut in (0..=6 * SECTOR + 9).filter(|cut| cut % 7 == 0 || cut % SECTOR < 3) {
        let copied = tempfile::tempdir().unwrap();
        copy(dir.path(), copied.path());
        let tail = copied.path().join("tail/1");
        std::fs::write(&tail, &whole[..cut as usize]).unwrap();
        let groups = (cut / SECTOR).saturating_sub(1).min(5);
        let verdict = verify_dir(copied.path(), None);
        if groups < 2 {
            // The checkpoint signs two entries.
            assert_eq!(file_of(&verdict.unwrap_err()), "tail/1", "cut at {cut}");
            assert!(open(copied.path()).is_err(), "cut at {cut}");
            continue;
        }
        let report = verdict.unwrap();
        let good = (groups + 1) * SECTOR;
        assert_eq!(report.entries, groups, "cut at {cut}");
        let torn = report.torn_tail.map(|torn| (torn.number, torn.offset));
        assert_eq!(torn, (cut > good).then_some((1, good)), "cut at {cut}");
        // Opening keeps what is whole, cuts the rest, and goes on.
        let log = open(copied.path()).unwrap();
        assert_eq!(log.size(), groups);
        assert_eq!(std::fs::metadata(&tail).unwrap().len(), good);
        assert_eq!(log.append(vec![entry(99)]).await.unwrap()[0].index, groups);
        drop(log);
        assert_eq!(verify_dir(copied.path(), None).unwrap().torn_tail, None);
    }
}
