//! The contract of the `ledger` port, one case per sentence.
//!
//! ```ignore
//! hpc_conformance::ledger!(Arc::new(MemoryLedger::new()));
//! ```
//! The expression is evaluated once per case and gives something that is a [`LedgerFixture`].
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a case fails by panicking"
)]

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use hpc_ledger::{
    COMPARISONS_AND_WRITES_MAX, Change, KEY_BYTES_MAX, KEYS_PER_READ_MAX, Key, Ledger, LedgerError,
    PAGE_BYTES_MAX, Range, Revision, Transaction, VALUE_BYTES_MAX, Watch,
};

/// A ledger under test, empty at first, and a way to close and open it again.
#[async_trait]
pub trait LedgerFixture: Send + Sync {
    /// The ledger as it is now.
    fn ledger(&self) -> Arc<dyn Ledger>;

    /// Closes the ledger and opens it again; false if it keeps nothing, so there is nothing to open.
    async fn reopen(&mut self) -> bool {
        false
    }
}

#[async_trait]
impl<L: Ledger + 'static> LedgerFixture for Arc<L> {
    fn ledger(&self) -> Arc<dyn Ledger> {
        let ledger: Arc<L> = Arc::clone(self);
        ledger
    }
}

/// Runs every case of the `Ledger` contract as a test of its own.
///
/// The caller has `tokio` with `macros`, `rt-multi-thread` and `time` among its dev-dependencies.
#[macro_export]
macro_rules! ledger {
    ($fixture:expr) => {
        $crate::ledger!(@cases $fixture;
            reads_see_every_commit_that_returned,
            a_key_without_value_is_none,
            the_version_is_the_last_commit_that_wrote_the_key,
            several_values_come_in_the_order_asked,
            several_values_are_of_one_revision,
            several_values_stop_at_their_bytes,
            too_many_keys_are_refused,
            ranges_are_in_byte_order_and_by_prefix,
            a_page_names_the_one_revision_it_shows,
            a_page_holds_at_most_the_limit_and_says_whether_more_follow,
            a_range_starts_after_a_key_that_need_not_exist,
            pages_give_every_key_once,
            a_page_stops_at_its_bytes,
            a_prefix_that_begins_no_key_is_refused,
            a_commit_is_all_or_nothing,
            a_commit_is_durable_when_it_returns,
            the_first_failing_comparison_is_the_conflict,
            comparisons_see_absence_and_versions,
            revisions_grow_by_one,
            a_transaction_that_changes_nothing_makes_no_revision,
            deleting_an_absent_key_is_no_change,
            one_of_many_concurrent_writers_wins,
            concurrent_counters_lose_nothing,
            a_transaction_above_a_limit_writes_nothing,
            values_of_any_bytes_come_back,
            a_watch_gives_every_change_once_in_order,
            changes_of_one_commit_come_in_key_order_and_say_more,
            a_watch_begins_with_the_changes_since,
            a_watch_shows_only_its_prefix,
            a_watch_waits_and_wakes,
            a_watch_dropped_while_waiting_loses_nothing,
            changes_no_longer_kept_are_compacted,
            a_watch_that_falls_behind_is_compacted,
            a_ledger_is_shared_between_tasks,
        );
    };
    (@cases $fixture:expr; $($case:ident,)*) => {
        $(
            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $case() {
                $crate::ledger::$case(&mut $fixture).await;
            }
        )*
    };
}

const WAIT_MAX: Duration = Duration::from_secs(20);

fn key(text: &str) -> Key {
    Key::parse(text).unwrap()
}

async fn put(ledger: &dyn Ledger, name: &str, value: &[u8]) -> Revision {
    ledger.commit(Transaction::new().put(key(name), value)).await.unwrap()
}

async fn names(ledger: &dyn Ledger, range: &Range) -> Vec<String> {
    ledger.range(range).await.unwrap().entries.iter().map(|(key, _)| key.to_string()).collect()
}

async fn next(watch: &mut Box<dyn Watch>) -> Change {
    tokio::time::timeout(WAIT_MAX, watch.next()).await.expect("no change arrived in time").unwrap()
}

/// "A read sees every commit that returned before the read began."
pub async fn reads_see_every_commit_that_returned(fixture: &mut dyn LedgerFixture) {
    let ledger = fixture.ledger();
    for round in 0..50_u8 {
        put(&*ledger, "a", &[round]).await;
        assert_eq!(ledger.get(&key("a")).await.unwrap().unwrap().value, [round]);
        assert_eq!(ledger.range(&Range::prefix("a")).await.unwrap().entries[0].1.value, [round]);
    }
}

