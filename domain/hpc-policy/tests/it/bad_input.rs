//! Documents that must be refused, with the place and what to do; and spellings that must not be guessed at.

mod literal;
mod refused;
mod sizes;

use hpc_policy::{
    EvaluationContext, PolicyError, PolicySet, Principal, Resource, Verdict, evaluate, limits, parse_policy,
};
use proptest::prelude::*;

const GOOD: &str = "apiVersion: policy.horizon.dev/v1
kind: Policy
metadata:
  name: p
spec:
  principals:
    - {type: role, value: gpu-user}
  resources:
    - type: job
      pattern: \"jobs/*\"
  actions: [read]
  effect: allow
";

fn error(text: &str) -> PolicyError {
    match parse_policy(text) {
        Ok(_) => panic!("accepted:\n{text}"),
        Err(error) => error,
    }
}

/// Changes one piece of the good document; the error must read so.
fn refused(from: &str, to: &str, message: &str) {
    assert!(GOOD.contains(from), "{from}");
    assert_eq!(error(&GOOD.replace(from, to)).to_string(), message);
}

#[test]
fn the_good_document_is_good() {
    assert_eq!(parse_policy(GOOD).unwrap().name(), "p");
}

#[test]
fn fields() {
    refused(
        "      pattern:",
        "      patern:",
        "line 10, column 7: unknown field `patern`; expected `type`, `id`, `pattern`; did you mean `pattern`?",
    );
    refused(
        "  effect: allow\n",
        "",
        "line 6, column 3: missing field `effect`; write `effect: allow` or `effect: deny`",
    );
    refused(
        "effect: allow",
        "effect: Allow",
        "line 12, column 11: `effect` is `Allow`; expected `allow` or `deny`",
    );
    refused(
        "  effect: allow",
        "  effect: allow\n  effect: deny",
        "line 13, column 3: key `effect` is given twice, first on line 12; keep one",
    );
    refused("kind: Policy", "kind: Polcy", "line 2, column 7: `kind` is `Polcy`; expected `Policy`");
    refused(
        "dev/v1",
        "dev/v2",
        "line 1, column 13: `apiVersion` is `policy.horizon.dev/v2`; expected `policy.horizon.dev/v1`",
    );
    refused("[read]", "[]", "line 11, column 12: `actions` is an empty list; expected at least one item");
    refused("[read]", "read", "line 11, column 12: `actions` is the text `read`; expected a list");
    refused("[read]", "[[read]]", "line 11, column 13: `actions` is a list; expected text");
    refused(
        "[read]",
        "[\"*\"]",
        "line 11, column 13: `actions` is `*`, which stays within one segment; expected `**` for everything",
    );
    refused(
        "[read]",
        "[a b]",
        "line 11, column 13: `actions` is `a b`, which contains a character outside printable ASCII; use letters, digits and punctuation; expected a name without that",
    );
    refused(
        "\"jobs/*\"",
        "\"*\"",
        "line 10, column 16: `pattern` is `*`, which stays within one segment; expected `**` for everything",
    );
    refused(
        "value: gpu-user",
        "value: \"gpu-*\"",
        "line 7, column 27: `value` is `gpu-*`; expected a literal; use `pattern` for `*`",
    );
    refused(
        "value: gpu-user",
        "value: ~",
        "line 7, column 27: `value` is empty or null; expected text; quote it if the word is meant",
    );
    refused(
        ", value: gpu-user",
        "",
        "line 7, column 7: missing field `value`; name one exactly, or give a `pattern`; `\"**\"` matches everything",
    );
    refused(
        "value: gpu-user",
        "value: a, pattern: b",
        "line 7, column 39: `pattern` is given beside `value`; expected one of the two",
    );
    refused(
        "type: role",
        "type: club",
        "line 7, column 14: `type` is `club`; expected one of `user`, `role`, `team`, `group`, `service`, `agent`, `spiffe`, `any`",
    );
    refused(
        "type: role",
        "type: any",
        "line 7, column 26: `value` is given for type `any`; expected no value: `any` is everybody",
    );
    refused(
        "type: role",
        "type: spiffe",
        "line 7, column 29: `value` is `gpu-user`, which does not begin with `spiffe://`; write the whole SPIFFE ID; expected a name without that",
    );
    refused(
        "type: job",
        "type: \"jo*\"",
        "line 9, column 13: `type` is `jo*`; expected a type without `*`, or `\"*\"` alone",
    );
    refused(
        "  effect: allow",
        "  effect: allow\n  conditions: []",
        "line 13, column 15: `conditions` is an empty list; expected at least one item",
    );
    refused(
        "  effect: allow",
        "  effect: allow\n  obligations: {max: 1.5}",
        "line 13, column 22: `obligations` is `1.5`, which readers of YAML take for different numbers; expected a plain whole number such as `12`, or quotes around a string",
    );
    refused(
        "  effect: allow",
        "  effect: allow\n  rules: []",
        "line 12, column 3: unknown field `effect`; expected nothing beside `rules`; move it into each rule",
    );
}

