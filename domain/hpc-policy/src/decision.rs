//! A verdict and everything that led to it.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use crate::rule::Effect;
use crate::value::Value;

/// The answer. Deliberately closed: a third answer would have to make every caller stop and think.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize), serde(rename_all = "lowercase"))]
pub enum Verdict {
    /// Go ahead, under the decision's obligations.
    Allow,
    /// Do not.
    Deny,
}

impl Verdict {
    /// Whether this is [`Verdict::Allow`].
    #[must_use]
    pub fn is_allowed(self) -> bool {
        self == Self::Allow
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Allow => "allow",
            Self::Deny => "deny",
        })
    }
}

/// A verdict with all its reasons.
///
/// [`reasons`](Self::reasons) and [`allowed_if`](Self::allowed_if) are for the one who asked;
/// [`trace`](Self::trace) shows rules that did not match and is for those who may read the policies.
/// No field holds the value of an attribute marked secret.
#[derive(Debug, Clone, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[non_exhaustive]
pub struct Decision {
    /// The answer.
    pub verdict: Verdict,
    /// Every rule that matched in full, allow and deny.
    pub matched: Vec<RuleOutcome>,
    /// Allow rules whose action, resource and principal matched and whose conditions did not;
    /// at most [`NEAR_MISSES_MAX`](crate::limits::NEAR_MISSES_MAX).
    pub near_misses: Vec<NearMiss>,
    /// Rules, or the request itself, that could not be evaluated.
    pub errors: Vec<EvaluationError>,
    /// What the caller must see to when it acts on the verdict: combined over every matched rule of its effect.
    pub obligations: BTreeMap<String, Value>,
    /// What the caller may want to know or do; combined in the same way.
    pub advice: BTreeMap<String, Value>,
    /// Digest of the policy text that decided, 64 hexadecimal digits.
    pub digest: Arc<str>,
    pub(crate) question: String,
    pub(crate) allowed_if: Vec<AllowedIf>,
    pub(crate) trace: Vec<TraceLine>,
    pub(crate) trace_omitted: usize,
}

/// A rule that matched.
#[derive(Debug, Clone, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[non_exhaustive]
pub struct RuleOutcome {
    /// Document it is in; `None` for a policy parsed alone.
    pub document: Option<Arc<str>>,
    /// Policy it is in.
    pub policy: Arc<str>,
    /// Its name.
    pub rule: Arc<str>,
    /// Line of the document where it begins.
    pub line: u32,
    /// Allow or deny.
    pub effect: Effect,
    /// Whom to ask.
    pub owner: Option<Arc<str>>,
    /// What its author has to say.
    pub message: Option<Arc<str>>,
    /// Its own obligations, before they are combined with others.
    pub obligations: BTreeMap<String, Value>,
    /// The conditions that made it match, with what they saw. Empty for a rule without conditions, and past
    /// [`CONDITION_REPORTS_MAX`](crate::limits::CONDITION_REPORTS_MAX) reports.
    pub because: Vec<ConditionReport>,
}

/// An allow rule that would have matched but for its conditions.
#[derive(Debug, Clone, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[non_exhaustive]
pub struct NearMiss {
    /// Document it is in; `None` for a policy parsed alone.
    pub document: Option<Arc<str>>,
    /// Policy it is in.
    pub policy: Arc<str>,
    /// Its name.
    pub rule: Arc<str>,
    /// Line of the document where it begins.
    pub line: u32,
    /// Whom to ask.
    pub owner: Option<Arc<str>>,
    /// What its author has to say.
    pub message: Option<Arc<str>>,
    /// All conditions that stood in the way.
    pub failed: Vec<ConditionReport>,
}

/// One condition, what it wanted and what it saw.
#[derive(Debug, Clone, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[non_exhaustive]
pub struct ConditionReport {
    /// The attribute looked at.
    pub attribute: String,
    /// The operator, as in the policy: `lte`.
    pub operator: &'static str,
    /// The limit: the right-hand side as text.
    pub want: String,
    /// What the request had.
    pub have: Seen,
    /// The comparison: `context.hours <= 8`. For a near miss, what must hold; for a matched rule, what did hold.
    pub text: String,
    /// Why it could not be evaluated, if it could not.
    pub error: Option<String>,
    /// Line of the document where it is.
    pub line: u32,
}

/// What a condition saw.
#[derive(Debug, Clone, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize), serde(rename_all = "snake_case"))]
pub enum Seen {
    /// This value; long text and long lists are cut.
    Value(Value),
    /// No such attribute.
    Missing,
    /// A value that is marked secret.
    Redacted,
}

impl fmt::Display for Seen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Value(value) => value.fmt(f),
            Self::Missing => f.write_str("missing"),
            Self::Redacted => f.write_str("[redacted]"),
        }
    }
}

