//! Openings that check everything and openings that check the end, on logs with several chunks of index.

use std::path::Path;

use hpc_audit::{AuditError, AuditLog as _, Entry, Outcome, PROFILE, Search};
use hpc_crypto::merkle::MerkleTree;
use hpc_crypto::signing::KeyPair;

use crate::index::CHUNK_ENTRIES;
use crate::{Config, DirError, FileAuditLog, IndexReport, verify_dir};

fn open(dir: &Path, opening_check_max: u64) -> Result<FileAuditLog, DirError> {
    let config = Config { opening_check_max, ..Config::new("test.example/audit") };
    FileAuditLog::open(dir, KeyPair::from_seed([3; 32]), config)
}

fn entry(n: u64) -> Entry {
    let at = "2026-11-23T15:00:00Z".parse().unwrap();
    Entry::new(format!("id-{n}"), at, "alice", "lease.active", Outcome::Ok)
        .subject("lease", format!("lse_{n}"))
}

async fn append(log: &FileAuditLog, from: u64, to: u64) {
    for chunk in (from..to).collect::<Vec<_>>().chunks(1000) {
        let receipts = log.append(chunk.iter().map(|n| entry(*n)).collect()).await.unwrap();
        assert!(receipts.iter().zip(chunk).all(|(receipt, n)| receipt.index == *n && !receipt.repeated));
    }
}

async fn closed(dir: &Path, entries: u64) {
    let log = open(dir, u64::MAX).unwrap();
    append(&log, 0, entries).await;
    log.close().await.unwrap();
}

fn flip(dir: &Path, file: &str, at: usize) {
    let path = dir.join(file);
    let mut bytes = std::fs::read(&path).unwrap();
    bytes[at] ^= 1;
    std::fs::write(path, bytes).unwrap();
}

#[tokio::test]
async fn a_large_log_is_opened_at_its_end_and_goes_on_as_if_all_had_been_read() {
    let dir = tempfile::tempdir().unwrap();
    let mut tree = MerkleTree::new(PROFILE);
    let mut size = 0;
    // Sizes around the borders of bundles, of tiles and of what the index writes at once.
    for next in [511, 512, 513, 1023, 1024, 1025, 1280, 1791, 1792, 2305, 65_535, 65_536, 65_537, 66_100] {
        let log = open(dir.path(), 400).unwrap();
        assert_eq!(log.size(), size);
        let from = log.opening().checked_from;
        // The tail of a log that was not closed begins earlier.
        assert!(from.is_multiple_of(CHUNK_ENTRIES) && from <= size, "{from}");
        assert!(size % 2 == 1 || size < 400 || from == size - size % CHUNK_ENTRIES, "{from}");
        assert_eq!((log.opening().entries, &log.opening().index), (size, &IndexReport::default()));
        append(&log, size, next).await;
        (size..next).for_each(|n| drop(tree.append(&entry(n).encode().unwrap())));
        let signed = log.checkpoint().await.unwrap();
        assert_eq!((signed.checkpoint().size, signed.checkpoint().root), (next, tree.root()));
        // Ids of all ages are known, and every search finds.
        for n in [0, size / 3, size.saturating_sub(1), next - 1] {
            let receipt = log.append(vec![entry(n)]).await.unwrap().remove(0);
            assert_eq!((receipt.index, receipt.repeated), (n, true));
            let search = Search { subject: Some(format!("lse_{n}")), ..Search::default() };
            let page = log.search(&search).await.unwrap();
            assert_eq!((page.hits.len(), page.hits[0].index, page.complete), (1, n, true));
            assert_eq!(page.covered, 0..next);
            let proof = log.inclusion(n, next).await.unwrap();
            assert_eq!(proof.verify(&receipt.leaf_hash, &tree.root()), Ok(()));
        }
        // Closed in order, and not.
        if next % 2 == 0 {
            log.close().await.unwrap();
        }
        drop(log);
        size = next;
    }
    assert_eq!(verify_dir(dir.path(), None).unwrap().entries, size);
    let log = open(dir.path(), size).unwrap();
    assert!(log.opening().is_complete());
    drop(log);
    assert!(!open(dir.path(), size - 1).unwrap().opening().is_complete());
}

