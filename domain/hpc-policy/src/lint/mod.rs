//! Rules that do nothing, or not what they say.

mod alone;
mod entities;
mod finding;
mod pairs;

use std::collections::BTreeSet;

pub use finding::{Finding, FindingKind, OtherRule, Severity};

use crate::limits::{LINT_FINDINGS_MAX, LINT_PAIRS_MAX, LINT_STEPS_MAX};
use crate::reason::{Budget, Knowledge, OnlyBuiltIn};
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
    /// Number of pairs of rules looked at, at most [`LINT_PAIRS_MAX`].
    pub pairs: u64,
    /// Work done, in small steps, at most [`LINT_STEPS_MAX`].
    pub steps: u64,
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
/// - one rule against another, never against several rules together;
/// - where the set has a [`Schema`](crate::Schema), more that holds only for requests that keep to it, marked
///   [`given_schema`](Finding::given_schema).
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
    within(set, Limits { steps: LINT_STEPS_MAX, pairs: LINT_PAIRS_MAX, findings: LINT_FINDINGS_MAX })
}

/// How far lint goes.
#[derive(Debug, Clone, Copy)]
struct Limits {
    steps: u64,
    pairs: u64,
    findings: usize,
}

fn within(set: &PolicySet, limits: Limits) -> LintReport {
    let budget = Budget::new(limits.steps);
    let mut pairs = Pairs::new(set, &budget, limits.pairs);
    let mut found = pass(set, &OnlyBuiltIn, &BTreeSet::new(), &mut pairs, &budget);
    if !set.schema().is_empty() {
        // Rules with findings are to be corrected first: with the schema they might be found to do nothing because of others
        // than without it, and then not everything that was found could go together.
        let before: BTreeSet<u32> = found.iter().map(|(position, _)| *position).collect();
        let more = pass(set, set.schema(), &before, &mut pairs, &budget);
        found.extend(more.into_iter().map(|(position, finding)| (position, finding.only_given_schema())));
    }
    let mut findings: Vec<Finding> = found.into_iter().map(|(_, finding)| finding).collect();
    findings.extend(set.compiled().flat_map(|(_, rule)| entities::unknown(rule, set.entities())));
    findings.sort_by(|left, right| {
        let key = |finding: &Finding| (finding.document.clone(), finding.line, finding.kind);
        key(left).cmp(&key(right)).then_with(|| left.problem.cmp(&right.problem))
    });
    let findings_omitted = findings.len().saturating_sub(limits.findings);
    findings.truncate(limits.findings);
    LintReport {
        findings,
        findings_omitted,
        rules: set.rule_count(),
        pairs: pairs.looked_at(),
        steps: limits.steps - budget.left(),
        complete: !budget.was_cut(),
    }
}

