//! Odd input with one documented meaning: it must keep that meaning, and never widen a rule.

use hpc_crypto::note::NoteSigner;
use hpc_crypto::signing::KeyPair;
use hpc_policy::{
    BundleError, EvaluationContext, PolicyError, PolicySet, Principal, Resource, Value, evaluate,
    parse_policy, verify_bundle,
};

use super::GOOD;
use crate::{asked, policy};

/// Whether `text` allows exactly what the good document allows.
fn means_the_same(text: &str) {
    let policy = parse_policy(text).unwrap_or_else(|error| panic!("{error}\n{text:?}"));
    for (role, id, action, expected) in [
        ("gpu-user", "jobs/a", "read", true),
        ("gpu-user", "jobs/a/b", "read", false),
        ("gpu-user", "other/a", "read", false),
        ("gpu-user", "jobs/a", "write", false),
        ("admin", "jobs/a", "read", false),
    ] {
        let principal = Principal::user("u").with_role(role);
        let asked = EvaluationContext::new(principal, Resource::new("job", id), action);
        assert_eq!(
            evaluate(&policy, &asked).unwrap().is_allowed(),
            expected,
            "{role} {id} {action}\n{text:?}"
        );
    }
}

#[test]
fn other_ways_to_write_the_same() {
    means_the_same(GOOD);
    for (from, to) in [
        ("kind: Policy", "kind:\tPolicy\t"),
        ("kind: Policy", "kind: Policy # a comment"),
        ("kind: Policy", "\"kind\": 'Policy'"),
        ("kind: Policy", "? kind\n: Policy"),
        ("kind: Policy", "kind: \"\\x50olicy\""),
        ("kind: Policy", "kind: >-\n  Policy"),
        ("[read]", "[\tread\t, ]"),
        ("[read]", "\n    - read"),
        ("    - {type", "    -\t{type"),
        ("\"jobs/*\"", "'jobs/*'"),
        ("\"jobs/*\"", "jobs/*"),
        ("\"jobs/*\"", "\"jobs\\u002f\\x2a\""),
    ] {
        assert!(GOOD.contains(from), "{from}");
        means_the_same(&GOOD.replace(from, to));
    }
    for text in [
        format!("\u{feff}{GOOD}"),
        format!("\u{feff}\u{feff}{GOOD}"),
        format!("# first\n\u{feff}{GOOD}"),
        format!("---\n{GOOD}"),
        format!("{GOOD}...\n"),
        format!("{GOOD}\n\n# last"),
        GOOD.replace('\n', "\r\n"),
        GOOD.replace('\n', "\r"),
        GOOD.replace("kind: Policy\n", "kind: Policy\r\n"),
    ] {
        means_the_same(&text);
    }
}

#[test]
fn words_are_text_where_text_is_meant() {
    let text = |word: &str| policy("allow", &[&format!("{{attribute: context.v, op: eq, value: {word}}}")]);
    let holds = |word: &str, value: Value| {
        let set = PolicySet::parse_documents([("p", text(word))]).unwrap();
        set.decide(&asked().with_attribute("v", value)).is_allowed()
    };
    for word in [
        "no",
        "No",
        "on",
        "off",
        "y",
        "n",
        "yes",
        "NaN",
        "1:30",
        "2026-11-02",
        "2026-11-02T10:00:00Z",
        "=",
        "--",
        "0x",
        "e1",
        "1.2.3",
        "\u{ff11}\u{ff12}",
    ] {
        assert!(holds(word, word.into()), "{word}");
        for other in [true.into(), false.into(), 0.into(), 1.into(), 90.into(), 12.into(), Value::Opaque] {
            assert!(!holds(word, other), "{word}");
        }
        assert!(!holds(word, word.to_uppercase().as_str().into()) || word.to_uppercase() == word, "{word}");
    }
    for (word, number) in
        [("9223372036854775807", i64::MAX), ("-9223372036854775808", i64::MIN), ("-1", -1), ("0", 0)]
    {
        assert!(holds(word, number.into()) && !holds(word, word.into()), "{word}");
    }
    // Two normal forms are two texts, in values as anywhere.
    assert!(holds("\"caf\u{e9}\"", "caf\u{e9}".into()) && !holds("\"caf\u{e9}\"", "cafe\u{301}".into()));
    // A leap second is the last second of its minute.
    let last: jiff::Timestamp = "2026-11-02T23:59:59Z".parse().unwrap();
    assert!(holds("{timestamp: \"2026-11-02T23:59:60Z\"}", last.into()));
}

