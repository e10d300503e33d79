//! Rules that do nothing, or not what they say.

mod alone;
mod entities;
mod finding;
mod pairs;

pub use finding::{Finding, FindingKind, OtherRule, Severity};

use crate::limits::{LINT_FINDINGS_MAX, LINT_PAIRS_MAX, LINT_STEPS_MAX};
use crate::reason::{Budget, OnlyBuiltIn};
use crate::set::PolicySet;
use alone::Alone;
use pairs::Pairs;

/// What lint found in a set.
#[derive(Debug, Clone, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
pub struct LintReport {
    /// By document, line and kind.
    pub findings: Vec<Finding>,
    /// Findings beyond [`LINT_FINDINGS_MAX`], which are not listed.
    pub findings_omitted: usize,
    /// Number of rules looked at.
    pub rules: usize,
    /// Number of pairs of rules looked at.
    pub pairs: u64,
    /// Whether no limit cut the search. What was found holds either way.
    pub complete: bool,
}

/// Finds rules and conditions that do nothing, or not what they say.
///
/// Every finding is proved for all requests that can be judged: with attributes missing, of another type, or without a type
/// ([`Value::Opaque`](crate::Value::Opaque)), with roles that include roles, and with groups. Where there is no proof there is
/// no finding, so a set without findings is not thereby free of such rules. What lint knows:
///
/// - principals, resources, actions and every operator on one attribute, exactly, but for pre-releases in `semver`;
/// - two attributes compared by `value_from`: only that the same comparison, or its opposite, stands elsewhere too;
/// - one rule against another, never against several rules together.
///
/// ```
/// use hpc_policy::{FindingKind, PolicySet, lint};
///
/// let set = PolicySet::parse_documents([("hours.yaml", "
/// apiVersion: policy.horizon.dev/v1
/// kind: Policy
/// metadata: {name: hours}
/// spec:
///   principals: [{type: role, value: gpu-user}]
///   resources: [{type: gpu, pattern: 'gpu/*'}]
///   actions: [capacity.request]
///   effect: allow
///   conditions:
///     - {attribute: context.hours, op: lt, value: 3}
///     - {attribute: context.hours, op: gt, value: 5}
/// ")]).map_err(|errors| errors[0].clone())?;
/// let report = lint(&set);
/// assert_eq!(report.findings[0].kind, FindingKind::Contradictory);
/// assert_eq!(
///     report.findings[0].problem,
///     "`context.hours < 3` (line 11) and `context.hours > 5` (line 12) are never true together, so it never allows",
/// );
/// assert!(report.complete);
/// # Ok::<(), hpc_policy::PolicyError>(())
/// ```
#[must_use]
pub fn lint(set: &PolicySet) -> LintReport {
    let budget = Budget::new(LINT_STEPS_MAX);
    let mut pairs = Pairs::new(set, &budget, LINT_PAIRS_MAX);
    let mut findings = Vec::new();
    // Later rules first: of two that do the same, the later one is reported.
    for (position, rule) in set.compiled().rev() {
        let alone = Alone::look(rule, &OnlyBuiltIn, &budget);
        findings.extend(entities::unknown(rule, set.entities()));
        if alone.is_dead() {
            pairs.remove(position);
        } else {
            pairs.compare(position, rule, &alone);
        }
        findings.extend(alone.into_findings());
    }
    let looked_at = pairs.looked_at();
    findings.extend(pairs.into_findings());
    findings.sort_by(|left, right| {
        let key = |finding: &Finding| (finding.document.clone(), finding.line, finding.kind);
        key(left).cmp(&key(right)).then_with(|| left.problem.cmp(&right.problem))
    });
    let findings_omitted = findings.len().saturating_sub(LINT_FINDINGS_MAX);
    findings.truncate(LINT_FINDINGS_MAX);
    LintReport {
        findings,
        findings_omitted,
        rules: set.rule_count(),
        pairs: looked_at,
        complete: !budget.was_cut(),
    }
}
