//! Every operator with every type of a schema, held against what the evaluator says; and schemas that are broken or large.

use hpc_policy::limits::{SCHEMA_ACTIONS_MAX, SCHEMA_ATTRIBUTES_MAX, SCHEMA_MISTAKES_MAX};
use hpc_policy::{EvaluationContext, PolicySet, Value};

use super::{asked, policy, policy_of, rule};

const HEAD: &str = "apiVersion: policy.horizon.dev/v1\nkind: PolicySchema\nmetadata: {name: s}\nspec:\n";

fn load(documents: &[(&str, &str)]) -> Result<PolicySet, Vec<String>> {
    PolicySet::parse_documents(documents.iter().copied())
        .map_err(|errors| errors.iter().map(ToString::to_string).collect())
}

fn load_with(spec: &str, policy: &str) -> Result<PolicySet, Vec<String>> {
    load(&[("p.yaml", policy), ("s.yaml", &format!("{HEAD}{spec}"))])
}

/// The values of a type as YAML and as attributes.
fn domains() -> Vec<(&'static str, Vec<(&'static str, Value)>)> {
    let ip = |text: &str| Value::from(text.parse::<std::net::IpAddr>().unwrap());
    let time = |text: &str| Value::from(text.parse::<jiff::Timestamp>().unwrap());
    vec![
        (
            "string",
            vec![("spot", "spot".into()), ("\"1.2.0\"", "1.2.0".into()), ("\"10.0.0.1\"", "10.0.0.1".into())],
        ),
        ("integer", vec![("-3", (-3).into()), ("0", 0.into()), ("9223372036854775807", i64::MAX.into())]),
        ("integer", vec![("-9223372036854775808", i64::MIN.into())]),
        ("boolean", vec![("true", true.into())]),
        ("boolean", vec![("true", true.into()), ("false", false.into())]),
        ("timestamp", vec![("{timestamp: 2026-11-02T10:00:00Z}", time("2026-11-02T10:00:00Z"))]),
        ("ip", vec![("{ip: 10.0.0.1}", ip("10.0.0.1")), ("{ip: \"::1\"}", ip("::1"))]),
        ("ip", vec![("{ip: \"::ffff:10.0.0.1\"}", ip("::ffff:10.0.0.1"))]),
    ]
}

const LITERALS: [&str; 14] = [
    "spot",
    "\"1.2.0\"",
    "\"10.0.0.1\"",
    "ot",
    "-3",
    "0",
    "9223372036854775807",
    "-9223372036854775808",
    "true",
    "false",
    "{timestamp: 2026-11-02T10:00:00Z}",
    "{ip: 10.0.0.1}",
    "{ip: \"::1\"}",
    "{ip: \"::ffff:10.0.0.1\"}",
];

/// Tests on whole values, of which each must be one that there is; and all others.
fn tests() -> Vec<(String, Vec<&'static str>)> {
    let mut tests = Vec::new();
    for literal in LITERALS {
        for op in ["eq", "ne"] {
            tests.push((format!("op: {op}, value: {literal}"), vec![literal]));
        }
        for op in ["in", "not_in"] {
            tests.push((format!("op: {op}, value: [{literal}]"), vec![literal]));
        }
        for op in ["gt", "gte", "lt", "lte", "contains", "starts_with", "ends_with"] {
            tests.push((format!("op: {op}, value: {literal}"), vec![]));
        }
    }
    for items in [["-3", "0"], ["true", "false"], ["spot", "\"1.2.0\""]] {
        for op in ["in", "not_in"] {
            tests.push((format!("op: {op}, value: [{}]", items.join(", ")), items.to_vec()));
        }
    }
    tests.push((
        "op: not_in, value: [-3, 0, 9223372036854775807]".to_owned(),
        vec!["-3", "0", "9223372036854775807"],
    ));
    for test in [
        "op: glob, value: \"s*t\"",
        "op: glob, value: \"x*\"",
        "op: exists",
        "op: exists, value: false",
        "op: cidr, value: 10.0.0.0/8",
        "op: cidr, value: 11.0.0.0/8",
        "op: semver, value: \">=1\"",
        "op: semver, value: \">=2\"",
        "op: time_window, value: {from: \"09:00\", to: \"17:00\"}",
        "op: time_window, value: {days: [sun], from: \"09:00\", to: \"17:00\"}",
        "op: range, value: {min: 0, max: 9223372036854775807}",
        "op: range, value: {min: 1, max: 5}",
        "op: range, value: {min: -9223372036854775808, max: -9223372036854775808}",
    ] {
        tests.push((test.to_owned(), vec![]));
    }
    tests
}

/// Whether a request with this value, or without the attribute, is allowed by `condition`.
fn holds(condition: &str, value: Option<&Value>) -> Option<bool> {
    let set = PolicySet::parse_documents([("p.yaml", policy("allow", &[condition]))]).ok()?;
    let request = value.into_iter().fold(asked(), |request: EvaluationContext, value| {
        request.with_attribute("context.x", value.clone())
    });
    Some(set.evaluate(&request).is_allowed())
}

