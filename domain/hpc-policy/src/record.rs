//! Questions and decisions as they are written down, so that they can be asked again of other policies.
//!
//! As JSON a question is one object with the fields in this order; what is empty is left out.
//!
//! ```json
//! {"format":"hpc.policy.question/v1",
//!  "principal":{"type":"user","id":"alice","roles":["gpu-user"],"attributes":{"level":3}},
//!  "resource":{"type":"gpu","id":"gpu/h100"},
//!  "action":"capacity.request",
//!  "context":{"since":{"timestamp":"2026-11-02T10:00:00Z"},"source":{"ip":"10.0.0.1"}},
//!  "now":"2026-11-02T10:00:00Z",
//!  "secret":["context.token"]}
//! ```
//!
//! Values of secret attributes are never written, only their names.

use std::collections::BTreeMap;

use crate::context::EvaluationContext;
use crate::decision::{Decision, Verdict};
use crate::error::PolicyError;
use crate::limits::{RECORDED_REASON_BYTES_MAX, RECORDED_REASONS_MAX};
use crate::value::Value;

/// The value of `format` in a [`QuestionRecord`].
pub const QUESTION_FORMAT: &str = "hpc.policy.question/v1";
/// The value of `format` in a [`RecordedDecision`].
pub const DECISION_FORMAT: &str = "hpc.policy.decision/v1";

/// A question without the values of its secret attributes.
///
/// With the feature `serde` it is written and read in one versioned form. Reading checks what
/// [`EvaluationContext::check`] checks; unknown fields, doubled keys, floating-point numbers and nested lists are refused.
///
/// ```
/// use hpc_policy::{EvaluationContext, Principal, QuestionRecord, Resource};
/// let asked = EvaluationContext::new(Principal::user("alice"), Resource::new("gpu", "gpu/h100"), "capacity.request")
///     .with_attribute("hours", 2)
///     .with_secret_attribute("token", "s3cret");
/// let record = QuestionRecord::of(&asked)?;
/// assert_eq!(record.secrets(), ["context.token"]);
/// let text = serde_json::to_string(&record).unwrap();
/// assert!(text.contains(r#""hours":2"#) && !text.contains("s3cret"));
/// assert_eq!(serde_json::from_str::<QuestionRecord>(&text).unwrap(), record);
/// # Ok::<(), hpc_policy::PolicyError>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct QuestionRecord {
    // INVARIANT: `check` holds, and no attribute is secret.
    context: EvaluationContext,
    /// Paths such as `context.token`, sorted.
    secrets: Vec<String>,
}

impl QuestionRecord {
    /// What can be written down of a question.
    ///
    /// # Errors
    /// Only [`PolicyError::InvalidRequest`]: a question without a single reading is denied by every policy,
    /// and is not recorded.
    pub fn of(context: &EvaluationContext) -> Result<Self, PolicyError> {
        context.check()?;
        let mut secrets: Vec<String> = Vec::new();
        for (root, attributes) in context.attribute_maps() {
            let secret = attributes.iter().filter(|(_, attribute)| attribute.secret);
            secrets.extend(secret.map(|(name, _)| format!("{root}.{name}")));
        }
        secrets.sort();
        Ok(Self { context: context.without_secrets(), secrets })
    }

    #[cfg(feature = "serde")]
    pub(crate) fn from_parts(context: EvaluationContext, secrets: Vec<String>) -> Result<Self, PolicyError> {
        context.check()?;
        Ok(Self { context, secrets })
    }

    /// The question; attributes that were secret are missing.
    #[must_use]
    pub fn context(&self) -> &EvaluationContext {
        &self.context
    }

    /// Paths of the attributes that were secret, sorted.
    #[must_use]
    pub fn secrets(&self) -> &[String] {
        &self.secrets
    }

    /// Whether nothing was left out: only then does asking again give what would have been decided.
    #[must_use]
    pub fn is_complete(&self) -> bool {
        self.secrets.is_empty()
    }
}

/// A decision as it was made: the question, what was answered, and by which policies.
///
/// The verdict is that of the policies after
/// [`Decision::deny_unless_understood`](crate::Decision::deny_unless_understood); what the enforcement point made of the
/// obligations is not in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RecordedDecision {
    /// What was asked.
    pub question: QuestionRecord,
    /// What was answered.
    pub verdict: Verdict,
    /// The digest of the policies that answered.
    pub digest: String,
    /// The obligations that came with the answer.
    pub obligations: BTreeMap<String, Value>,
    /// The names of the obligations that the enforcement point carries out.
    pub understood: Vec<String>,
    /// Why, in short; at most [`RECORDED_REASONS_MAX`] reasons of [`RECORDED_REASON_BYTES_MAX`] bytes.
    pub reasons: Vec<String>,
}

impl RecordedDecision {
    /// Writes down `decision`, which answered `context` where the obligations `understood` are carried out.
    ///
    /// # Errors
    /// As [`QuestionRecord::of`].
    pub fn of(
        context: &EvaluationContext,
        decision: &Decision,
        understood: &[&str],
    ) -> Result<Self, PolicyError> {
        Ok(Self {
            question: QuestionRecord::of(context)?,
            verdict: decision.verdict,
            digest: decision.digest.to_string(),
            obligations: decision.obligations.clone(),
            understood: understood.iter().map(|name| (*name).to_owned()).collect(),
            reasons: short_reasons(decision),
        })
    }
}

/// The reasons of a decision, bounded.
pub(crate) fn short_reasons(decision: &Decision) -> Vec<String> {
    decision.reasons().into_iter().take(RECORDED_REASONS_MAX).map(|reason| cut(reason.text)).collect()
}

/// A reason of at most [`RECORDED_REASON_BYTES_MAX`] bytes.
pub(crate) fn cut(mut text: String) -> String {
    if text.len() > RECORDED_REASON_BYTES_MAX {
        let mut end = RECORDED_REASON_BYTES_MAX.saturating_sub(3);
        while !text.is_char_boundary(end) {
            end = end.saturating_sub(1);
        }
        text.truncate(end);
        text.push_str("...");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_reason_is_cut_between_characters() {
        let fits = "ä".repeat(RECORDED_REASON_BYTES_MAX / 2);
        assert_eq!(cut(fits.clone()), fits);
        let long = cut(format!("{fits}x"));
        assert!(long.len() <= RECORDED_REASON_BYTES_MAX && long.ends_with("ä..."), "{}", long.len());
    }
}