impl fmt::Display for ConditionReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} (is {})", self.text, self.have)?;
        match &self.error {
            Some(error) if self.have != Seen::Missing => write!(f, ": {error}"),
            _ => Ok(()),
        }
    }
}

/// Something that could not be evaluated.
#[derive(Debug, Clone, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[non_exhaustive]
pub struct EvaluationError {
    /// The rule, as `policy/rule`; `None` when the request or its obligations are at fault.
    pub rule: Option<String>,
    /// Document of the rule; `None` also for a policy parsed alone.
    pub document: Option<Arc<str>>,
    /// Line of the rule.
    pub line: Option<u32>,
    /// Whether this is why the request is denied. An allow rule with an error just does not apply.
    pub denies: bool,
    /// What went wrong.
    pub detail: String,
}

/// A rule that was looked at, because its action and resource type match the request.
#[derive(Debug, Clone, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[non_exhaustive]
pub struct TraceLine {
    /// Document it is in; `None` for a policy parsed alone.
    pub document: Option<Arc<str>>,
    /// Policy it is in.
    pub policy: Arc<str>,
    /// Its name.
    pub rule: Arc<str>,
    /// Line of the document where it begins.
    pub line: u32,
    /// Allow or deny.
    pub effect: Effect,
    /// What came of it.
    pub result: TraceResult,
}

/// What came of looking at one rule.
#[derive(Debug, Clone, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize), serde(rename_all = "snake_case", tag = "result"))]
#[non_exhaustive]
pub enum TraceResult {
    /// It matched, because of these conditions.
    Matched {
        /// The conditions that held.
        because: Vec<ConditionReport>,
    },
    /// It is for other principals or other resource ids.
    NotApplicable {
        /// Whom or what it is for.
        covers: String,
    },
    /// These conditions did not hold.
    ConditionFailed {
        /// The conditions, with what they saw.
        failed: Vec<ConditionReport>,
    },
    /// It could not be evaluated: a deny rule then denies, an allow rule does not apply.
    Error {
        /// What went wrong.
        detail: String,
    },
}

impl fmt::Display for TraceLine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{} ({}): ", self.policy, self.rule, self.effect)?;
        match &self.result {
            TraceResult::Matched { because } if because.is_empty() => f.write_str("matches"),
            TraceResult::Matched { because } => write!(f, "matches: {}", joined(because, " and ")),
            TraceResult::NotApplicable { covers } => write!(f, "not applicable: it is for {covers}"),
            TraceResult::ConditionFailed { failed } => {
                write!(f, "does not match: needs {}", joined(failed, " and "))
            }
            TraceResult::Error { detail } => write!(f, "error: {detail}"),
        }
    }
}

/// One way to turn a refusal into an allow.
#[derive(Debug, Clone, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[non_exhaustive]
pub struct AllowedIf {
    /// The allow rule that would let the request through, as `policy/rule`.
    pub rule: String,
    /// What must change, all of it.
    pub changes: Vec<Change>,
}

/// One attribute that must change.
#[derive(Debug, Clone, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[non_exhaustive]
pub struct Change {
    /// The attribute, such as `context.hours`.
    pub attribute: String,
    /// What it must be: `context.hours <= 8`.
    pub text: String,
    /// The value that was tried and found to be allowed: the one nearest to the request.
    pub value: Value,
}

impl fmt::Display for AllowedIf {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let texts: Vec<&str> = self.changes.iter().map(|change| change.text.as_str()).collect();
        f.write_str(&texts.join(" and "))
    }
}

/// A short reason for the one who asked.
#[derive(Debug, Clone, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[non_exhaustive]
pub struct Reason {
    /// What kind of reason; stable.
    pub code: ReasonCode,
    /// The rule, as `policy/rule`, if one rule is the reason.
    pub rule: Option<String>,
    /// The reason in words.
    pub text: String,
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// The kinds of [`Reason`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize), serde(rename_all = "snake_case"))]
#[non_exhaustive]
pub enum ReasonCode {
    /// An allow rule matched and nothing denies.
    AllowedByRule,
    /// A deny rule matched.
    DeniedByRule,
    /// A deny rule could not be evaluated, or an obligation is not understood.
    DeniedByError,
    /// An allow rule would match but for its conditions.
    ConditionNotMet,
    /// No allow rule is about this principal, action and resource.
    NoRuleAllows,
    /// The request has no single reading.
    InvalidRequest,
}

impl ReasonCode {
    /// The stable word: `denied_by_rule`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::AllowedByRule => "allowed_by_rule",
            Self::DeniedByRule => "denied_by_rule",
            Self::DeniedByError => "denied_by_error",
            Self::ConditionNotMet => "condition_not_met",
            Self::NoRuleAllows => "no_rule_allows",
            Self::InvalidRequest => "invalid_request",
        }
    }
}

impl Decision {
    /// Whether the request may go ahead.
    #[must_use]
    pub fn is_allowed(&self) -> bool {
        self.verdict.is_allowed()
    }

