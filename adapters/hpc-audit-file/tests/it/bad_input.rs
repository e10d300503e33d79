//! What must not be believed: one case for each kind, each with the error that names it. Torn last writes are in `flips`,
//! every cut of them.

use std::path::Path;

use hpc_audit::{AuditError, AuditLog as _, Checkpoint, Hash, Search, SignedCheckpoint};
use hpc_audit_file::{Against, Config, DirError, FileAuditLog, check_dir, verify_dir};
use hpc_crypto::CryptoError;
use hpc_crypto::note::NoteSigner;

use crate::world::{append, copy, entry, keys, open};

const ORIGIN: &str = "test.example/audit";

/// A closed log of 300 entries.
async fn folder() -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    let log = open(dir.path()).unwrap();
    append(&log, 0, 300).await;
    log.close().await.unwrap();
    dir
}

fn change(dir: &Path, file: &str, change: impl FnOnce(&mut Vec<u8>)) {
    let path = dir.join(file);
    let mut bytes = std::fs::read(&path).unwrap();
    change(&mut bytes);
    std::fs::write(path, bytes).unwrap();
}

/// The file and the reason of a damage that the check and an opening find alike.
fn damage(dir: &Path) -> (String, String) {
    let error = verify_dir(dir, None).unwrap_err();
    assert_eq!(open(dir).err(), Some(error.clone()));
    match error {
        DirError::Damaged { file, reason, .. } => (file, reason),
        other => panic!("{other}"),
    }
}

fn note(size: u64, root: Hash, seed: u8) -> String {
    let signer = NoteSigner::new(ORIGIN, keys(seed)).unwrap();
    let checkpoint = Checkpoint { origin: ORIGIN.to_owned(), size, root, extensions: Vec::new() };
    checkpoint.sign(&signer).unwrap().to_string()
}

#[tokio::test]
async fn a_truncated_tile() {
    for file in ["tile/0/000", "tile/0/001.p/44", "tile/1/000.p/1", "tile/entries/001.p/44"] {
        for cut in [1, 32] {
            let dir = folder().await;
            change(dir.path(), file, |bytes| bytes.truncate(bytes.len() - cut));
            assert_eq!(damage(dir.path()).0, file);
        }
    }
    // While the log is open, reading from such a tile says so too.
    let dir = folder().await;
    let log = open(dir.path()).unwrap();
    change(dir.path(), "tile/0/000", |bytes| bytes.truncate(100));
    assert!(matches!(log.inclusion(3, 300).await, Err(AuditError::Damaged { .. })));
    change(dir.path(), "tile/entries/000", |bytes| bytes.truncate(100));
    assert!(matches!(log.entries(3, 1).await, Err(AuditError::Damaged { .. })));
    assert!(matches!(log.search(&Search::default()).await, Err(AuditError::Damaged { .. })));
}

#[tokio::test]
async fn a_wrong_key() {
    let dir = folder().await;
    let other = FileAuditLog::open(dir.path(), keys(2), Config::new(ORIGIN)).err();
    assert!(matches!(other, Some(DirError::OtherKey { .. })));
    // A checkpoint that another key signed, under the same name.
    let root = SignedCheckpoint::open(
        &std::fs::read(dir.path().join("checkpoint")).unwrap(),
        &open(dir.path()).unwrap().verifier_key(),
    );
    let root = root.unwrap().checkpoint().root;
    std::fs::write(dir.path().join("checkpoint"), note(300, root, 2)).unwrap();
    assert_eq!(damage(dir.path()).0, "checkpoint");
}

#[tokio::test]
async fn an_unknown_signature_in_the_checkpoint() {
    let dir = folder().await;
    // Of a type and of a key that nobody here knows; the log's own signature stays.
    change(dir.path(), "checkpoint", |bytes| {
        bytes.extend_from_slice("— witness.example/w1 BgAAAP//////////\n".as_bytes());
    });
    let (file, reason) = damage(dir.path());
    assert_eq!((file.as_str(), reason.as_str()), ("checkpoint", "carries a signature that is not the log's"));
}

#[tokio::test]
async fn a_checkpoint_that_goes_back() {
    let dir = tempfile::tempdir().unwrap();
    let log = open(dir.path()).unwrap();
    append(&log, 0, 200).await;
    let old = log.checkpoint().await.unwrap().to_string();
    append(&log, 200, 300).await;
    let new = log.checkpoint().await.unwrap().to_string();
    log.close().await.unwrap();
    std::fs::write(dir.path().join("checkpoint"), &old).unwrap();
    let (file, reason) = damage(dir.path());
    assert_eq!(file, "checkpoint");
    assert!(reason.contains("it was put back"), "{reason}");
    let against = Against { vkey: None, remembered: Some(new.as_bytes()) };
    let error = check_dir(dir.path(), &against, |_| ()).unwrap_err();
    assert!(matches!(error, DirError::Rollback { .. }), "{error}");
}

#[tokio::test]
async fn a_proof_for_another_size() {
    let dir = folder().await;
    let log = open(dir.path()).unwrap();
    let root = log.checkpoint().await.unwrap().checkpoint().root;
    let leaf = log.entries(7, 1).await.unwrap().remove(0).leaf_hash;
    let mut proof = log.inclusion(7, 299).await.unwrap();
    assert_eq!(proof.verify(&leaf, &root), Err(CryptoError::RootMismatch));
    proof.tree_size = 1 << 20;
    assert!(proof.verify(&leaf, &root).is_err());
    assert_eq!(log.inclusion(7, 300).await.unwrap().verify(&leaf, &root), Ok(()));
}

