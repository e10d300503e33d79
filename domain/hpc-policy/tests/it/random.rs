//! Random rules and requests over small vocabularies, so that they meet often.

use std::ops::Range;

use hpc_policy::{EvaluationContext, PolicySet, Principal, Resource, Value};
use proptest::prelude::*;

pub(crate) fn pick(words: &'static [&'static str]) -> impl Strategy<Value = &'static str> + Clone {
    proptest::sample::select(words)
}

/// One comparison, as a YAML flow mapping.
fn leaf() -> impl Strategy<Value = String> + Clone {
    let number = pick(&["context.a", "context.b", "resource.size"]);
    prop_oneof![
        4 => (number.clone(), pick(&["eq", "ne", "gt", "gte", "lt", "lte"]), -1..3_i64)
            .prop_map(|(name, op, limit)| format!("{{attribute: {name}, op: {op}, value: {limit}}}")),
        1 => (number.clone(), pick(&["eq", "ne", "gt", "lte"]), number.clone())
            .prop_map(|(name, op, other)| format!("{{attribute: {name}, op: {op}, value_from: {other}}}")),
        1 => (number.clone(), -1..1_i64, 0..2_i64)
            .prop_map(|(name, min, more)| format!("{{attribute: {name}, op: range, value: {{min: {min}, max: {}}}}}", min + more)),
        1 => number.prop_map(|name| format!("{{attribute: {name}, op: exists}}")),
        1 => pick(&["[1, 2]", "[2]", "[-1, 0]"]).prop_map(|list| format!("{{attribute: context.a, op: in, value: {list}}}")),
        1 => (pick(&["eq", "ne"]), pick(&["p", "q", "px"])).prop_map(|(op, text)| format!("{{attribute: context.text, op: {op}, value: {text}}}")),
        1 => (pick(&["starts_with", "ends_with", "contains"]), pick(&["p", "q", "x"])).prop_map(|(op, text)| format!("{{attribute: context.text, op: {op}, value: {text}}}")),
        1 => pick(&["p*", "*x", "p/**"]).prop_map(|glob| format!("{{attribute: context.text, op: glob, value: \"{glob}\"}}")),
        1 => pick(&["10.0.0.0/8", "10.1.0.0/16", "0.0.0.0/0", "\"::/0\""]).prop_map(|net| format!("{{attribute: context.ip, op: cidr, value: {net}}}")),
        1 => pick(&[">=1.2", "<2", "=1.2.3", "^1.2.0-rc.1"]).prop_map(|requirement| format!("{{attribute: context.version, op: semver, value: \"{requirement}\"}}")),
        1 => pick(&["{from: \"09:00\", to: \"17:00\"}", "{days: [mon, sun], from: \"22:00\", to: \"06:00\", offset: \"+01:00\"}"])
            .prop_map(|window| format!("{{attribute: context.now, op: time_window, value: {window}}}")),
        1 => (pick(&["lt", "gte"]), pick(&["2026-11-04T10:00:00Z", "2026-11-09T23:00:00Z"]))
            .prop_map(|(op, at)| format!("{{attribute: context.now, op: {op}, value: {{timestamp: \"{at}\"}}}}")),
        1 => pick(&["m", "n"]).prop_map(|item| format!("{{attribute: context.tags, op: contains, value: {item}}}")),
        1 => Just("{attribute: resource.owner, op: eq, value_from: principal.id}".to_owned()),
        1 => Just("{attribute: resource.owner, op: ne, value: ann}".to_owned()),
        1 => Just("{attribute: principal.id, op: starts_with, value: a}".to_owned()),
        1 => Just("{attribute: resource.team, op: in, value_from: principal.teams}".to_owned()),
        1 => Just("{attribute: principal.teams, op: contains, value: t1}".to_owned()),
        1 => Just("{attribute: principal.type, op: eq, value: user}".to_owned()),
        1 => pick(&[
            "{attribute: context.now, op: exists}",
            "{attribute: context.now, op: lt, value_from: resource.expires}",
            "{attribute: resource.expires, op: exists, value: false}",
            "{attribute: principal.spiffe_id, op: starts_with, value: \"spiffe://d/a\"}",
            "{attribute: principal.spiffe_id, op: exists}",
            "{attribute: principal.roles, op: contains, value: r1}",
            "{attribute: principal.roles, op: contains, value_from: context.text}",
            "{attribute: resource.type, op: eq, value: gpu}",
            "{attribute: resource.type, op: in, value: [job, disk]}",
            "{attribute: action, op: ends_with, value: get}",
            "{attribute: action, op: ne, value: cap.put}",
        ]).prop_map(str::to_owned),
        1 => pick(&[
            "{attribute: context.ip, op: eq, value: {ip: 10.1.0.1}}",
            "{attribute: context.ip, op: ne, value: 10.1.2.3}",
            "{attribute: context.version, op: ne, value: 2.0.0}",
            "{attribute: context.ip, op: in, value: [10.1.2.3, 11.0.0.0]}",
            "{attribute: context.flag, op: eq, value: true}",
            "{attribute: context.flag, op: ne, value_from: context.text}",
            "{attribute: context.tags, op: contains, value: 2}",
            "{attribute: context.tags, op: contains, value_from: context.text}",
            "{attribute: context.version, op: eq, value: 1.2.3}",
            "{attribute: context.text, op: in, value_from: context.tags}",
            "{attribute: context.text, op: starts_with, value_from: principal.id}",
            "{attribute: principal.level, op: gte, value_from: context.a}",
        ]).prop_map(str::to_owned),
        1 => Just("{attribute: resource.id, op: glob, value: \"x/**\"}".to_owned()),
    ]
}