/// Looks at all rules but those in `before`, with what `knowledge` says of requests.
fn pass<'a>(
    set: &'a PolicySet,
    knowledge: &'a dyn Knowledge,
    before: &BTreeSet<u32>,
    pairs: &mut Pairs<'a>,
    budget: &Budget,
) -> Vec<(u32, Finding)> {
    let rules = || set.compiled().filter(|(position, _)| !before.contains(position));
    let mut found = Vec::new();
    // Later rules first: of two that do the same, the later one is reported.
    for (position, rule) in rules().rev() {
        let alone = Alone::look(rule, knowledge, budget);
        if alone.is_dead() {
            pairs.remove(position);
        } else {
            pairs.compare(position, rule, &alone);
        }
        found.extend(alone.into_findings().into_iter().map(|finding| (position, finding)));
    }
    found.extend(pairs.findings(rules()));
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `count` rules that do the same.
    fn equal_rules(count: usize) -> PolicySet {
        let mut text =
            "apiVersion: policy.horizon.dev/v1\nkind: Policy\nmetadata: {name: p}\nspec:\n  rules:\n"
                .to_owned();
        for number in 0..count {
            text.push_str(&format!(
                "    - {{name: r{number}, effect: deny, principals: [{{type: any}}], resources: [{{type: t, id: t}}], \
                 actions: [use], conditions: [{{attribute: context.a, op: lt, value: 3}}]}}\n"
            ));
        }
        PolicySet::parse_documents([("p", text)]).unwrap()
    }

    const WIDE: Limits = Limits { steps: LINT_STEPS_MAX, pairs: LINT_PAIRS_MAX, findings: LINT_FINDINGS_MAX };

    #[test]
    fn a_limit_that_cuts_the_search_is_told_and_claims_nothing() {
        let set = equal_rules(20);
        let whole = within(&set, WIDE);
        assert_eq!((whole.findings.len(), whole.findings_omitted, whole.complete), (19, 0, true));
        let listed = within(&set, Limits { findings: 19, ..WIDE });
        assert_eq!((listed.findings.len(), listed.findings_omitted), (19, 0));
        let listed = within(&set, Limits { findings: 18, ..WIDE });
        assert_eq!((listed.findings.len(), listed.findings_omitted, listed.complete), (18, 1, true));
        let few = within(&set, Limits { pairs: whole.pairs, ..WIDE });
        assert_eq!((few.pairs, few.findings.len(), few.complete), (whole.pairs, 19, true));
        let few = within(&set, Limits { pairs: whole.pairs - 1, ..WIDE });
        assert_eq!((few.findings.len(), few.complete), (18, false));
        for steps in (0..2_000).step_by(7) {
            let cut = within(&set, Limits { steps, ..WIDE });
            assert!(!cut.complete || cut.findings == whole.findings, "{steps}");
            assert!(steps > 100 || !cut.complete, "{steps}");
            assert!(cut.findings.iter().all(|finding| whole.findings.contains(finding)), "{steps}");
        }
    }

    /// Rules that have as many alternatives as there may be, none of which can hold with the others.
    #[test]
    fn hard_rules_take_bounded_work() {
        let mut text =
            "apiVersion: policy.horizon.dev/v1\nkind: Policy\nmetadata: {name: p}\nspec:\n  rules:\n"
                .to_owned();
        let hard = |number: usize| {
            // Four choices of four ways that all may be, and then one of five that all may not.
            let mut conditions = format!("{{attribute: context.b, op: ne, value: {number}}}");
            let both = |one: String, other: String| {
                format!("{{all: [{{attribute: {one}}}, {{attribute: {other}}}]}}, ")
            };
            for attribute in 0..4 {
                let way = |value: usize| {
                    let name = format!("context.a{attribute}");
                    both(format!("{name}, op: eq, value: {value}"), format!("{name}, op: exists"))
                };
                conditions += &format!(", {{any: [{}]}}", (0..4).map(way).collect::<String>());
            }
            let way =
                |_| both("context.b, op: eq, value: 1".to_owned(), "context.b, op: eq, value: 2".to_owned());
            conditions += &format!(", {{any: [{}]}}", (0..5).map(way).collect::<String>());
            format!(
                "    - {{name: r{number}, effect: allow, principals: [{{type: any}}], resources: [{{type: t, id: t}}], \
                 actions: [use], conditions: [{conditions}]}}\n"
            )
        };
        (0..40).for_each(|number| text.push_str(&hard(number)));
        let set = PolicySet::parse_documents([("p", text)]).unwrap();
        // Each proof stops at its own limit, and all of them at the common one.
        let whole = within(&set, WIDE);
        assert!(!whole.complete && whole.steps < 40_000_000, "{}", whole.steps);
        let dead = |finding: &Finding| {
            finding.kind == FindingKind::NeverApplies
                && finding.problem
                    == "the `any` that begins on line 6 has no alternative that fits the rest of the rule, so it never allows"
        };
        let lines = whole.findings.iter().filter(|finding| finding.line == 6);
        assert!(whole.findings.len() == 40 && lines.count() == 1 && dead(&whole.findings[0]));
        let cut = within(&set, Limits { steps: 100_000, ..WIDE });
        assert!(!cut.complete && cut.findings.len() < 40);
        assert_eq!(cut.steps, 100_000);
    }
}
