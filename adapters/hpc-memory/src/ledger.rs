//! In-memory fake of the `ledger` port: [`MemoryLedger`], with faults from a [`FaultPlan`].
//!
//! ```
//! use hpc_ledger::{Key, Ledger, Transaction};
//! use hpc_memory::ledger::{CrashPoint, FaultPlan, MemoryLedger};
//!
//! # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), hpc_ledger::LedgerError> {
//! let faults = FaultPlan::none();
//! let ledger = MemoryLedger::with_faults(faults.clone());
//! faults.crash_at(1, CrashPoint::AfterCommit);
//! let key = Key::parse("intent/1")?;
//! assert!(ledger.commit(Transaction::new().put(&key, b"sent")).await.is_err());
//! faults.restart(); // the process starts again over the same state
//! assert!(ledger.get(&key).await?.is_some(), "committed, but the answer was lost");
//! # Ok(()) }
//! ```

use std::collections::{BTreeMap, VecDeque};
use std::ops::Bound;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use tokio::sync::watch::{Receiver, Sender};

use hpc_ledger::{
    Change, Description, Key, Ledger, LedgerError, PAGE_BYTES_MAX, Page, Range, Revision, Transaction,
    Versioned, Watch, Write, check_keys, check_prefix,
};

/// Most changes kept for watches.
pub const HISTORY_CHANGES_MAX: usize = 8 * 1024;

/// Most bytes of changes kept for watches, beside the newest commit.
pub const HISTORY_BYTES_MAX: usize = 16 << 20;

/// Most watches open at once.
pub const WATCHES_MAX: usize = 1024;

/// A ledger in memory: the whole contract of the port except durability, and faults when asked for.
#[derive(Debug)]
pub struct MemoryLedger {
    state: Arc<Mutex<State>>,
    changed: Sender<Revision>,
    faults: FaultPlan,
}

#[derive(Debug, Default)]
struct State {
    values: BTreeMap<Key, Versioned>,
    revision: Revision,
    history: VecDeque<Commit>,
    history_changes: usize,
    history_bytes: usize,
    /// The newest revision whose changes are gone.
    compacted: Revision,
}

#[derive(Debug)]
struct Commit {
    revision: Revision,
    changes: Vec<(Key, Option<Vec<u8>>)>,
    bytes: usize,
}

impl MemoryLedger {
    /// An empty ledger without faults.
    #[must_use]
    pub fn new() -> Self {
        Self::with_faults(FaultPlan::none())
    }

    /// An empty ledger that fails as `faults` says; keep a clone to steer it.
    #[must_use]
    pub fn with_faults(faults: FaultPlan) -> Self {
        Self { state: Arc::default(), changed: Sender::new(0), faults }
    }

    /// The plan its faults come from.
    #[must_use]
    pub fn faults(&self) -> &FaultPlan {
        &self.faults
    }
}

