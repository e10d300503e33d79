//! Comparisons and searches at their limits, and at the size of large sets.

use hpc_policy::limits::{
    DIFF_BASES_MAX, DIFF_GAPS_MAX, DIFF_GROUPS_MAX, DIFF_RULES_NAMED_MAX, EXACT_MAX, WAY_DENIALS_MAX,
    WAYS_MAX,
};
use hpc_policy::{Coverage, Direction, Known, PolicySet, Principal, Resource, diff, what_can, who_can};

/// Rules of a set, 2,000 to a document, and more documents.
fn set(rules: &[String], more: &[(&str, String)]) -> PolicySet {
    let head = |number: usize| {
        format!(
            "apiVersion: policy.horizon.dev/v1\nkind: Policy\nmetadata: {{name: p{number}}}\nspec:\n  rules:\n"
        )
    };
    let mut documents: Vec<(String, String)> = Vec::new();
    for (number, some) in rules.chunks(2_000).enumerate() {
        let mut text = head(number);
        some.iter().for_each(|rule| text.push_str(&format!("    - {{{rule}}}\n")));
        documents.push((format!("p{number}.yaml"), text));
    }
    documents.extend(more.iter().map(|(name, text)| ((*name).to_owned(), text.clone())));
    PolicySet::parse_documents(documents).unwrap_or_else(|errors| panic!("{}", errors[0]))
}

fn rule(name: &str, effect: &str, principals: &str, resources: &str, conditions: &str) -> String {
    format!(
        "name: {name}, effect: {effect}, principals: [{principals}], resources: [{resources}], actions: [use], \
         conditions: [{conditions}]"
    )
}

const SOME: &str = "{attribute: context.hours, op: lte, value: 8}";
const FEWER: &str = "{attribute: context.hours, op: lte, value: 4}";
const ANYBODY: &str = "{type: any}";
const GPU: &str = "{type: gpu, pattern: \"**\"}";

#[test]
fn groups_beyond_the_limit_are_counted() {
    let rules: Vec<String> = (0..=DIFF_GROUPS_MAX)
        .map(|n| rule(&format!("r{n}"), "allow", ANYBODY, &format!("{{type: t{n}, pattern: \"**\"}}"), SOME))
        .collect();
    let report = diff(&PolicySet::deny_all(), &set(&rules, &[]));
    assert_eq!((report.flips.len(), report.flips_omitted), (DIFF_GROUPS_MAX, 1));
    assert!(report.is_complete() && !report.is_empty());
    let report = diff(&PolicySet::deny_all(), &set(&rules[1..], &[]));
    assert_eq!((report.flips.len(), report.flips_omitted), (DIFF_GROUPS_MAX, 0));
}

#[test]
fn rules_of_a_group_beyond_the_limit_are_counted() {
    let old: Vec<String> = (0..=DIFF_RULES_NAMED_MAX)
        .map(|n| rule(&format!("r{n}"), "allow", &format!("{{type: role, value: r{n}}}"), GPU, SOME))
        .collect();
    let deny = rule("stop", "deny", "{type: team, value: guests}", GPU, FEWER);
    let report = diff(&set(&old, &[]), &set(&[old.clone(), vec![deny.clone()]].concat(), &[]));
    assert_eq!(report.flips.len(), 1);
    let group = &report.flips[0];
    assert_eq!(
        (group.old.len(), group.old_omitted, group.count),
        (DIFF_RULES_NAMED_MAX, 1, DIFF_RULES_NAMED_MAX as u64 + 1)
    );
    let fewer = &old[1..];
    let report = diff(&set(fewer, &[]), &set(&[fewer, &[deny]].concat(), &[]));
    assert_eq!((report.flips[0].old.len(), report.flips[0].old_omitted), (DIFF_RULES_NAMED_MAX, 0));
}

