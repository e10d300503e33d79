//! Takes policies while the daemon runs: from their source when it changes, or from a candidate that is promoted.
//!
//! The last good set stays in force whatever is wrong with the next one. Every change has its entry in the audit log
//! before it decides anything.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use hpc_audit::{AuditLog, Entry, Outcome, Receipt};
use hpc_broker::{Broker, Caller, Evidence, ShadowReport};
use hpc_error::{HpcError, codes};
use hpc_policy::Resource;
use jiff::Timestamp;
use serde::Serialize;

use super::kept::{Given, Kept, Promoted};
use super::source::{Snapshot, Source};
use super::{Loaded, Origin};

/// The action that changes policies.
const WRITE: &str = "policy.write";
/// Who the daemon is in entries about what nobody asked for.
const ITSELF: &str = "hpcd";
/// Longest failure that an entry holds, in characters.
const FAILURE_CHARS_MAX: usize = 1_024;

/// What is in force, and what became of the last attempt to change it.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Status {
    /// The digest of the set in force.
    pub digest: String,
    /// Its rules.
    pub rules: usize,
    /// Whether it is the starter set.
    pub built_in: bool,
    /// Where it comes from.
    pub source: Origin,
    /// Since when it is in force.
    pub since: Timestamp,
    /// Who promoted it, if that is how it came into force.
    pub promoted: Option<Promotion>,
    /// Why the source as it is now is not in force; `None` while all is well.
    pub failure: Option<Failure>,
    /// How often new policies were refused since the start.
    pub failures: u64,
    /// The digest of the candidate that is tried.
    pub candidate: Option<String>,
    /// Whether only signed policies may be in force.
    pub signed_only: bool,
}

/// A promotion.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Promotion {
    /// By whom.
    pub by: String,
    /// When.
    pub at: Timestamp,
}

/// Why policies were not taken.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Failure {
    /// When it was noticed.
    pub at: Timestamp,
    /// The code.
    pub code: String,
    /// What is wrong.
    pub message: String,
}

/// Keeps the policies in force in step with their source.
pub struct Keeper {
    source: Arc<Source>,
    file: PathBuf,
    broker: Arc<Broker>,
    audit: Arc<dyn AuditLog>,
    /// Reads the world's time.
    now: Box<dyn Fn() -> Timestamp + Send + Sync>,
    /// Which run of the daemon this is: no two entries have one id.
    run: u64,
    /// One change at a time, from its check to its last word.
    work: tokio::sync::Mutex<Work>,
    shown: Mutex<Shown>,
}

struct Shown {
    status: Status,
    documents: Arc<Vec<(String, String)>>,
}

struct Work {
    kept: Kept,
    /// What the source was when it was last taken, or when something was promoted instead.
    taken: String,
    /// What was seen in the last round and not judged yet: a change must stand still for a round.
    seen: Option<String>,
    /// What was refused; it is not judged again while it stays the same.
    refused: Option<String>,
    entries: u64,
    candidate: Option<(Given, Loaded)>,
}

/// What the keeper starts from.
pub(crate) struct Start {
    /// Where policies come from.
    pub(crate) source: Source,
    /// The file of what is kept.
    pub(crate) file: PathBuf,
    /// What it held.
    pub(crate) kept: Kept,
    /// What is in force.
    pub(crate) loaded: Loaded,
    /// What the source is now.
    pub(crate) found: String,
    /// How `loaded` came into force, if not from the source.
    pub(crate) promoted: Option<Promoted>,
    /// Which run this is.
    pub(crate) run: u64,
}

impl Keeper {
    /// Keeps and records what is in force from the start.
    pub(crate) async fn start(
        start: Start,
        broker: Arc<Broker>,
        audit: Arc<dyn AuditLog>,
        now: Box<dyn Fn() -> Timestamp + Send + Sync>,
    ) -> Result<Self, HpcError> {
        let Start { source, file, kept, loaded, found, promoted, run } = start;
        let next = kept.with(&loaded, promoted.clone());
        if next != kept {
            next.write(&file)?;
        }
        let status = Status {
            digest: String::new(),
            rules: 0,
            built_in: false,
            source: loaded.origin(),
            since: now(),
            promoted: None,
            failure: None,
            failures: 0,
            candidate: None,
            signed_only: source.is_signed(),
        };
        let keeper = Self {
            source: Arc::new(source),
            file,
            broker,
            audit,
            now,
            run,
            work: tokio::sync::Mutex::new(Work {
                kept: next,
                taken: found,
                seen: None,
                refused: None,
                entries: 0,
                candidate: None,
            }),
            shown: Mutex::new(Shown { status, documents: Arc::default() }),
        };
        {
            let mut work = keeper.work.lock().await;
            keeper.say_loaded(&mut work, &loaded, promoted.as_ref(), None).await?;
        }
        keeper.show(loaded, promoted.as_ref());
        Ok(keeper)
    }