#[test]
fn a_value_from_the_request_is_never_a_pattern() {
    let holds = |operator: &str, have: &str, other: &str| {
        let condition = format!("{{attribute: resource.id, op: {operator}, value_from: context.other}}");
        let set = PolicySet::parse_documents([("p", policy("allow", &[&condition]))]).unwrap();
        let resource = Resource::new("thing", have);
        let asked =
            EvaluationContext::new(Principal::user("u"), resource, "use").with_attribute("other", other);
        set.decide(&asked).is_allowed()
    };
    for wild in ["*", "**", "a/*", "a/**", "?", "[a]", "{a,b}", "%", ".*", "\\", "a/b\n", "+", ","] {
        for operator in ["eq", "starts_with", "ends_with", "contains"] {
            assert!(!holds(operator, "a/b", wild), "{operator} {wild}");
        }
    }
    for (operator, other) in [("eq", "a/*"), ("starts_with", "a/*"), ("ends_with", "/*"), ("contains", "*")] {
        assert!(holds(operator, "a/*", other), "{operator}");
    }
    for operator in ["glob", "cidr", "semver", "time_window", "range", "exists"] {
        let condition = format!("{{attribute: resource.id, op: {operator}, value_from: context.other}}");
        let error = parse_policy(&policy("allow", &[&condition])).unwrap_err();
        assert!(matches!(error, PolicyError::Invalid { .. }), "{error}");
        let said = format!(
            "`value_from` is used with `{operator}`; expected `value`: only literals may be patterns or ranges"
        );
        assert!(error.to_string().ends_with(&said), "{error}");
    }
    // A principal called `*` is nobody's pattern either.
    let star =
        EvaluationContext::new(Principal::user("*").with_role("*"), Resource::new("job", "jobs/a"), "read");
    let any_action =
        EvaluationContext::new(Principal::user("u").with_role("gpu-user"), Resource::new("*", "**"), "**");
    for asked in [star, any_action] {
        assert!(!evaluate(&parse_policy(GOOD).unwrap(), &asked).unwrap().is_allowed());
    }
}

#[test]
fn circles() {
    let load = |spec: &str| {
        let groups = format!(
            "apiVersion: policy.horizon.dev/v1\nkind: PolicyGroups\nmetadata: {{name: g}}\nspec:\n{spec}"
        );
        let errors =
            PolicySet::parse_documents([("g.yaml", groups), ("p.yaml", GOOD.to_owned())]).unwrap_err();
        assert_eq!(errors.len(), 1, "{errors:?}");
        assert!(matches!(errors[0], PolicyError::Invalid { .. }));
        errors[0].to_string()
    };
    for (spec, said) in [
        (
            "  roles:\n    - {name: a, includes: [b]}\n    - {name: b, includes: [a]}\n",
            "g.yaml:6:14: `name` is a role that includes itself: a -> b -> a; expected a role that does not lead back to itself",
        ),
        (
            "  roles:\n    - {name: a, includes: [a]}\n",
            "g.yaml:6:14: `name` is a role that includes itself: a -> a; expected a role that does not lead back to itself",
        ),
        (
            "  groups:\n    - {name: a, members: [{type: group, value: b}]}\n    - {name: b, members: [{type: group, value: a}]}\n",
            "g.yaml:6:14: `name` is a group that includes itself: a -> b -> a; expected a group that does not lead back to itself",
        ),
        (
            "  groups:\n    - {name: a, members: [{type: group, value: nobody}]}\n",
            "g.yaml:6:48: `value` is the group `nobody`, which nothing defines; expected a group that a `kind: PolicyGroups` document of the same set defines",
        ),
    ] {
        assert_eq!(load(spec), said);
    }
}

/// Documents are text; a bundle is the one place where bytes come in.
#[test]
fn bytes_that_are_no_text() {
    let key = NoteSigner::new("policies.example.org", KeyPair::from_seed([1; 32])).unwrap();
    for bytes in [
        &b"hpc.policy.bundle/v1\n\xff\n\n"[..],
        b"\xff\xfe",
        b"\xc0\x80",
        b"\xed\xa0\x80",
        b"\xf4\x90\x80\x80",
    ] {
        let error = verify_bundle(bytes, &[key.verifier_key().clone()]).unwrap_err();
        assert_eq!(error, BundleError::Malformed { reason: "it is not UTF-8".to_owned() });
    }
}