#[test]
fn patterns() {
    for pattern in [
        "jobs/../x",
        "jobs//x",
        "/jobs/*",
        "jobs/",
        "jobs/%2e%2e/*",
        "jobs/caf\u{e9}",
        "jobs/cafe\u{301}",
        "jobs/***",
        "jobs/[ab]",
        "jobs/?",
        "jobs/{a,b}",
        &"*a*a*a*b".repeat(12_500),
    ] {
        let error = error(&GOOD.replace("jobs/*", pattern));
        assert_eq!(error.location().map(|at| (at.line, at.column)), Some((10, 16)), "{error}");
        assert!(error.to_string().len() < 400, "{error}");
    }
}

#[test]
fn yaml_features() {
    for (from, to, said) in [
        ("[read]", "&a [read]", "anchors are not allowed"),
        ("[read]", "[&a read]", "anchors are not allowed"),
        ("[read]", "*a", "aliases are not allowed"),
        ("[read]", "[!!str read]", "tags are not allowed"),
        ("[read]", "!!seq [read]", "tags are not allowed"),
        ("  effect: allow", "  <<: {effect: allow}", "merge keys are not allowed"),
        ("  effect: allow\n", "  effect: allow\n---\na: b\n", "a second document is not allowed"),
        ("[read]", "[read", "not valid YAML"),
        ("[read]", "\"read", "not valid YAML"),
        ("  effect: allow", "\teffect: allow", "not valid YAML"),
        ("  effect: allow", "  [a]: allow", "a key must be text"),
        ("apiVersion", "%YAML 1.1\n---\napiVersion", "not valid YAML"),
    ] {
        let message = error(&GOOD.replace(from, to)).to_string();
        assert!(message.contains(said) && message.starts_with("line "), "{message}");
    }
    for text in ["", "   ", "# nothing\n", "---\n", "[]", "text", "{}"] {
        error(text);
    }
    // An alias bomb stops at its first anchor.
    let bomb = "a: &a [x]\nb: &b [*a,*a,*a,*a,*a,*a,*a,*a,*a]\n";
    assert!(error(bomb).to_string().starts_with("line 1, column "), "{}", error(bomb));
}

