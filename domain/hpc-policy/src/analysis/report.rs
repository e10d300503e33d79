//! What a comparison of two sets says.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use crate::decision::Verdict;
use crate::record::QuestionRecord;
use crate::rule::{Effect, Rule};
use crate::value::Value;

/// Which way decisions change.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[cfg_attr(feature = "serde", derive(serde::Serialize), serde(rename_all = "snake_case"))]
pub enum Direction {
    /// What was denied is allowed.
    DenyToAllow,
    /// What was allowed is denied.
    AllowToDeny,
    /// What was allowed is still allowed, under other obligations.
    Obligations,
}

impl fmt::Display for Direction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::DenyToAllow => "deny -> allow",
            Self::AllowToDeny => "allow -> deny",
            Self::Obligations => "other obligations",
        })
    }
}

/// A rule and where it stands.
#[derive(Debug, Clone, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[non_exhaustive]
pub struct RulePlace {
    /// The document it is in.
    pub document: Option<Arc<str>>,
    /// The policy it is in.
    pub policy: Arc<str>,
    /// Its name.
    pub rule: Arc<str>,
    /// Line of its document where it begins.
    pub line: u32,
    /// Allow or deny.
    pub effect: Effect,
}

impl RulePlace {
    pub(crate) fn of(rule: &Rule) -> Self {
        Self {
            document: rule.document.clone(),
            policy: Arc::clone(&rule.policy),
            rule: Arc::clone(&rule.name),
            line: rule.line,
            effect: rule.effect,
        }
    }
}

impl fmt::Display for RulePlace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.policy, self.rule)?;
        match &self.document {
            Some(document) => write!(f, " ({document}:{})", self.line),
            None => write!(f, " (line {})", self.line),
        }
    }
}

/// What a rule has to do with a decision.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize), serde(rename_all = "snake_case"))]
pub enum Part {
    /// It allows the request.
    Allows,
    /// It denies the request.
    Denies,
    /// It has the name of the rule that decides on the other side, and does nothing.
    DoesNothing,
}

/// A rule that is responsible for a decision.
#[derive(Debug, Clone, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[non_exhaustive]
pub struct Responsible {
    /// The rule.
    #[cfg_attr(feature = "serde", serde(flatten))]
    pub place: RulePlace,
    /// What it does.
    pub part: Part,
    /// Whether the other set has no rule that says the same.
    pub changed: bool,
}

/// What one set decides.
#[derive(Debug, Clone, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[non_exhaustive]
pub struct Outcome {
    /// The verdict.
    pub verdict: Verdict,
    /// Why, as [`Decision::reasons`](crate::Decision::reasons) says it, the first few.
    pub reasons: Vec<String>,
    /// The obligations, of an allow.
    pub obligations: BTreeMap<String, Value>,
}

/// One request that two sets decide differently.
#[derive(Debug, Clone, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[non_exhaustive]
pub struct Example {
    /// The request, in the form of `hpc.policy.question/v1`.
    pub question: QuestionRecord,
    /// What the old set decides.
    pub old: Outcome,
    /// What the new set decides.
    pub new: Outcome,
    /// The request as a case of a `kind: PolicyTest` that the new set passes, indented to stand below `cases:`. `None` if
    /// it holds a value that documents cannot write.
    pub case: Option<String>,
    /// Whether attributes have the types and values that the sets' schemas declare.
    pub keeps_to_schema: bool,
}

/// Decisions that change in one direction because of the same changed rules.
#[derive(Debug, Clone, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[non_exhaustive]
pub struct FlipGroup {
    /// Which way.
    pub direction: Direction,
    /// The responsible rules of the old set: the changed ones, and of the others those that were met first.
    pub old: Vec<Responsible>,
    /// How many more there are.
    pub old_omitted: usize,
    /// The responsible rules of the new set.
    pub new: Vec<Responsible>,
    /// How many more there are.
    pub new_omitted: usize,
    /// How many of the combinations that were tried flip so.
    pub count: u64,
    /// One of them, made as small as it goes.
    pub example: Example,
}

/// Where a comparison may have missed something.
#[derive(Debug, Clone, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[non_exhaustive]
pub struct Gap {
    /// The changed rule around which the search was not complete.
    pub rule: RulePlace,
    /// Why.
    pub reason: String,
}

/// How complete a comparison is.
#[derive(Debug, Clone, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize), serde(tag = "kind", rename_all = "snake_case"))]
pub enum Coverage {
    /// Every combination that can matter was tried: there is no other flip of a direction that is not in the report.
    Complete {
        /// How many combinations.
        tried: u64,
    },
    /// Not all of them were.
    Sampled {
        /// How many combinations were tried.
        tried: u64,
        /// Around how many changed rules the search was complete.
        whole: usize,
        /// Of how many.
        of: usize,
        /// Where it was not, the first [`DIFF_GAPS_MAX`](crate::limits::DIFF_GAPS_MAX).
        gaps: Vec<Gap>,
        /// How many gaps are not in the list.
        gaps_omitted: usize,
    },
}

/// Which decisions differ between two sets.
#[derive(Debug, Clone, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[non_exhaustive]
pub struct DiffReport {
    /// The digest of the old set.
    pub old: Arc<str>,
    /// The digest of the new set.
    pub new: Arc<str>,
    /// How many rules of the old set say what no rule of the new one says.
    pub only_old: usize,
    /// How many rules of the new set say what no rule of the old one says.
    pub only_new: usize,
    /// The flips, first what opens, then what closes, then what obliges.
    pub flips: Vec<FlipGroup>,
    /// How many groups are not in the list.
    pub flips_omitted: usize,
    /// Whether there can be others.
    pub coverage: Coverage,
}

impl DiffReport {
    /// Whether no decision was found that differs.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.flips.is_empty() && self.flips_omitted == 0
    }

    /// Whether nothing that could matter was left out.
    #[must_use]
    pub fn is_complete(&self) -> bool {
        matches!(self.coverage, Coverage::Complete { .. })
    }
}