/// "The value of `key`, or `None` if it has none."
pub async fn a_key_without_value_is_none(fixture: &mut dyn LedgerFixture) {
    let ledger = fixture.ledger();
    assert_eq!(ledger.get(&key("a")).await.unwrap(), None);
    put(&*ledger, "a", b"1").await;
    ledger.commit(Transaction::new().delete(key("a"))).await.unwrap();
    assert_eq!(ledger.get(&key("a")).await.unwrap(), None);
}

/// "The version is the revision of the last commit that wrote the key."
pub async fn the_version_is_the_last_commit_that_wrote_the_key(fixture: &mut dyn LedgerFixture) {
    let ledger = fixture.ledger();
    let first = put(&*ledger, "a", b"1").await;
    let second = put(&*ledger, "b", b"1").await;
    assert_eq!(ledger.get(&key("a")).await.unwrap().unwrap().version, first);
    assert_eq!(ledger.get(&key("b")).await.unwrap().unwrap().version, second);
    let third = put(&*ledger, "a", b"1").await;
    assert_eq!(ledger.get(&key("a")).await.unwrap().unwrap().version, third, "the same value is a write too");
    let page = ledger.range(&Range::prefix("")).await.unwrap();
    assert_eq!(page.entries.iter().map(|(_, read)| read.version).collect::<Vec<_>>(), [third, second]);
}

/// "The values of several keys, in the order asked: read at once, for less than a read for each."
pub async fn several_values_come_in_the_order_asked(fixture: &mut dyn LedgerFixture) {
    let ledger = fixture.ledger();
    assert_eq!(ledger.get_many(&[]).await.unwrap(), []);
    let first = put(&*ledger, "b", b"1").await;
    let second = put(&*ledger, "a", b"2").await;
    let asked = ["b", "none", "a", "b"].map(key);
    let read = ledger.get_many(&asked).await.unwrap();
    let (b, a) = ((b"1".to_vec(), first), (b"2".to_vec(), second));
    let read: Vec<_> = read.into_iter().map(|read| read.map(|read| (read.value, read.version))).collect();
    assert_eq!(read, [Some(b.clone()), None, Some(a), Some(b)]);
}

/// "They are all of one revision."
pub async fn several_values_are_of_one_revision(fixture: &mut dyn LedgerFixture) {
    let ledger = fixture.ledger();
    let keys: Vec<Key> = (0..64).map(|n| key(&format!("k{n}"))).collect();
    let enough = Arc::new(AtomicBool::new(false));
    let writer = {
        let (ledger, keys, enough) = (fixture.ledger(), keys.clone(), Arc::clone(&enough));
        tokio::spawn(async move {
            for round in 0_u64.. {
                if enough.load(Ordering::Relaxed) {
                    break;
                }
                let write =
                    |transaction: Transaction, key: &Key| transaction.put(key.clone(), round.to_le_bytes());
                ledger.commit(keys.iter().fold(Transaction::new(), write)).await.unwrap();
                tokio::task::yield_now().await;
            }
        })
    };
    // Until reads fell between several commits.
    let mut seen = BTreeSet::new();
    while seen.len() < 20 {
        let read = ledger.get_many(&keys).await.unwrap();
        assert_eq!(read.len(), keys.len());
        assert!(read.iter().all(|one| *one == read[0]), "{read:?}");
        seen.extend(read[0].as_ref().map(|read| read.version));
        tokio::task::yield_now().await;
    }
    enough.store(true, Ordering::Relaxed);
    writer.await.unwrap();
}

/// "An answer stops early rather than exceed `PAGE_BYTES_MAX`: it is shorter than what was asked, and has the first value at
/// least; ask again for the others."
pub async fn several_values_stop_at_their_bytes(fixture: &mut dyn LedgerFixture) {
    let ledger = fixture.ledger();
    let keys: Vec<Key> = (0..6).map(|n| key(&format!("k{n}"))).collect();
    for key in &keys {
        let large = Transaction::new().put(key.clone(), vec![7; VALUE_BYTES_MAX]);
        ledger.commit(large).await.unwrap();
    }
    let fit = PAGE_BYTES_MAX / (VALUE_BYTES_MAX + 2);
    assert_eq!(ledger.get_many(&keys).await.unwrap().len(), fit);
    let rest = ledger.get_many(&keys[fit..]).await.unwrap();
    assert_eq!(rest.len(), keys.len() - fit);
    assert!(rest.iter().all(|read| read.as_ref().unwrap().value.len() == VALUE_BYTES_MAX));
}

