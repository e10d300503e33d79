//! Every operator: true, false and without a truth value.

use hpc_policy::{EvaluationContext, PolicySet, Principal, Resource, Value};

use super::{policy, policy_of, rule};

fn context() -> EvaluationContext {
    let principal = Principal::user("alice").with_role("gpu-user").with_team("ml").with_attribute("level", 3);
    let resource = Resource::new("thing", "things/a")
        .with_attribute("owner", "alice")
        .with_attribute("stars", "a*")
        .with_attribute("editors", vec!["alice", "bob"])
        .with_attribute("none", "")
        .with_attribute("nobody", Value::List(Vec::new()));
    EvaluationContext::new(principal, resource, "use")
        .with_attribute("context.n", 8)
        .with_attribute("text", "a/b/c")
        .with_attribute("digits", "8")
        .with_attribute("flag", true)
        .with_attribute("at", "2026-11-02T10:00:00Z".parse::<jiff::Timestamp>().unwrap())
        .with_attribute("ip", Value::Ip("::ffff:10.1.2.3".parse().unwrap()))
        .with_attribute("address", "10.1.2.3")
        .with_attribute("version", "1.4.2")
        .with_attribute("numbers", vec![1, 2, 3])
        .with_attribute("opaque", Value::Opaque)
        .with_attribute("opaques", Value::List(vec![Value::Opaque]))
        .with_action_attribute("soft", true)
        .with_now("2026-11-02T10:00:00Z".parse().unwrap())
}

fn truth(condition: &str) -> char {
    let allowed = |text: String| {
        PolicySet::parse_documents([("p", text)])
            .unwrap_or_else(|errors| panic!("{condition}: {errors:?}"))
            .evaluate(&context())
            .is_allowed()
    };
    let holds = allowed(policy("allow", &[condition]));
    let spares = allowed(policy_of(&[rule("a", "allow", &[]), rule("d", "deny", &[condition])]));
    match (holds, spares) {
        (true, false) => 't',
        (false, true) => 'f',
        (false, false) => 'u',
        (true, true) => panic!("{condition} both holds and does not"),
    }
}