#[test]
fn more_combinations_than_the_limit_are_admitted() {
    let names = |kind: &str, count: usize| {
        let names: Vec<String> = (0..count).map(|n| format!("{{type: {kind}, value: n{n}}}")).collect();
        names.join(", ")
    };
    let compare = |users: usize, roles: usize| {
        let allow = rule("a", "allow", &names("role", roles), GPU, SOME);
        let deny = rule("d", "deny", &names("user", users), GPU, SOME);
        diff(&set(std::slice::from_ref(&allow), &[]), &set(&[allow, deny], &[]))
    };
    let whole = compare(250, DIFF_BASES_MAX / 250);
    assert_eq!(whole.coverage, Coverage::Complete { tried: DIFF_BASES_MAX as u64 });
    assert_eq!(whole.flips[0].count, DIFF_BASES_MAX as u64);
    let Coverage::Sampled { tried, whole, of, gaps, .. } = compare(251, DIFF_BASES_MAX / 250).coverage else {
        panic!("not all combinations can have been tried");
    };
    assert_eq!((tried, whole, of), (DIFF_BASES_MAX as u64, 0, 1));
    assert_eq!(gaps[0].reason, "more combinations of principal, resource and action than were tried");
}

#[test]
fn a_search_for_values_that_takes_too_long_is_admitted() {
    // Holes for pigeons: `count` attributes, all different, out of so many numbers.
    let pigeons = |count: usize, holes: usize| {
        let mut conditions = Vec::new();
        for n in 0..count {
            conditions
                .push(format!("{{attribute: context.a{n}, op: range, value: {{min: 1, max: {holes}}}}}"));
            for other in 0..n {
                conditions.push(format!("{{attribute: context.a{n}, op: ne, value_from: context.a{other}}}"));
            }
        }
        let allow = rule("a", "allow", ANYBODY, GPU, &conditions.join(", "));
        diff(&PolicySet::deny_all(), &set(&[allow], &[]))
    };
    let fits = pigeons(4, 4);
    assert_eq!((fits.flips.len(), fits.is_complete()), (1, true));
    let none = pigeons(4, 3);
    assert_eq!((none.flips.len(), none.is_complete()), (0, true));
    let Coverage::Sampled { gaps, .. } = pigeons(9, 8).coverage else { panic!("too many values") };
    assert_eq!(gaps[0].reason, "the attributes of one combination have too many values to try all");
}

#[test]
fn gaps_beyond_the_limit_are_counted() {
    let rules: Vec<String> = (0..=DIFF_GAPS_MAX)
        .map(|n| {
            let condition = "{attribute: context.path, op: starts_with, value_from: context.root}";
            rule(&format!("r{n}"), "allow", ANYBODY, &format!("{{type: t{n}, pattern: \"**\"}}"), condition)
        })
        .collect();
    let report = diff(&PolicySet::deny_all(), &set(&rules, &[]));
    let Coverage::Sampled { whole, of, gaps, gaps_omitted, .. } = report.coverage else { panic!("gaps") };
    assert_eq!((whole, of, gaps.len(), gaps_omitted), (0, DIFF_GAPS_MAX + 1, DIFF_GAPS_MAX, 1));
}

#[test]
fn ways_and_denials_beyond_the_limits_are_counted() {
    let names: Vec<String> = (0..250).map(|n| format!("{{type: role, value: n{n}}}")).collect();
    let rules: Vec<String> =
        (0..=WAYS_MAX / 250).map(|n| rule(&format!("r{n}"), "allow", &names.join(", "), GPU, SOME)).collect();
    let gpu = Resource::new("gpu", "gpu/h100");
    let answer = who_can(&set(&rules, &[]), "use", &gpu, &Known::new()).unwrap();
    assert_eq!((answer.ways.len(), answer.ways_omitted), (WAYS_MAX, 250));
    let answer = who_can(&set(&rules[1..], &[]), "use", &gpu, &Known::new()).unwrap();
    assert_eq!((answer.ways.len(), answer.ways_omitted), (WAYS_MAX, 0));

    let mut rules = vec![rule("a", "allow", ANYBODY, GPU, SOME)];
    rules.extend((0..WAY_DENIALS_MAX).map(|n| rule(&format!("d{n}"), "deny", ANYBODY, GPU, FEWER)));
    for (more, omitted) in [(0, 0), (1, 1)] {
        rules.extend((0..more).map(|n| rule(&format!("e{n}"), "deny", ANYBODY, GPU, FEWER)));
        let who = who_can(&set(&rules, &[]), "use", &gpu, &Known::new()).unwrap();
        assert_eq!((who.ways[0].unless.len(), who.ways[0].unless_omitted), (WAY_DENIALS_MAX, omitted));
        let what = what_can(&set(&rules, &[]), &Principal::user("ann"), &Known::new()).unwrap();
        assert_eq!((what.ways[0].unless.len(), what.ways[0].unless_omitted), (WAY_DENIALS_MAX, omitted));
    }
    // One more that always denies closes the way, wherever it stands.
    rules.push(rule("never", "deny", ANYBODY, GPU, "{attribute: context.hours, op: exists, value: true}"));
    let hours = Known::new().with("context.hours", 5).unwrap();
    let who = who_can(&set(&rules, &[]), "use", &gpu, &hours).unwrap();
    assert_eq!((who.ways.len(), who.closed.len()), (0, 1));
}

