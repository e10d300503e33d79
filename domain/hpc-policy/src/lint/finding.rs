//! What lint can find.

use std::fmt;
use std::sync::Arc;

use crate::rule::{Effect, Rule};

/// How much a finding matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[cfg_attr(feature = "serde", derive(serde::Serialize), serde(rename_all = "lowercase"))]
pub enum Severity {
    /// Harmless, but perhaps not meant.
    Hint,
    /// A rule or a part of one does nothing, or not what it says.
    Warning,
    /// A rule can never have its effect, for a reason that is in itself.
    Error,
}

impl Severity {
    /// `hint`, `warning` or `error`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Hint => "hint",
            Self::Warning => "warning",
            Self::Error => "error",
        }
    }
}

impl fmt::Display for Severity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// What is wrong with a rule. Each holds for **every** request that can be judged, with missing attributes, wrong types and
/// values without a type among them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[cfg_attr(feature = "serde", derive(serde::Serialize), serde(rename_all = "kebab-case"))]
pub enum FindingKind {
    /// Its conditions exclude each other: an allow rule never allows, a deny rule never denies.
    Contradictory,
    /// Its conditions exclude what its principals, resources and actions say.
    NeverApplies,
    /// A deny rule whose conditions are never true. It denies only where an attribute is missing or has another type.
    DeniesOnlyUnknown,
    /// An allow rule: a deny rule denies whenever it allows.
    Shadowed,
    /// Another rule of the same effect applies whenever this one does, and its obligations and advice cover this one's. Verdict,
    /// obligations and advice stay the same without it; explanations, owners and messages may name the other rule instead.
    Redundant,
    /// An alternative of an `any` that never makes a difference.
    DeadAlternative,
    /// A condition that makes no difference beside the rule's other conditions and its scope.
    NeedlessCondition,
    /// The set lists entities, and none of them is what a rule names. The lists may be incomplete.
    UnknownEntity,
}

impl FindingKind {
    /// The stable code, such as `denies-only-unknown`.
    #[must_use]
    pub fn code(self) -> &'static str {
        match self {
            Self::Contradictory => "contradictory",
            Self::NeverApplies => "never-applies",
            Self::DeniesOnlyUnknown => "denies-only-unknown",
            Self::Shadowed => "shadowed",
            Self::Redundant => "redundant",
            Self::DeadAlternative => "dead-alternative",
            Self::NeedlessCondition => "needless-condition",
            Self::UnknownEntity => "unknown-entity",
        }
    }

    /// How much it matters.
    #[must_use]
    pub fn severity(self) -> Severity {
        match self {
            Self::Contradictory | Self::NeverApplies => Severity::Error,
            Self::DeniesOnlyUnknown | Self::Shadowed | Self::Redundant | Self::DeadAlternative => {
                Severity::Warning
            }
            Self::NeedlessCondition | Self::UnknownEntity => Severity::Hint,
        }
    }

    fn rule_is_removable(self) -> bool {
        matches!(self, Self::Contradictory | Self::NeverApplies | Self::Shadowed | Self::Redundant)
    }
}

impl fmt::Display for FindingKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.code())
    }
}

/// Another rule that a finding is about.
#[derive(Debug, Clone, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
pub struct OtherRule {
    /// Its document.
    pub document: Option<Arc<str>>,
    /// Its policy.
    pub policy: Arc<str>,
    /// Its name.
    pub rule: Arc<str>,
    /// Line of its document where it begins.
    pub line: u32,
}

impl OtherRule {
    pub(super) fn of(rule: &Rule) -> Self {
        Self {
            document: rule.document.clone(),
            policy: Arc::clone(&rule.policy),
            rule: Arc::clone(&rule.name),
            line: rule.line,
        }
    }
}

impl fmt::Display for OtherRule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{}/{}`", self.policy, self.rule)?;
        match &self.document {
            Some(document) => write!(f, " ({document}:{})", self.line),
            None => write!(f, " (line {})", self.line),
        }
    }
}

/// One thing that is wrong with one rule.
#[derive(Debug, Clone, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
pub struct Finding {
    /// What is wrong.
    pub kind: FindingKind,
    /// How much it matters.
    pub severity: Severity,
    /// The rule's document.
    pub document: Option<Arc<str>>,
    /// The rule's policy.
    pub policy: Arc<str>,
    /// The rule's name.
    pub rule: Arc<str>,
    /// The rule's effect.
    pub effect: Effect,
    /// The line to look at: where the condition in question stands, or where the rule begins.
    pub line: u32,
    /// Whether it holds only for requests that keep to the set's [`Schema`](crate::Schema). Requests are not checked against
    /// it, so such a rule is not to be removed on this word alone.
    pub given_schema: bool,
    /// The other rules involved.
    pub others: Vec<OtherRule>,
    /// What is wrong, in words.
    pub problem: String,
    /// What to do about it.
    pub advice: &'static str,
}

impl Finding {
    pub(super) fn new(kind: FindingKind, rule: &Rule, problem: String, advice: &'static str) -> Self {
        Self {
            kind,
            severity: kind.severity(),
            document: rule.document.clone(),
            policy: Arc::clone(&rule.policy),
            rule: Arc::clone(&rule.name),
            effect: rule.effect,
            line: rule.line,
            given_schema: false,
            others: Vec::new(),
            problem,
            advice,
        }
    }

    /// The same, known only of requests that keep to the schema.
    pub(super) fn only_given_schema(mut self) -> Self {
        self.given_schema = true;
        self.problem.insert_str(0, "in requests that keep to the schema, ");
        self
    }

    /// Whether the rule can be taken out of the set without changing the verdict, obligations or advice of any decision. All
    /// rules for which this is so can be taken out together.
    #[must_use]
    pub fn rule_is_removable(&self) -> bool {
        !self.given_schema && self.kind.rule_is_removable()
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(document) = &self.document {
            write!(f, "{document}:")?;
        }
        let Self { line, kind, severity, policy, rule, problem, advice, .. } = self;
        write!(f, "{line}: {severity}[{kind}]: {policy}/{rule}: {problem}; {advice}")
    }
}
