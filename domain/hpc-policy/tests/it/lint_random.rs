//! Every finding of lint is tried: random rules with all operators, and random requests with missing, mistyped and untyped
//! attributes.
//!
//! Rules are kept as a model that is written out as YAML, so that what lint says can go can be taken out again.

use std::collections::BTreeMap;

use hpc_policy::{
    EvaluationContext, FindingKind, LintReport, PolicySet, Principal, PrincipalKind, Resource, Value, lint,
};
use proptest::prelude::*;
use proptest::strategy::ValueTree as _;
use proptest::test_runner::TestRunner;

#[derive(Debug, Clone, PartialEq)]
struct Rule {
    deny: bool,
    principals: Vec<&'static str>,
    resources: Vec<&'static str>,
    actions: Vec<&'static str>,
    conditions: Vec<Cond>,
    obligations: &'static str,
}

#[derive(Debug, Clone, PartialEq)]
enum Cond {
    Leaf(String),
    All(Vec<Cond>),
    Any(Vec<Cond>),
    Not(Box<Cond>),
}

/// A rule by its number, and a part of it by the line of its first comparison.
type Lines = BTreeMap<String, Vec<(u32, Vec<usize>)>>;

const GROUPS: &str = "apiVersion: policy.horizon.dev/v1\nkind: PolicyGroups\nmetadata: {name: g}\nspec:\n  groups:\n    \
    - {name: g1, members: [{type: user, value: ann}, {type: team, value: t1}, {type: group, value: g2}]}\n    \
    - {name: g2, members: [{type: user, pattern: 'b*'}]}\n";
const INCLUDES: &str = "  roles:\n    - {name: r2, includes: [r1]}\n    - {name: r3, includes: [r2]}\n";

// Writing rules out.

struct Writer {
    text: String,
    line: u32,
}

impl Writer {
    fn push(&mut self, text: &str) {
        self.line += u32::try_from(text.matches('\n').count()).unwrap();
        self.text.push_str(text);
    }

    /// Each comparison on its own line; `paths` gets the line of the first one of each part.
    fn condition(&mut self, condition: &Cond, path: &mut Vec<usize>, lines: &mut Vec<(u32, Vec<usize>)>) {
        match condition {
            Cond::Leaf(leaf) => {
                self.push(leaf);
                lines.push((self.line, path.clone()));
                self.push("\n          ");
            }
            Cond::Not(inner) => {
                self.push("{not: ");
                let mut below = Vec::new();
                path.push(0);
                self.condition(inner, path, &mut below);
                path.pop();
                lines.push((below[0].0, path.clone()));
                lines.extend(below);
                self.push("}");
            }
            Cond::All(inner) | Cond::Any(inner) => {
                self.push(if matches!(condition, Cond::All(_)) { "{all: [" } else { "{any: [" });
                let mut below = Vec::new();
                for (number, part) in inner.iter().enumerate() {
                    path.push(number);
                    self.condition(part, path, &mut below);
                    path.pop();
                    self.push(", ");
                }
                lines.push((below[0].0, path.clone()));
                lines.extend(below);
                self.push("]}");
            }
        }
    }
}

fn yaml(rules: &BTreeMap<usize, Rule>) -> (String, Lines) {
    let mut out = Writer { text: String::new(), line: 1 };
    let mut lines = Lines::new();
    out.push("apiVersion: policy.horizon.dev/v1\nkind: Policy\nmetadata: {name: p}\nspec:\n  rules:\n");
    for (number, rule) in rules {
        let list = |items: &[&str]| items.join(", ");
        let effect = if rule.deny { "deny" } else { "allow" };
        out.push(&format!(
            "    - name: r{number}\n      effect: {effect}\n      principals: [{}]\n      resources: [{}]\n      actions: [{}]\n{}",
            list(&rule.principals),
            list(&rule.resources),
            list(&rule.actions),
            rule.obligations,
        ));
        let own = lines.entry(format!("r{number}")).or_default();
        if rule.conditions.is_empty() {
            continue;
        }
        out.push("      conditions:\n");
        for (number, condition) in rule.conditions.iter().enumerate() {
            out.push("        - ");
            out.condition(condition, &mut vec![number], own);
            out.push("\n");
        }
    }
    (out.text, lines)
}

