use hpc_audit::{AuditError, AuditLog as _, VerifierKey, export, verify_bundle};
use hpc_audit_file::{Against, Config, DirError, FileAuditLog, Progress, check_dir, verify_dir};

use crate::world::{append, copy, entry, files, keys, open};

#[tokio::test]
async fn a_log_returns_after_closing() {
    let dir = tempfile::tempdir().unwrap();
    let mut checkpoints = Vec::new();
    for round in 0..4 {
        let log = open(dir.path()).unwrap();
        assert_eq!(log.size(), round * 300);
        append(&log, round * 300, (round + 1) * 300).await;
        assert!(log.append(vec![entry(0)]).await.unwrap()[0].repeated);
        checkpoints.push(log.checkpoint().await.unwrap().checkpoint().clone());
        for pair in checkpoints.windows(2) {
            let proof = log.consistency(pair[0].size, pair[1].size).await.unwrap();
            assert_eq!(proof.verify(&pair[0].root, &pair[1].root), Ok(()));
        }
        log.close().await.unwrap();
        let report = verify_dir(dir.path(), Some(&log.verifier_key().to_string())).unwrap();
        assert!(report.is_clean() && report.key_trusted, "{report:?}");
    }
    let log = open(dir.path()).unwrap();
    let bundle = export(&log, 250..1100).await.unwrap();
    assert_eq!(verify_bundle(&bundle, Some(&log.verifier_key())).unwrap().entries.len(), 850);
}

#[tokio::test]
async fn only_one_program_has_the_log_open() {
    let dir = tempfile::tempdir().unwrap();
    let log = open(dir.path()).unwrap();
    assert_eq!(open(dir.path()).err(), Some(DirError::InUse));
    assert_eq!(verify_dir(dir.path(), None), Err(DirError::InUse));
    log.close().await.unwrap();
    // A closed log is free, and its owner still reads.
    verify_dir(dir.path(), None).unwrap();
    assert_eq!(log.append(vec![entry(1)]).await, Err(AuditError::Closed));
    assert_eq!(log.close().await, Err(AuditError::Closed));
    assert!(matches!(log.checkpoint().await, Err(AuditError::Closed)));
    assert_eq!(log.entries(0, 1).await, Ok(vec![]));
    drop(open(dir.path()).unwrap());
}

#[tokio::test]
async fn a_log_belongs_to_one_key_and_one_name() {
    let dir = tempfile::tempdir().unwrap();
    let log = open(dir.path()).unwrap();
    append(&log, 0, 3).await;
    log.close().await.unwrap();
    let other = FileAuditLog::open(dir.path(), keys(2), Config::new("test.example/audit"));
    assert!(matches!(other.err(), Some(DirError::OtherKey { .. })));
    let other = FileAuditLog::open(dir.path(), keys(1), Config::new("test.example/other"));
    assert!(matches!(other.err(), Some(DirError::OtherKey { .. })));
    let other = FileAuditLog::open(dir.path(), keys(1), Config::new("no name"));
    assert!(matches!(other.err(), Some(DirError::Key(_))));
    let wrong = VerifierKey::new("test.example/audit", keys(2).public_key()).unwrap().to_string();
    assert!(matches!(verify_dir(dir.path(), Some(&wrong)), Err(DirError::OtherKey { .. })));
    assert!(matches!(verify_dir(dir.path(), Some("nonsense")), Err(DirError::OtherKey { .. })));
    // The whole log of another key in its place: it agrees with itself, and the caller's key tells.
    let foreign = tempfile::tempdir().unwrap();
    let log = FileAuditLog::open(foreign.path(), keys(2), Config::new("test.example/audit")).unwrap();
    log.close().await.unwrap();
    assert!(!verify_dir(foreign.path(), None).unwrap().key_trusted);
    let right = VerifierKey::new("test.example/audit", keys(1).public_key()).unwrap().to_string();
    assert!(matches!(verify_dir(foreign.path(), Some(&right)), Err(DirError::OtherKey { .. })));
}

#[tokio::test]
async fn no_private_key_is_in_the_folder() {
    let dir = tempfile::tempdir().unwrap();
    let log = open(dir.path()).unwrap();
    append(&log, 0, 3).await;
    log.close().await.unwrap();
    for file in files(dir.path()) {
        let bytes = std::fs::read(dir.path().join(&file)).unwrap();
        assert!(!bytes.windows(32).any(|window| window == [1; 32]), "{file}");
    }
}