    /// All reasons for the verdict, shortest form: deny rules and errors first, then near misses.
    #[must_use]
    pub fn reasons(&self) -> Vec<Reason> {
        let of = |policy: &str, rule: &str| Some(format!("{policy}/{rule}"));
        let said =
            |message: &Option<Arc<str>>| message.as_ref().map(|text| format!(": {text}")).unwrap_or_default();
        if self.is_allowed() {
            return self
                .matched
                .iter()
                .map(|outcome| Reason {
                    code: ReasonCode::AllowedByRule,
                    rule: of(&outcome.policy, &outcome.rule),
                    text: format!("allowed by `{}/{}`", outcome.policy, outcome.rule),
                })
                .collect();
        }
        let mut reasons = Vec::new();
        for outcome in self.matched.iter().filter(|outcome| outcome.effect == Effect::Deny) {
            let mut text =
                format!("denied by `{}/{}`{}", outcome.policy, outcome.rule, said(&outcome.message));
            if !outcome.because.is_empty() {
                text.push_str(&format!("; {}", joined(&outcome.because, " and ")));
            }
            reasons.push(Reason {
                code: ReasonCode::DeniedByRule,
                rule: of(&outcome.policy, &outcome.rule),
                text,
            });
        }
        for error in self.errors.iter().filter(|error| error.denies) {
            let (code, text) = match &error.rule {
                Some(rule) => (
                    ReasonCode::DeniedByError,
                    format!("denied because `{rule}` could not be evaluated: {}", error.detail),
                ),
                None if self.matched.is_empty() => (ReasonCode::InvalidRequest, error.detail.clone()),
                None => (ReasonCode::DeniedByError, error.detail.clone()),
            };
            reasons.push(Reason { code, rule: error.rule.clone(), text });
        }
        let nothing_allows = !self.matched.iter().any(|outcome| outcome.effect == Effect::Allow);
        if nothing_allows {
            for miss in &self.near_misses {
                let text = format!(
                    "`{}/{}` would allow it if {}",
                    miss.policy,
                    miss.rule,
                    joined(&miss.failed, " and ")
                );
                reasons.push(Reason {
                    code: ReasonCode::ConditionNotMet,
                    rule: of(&miss.policy, &miss.rule),
                    text,
                });
            }
        }
        let judged = !self.errors.iter().any(|error| error.denies && error.rule.is_none());
        if judged && nothing_allows && self.near_misses.is_empty() {
            let text = format!("no rule allows {}", self.question);
            reasons.push(Reason { code: ReasonCode::NoRuleAllows, rule: None, text });
        }
        reasons
    }

    /// Which changes to the request would be allowed; at most [`ALLOWED_IF_MAX`](crate::limits::ALLOWED_IF_MAX).
    ///
    /// Each entry was checked: the request with exactly the listed values evaluates to allow.
    /// Only attributes are changed, never who asks, what for, or secret values. Empty for an allow,
    /// and where no change of numbers, flags or listed words helps.
    #[must_use]
    pub fn allowed_if(&self) -> &[AllowedIf] {
        &self.allowed_if
    }

    /// Every rule that was looked at because its action and resource type match, in the order of the documents;
    /// at most [`TRACE_LINES_MAX`](crate::limits::TRACE_LINES_MAX) of them and
    /// [`CONDITION_REPORTS_MAX`](crate::limits::CONDITION_REPORTS_MAX) conditions. For those who may read the policies.
    #[must_use]
    pub fn trace(&self) -> &[TraceLine] {
        &self.trace
    }

    /// How many rules were looked at but are not in the trace.
    #[must_use]
    pub fn trace_omitted(&self) -> usize {
        self.trace_omitted
    }

    /// Turns an allow into a refusal if it carries an obligation whose name is not in `understood`.
    ///
    /// Whoever enforces decisions calls this with the obligations it carries out: one that nobody
    /// carries out would otherwise be a promise broken in silence.
    #[must_use]
    pub fn deny_unless_understood(mut self, understood: &[&str]) -> Self {
        let unknown: Vec<String> =
            self.obligations.keys().filter(|name| !understood.contains(&name.as_str())).cloned().collect();
        if self.is_allowed() && !unknown.is_empty() {
            self.verdict = Verdict::Deny;
            self.obligations.clear();
            self.advice.clear();
            for name in unknown {
                self.errors.push(EvaluationError {
                    rule: None,
                    document: None,
                    line: None,
                    denies: true,
                    detail: format!(
                        "the obligation `{name}` is not understood here; drop it from the policy or upgrade"
                    ),
                });
            }
        }
        self
    }
}

pub(crate) fn joined(reports: &[ConditionReport], separator: &str) -> String {
    let texts: Vec<String> = reports.iter().map(ToString::to_string).collect();
    texts.join(separator)
}
