//! Recorded decisions against other policies: which of them would have been decided otherwise.

use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::Timestamp;

use crate::decision::Verdict;
use crate::limits::{FLIPS_MAX, REPLAY_NAMED_MAX};
use crate::record::{RecordedDecision, short_reasons};
use crate::set::PolicySet;
use crate::value::Value;

/// One recorded decision and where it stands in its log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LoggedDecision {
    /// Its place, such as the index in the audit log.
    pub index: u64,
    /// When it was made.
    pub at: Timestamp,
    /// The decision, or why it cannot be read.
    pub decision: Result<RecordedDecision, String>,
}

/// What one recorded decision would become.
#[derive(Debug, Clone, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[non_exhaustive]
pub struct Flip {
    /// Its place in the log.
    pub index: u64,
    /// When it was made.
    pub at: Timestamp,
    /// Who asked, `user:alice`.
    pub principal: String,
    /// What they wanted to do.
    pub action: String,
    /// To what: type and id.
    pub resource: String,
    /// What was decided.
    pub from: Verdict,
    /// What the candidate decides.
    pub to: Verdict,
    /// The digest of the policies that decided.
    pub digest: String,
    /// Why it was decided so.
    pub reasons_then: Vec<String>,
    /// Why the candidate decides otherwise.
    pub reasons_now: Vec<String>,
}

/// The same verdict under other obligations.
#[derive(Debug, Clone, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[non_exhaustive]
pub struct ObligationChange {
    /// Its place in the log.
    pub index: u64,
    /// When it was made.
    pub at: Timestamp,
    /// Who asked.
    pub principal: String,
    /// What they wanted to do.
    pub action: String,
    /// To what: type and id.
    pub resource: String,
    /// The obligations then.
    pub then: BTreeMap<String, Value>,
    /// The candidate's obligations.
    pub now: BTreeMap<String, Value>,
}

/// A record that cannot be replayed.
#[derive(Debug, Clone, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[non_exhaustive]
pub struct Unreadable {
    /// Its place in the log.
    pub index: u64,
    /// Why.
    pub reason: String,
}

/// What a candidate would change.
///
/// `decisions` = `same` + flips + obligation changes + `incomplete`, the omitted ones included; unreadable records are
/// apart. Lists are bounded by [`FLIPS_MAX`] and [`REPLAY_NAMED_MAX`]; what does not fit is counted, never forgotten.
#[derive(Debug, Clone, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[non_exhaustive]
pub struct ReplayReport {
    /// The digest of the candidate.
    pub candidate: Arc<str>,
    /// How many decisions were read.
    pub decisions: u64,
    /// How many would be the same, obligations included.
    pub same: u64,
    /// How many allowed ones would be denied.
    pub allow_to_deny: u64,
    /// How many denied ones would be allowed.
    pub deny_to_allow: u64,
    /// Every decision with another verdict, in the order of the log.
    pub flips: Vec<Flip>,
    /// How many flips are not in the list.
    pub flips_omitted: u64,
    /// Every decision with the same verdict and other obligations, in the order of the log.
    pub obligations: Vec<ObligationChange>,
    /// How many obligation changes are not in the list.
    pub obligations_omitted: u64,
    /// How many cannot be judged again, because an attribute was secret and not written down.
    pub incomplete: u64,
    /// The places of these, the first [`REPLAY_NAMED_MAX`].
    pub incomplete_at: Vec<u64>,
    /// How many records could not be read.
    pub unreadable: u64,
    /// These, the first [`REPLAY_NAMED_MAX`].
    pub unreadable_at: Vec<Unreadable>,
}

impl ReplayReport {
    /// Whether no recorded decision would get another verdict.
    #[must_use]
    pub fn has_no_flips(&self) -> bool {
        self.allow_to_deny == 0 && self.deny_to_allow == 0
    }
}

/// Feeds recorded decisions one by one, for logs that do not fit into memory.
///
/// See [`replay`] for the whole at once.
#[derive(Debug)]
pub struct Replay<'a> {
    candidate: &'a PolicySet,
    report: ReplayReport,
}

