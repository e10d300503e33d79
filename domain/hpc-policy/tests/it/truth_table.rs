//! The truth tables of the crate's documentation, cell by cell.

use hpc_policy::{PolicySet, Value, Verdict, evaluate, parse_policy};

use super::{asked, policy, policy_of, rule};

// With `context.t` = 1, `context.text` = "x" and nothing else set:
const TRUE: &str = "{attribute: context.t, op: eq, value: 1}";
const FALSE: &str = "{attribute: context.t, op: eq, value: 2}";
const MISSING: &str = "{attribute: context.absent, op: eq, value: 1}";
const MISSING_NE: &str = "{attribute: context.absent, op: ne, value: 1}";
const OPAQUE: &str = "{attribute: context.opaque, op: eq, value: 1}";
const OPAQUE_NE: &str = "{attribute: context.opaque, op: ne, value: 1}";
const MISTYPED: &str = "{attribute: context.text, op: gt, value: 1}";

fn verdict(text: &str) -> Verdict {
    let context =
        asked().with_attribute("t", 1).with_attribute("text", "x").with_attribute("opaque", Value::Opaque);
    let decision = evaluate(&parse_policy(text).unwrap(), &context).unwrap();
    let set = PolicySet::parse_documents([("p", text)]).unwrap();
    assert_eq!(set.evaluate(&context).verdict, decision.verdict);
    assert_eq!(set.decide(&context), decision.verdict);
    decision.verdict
}

#[test]
fn one_rule() {
    for (effect, condition, expected) in [
        ("allow", TRUE, Verdict::Allow),
        ("allow", FALSE, Verdict::Deny),
        ("allow", MISSING, Verdict::Deny),
        ("allow", MISSING_NE, Verdict::Deny),
        ("allow", MISTYPED, Verdict::Deny),
        ("allow", OPAQUE, Verdict::Deny),
        ("allow", OPAQUE_NE, Verdict::Deny),
        ("deny", TRUE, Verdict::Deny),
        ("deny", FALSE, Verdict::Deny),
        ("deny", MISSING, Verdict::Deny),
        ("deny", OPAQUE, Verdict::Deny),
    ] {
        assert_eq!(verdict(&policy(effect, &[condition])), expected, "{effect} {condition}");
    }
}

#[test]
fn a_deny_beside_an_allow() {
    for (condition, expected) in [
        (TRUE, Verdict::Deny),
        (FALSE, Verdict::Allow),
        (MISSING, Verdict::Deny),
        (MISSING_NE, Verdict::Deny),
        (MISTYPED, Verdict::Deny),
        (OPAQUE, Verdict::Deny),
        (OPAQUE_NE, Verdict::Deny),
    ] {
        let (allow, deny) = (rule("a", "allow", &[]), rule("d", "deny", &[condition]));
        assert_eq!(verdict(&policy_of(&[allow.clone(), deny.clone()])), expected, "{condition}");
        assert_eq!(verdict(&policy_of(&[deny, allow])), expected, "order of {condition}");
    }
}

#[test]
fn an_error_in_one_allow_leaves_the_others() {
    for condition in [MISSING, MISTYPED, OPAQUE] {
        let rules = [rule("broken", "allow", &[condition]), rule("fine", "allow", &[TRUE])];
        assert_eq!(verdict(&policy_of(&rules)), Verdict::Allow, "{condition}");
    }
}

#[test]
fn rules_that_do_not_apply_do_nothing() {
    let other = rule("d", "deny", &[]).replace("type: thing", "type: other");
    assert_eq!(verdict(&policy_of(&[rule("a", "allow", &[]), other.clone()])), Verdict::Allow);
    assert_eq!(verdict(&policy_of(&[other.replace("deny", "allow")])), Verdict::Deny);
    let elsewhere = rule("d", "deny", &[MISSING]).replace("pattern: \"**\"", "pattern: \"others/**\"");
    assert_eq!(verdict(&policy_of(&[rule("a", "allow", &[]), elsewhere])), Verdict::Allow);
}

#[test]
fn the_more_specific_rule_has_no_precedence() {
    let broad = rule("broad", "deny", &[]);
    let narrow =
        rule("narrow", "allow", &[]).replace("pattern: \"**\"", "id: things/a").replace("[\"**\"]", "[use]");
    assert_eq!(verdict(&policy_of(&[broad, narrow])), Verdict::Deny);
}

#[test]
fn nesting_follows_kleene() {
    let (t, f, u) = (TRUE, FALSE, MISSING);
    // For an allow rule: true allows. For a deny beside an allow: only false allows. Together they tell three values apart.
    for (condition, expected) in [
        (format!("{{all: [{t}, {t}]}}"), 't'),
        (format!("{{all: [{t}, {f}]}}"), 'f'),
        (format!("{{all: [{t}, {u}]}}"), 'u'),
        (format!("{{all: [{f}, {f}]}}"), 'f'),
        (format!("{{all: [{f}, {u}]}}"), 'f'),
        (format!("{{all: [{u}, {f}]}}"), 'f'),
        (format!("{{all: [{u}, {u}]}}"), 'u'),
        (format!("{{any: [{t}, {t}]}}"), 't'),
        (format!("{{any: [{t}, {f}]}}"), 't'),
        (format!("{{any: [{t}, {u}]}}"), 't'),
        (format!("{{any: [{u}, {t}]}}"), 't'),
        (format!("{{any: [{f}, {f}]}}"), 'f'),
        (format!("{{any: [{f}, {u}]}}"), 'u'),
        (format!("{{any: [{u}, {u}]}}"), 'u'),
        (format!("{{not: {t}}}"), 'f'),
        (format!("{{not: {f}}}"), 't'),
        (format!("{{not: {u}}}"), 'u'),
        (format!("{{not: {{all: [{f}, {u}]}}}}"), 't'),
        ("{not: {attribute: context.absent, op: exists}}".to_owned(), 't'),
        ("{all: [{attribute: context.absent, op: exists}, ".to_owned() + u + "]}", 'f'),
    ] {
        let allows = verdict(&policy("allow", &[&condition])).is_allowed();
        let spared =
            verdict(&policy_of(&[rule("a", "allow", &[]), rule("d", "deny", &[&condition])])).is_allowed();
        let got = match (allows, spared) {
            (true, false) => 't',
            (false, true) => 'f',
            (false, false) => 'u',
            (true, true) => 'x',
        };
        assert_eq!(got, expected, "{condition}");
    }
}