const SCHEMA: &str = "apiVersion: policy.horizon.dev/v1\nkind: PolicySchema\nmetadata: {name: s}\nspec:\n  attributes:\n    \
    - {name: context.a, type: integer, min: 0, max: 3}\n    - {name: context.b, type: string, values: [p, q, p/q]}\n    \
    - {name: principal.x, type: list, items: integer}\n    - {name: resource.y, type: ip}\n  \
    actions: [{name: read}, {name: write}]\n";

fn load(text: &str, includes: bool) -> PolicySet {
    let groups = if includes { format!("{GROUPS}{INCLUDES}") } else { GROUPS.to_owned() };
    PolicySet::parse_documents([("g.yaml", groups.as_str()), ("p.yaml", text)])
        .unwrap_or_else(|errors| panic!("{}\n{text}", errors[0]))
}

// What lint says can go.

/// The rules without everything that lint found to do nothing.
fn without(rules: &BTreeMap<usize, Rule>, lines: &Lines, report: &LintReport) -> BTreeMap<usize, Rule> {
    let mut kept = rules.clone();
    let mut parts: BTreeMap<usize, Vec<Vec<usize>>> = BTreeMap::new();
    for finding in &report.findings {
        let number: usize = finding.rule[1..].parse().unwrap();
        let rule = &rules[&number];
        if finding.rule_is_removable() {
            kept.remove(&number);
        }
        let wanted = |path: &[usize]| match finding.kind {
            FindingKind::NeedlessCondition => is_part(&rule.conditions, path),
            FindingKind::DeadAlternative => {
                let (_, above) = path.split_last().unwrap();
                !above.is_empty()
                    && is_part(&rule.conditions, above)
                    && matches!(at(&rule.conditions, above), Cond::Any(_))
            }
            _ => false,
        };
        if matches!(finding.kind, FindingKind::NeedlessCondition | FindingKind::DeadAlternative) {
            let found =
                lines[&*finding.rule].iter().find(|(line, path)| *line == finding.line && wanted(path));
            parts.entry(number).or_default().push(found.expect("a part on the line").1.clone());
        }
    }
    for (number, mut paths) in parts {
        // Last ones first, so that the others stay where they are.
        paths.sort();
        if let Some(rule) = kept.get_mut(&number) {
            paths.iter().rev().for_each(|path| remove(&mut rule.conditions, path));
        }
    }
    kept
}

fn at<'a>(conditions: &'a [Cond], path: &[usize]) -> &'a Cond {
    let (first, rest) = path.split_first().unwrap();
    match (&conditions[*first], rest) {
        (condition, []) => condition,
        (Cond::All(inner) | Cond::Any(inner), rest) => at(inner, rest),
        (Cond::Not(inner), rest) => at(std::slice::from_ref(inner), rest),
        (Cond::Leaf(_), _) => panic!("a path into a comparison"),
    }
}

/// A part of the rule's conjunction: below nothing but `all`, and no `all` itself.
fn is_part(conditions: &[Cond], path: &[usize]) -> bool {
    let above = (1..path.len()).all(|length| matches!(at(conditions, &path[..length]), Cond::All(_)));
    above && !matches!(at(conditions, path), Cond::All(_))
}

fn remove(conditions: &mut Vec<Cond>, path: &[usize]) {
    let (first, rest) = path.split_first().unwrap();
    if rest.is_empty() {
        conditions.remove(*first);
        return;
    }
    let (Cond::All(inner) | Cond::Any(inner)) = &mut conditions[*first] else { panic!("a path into a list") };
    remove(inner, rest);
    if inner.is_empty() {
        conditions.remove(*first);
    }
}

// Random rules.

fn pick<T: Clone + std::fmt::Debug + 'static>(items: &'static [T]) -> impl Strategy<Value = T> {
    proptest::sample::select(items)
}

const ATTRIBUTES: [&str; 4] = ["context.a", "context.b", "principal.x", "resource.y"];
const SCALARS: [&str; 12] = [
    "0",
    "1",
    "2",
    "p",
    "q",
    "p/q",
    "true",
    "false",
    "\"10.0.0.1\"",
    "{ip: 10.0.0.1}",
    "{ip: \"::1\"}",
    "{timestamp: \"2026-11-02T10:00:00Z\"}",
];
const LISTS: [&str; 6] = ["[0, 1]", "[1, 2, 3]", "[p, q]", "[q, p/q]", "[{ip: 10.0.0.1}]", "[true]"];
const NUMBERS: [&str; 5] =
    ["0", "1", "2", "{timestamp: \"2026-11-02T10:00:00Z\"}", "{timestamp: \"2026-11-03T10:00:00Z\"}"];