impl Default for MemoryLedger {
    fn default() -> Self {
        Self::new()
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl State {
    fn commit(&mut self, transaction: &Transaction) -> Result<Revision, LedgerError> {
        for comparison in transaction.comparisons() {
            let version = self.values.get(&comparison.key).map(|read| read.version);
            if !comparison.expect.holds(version) {
                return Err(LedgerError::Conflict { key: comparison.key.clone() });
            }
        }
        let version = self.revision.saturating_add(1);
        let mut changes = Vec::new();
        let mut bytes = 0_usize;
        for (key, write) in transaction.writes() {
            let value = match write {
                Write::Put(value) => {
                    self.values.insert(key.clone(), Versioned { value: value.clone(), version });
                    Some(value.clone())
                }
                Write::Delete if self.values.remove(key).is_some() => None,
                Write::Delete => continue,
            };
            bytes = bytes.saturating_add(key.as_str().len() + value.as_ref().map_or(0, Vec::len));
            changes.push((key.clone(), value));
        }
        if changes.is_empty() {
            return Ok(self.revision);
        }
        self.revision = version;
        self.history_changes += changes.len();
        self.history_bytes += bytes;
        self.history.push_back(Commit { revision: version, changes, bytes });
        while self.history.len() > 1
            && (self.history_changes > HISTORY_CHANGES_MAX || self.history_bytes > HISTORY_BYTES_MAX)
        {
            if let Some(oldest) = self.history.pop_front() {
                self.history_changes -= oldest.changes.len();
                self.history_bytes -= oldest.bytes;
                self.compacted = oldest.revision;
            }
        }
        Ok(version)
    }

    fn several(&self, keys: &[Key]) -> Vec<Option<Versioned>> {
        let (mut read, mut bytes) = (Vec::with_capacity(keys.len()), 0_usize);
        for key in keys {
            let found = self.values.get(key);
            bytes += key.as_str().len() + found.map_or(0, |found| found.value.len());
            if bytes > PAGE_BYTES_MAX && !read.is_empty() {
                break;
            }
            read.push(found.cloned());
        }
        read
    }

    fn page(&self, range: &Range) -> Page {
        let start = match &range.after {
            Some(after) if after.as_str() >= range.prefix.as_str() => Bound::Excluded(after.as_str()),
            _ => Bound::Included(range.prefix.as_str()),
        };
        let mut page = Page { entries: Vec::new(), more: false, revision: self.revision };
        let mut bytes = 0_usize;
        for (key, read) in self.values.range::<str, _>((start, Bound::Unbounded)) {
            if !key.as_str().starts_with(&range.prefix) {
                break;
            }
            bytes += key.as_str().len() + read.value.len();
            if page.entries.len() == range.page_limit()
                || (bytes > PAGE_BYTES_MAX && !page.entries.is_empty())
            {
                page.more = true;
                break;
            }
            page.entries.push((key.clone(), read.clone()));
        }
        page
    }

    fn check_kept(&self, after: Revision) -> Result<(), LedgerError> {
        if after < self.compacted {
            return Err(LedgerError::Compacted { oldest: self.compacted });
        }
        Ok(())
    }

    /// The changes of the first commit after `after` that touches `prefix`, and the revision read up to.
    fn changes_after(
        &self,
        after: Revision,
        prefix: &str,
    ) -> Result<(VecDeque<Change>, Revision), LedgerError> {
        self.check_kept(after)?;
        let first = self.history.partition_point(|commit| commit.revision <= after);
        for commit in self.history.range(first..) {
            let mut changes: VecDeque<Change> = commit
                .changes
                .iter()
                .filter(|(key, _)| key.as_str().starts_with(prefix))
                .map(|(key, value)| Change {
                    revision: commit.revision,
                    key: key.clone(),
                    value: value.clone(),
                    more: true,
                })
                .collect();
            if let Some(last) = changes.back_mut() {
                last.more = false;
                return Ok((changes, commit.revision));
            }
        }
        Ok((VecDeque::new(), self.revision.max(after)))
    }
}

#[async_trait]
impl Ledger for MemoryLedger {
    fn describe(&self) -> Description {
        let mut description = Description::new("memory", false);
        description.history_changes_max = HISTORY_CHANGES_MAX;
        description.history_bytes_max = HISTORY_BYTES_MAX;
        description.watches_max = WATCHES_MAX;
        description.waiting_commits_max = 1; // each is made at once
        description
    }

    async fn get(&self, key: &Key) -> Result<Option<Versioned>, LedgerError> {
        self.faults.before_read()?;
        Ok(lock(&self.state).values.get(key).cloned())
    }

    async fn get_many(&self, keys: &[Key]) -> Result<Vec<Option<Versioned>>, LedgerError> {
        check_keys(keys)?;
        self.faults.before_read()?;
        Ok(lock(&self.state).several(keys))
    }

    async fn range(&self, range: &Range) -> Result<Page, LedgerError> {
        check_prefix(&range.prefix)?;
        self.faults.before_read()?;
        Ok(lock(&self.state).page(range))
    }

    async fn commit(&self, transaction: Transaction) -> Result<Revision, LedgerError> {
        transaction.check()?;
        let verdict = self.faults.before_commit()?;
        let outcome = {
            let mut state = lock(&self.state);
            let outcome = state.commit(&transaction);
            // Inside the lock, so that watchers are told of revisions in order.
            self.changed.send_replace(state.revision);
            outcome
        };
        verdict.map_or(outcome, Err)
    }

    async fn watch(&self, prefix: &str, after: Revision) -> Result<Box<dyn Watch>, LedgerError> {
        check_prefix(prefix)?;
        self.faults.before_read()?;
        if self.changed.receiver_count() >= WATCHES_MAX {
            return Err(LedgerError::Backpressure { what: "open watches", limit: WATCHES_MAX });
        }
        lock(&self.state).check_kept(after)?;
        Ok(Box::new(MemoryWatch {
            state: Arc::clone(&self.state),
            changed: self.changed.subscribe(),
            faults: self.faults.clone(),
            prefix: prefix.to_owned(),
            read_up_to: after,
            fetched: VecDeque::new(),
        }))
    }
}

struct MemoryWatch {
    state: Arc<Mutex<State>>,
    changed: Receiver<Revision>,
    faults: FaultPlan,
    prefix: String,
    read_up_to: Revision,
    fetched: VecDeque<Change>,
}

#[async_trait]
impl Watch for MemoryWatch {
    async fn next(&mut self) -> Result<Change, LedgerError> {
        loop {
            self.faults.check_running()?;
            if let Some(change) = self.fetched.pop_front() {
                return Ok(change);
            }
            self.changed.mark_unchanged();
            (self.fetched, self.read_up_to) =
                lock(&self.state).changes_after(self.read_up_to, &self.prefix)?;
            if self.fetched.is_empty() && self.changed.changed().await.is_err() {
                return Err(LedgerError::Unavailable { reason: "the ledger was closed".into() });
            }
        }
    }
}

/// Where a simulated crash strikes a commit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CrashPoint {
    /// Before anything is written.
    BeforeCommit,
    /// After the writes are made, before the caller learns it.
    AfterCommit,
}

/// How often a seeded plan fails a call, in one thousand.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct FaultRates {
    /// Reads that answer `Unavailable`.
    pub failed_reads: u16,
    /// Commits that answer `Unavailable` and write nothing.
    pub failed_commits: u16,
    /// Commits that are made and answer `Unavailable`.
    pub lost_answers: u16,
}

