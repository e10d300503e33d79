//! Comparisons of two sets: what is reported is real, and what a complete report leaves out is not there.

use hpc_policy::{
    Coverage, Decision, Direction, EvaluationContext, PolicySet, Value, Verdict, diff, parse_cases, run_cases,
};
use proptest::prelude::*;

use crate::random::{self, requests, rules};

fn obligations(decision: Decision) -> std::collections::BTreeMap<String, Value> {
    decision.obligations
}

/// Which way a request's decision changes, if it does.
pub(crate) fn flip(old: &PolicySet, new: &PolicySet, context: &EvaluationContext) -> Option<Direction> {
    match (old.decide(context), new.decide(context)) {
        (Verdict::Deny, Verdict::Allow) => Some(Direction::DenyToAllow),
        (Verdict::Allow, Verdict::Deny) => Some(Direction::AllowToDeny),
        (Verdict::Allow, Verdict::Allow) => (obligations(old.evaluate(context))
            != obligations(new.evaluate(context)))
        .then_some(Direction::Obligations),
        (Verdict::Deny, Verdict::Deny) => None,
    }
}

/// `new` is `old` with some rules left out, and some others put in.
pub(crate) fn pairs() -> impl Strategy<Value = (Vec<String>, Vec<String>)> {
    (rules(1..5), rules(0..3), any::<u8>()).prop_map(|(old, added, left_out)| {
        let kept = old.iter().enumerate().filter(|(place, _)| left_out & (1 << place) == 0);
        let new: Vec<String> = kept.map(|(_, rule)| rule.clone()).chain(added).collect();
        (old, new)
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(160))]

    #[test]
    fn every_flip_is_real_and_none_is_missed(
        (old, new) in pairs(),
        requests in prop::collection::vec(requests(), 64),
    ) {
        let (old, new) = (random::set(&old), random::set(&new));
        let report = diff(&old, &new);
        let back = diff(&new, &old);
        for group in &report.flips {
            let context = group.example.question.context();
            prop_assert_eq!(flip(&old, &new, context), Some(group.direction));
            prop_assert_eq!(old.decide(context), group.example.old.verdict);
            prop_assert_eq!(new.decide(context), group.example.new.verdict);
            prop_assert!(group.old.iter().chain(&group.new).any(|rule| rule.changed), "{group:?}");
            prop_assert!(group.count > 0);
            // What can be written as a case is a case that the new set passes.
            if let Some(case) = &group.example.case {
                let table = format!("apiVersion: policy.horizon.dev/v1\nkind: PolicyTest\ncases:\n{case}");
                let cases = parse_cases(&table).unwrap_or_else(|error| panic!("{error}\n{table}"));
                prop_assert_eq!(cases.cases()[0].context(), context, "{}", table);
                prop_assert!(run_cases(&new, &cases)[0].passed());
            }
        }
        for request in &requests {
            let context = request.context();
            let Some(direction) = flip(&old, &new, &context) else { continue };
            if !report.is_complete() {
                continue;
            }
            let reported = report.flips.iter().filter(|group| group.direction == direction);
            prop_assert!(reported.count() > 0, "{:?} {:?}\n{:?}", direction, context, report.coverage);
            let turned = match direction {
                Direction::AllowToDeny => Direction::DenyToAllow,
                Direction::DenyToAllow => Direction::AllowToDeny,
                same => same,
            };
            let seen_back = back.flips.iter().any(|group| group.direction == turned);
            prop_assert!(seen_back || !back.is_complete(), "{direction:?} {context:?}");
        }
    }
}

/// A rule over one type and action for each of `count` tenants, of which `short` ones get fewer hours.
fn tenants(count: usize, short: &[usize]) -> PolicySet {
    let rules: Vec<String> = (0..count)
        .map(|number| {
            let hours = if short.contains(&number) { 4 } else { 8 };
            format!(
                "effect: allow, principals: [{{type: any}}], resources: [{{type: gpu, pattern: \"**\"}}], actions: [use], \
                 conditions: [{{attribute: context.hours, op: lte, value: {hours}}}, {{attribute: context.tenant, op: eq, value: t{number}}}]"
            )
        })
        .collect();
    random::set(&rules)
}

#[test]
fn rules_told_apart_by_conditions_alone_are_compared() {
    let report = diff(&tenants(40, &[]), &tenants(40, &[7, 30]));
    assert!(report.is_complete());
    let found: Vec<(&str, Direction, Vec<String>)> = report
        .flips
        .iter()
        .map(|group| (&*group.old[0].place.rule, group.direction, group.example.new.reasons.clone()))
        .collect();
    let reason = |rule: &str| format!("`p/{rule}` would allow it if context.hours <= 4 (is 8)");
    assert_eq!(found.len(), 2);
    for ((rule, direction, reasons), expected) in found.into_iter().zip(["r7", "r30"]) {
        assert_eq!((rule, direction), (expected, Direction::AllowToDeny));
        assert_eq!(reasons[0], reason(expected));
    }
}

