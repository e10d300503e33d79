//! Reasons, near misses, traces and counterfactuals.

use hpc_policy::{Decision, EvaluationContext, PolicySet, Seen, TraceResult, Value, Verdict};

use super::{asked, policy, policy_of, rule};

fn decide(text: &str, context: &EvaluationContext) -> Decision {
    PolicySet::parse_documents([("p", text)]).unwrap_or_else(|errors| panic!("{errors:?}")).evaluate(context)
}

fn ways(decision: &Decision) -> Vec<String> {
    decision.allowed_if().iter().map(ToString::to_string).collect()
}

#[test]
fn a_near_miss_says_what_it_wanted_and_what_it_saw() {
    let text = policy(
        "allow",
        &[
            "{attribute: context.hours, op: lte, value: 8}",
            "{attribute: context.kind, op: in, value: [owned, on-demand]}",
            "{attribute: context.fine, op: exists}",
            "{attribute: context.absent, op: eq, value: x}",
        ],
    );
    let decision = decide(
        &text,
        &asked().with_attribute("hours", 12).with_attribute("kind", "spot").with_attribute("fine", 1),
    );
    assert_eq!(decision.verdict, Verdict::Deny);
    let failed = &decision.near_misses[0].failed;
    assert_eq!(failed.len(), 3);
    assert_eq!(
        (failed[0].want.as_str(), &failed[0].have, failed[0].operator, failed[0].line),
        ("8", &Seen::Value(12.into()), "lte", 12)
    );
    assert_eq!(failed[2].have, Seen::Missing);
    assert_eq!(
        decision.reasons()[0].text,
        "`p/r` would allow it if context.hours <= 8 (is 12) and context.kind in [\"owned\", \"on-demand\"] (is \"spot\") \
         and context.absent == \"x\" (is missing)"
    );
    assert_eq!(
        ways(&decision),
        ["context.absent == \"x\" and context.hours <= 8 and context.kind == \"owned\""]
    );
    assert!(decision.errors.is_empty(), "a missing attribute is no error for an allow rule");
    assert!(
        matches!(&decision.trace()[0].result, TraceResult::ConditionFailed { failed } if failed.len() == 3)
    );
}

#[test]
fn all_denies_are_listed_and_undone_together() {
    let text = policy_of(&[
        rule("base", "allow", &[]),
        rule("hours", "deny", &["{attribute: context.hours, op: gt, value: 8}"])
            + "      message: at most 8 hours\n      owner: team:platform\n",
        rule("gpus", "deny", &["{not: {attribute: context.gpus, op: range, value: {min: 1, max: 4}}}"]),
        rule(
            "spot",
            "deny",
            &[
                "{attribute: context.kind, op: ne, value: owned}",
                "{attribute: context.hours, op: gt, value: 10}",
            ],
        ),
        rule("other", "deny", &["{attribute: context.hours, op: lt, value: 1}"]),
    ]);
    let decision = decide(
        &text,
        &asked().with_attribute("hours", 12).with_attribute("gpus", 5).with_attribute("kind", "spot"),
    );
    let reasons: Vec<String> = decision.reasons().iter().map(ToString::to_string).collect();
    assert_eq!(
        reasons,
        [
            "denied by `p/hours`: at most 8 hours; context.hours > 8 (is 12)",
            "denied by `p/gpus`; not (context.gpus in 1 to 4) (is 5)",
            "denied by `p/spot`; context.kind != \"owned\" (is \"spot\") and context.hours > 10 (is 12)",
        ]
    );
    assert_eq!(decision.matched[1].owner.as_deref(), Some("team:platform"));
    assert_eq!(decision.allowed_if()[0].rule, "p/base");
    let values: Vec<(&str, &Value)> = decision.allowed_if()[0]
        .changes
        .iter()
        .map(|change| (change.attribute.as_str(), &change.value))
        .collect();
    assert_eq!(values[0], ("context.gpus", &4.into()));
    assert_eq!(values[1].0, "context.hours");
    let lines: Vec<String> = decision.trace().iter().map(ToString::to_string).collect();
    assert_eq!(lines[0], "p/base (allow): matches");
    assert_eq!(lines[4], "p/other (deny): does not match: needs context.hours < 1 (is 12)");
}