const LITERALS: [&str; 9] = [
    "op: glob, value: 'p*'",
    "op: glob, value: '**q'",
    "op: cidr, value: 10.0.0.0/8",
    "op: cidr, value: [10.0.0.0/31, '::/0']",
    "op: semver, value: '>=1.2.0, <2.0.0'",
    "op: semver, value: '^2'",
    "op: semver, value: '>=1.2.3-rc.0'",
    "op: range, value: {min: 1, max: 2}",
    "op: range, value: {min: 0, max: 0}",
];
const WINDOWS: [&str; 4] = [
    "{from: '09:00', to: '17:00'}",
    "{from: '22:00', to: '06:00', offset: '+01:00'}",
    "{days: [mon], from: '00:00', to: '24:00'}",
    "{days: [sat, sun], from: '20:00', to: '08:00'}",
];

fn leaf(includes: bool) -> impl Strategy<Value = String> {
    let with = |op: &str, path: &str, rest: &str| format!("{{attribute: {path}, op: {op}, {rest}}}");
    let roles: &'static [&'static str] =
        if includes { &["principal.teams"] } else { &["principal.roles", "principal.teams"] };
    prop_oneof![
        4 => (pick(&["eq", "ne"]), pick(&ATTRIBUTES), pick(&SCALARS))
            .prop_map(move |(op, path, value)| with(op, path, &format!("value: {value}"))),
        4 => (pick(&["lt", "lte", "gt", "gte"]), pick(&ATTRIBUTES), pick(&NUMBERS))
            .prop_map(move |(op, path, value)| with(op, path, &format!("value: {value}"))),
        2 => (pick(&["in", "not_in"]), pick(&ATTRIBUTES), pick(&LISTS))
            .prop_map(move |(op, path, value)| with(op, path, &format!("value: {value}"))),
        2 => (pick(&ATTRIBUTES), pick(&SCALARS))
            .prop_map(move |(path, value)| with("contains", path, &format!("value: {value}"))),
        2 => (pick(&["starts_with", "ends_with"]), pick(&ATTRIBUTES), pick(&["p", "q", "p/", "'1'"]))
            .prop_map(move |(op, path, value)| with(op, path, &format!("value: {value}"))),
        2 => (pick(&ATTRIBUTES), any::<bool>()).prop_map(move |(path, there)| with("exists", path, &format!("value: {there}"))),
        2 => (pick(&ATTRIBUTES), pick(&LITERALS)).prop_map(|(path, rest)| format!("{{attribute: {path}, {rest}}}")),
        2 => (pick(&["context.now", "context.a"]), pick(&WINDOWS))
            .prop_map(move |(path, value)| with("time_window", path, &format!("value: {value}"))),
        1 => (pick(&["lt", "gte"]), pick(&NUMBERS[3..])).prop_map(move |(op, value)| with(op, "context.now", &format!("value: {value}"))),
        2 => (pick(&["eq", "ne", "lt", "lte", "gt", "gte", "in", "not_in", "contains", "starts_with", "ends_with"]),
              pick(&ATTRIBUTES), pick(&["context.a", "context.b", "principal.id", "principal.teams"]))
            .prop_map(move |(op, path, from)| with(op, path, &format!("value_from: {from}"))),
        1 => (pick(&["eq", "ne"]), pick(&["principal.id", "principal.type", "resource.id", "resource.type", "action", "principal.spiffe_id"]),
              pick(&["ann", "bob", "user", "agent", "x/y", "gpu", "read", "spiffe://a/n", "a b"]))
            .prop_map(move |(op, path, value)| with(op, path, &format!("value: '{value}'"))),
        1 => (pick(&["glob", "starts_with", "ends_with", "contains"]), pick(&["principal.id", "resource.id", "resource.type", "action", "principal.spiffe_id"]),
              pick(&["a", "x/", "re", "spiffe", "y", "/"]))
            .prop_map(move |(op, path, value)| with(op, path, &format!("value: '{value}'"))),
        1 => (pick(roles), pick(&["t1", "t2", "r1", "1", "'a b'"]))
            .prop_map(move |(path, value)| with("contains", path, &format!("value: {value}"))),
    ]
}