/// Comparisons, each of which can be true, false and, but for `exists`, unknown.
const COMPARISONS: [&str; 30] = [
    "{attribute: context.a, op: eq, value: 7}",
    "{attribute: context.a, op: ne, value: 7}",
    "{attribute: context.a, op: gt, value: 7}",
    "{attribute: context.a, op: gte, value: 7}",
    "{attribute: context.a, op: lt, value: -7}",
    "{attribute: context.a, op: lte, value: -7}",
    "{attribute: context.a, op: range, value: {min: 3, max: 3}}",
    "{attribute: context.a, op: in, value: [7, 9]}",
    "{attribute: context.a, op: not_in, value: [p, q]}",
    "{attribute: context.a, op: eq, value: true}",
    "{attribute: context.a, op: eq, value: {ip: 10.0.0.1}}",
    "{attribute: context.a, op: gt, value: {timestamp: \"2026-11-02T10:00:00Z\"}}",
    "{attribute: context.a, op: contains, value: part}",
    "{attribute: context.a, op: contains, value: 7}",
    "{attribute: context.a, op: starts_with, value: part}",
    "{attribute: context.a, op: ends_with, value: part}",
    "{attribute: context.a, op: glob, value: \"jobs/*/x\"}",
    "{attribute: context.a, op: cidr, value: [10.0.0.0/8, \"2001:db8::/32\"]}",
    "{attribute: context.a, op: cidr, value: 255.255.255.255/32}",
    "{attribute: context.a, op: semver, value: \">=1.2.3-rc.1, <2\"}",
    "{attribute: context.a, op: semver, value: \"=4.5.6\"}",
    "{attribute: context.a, op: time_window, value: {days: [sat], from: \"22:00\", to: \"06:00\", offset: \"+05:30\"}}",
    "{attribute: context.now, op: time_window, value: {from: \"09:00\", to: \"09:01\"}}",
    "{attribute: context.a, op: eq, value_from: context.b}",
    "{attribute: context.a, op: gt, value_from: context.b}",
    "{attribute: context.now, op: lt, value_from: resource.expires}",
    "{attribute: resource.owner, op: ne, value_from: principal.id}",
    "{attribute: resource.team, op: in, value_from: principal.teams}",
    "{attribute: principal.spiffe_id, op: glob, value: \"spiffe://d/*\"}",
    "{attribute: context.a, op: exists}",
];

#[test]
fn every_truth_of_every_comparison_is_reached() {
    let rule = |effect: &str, conditions: &str| {
        format!(
            "effect: {effect}, principals: [{{type: any}}], resources: [{{type: gpu, pattern: \"**\"}}], actions: [use]{conditions}"
        )
    };
    let conditions = |inner: String| format!(", conditions: [{inner}]");
    let nothing = random::set(&[]);
    for comparison in COMPARISONS {
        let yes = conditions(comparison.to_owned());
        let no = conditions(format!("{{not: {comparison}}}"));
        // Neither it nor its opposite: unknown.
        let neither = conditions(format!("{{all: [{comparison}, {{not: {comparison}}}]}}"));
        for (truth, condition) in [("true", &yes), ("false", &no)] {
            let report = diff(&random::set(&[rule("allow", condition)]), &nothing);
            let directions: Vec<Direction> = report.flips.iter().map(|group| group.direction).collect();
            assert_eq!(directions, [Direction::AllowToDeny], "{truth}: {comparison}");
            assert!(report.is_complete(), "{comparison}: {:?}", report.coverage);
        }
        let allow = rule("allow", "");
        let denied = random::set(&[allow.clone(), rule("deny", &neither)]);
        let report = diff(&random::set(&[allow]), &denied);
        let expected = usize::from(!comparison.contains("exists"));
        assert_eq!(report.flips.len(), expected, "unknown: {comparison}");
    }
    // Only a missing attribute is absent.
    let absent = conditions("{attribute: context.a, op: exists, value: false}".to_owned());
    assert_eq!(diff(&random::set(&[rule("allow", &absent)]), &nothing).flips.len(), 1);
}

#[test]
fn a_change_of_groups_and_roles_is_a_change_of_the_rules_for_them() {
    let policy = "apiVersion: policy.horizon.dev/v1\nkind: Policy\nmetadata: {name: p}\nspec:\n  rules:\n    - {name: night, effect: \
                  allow, principals: [{type: group, value: night}], resources: [{type: gpu, pattern: \"**\"}], actions: [use]}\n    - \
                  {name: users, effect: allow, principals: [{type: role, value: user}], resources: [{type: job, pattern: \"**\"}], \
                  actions: [use]}\n";
    let set = |member: &str, role: &str| {
        let groups = format!(
            "apiVersion: policy.horizon.dev/v1\nkind: PolicyGroups\nmetadata: {{name: g}}\nspec:\n  groups: [{{name: night, members: \
             [{{type: user, value: ann}}, {{type: user, value: {member}}}]}}]\n  roles: [{{name: {role}, includes: [user]}}]\n"
        );
        PolicySet::parse_documents([("p.yaml", policy), ("g.yaml", &groups)]).unwrap()
    };
    let report = diff(&set("bob", "lead"), &set("eve", "boss"));
    assert!(report.is_complete());
    let seen: Vec<(Direction, &str, Vec<String>)> = report
        .flips
        .iter()
        .map(|group| {
            let principal = group.example.question.context().principal();
            (group.direction, principal.id(), principal.roles().to_vec())
        })
        .collect();
    assert_eq!(
        seen,
        [
            (Direction::DenyToAllow, "eve", vec![]),
            (Direction::DenyToAllow, "other", vec!["boss".to_owned()]),
            (Direction::AllowToDeny, "bob", vec![]),
            (Direction::AllowToDeny, "other", vec!["lead".to_owned()]),
        ]
    );
    assert_eq!(diff(&set("bob", "lead"), &set("bob", "lead")).coverage, Coverage::Complete { tried: 0 });
}