/// "More than `KEYS_PER_READ_MAX` keys are `LedgerError::TooLarge`."
pub async fn too_many_keys_are_refused(fixture: &mut dyn LedgerFixture) {
    let ledger = fixture.ledger();
    let keys = vec![key("a"); KEYS_PER_READ_MAX + 1];
    assert_eq!(ledger.get_many(&keys[1..]).await.unwrap(), vec![None; KEYS_PER_READ_MAX]);
    assert!(matches!(ledger.get_many(&keys).await, Err(LedgerError::TooLarge { .. })));
}

/// "One page of the keys that begin with a prefix, in byte order."
pub async fn ranges_are_in_byte_order_and_by_prefix(fixture: &mut dyn LedgerFixture) {
    let ledger = fixture.ledger();
    for name in ["b", "a/2", "a/10", "a/1", "a", "a.b", "A", "ab", "a/1/x", "~"] {
        put(&*ledger, name, b"").await;
    }
    let all = ["A", "a", "a.b", "a/1", "a/1/x", "a/10", "a/2", "ab", "b", "~"];
    assert_eq!(names(&*ledger, &Range::prefix("")).await, all);
    assert_eq!(names(&*ledger, &Range::prefix("a/")).await, ["a/1", "a/1/x", "a/10", "a/2"]);
    assert_eq!(names(&*ledger, &Range::prefix("a/1")).await, ["a/1", "a/1/x", "a/10"]);
    assert_eq!(names(&*ledger, &Range::prefix("~")).await, ["~"]);
    assert!(names(&*ledger, &Range::prefix("c")).await.is_empty());
}

/// "All entries of a page are of one revision, the one it names."
pub async fn a_page_names_the_one_revision_it_shows(fixture: &mut dyn LedgerFixture) {
    let ledger = fixture.ledger();
    assert_eq!(ledger.range(&Range::prefix("")).await.unwrap().revision, 0);
    put(&*ledger, "pair/left", &0_u32.to_le_bytes()).await;
    put(&*ledger, "pair/right", &0_u32.to_le_bytes()).await;
    let writer = tokio::spawn({
        let ledger = Arc::clone(&ledger);
        async move {
            for round in 1..100_u32 {
                let bytes = round.to_le_bytes();
                let both = Transaction::new().put(key("pair/left"), bytes).put(key("pair/right"), bytes);
                ledger.commit(both).await.unwrap();
            }
        }
    });
    while !writer.is_finished() {
        let page = ledger.range(&Range::prefix("pair/")).await.unwrap();
        assert_eq!(page.entries[0].1.value, page.entries[1].1.value, "a page shows two revisions");
        assert!(page.entries.iter().all(|(_, read)| read.version <= page.revision));
        tokio::task::yield_now().await;
    }
    writer.await.unwrap();
    let page = ledger.range(&Range::prefix("pair/")).await.unwrap();
    assert_eq!((page.revision, page.entries[0].1.version), (101, 101));
}

/// "A page holds at most the limit, and says whether more follow."
pub async fn a_page_holds_at_most_the_limit_and_says_whether_more_follow(fixture: &mut dyn LedgerFixture) {
    let ledger = fixture.ledger();
    for name in ["a/1", "a/2", "a/3", "b"] {
        put(&*ledger, name, b"").await;
    }
    for (limit, expected, more) in [(0, 1, true), (1, 1, true), (2, 2, true), (3, 3, false), (4, 3, false)] {
        let page = ledger.range(&Range::prefix("a/").limit(limit)).await.unwrap();
        assert_eq!((page.entries.len(), page.more), (expected, more), "limit {limit}");
    }
    let page = ledger.range(&Range::prefix("").limit(usize::MAX)).await.unwrap();
    assert_eq!((page.entries.len(), page.more), (4, false));
}

