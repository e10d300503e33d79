//! A slow, obvious evaluator, and the property that the real one always agrees with it.
//!
//! The reference works on its own model of policies, which is also written out as YAML for the real parser,
//! so parser, index and evaluator are all on trial.

use std::ops::Range;

use hpc_policy::{EvaluationContext, PolicySet, Principal, Resource, Verdict, evaluate, parse_policy};
use proptest::prelude::*;

#[derive(Debug, Clone)]
struct Rule {
    allow: bool,
    principals: Vec<Who>,
    resources: Vec<(&'static str, &'static str)>,
    actions: Vec<&'static str>,
    conditions: Vec<Cond>,
}

#[derive(Debug, Clone)]
enum Who {
    Any,
    User(&'static str),
    Role(&'static str),
    RolePattern(&'static str),
    Team(&'static str),
}

#[derive(Debug, Clone)]
enum Cond {
    Compare(&'static str, &'static str, i64),
    Same(&'static str, &'static str),
    Exists(&'static str),
    All(Vec<Cond>),
    Any(Vec<Cond>),
    Not(Box<Cond>),
}

#[derive(Debug, Clone)]
struct Request {
    user: &'static str,
    roles: Vec<&'static str>,
    teams: Vec<&'static str>,
    kind: &'static str,
    id: &'static str,
    action: &'static str,
    /// `None` is missing, `Err` is text instead of a number.
    attributes: [Option<Result<i64, &'static str>>; 3],
}

const NAMES: [&str; 3] = ["a", "b", "c"];

// The reference.

fn reference(rules: &[Rule], request: &Request) -> bool {
    let mut allowed = false;
    for rule in rules {
        let applies = rule.actions.iter().any(|pattern| glob(pattern, request.action, '.'))
            && rule.principals.iter().any(|who| who_matches(who, request))
            && rule
                .resources
                .iter()
                .any(|(kind, id)| (*kind == "*" || *kind == request.kind) && glob(id, request.id, '/'));
        if !applies {
            continue;
        }
        let truth = truth(&Cond::All(rule.conditions.clone()), request);
        match (rule.allow, truth) {
            (true, Some(true)) => allowed = true,
            (true, _) | (false, Some(false)) => {}
            (false, _) => return false,
        }
    }
    allowed
}

fn who_matches(who: &Who, request: &Request) -> bool {
    match who {
        Who::Any => true,
        Who::User(user) => request.user == *user,
        Who::Role(role) => request.roles.contains(role),
        Who::RolePattern(pattern) => request.roles.iter().any(|role| glob(pattern, role, '/')),
        Who::Team(team) => request.teams.contains(team),
    }
}

fn truth(condition: &Cond, request: &Request) -> Option<bool> {
    let value = |name: &str| request.attributes[NAMES.iter().position(|known| *known == name).unwrap()];
    match condition {
        Cond::Compare(name, op, limit) => {
            let number = value(name)?.ok()?;
            Some(match *op {
                "eq" => number == *limit,
                "ne" => number != *limit,
                "gt" => number > *limit,
                "gte" => number >= *limit,
                "lt" => number < *limit,
                _ => number <= *limit,
            })
        }
        Cond::Same(left, right) => match (value(left)?, value(right)?) {
            (Ok(left), Ok(right)) => Some(left == right),
            (Err(left), Err(right)) => Some(left == right),
            _ => None,
        },
        Cond::Exists(name) => Some(value(name).is_some()),
        Cond::Not(inner) => truth(inner, request).map(|truth| !truth),
        Cond::All(inner) => {
            let truths: Vec<_> = inner.iter().map(|one| truth(one, request)).collect();
            if truths.contains(&Some(false)) {
                Some(false)
            } else if truths.contains(&None) {
                None
            } else {
                Some(true)
            }
        }
        Cond::Any(inner) => {
            let truths: Vec<_> = inner.iter().map(|one| truth(one, request)).collect();
            if truths.contains(&Some(true)) {
                Some(true)
            } else if truths.contains(&None) {
                None
            } else {
                Some(false)
            }
        }
    }
}

fn glob(pattern: &str, text: &str, separator: char) -> bool {
    if let Some(rest) = pattern.strip_prefix("**") {
        (0..=text.len()).any(|skip| glob(rest, &text[skip..], separator))
    } else if let Some(rest) = pattern.strip_prefix('*') {
        (0..=text.len())
            .take_while(|&skip| !text[..skip].contains(separator))
            .any(|skip| glob(rest, &text[skip..], separator))
    } else {
        match (pattern.chars().next(), text.chars().next()) {
            (None, None) => true,
            (Some(left), Some(right)) if left == right => glob(&pattern[1..], &text[1..], separator),
            _ => false,
        }
    }
}

// The same policies as YAML.

fn yaml(rules: &[Rule], name: &str) -> String {
    let mut out = format!(
        "apiVersion: policy.horizon.dev/v1\nkind: Policy\nmetadata: {{name: {name}}}\nspec:\n  rules:\n"
    );
    for (number, rule) in rules.iter().enumerate() {
        let principals: Vec<String> = rule
            .principals
            .iter()
            .map(|who| match who {
                Who::Any => "{type: any}".to_owned(),
                Who::User(name) => format!("{{type: user, value: {name}}}"),
                Who::Role(name) => format!("{{type: role, value: {name}}}"),
                Who::RolePattern(pattern) => format!("{{type: role, pattern: \"{pattern}\"}}"),
                Who::Team(name) => format!("{{type: team, value: {name}}}"),
            })
            .collect();
        let resources: Vec<String> = rule
            .resources
            .iter()
            .map(|(kind, id)| format!("{{type: \"{kind}\", pattern: \"{id}\"}}"))
            .collect();
        let actions: Vec<String> = rule.actions.iter().map(|action| format!("\"{action}\"")).collect();
        out.push_str(&format!(
            "    - name: r{number}\n      effect: {}\n      principals: [{}]\n      resources: [{}]\n      actions: [{}]\n",
            if rule.allow { "allow" } else { "deny" },
            principals.join(", "),
            resources.join(", "),
            actions.join(", ")
        ));
        if !rule.conditions.is_empty() {
            let conditions: Vec<String> = rule.conditions.iter().map(condition_yaml).collect();
            out.push_str(&format!("      conditions: [{}]\n", conditions.join(", ")));
        }
    }
    out
}

fn condition_yaml(condition: &Cond) -> String {
    let list = |inner: &[Cond]| inner.iter().map(condition_yaml).collect::<Vec<_>>().join(", ");
    match condition {
        Cond::Compare(name, op, limit) => format!("{{attribute: context.{name}, op: {op}, value: {limit}}}"),
        Cond::Same(left, right) => {
            format!("{{attribute: context.{left}, op: eq, value_from: context.{right}}}")
        }
        Cond::Exists(name) => format!("{{attribute: context.{name}, op: exists}}"),
        Cond::All(inner) => format!("{{all: [{}]}}", list(inner)),
        Cond::Any(inner) => format!("{{any: [{}]}}", list(inner)),
        Cond::Not(inner) => format!("{{not: {}}}", condition_yaml(inner)),
    }
}

fn context(request: &Request) -> EvaluationContext {
    let mut principal = Principal::user(request.user);
    for role in &request.roles {
        principal = principal.with_role(*role);
    }
    for team in &request.teams {
        principal = principal.with_team(*team);
    }
    let mut context =
        EvaluationContext::new(principal, Resource::new(request.kind, request.id), request.action);
    for (name, value) in NAMES.iter().zip(&request.attributes) {
        match value {
            None => {}
            Some(Ok(number)) => context = context.with_attribute(*name, *number),
            Some(Err(text)) => context = context.with_attribute(*name, *text),
        }
    }
    context
}

// Random policies and requests over small vocabularies, so that they meet often.

fn pick(words: &'static [&'static str]) -> impl Strategy<Value = &'static str> {
    proptest::sample::select(words)
}

fn conditions() -> impl Strategy<Value = Cond> {
    let leaf = prop_oneof![
        4 => (pick(&NAMES), pick(&["eq", "ne", "gt", "gte", "lt", "lte"]), -1..3_i64).prop_map(|(name, op, limit)| Cond::Compare(name, op, limit)),
        1 => (pick(&NAMES), pick(&NAMES)).prop_map(|(left, right)| Cond::Same(left, right)),
        1 => pick(&NAMES).prop_map(Cond::Exists),
    ];
    leaf.prop_recursive(3, 12, 3, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 1..3).prop_map(Cond::All),
            prop::collection::vec(inner.clone(), 1..3).prop_map(Cond::Any),
            inner.prop_map(|one| Cond::Not(Box::new(one))),
        ]
    })
}

fn rules(count: Range<usize>) -> impl Strategy<Value = Vec<Rule>> {
    let who = prop_oneof![
        2 => Just(Who::Any),
        1 => pick(&["ann", "bob"]).prop_map(Who::User),
        1 => pick(&["r1", "r2"]).prop_map(Who::Role),
        1 => pick(&["r*", "*2"]).prop_map(Who::RolePattern),
        1 => pick(&["t1", "t2"]).prop_map(Who::Team),
    ];
    let resource = (pick(&["gpu", "job", "*"]), pick(&["**", "x/*", "x/y", "**/y", "*/y", "x/**/z"]));
    let action = pick(&["cap.get", "cap.put", "cap.*", "**", "*.get", "cap.**", "read"]);
    let rule = (
        prop::bool::weighted(0.7),
        prop::collection::vec(who, 1..3),
        prop::collection::vec(resource, 1..3),
        prop::collection::vec(action, 1..3),
        prop::collection::vec(conditions(), 0..3),
    )
        .prop_map(|(allow, principals, resources, actions, conditions)| Rule {
            allow,
            principals,
            resources,
            actions,
            conditions,
        });
    prop::collection::vec(rule, count)
}

fn requests() -> impl Strategy<Value = Request> {
    let value = prop_oneof![
        1 => Just(None),
        4 => (-1..3_i64).prop_map(|number| Some(Ok(number))),
        1 => pick(&["p", "q"]).prop_map(|text| Some(Err(text))),
    ];
    (
        pick(&["ann", "bob", "eve"]),
        proptest::sample::subsequence(vec!["r1", "r2"], 0..=2),
        proptest::sample::subsequence(vec!["t1", "t2"], 0..=2),
        pick(&["gpu", "job", "disk"]),
        pick(&["x/y", "x/z", "q/y", "x/w/z", "y"]),
        pick(&["cap.get", "cap.put", "cap.put.now", "read", "other"]),
        prop::array::uniform3(value),
    )
        .prop_map(|(user, roles, teams, kind, id, action, attributes)| Request {
            user,
            roles,
            teams,
            kind,
            id,
            action,
            attributes,
        })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1_000))]

    #[test]
    fn the_engine_agrees_with_the_reference(rules in rules(1..7), requests in prop::collection::vec(requests(), 8)) {
        let text = yaml(&rules, "p");
        let policy = parse_policy(&text).unwrap_or_else(|error| panic!("{error}\n{text}"));
        let whole = PolicySet::parse_documents([("p", &text)]).unwrap();
        let (left, right) = rules.split_at(rules.len() / 2);
        let documents: Vec<(&str, String)> = [("l", left), ("r", right)]
            .into_iter()
            .filter(|(_, rules)| !rules.is_empty())
            .map(|(name, rules)| (name, yaml(rules, name)))
            .collect();
        let split = PolicySet::parse_documents(documents).unwrap();
        for request in &requests {
            let context = context(request);
            let expected = if reference(&rules, request) { Verdict::Allow } else { Verdict::Deny };
            prop_assert_eq!(evaluate(&policy, &context).unwrap().verdict, expected, "{}\n{:?}", text, request);
            prop_assert_eq!(whole.decide(&context), expected);
            prop_assert_eq!(split.decide(&context), expected);
            let decision = whole.evaluate(&context);
            prop_assert_eq!(decision.verdict, expected);
            prop_assert!(!decision.reasons().is_empty());
            prop_assert_eq!(split.evaluate(&context).verdict, expected);
            // Every way out that is offered works.
            for way in decision.allowed_if() {
                let mut changed = context.clone();
                for change in &way.changes {
                    changed = changed.with_attribute(change.attribute.clone(), change.value.clone());
                }
                prop_assert!(whole.decide(&changed).is_allowed(), "{}\n{}", text, way);
            }
        }
    }

}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    /// Lists long enough for the index to look at principals and resource ids.
    #[test]
    fn the_index_leaves_no_rule_out(
        rules in rules(30..120),
        allows_only in any::<bool>(),
        requests in prop::collection::vec(requests(), 8),
    ) {
        let mut rules = rules;
        if allows_only {
            // Among so many rules some deny nearly always decides; without them the allows do.
            rules.retain(|rule| rule.allow);
        }
        prop_assume!(!rules.is_empty());
        let text = yaml(&rules, "p");
        let set = PolicySet::parse_documents([("p", &text)]).unwrap();
        for request in &requests {
            let context = context(request);
            let expected = if reference(&rules, request) { Verdict::Allow } else { Verdict::Deny };
            prop_assert_eq!(set.decide(&context), expected, "{}\n{:?}", text, request);
            prop_assert_eq!(set.evaluate(&context).verdict, expected);
        }
    }
}