#[test]
fn counterfactuals() {
    let n = |number: i64| asked().with_attribute("n", number);
    let over = |conditions: &[&str]| policy_of(&[rule("a", "allow", &[]), rule("d", "deny", conditions)]);
    for (text, context, expected) in [
        (over(&["{attribute: context.n, op: gt, value: 8}"]), n(9), vec!["context.n <= 8"]),
        (over(&["{attribute: context.n, op: gte, value: 8}"]), n(9), vec!["context.n <= 7"]),
        (over(&["{attribute: context.n, op: lt, value: 8}"]), n(1), vec!["context.n >= 8"]),
        (over(&["{attribute: context.n, op: eq, value: 8}"]), n(8), vec!["context.n == 7"]),
        (
            over(&["{attribute: context.f, op: eq, value: true}"]),
            asked().with_attribute("f", true),
            vec!["context.f == false"],
        ),
        (over(&["{attribute: context.n, op: gt, value: 8}"]), asked(), vec!["context.n <= 8"]),
        (over(&["{attribute: context.n, op: lte, value: 9223372036854775807}"]), n(9), vec![]),
        (over(&[]), asked(), vec![]),
        (over(&["{attribute: principal.id, op: eq, value: alice}"]), asked(), vec![]),
        (
            over(&["{attribute: context.n, op: gt, value_from: context.max}"]),
            n(9).with_attribute("max", 5),
            vec!["context.n <= 5"],
        ),
        (
            policy(
                "allow",
                &["{attribute: context.n, op: gte, value: 4}", "{attribute: context.n, op: lte, value: 8}"],
            ),
            n(20),
            vec!["context.n <= 8"],
        ),
        (
            policy("allow", &["{attribute: context.n, op: range, value: {min: 4, max: 8}}"]),
            n(1),
            vec!["4 <= context.n <= 8"],
        ),
        (
            policy(
                "allow",
                &["{attribute: context.n, op: gt, value: 4}", "{attribute: context.n, op: lt, value: 3}"],
            ),
            n(20),
            vec![],
        ),
        (
            policy(
                "allow",
                &[
                    "{any: [{attribute: context.v, op: glob, value: \"a*\"}, {attribute: context.n, op: eq, value: 3}]}",
                ],
            ),
            n(20),
            vec!["context.n == 3"],
        ),
        (policy("allow", &["{attribute: context.v, op: glob, value: \"a*\"}"]), n(20), vec![]),
        // Undoing one deny by a value that meets another is not offered.
        (
            policy_of(&[
                rule("a", "allow", &[]),
                rule("d", "deny", &["{attribute: context.n, op: gt, value: 8}"]),
                rule("e", "deny", &["{attribute: context.n, op: lte, value: 8}"]),
            ]),
            n(9),
            vec![],
        ),
        // Words come from the rules.
        (
            policy_of(&[
                rule("a", "allow", &["{attribute: context.kind, op: in, value: [spot, owned]}"]),
                rule("d", "deny", &["{attribute: context.kind, op: eq, value: spot}"]),
            ]),
            asked().with_attribute("kind", "spot"),
            vec!["context.kind == \"owned\""],
        ),
        // Several allow rules give several ways.
        (
            policy_of(&[
                rule("a", "allow", &["{attribute: context.n, op: lte, value: 8}"]),
                rule("b", "allow", &["{attribute: context.approved, op: eq, value: true}"]),
            ]),
            n(9),
            vec!["context.n <= 8", "context.approved == true"],
        ),
    ] {
        let decision = decide(&text, &context);
        assert_eq!(ways(&decision), expected, "{text}");
        // Every way must really work.
        for way in decision.allowed_if() {
            let mut changed = context.clone();
            for change in &way.changes {
                changed = changed.with_attribute(change.attribute.clone(), change.value.clone());
            }
            assert!(decide(&text, &changed).is_allowed(), "{way}");
        }
    }
}

