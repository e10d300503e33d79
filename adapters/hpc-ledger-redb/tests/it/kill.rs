//! A process that is killed while it writes: what it was told is committed is there.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;

use hpc_ledger::{Key, Ledger, LedgerError, Range, Revision, Transaction};
use hpc_ledger_redb::{Options, RedbLedger};

const CHILD_PATH: &str = "HPC_LEDGER_KILL_TEST_PATH";
const WRITERS: usize = 6;

fn spawn(path: &Path) -> Child {
    Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "kill::child_writes_until_killed", "--nocapture", "--test-threads", "1"])
        .env(CHILD_PATH, path)
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap()
}

fn count_key(writer: usize) -> Key {
    Key::parse(&format!("count/{writer}")).unwrap()
}

fn entry_key(writer: usize, count: u64) -> Key {
    Key::parse(&format!("entry/{writer}/{count:08}")).unwrap()
}

/// The child: does nothing unless it is asked to.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn child_writes_until_killed() {
    let Some(path) = std::env::var_os(CHILD_PATH) else { return };
    println!("\nopening");
    let ledger = Arc::new(RedbLedger::open(path, Options::default()).unwrap());
    println!("opened");
    let mut writers = tokio::task::JoinSet::new();
    for writer in 0..WRITERS {
        let ledger = Arc::clone(&ledger);
        writers.spawn(async move {
            loop {
                write_one(&ledger, writer).await;
            }
        });
    }
    // Only a failure ends a writer.
    writers.join_next().await.unwrap().unwrap();
}

async fn write_one(ledger: &RedbLedger, writer: usize) {
    let read = ledger.get(&count_key(writer)).await.unwrap();
    let count = 1 + read.as_ref().map_or(0, |read| u64::from_le_bytes(read.value[..].try_into().unwrap()));
    let transaction = Transaction::new()
        .expect_unchanged(count_key(writer), read.as_ref())
        .expect_absent(entry_key(writer, count))
        .put(count_key(writer), count.to_le_bytes())
        .put(entry_key(writer, count), vec![writer as u8; 100]);
    let revision = ledger.commit(transaction).await.unwrap();
    let mut out = std::io::stdout().lock();
    writeln!(out, "ack {writer} {count} {revision}").unwrap();
    out.flush().unwrap();
}

/// Kills a child after so many acknowledgements; gives the last one of each writer.
fn run_and_kill(path: &Path, acknowledgements: usize) -> BTreeMap<usize, (u64, Revision)> {
    let mut child = spawn(path);
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let mut last = BTreeMap::new();
    let mut note = |line: &str| {
        // The test harness may print its own text before the first line.
        let Some(at) = line.find("ack ") else { return false };
        let mut words = line[at + 4..].split(' ').map(|word| word.parse::<u64>());
        // A line cut by the kill is no acknowledgement.
        if let (Some(Ok(writer)), Some(Ok(count)), Some(Ok(revision))) =
            (words.next(), words.next(), words.next())
        {
            last.insert(writer as usize, (count, revision));
        }
        true
    };
    let mut seen = 0;
    while seen < acknowledgements {
        let line = lines.next().expect("the child ended by itself").unwrap();
        seen += usize::from(note(&line));
        if acknowledgements == 1 && line.contains("opening") {
            break; // killed while it makes or opens the file
        }
    }
    child.kill().unwrap();
    // A line without its end is cut: `lines` gives it too, so only whole ones count. The last may be cut.
    let rest: Vec<String> = lines.map_while(Result::ok).collect();
    for line in rest.iter().take(rest.len().saturating_sub(1)) {
        note(line);
    }
    child.wait().unwrap();
    last
}

async fn check(path: &Path, acknowledged: &BTreeMap<usize, (u64, Revision)>) -> Revision {
    let ledger = RedbLedger::open(path, Options::default()).unwrap();
    let revision = ledger.range(&Range::prefix("").limit(1)).await.unwrap().revision;
    let mut commits = 0;
    for writer in 0..WRITERS {
        let (count, at) = acknowledged.get(&writer).copied().unwrap_or_default();
        let found = ledger.get(&count_key(writer)).await.unwrap();
        let found = found.map_or(0, |read| u64::from_le_bytes(read.value[..].try_into().unwrap()));
        assert!(found >= count, "writer {writer}: {count} was acknowledged, {found} is there");
        assert!(at <= revision);
        commits += found;
        let mut entries = 0;
        let mut asked = Some(Range::prefix(format!("entry/{writer}/")));
        while let Some(range) = asked {
            let page = ledger.range(&range).await.unwrap();
            entries += page.entries.len() as u64;
            asked = page.next(&range);
        }
        assert_eq!(entries, found, "writer {writer}: a commit is there by half");
    }
    assert_eq!(commits, revision, "every revision is one commit of one writer");
    revision
}

#[tokio::test]
async fn what_was_acknowledged_survives_twenty_five_kills() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("ledger.redb");
    let mut chance = 0x5eed_u64;
    let mut before = 0;
    for round in 0..25 {
        chance = chance.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let acknowledgements = 1 + (chance >> 33) as usize % 150;
        let acknowledged = run_and_kill(&path, acknowledgements);
        if !path.exists() {
            continue; // killed before the file had its name
        }
        let revision = check(&path, &acknowledged).await;
        assert!(revision >= before, "round {round}: revision {revision} after {before}");
        before = revision;
    }
    assert!(before > 500, "only {before} commits were made");
}

#[tokio::test]
async fn a_process_killed_while_it_makes_the_file_leaves_none_or_a_whole_one() {
    for _ in 0..10 {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("ledger.redb");
        run_and_kill(&path, 1);
        match RedbLedger::open(&path, Options::default()) {
            Ok(_) => {}
            Err(error) => panic!("{error}"),
        }
    }
}

#[tokio::test]
async fn another_process_is_locked_out() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("ledger.redb");
    let mut child = spawn(&path);
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    while !lines.next().unwrap().unwrap().contains("opened") {}
    let error = RedbLedger::open(&path, Options::default()).unwrap_err();
    child.kill().unwrap();
    child.wait().unwrap();
    assert!(matches!(error, LedgerError::Locked { .. }), "{error}");
    RedbLedger::open(&path, Options::default()).unwrap();
}