#[tokio::test]
async fn a_missing_or_foreign_file_is_named() {
    let dir = tempfile::tempdir().unwrap();
    let log = open(dir.path()).unwrap();
    append(&log, 0, 300).await;
    log.close().await.unwrap();
    for file in files(dir.path()) {
        let copied = tempfile::tempdir().unwrap();
        copy(dir.path(), copied.path());
        std::fs::remove_file(copied.path().join(&file)).unwrap();
        match verify_dir(copied.path(), None) {
            // A copy needs no lock.
            Ok(_) => assert_eq!(file, "lock"),
            // Which file of the tail is missing cannot be known when it is the only one.
            Err(error) if file.starts_with("tail/") => {
                assert_eq!(error, DirError::Missing { file: "tail".into() });
            }
            Err(error) => assert_eq!(error, DirError::Missing { file: file.clone() }),
        }
        assert_eq!(open(copied.path()).is_ok(), file == "lock", "{file}");
    }
    for file in [
        "notes.txt",
        "tile/0/002",
        "tile/entries/001.p/99",
        "tile/0/1",
        "tile/x",
        "tail.old",
        "tail/x",
        "tail/01",
        "other.tmp",
    ] {
        let copied = tempfile::tempdir().unwrap();
        copy(dir.path(), copied.path());
        std::fs::create_dir_all(copied.path().join(file).parent().unwrap()).unwrap();
        std::fs::write(copied.path().join(file), b"x").unwrap();
        assert_eq!(verify_dir(copied.path(), None), Err(DirError::Unexpected { file: file.to_owned() }));
        assert!(open(copied.path()).is_err());
    }
    let link = dir.path().join("link");
    std::os::unix::fs::symlink(dir.path().join("checkpoint"), &link).unwrap();
    assert_eq!(verify_dir(dir.path(), None), Err(DirError::Unexpected { file: "link".into() }));
    std::fs::remove_file(link).unwrap();
    std::fs::write(dir.path().join("lock"), b"x").unwrap();
    assert!(matches!(verify_dir(dir.path(), None), Err(DirError::Damaged { file, .. }) if file == "lock"));
}

#[tokio::test]
async fn half_written_files_are_told_and_then_removed() {
    let dir = tempfile::tempdir().unwrap();
    let log = open(dir.path()).unwrap();
    append(&log, 0, 3).await;
    log.close().await.unwrap();
    for name in ["checkpoint.tmp", "tail/7.tmp", "tile/0/000.tmp", "tile/0/000.p/9.tmp"] {
        std::fs::write(dir.path().join(name), b"half").unwrap();
    }
    let report = verify_dir(dir.path(), None).unwrap();
    assert_eq!(report.unfinished.len(), 4);
    assert!(!report.is_clean());
    open(dir.path()).unwrap().close().await.unwrap();
    assert!(verify_dir(dir.path(), None).unwrap().is_clean());
}

#[tokio::test]
async fn a_folder_of_the_first_layout_is_refused_with_a_word() {
    let dir = tempfile::tempdir().unwrap();
    open(dir.path()).unwrap().close().await.unwrap();
    std::fs::remove_dir_all(dir.path().join("tail")).unwrap();
    std::fs::write(dir.path().join("tail"), b"hpc-tail").unwrap();
    for error in [verify_dir(dir.path(), None).unwrap_err(), open(dir.path()).err().unwrap()] {
        assert!(error.to_string().contains("a layout that this version does not read"), "{error}");
    }
}

#[tokio::test]
async fn a_file_of_the_tail_cannot_go_missing() {
    let dir = tempfile::tempdir().unwrap();
    let log = open(dir.path()).unwrap();
    let mut count = 0;
    // Nothing is published, so every file stays.
    while files(dir.path()).iter().filter(|file| file.starts_with("tail/")).count() < 5 {
        append(&log, count, count + 40).await;
        count += 40;
    }
    drop(log);
    let tail: Vec<String> = files(dir.path()).into_iter().filter(|file| file.starts_with("tail/")).collect();
    assert_eq!(tail, ["tail/1", "tail/2", "tail/3", "tail/4", "tail/5"]);
    assert_eq!(verify_dir(dir.path(), None).unwrap().entries, count);
    for (at, file) in tail.iter().enumerate().take(3) {
        let copied = tempfile::tempdir().unwrap();
        copy(dir.path(), copied.path());
        std::fs::remove_file(copied.path().join(file)).unwrap();
        let error = verify_dir(copied.path(), None).unwrap_err();
        match at {
            0 => assert!(matches!(error, DirError::Damaged { file, .. } if file == "checkpoint")),
            _ => assert_eq!(error, DirError::Missing { file: file.clone() }),
        }
        assert!(open(copied.path()).is_err());
        // One in the place of another.
        let copied = tempfile::tempdir().unwrap();
        copy(dir.path(), copied.path());
        std::fs::copy(dir.path().join("tail/4"), copied.path().join(file)).unwrap();
        assert!(
            matches!(verify_dir(copied.path(), None), Err(DirError::Damaged { file: named, .. }) if named == *file)
        );
    }
}