    /// What is in force.
    #[must_use]
    pub fn status(&self) -> Status {
        self.shown.lock().unwrap_or_else(PoisonError::into_inner).status.clone()
    }

    /// What is in force, with its documents: of one moment.
    #[must_use]
    pub fn status_and_documents(&self) -> (Status, Arc<Vec<(String, String)>>) {
        let shown = self.shown.lock().unwrap_or_else(PoisonError::into_inner);
        (shown.status.clone(), Arc::clone(&shown.documents))
    }

    /// One look at the source. What changed is taken when it has stood still for a round: half a copy is not judged.
    pub async fn round(&self) {
        if !self.source.can_change() {
            return;
        }
        let snapshot = self.read().await;
        let mut work = self.work.lock().await;
        let found = match &snapshot {
            Ok(snapshot) => snapshot.fingerprint.clone(),
            Err(error) => format!("unreadable: {error}"),
        };
        if found == work.taken {
            // What was wrong with the source is not there any more.
            (work.seen, work.refused) = (None, None);
            self.change(|status| status.failure = None);
        } else if work.refused.as_ref() == Some(&found) {
            work.seen = None;
        } else if work.seen.as_ref() != Some(&found) {
            work.seen = Some(found);
        } else if let Err(error) = self.take(&mut work, snapshot, None).await.map(drop) {
            self.refuse(&mut work, found, &error).await;
        }
    }

    /// Takes the source as it is now, because somebody who may asked for it. What was promoted ends.
    ///
    /// # Errors
    /// `HPC-POL-0001`; what [`Source::load`] says, and `HPC-POL-0012`: then what was in force stays.
    pub async fn reload(&self, caller: &Caller) -> Result<(Status, Vec<Receipt>), HpcError> {
        let evidence = self.permit(caller).await?;
        let snapshot = self.read().await;
        let mut work = self.work.lock().await;
        let found = match &snapshot {
            Ok(snapshot) => snapshot.fingerprint.clone(),
            Err(error) => format!("unreadable: {error}"),
        };
        match self.take(&mut work, snapshot, Some((caller, &evidence))).await {
            Ok(receipts) => Ok((self.status(), receipts)),
            Err(error) => {
                self.refuse(&mut work, found, &error).await;
                Err(error)
            }
        }
    }

    /// Tries policies beside those in force.
    ///
    /// # Errors
    /// `HPC-POL-0001`; `-0004` with every mistake; `-0010` and `-0011` for a bundle that does not hold.
    pub(crate) async fn set_candidate(
        &self,
        caller: &Caller,
        given: Given,
    ) -> Result<(ShadowReport, Vec<Receipt>), HpcError> {
        let evidence = self.permit(caller).await?;
        let source = Arc::clone(&self.source);
        let (given, loaded) = blocking(move || given.load(&source).map(|loaded| (given, loaded))).await?;
        let mut work = self.work.lock().await;
        let mut entry = self.entry(&mut work, &caller.name, "policy.candidate_set", Outcome::Ok);
        describe(&mut entry, &loaded);
        evidence.put(&mut entry);
        let receipts = self.append(entry).await?;
        self.broker.set_candidate(Some(Arc::new(loaded.set.clone())));
        self.change(|status| status.candidate = Some(loaded.set.digest().to_owned()));
        work.candidate = Some((given, loaded));
        Ok((self.broker.candidate().ok_or_else(none)?, receipts))
    }

    /// Ends the trial, and says how it went.
    ///
    /// # Errors
    /// `HPC-POL-0001`; `-0009` when nothing is tried.
    pub async fn clear_candidate(&self, caller: &Caller) -> Result<(ShadowReport, Vec<Receipt>), HpcError> {
        let evidence = self.permit(caller).await?;
        let mut work = self.work.lock().await;
        let report = self.broker.candidate().ok_or_else(none)?;
        let mut entry = self.entry(&mut work, &caller.name, "policy.candidate_cleared", Outcome::Ok);
        entry.data.insert("digest".to_owned(), report.digest.clone().into());
        evidence.put(&mut entry);
        let receipts = self.append(entry).await?;
        self.end_trial(&mut work);
        Ok((report, receipts))
    }