fn condition() -> impl Strategy<Value = String> {
    let list = |items: Vec<String>| items.join(", ");
    leaf().prop_recursive(2, 6, 3, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 1..3)
                .prop_map(move |items| format!("{{all: [{}]}}", list(items))),
            prop::collection::vec(inner.clone(), 1..3)
                .prop_map(move |items| format!("{{any: [{}]}}", list(items))),
            inner.prop_map(|one| format!("{{not: {one}}}")),
        ]
    })
}

/// Everything of a rule but its name.
pub(crate) fn rules(count: Range<usize>) -> impl Strategy<Value = Vec<String>> {
    let who = pick(&[
        "{type: any}",
        "{type: any}",
        "{type: user, value: ann}",
        "{type: user, pattern: \"b*\"}",
        "{type: service, value: hpcd}",
        "{type: role, value: r1}",
        "{type: role, value: r2}",
        "{type: role, pattern: \"r*\"}",
        "{type: role, pattern: \"*2\"}",
        "{type: team, value: t1}",
        "{type: team, value: t2}",
        "{type: group, value: night}",
        "{type: spiffe, pattern: \"spiffe://d/**\"}",
        "{type: spiffe, pattern: \"spiffe://d/a/*\"}",
    ]);
    let what = (pick(&["gpu", "job", "\"*\""]), pick(&["**", "x/*", "x/y", "**/y", "*/y", "x/**/z"]))
        .prop_map(|(kind, id)| format!("{{type: {kind}, pattern: \"{id}\"}}"));
    let action = pick(&["cap.get", "cap.put", "cap.*", "**", "*.get", "cap.**", "read"]);
    let duty = pick(&[
        "",
        "",
        "obligations: {max_hours: 4}",
        "obligations: {max_hours: 8, notify: a}",
        "obligations: {notify: b}",
    ]);
    let rule = (
        prop::bool::weighted(0.6),
        prop::collection::vec(who, 1..3),
        prop::collection::vec(what, 1..3),
        prop::collection::vec(action, 1..3),
        prop::collection::vec(condition(), 0..3),
        duty,
    );
    prop::collection::vec(
        rule.prop_map(|(allow, who, what, actions, conditions, duty)| {
            let actions: Vec<String> = actions.iter().map(|action| format!("\"{action}\"")).collect();
            let mut text = format!(
                "effect: {}, principals: [{}], resources: [{}], actions: [{}]",
                if allow { "allow" } else { "deny" },
                who.join(", "),
                what.join(", "),
                actions.join(", "),
            );
            if !conditions.is_empty() {
                text.push_str(&format!(", conditions: [{}]", conditions.join(", ")));
            }
            if !duty.is_empty() {
                text.push_str(&format!(", {duty}"));
            }
            text
        }),
        count,
    )
}

const GROUPS: &str = "apiVersion: policy.horizon.dev/v1\nkind: PolicyGroups\nmetadata: {name: g}\nspec:\n  groups:\n    - \
    {name: night, members: [{type: user, value: eve}, {type: role, value: r1}]}\n";

/// The rules as one policy, called `r0`, `r1` and so on, with the group `night`.
pub(crate) fn set(rules: &[String]) -> PolicySet {
    if rules.is_empty() {
        return PolicySet::deny_all();
    }
    let mut text =
        "apiVersion: policy.horizon.dev/v1\nkind: Policy\nmetadata: {name: p}\nspec:\n  rules:\n".to_owned();
    for (number, rule) in rules.iter().enumerate() {
        text.push_str(&format!("    - {{name: r{number}, {rule}}}\n"));
    }
    PolicySet::parse_documents([("p.yaml", text.as_str()), ("g.yaml", GROUPS)])
        .unwrap_or_else(|errors| panic!("{errors:?}\n{text}"))
}