#[test]
fn every_operator() {
    for (condition, expected) in [
        ("attribute: context.n, op: eq, value: 8", 't'),
        ("attribute: context.n, op: eq, value: 9", 'f'),
        ("attribute: context.n, op: eq, value: \"8\"", 'u'),
        ("attribute: context.digits, op: eq, value: 8", 'u'),
        ("attribute: context.digits, op: eq, value: \"8\"", 't'),
        ("attribute: context.flag, op: eq, value: true", 't'),
        ("attribute: context.flag, op: eq, value: yes", 'u'),
        ("attribute: context.flag, op: ne, value: true", 'f'),
        ("attribute: context.text, op: ne, value: no", 't'),
        ("attribute: context.absent, op: ne, value: x", 'u'),
        ("attribute: context.at, op: eq, value: {timestamp: \"2026-11-02T11:00:00+01:00\"}", 't'),
        ("attribute: context.ip, op: eq, value: {ip: 10.1.2.3}", 't'),
        ("attribute: principal.roles, op: eq, value: gpu-user", 'u'),
        ("attribute: context.n, op: gt, value: 7", 't'),
        ("attribute: context.n, op: gt, value: 8", 'f'),
        ("attribute: context.n, op: gte, value: 8", 't'),
        ("attribute: context.n, op: lt, value: 8", 'f'),
        ("attribute: context.n, op: lte, value: 8", 't'),
        ("attribute: context.n, op: lt, value: -8", 'f'),
        ("attribute: context.text, op: gt, value: 8", 'u'),
        ("attribute: context.at, op: gt, value: 8", 'u'),
        ("attribute: context.at, op: gt, value: {timestamp: 2026-01-01T00:00:00Z}", 't'),
        ("attribute: context.n, op: gt, value_from: principal.level", 't'),
        ("attribute: context.n, op: gt, value_from: resource.owner", 'u'),
        ("attribute: context.n, op: in, value: [1, 8]", 't'),
        ("attribute: context.n, op: in, value: [1, 2]", 'f'),
        ("attribute: context.n, op: in, value: [\"8\"]", 'u'),
        ("attribute: context.n, op: not_in, value: [1, 2]", 't'),
        ("attribute: context.n, op: not_in, value: [1, 8]", 'f'),
        ("attribute: context.absent, op: not_in, value: [1, 8]", 'u'),
        ("attribute: principal.id, op: in, value_from: resource.editors", 't'),
        ("attribute: principal.id, op: in, value_from: resource.nobody", 'f'),
        ("attribute: principal.id, op: in, value_from: resource.owner", 'u'),
        ("attribute: principal.id, op: in, value_from: context.numbers", 'u'),
        ("attribute: principal.id, op: not_in, value_from: resource.absent", 'u'),
        ("attribute: principal.roles, op: contains, value: gpu-user", 't'),
        ("attribute: principal.teams, op: contains, value: gpu-user", 'f'),
        ("attribute: principal.roles, op: contains, value: 8", 'u'),
        ("attribute: context.numbers, op: contains, value: 2", 't'),
        ("attribute: context.text, op: contains, value: /b/", 't'),
        ("attribute: context.text, op: contains, value: x", 'f'),
        ("attribute: context.text, op: contains, value: 8", 'u'),
        ("attribute: context.text, op: starts_with, value: a/", 't'),
        ("attribute: context.text, op: starts_with, value: b/", 'f'),
        ("attribute: context.text, op: ends_with, value: /c", 't'),
        ("attribute: context.n, op: ends_with, value: c", 'u'),
        ("attribute: context.text, op: starts_with, value_from: resource.none", 'u'),
        ("attribute: context.text, op: contains, value_from: resource.none", 'u'),
        // Characters of a pattern in an attribute are just characters.
        ("attribute: context.text, op: starts_with, value_from: resource.stars", 'f'),
        ("attribute: context.text, op: eq, value_from: resource.stars", 'f'),
        ("attribute: context.text, op: glob, value: \"a/*/c\"", 't'),
        ("attribute: context.text, op: glob, value: \"a/*\"", 'f'),
        ("attribute: context.text, op: glob, value: \"a/**\"", 't'),
        ("attribute: context.n, op: glob, value: \"**\"", 'u'),
        ("attribute: context.n, op: exists", 't'),
        ("attribute: context.absent, op: exists", 'f'),
        ("attribute: context.absent, op: exists, value: false", 't'),
        ("attribute: context.ip, op: cidr, value: 10.0.0.0/8", 't'),
        ("attribute: context.address, op: cidr, value: [192.0.2.0/24, 10.0.0.0/8]", 't'),
        ("attribute: context.address, op: cidr, value: 192.0.2.0/24", 'f'),
        ("attribute: context.text, op: cidr, value: 10.0.0.0/8", 'u'),
        ("attribute: context.n, op: cidr, value: 10.0.0.0/8", 'u'),
        (
            "attribute: context.now, op: time_window, value: {from: \"09:00\", to: \"17:00\", days: [mon]}",
            't',
        ),
        ("attribute: context.now, op: time_window, value: {from: 09:00, to: 17:00, days: [tue]}", 'f'),
        ("attribute: context.now, op: time_window, value: {from: \"09:00\", to: \"10:00\"}", 'f'),
        ("attribute: context.text, op: time_window, value: {from: \"09:00\", to: \"17:00\"}", 'u'),
        ("attribute: context.version, op: semver, value: \">=1.2.0, <2.0.0\"", 't'),
        ("attribute: context.version, op: semver, value: \"<1.2.0\"", 'f'),
        ("attribute: context.text, op: semver, value: \"1\"", 'u'),
        ("attribute: context.n, op: range, value: {min: 8, max: 8}", 't'),
        ("attribute: context.n, op: range, value: {min: 9, max: 10}", 'f'),
        ("attribute: context.text, op: range, value: {min: 9, max: 10}", 'u'),
        ("attribute: action, op: eq, value: use", 't'),
        ("attribute: action.soft, op: eq, value: true", 't'),
        ("attribute: principal.type, op: eq, value: user", 't'),
        ("attribute: principal.spiffe_id, op: exists", 'f'),
        ("attribute: resource.type, op: eq, value: thing", 't'),
        ("attribute: resource.id, op: ends_with, value_from: context.absent", 'u'),
        ("attribute: resource.owner, op: eq, value_from: principal.id", 't'),
    ] {
        assert_eq!(truth(&format!("{{{condition}}}")), expected, "{condition}");
    }
}