#[tokio::test]
async fn a_head_covers_what_is_acknowledged_and_publishes_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let log = open(dir.path()).unwrap();
    let note = std::fs::read(dir.path().join("checkpoint")).unwrap();
    assert_eq!(log.head().await.unwrap().to_string().into_bytes(), note);
    let mut heads = Vec::new();
    for n in [1, 2, 300] {
        append(&log, n, 2 * n).await;
        let head = log.head().await.unwrap();
        assert_eq!(head.checkpoint().size, log.size());
        assert_eq!(log.head().await.unwrap(), head);
        heads.push(head);
    }
    assert_eq!(std::fs::read(dir.path().join("checkpoint")).unwrap(), note);
    // What is published later is the same, byte for byte.
    assert_eq!(log.checkpoint().await.unwrap(), heads[2]);
    for pair in heads.windows(2) {
        let (old, new) = (pair[0].checkpoint(), pair[1].checkpoint());
        let proof = log.consistency(old.size, new.size).await.unwrap();
        assert_eq!(proof.verify(&old.root, &new.root), Ok(()));
    }
    log.close().await.unwrap();
    assert_eq!(log.head().await.unwrap(), heads[2]);
}

#[tokio::test]
async fn a_folder_that_lost_its_key_file_is_not_begun_anew() {
    for count in [0, 1, 300] {
        let dir = tempfile::tempdir().unwrap();
        let log = open(dir.path()).unwrap();
        append(&log, 0, count).await;
        if count == 300 {
            log.close().await.unwrap();
        }
        drop(log);
        std::fs::remove_file(dir.path().join("log.vkey")).unwrap();
        let again = open(dir.path());
        match count {
            0 => assert_eq!(again.unwrap().size(), 0),
            _ => assert_eq!(again.err(), Some(DirError::Missing { file: "log.vkey".into() })),
        }
    }
    let strange = tempfile::tempdir().unwrap();
    std::fs::write(strange.path().join("thesis.txt"), b"mine").unwrap();
    assert_eq!(open(strange.path()).err(), Some(DirError::Unexpected { file: "thesis.txt".into() }));
}

/// What c2sp.org/tlog-tiles asks of a reader that knows nothing of this software: fetch tiles, fold them, compare.
#[tokio::test]
async fn the_tiles_are_those_of_the_published_format() {
    use hpc_crypto::checkpoint::SignedCheckpoint;
    use hpc_crypto::merkle::{MerkleTree, Profile};
    use hpc_crypto::tile::{Tile, TileKind, entries_of};

    let dir = tempfile::tempdir().unwrap();
    let log = open(dir.path()).unwrap();
    append(&log, 0, 700).await;
    log.close().await.unwrap();
    let note = std::fs::read(dir.path().join("checkpoint")).unwrap();
    let signed = SignedCheckpoint::open(&note, &log.verifier_key()).unwrap();
    let mut tree = MerkleTree::new(Profile::Rfc6962Sha256);
    for tile in Tile::row(TileKind::Entries, 700) {
        let bytes = std::fs::read(dir.path().join(tile.to_string())).unwrap();
        let entries = entries_of(&bytes).unwrap();
        assert_eq!(entries.len(), usize::from(tile.width()));
        entries.iter().for_each(|entry| drop(tree.append(entry)));
    }
    assert_eq!(tree.root(), signed.checkpoint().root);
    let level0: Vec<u8> = Tile::row(TileKind::Hashes(0), 700)
        .flat_map(|tile| std::fs::read(dir.path().join(tile.to_string())).unwrap())
        .collect();
    assert_eq!(level0.chunks(32).count(), 700);
    assert!((0..700).all(|i| tree.leaf_hash(i).unwrap().as_bytes()[..] == level0[i as usize * 32..][..32]));
}