    /// Puts the candidate in force, durably and in one step, if it is the one with this digest.
    ///
    /// It stays in force, over restarts too, until the source is something else than it is now.
    ///
    /// # Errors
    /// `HPC-POL-0001`; `-0009` for another digest, or without a candidate; `-0013` for one that is not signed where only
    /// signed policies may be in force; `-0012` for a bundle that is older than the last.
    pub async fn promote(&self, caller: &Caller, digest: &str) -> Result<(Status, Vec<Receipt>), HpcError> {
        let evidence = self.permit(caller).await?;
        let mut work = self.work.lock().await;
        let promoted = match self.may_promote(&work, caller, digest) {
            Ok(promoted) => promoted,
            Err(error) => {
                let mut entry = self.entry(&mut work, &caller.name, "policy.promoted", Outcome::Denied);
                entry.data.insert("digest".to_owned(), digest.into());
                fail(&mut entry, &error);
                evidence.put(&mut entry);
                self.append(entry).await?;
                return Err(error);
            }
        };
        let Some((given, loaded)) = work.candidate.take() else { return Err(none()) };
        let before = work.kept.clone();
        let kept = before.with(&loaded, Some(promoted.clone()));
        let mut entry = self.entry(&mut work, &caller.name, "policy.promoted", Outcome::Ok);
        describe(&mut entry, &loaded);
        entry.data.insert("before".to_owned(), self.broker.policies().digest().into());
        evidence.put(&mut entry);
        // Durable first: what the log says is in force must be so after a crash as well.
        let done = match kept.write(&self.file) {
            Ok(()) => self.append(entry).await,
            Err(error) => Err(error),
        };
        let receipts = match done {
            Ok(receipts) => receipts,
            Err(error) => {
                work.candidate = Some((given, loaded));
                return Err(match before.write(&self.file) {
                    Ok(()) => error,
                    Err(again) => error.with("not_undone", again.message()),
                });
            }
        };
        work.kept = kept;
        // Only this keeper changes the candidate, and it holds the lock: the digest cannot have changed since.
        self.broker.promote(digest)?;
        self.change(|status| status.candidate = None);
        self.show(loaded, Some(&promoted));
        Ok((self.status(), receipts))
    }

    fn may_promote(&self, work: &Work, caller: &Caller, digest: &str) -> Result<Promoted, HpcError> {
        let (given, loaded) = work.candidate.as_ref().ok_or_else(none)?;
        if loaded.set.digest() != digest {
            let message = format!("the candidate is {}, not the one named", loaded.set.digest());
            return Err(HpcError::coded(&codes::POL_CANDIDATE_MISMATCH, message));
        }
        if self.source.is_signed() && loaded.bundle.is_none() {
            let message = "the candidate is not signed; sign it, then try and promote the bundle";
            return Err(HpcError::coded(&codes::POL_UNSIGNED, message));
        }
        work.kept.admits(loaded)?;
        Ok(Promoted {
            by: caller.name.clone(),
            at: (self.now)(),
            source: work.taken.clone(),
            digest: digest.to_owned(),
            policies: given.clone(),
        })
    }

    async fn permit(&self, caller: &Caller) -> Result<Evidence, HpcError> {
        self.broker.permit(caller, Resource::new("policy", "policy"), WRITE).await
    }

    async fn read(&self) -> Result<Snapshot, HpcError> {
        let source = Arc::clone(&self.source);
        blocking(move || source.read()).await
    }

    /// Judges what was read, keeps it, records it, and only then swaps it in.
    async fn take(
        &self,
        work: &mut Work,
        snapshot: Result<Snapshot, HpcError>,
        asked: Option<(&Caller, &Evidence)>,
    ) -> Result<Vec<Receipt>, HpcError> {
        let source = Arc::clone(&self.source);
        let snapshot = snapshot?;
        let loaded = blocking(move || source.compile(snapshot)).await?;
        work.kept.admits(&loaded)?;
        let kept = work.kept.with(&loaded, None);
        if kept != work.kept {
            kept.write(&self.file)?;
            work.kept = kept;
        }
        let receipts = self.say_loaded(work, &loaded, None, asked).await?;
        (work.taken, work.seen, work.refused) = (loaded.fingerprint.clone(), None, None);
        self.broker.set_policies(Arc::new(loaded.set.clone()));
        self.change(|status| status.failure = None);
        self.show(loaded, None);
        Ok(receipts)
    }

