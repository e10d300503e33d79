//! What is known of a request before it is made.

use crate::context::EvaluationContext;
use crate::error::PolicyError;
use crate::limits::ATTRIBUTES_MAX;
use crate::path::{AttributePath, Source};
use crate::value::Value;

/// Attributes whose values are known; of all others nothing is, not even whether they are there.
///
/// ```
/// use hpc_policy::Known;
///
/// let known = Known::new().with("context.hours", 8)?.with("resource.owner", "alice")?;
/// assert!(Known::new().with("hours", 8).is_err(), "a path says below what it is");
/// # let _ = known;
/// # Ok::<(), hpc_policy::PolicyError>(())
/// ```
#[derive(Debug, Clone, Default)]
pub struct Known {
    values: Vec<(AttributePath, Value)>,
}

impl Known {
    /// Nothing is known.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a value, in place of an earlier one of the same path: below `principal.`, `resource.`, `action.` or `context.`;
    /// `context.now` is a timestamp.
    ///
    /// # Errors
    /// Only [`PolicyError::InvalidRequest`]: the path is none, or belongs to the question itself, as `principal.id` does;
    /// the value has a form or size that no request holds; there are too many.
    pub fn with(mut self, path: &str, value: impl Into<Value>) -> Result<Self, PolicyError> {
        let value = value.into();
        let shown: String = path.chars().take(64).flat_map(char::escape_debug).collect();
        let wrong =
            |problem: &str| PolicyError::InvalidRequest { field: shown.clone(), problem: problem.to_owned() };
        let parsed = AttributePath::parse(path).map_err(|_| {
            wrong("is no attribute; name one below `principal.`, `resource.`, `action.` or `context.`")
        })?;
        match (parsed.source(), &value) {
            (Source::Now, Value::Timestamp(_)) => {}
            (Source::Now, _) => return Err(wrong("is not a time; give one such as `2026-11-02T10:00:00Z`")),
            (
                Source::Principal(_) | Source::Resource(_) | Source::ActionAttribute(_) | Source::Context(_),
                _,
            ) => {}
            _ => {
                return Err(wrong(
                    "belongs to the question itself; ask about another principal, action or resource",
                ));
            }
        }
        if let Some(problem) = value.problem() {
            return Err(wrong(problem));
        }
        self.values.retain(|(known, _)| *known != parsed);
        if self.values.len() >= ATTRIBUTES_MAX {
            return Err(wrong("is one attribute too many; give at most 256"));
        }
        self.values.push((parsed, value));
        Ok(self)
    }

    pub(crate) fn apply(&self, context: &mut EvaluationContext) {
        for (path, value) in &self.values {
            context.put(path, Some(value.clone()));
        }
    }

    pub(crate) fn has(&self, path: &AttributePath) -> bool {
        self.values.iter().any(|(known, _)| known == path)
    }
}