/// "Entries start after `after`, which itself need not exist."
pub async fn a_range_starts_after_a_key_that_need_not_exist(fixture: &mut dyn LedgerFixture) {
    let ledger = fixture.ledger();
    for name in ["a/1", "a/3", "b/1"] {
        put(&*ledger, name, b"").await;
    }
    assert_eq!(names(&*ledger, &Range::prefix("a/").after(key("a/1"))).await, ["a/3"]);
    assert_eq!(names(&*ledger, &Range::prefix("a/").after(key("a/2"))).await, ["a/3"]);
    assert_eq!(names(&*ledger, &Range::prefix("b/").after(key("a/2"))).await, ["b/1"], "before the prefix");
    assert!(names(&*ledger, &Range::prefix("a/").after(key("z"))).await.is_empty(), "behind the prefix");
}

/// "Pages read one after another until none follows give every key of an unchanged ledger exactly once."
pub async fn pages_give_every_key_once(fixture: &mut dyn LedgerFixture) {
    let ledger = fixture.ledger();
    let mut filling = Transaction::new();
    for index in 0..500 {
        filling = filling.put(key(&format!("k/{index:03}")), vec![1; index % 7]);
    }
    ledger.commit(filling.put(key("l"), b"")).await.unwrap();
    for limit in [1, 7, 499, 500, 501] {
        let mut seen = Vec::new();
        let mut asked = Some(Range::prefix("k/").limit(limit));
        while let Some(range) = asked {
            let page = ledger.range(&range).await.unwrap();
            seen.extend(page.entries.iter().map(|(key, _)| key.to_string()));
            asked = page.next(&range);
        }
        let expected: Vec<String> = (0..500).map(|index| format!("k/{index:03}")).collect();
        assert_eq!(seen, expected, "limit {limit}");
    }
}

/// "A page stops early rather than exceed [`PAGE_BYTES_MAX`]."
pub async fn a_page_stops_at_its_bytes(fixture: &mut dyn LedgerFixture) {
    let ledger = fixture.ledger();
    let large = PAGE_BYTES_MAX / VALUE_BYTES_MAX + 1;
    for index in 0..large {
        put(&*ledger, &format!("k/{index}"), &vec![7; VALUE_BYTES_MAX]).await;
    }
    let range = Range::prefix("k/");
    let page = ledger.range(&range).await.unwrap();
    let bytes: usize = page.entries.iter().map(|(key, read)| key.as_str().len() + read.value.len()).sum();
    assert!(bytes <= PAGE_BYTES_MAX && page.more && !page.entries.is_empty());
    let rest = ledger.range(&page.next(&range).unwrap()).await.unwrap();
    assert_eq!((page.entries.len() + rest.entries.len(), rest.more), (large, false));
}

/// "A prefix that can begin no key is refused."
pub async fn a_prefix_that_begins_no_key_is_refused(fixture: &mut dyn LedgerFixture) {
    let ledger = fixture.ledger();
    for prefix in ["a b", "ä", "\0", &"p".repeat(KEY_BYTES_MAX + 1)] {
        let range = ledger.range(&Range::prefix(prefix)).await;
        assert!(matches!(range, Err(LedgerError::InvalidKey { .. })), "{prefix:?}: {range:?}");
        let watch = ledger.watch(prefix, 0).await.err();
        assert!(matches!(watch, Some(LedgerError::InvalidKey { .. })), "{prefix:?}: {watch:?}");
    }
}

/// "A commit is atomic: all writes become visible together or not at all."
pub async fn a_commit_is_all_or_nothing(fixture: &mut dyn LedgerFixture) {
    let ledger = fixture.ledger();
    put(&*ledger, "there", b"1").await;
    let refused = Transaction::new()
        .expect_absent(key("new"))
        .expect_absent(key("there"))
        .put(key("new"), b"2")
        .put(key("there"), b"2")
        .delete(key("there"));
    assert_eq!(ledger.commit(refused).await, Err(LedgerError::Conflict { key: key("there") }));
    assert_eq!(names(&*ledger, &Range::prefix("")).await, ["there"]);
    assert_eq!(ledger.get(&key("there")).await.unwrap().unwrap().value, b"1");

    let mixed = Transaction::new()
        .expect_version(key("there"), 1)
        .delete(key("there"))
        .put(key("x"), b"")
        .put(key("y"), b"");
    ledger.commit(mixed).await.unwrap();
    assert_eq!(names(&*ledger, &Range::prefix("")).await, ["x", "y"]);
}

