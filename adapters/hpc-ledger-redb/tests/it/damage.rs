//! Damaged files: a typed error or the right content, never a panic and never a new empty ledger.

use std::path::{Path, PathBuf};

use hpc_ledger::{Key, Ledger, LedgerError, Range, Transaction};
use hpc_ledger_redb::{Options, RedbLedger};
use tempfile::TempDir;

const KEYS: usize = 300;

/// A ledger file with some content, closed cleanly.
async fn sample() -> (TempDir, PathBuf, Vec<u8>) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("ledger.redb");
    let ledger = RedbLedger::open(&path, Options::default()).unwrap();
    for block in 0..6 {
        let mut filling = Transaction::new();
        for index in 0..KEYS / 6 {
            filling = filling.put(key(block * KEYS / 6 + index), vec![block as u8; 200]);
        }
        ledger.commit(filling).await.unwrap();
    }
    drop(ledger);
    let bytes = std::fs::read(&path).unwrap();
    (folder, path, bytes)
}

fn key(index: usize) -> Key {
    Key::parse(&format!("k/{index:04}")).unwrap()
}

/// Opens and reads everything; an error must be `Corrupt` and name the file.
async fn judge(path: &Path, options: Options) -> Result<usize, LedgerError> {
    let judged = async {
        let ledger = RedbLedger::open(path, options)?;
        let page = ledger.range(&Range::prefix("")).await?;
        for (key, read) in &page.entries {
            assert_eq!(read.value.len(), 200, "{key}: a wrong value was served");
            assert!(read.value.iter().all(|byte| *byte == read.value[0]), "{key}: a wrong value was served");
        }
        if page.revision > 0 {
            let mut watch = ledger.watch("", 0).await?;
            for _ in 0..page.entries.len() {
                watch.next().await?;
            }
        }
        ledger.commit(Transaction::new().expect_absent(key(9999)).put(key(9999), vec![9; 200])).await?;
        Ok(page.entries.len())
    };
    let judged = judged.await;
    if let Err(error) = &judged {
        assert!(matches!(error, LedgerError::Corrupt { .. }), "{error:?}");
        let message = error.to_string();
        assert!(
            message.contains(&path.display().to_string()) && message.contains("restore a backup"),
            "{message}"
        );
    }
    judged
}

#[tokio::test]
async fn a_cut_file_is_damaged_wherever_it_is_cut() {
    let (_folder, path, bytes) = sample().await;
    let mut lengths: Vec<usize> = vec![0, 1, 8, 9, 63, 64, 127, 128, 319, 320, 512, 4095, 4096, 4097];
    lengths.extend((1..40).map(|step| bytes.len() * step / 40));
    lengths.extend([bytes.len() - 4096, bytes.len() - 1]);
    for length in lengths {
        std::fs::write(&path, &bytes[..length]).unwrap();
        let judged = judge(&path, Options::default()).await;
        // Cutting only free pages at the end may leave everything readable; anything less must be refused.
        assert!(judged.is_err() || judged == Ok(KEYS), "cut at {length}: {judged:?}");
        if length < 4096 {
            assert!(judged.is_err(), "cut at {length}");
        }
    }
}

#[tokio::test]
async fn garbage_is_no_ledger() {
    let (_folder, path, bytes) = sample().await;
    for garbage in [
        b"not a ledger at all".to_vec(),
        vec![0; 8192],
        vec![0xff; 100_000],
        b"SQLite format 3\0".repeat(1000),
        {
            let mut half = bytes.clone();
            half[..64].fill(0);
            half
        },
        {
            let mut half = bytes.clone();
            half[16..320].fill(0xa5);
            half
        },
        {
            let mut half = bytes.clone();
            half[4096..].fill(0);
            half
        },
    ] {
        std::fs::write(&path, &garbage).unwrap();
        judge(&path, Options::default()).await.expect_err("garbage was opened");
    }
}

#[tokio::test]
async fn flipped_bits_are_found_or_harmless() {
    let (_folder, path, bytes) = sample().await;
    let (mut found, mut harmless) = (0, 0);
    for step in 0..400_usize {
        let mut flipped = bytes.clone();
        // The header densely, the rest by a step that is no multiple of a page.
        let at = if step < 100 { step * 3 } else { (step * 7919) % bytes.len() };
        flipped[at] ^= 1 << (step % 8);
        std::fs::write(&path, &flipped).unwrap();
        match judge(&path, Options::default()).await {
            Ok(KEYS) => harmless += 1,
            Ok(other) => panic!("bit {} of byte {at}: {other} keys", step % 8),
            Err(_) => found += 1,
        }
    }
    assert!(found > 20 && harmless > 20, "{found} found, {harmless} harmless");
}

#[tokio::test]
async fn without_verification_no_wrong_value_is_served_either() {
    let (_folder, path, bytes) = sample().await;
    for step in 0..300_usize {
        let mut flipped = bytes.clone();
        let at = 4096 + (step * 7919) % (bytes.len() - 4096);
        flipped[at] ^= 1 << (step % 8);
        std::fs::write(&path, &flipped).unwrap();
        let _ = judge(&path, Options::default().verify_on_open(false)).await;
    }
}