#[test]
fn listed_entities_beyond_the_limit_are_counted() {
    let allow = [rule("a", "allow", ANYBODY, GPU, "{attribute: context.a, op: exists, value: false}")];
    let head = "apiVersion: policy.horizon.dev/v1\nkind: PolicyEntities\nmetadata: {name: e}\nspec:\n";
    let people: String = (0..=EXACT_MAX).map(|n| format!("    - {{user: u{n}}}\n")).collect();
    let known = set(&allow, &[("e.yaml", format!("{head}  subjects:\n{people}"))]);
    let who = who_can(&known, "use", &Resource::new("gpu", "g"), &Known::new()).unwrap();
    assert_eq!((who.subjects.len(), who.subjects_omitted), (EXACT_MAX, 1));
    let things: String = (0..=EXACT_MAX / 100).map(|n| format!("    - {{type: gpu, id: g{n}}}\n")).collect();
    let actions: String = (0..100).map(|n| format!("    - {{name: a{n}}}\n")).collect();
    let known = set(&allow, &[("e.yaml", format!("{head}  resources:\n{things}  actions:\n{actions}"))]);
    let what = what_can(&known, &Principal::user("ann"), &Known::new()).unwrap();
    assert_eq!((what.asked, what.asked_omitted, what.resources.len()), (EXACT_MAX, 100, 0));
}

/// A set of `count` rules for a role each, some of them changed, and a denial more.
fn large(count: usize, changed: &[usize]) -> PolicySet {
    let mut rules: Vec<String> = (0..count)
        .map(|n| {
            let conditions = if changed.contains(&n) { FEWER } else { SOME };
            rule(&format!("r{n}"), "allow", &format!("{{type: role, value: r{n}}}"), GPU, conditions)
        })
        .collect();
    if !changed.is_empty() {
        rules.push(rule("guests", "deny", "{type: team, value: guests}", GPU, SOME));
    }
    set(&rules, &[])
}

#[test]
fn ten_thousand_rules_with_a_handful_of_changes_are_compared_completely() {
    let old = large(10_000, &[]);
    let report = diff(&old, &large(10_000, &[7, 2_007, 9_999]));
    assert_eq!((report.only_old, report.only_new), (3, 4));
    assert!(report.is_complete(), "{:?}", report.coverage);
    assert!(report.flips.iter().all(|group| group.direction == Direction::AllowToDeny));
    let named = |name: &str| -> Vec<u64> {
        let changed = |rule: &hpc_policy::Responsible| rule.changed && &*rule.place.rule == name;
        let groups = report.flips.iter().filter(|group| group.old.iter().chain(&group.new).any(changed));
        groups.map(|group| group.count).collect()
    };
    assert!(["r7", "r2007", "r9999"].iter().all(|name| !named(name).is_empty()));
    assert!(named("guests").iter().sum::<u64>() >= 10_000 - 3);
    // The same documents under other names say the same.
    let same = diff(&old, &large(10_000, &[]));
    assert_eq!((same.is_empty(), same.coverage), (true, Coverage::Complete { tried: 0 }));
}