impl<'a> Replay<'a> {
    /// Begins with nothing read.
    #[must_use]
    pub fn new(candidate: &'a PolicySet) -> Self {
        let report = ReplayReport {
            candidate: candidate.digest().into(),
            decisions: 0,
            same: 0,
            allow_to_deny: 0,
            deny_to_allow: 0,
            flips: Vec::new(),
            flips_omitted: 0,
            obligations: Vec::new(),
            obligations_omitted: 0,
            incomplete: 0,
            incomplete_at: Vec::new(),
            unreadable: 0,
            unreadable_at: Vec::new(),
        };
        Self { candidate, report }
    }

    /// Asks the candidate one recorded question.
    pub fn feed(&mut self, recorded: LoggedDecision) {
        let LoggedDecision { index, at, decision } = recorded;
        let report = &mut self.report;
        let then = match decision {
            Ok(then) => then,
            Err(reason) => {
                report.unreadable = report.unreadable.saturating_add(1);
                if report.unreadable_at.len() < REPLAY_NAMED_MAX {
                    report.unreadable_at.push(Unreadable { index, reason });
                }
                return;
            }
        };
        report.decisions = report.decisions.saturating_add(1);
        if !then.question.is_complete() {
            report.incomplete = report.incomplete.saturating_add(1);
            if report.incomplete_at.len() < REPLAY_NAMED_MAX {
                report.incomplete_at.push(index);
            }
            return;
        }
        let understood: Vec<&str> = then.understood.iter().map(String::as_str).collect();
        let context = then.question.context();
        let now = self.candidate.evaluate(context).deny_unless_understood(&understood);
        let principal = context.principal().to_string();
        let action = context.action().to_owned();
        let resource = format!("{} {}", context.resource().resource_type(), context.resource().id());
        if now.verdict != then.verdict {
            let count = match then.verdict {
                Verdict::Allow => &mut report.allow_to_deny,
                Verdict::Deny => &mut report.deny_to_allow,
            };
            *count = count.saturating_add(1);
            if report.flips.len() < FLIPS_MAX {
                report.flips.push(Flip {
                    index,
                    at,
                    principal,
                    action,
                    resource,
                    from: then.verdict,
                    to: now.verdict,
                    digest: then.digest,
                    reasons_then: then.reasons,
                    reasons_now: short_reasons(&now),
                });
            } else {
                report.flips_omitted = report.flips_omitted.saturating_add(1);
            }
        } else if now.obligations != then.obligations {
            if report.obligations.len() < FLIPS_MAX {
                report.obligations.push(ObligationChange {
                    index,
                    at,
                    principal,
                    action,
                    resource,
                    then: then.obligations,
                    now: now.obligations,
                });
            } else {
                report.obligations_omitted = report.obligations_omitted.saturating_add(1);
            }
        } else {
            report.same = report.same.saturating_add(1);
        }
    }

    /// What has come of it.
    #[must_use]
    pub fn finish(self) -> ReplayReport {
        self.report
    }
}

/// Asks `candidate` every recorded question again and lists what it decides otherwise.
///
/// A question with a secret attribute cannot be asked again: it is counted apart and never called a flip.
///
/// ```
/// use hpc_policy::{EvaluationContext, PolicySet, Principal, LoggedDecision, RecordedDecision, Resource, replay};
/// let everything = PolicySet::parse_documents([("all.yaml", "
/// apiVersion: policy.horizon.dev/v1
/// kind: Policy
/// metadata: {name: all}
/// spec:
///   principals: [{type: any}]
///   resources: [{type: '*', pattern: '**'}]
///   actions: ['**']
///   effect: allow
/// ")]).map_err(|errors| errors[0].clone())?;
/// let asked = EvaluationContext::new(Principal::user("alice"), Resource::new("lease", "lease/1"), "lease.read");
/// let decision = RecordedDecision::of(&asked, &everything.evaluate(&asked), &[])?;
/// let recorded = LoggedDecision { index: 7, at: "2026-11-02T10:00:00Z".parse().unwrap(), decision: Ok(decision) };
/// let report = replay([recorded], &PolicySet::deny_all());
/// assert_eq!((report.allow_to_deny, report.flips[0].index), (1, 7));
/// # Ok::<(), hpc_policy::PolicyError>(())
/// ```
#[must_use]
pub fn replay(records: impl IntoIterator<Item = LoggedDecision>, candidate: &PolicySet) -> ReplayReport {
    let mut replay = Replay::new(candidate);
    for recorded in records {
        replay.feed(recorded);
    }
    replay.finish()
}