    /// The alarm: a line in the log, a count, an entry, and what `hpc policy show` says.
    async fn refuse(&self, work: &mut Work, found: String, error: &HpcError) {
        tracing::error!(%error, "the policies at the source are not taken; the last good ones stay in force");
        let failure = Failure {
            at: (self.now)(),
            code: error.code_text().unwrap_or_default().to_owned(),
            message: error.message().to_owned(),
        };
        self.change(|status| {
            status.failure = Some(failure);
            status.failures = status.failures.saturating_add(1);
        });
        // What was no fault of the policies is tried again.
        let ours = error
            .code_text()
            .is_some_and(|code| code.starts_with("HPC-DAT-") || code.starts_with("HPC-AUD-"));
        if ours {
            return;
        }
        (work.seen, work.refused) = (None, Some(found));
        let mut entry = self.entry(work, ITSELF, "policy.refused", Outcome::Failed);
        fail(&mut entry, error);
        if let Err(error) = self.append(entry).await {
            tracing::error!(%error, "that policies were refused could not be recorded");
        }
    }

    async fn say_loaded(
        &self,
        work: &mut Work,
        loaded: &Loaded,
        promoted: Option<&Promoted>,
        asked: Option<(&Caller, &Evidence)>,
    ) -> Result<Vec<Receipt>, HpcError> {
        let who = asked.map_or(ITSELF, |(caller, _)| caller.name.as_str());
        let mut entry = self.entry(work, who, "policy.loaded", Outcome::Ok);
        describe(&mut entry, loaded);
        if let Some(promoted) = promoted {
            entry.data.insert("promoted_by".to_owned(), promoted.by.clone().into());
            entry.data.insert("promoted_at".to_owned(), promoted.at.to_string().into());
        }
        if let Some((_, evidence)) = asked {
            evidence.put(&mut entry);
        }
        self.append(entry).await
    }

    fn entry(&self, work: &mut Work, who: &str, action: &str, outcome: Outcome) -> Entry {
        work.entries = work.entries.saturating_add(1);
        let id = format!("{action}.{}.{}", self.run, work.entries);
        Entry::new(id, (self.now)(), who, action, outcome).dev(true)
    }

    async fn append(&self, entry: Entry) -> Result<Vec<Receipt>, HpcError> {
        self.audit.append(vec![entry]).await.map_err(|error| {
            HpcError::coded(&codes::AUD_NOT_WRITABLE, format!("the audit log cannot be written: {error}"))
        })
    }

    fn end_trial(&self, work: &mut Work) {
        work.candidate = None;
        self.broker.set_candidate(None);
        self.change(|status| status.candidate = None);
    }

    fn show(&self, loaded: Loaded, promoted: Option<&Promoted>) {
        let mut shown = self.shown.lock().unwrap_or_else(PoisonError::into_inner);
        let status = &mut shown.status;
        status.digest = loaded.set.digest().to_owned();
        status.rules = loaded.set.rule_count();
        status.built_in = loaded.built_in;
        status.source = loaded.origin();
        status.since = (self.now)();
        status.promoted = promoted.map(|promoted| Promotion { by: promoted.by.clone(), at: promoted.at });
        shown.documents = Arc::new(loaded.documents);
    }

    fn change(&self, change: impl FnOnce(&mut Status)) {
        change(&mut self.shown.lock().unwrap_or_else(PoisonError::into_inner).status);
    }
}

/// Digest, rules and origin, for the audit log.
fn describe(entry: &mut Entry, loaded: &Loaded) {
    let mut say = |name: &str, value: serde_json::Value| entry.data.insert(name.to_owned(), value);
    say("digest", loaded.set.digest().into());
    say("rules", loaded.set.rule_count().into());
    match loaded.origin() {
        Origin::BuiltIn => say("source", "built-in".into()),
        Origin::Documents => say("source", "documents".into()),
        Origin::Bundle { name, sequence, signer } => {
            say("bundle", name.into());
            say("sequence", sequence.into());
            say("signer", signer.into());
            say("source", "bundle".into())
        }
    };
}

fn fail(entry: &mut Entry, error: &HpcError) {
    if let Some(code) = error.code_text() {
        entry.data.insert("code".to_owned(), code.into());
    }
    let reason: String =
        error.message().chars().filter(|c| !c.is_control()).take(FAILURE_CHARS_MAX).collect();
    entry.data.insert("reason".to_owned(), reason.into());
}

pub(crate) fn none() -> HpcError {
    HpcError::coded(&codes::POL_CANDIDATE_MISMATCH, "there is no candidate")
}

/// Files and large sets are kept off the threads that serve.
async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, HpcError> + Send + 'static,
) -> Result<T, HpcError> {
    tokio::task::spawn_blocking(work)
        .await
        .map_err(|error| HpcError::coded(&codes::INT_BUG, format!("reading policies ended early: {error}")))?
}