/// What was proved under heads that nobody published stays proved: through a stop without a word, and in later checkpoints.
#[tokio::test]
async fn heads_stay_true_when_the_log_is_opened_again() {
    let dir = tempfile::tempdir().unwrap();
    let mut heads = Vec::new();
    for round in 0..4 {
        let log = open(dir.path()).unwrap();
        assert_eq!(log.head().await.unwrap().checkpoint().size, round * 300);
        for step in 0..3 {
            append(&log, round * 300 + step * 100, round * 300 + step * 100 + 100).await;
            // Full tiles, and the next file of the tail, are written whenever they are due.
            let checkpoint = || std::fs::read(dir.path().join("checkpoint")).unwrap();
            let before = checkpoint();
            heads.push(log.head().await.unwrap().checkpoint().clone());
            assert_eq!(checkpoint(), before, "a head publishes nothing");
        }
        if round == 2 {
            log.close().await.unwrap();
        }
    }
    let log = open(dir.path()).unwrap();
    let last = log.checkpoint().await.unwrap().checkpoint().clone();
    assert_eq!(heads.last(), Some(&last));
    for head in heads {
        let proof = log.consistency(head.size, last.size).await.unwrap();
        assert_eq!(proof.verify(&head.root, &last.root), Ok(()), "{head}");
    }
}

#[tokio::test]
async fn a_log_contains_what_it_once_signed() {
    let (dir, earlier) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let log = open(dir.path()).unwrap();
    let mut notes = vec![log.checkpoint().await.unwrap().to_string()];
    for round in 0..4 {
        append(&log, round * 150, (round + 1) * 150).await;
        notes.push(log.checkpoint().await.unwrap().to_string());
        if round == 1 {
            copy(dir.path(), earlier.path());
        }
    }
    log.close().await.unwrap();
    let check = |dir: &std::path::Path, note: &str| {
        check_dir(dir, &Against { vkey: None, remembered: Some(note.as_bytes()) }, |_| ())
    };
    for note in &notes {
        assert!(check(dir.path(), note).unwrap().is_clean());
    }
    // The folder of earlier agrees with itself; who remembers sees that it went back.
    assert_eq!(verify_dir(earlier.path(), None).unwrap().entries, 300);
    let error = check(earlier.path(), &notes[3]).unwrap_err();
    assert!(matches!(error, DirError::Rollback { .. }), "{error}");
    assert!(
        error.to_string().contains("300 entries") && error.to_string().contains("450 entries"),
        "{error}"
    );
    // The same key signs another history.
    let other = tempfile::tempdir().unwrap();
    let log = open(other.path()).unwrap();
    append(&log, 0, 299).await;
    append(&log, 1000, 1500).await;
    let forked = log.checkpoint().await.unwrap();
    log.close().await.unwrap();
    for (note, split) in notes.iter().zip([false, false, true, true, true]) {
        match check(other.path(), note) {
            Ok(report) => assert!(report.is_clean() && !split, "{note}"),
            Err(error) => {
                assert!(matches!(error, DirError::SplitView { .. }) && split, "{error}");
                assert!(error.to_string().contains(&forked.checkpoint().root.to_string()), "{error}");
            }
        }
    }
    // A checkpoint of somebody else proves nothing, and neither does a changed one.
    let foreign = tempfile::tempdir().unwrap();
    let log = FileAuditLog::open(foreign.path(), keys(2), Config::new("test.example/audit")).unwrap();
    let note = log.checkpoint().await.unwrap().to_string();
    for note in [note.as_str(), &notes[2].replace("300", "301"), "no note"] {
        assert!(matches!(check(dir.path(), note), Err(DirError::Remembered(_))), "{note}");
    }
}

#[tokio::test]
async fn a_check_says_how_far_it_is() {
    let dir = tempfile::tempdir().unwrap();
    let log = open(dir.path()).unwrap();
    append(&log, 0, 600).await;
    log.checkpoint().await.unwrap();
    append(&log, 600, 700).await;
    drop(log);
    let mut seen = Vec::new();
    check_dir(dir.path(), &Against::default(), |progress| seen.push(progress)).unwrap();
    let expected = [256, 512, 700].map(|entries_done| Progress { entries_done, entries: 700 });
    assert_eq!(seen, expected);
}