/// "It is durable when it returns, if the ledger says it is durable at all."
pub async fn a_commit_is_durable_when_it_returns(fixture: &mut dyn LedgerFixture) {
    let ledger = fixture.ledger();
    let durable = ledger.describe().durable;
    let mut last = 0;
    for index in 0..20 {
        last = put(&*ledger, &format!("k/{index:02}"), &[index]).await;
    }
    ledger.commit(Transaction::new().delete(key("k/00"))).await.unwrap();
    drop(ledger);
    assert_eq!(fixture.reopen().await, durable, "a durable ledger can be opened again");
    let ledger = fixture.ledger();
    let page = ledger.range(&Range::prefix("k/")).await.unwrap();
    assert_eq!((page.entries.len(), page.revision), (19, last + 1));
    assert_eq!(page.entries[18].1.version, last);
    assert_eq!(put(&*ledger, "k/00", b"again").await, last + 2);
    let mut watch = ledger.watch("k/", last).await.unwrap();
    assert_eq!(next(&mut watch).await.value, None);
    assert_eq!(next(&mut watch).await.value.as_deref(), Some(b"again".as_slice()));
}

/// "A comparison that fails is `Conflict` with the first such key, and nothing is written."
pub async fn the_first_failing_comparison_is_the_conflict(fixture: &mut dyn LedgerFixture) {
    let ledger = fixture.ledger();
    let version = put(&*ledger, "b", b"1").await;
    let refused = Transaction::new()
        .expect_version(key("b"), version)
        .expect_version(key("z"), 1)
        .expect_absent(key("b"))
        .put(key("c"), b"");
    assert_eq!(ledger.commit(refused).await, Err(LedgerError::Conflict { key: key("z") }));
    let page = ledger.range(&Range::prefix("")).await.unwrap();
    assert_eq!((page.entries.len(), page.revision), (1, version));
}

/// Comparisons: absent, and of a version.
pub async fn comparisons_see_absence_and_versions(fixture: &mut dyn LedgerFixture) {
    let ledger = fixture.ledger();
    let a = key("a");
    let conflict = Err(LedgerError::Conflict { key: a.clone() });
    assert_eq!(ledger.commit(Transaction::new().expect_version(&a, 0).put(&a, b"")).await, conflict);
    let first = ledger.commit(Transaction::new().expect_absent(&a).put(&a, b"1")).await.unwrap();
    assert_eq!(ledger.commit(Transaction::new().expect_absent(&a).put(&a, b"2")).await, conflict);
    let second = ledger.commit(Transaction::new().expect_version(&a, first).put(&a, b"2")).await.unwrap();
    assert_eq!(ledger.commit(Transaction::new().expect_version(&a, first).put(&a, b"3")).await, conflict);
    assert_eq!(
        ledger.commit(Transaction::new().expect_version(&a, second + 1).put(&a, b"3")).await,
        conflict
    );
    ledger.commit(Transaction::new().expect_version(&a, second).delete(&a)).await.unwrap();
    assert_eq!(ledger.commit(Transaction::new().expect_version(&a, second).put(&a, b"4")).await, conflict);
    let reborn = ledger.commit(Transaction::new().expect_absent(&a).put(&a, b"1")).await.unwrap();
    assert!(reborn > second, "a version never comes twice");
}

/// "Revisions grow by one with each commit that changes something, and the answer is the revision made."
pub async fn revisions_grow_by_one(fixture: &mut dyn LedgerFixture) {
    let ledger = fixture.ledger();
    for expected in 1..=30 {
        assert_eq!(put(&*ledger, "a", b"").await, expected);
    }
    let refused = Transaction::new().expect_absent(key("a")).put(key("a"), b"");
    ledger.commit(refused).await.unwrap_err();
    assert_eq!(put(&*ledger, "b", b"").await, 31, "a refused transaction makes no revision");
}

/// "A transaction that changes nothing makes no revision and answers the current one."
pub async fn a_transaction_that_changes_nothing_makes_no_revision(fixture: &mut dyn LedgerFixture) {
    let ledger = fixture.ledger();
    assert_eq!(ledger.commit(Transaction::new()).await, Ok(0));
    let version = put(&*ledger, "a", b"1").await;
    assert_eq!(ledger.commit(Transaction::new()).await, Ok(version));
    assert_eq!(ledger.commit(Transaction::new().expect_version(key("a"), version)).await, Ok(version));
    assert_eq!(put(&*ledger, "a", b"2").await, version + 1);
}

