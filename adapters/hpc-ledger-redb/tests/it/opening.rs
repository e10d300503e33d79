//! Opening: locks, missing folders, formats.

use std::sync::Arc;

use hpc_ledger::{Key, Ledger, LedgerError, Range, Transaction};
use hpc_ledger_redb::{Options, RedbLedger};

fn open(path: &std::path::Path) -> Result<RedbLedger, LedgerError> {
    RedbLedger::open(path, Options::default())
}

#[tokio::test]
async fn a_second_opener_is_told_that_it_is_locked() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("ledger.redb");
    let first = open(&path).unwrap();
    let error = open(&path).unwrap_err();
    assert_eq!(error, LedgerError::Locked { location: path.display().to_string() });
    drop(first);
    open(&path).unwrap();
}

#[tokio::test]
async fn a_forgotten_watch_does_not_keep_the_lock() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("ledger.redb");
    let ledger = open(&path).unwrap();
    let mut watch = ledger.watch("", 0).await.unwrap();
    drop(ledger);
    let again = open(&path).unwrap();
    assert!(matches!(watch.next().await, Err(LedgerError::Unavailable { .. })));
    drop(again);
}

#[test]
fn what_cannot_be_opened_says_why_and_what_to_do() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("file");
    std::fs::write(&file, "text").unwrap();
    for (path, advice) in [
        (folder.path().join("missing/ledger.redb"), "create its folder first"),
        (folder.path().to_owned(), "it is a folder"),
        (file.join("ledger.redb"), "a part of the path is a file"),
    ] {
        match open(&path) {
            Err(LedgerError::Unavailable { reason }) => {
                assert!(reason.contains(advice) && reason.contains(&path.display().to_string()), "{reason}");
            }
            other => panic!("{}: {other:?}", path.display()),
        }
    }
    let absent = folder.path().join("absent.redb");
    assert!(RedbLedger::open(&absent, Options::default().create(false)).is_err());
    assert!(!absent.exists());
}

#[cfg(unix)]
#[test]
fn a_new_file_is_its_owners_and_leaves_no_draft() {
    use std::os::unix::fs::PermissionsExt;

    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("ledger.redb");
    drop(open(&path).unwrap());
    assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);

    let dangling = folder.path().join("dangling");
    std::os::unix::fs::symlink(folder.path().join("nowhere"), &dangling).unwrap();
    assert!(matches!(open(&dangling), Err(LedgerError::Unavailable { .. })));
}

#[test]
fn many_openers_of_a_new_path_make_one_ledger() {
    let folder = tempfile::tempdir().unwrap();
    let path = Arc::new(folder.path().join("ledger.redb"));
    let openers: Vec<_> = (0..8)
        .map(|_| {
            let path = Arc::clone(&path);
            std::thread::spawn(move || open(&path))
        })
        .collect();
    let opened: Vec<_> = openers.into_iter().map(|opener| opener.join().unwrap()).collect();
    assert_eq!(opened.iter().filter(|outcome| outcome.is_ok()).count(), 1);
    for error in opened.into_iter().filter_map(Result::err) {
        assert!(matches!(error, LedgerError::Locked { .. }), "{error}");
    }
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
}

#[test]
fn a_file_of_another_format_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("ledger.redb");
    let set_format = |number: u64| {
        let database = redb::Database::open(&path).unwrap();
        let transaction = database.begin_write().unwrap();
        let meta = redb::TableDefinition::<&str, u64>::new("meta");
        transaction.open_table(meta).unwrap().insert("schema_version", number).unwrap();
        transaction.commit().unwrap();
    };
    drop(open(&path).unwrap());
    set_format(2);
    let location = path.display().to_string();
    assert_eq!(open(&path).unwrap_err(), LedgerError::Format { location, found: 2, known: 1 });
    set_format(1);
    open(&path).unwrap();

    let other = folder.path().join("other.redb");
    drop(redb::Database::create(&other).unwrap());
    assert!(matches!(open(&other), Err(LedgerError::Corrupt { .. })));
}

#[tokio::test]
async fn a_small_cache_serves_a_larger_ledger() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("ledger.redb");
    let ledger = RedbLedger::open(&path, Options::default().cache_bytes(64 << 10)).unwrap();
    for block in 0..20 {
        let mut filling = Transaction::new();
        for index in 0..500 {
            filling = filling.put(Key::parse(&format!("k/{block:02}/{index:03}")).unwrap(), vec![block; 300]);
        }
        ledger.commit(filling).await.unwrap();
    }
    let mut asked = Some(Range::prefix("k/"));
    let mut count = 0;
    while let Some(range) = asked {
        let page = ledger.range(&range).await.unwrap();
        count += page.entries.len();
        asked = page.next(&range);
    }
    assert_eq!(count, 10_000);
}