#[test]
fn every_operator_with_every_type_is_refused_exactly_when_no_value_meets_it() {
    let mut compared = 0;
    for (kind, values) in domains() {
        let listed: Vec<&str> = values.iter().map(|(text, _)| *text).collect();
        let spec =
            format!("  attributes: [{{name: context.x, type: {kind}, values: [{}]}}]\n", listed.join(", "));
        for (test, wholes) in tests() {
            let condition = format!("{{attribute: context.x, {test}}}");
            if holds(&condition, None).is_none() {
                continue; // The operator does not take such a literal at all.
            }
            let meets =
                |condition: &str| values.iter().any(|(_, value)| holds(condition, Some(value)) == Some(true));
            let each_exists = wholes
                .iter()
                .all(|literal| meets(&format!("{{attribute: context.x, op: eq, value: {literal}}}")));
            let possible = meets(&condition) || test == "op: exists, value: false";
            let loaded = load_with(&spec, &policy("allow", &[&condition]));
            assert_eq!(
                loaded.is_ok(),
                possible && each_exists,
                "{kind} {listed:?} {condition}: {:?}",
                loaded.err()
            );
            compared += 1;
        }
    }
    assert!(compared > 800, "{compared}");
}

#[test]
fn bounds_and_types_alone_say_as_much_as_listed_values() {
    for (kind, test, possible) in [
        ("integer, min: 1, max: 3", "op: not_in, value: [1, 2, 3]", false),
        ("integer, min: 1, max: 3", "op: not_in, value: [1, 3]", true),
        ("integer, min: 1, max: 3", "op: not_in, value: [1, 2]", true),
        ("integer, min: 1, max: 1", "op: ne, value: 1", false),
        ("integer", "op: gt, value: 9223372036854775807", false),
        ("integer", "op: gte, value: 9223372036854775807", true),
        ("integer", "op: lt, value: -9223372036854775808", false),
        ("integer", "op: lte, value: -9223372036854775808", true),
        ("integer", "op: ne, value: 9223372036854775807", true),
        ("boolean", "op: not_in, value: [true, false]", false),
        ("boolean", "op: ne, value: true", true),
        ("list, items: integer, min: 1", "op: contains, value: 0", false),
        ("list, items: integer, min: 1", "op: contains, value: 1", true),
        ("list, items: ip, values: [{ip: 10.0.0.1}]", "op: contains, value: {ip: \"::ffff:10.0.0.1\"}", true),
    ] {
        let condition = format!("{{attribute: context.x, {test}}}");
        let loaded = load_with(
            &format!("  attributes: [{{name: context.x, type: {kind}}}]\n"),
            &policy("allow", &[&condition]),
        );
        assert_eq!(loaded.is_ok(), possible, "{kind} {test}: {:?}", loaded.err());
    }
}

#[test]
fn the_absence_of_an_attribute_can_be_asked_of_any_request() {
    let spec = "  attributes: [{name: context.reason, type: string, actions: [release]}]\n  \
                actions: [{name: use}, {name: release}]\n";
    let of = |test: &str| {
        let text = policy("deny", &[&format!("{{attribute: context.reason, {test}}}")]);
        load_with(spec, &text.replace("[\"**\"]", "[use]")).is_ok()
    };
    assert!(of("op: exists, value: false"));
    assert!(!of("op: exists"));
    assert!(!of("op: eq, value: x"));
}

#[test]
fn a_broken_schema_is_one_error_and_not_one_for_each_name_in_it() {
    let attributes = format!("{HEAD}  attributes: [{{name: context.a, type: integer}}]\n");
    let text = policy(
        "allow",
        &["{attribute: context.a, op: gt, value: 1}", "{attribute: context.b, op: gt, value: 1}"],
    );
    for (more, error) in [
        ("  attributes: [{name: context.b, type: intger}]\n", "t.yaml:5:40: `type` is `intger`"),
        (
            "  attributes: [{name: context.a, type: integer}, {name: context.b, type: integer}]\n",
            "t.yaml:5:23: attribute `context.a` is already used",
        ),
    ] {
        let errors =
            load(&[("p.yaml", &text), ("s.yaml", &attributes), ("t.yaml", &format!("{HEAD}{more}"))])
                .unwrap_err();
        assert!(errors[0].starts_with(error), "{errors:?}");
        assert_eq!(errors.len(), 1, "{errors:?}");
    }
    // A broken policy hides nothing about the others.
    let errors = load(&[("a.yaml", "kind: Policy"), ("p.yaml", &text), ("s.yaml", &attributes)]).unwrap_err();
    assert_eq!(errors.len(), 2, "{errors:?}");
}

