//! A candidate beside the policies in force: asked the same, its answers compared, never obeyed.

use std::collections::{BTreeMap, VecDeque};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use hpc_policy::{Decision, EvaluationContext, PolicySet, QuestionRecord, Value, Verdict};
use jiff::Timestamp;
use serde::Serialize;

use crate::evidence::Judged;

/// Most differences that are kept; the oldest go first.
pub const DIFFERENCES_MAX: usize = 256;
/// Longest text of an id or a reason in a difference, in characters.
const SHOWN_MAX: usize = 256;
/// Most reasons of each side.
const REASONS_MAX: usize = 4;

/// What is decided by, from one moment to the next: swapped as a whole.
#[derive(Debug, Clone)]
pub(crate) struct Standing {
    pub(crate) active: Arc<PolicySet>,
    pub(crate) candidate: Option<Arc<Candidate>>,
}

impl Standing {
    /// Asks the policies in force; then, whatever comes of it, the candidate.
    pub(crate) fn judge(&self, context: EvaluationContext, understood: &'static [&'static str]) -> Judged {
        let decision = self.active.evaluate(&context).deny_unless_understood(understood);
        if let Some(candidate) = &self.candidate {
            candidate.observe(&context, &decision, understood);
        }
        Judged { context, decision, understood }
    }
}

/// A policy set that is being tried, and how it differed so far.
#[derive(Debug)]
pub(crate) struct Candidate {
    set: Arc<PolicySet>,
    since: Timestamp,
    decisions: AtomicU64,
    allow_to_deny: AtomicU64,
    deny_to_allow: AtomicU64,
    obligations: AtomicU64,
    failures: AtomicU64,
    recent: Mutex<VecDeque<Difference>>,
}

/// One answer that the candidate would have given otherwise.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Difference {
    /// Which of the candidate's decisions this was, from 1: the question's number.
    pub number: u64,
    /// When it was asked, as the question says; `None` where it does not.
    pub at: Option<Timestamp>,
    /// Who asked, `user:alice`.
    pub principal: String,
    /// What they wanted to do.
    pub action: String,
    /// To what: type and id.
    pub resource: String,
    /// What was answered.
    pub active: Answer,
    /// What the candidate would have answered.
    pub candidate: Answer,
    /// The question, without secrets; `None` when it has no single reading.
    pub question: Option<QuestionRecord>,
}

/// One side of a [`Difference`].
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Answer {
    /// Allow or deny.
    pub verdict: Verdict,
    /// The first reasons, shortened.
    pub reasons: Vec<String>,
    /// The obligations.
    pub obligations: BTreeMap<String, Value>,
}

/// How a candidate compares.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ShadowReport {
    /// Its digest.
    pub digest: String,
    /// Its rules.
    pub rules: usize,
    /// Since when it is tried.
    pub since: Timestamp,
    /// The digest of the policies in force.
    pub active_digest: String,
    /// How many decisions it was asked for as well.
    pub decisions: u64,
    /// How many allowed ones it would have denied.
    pub allow_to_deny: u64,
    /// How many denied ones it would have allowed.
    pub deny_to_allow: u64,
    /// How many it would have decided alike, under other obligations.
    pub obligations: u64,
    /// How many it failed to answer.
    pub failures: u64,
    /// The newest differences, oldest first; at most [`DIFFERENCES_MAX`].
    pub recent: Vec<Difference>,
}

impl ShadowReport {
    /// How many it decided alike, obligations included.
    #[must_use]
    pub fn same(&self) -> u64 {
        [self.allow_to_deny, self.deny_to_allow, self.obligations, self.failures]
            .into_iter()
            .fold(self.decisions, u64::saturating_sub)
    }
}

impl Candidate {
    pub(crate) fn new(set: Arc<PolicySet>, since: Timestamp) -> Self {
        Self {
            set,
            since,
            decisions: AtomicU64::new(0),
            allow_to_deny: AtomicU64::new(0),
            deny_to_allow: AtomicU64::new(0),
            obligations: AtomicU64::new(0),
            failures: AtomicU64::new(0),
            recent: Mutex::default(),
        }
    }

    pub(crate) fn set(&self) -> &Arc<PolicySet> {
        &self.set
    }

    /// Compares its answer with the one that was given. Bounded by what one evaluation may cost; a failure is counted.
    fn observe(&self, context: &EvaluationContext, given: &Decision, understood: &[&str]) {
        let number = self.decisions.fetch_add(1, Ordering::Relaxed).saturating_add(1);
        // A decision never panics; should it, the answer that was given stands all the same.
        let would =
            catch_unwind(AssertUnwindSafe(|| self.set.evaluate(context).deny_unless_understood(understood)));
        let Ok(would) = would else {
            self.failures.fetch_add(1, Ordering::Relaxed);
            return;
        };
        let count = match (given.verdict, would.verdict) {
            (Verdict::Allow, Verdict::Deny) => &self.allow_to_deny,
            (Verdict::Deny, Verdict::Allow) => &self.deny_to_allow,
            _ if given.obligations != would.obligations => &self.obligations,
            _ => return,
        };
        count.fetch_add(1, Ordering::Relaxed);
        let resource = context.resource();
        let difference = Difference {
            number,
            at: context.now(),
            principal: short(&context.principal().to_string()),
            action: short(context.action()),
            resource: short(&format!("{} {}", resource.resource_type(), resource.id())),
            active: Answer::of(given),
            candidate: Answer::of(&would),
            question: QuestionRecord::of(context).ok(),
        };
        let mut recent = self.recent.lock().unwrap_or_else(PoisonError::into_inner);
        if recent.len() >= DIFFERENCES_MAX {
            recent.pop_front();
        }
        recent.push_back(difference);
    }

    pub(crate) fn report(&self, active: &PolicySet) -> ShadowReport {
        let count = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        ShadowReport {
            digest: self.set.digest().to_owned(),
            rules: self.set.rule_count(),
            since: self.since,
            active_digest: active.digest().to_owned(),
            decisions: count(&self.decisions),
            allow_to_deny: count(&self.allow_to_deny),
            deny_to_allow: count(&self.deny_to_allow),
            obligations: count(&self.obligations),
            failures: count(&self.failures),
            recent: self.recent.lock().unwrap_or_else(PoisonError::into_inner).iter().cloned().collect(),
        }
    }
}

impl Answer {
    fn of(decision: &Decision) -> Self {
        let reasons = decision.reasons().iter().take(REASONS_MAX).map(|reason| short(&reason.text)).collect();
        Self { verdict: decision.verdict, reasons, obligations: decision.obligations.clone() }
    }
}

fn short(text: &str) -> String {
    text.chars().take(SHOWN_MAX).collect()
}