/// "Deleting an absent key is no change."
pub async fn deleting_an_absent_key_is_no_change(fixture: &mut dyn LedgerFixture) {
    let ledger = fixture.ledger();
    assert_eq!(ledger.commit(Transaction::new().delete(key("a"))).await, Ok(0));
    let mut watch = ledger.watch("", 0).await.unwrap();
    let revision = ledger.commit(Transaction::new().delete(key("a")).put(key("b"), b"")).await.unwrap();
    let change = next(&mut watch).await;
    assert_eq!((change.revision, change.key, change.more), (revision, key("b"), false));
}

/// "Of concurrent commits that expect the same version of a key and write it, exactly one succeeds."
pub async fn one_of_many_concurrent_writers_wins(fixture: &mut dyn LedgerFixture) {
    let ledger = fixture.ledger();
    let mut version = put(&*ledger, "a", b"").await;
    for _ in 0..10 {
        let writers: Vec<_> = (0..16_u8)
            .map(|writer| {
                let ledger = Arc::clone(&ledger);
                let transaction =
                    Transaction::new().expect_version(key("a"), version).put(key("a"), [writer]);
                tokio::spawn(async move { (writer, ledger.commit(transaction).await) })
            })
            .collect();
        let mut winners = Vec::new();
        for writer in writers {
            match writer.await.unwrap() {
                (writer, Ok(revision)) => winners.push((writer, revision)),
                (_, Err(error)) => assert_eq!(error, LedgerError::Conflict { key: key("a") }),
            }
        }
        let read = ledger.get(&key("a")).await.unwrap().unwrap();
        assert_eq!(winners, [(read.value[0], read.version)]);
        assert_eq!(read.version, version + 1);
        version = read.version;
    }
}

/// Atomicity again: counters raised by read, compare and commit lose no step.
pub async fn concurrent_counters_lose_nothing(fixture: &mut dyn LedgerFixture) {
    const TASKS: u32 = 8;
    const STEPS: u32 = 20;
    let ledger = fixture.ledger();
    let tasks: Vec<_> = (0..TASKS)
        .map(|_| {
            let ledger = Arc::clone(&ledger);
            tokio::spawn(async move {
                let counter = key("counter");
                for _ in 0..STEPS {
                    loop {
                        let read = ledger.get(&counter).await.unwrap();
                        let count = read
                            .as_ref()
                            .map_or(0, |read| u32::from_le_bytes(read.value[..].try_into().unwrap()));
                        let raised = Transaction::new()
                            .expect_unchanged(&counter, read.as_ref())
                            .put(&counter, (count + 1).to_le_bytes());
                        match ledger.commit(raised).await {
                            Ok(_) => break,
                            Err(error) => assert_eq!(error, LedgerError::Conflict { key: counter.clone() }),
                        }
                    }
                }
            })
        })
        .collect();
    for task in tasks {
        task.await.unwrap();
    }
    let read = ledger.get(&key("counter")).await.unwrap().unwrap();
    assert_eq!(read.value, (TASKS * STEPS).to_le_bytes());
    assert_eq!(read.version, u64::from(TASKS * STEPS));
}

/// "A transaction above a limit is `TooLarge`, and nothing is written."
pub async fn a_transaction_above_a_limit_writes_nothing(fixture: &mut dyn LedgerFixture) {
    let ledger = fixture.ledger();
    let mut full = Transaction::new();
    for index in 0..COMPARISONS_AND_WRITES_MAX {
        full = full.put(key(&format!("k/{index:04}")), b"");
    }
    let many = full.clone().put(key("l"), b"");
    let mut heavy = Transaction::new();
    for index in 0..4 {
        heavy = heavy.put(key(&format!("h/{index}")), vec![0; VALUE_BYTES_MAX]);
    }
    let large = Transaction::new().put(key("a"), vec![0; VALUE_BYTES_MAX + 1]);
    for refused in [many, heavy, large] {
        assert!(matches!(ledger.commit(refused).await, Err(LedgerError::TooLarge { .. })));
        assert!(ledger.range(&Range::prefix("")).await.unwrap().entries.is_empty());
    }
    assert_eq!(ledger.commit(full).await, Ok(1));
    assert_eq!(ledger.commit(Transaction::new().put(key("a"), vec![0; VALUE_BYTES_MAX])).await, Ok(2));
}