fn conditions(includes: bool) -> impl Strategy<Value = Cond> {
    leaf(includes).prop_map(Cond::Leaf).prop_recursive(3, 8, 3, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 1..3).prop_map(Cond::All),
            prop::collection::vec(inner.clone(), 1..4).prop_map(Cond::Any),
            inner.prop_map(|one| Cond::Not(Box::new(one))),
        ]
    })
}

const PRINCIPALS: [&str; 14] = [
    "{type: any}",
    "{type: any}",
    "{type: user, value: ann}",
    "{type: user, value: bob}",
    "{type: user, pattern: 'a*'}",
    "{type: user, pattern: '**'}",
    "{type: service, pattern: '**'}",
    "{type: agent, pattern: '**'}",
    "{type: role, value: r1}",
    "{type: role, value: r3}",
    "{type: role, pattern: 'r*'}",
    "{type: team, value: t1}",
    "{type: group, value: g1}",
    "{type: spiffe, pattern: 'spiffe://a/**'}",
];
const RESOURCES: [&str; 8] = [
    "{type: '*', pattern: '**'}",
    "{type: gpu, pattern: '**'}",
    "{type: gpu, pattern: 'x/*'}",
    "{type: gpu, id: x/y}",
    "{type: job, pattern: '**'}",
    "{type: '*', pattern: '**y'}",
    "{type: '*', pattern: 'x/**/z'}",
    "{type: job, pattern: '*/y'}",
];
const ACTIONS: [&str; 6] = ["'**'", "read", "'read*'", "write", "'*.now'", "read.now"];
const OBLIGATIONS: [&str; 6] = [
    "",
    "",
    "      obligations: {max: 4}\n",
    "      obligations: {max: 8, notify: [a, b]}\n",
    "      obligations: {notify: a}\n      advice: {tell: x}\n",
    "      obligations: {mfa: true}\n",
];

fn rule(includes: bool) -> impl Strategy<Value = Rule> {
    (
        prop::bool::weighted(0.4),
        prop::collection::vec(pick(&PRINCIPALS), 1..3),
        prop::collection::vec(pick(&RESOURCES), 1..3),
        prop::collection::vec(pick(&ACTIONS), 1..3),
        prop::collection::vec(conditions(includes), 0..4),
        pick(&OBLIGATIONS),
    )
        .prop_map(|(deny, principals, resources, actions, conditions, obligations)| Rule {
            deny,
            principals,
            resources,
            actions,
            conditions,
            obligations,
        })
}

/// Rules of which some are like an earlier one, but narrower, wider or the other way round: so they often imply each other.
fn rules() -> impl Strategy<Value = (BTreeMap<usize, Rule>, bool)> {
    let with = |includes| {
        let tweaked = (any::<prop::sample::Index>(), 0..7_usize, rule(includes));
        (prop::collection::vec(rule(includes), 1..4), prop::collection::vec(tweaked, 0..4)).prop_map(
            move |(mut rules, tweaks)| {
                for (like, tweak, other) in tweaks {
                    let mut rule = like.get(&rules).clone();
                    match tweak {
                        0 => rule.conditions.extend(other.conditions),
                        1 => rule.deny = !rule.deny,
                        2 => drop(rule.conditions.pop()),
                        3 => rule.principals = other.principals,
                        4 => rule.resources.extend(other.resources),
                        5 => rule.obligations = other.obligations,
                        _ => {
                            rule.deny = true;
                            rule.conditions.truncate(1);
                        }
                    }
                    rules.push(rule);
                }
                (rules.into_iter().enumerate().collect(), includes)
            },
        )
    };
    any::<bool>().prop_flat_map(with)
}

// Random requests.