#[test]
fn words_that_yaml_readers_disagree_on() {
    // Where text is expected, the letters count.
    for word in ["no", "on", "y", "NO", "off", "012", "1e3", "1_000", "0x1f", "12", "true", "1.10"] {
        let text = GOOD.replace("value: gpu-user", &format!("value: {word}"));
        let policy = parse_policy(&text).unwrap();
        let context = |role: &str| {
            EvaluationContext::new(
                Principal::user("u").with_role(role),
                Resource::new("job", "jobs/a"),
                "read",
            )
        };
        assert!(evaluate(&policy, &context(word)).unwrap().is_allowed(), "{word}");
        assert!(!evaluate(&policy, &context("false")).unwrap().is_allowed(), "{word}");
    }
    // Where a value of any type is expected, two readings are an error and `no` is text.
    let with = |word: &str| {
        GOOD.replace(
            "  effect: allow",
            &format!("  effect: allow\n  conditions: [{{attribute: context.v, op: eq, value: {word}}}]"),
        )
    };
    for word in [
        "012",
        "1e3",
        "1_000",
        "0x1f",
        "0o17",
        "1.5",
        "+1",
        "True",
        "FALSE",
        "~",
        "null",
        "9223372036854775808",
        ".inf",
    ] {
        assert_eq!(error(&with(word)).location().unwrap().line, 13, "{word}");
    }
    let context = |value: hpc_policy::Value| {
        let principal = Principal::user("u").with_role("gpu-user");
        EvaluationContext::new(principal, Resource::new("job", "jobs/a"), "read").with_attribute("v", value)
    };
    for (word, value) in [
        ("no", "no"),
        ("on", "on"),
        ("09:00", "09:00"),
        ("\"012\"", "012"),
        ("'true'", "true"),
        ("10.0.0.1", "10.0.0.1"),
    ] {
        assert!(
            evaluate(&parse_policy(&with(word)).unwrap(), &context(value.into())).unwrap().is_allowed(),
            "{word}"
        );
    }
    assert!(!evaluate(&parse_policy(&with("no")).unwrap(), &context(false.into())).unwrap().is_allowed());
}

#[test]
fn limits_hold() {
    let big = format!("{GOOD}# {}", "x".repeat(limits::DOCUMENT_BYTES_MAX));
    assert_eq!(
        error(&big).to_string(),
        "line 1, column 1: the document in bytes exceeds the limit of 1048576; make it smaller or split the document"
    );
    error(&"a: ".repeat(3_500_000));

    for depth in [65, 128, 10_000] {
        let flow = format!("a: {}{}", "[".repeat(depth), "]".repeat(depth));
        assert!(matches!(error(&flow), PolicyError::Limit { max: 64, .. }), "{}", error(&flow));
        let block = format!("a:\n  {}x", "- ".repeat(depth.min(1000)));
        assert!(matches!(error(&block), PolicyError::Limit { max: 64, .. }), "{}", error(&block));
    }
    let nodes = format!("a: [{}]", "x,".repeat(limits::DOCUMENT_NODES_MAX));
    assert!(matches!(error(&nodes), PolicyError::Limit { max: limits::DOCUMENT_NODES_MAX, .. }));

    let actions: Vec<String> = (0..=limits::SCOPE_ITEMS_MAX).map(|number| format!("a{number}")).collect();
    assert!(matches!(
        error(&GOOD.replace("[read]", &format!("[{}]", actions.join(",")))),
        PolicyError::Limit { .. }
    ));
    assert!(matches!(
        error(&GOOD.replace("name: p", &format!("name: {}", "p".repeat(1025)))),
        PolicyError::Limit { .. }
    ));

    let leaf = "{attribute: action, op: exists}";
    let with = |conditions: String| {
        GOOD.replace("  effect: allow", &format!("  effect: allow\n  conditions: [{conditions}]"))
    };
    let wide = |count: usize| with(vec![leaf; count].join(","));
    parse_policy(&wide(limits::CONDITIONS_MAX)).unwrap();
    assert!(matches!(error(&wide(limits::CONDITIONS_MAX + 1)), PolicyError::Limit { .. }));
    let halves = format!("{{any: [{}]}}, {{any: [{}]}}", vec![leaf; 40].join(","), vec![leaf; 40].join(","));
    assert!(matches!(error(&with(halves)), PolicyError::Limit { .. }));
    let deep = |count: usize| with(format!("{}{leaf}{}", "{not: ".repeat(count), "}".repeat(count)));
    parse_policy(&deep(limits::CONDITION_DEPTH_MAX - 1)).unwrap();
    assert!(matches!(error(&deep(limits::CONDITION_DEPTH_MAX)), PolicyError::Limit { .. }));
}