#[tokio::test]
async fn damage_at_the_end_of_a_large_log_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    closed(dir.path(), 1300).await;
    for file in [
        "checkpoint",
        "log.vkey",
        "tile/0/004",
        "tile/0/005.p/20",
        "tile/1/000.p/5",
        "tile/entries/004",
        "tile/entries/005.p/20",
    ] {
        let length = std::fs::metadata(dir.path().join(file)).unwrap().len() as usize;
        for at in [0, length / 2, length - 1] {
            flip(dir.path(), file, at);
            let refused = open(dir.path(), 400).err();
            assert!(refused.is_some(), "`{file}` byte {at}");
            flip(dir.path(), file, at);
        }
    }
    for file in ["tile/0/001", "tile/entries/000", "tile/1/000.p/5"] {
        let bytes = std::fs::read(dir.path().join(file)).unwrap();
        std::fs::remove_file(dir.path().join(file)).unwrap();
        assert_eq!(open(dir.path(), 400).err(), Some(DirError::Missing { file: file.to_owned() }));
        std::fs::write(dir.path().join(file), bytes).unwrap();
    }
    assert_eq!(open(dir.path(), 400).unwrap().opening().checked_from, 1024);
}

#[tokio::test]
async fn damage_in_the_middle_of_a_large_log_is_found_by_reading_there_and_by_the_check() {
    let dir = tempfile::tempdir().unwrap();
    closed(dir.path(), 1300).await;
    // A letter of an entry, so that it is still one in canonical form.
    let bundle = std::fs::read(dir.path().join("tile/entries/001")).unwrap();
    let at = bundle.windows(5).position(|window| window == b"alice").unwrap();
    flip(dir.path(), "tile/entries/001", at);
    let log = open(dir.path(), 400).unwrap();
    assert_eq!(log.opening().checked_from, 1024);
    assert_eq!(log.entries(0, 256).await.unwrap().len(), 256);
    assert_eq!(log.entries(512, 700).await.unwrap().len(), 700);
    for outcome in [log.entries(256, 1).await, log.entries(200, 100).await] {
        let Err(AuditError::Damaged { place, .. }) = outcome else { panic!("{outcome:?}") };
        assert!(place.contains("tile/entries/001"), "{place}");
    }
    // A search that comes there says so instead of leaving it out.
    assert!(matches!(
        log.search(&Search { limit: 1000, ..Search::default() }).await,
        Err(AuditError::Damaged { .. })
    ));
    // So does an append that would be a repetition of what cannot be read; others go on.
    assert!(matches!(log.append(vec![entry(256)]).await, Err(AuditError::Damaged { .. })));
    append(&log, 1300, 1301).await;
    log.close().await.unwrap();
    let error = verify_dir(dir.path(), None).unwrap_err();
    assert!(matches!(&error, DirError::Damaged { file, .. } if file == "tile/entries/001"), "{error}");
    assert_eq!(open(dir.path(), u64::MAX).err(), Some(error));
}

#[tokio::test]
async fn a_damaged_index_is_told_by_the_check_and_made_anew_by_opening() {
    let dir = tempfile::tempdir().unwrap();
    closed(dir.path(), 1300).await;
    for (file, at) in [("index/ids-0-0", 40), ("index/ids-0-1", 5000), ("index/terms-1", 900)] {
        flip(dir.path(), file, at);
        let error = verify_dir(dir.path(), None).unwrap_err();
        assert!(matches!(&error, DirError::Damaged { file: named, .. } if named == file), "{error}");
        let log = open(dir.path(), u64::MAX).unwrap();
        assert_eq!(log.opening().index.made_anew, [file]);
        for n in [0, 600, 1299] {
            assert!(log.append(vec![entry(n)]).await.unwrap()[0].repeated);
        }
        drop(log);
        verify_dir(dir.path(), None).unwrap();
    }
}

/// An opening that checks the end does not see it; the append that needs it is refused, and the next opening mends it.
#[tokio::test]
async fn a_run_found_damaged_in_use_is_never_guessed_around() {
    let dir = tempfile::tempdir().unwrap();
    closed(dir.path(), 1300).await;
    for page in 0..3 {
        flip(dir.path(), "index/ids-0-0", 32 + page * 4096 + 10);
    }
    let log = open(dir.path(), 400).unwrap();
    let error = log.append(vec![entry(5)]).await.unwrap_err();
    assert!(
        matches!(&error, AuditError::Unwritable { reason } if reason.contains("index/ids-0-0")),
        "{error}"
    );
    drop(log);
    let log = open(dir.path(), 400).unwrap();
    assert_eq!(log.opening().index.made_anew, ["index/ids-0-0"]);
    assert!(log.append(vec![entry(5)]).await.unwrap()[0].repeated);
}