#[test]
fn one_schema_can_stand_in_several_documents() {
    let attributes = format!("{HEAD}  attributes: [{{name: action.soft, type: boolean, actions: [use]}}]\n");
    let actions =
        format!("{HEAD}  actions: [{{name: use, resources: [thing]}}, {{name: stop, resources: [thing]}}]\n");
    let of = |condition: &str, action: &str| {
        let text = policy("allow", &[condition]).replace("[\"**\"]", action);
        load(&[("a.yaml", &attributes), ("b.yaml", &actions), ("p.yaml", &text)])
    };
    let soft = "{attribute: action.soft, op: eq, value: true}";
    assert!(of(soft, "[use]").is_ok());
    assert!(of(soft, "[\"u*\"]").is_ok());
    assert!(of(soft, "[stop]").is_err());
    assert!(of("{attribute: resource.type, op: eq, value: thing}", "[stop]").is_ok());
    for built_in in ["principal.spiffe_id", "principal.id", "resource.id"] {
        assert!(
            of(&format!("{{attribute: {built_in}, op: starts_with, value: s}}"), "[use]").is_ok(),
            "{built_in}"
        );
    }
}

#[test]
fn the_nearest_name_is_meant() {
    let spec = "  attributes: [{name: context.hour, type: integer}, {name: context.hours, type: integer}]\n";
    let text = policy("allow", &["{attribute: context.hourss, op: gt, value: 1}"]);
    assert!(load_with(spec, &text).unwrap_err()[0].ends_with("did you mean `context.hours`?"));
}

#[test]
fn one_text_is_a_list_of_one_in_an_obligation() {
    let spec = "  obligations: [{name: approval, type: list, items: string, values: [a, b]}]\n";
    for (value, fits) in [("a", true), ("[a, b]", true), ("c", false), ("[a, c]", false), ("1", false)] {
        let text =
            policy_of(&[rule("r", "allow", &[]) + &format!("      obligations: {{approval: {value}}}\n")]);
        assert_eq!(load_with(spec, &text).is_ok(), fits, "{value}");
    }
}

#[test]
fn looking_for_mistakes_ends_with_the_limit_in_however_many_documents() {
    let attributes: Vec<String> = (0..SCHEMA_ATTRIBUTES_MAX)
        .map(|n| format!("{{name: context.declared_{n:04}, type: integer}}"))
        .collect();
    let schema = format!("{HEAD}  attributes: [{}]\n", attributes.join(", "));
    let conditions: Vec<String> =
        (0..64).map(|n| format!("{{attribute: context.xxxxxxxx_{n:04}, op: exists}}")).collect();
    let conditions: Vec<&str> = conditions.iter().map(String::as_str).collect();
    let policies: Vec<(String, String)> = (0..200)
        .map(|n| {
            (
                format!("p{n:04}.yaml"),
                policy("allow", &conditions).replace("{name: p}", &format!("{{name: p{n}}}")),
            )
        })
        .collect();
    let mut documents: Vec<(&str, &str)> = vec![("s.yaml", &schema)];
    documents.extend(policies.iter().map(|(name, text)| (&**name, &**text)));
    assert_eq!(load(&documents).unwrap_err().len(), SCHEMA_MISTAKES_MAX);
}

#[test]
fn many_types_of_many_actions_are_no_product() {
    // Each action has its own 100 types; each rule names 256 actions and 256 types that are none of them.
    let actions: Vec<String> = (0..SCHEMA_ACTIONS_MAX)
        .map(|n| {
            let types: Vec<String> = (0..100).map(|kind| format!("type_{n:04}_{kind:03}")).collect();
            format!("{{name: act_{n:04}, resources: [{}]}}", types.join(", "))
        })
        .collect();
    let schema = |some: &[String]| format!("{HEAD}  actions: [{}]\n", some.join(", "));
    let schemas: Vec<(String, String)> =
        actions.chunks(250).enumerate().map(|(n, some)| (format!("s{n}.yaml"), schema(some))).collect();
    let named: Vec<String> = (0..256).map(|n| format!("act_{n:04}")).collect();
    let of = |first: usize| {
        let types: Vec<String> = (0..256)
            .map(|n| format!("{{type: type_{:04}_{:03}, pattern: \"**\"}}", first + n, n % 100))
            .collect();
        let rules: Vec<String> = (0..40)
            .map(|n| {
                rule(&format!("r{n}"), "allow", &[])
                    .replace("[{type: thing, pattern: \"**\"}]", &format!("[{}]", types.join(", ")))
                    .replace("[\"**\"]", &format!("[{}]", named.join(", ")))
            })
            .collect();
        let text = policy_of(&rules);
        let mut documents: Vec<(&str, &str)> = vec![("p.yaml", &text)];
        documents.extend(schemas.iter().map(|(name, text)| (&**name, &**text)));
        load(&documents)
    };
    assert!(of(0).is_ok());
    assert_eq!(of(500).unwrap_err().len(), SCHEMA_MISTAKES_MAX);
}