/// Faults of a [`MemoryLedger`], shared by its clones: single ones on order, random ones from a seed, and crashes.
#[derive(Debug, Clone, Default)]
pub struct FaultPlan(Arc<Mutex<Faults>>);

#[derive(Debug, Default)]
struct Faults {
    seed: u64,
    chance: u64,
    rates: FaultRates,
    next_failures: VecDeque<LedgerError>,
    lose_answers: u32,
    crash: Option<(u64, CrashPoint)>,
    crashed: bool,
    commits: u64,
}

impl FaultPlan {
    /// No faults until one is ordered.
    #[must_use]
    pub fn none() -> Self {
        Self::default()
    }

    /// Random faults: the same seed, rates and order of calls give the same faults.
    #[must_use]
    pub fn seeded(seed: u64, rates: FaultRates) -> Self {
        Self(Arc::new(Mutex::new(Faults { seed, chance: seed, rates, ..Faults::default() })))
    }

    /// The seed, to print when a test fails.
    #[must_use]
    pub fn seed(&self) -> u64 {
        lock(&self.0).seed
    }

    /// The next read or commit fails with `error` and does nothing; several are served in order.
    pub fn fail_next(&self, error: LedgerError) {
        lock(&self.0).next_failures.push_back(error);
    }

    /// The next commit is made, and its caller gets `Unavailable`.
    pub fn lose_answer_after_commit(&self) {
        lock(&self.0).lose_answers += 1;
    }

    /// The process "crashes" at the `nth` commit from now (1 is the next): from then on every call, of watches too,
    /// fails until [`restart`](Self::restart). The state stays.
    pub fn crash_at(&self, nth: u64, point: CrashPoint) {
        let mut faults = lock(&self.0);
        faults.crash = Some((faults.commits.saturating_add(nth.max(1)), point));
    }

    /// Whether the crash has happened.
    #[must_use]
    pub fn crashed(&self) -> bool {
        lock(&self.0).crashed
    }

    /// Ends a crash, takes back one that has not happened, and clears the failures on order.
    pub fn restart(&self) {
        let mut faults = lock(&self.0);
        faults.crashed = false;
        faults.crash = None;
        faults.next_failures.clear();
        faults.lose_answers = 0;
    }

    /// Commits tried so far, so that every crash point of a story can be enumerated.
    #[must_use]
    pub fn commits(&self) -> u64 {
        lock(&self.0).commits
    }

    fn check_running(&self) -> Result<(), LedgerError> {
        lock(&self.0).check_running()
    }

    fn before_read(&self) -> Result<(), LedgerError> {
        let mut faults = lock(&self.0);
        faults.check_running()?;
        if let Some(error) = faults.next_failures.pop_front() {
            return Err(error);
        }
        let rate = faults.rates.failed_reads;
        if faults.strikes(rate) {
            return Err(unavailable("injected: the read failed"));
        }
        Ok(())
    }

    /// An error means that nothing is to be written; `Some` that the writes are to be made and this error answered.
    fn before_commit(&self) -> Result<Option<LedgerError>, LedgerError> {
        let mut faults = lock(&self.0);
        faults.check_running()?;
        faults.commits = faults.commits.saturating_add(1);
        if let Some((_, point)) = faults.crash.filter(|(nth, _)| *nth == faults.commits) {
            faults.crashed = true;
            let crash = unavailable("injected: the process crashed at this commit");
            return if point == CrashPoint::BeforeCommit { Err(crash) } else { Ok(Some(crash)) };
        }
        if let Some(error) = faults.next_failures.pop_front() {
            return Err(error);
        }
        let rates = faults.rates;
        if faults.strikes(rates.failed_commits) {
            return Err(unavailable("injected: the commit failed"));
        }
        let ordered = faults.lose_answers > 0;
        faults.lose_answers = faults.lose_answers.saturating_sub(1);
        if ordered || faults.strikes(rates.lost_answers) {
            return Ok(Some(unavailable("injected: the answer was lost")));
        }
        Ok(None)
    }
}