fn value() -> impl Strategy<Value = Option<Value>> {
    let time = |text: &str| Value::Timestamp(text.parse().unwrap());
    let ip = |text: &str| Value::Ip(text.parse().unwrap());
    let mut all: Vec<Option<Value>> = vec![None, None, None, Some(Value::Opaque)];
    all.extend((-1..5_i64).map(|number| Some(number.into())));
    for text in [
        "",
        "p",
        "q",
        "pq",
        "p/q",
        "ann",
        "t1",
        "10.0.0.1",
        "10.0.0.7",
        "11.0.0.1",
        "::1",
        "::ffff:10.0.0.1",
        "1.2.3",
        "1.2.3-rc.1",
        "1.1.0",
        "2.5.0",
    ] {
        all.push(Some(text.into()));
    }
    all.extend([true, false].map(|flag| Some(flag.into())));
    for at in ["2026-11-02T10:00:00Z", "2026-11-03T10:00:00Z", "2026-11-01T23:30:00Z", "2026-11-02T09:59:59Z"]
    {
        all.push(Some(time(at)));
    }
    all.extend(["10.0.0.1", "::ffff:10.0.0.1", "::1", "11.0.0.1"].map(|text| Some(ip(text))));
    for list in [
        vec![],
        vec![1.into()],
        vec![0.into(), 2.into()],
        vec!["p".into()],
        vec!["p".into(), "q".into()],
        vec!["p/q".into(), "ann".into()],
        vec![true.into(), false.into()],
        vec![ip("::ffff:10.0.0.1")],
        vec![time("2026-11-02T10:00:00Z")],
        vec![Value::Opaque],
    ] {
        all.push(Some(Value::List(list)));
    }
    proptest::sample::select(all)
}

fn request() -> impl Strategy<Value = EvaluationContext> {
    request_with([value().boxed(), value().boxed(), value().boxed(), value().boxed()])
}

/// Mostly one that keeps to [`SCHEMA`].
fn typed_request() -> impl Strategy<Value = EvaluationContext> {
    let number = proptest::option::weighted(0.9, (0..=3_i64).prop_map(Value::from));
    let text = proptest::option::weighted(0.9, pick(&["p", "q", "p/q"]).prop_map(Value::from));
    let list = proptest::option::of(prop::collection::vec(0..3_i64, 0..3).prop_map(Value::from));
    let ips = ["10.0.0.1", "::ffff:10.0.0.1", "::1", "11.0.0.1"];
    let ip =
        proptest::option::of(proptest::sample::select(ips.map(|ip| Value::Ip(ip.parse().unwrap())).to_vec()));
    request_with([number.boxed(), text.boxed(), list.boxed(), ip.boxed()])
}

fn request_with(attributes: [BoxedStrategy<Option<Value>>; 4]) -> impl Strategy<Value = EvaluationContext> {
    let who = (
        pick(&[PrincipalKind::User, PrincipalKind::User, PrincipalKind::Service, PrincipalKind::Agent]),
        pick(&["ann", "bob", "eve"]),
        proptest::sample::subsequence(vec!["r1", "r2", "r3"], 0..=2),
        proptest::sample::subsequence(vec!["t1", "t2"], 0..=2),
        proptest::option::of(pick(&["spiffe://a/n", "spiffe://b/n"])),
    );
    let what = (
        pick(&["gpu", "job", "disk"]),
        pick(&["x/y", "x/z", "q/y", "x/w/z", "y"]),
        pick(&["read", "write", "read.now"]),
    );
    let times = proptest::option::of(pick(&[
        "2026-11-02T10:00:00Z",
        "2026-11-03T10:00:00Z",
        "2026-11-01T03:00:00Z",
        "2026-11-02T23:30:00Z",
        "2026-11-07T21:00:00Z",
    ]));
    (who, what, attributes, times).prop_map(
        |((kind, id, roles, teams, spiffe_id), (resource_type, resource_id, action), [a, b, x, y], now)| {
            let mut principal = Principal::new(kind, id);
            principal = roles.into_iter().fold(principal, Principal::with_role);
            principal = teams.into_iter().fold(principal, Principal::with_team);
            principal = spiffe_id.into_iter().fold(principal, Principal::with_spiffe_id);
            principal =
                x.into_iter().fold(principal, |principal, value| principal.with_attribute("x", value));
            let resource =
                y.into_iter().fold(Resource::new(resource_type, resource_id), |resource, value| {
                    resource.with_attribute("y", value)
                });
            let mut context = EvaluationContext::new(principal, resource, action);
            for (name, value) in [("a", a), ("b", b)] {
                context =
                    value.into_iter().fold(context, |context, value| context.with_attribute(name, value));
            }
            now.into_iter().fold(context, |context, now| context.with_now(now.parse().unwrap()))
        },
    )
}

// The properties.