#[tokio::test]
async fn indices_past_the_end_and_sizes_of_2_to_the_63_and_beyond() {
    let dir = folder().await;
    let log = open(dir.path()).unwrap();
    let huge = [301, (1 << 63) - 1, 1 << 63, (1 << 63) + 1, u64::MAX];
    for size in huge {
        let refused = [
            log.inclusion(0, size).await.unwrap_err(),
            log.inclusion(size, size).await.unwrap_err(),
            log.inclusion(size - 1, 300).await.unwrap_err(),
            log.consistency(1, size).await.unwrap_err(),
            log.consistency(size, 300).await.unwrap_err(),
            log.consistency(size, size).await.unwrap_err(),
            log.entries(size, 1).await.unwrap_err(),
        ];
        for error in refused {
            assert!(matches!(error, AuditError::OutOfRange { .. }), "{size}: {error}");
        }
        let search = Search { after: Some(size), ..Search::default() };
        let page = log.search(&search).await.unwrap();
        assert_eq!((page.hits.len(), page.covered, page.complete), (0, 300..300, true));
    }
    drop(log);
    // The log's key signs a size that no folder holds: nothing is reserved for it, and nothing runs that long.
    for size in [301, 1 << 32, (1 << 63) - 1] {
        let copied = tempfile::tempdir().unwrap();
        copy(dir.path(), copied.path());
        std::fs::write(copied.path().join("checkpoint"), note(size, Hash::from_bytes([7; 32]), 1)).unwrap();
        // What it signs is not there.
        let error = verify_dir(copied.path(), None).unwrap_err();
        assert!(
            matches!(&error, DirError::Missing { file } if file.starts_with("tile/entries/001")),
            "{error}"
        );
        assert_eq!(open(copied.path()).err(), Some(error));
    }
    for size in ["9223372036854775808", "18446744073709551616"] {
        let copied = tempfile::tempdir().unwrap();
        copy(dir.path(), copied.path());
        change(copied.path(), "checkpoint", |bytes| {
            *bytes = String::from_utf8(bytes.clone()).unwrap().replacen("300", size, 1).into_bytes();
        });
        assert_eq!(damage(copied.path()).0, "checkpoint");
    }
}

#[tokio::test]
async fn note_text_that_is_not_canonical() {
    for (from, to) in [
        ("\n300\n", "\n0300\n"),
        ("\n300\n", "\n+300\n"),
        ("\n300\n", "\n300 \n"),
        ("\n300\n", "\r\n300\n"),
        ("\n300\n", "\n300\n\n"),
        ("test.example/audit\n300", " test.example/audit\n300"),
        ("\n\n— ", "\n\n-- "),
        ("=\n\n", "\n\n"),
    ] {
        let dir = folder().await;
        change(dir.path(), "checkpoint", |bytes| {
            let text = String::from_utf8(bytes.clone()).unwrap();
            assert!(text.contains(from), "{from:?}");
            *bytes = text.replacen(from, to, 1).into_bytes();
        });
        assert_eq!(damage(dir.path()).0, "checkpoint", "{from:?} to {to:?}");
    }
}

/// A real run: 65,536 entries, the least that have one.
#[tokio::test]
async fn a_damaged_run_of_the_index() {
    const RUN: &str = "index/ids-0-0";
    let dir = tempfile::tempdir().unwrap();
    let log = open(dir.path()).unwrap();
    append(&log, 0, 65_600).await;
    log.close().await.unwrap();
    assert!(verify_dir(dir.path(), None).unwrap().is_clean());
    let original = std::fs::read(dir.path().join(RUN)).unwrap();
    let sealed = |bytes: &mut [u8]| {
        let check = crc32fast::hash(&bytes[..28]).to_be_bytes();
        bytes[28..32].copy_from_slice(&check);
    };
    let page_sealed = |bytes: &mut [u8]| {
        let mut check = crc32fast::Hasher::new();
        check.update(&0_u64.to_be_bytes());
        check.update(&bytes[32..32 + 4092]);
        let check = check.finalize().to_be_bytes();
        bytes[32 + 4092..32 + 4096].copy_from_slice(&check);
    };
    type Change<'c> = &'c dyn Fn(&mut Vec<u8>);
    let cases: [(&str, Change<'_>); 7] = [
        ("does not fit its checksum", &|bytes| bytes[9] ^= 1),
        ("a page does not fit its checksum", &|bytes| bytes[5000] ^= 1),
        ("of a version that this program knows", &|bytes| {
            bytes[11] = 2;
            sealed(bytes);
        }),
        ("does not cover 65536 entries", &|bytes| {
            bytes[27] = 1;
            sealed(bytes);
        }),
        ("the ids are not sorted", &|bytes| {
            // The second and third id of the first page change places.
            let second: Vec<u8> = bytes[52..72].to_vec();
            bytes.copy_within(72..92, 52);
            bytes[72..92].copy_from_slice(&second);
            page_sealed(bytes);
        }),
        ("not the ids of the entries", &|bytes| {
            // The second id points at another entry.
            bytes[71] ^= 1;
            page_sealed(bytes);
        }),
        ("bytes instead of", &|bytes| bytes.truncate(100_000)),
    ];
    for (expected, change) in cases {
        let mut changed = original.clone();
        change(&mut changed);
        std::fs::write(dir.path().join(RUN), &changed).unwrap();
        let error = verify_dir(dir.path(), None).unwrap_err();
        let DirError::Damaged { file, reason, .. } = &error else { panic!("{error}") };
        assert!(file == RUN && reason.contains(expected), "{expected}: {error}");
    }
    // Opening makes it anew from the entries, the same byte by byte.
    let log = open(dir.path()).unwrap();
    assert_eq!(log.opening().index.made_anew, [RUN]);
    assert!(log.append(vec![entry(3)]).await.unwrap()[0].repeated);
    log.close().await.unwrap();
    assert!(std::fs::read(dir.path().join(RUN)).unwrap() == original);
}