/// "The bytes, as they were put."
pub async fn values_of_any_bytes_come_back(fixture: &mut dyn LedgerFixture) {
    let ledger = fixture.ledger();
    let every: Vec<u8> = (0..=255).collect();
    let longest = "k".repeat(KEY_BYTES_MAX);
    for (name, value) in [("empty", vec![]), ("every", every), (longest.as_str(), vec![0; 100_000])] {
        put(&*ledger, name, &value).await;
        assert_eq!(ledger.get(&key(name)).await.unwrap().unwrap().value, value);
    }
}

/// "A watch gives every committed change after that revision exactly once, in the order of the commits."
pub async fn a_watch_gives_every_change_once_in_order(fixture: &mut dyn LedgerFixture) {
    let ledger = fixture.ledger();
    let mut watch = ledger.watch("k/", 0).await.unwrap();
    let writers: Vec<_> = (0..4)
        .map(|writer| {
            let ledger = Arc::clone(&ledger);
            tokio::spawn(async move {
                for index in 0..50_u8 {
                    put(&*ledger, &format!("k/{writer}"), &[index]).await;
                }
            })
        })
        .collect();
    let mut seen = [0_u8; 4];
    for expected in 1..=200 {
        let change = next(&mut watch).await;
        assert_eq!(change.revision, expected);
        let writer: usize = change.key.name().parse().unwrap();
        assert_eq!(change.value, Some(vec![seen[writer]]), "every change, in order");
        seen[writer] += 1;
    }
    for writer in writers {
        writer.await.unwrap();
    }
    put(&*ledger, "k/end", b"").await;
    assert_eq!(next(&mut watch).await.key, key("k/end"));
}

/// "Changes of one commit come in key order, and all but the last say that more follow."
pub async fn changes_of_one_commit_come_in_key_order_and_say_more(fixture: &mut dyn LedgerFixture) {
    let ledger = fixture.ledger();
    put(&*ledger, "b", b"old").await;
    let mixed =
        Transaction::new().put(key("c"), b"3").delete(key("b")).put(key("a"), b"1").put(key("z"), b"");
    let revision = ledger.commit(mixed).await.unwrap();
    let mut watch = ledger.watch("", revision - 1).await.unwrap();
    let expected = [
        ("a", Some(b"1".to_vec()), true),
        ("b", None, true),
        ("c", Some(b"3".to_vec()), true),
        ("z", Some(vec![]), false),
    ];
    for (name, value, more) in expected {
        assert_eq!(next(&mut watch).await, Change { revision, key: key(name), value, more });
    }
    let mut narrow = ledger.watch("b", revision - 1).await.unwrap();
    assert!(!next(&mut narrow).await.more, "only changes of the prefix count");
}

/// "A watch from an earlier revision begins with the changes since then."
pub async fn a_watch_begins_with_the_changes_since(fixture: &mut dyn LedgerFixture) {
    let ledger = fixture.ledger();
    for index in 1..=10_u8 {
        put(&*ledger, "a", &[index]).await;
    }
    for after in [0_u8, 1, 9] {
        let mut watch = ledger.watch("", after.into()).await.unwrap();
        for index in after + 1..=10 {
            assert_eq!(next(&mut watch).await.value, Some(vec![index]), "after {after}");
        }
    }
    let mut watch = ledger.watch("", 10).await.unwrap();
    put(&*ledger, "a", &[11]).await;
    assert_eq!(next(&mut watch).await.revision, 11);
}

/// "Follows the changes of keys that begin with `prefix`."
pub async fn a_watch_shows_only_its_prefix(fixture: &mut dyn LedgerFixture) {
    let ledger = fixture.ledger();
    let mut watch = ledger.watch("lease/", 0).await.unwrap();
    for name in ["lease", "leases/1", "a", "lease/1", "m", "lease/2"] {
        put(&*ledger, name, b"").await;
    }
    assert_eq!(next(&mut watch).await.key, key("lease/1"));
    assert_eq!(next(&mut watch).await.key, key("lease/2"));
}

/// "Waits for the next change."
pub async fn a_watch_waits_and_wakes(fixture: &mut dyn LedgerFixture) {
    let ledger = fixture.ledger();
    let mut watch = ledger.watch("", 0).await.unwrap();
    let (asked, started) = tokio::sync::oneshot::channel();
    let waiting = tokio::spawn(async move {
        asked.send(()).unwrap();
        next(&mut watch).await
    });
    started.await.unwrap();
    tokio::task::yield_now().await;
    put(&*ledger, "a", b"1").await;
    assert_eq!(waiting.await.unwrap().key, key("a"));
}