/// Tries everything that lint said about `rules` on `requests`.
fn try_findings(
    rules: &BTreeMap<usize, Rule>,
    includes: bool,
    requests: &[EvaluationContext],
) -> Result<LintReport, TestCaseError> {
    let (text, lines) = yaml(rules);
    let set = load(&text, includes);
    let report = lint(&set);
    prop_assert!(report.complete);
    let kept = without(rules, &lines, &report);
    let rest = if kept.is_empty() { PolicySet::deny_all() } else { load(&yaml(&kept).0, includes) };
    let alone: Vec<(&hpc_policy::Finding, PolicySet)> = report
        .findings
        .iter()
        .map(|finding| {
            let number: usize = finding.rule[1..].parse().unwrap();
            let mut only = BTreeMap::from([(number, rules[&number].clone())]);
            if rules[&number].deny {
                let all = ["{type: any}"].to_vec();
                let (resources, actions) = (vec![RESOURCES[0]], vec![ACTIONS[0]]);
                let everything = Rule {
                    deny: false,
                    principals: all,
                    resources,
                    actions,
                    conditions: Vec::new(),
                    obligations: "",
                };
                only.insert(usize::MAX, everything);
            }
            (finding, load(&yaml(&only).0, includes))
        })
        .collect();
    for request in requests {
        let (before, after) = (set.evaluate(request), rest.evaluate(request));
        let told = || {
            format!("{text}\nwithout what was found:\n{}\n{:#?}\n{request:?}", yaml(&kept).0, report.findings)
        };
        prop_assert_eq!(before.verdict, after.verdict, "{}", told());
        prop_assert_eq!(&before.obligations, &after.obligations, "{}", told());
        prop_assert_eq!(&before.advice, &after.advice, "{}", told());
        for (finding, alone) in &alone {
            let decision = alone.evaluate(request);
            let told = || format!("{text}\n{finding}\n{request:?}");
            let is_deny = finding.effect == hpc_policy::Effect::Deny;
            match finding.kind {
                FindingKind::Contradictory | FindingKind::NeverApplies => {
                    prop_assert_eq!(decision.is_allowed(), is_deny, "{}", told());
                }
                FindingKind::DeniesOnlyUnknown => {
                    let rule = &*finding.rule;
                    prop_assert!(decision.matched.iter().all(|matched| &*matched.rule != rule), "{}", told());
                }
                FindingKind::Shadowed => {
                    prop_assert!(!decision.is_allowed() || !before.is_allowed(), "{}", told());
                }
                _ => {}
            }
        }
    }
    Ok(report)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(700))]

    #[test]
    fn what_lint_finds_is_so((rules, includes) in rules(), requests in prop::collection::vec(request(), 48)) {
        try_findings(&rules, includes, &requests)?;
    }
}

#[test]
fn the_random_rules_have_something_of_everything() {
    let mut runner = TestRunner::deterministic();
    let strategy = (rules(), prop::collection::vec(request(), 24));
    let mut found: BTreeMap<FindingKind, usize> = BTreeMap::new();
    for _ in 0..250 {
        let ((rules, includes), requests) = strategy.new_tree(&mut runner).unwrap().current();
        let report = try_findings(&rules, includes, &requests).unwrap_or_else(|error| panic!("{error}"));
        report.findings.iter().for_each(|finding| *found.entry(finding.kind).or_default() += 1);
    }
    println!("{found:?}");
    for kind in [
        FindingKind::Contradictory,
        FindingKind::NeverApplies,
        FindingKind::DeniesOnlyUnknown,
        FindingKind::Shadowed,
        FindingKind::Redundant,
        FindingKind::DeadAlternative,
        FindingKind::NeedlessCondition,
    ] {
        assert!(found.get(&kind).is_some_and(|count| *count >= 5), "{kind}: {found:?}");
    }
}