#[test]
fn requests_that_cannot_be_judged_are_denied() {
    let set = PolicySet::parse_documents([("p", super::policy("allow", &[]))]).unwrap();
    let fine = super::asked();
    assert_eq!(set.decide(&fine), Verdict::Allow);
    let thing = || Resource::new("thing", "a");
    let mut crowded = Principal::user("u");
    let mut decorated = super::asked();
    let mut heavy = super::asked();
    for number in 0..17 {
        heavy = heavy.with_attribute(format!("a{number}"), "x".repeat(16 * 1024));
    }
    for number in 0..=256 {
        crowded = crowded.with_role(format!("r{number}"));
        decorated = decorated.with_attribute(format!("a{number}"), 1);
    }
    for (context, field) in [
        (EvaluationContext::new(Principal::user(""), thing(), "use"), "principal.id"),
        (EvaluationContext::new(Principal::user("p\u{430}ul"), thing(), "use"), "principal.id"),
        (EvaluationContext::new(Principal::user("u").with_role("a b"), thing(), "use"), "principal.roles"),
        (EvaluationContext::new(Principal::user("u").with_team("a\n"), thing(), "use"), "principal.teams"),
        (
            EvaluationContext::new(Principal::user("u").with_spiffe_id("spiffe://td/../x"), thing(), "use"),
            "principal.spiffe_id",
        ),
        (EvaluationContext::new(crowded, thing(), "use"), "principal"),
        (EvaluationContext::new(Principal::user("u"), Resource::new("", "a"), "use"), "resource.type"),
        (EvaluationContext::new(Principal::user("u"), Resource::new("thing", "a/.."), "use"), "resource.id"),
        (
            EvaluationContext::new(Principal::user("u"), Resource::new("thing", "a".repeat(100_000)), "use"),
            "resource.id",
        ),
        (EvaluationContext::new(Principal::user("u"), thing(), "us%65"), "action"),
        (
            EvaluationContext::new(Principal::user("u").with_attribute("id", "root"), thing(), "use"),
            "principal.id",
        ),
        (fine.clone().with_attribute("now", 1), "context.now"),
        (fine.clone().with_attribute("a b", 1), "context.a b"),
        (fine.clone().with_attribute("", 1), "context."),
        (fine.clone().with_attribute("a", "x".repeat(16 * 1024 + 1)), "context.a"),
        (fine.clone().with_attribute("a", vec![1; 1025]), "context.a"),
        (fine.clone().with_attribute("a", vec![vec![1]]), "context.a"),
        (fine.clone().with_attribute("a", hpc_policy::Value::List(vec![1.into(), "x".into()])), "context.a"),
        (decorated, "context"),
        (heavy, "the request"),
    ] {
        let decision = set.evaluate(&context);
        assert_eq!(decision.verdict, Verdict::Deny, "{field}");
        assert_eq!(set.decide(&context), Verdict::Deny, "{field}");
        let reasons = decision.reasons();
        assert_eq!(reasons.len(), 1);
        assert_eq!(reasons[0].code.as_str(), "invalid_request");
        assert!(
            reasons[0].text.starts_with(&format!("the request cannot be judged: {field} ")),
            "{}",
            reasons[0]
        );
        assert!(reasons[0].text.len() < 300);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn no_text_panics(text in "[a-z:{}\\[\\],&*!|>'\"%#\n\t -]{0,200}") {
        let _ = parse_policy(&text);
    }

    #[test]
    fn no_damaged_document_panics(position in 0..GOOD.len(), piece in "[a-z:{}\\[\\],&*!|>'\"%#\n\t -]{0,4}", cut in 0..8usize) {
        let end = (position + cut).min(GOOD.len());
        let text = format!("{}{piece}{}", &GOOD[..position], &GOOD[end..]);
        if let Err(error) = parse_policy(&text) {
            prop_assert!(error.location().is_some_and(|at| at.line >= 1 && at.column >= 1));
        }
    }
}