/// "A call dropped before it answers loses nothing: the next call gives the same change."
pub async fn a_watch_dropped_while_waiting_loses_nothing(fixture: &mut dyn LedgerFixture) {
    let ledger = fixture.ledger();
    let mut watch = ledger.watch("", 0).await.unwrap();
    for index in 1..=40_u64 {
        for _ in 0..3 {
            // A future polled once, which begins the work, and then dropped.
            tokio::select! { biased; change = watch.next() => panic!("nothing changed: {change:?}"), () = tokio::task::yield_now() => {} }
        }
        put(&*ledger, "a", b"").await;
        let change = tokio::select! { biased; change = watch.next() => Some(change.unwrap()), () = tokio::task::yield_now() => None };
        let change = match change {
            Some(change) => change,
            None => next(&mut watch).await,
        };
        assert_eq!(change.revision, index);
    }
}

/// Makes more changes than the ledger keeps; gives the last revision.
async fn overflow_history(ledger: &dyn Ledger) -> Revision {
    let kept = ledger.describe().history_changes_max;
    let mut last = 0;
    for _ in 0..=kept / COMPARISONS_AND_WRITES_MAX + 1 {
        let mut filling = Transaction::new();
        for index in 0..COMPARISONS_AND_WRITES_MAX {
            filling = filling.put(key(&format!("fill/{index}")), b"");
        }
        last = ledger.commit(filling).await.unwrap();
    }
    last
}

/// "A watch that asks for changes no longer kept is `Compacted`" and "The oldest revision named by `Compacted` can be
/// watched from."
pub async fn changes_no_longer_kept_are_compacted(fixture: &mut dyn LedgerFixture) {
    let ledger = fixture.ledger();
    put(&*ledger, "a", b"").await;
    let last = overflow_history(&*ledger).await;
    let Some(LedgerError::Compacted { oldest }) = ledger.watch("", 0).await.err() else {
        panic!("a watch of changes no longer kept began");
    };
    assert!(oldest > 0 && oldest < last);
    assert!(matches!(ledger.watch("a", oldest - 1).await.err(), Some(LedgerError::Compacted { .. })));
    let mut watch = ledger.watch("", oldest).await.unwrap();
    assert_eq!(next(&mut watch).await.revision, oldest + 1);
    assert_eq!(ledger.get(&key("a")).await.unwrap().unwrap().version, 1, "the state itself is kept");
}

/// "... at the start or, if its reader falls that far behind, later."
pub async fn a_watch_that_falls_behind_is_compacted(fixture: &mut dyn LedgerFixture) {
    let ledger = fixture.ledger();
    let mut watch = ledger.watch("", 0).await.unwrap();
    put(&*ledger, "a", b"").await;
    overflow_history(&*ledger).await;
    // What it had already fetched may still come; then it must say so rather than skip.
    let mut expected = 1;
    loop {
        match tokio::time::timeout(WAIT_MAX, watch.next()).await.unwrap() {
            Ok(change) => {
                assert_eq!(change.revision, expected, "a change was skipped in silence");
                expected += u64::from(!change.more);
            }
            Err(error) => {
                assert!(matches!(error, LedgerError::Compacted { .. }), "{error:?}");
                break;
            }
        }
    }
    assert!(matches!(watch.next().await, Err(LedgerError::Compacted { .. })), "the end is final");
}

/// The trait is `Send + Sync`: many tasks write and read at once.
pub async fn a_ledger_is_shared_between_tasks(fixture: &mut dyn LedgerFixture) {
    let ledger = fixture.ledger();
    let tasks: Vec<_> = (0..32)
        .map(|task| {
            let ledger = Arc::clone(&ledger);
            tokio::spawn(async move {
                for index in 0..10 {
                    let name = format!("t/{task:02}/{index}");
                    put(&*ledger, &name, name.as_bytes()).await;
                    assert_eq!(ledger.get(&key(&name)).await.unwrap().unwrap().value, name.as_bytes());
                }
            })
        })
        .collect();
    for task in tasks {
        task.await.unwrap();
    }
    assert_eq!(ledger.range(&Range::prefix("t/")).await.unwrap().entries.len(), 320);
    assert_eq!(ledger.range(&Range::prefix("t/07/")).await.unwrap().entries.len(), 10);
}