/// Comparisons that the schema lets pass.
fn typed_leaf() -> impl Strategy<Value = String> {
    prop_oneof![
        4 => (pick(&["eq", "ne", "lt", "lte", "gt", "gte"]), 0..=3_i64).prop_filter_map("impossible", |(op, value)| {
            let possible = !matches!((op, value), ("lt", 0) | ("gt", 3));
            possible.then(|| format!("{{attribute: context.a, op: {op}, value: {value}}}"))
        }),
        3 => (pick(&["eq", "ne"]), pick(&["p", "q", "p/q"]))
            .prop_map(|(op, value)| format!("{{attribute: context.b, op: {op}, value: {value}}}")),
        2 => (pick(&["starts_with", "ends_with", "contains"]), pick(&["p", "q"]))
            .prop_map(|(op, value)| format!("{{attribute: context.b, op: {op}, value: {value}}}")),
        2 => pick(&["op: in, value: [p, q]", "op: not_in, value: [p, q, p/q]", "op: glob, value: 'p*'", "op: not_in, value: [q]"])
            .prop_map(|rest| format!("{{attribute: context.b, {rest}}}")),
        1 => (pick(&["0", "1"])).prop_map(|value| format!("{{attribute: principal.x, op: contains, value: {value}}}")),
        1 => pick(&["op: cidr, value: 10.0.0.0/8", "op: ne, value: {ip: 10.0.0.1}", "op: exists", "op: exists, value: false"])
            .prop_map(|rest| format!("{{attribute: resource.y, {rest}}}")),
        1 => (pick(&["context.a", "context.b"]), any::<bool>())
            .prop_map(|(path, there)| format!("{{attribute: {path}, op: exists, value: {there}}}")),
    ]
}

fn typed_rules() -> impl Strategy<Value = BTreeMap<usize, Rule>> {
    let condition = typed_leaf().prop_map(Cond::Leaf).prop_recursive(2, 6, 3, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 1..4).prop_map(Cond::Any),
            prop::collection::vec(inner.clone(), 1..3).prop_map(Cond::All),
            inner.prop_map(|one| Cond::Not(Box::new(one))),
        ]
    });
    let rule = (
        prop::bool::weighted(0.4),
        pick(&PRINCIPALS[..4]),
        prop::collection::vec(pick(&["read", "write", "'**'", "'re*'"]), 1..3),
        prop::collection::vec(condition, 1..4),
    );
    prop::collection::vec(rule, 1..5).prop_map(|rules| {
        let whole = |(deny, who, actions, conditions)| Rule {
            deny,
            principals: vec![who],
            resources: vec![RESOURCES[1]],
            actions,
            conditions,
            obligations: "",
        };
        rules.into_iter().map(whole).enumerate().collect()
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(250))]

    /// What is found given the schema is so for every request that keeps to it, and for those alone: the rest must hold for
    /// all.
    #[test]
    fn what_lint_finds_given_a_schema_is_so(rules in typed_rules(), requests in prop::collection::vec(prop_oneof![request(), typed_request()], 96)) {
        let (text, lines) = yaml(&rules);
        let load = |text: &str| PolicySet::parse_documents([("p.yaml", text), ("s.yaml", SCHEMA)]);
        // Some comparisons below `not` the schema refuses.
        let Ok(set) = load(&text) else { return Ok(()) };
        let report = lint(&set);
        prop_assert!(report.complete);
        // For requests that keep to the schema everything that was found may go.
        let mut all = report.clone();
        all.findings.iter_mut().for_each(|finding| finding.given_schema = false);
        let plain = LintReport {
            findings: report.findings.iter().filter(|finding| !finding.given_schema).cloned().collect(),
            ..report.clone()
        };
        for (found, only_typed) in [(&all, true), (&plain, false)] {
            let kept = without(&rules, &lines, found);
            let rest = if kept.is_empty() { PolicySet::deny_all() } else { load(&yaml(&kept).0).unwrap() };
            for request in &requests {
                if only_typed && set.schema().check(request).is_err() {
                    continue;
                }
                prop_assert_eq!(
                    set.decide(request), rest.decide(request), "{}\n{:#?}\n{:?}", text, found.findings, request
                );
            }
        }
    }
}

#[test]
fn the_random_typed_rules_and_requests_have_something_of_everything() {
    let mut runner = TestRunner::deterministic();
    let (mut given, mut plain, mut typed) = (0, 0, 0);
    for _ in 0..300 {
        let (text, _) = yaml(&typed_rules().new_tree(&mut runner).unwrap().current());
        let Ok(set) = PolicySet::parse_documents([("p.yaml", text.as_str()), ("s.yaml", SCHEMA)]) else {
            continue;
        };
        for finding in lint(&set).findings {
            if finding.given_schema { given += 1 } else { plain += 1 }
        }
        let request = typed_request().new_tree(&mut runner).unwrap().current();
        typed += usize::from(set.schema().check(&request).is_ok());
    }
    println!("{given} given the schema, {plain} without, {typed} requests keep to it");
    assert!(given >= 30 && plain >= 50 && typed >= 50, "{given} {plain} {typed}");
}