#[test]
fn errors_are_reported_with_their_consequence() {
    let text = policy_of(&[
        rule("fine", "allow", &[]),
        rule("broken-allow", "allow", &["{attribute: context.n, op: gt, value: 1}"]),
        rule("broken-deny", "deny", &["{attribute: context.n, op: gt, value: 1}"]),
        rule("blind-deny", "deny", &["{attribute: context.absent, op: gt, value: 1}"]),
        rule(
            "guarded-deny",
            "deny",
            &["{attribute: context.absent, op: exists}", "{attribute: context.absent, op: gt, value: 1}"],
        ),
    ]);
    let decision = decide(&text, &asked().with_attribute("n", "many"));
    let errors: Vec<(&str, bool)> =
        decision.errors.iter().map(|error| (error.rule.as_deref().unwrap(), error.denies)).collect();
    assert_eq!(errors, [("p/broken-allow", false), ("p/broken-deny", true), ("p/blind-deny", true)]);
    assert_eq!(decision.errors[1].detail, "`context.n`: a string where an integer or a timestamp is needed");
    let reasons: Vec<String> = decision.reasons().iter().map(ToString::to_string).collect();
    assert_eq!(
        reasons,
        [
            "denied because `p/broken-deny` could not be evaluated: `context.n`: a string where an integer or a timestamp is needed",
            "denied because `p/blind-deny` could not be evaluated: the attribute `context.absent` is missing",
        ]
    );
    assert!(matches!(decision.trace()[4].result, TraceResult::ConditionFailed { .. }));
}

#[test]
fn secrets_stay_out_of_everything() {
    let text = policy_of(&[
        rule("a", "allow", &["{attribute: context.token, op: eq, value: hunter2}"]),
        rule("b", "allow", &["{attribute: context.guess, op: eq, value_from: context.token}"]),
        rule("c", "deny", &["{attribute: context.token, op: ne, value: hunter2}"]),
        rule(
            "d",
            "deny",
            &[
                "{attribute: principal.pin, op: gt, value: 4}",
                "{attribute: resource.key, op: contains, value: sw0rd}",
            ],
        ),
    ]);
    let principal = hpc_policy::Principal::user("alice").with_secret_attribute("pin", 31337);
    let resource =
        hpc_policy::Resource::new("thing", "things/a").with_secret_attribute("key", "passw0rd-sw0rd");
    let context = EvaluationContext::new(principal, resource, "use")
        .with_secret_attribute("token", "correct-horse")
        .with_attribute("guess", "battery");
    let decision = decide(&text, &context);
    assert!(!decision.is_allowed());
    assert!(decision.allowed_if().is_empty());
    let everything = format!(
        "{context:?}{decision:?}{}{:?}{}",
        serde_json::to_string(&decision).unwrap(),
        decision.reasons(),
        decision.trace().iter().map(ToString::to_string).collect::<String>()
    );
    for secret in ["correct-horse", "hunter2", "31337", "sw0rd", "passw0rd"] {
        assert!(!everything.contains(secret), "{secret} in {everything}");
    }
    assert!(everything.contains("[redacted]"));
}

#[test]
fn rules_for_others_are_only_in_the_trace() {
    let text = policy_of(&[
        rule("role", "allow", &[])
            .replace("{type: any}", "{type: role, value: gpu-user}, {type: team, pattern: \"ml/**\"}"),
        rule("id", "allow", &[]).replace("pattern: \"**\"", "id: things/b"),
        rule("action", "allow", &[]).replace("[\"**\"]", "[read]"),
    ]);
    let decision = decide(&text, &asked());
    assert!(decision.near_misses.is_empty() && decision.matched.is_empty());
    let lines: Vec<String> = decision.trace().iter().map(ToString::to_string).collect();
    assert_eq!(
        lines,
        [
            "p/role (allow): not applicable: it is for role `gpu-user`, team `ml/**`",
            "p/id (allow): not applicable: it is for thing `things/b`",
        ]
    );
    assert_eq!(decision.reasons()[0].code.as_str(), "no_rule_allows");
}