impl Faults {
    fn check_running(&self) -> Result<(), LedgerError> {
        if self.crashed {
            return Err(unavailable("injected: the process has crashed"));
        }
        Ok(())
    }

    /// One draw of splitmix64; none is made for a rate of 0, so that rates do not disturb each other.
    fn strikes(&mut self, per_thousand: u16) -> bool {
        if per_thousand == 0 {
            return false;
        }
        self.chance = self.chance.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut drawn = self.chance;
        drawn = (drawn ^ (drawn >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        drawn = (drawn ^ (drawn >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (drawn ^ (drawn >> 31)) % 1000 < u64::from(per_thousand)
    }
}

fn unavailable(reason: &str) -> LedgerError {
    LedgerError::Unavailable { reason: reason.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    mod contract {
        use super::*;

        hpc_conformance::ledger!(Arc::new(MemoryLedger::new()));
    }

    fn put(name: &str) -> (Key, Transaction) {
        let key = Key::parse(name).unwrap();
        (key.clone(), Transaction::new().put(&key, b"1"))
    }

    #[tokio::test]
    async fn an_ordered_failure_writes_nothing_and_happens_once() {
        let ledger = MemoryLedger::new();
        let (key, transaction) = put("a");
        let full = LedgerError::Full { location: "memory".into() };
        ledger.faults().fail_next(full.clone());
        assert_eq!(ledger.commit(transaction.clone()).await, Err(full));
        assert_eq!(ledger.get(&key).await, Ok(None));
        assert_eq!(ledger.commit(transaction).await, Ok(1));
    }

    #[tokio::test]
    async fn a_lost_answer_is_a_commit_made() {
        let ledger = MemoryLedger::new();
        let (key, transaction) = put("a");
        ledger.faults().lose_answer_after_commit();
        let error = ledger.commit(transaction.clone()).await.unwrap_err();
        assert!(error.outcome_unknown());
        assert_eq!(ledger.get(&key).await.unwrap().unwrap().version, 1);
        assert_eq!(ledger.commit(transaction).await, Ok(2));
    }

    #[tokio::test]
    async fn a_crash_stops_everything_until_the_restart() {
        for (point, kept) in [(CrashPoint::BeforeCommit, false), (CrashPoint::AfterCommit, true)] {
            let ledger = MemoryLedger::new();
            let (a, first) = put("a");
            let (b, second) = put("b");
            ledger.faults().crash_at(2, point);
            ledger.commit(first.clone()).await.unwrap();
            let mut watch = ledger.watch("", 0).await.unwrap();
            assert!(!ledger.faults().crashed());
            ledger.commit(second).await.unwrap_err();
            assert!(ledger.faults().crashed());
            assert!(ledger.get(&a).await.is_err() && ledger.commit(first).await.is_err());
            assert!(watch.next().await.is_err() && ledger.watch("", 0).await.is_err());
            ledger.faults().restart();
            assert_eq!(ledger.get(&a).await.unwrap().unwrap().version, 1);
            assert_eq!(ledger.get(&b).await.unwrap().is_some(), kept);
            assert_eq!(watch.next().await.unwrap().revision, 1);
        }
    }

    #[tokio::test]
    async fn the_same_seed_gives_the_same_faults() {
        async fn story(seed: u64) -> Vec<bool> {
            let rates = FaultRates { failed_reads: 100, failed_commits: 100, lost_answers: 100 };
            let ledger = MemoryLedger::with_faults(FaultPlan::seeded(seed, rates));
            let (key, transaction) = put("a");
            let mut outcomes = Vec::new();
            for _ in 0..200 {
                outcomes.push(ledger.commit(transaction.clone()).await.is_ok());
                outcomes.push(ledger.get(&key).await.is_ok());
            }
            outcomes
        }
        assert_eq!(story(7).await, story(7).await);
        assert_ne!(story(7).await, story(8).await);
        let failures = story(7).await.iter().filter(|fine| !**fine).count();
        assert!((20..150).contains(&failures), "{failures} of 400");
    }

    #[tokio::test]
    async fn too_many_watches_are_refused() {
        let ledger = MemoryLedger::new();
        let mut watches = Vec::new();
        for _ in 0..WATCHES_MAX {
            watches.push(ledger.watch("", 0).await.unwrap());
        }
        assert!(matches!(ledger.watch("", 0).await.err(), Some(LedgerError::Backpressure { .. })));
        drop(watches.pop());
        assert!(ledger.watch("", 0).await.is_ok());
    }
}