#[derive(Debug, Clone)]
pub(crate) struct Request {
    kind: &'static str,
    id: &'static str,
    roles: Vec<&'static str>,
    teams: Vec<&'static str>,
    spiffe: Option<&'static str>,
    what: (&'static str, &'static str),
    action: &'static str,
    pub(crate) attributes: Vec<(&'static str, Value)>,
    now: Option<&'static str>,
}

impl Request {
    pub(crate) fn principal(&self) -> Principal {
        let mut principal = match self.kind {
            "user" => Principal::user(self.id),
            "service" => Principal::service(self.id),
            _ => Principal::agent(self.id),
        };
        principal = principal
            .with_roles(self.roles.iter().map(|role| (*role).to_owned()))
            .with_teams(self.teams.iter().map(|team| (*team).to_owned()));
        match self.spiffe {
            Some(id) => principal.with_spiffe_id(id),
            None => principal,
        }
    }

    pub(crate) fn context(&self) -> EvaluationContext {
        let mut resource = Resource::new(self.what.0, self.what.1);
        for (name, value) in &self.attributes {
            if let Some(name) = name.strip_prefix("resource.") {
                resource = resource.with_attribute(name, value.clone());
            }
        }
        let mut context = EvaluationContext::new(self.principal(), resource, self.action);
        for (name, value) in &self.attributes {
            if let Some(name) = name.strip_prefix("context.") {
                context = context.with_attribute(name, value.clone());
            }
        }
        match self.now {
            Some(now) => context.with_now(now.parse().unwrap()),
            None => context,
        }
    }
}

fn value() -> impl Strategy<Value = Value> {
    prop_oneof![
        6 => (-2..4_i64).prop_map(Value::from),
        2 => pick(&["p", "q", "px", "p/x", "", "10.1.2.3", "10.2.0.0", "11.0.0.0", "::1", "1.2.3", "1.2.4", "1.2.0-rc.1", "2.0.0", "0.9.0", "ann", "bob", "t1", "t2", "text"]).prop_map(Value::from),
        1 => any::<bool>().prop_map(Value::from),
        1 => proptest::sample::subsequence(vec!["m", "n", "o"], 0..=3).prop_map(Value::from),
        1 => Just(Value::Opaque),
        1 => pick(&["2026-11-04T10:00:00Z", "2026-11-09T22:30:00Z"]).prop_map(|at| Value::from(at.parse::<jiff::Timestamp>().unwrap())),
        1 => Just(Value::from(vec![1, 2])),
        1 => Just(Value::from("10.1.0.1".parse::<std::net::IpAddr>().unwrap())),
    ]
}

pub(crate) fn requests() -> impl Strategy<Value = Request> {
    let names = [
        "context.a",
        "context.b",
        "context.text",
        "context.ip",
        "context.version",
        "context.tags",
        "resource.size",
        "resource.owner",
        "resource.team",
        "resource.expires",
        "context.flag",
    ];
    let attributes = proptest::sample::subsequence(names.to_vec(), 0..=names.len()).prop_flat_map(|names| {
        let values = prop::collection::vec(value(), names.len());
        values.prop_map(move |values| names.iter().copied().zip(values).collect::<Vec<_>>())
    });
    let now = proptest::option::weighted(
        0.7,
        pick(&[
            "2026-11-02T10:00:00Z",
            "2026-11-02T23:30:00Z",
            "2026-11-04T09:59:00Z",
            "2026-11-04T10:00:00Z",
            "2026-11-09T22:30:00Z",
            "2026-11-15T23:00:00Z",
        ]),
    );
    (
        (pick(&["user", "user", "service", "agent"]), pick(&["ann", "bob", "eve", "hpcd", "x"])),
        proptest::sample::subsequence(vec!["r1", "r2", "q2"], 0..=3),
        proptest::sample::subsequence(vec!["t1", "t2"], 0..=2),
        proptest::option::weighted(0.4, pick(&["spiffe://d/a/b", "spiffe://d/c", "spiffe://e/a"])),
        (pick(&["gpu", "job", "disk"]), pick(&["x/y", "x/z", "q/y", "x/w/z", "y"])),
        pick(&["cap.get", "cap.put", "cap.put.now", "read", "other", "my.get"]),
        attributes,
        now,
    )
        .prop_map(|((kind, id), roles, teams, spiffe, what, action, attributes, now)| Request {
            kind,
            id,
            roles,
            teams,
            spiffe,
            what,
            action,
            attributes,
            now,
        })
}