#[test]
fn the_trace_is_bounded() {
    let rules: Vec<String> = (0..1_200)
        .map(|number| rule(&format!("r{number}"), "allow", &["{attribute: context.x, op: exists}"]))
        .collect();
    let decision = decide(&policy_of(&rules), &asked());
    assert_eq!(
        (decision.trace().len(), decision.trace_omitted(), decision.near_misses.len()),
        (1_000, 200, 64)
    );
}

#[test]
fn decisions_stay_small() {
    // 100 rules of 64 conditions over a list of long words: without limits this would copy 100 MiB.
    let condition = "{attribute: context.words, op: contains, value: absent}";
    let any = format!("{{any: [{}]}}", vec![condition; 63].join(", "));
    let rules: Vec<String> =
        (0..100).map(|number| rule(&format!("r{number}"), "allow", &[condition, &any])).collect();
    let context = asked()
        .with_attribute("words", vec!["w".repeat(1_000); 16])
        .with_attribute("text", "w".repeat(16_000));
    let decision = decide(&policy_of(&rules), &context);
    assert!(!decision.is_allowed());
    let reports: usize = decision
        .trace()
        .iter()
        .map(|line| match &line.result {
            TraceResult::ConditionFailed { failed } => failed.len(),
            _ => 0,
        })
        .sum();
    assert_eq!((reports, decision.trace().len(), decision.trace_omitted()), (64 * 64, 64, 36));
    let Seen::Value(Value::List(items)) = &decision.near_misses[0].failed[0].have else { panic!() };
    assert_eq!((items.len(), items[0].to_string().len()), (16, 256 + 3 + 2));
    let long = decide(&policy("allow", &["{attribute: context.text, op: eq, value: x}"]), &context);
    assert!(long.reasons()[0].text.len() < 400);
}

#[test]
fn a_refusal_stays_quick_with_many_rules() {
    let rules: Vec<String> = (0..2_500)
        .map(|number| {
            rule(
                &format!("r{number}"),
                "allow",
                &[
                    &format!("{{attribute: context.n, op: gt, value: {number}}}"),
                    "{attribute: context.kind, op: not_in, value: [a, b]}",
                ],
            )
        })
        .chain([rule("d", "deny", &["{attribute: context.kind, op: ne, value: a}"])])
        .collect();
    let decision = decide(&policy_of(&rules), &asked().with_attribute("n", 0).with_attribute("kind", "b"));
    assert!(!decision.is_allowed() && decision.allowed_if().is_empty());
}

#[test]
fn a_deny_does_not_hide_that_nothing_allows() {
    let decision = decide(
        &policy("deny", &["{attribute: context.n, op: gt, value: 1}"]),
        &asked().with_attribute("n", 2),
    );
    let codes: Vec<&str> = decision.reasons().iter().map(|reason| reason.code.as_str()).collect();
    assert_eq!(codes, ["denied_by_rule", "no_rule_allows"]);
    assert!(decision.allowed_if().is_empty());
}

#[test]
fn a_decision_serializes() {
    let text = policy("allow", &["{attribute: context.hours, op: lte, value: 8}"]);
    let json = serde_json::to_value(decide(&text, &asked().with_attribute("hours", 9))).unwrap();
    assert_eq!(json["verdict"], "deny");
    assert_eq!(json["near_misses"][0]["failed"][0]["have"]["value"], 9);
    assert_eq!(json["allowed_if"][0]["changes"][0]["text"], "context.hours <= 8");
    assert_eq!(json["trace"][0]["result"]["result"], "condition_failed");
    assert_eq!(json["digest"].as_str().unwrap().len(), 64);
}