#[test]
fn a_value_without_a_type_is_there_and_compares_with_nothing() {
    let literals = [
        ("eq", "1"),
        ("ne", "1"),
        ("gt", "1"),
        ("gte", "1"),
        ("lt", "1"),
        ("lte", "1"),
        ("in", "[1]"),
        ("not_in", "[1]"),
        ("contains", "a"),
        ("starts_with", "a"),
        ("ends_with", "a"),
        ("glob", "\"**\""),
        ("cidr", "0.0.0.0/0"),
        ("time_window", "{from: \"09:00\", to: \"17:00\"}"),
        ("semver", "\"*\""),
        ("range", "{min: -9223372036854775808, max: 9223372036854775807}"),
    ];
    for (operator, value) in literals {
        let condition = format!("{{attribute: context.opaque, op: {operator}, value: {value}}}");
        assert_eq!(truth(&condition), 'u', "{condition}");
        assert_eq!(truth(&format!("{{not: {condition}}}")), 'u', "not {condition}");
    }
    let attributes = ["text", "n", "flag", "at", "ip", "numbers", "opaque", "opaques"]
        .map(|name| format!("context.{name}"));
    let others =
        attributes.iter().map(String::as_str).chain(["resource.nobody", "principal.roles", "principal.id"]);
    for other in others {
        for operator in
            ["eq", "ne", "gt", "gte", "lt", "lte", "in", "not_in", "contains", "starts_with", "ends_with"]
        {
            for (left, right) in [("context.opaque", other), (other, "context.opaque")] {
                let condition = format!("{{attribute: {left}, op: {operator}, value_from: {right}}}");
                assert_eq!(truth(&condition), 'u', "{condition}");
            }
        }
    }
    for (condition, expected) in [
        ("{attribute: context.opaque, op: exists}", 't'),
        ("{attribute: context.opaque, op: exists, value: false}", 'f'),
        ("{attribute: context.opaques, op: contains, value: 1}", 'u'),
        ("{attribute: context.n, op: in, value_from: context.opaques}", 'u'),
        ("{attribute: context.n, op: not_in, value_from: context.opaques}", 'u'),
    ] {
        assert_eq!(truth(condition), expected, "{condition}");
    }
}

#[test]
fn conditions_that_make_no_sense_are_refused_at_load() {
    for condition in [
        "attribute: context.n, op: eq",
        "attribute: context.n, op: eq, value: 1, value_from: context.m",
        "attribute: context.n, op: equals, value: 1",
        "attribute: n, op: eq, value: 1",
        "attribute: env.n, op: eq, value: 1",
        "attribute: context., op: eq, value: 1",
        "attribute: context.a b, op: eq, value: 1",
        "attribute: context.n, op: eq, value: [1]",
        "attribute: context.n, op: gt, value: many",
        "attribute: context.n, op: gt, value: true",
        "attribute: context.n, op: in, value: 1",
        "attribute: context.n, op: in, value: []",
        "attribute: context.n, op: in, value: [1, a]",
        "attribute: context.n, op: in, value: [[1]]",
        "attribute: context.n, op: starts_with, value: 1",
        "attribute: context.n, op: starts_with, value: \"\"",
        "attribute: context.n, op: contains, value: \"\"",
        "attribute: context.n, op: glob, value: \"a***\"",
        "attribute: context.n, op: glob, value_from: context.m",
        "attribute: context.n, op: cidr, value: 10.0.0.1/8",
        "attribute: context.n, op: semver, value: new",
        "attribute: context.n, op: range, value: {min: 2, max: 1}",
        "attribute: context.n, op: range, value: {min: 2}",
        "attribute: context.n, op: range, value: {min: a, max: b}",
        "attribute: context.n, op: exists, value: 1",
        "attribute: context.n, op: time_window, value: {from: \"09:00\", to: \"09:00\"}",
        "attribute: context.n, op: time_window, value: {from: \"24:00\", to: \"09:00\"}",
        "attribute: context.n, op: time_window, value: {from: \"9\", to: \"17:00\"}",
        "attribute: context.n, op: time_window, value: {from: \"09:00\", to: \"17:00\", days: [monday]}",
        "attribute: context.n, op: time_window, value: {from: \"09:00\", to: \"17:00\", offset: CET}",
        "attribute: context.n, op: eq, value: {timestamp: yesterday}",
        "attribute: context.n, op: eq, value: {ip: somewhere}",
        "attribute: context.n, op: eq, value: {a: 1}",
        "attribute: context.n, op: eq, value: 1.5",
        "attribute: context.n, op: eq, value: null",
        "attribute: context.n, op: in, value: [null]",
        "attribute: context.n, op: eq, value: {opaque: 1}",
        "all: []",
        "any: [{attribute: action, op: exists}], not: {attribute: action, op: exists}",
        "not: [{attribute: action, op: exists}]",
        "attribute: action, op: exists, any: []",
    ] {
        let errors =
            PolicySet::parse_documents([("p", policy("allow", &[&format!("{{{condition}}}")]))]).unwrap_err();
        let at = errors[0].location().unwrap();
        assert_eq!(at.line, 12, "{condition}: {}", errors[0]);
        assert!(at.column > 10, "{condition}: {}", errors[0]);
    }
}
