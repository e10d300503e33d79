//! What lint finds on plain cases, and on what it stays silent.

use hpc_policy::limits::LINT_PAIRS_MAX;
use hpc_policy::{Effect, Finding, FindingKind, LintReport, PolicySet, Severity, lint};

use FindingKind::{
    Contradictory, DeadAlternative, DeniesOnlyUnknown, NeedlessCondition, NeverApplies, Redundant, Shadowed,
    UnknownEntity,
};

const HEAD: &str = "apiVersion: policy.horizon.dev/v1\nkind: Policy\nmetadata: {name: p}\nspec:\n  rules:\n";

/// `effect | principals | resources | actions | conditions | obligations`, all but the first optional; one line each.
fn rules(lines: &[&str]) -> String {
    let mut text = HEAD.to_owned();
    for (number, line) in lines.iter().enumerate() {
        let mut fields = line.split('|').map(str::trim);
        let mut next = |default: &'static str| {
            fields.next().filter(|field| !field.is_empty()).unwrap_or(default).to_owned()
        };
        let effect = next("allow");
        let principals = next("{type: any}");
        let resources = next("{type: gpu, pattern: 'gpu/**'}");
        let actions = next("use");
        let conditions = next("");
        let obligations = next("");
        text.push_str(&format!(
            "    - {{name: r{number}, effect: {effect}, principals: [{principals}], resources: [{resources}], actions: [{actions}]"
        ));
        if !conditions.is_empty() {
            text.push_str(&format!(", conditions: [{conditions}]"));
        }
        if !obligations.is_empty() {
            text.push_str(&format!(", obligations: {{{obligations}}}"));
        }
        text.push_str("}\n");
    }
    text
}

fn look(more: &[(&str, &str)], lines: &[&str]) -> LintReport {
    let text = rules(lines);
    let documents = more.iter().copied().chain([("p.yaml", text.as_str())]);
    let report =
        lint(&PolicySet::parse_documents(documents).unwrap_or_else(|errors| panic!("{}", errors[0])));
    assert!(report.complete && report.findings_omitted == 0 && report.rules == lines.len());
    report
}

/// The rules and kinds of what is found.
fn found(lines: &[&str]) -> Vec<(String, FindingKind)> {
    look(&[], lines).findings.iter().map(|finding| (finding.rule.to_string(), finding.kind)).collect()
}

fn is(rule: &str, kind: FindingKind) -> Vec<(String, FindingKind)> {
    vec![(rule.to_owned(), kind)]
}

/// Conditions of one rule.
fn alone(effect: &str, conditions: &str) -> Vec<FindingKind> {
    found(&[&format!("{effect}||||{conditions}")]).into_iter().map(|(_, kind)| kind).collect()
}

fn on(attribute: &str, tests: &[&str]) -> String {
    let each: Vec<String> = tests.iter().map(|test| format!("{{attribute: {attribute}, {test}}}")).collect();
    each.join(", ")
}

#[test]
fn conditions_that_exclude_each_other() {
    for (attribute, tests) in [
        ("context.a", ["op: lt, value: 3", "op: gt, value: 5"]),
        ("context.a", ["op: lt, value: 3", "op: gte, value: 3"]),
        ("context.a", ["op: lt, value: 3", "op: gt, value: 1, "].map(|text| text.trim_end_matches(", "))),
        ("context.a", ["op: eq, value: x", "op: eq, value: y"]),
        ("context.a", ["op: eq, value: 1", "op: eq, value: \"1\""]),
        ("context.a", ["op: eq, value: x", "op: ne, value: x"]),
        ("context.a", ["op: in, value: [a, b]", "op: in, value: [c, d]"]),
        ("context.a", ["op: in, value: [a, b]", "op: not_in, value: [b, a, c]"]),
        ("context.a", ["op: starts_with, value: ab", "op: starts_with, value: b"]),
        ("context.a", ["op: starts_with, value: ab", "op: eq, value: b"]),
        ("context.a", ["op: ends_with, value: ab", "op: glob, value: '*a'"]),
        ("context.a", ["op: contains, value: '/'", "op: glob, value: 'a*'"]),
        ("context.a", ["op: glob, value: 'a/**'", "op: glob, value: 'b/**'"]),
        ("context.a", ["op: exists, value: false", "op: gt, value: 5"]),
        ("context.a", ["op: exists, value: false", "op: exists"]),
        ("context.a", ["op: range, value: {min: 1, max: 4}", "op: gt, value: 4"]),
        ("context.a", ["op: lt, value: 5", "op: lt, value: {timestamp: \"2026-11-02T10:00:00Z\"}"]),
        ("context.a", ["op: cidr, value: 10.0.0.0/8", "op: cidr, value: [192.168.0.0/16, \"fd00::/8\"]"]),
        ("context.a", ["op: cidr, value: 10.0.0.0/8", "op: eq, value: {ip: 11.0.0.1}"]),
        ("context.a", ["op: cidr, value: 10.0.0.0/8", "op: eq, value: \"11.0.0.1\""]),
        ("context.a", ["op: semver, value: '>=2.0.0'", "op: semver, value: '^1.4'"]),
        ("context.a", ["op: semver, value: '>=2.0.0'", "op: eq, value: 1.9.0"]),
        (
            "context.now",
            [
                "op: time_window, value: {from: '22:00', to: '06:00'}",
                "op: time_window, value: {from: '09:00', to: '17:00'}",
            ],
        ),
        (
            "context.now",
            [
                "op: time_window, value: {days: [sat, sun], from: '00:00', to: '24:00'}",
                "op: time_window, value: {days: [mon], from: '10:00', to: '11:00', offset: '+02:00'}",
            ],
        ),
        (
            "context.now",
            [
                "op: time_window, value: {days: [tue], from: '00:00', to: '24:00'}",
                "op: eq, value: {timestamp: \"2026-11-02T10:00:00Z\"}",
            ],
        ),
        ("context.a", ["op: contains, value: x", "op: gt, value: 1"]),
        ("context.a", ["op: eq, value_from: context.b", "op: ne, value_from: context.b"]),
        ("context.a", ["op: lt, value_from: context.b", "op: gte, value_from: context.b"]),
        ("context.a", ["op: eq, value_from: context.b", "op: exists, value: false"]),
    ] {
        let conditions = on(attribute, &tests);
        let satisfiable = tests[1] == "op: gt, value: 1";
        if satisfiable && tests[0] == "op: lt, value: 3" {
            assert_eq!(alone("allow", &conditions), [], "{conditions}");
            continue;
        }
        assert_eq!(alone("allow", &conditions), [Contradictory], "{conditions}");
        // A deny rule still denies where the attribute is missing, unless `exists` says that it is not.
        let always_known = tests.iter().all(|test| test.contains("exists"));
        let expected = if always_known { Contradictory } else { DeniesOnlyUnknown };
        assert_eq!(alone("deny", &conditions), [expected], "{conditions}");
    }
}

#[test]
fn what_may_hold_together_is_not_reported() {
    for (attribute, tests) in [
        ("context.a", ["op: lt, value: 3", "op: gt, value: 1"]),
        ("context.a", ["op: ne, value: x", "op: ne, value: y"]),
        ("context.a", ["op: contains, value: x", "op: contains, value: y"]),
        ("context.a", ["op: starts_with, value: ab", "op: ends_with, value: bc"]),
        ("context.a", ["op: glob, value: '**a'", "op: glob, value: 'b**'"]),
        ("context.a", ["op: cidr, value: 10.0.0.0/8", "op: ends_with, value: '1'"]),
        ("context.a", ["op: semver, value: '>=1.0.0-rc.1'", "op: semver, value: '<1.0.0-rc.9'"]),
        ("context.a", ["op: lte, value_from: context.b", "op: gte, value_from: context.b"]),
        (
            "context.now",
            [
                "op: time_window, value: {from: '22:00', to: '06:00'}",
                "op: time_window, value: {from: '05:59', to: '17:00'}",
            ],
        ),
    ] {
        for effect in ["allow", "deny"] {
            assert_eq!(alone(effect, &on(attribute, &tests)), [], "{tests:?}");
        }
    }
}

#[test]
fn two_attributes_are_compared_either_way_round() {
    let pair = |left: &str, right: &str| {
        let (one, other) = ("context.a", "context.b");
        format!(
            "{{attribute: {one}, op: {left}, value_from: {other}}}, {{attribute: {other}, op: {right}, value_from: {one}}}"
        )
    };
    for (left, right, expected) in [
        ("lt", "gt", vec![NeedlessCondition]),
        ("lt", "gte", vec![NeedlessCondition]),
        // `a <= b` says nothing new beside `b > a`.
        ("lte", "gt", vec![NeedlessCondition]),
        ("lte", "lte", vec![]),
        ("lt", "lt", vec![Contradictory]),
        ("lt", "lte", vec![Contradictory]),
        ("gt", "gte", vec![Contradictory]),
        ("eq", "eq", vec![NeedlessCondition]),
        ("eq", "ne", vec![Contradictory]),
        ("in", "in", vec![]),
        ("starts_with", "starts_with", vec![]),
    ] {
        assert_eq!(alone("allow", &pair(left, right)), expected, "{left} {right}");
    }
}

#[test]
fn the_conditions_at_fault_are_named() {
    let conditions =
        on("context.a", &["op: exists", "op: lt, value: 3", "op: ne, value: 2", "op: gt, value: 5"]);
    let report = look(&[], &[&format!("allow||||{conditions}")]);
    let Finding { severity, document, policy, rule, effect, line, problem, .. } = &report.findings[0];
    assert_eq!(
        (*severity, document.as_deref(), &**policy, &**rule),
        (Severity::Error, Some("p.yaml"), "p", "r0")
    );
    assert_eq!((*effect, *line), (Effect::Allow, 6));
    assert_eq!(
        problem,
        "`context.a < 3` (line 6) and `context.a > 5` (line 6) are never true together, so it never allows"
    );
    assert_eq!(
        report.findings[0].to_string(),
        format!("p.yaml:6: error[contradictory]: p/r0: {problem}; correct one of them, or remove the rule")
    );
}

#[test]
fn conditions_against_the_scope() {
    for (line, deny) in [
        ("{type: user, pattern: '**'}||| {attribute: principal.type, op: eq, value: agent}", NeverApplies),
        ("{type: user, value: ann}||| {attribute: principal.id, op: ne, value: ann}", NeverApplies),
        ("|||{attribute: principal.type, op: eq, value: robot}", Contradictory),
        ("||read, write|{attribute: action, op: eq, value: delete}", NeverApplies),
        ("||'read.*'|{attribute: action, op: starts_with, value: write}", NeverApplies),
        ("|||{attribute: resource.type, op: eq, value: job}", NeverApplies),
        ("|||{attribute: resource.id, op: glob, value: 'job/**'}", NeverApplies),
        ("|||{attribute: resource.id, op: contains, value: '//'}", Contradictory),
        ("|||{attribute: resource.id, op: eq, value: 'gpu/../x'}", Contradictory),
        ("|||{attribute: principal.roles, op: contains, value: 'a b'}", Contradictory),
        ("|||{attribute: principal.id, op: exists, value: false}", Contradictory),
        (
            "{type: spiffe, pattern: 'spiffe://a/**'}|||{attribute: principal.spiffe_id, op: exists, value: false}",
            NeverApplies,
        ),
        (
            "{type: role, value: admin}|||{not: {attribute: principal.roles, op: contains, value: admin}}",
            NeverApplies,
        ),
    ] {
        // Attributes that every request has are never missing, so here a deny rule is as dead as an allow rule.
        let kind = |effect: &str| {
            let kinds = found(&[&format!("{effect}|{line}")]);
            assert_eq!(kinds.len(), 1, "{effect} {line}: {kinds:?}");
            kinds[0].1
        };
        let allow = kind("allow");
        assert!([Contradictory, NeverApplies].contains(&allow), "{line}: {allow}");
        assert_eq!(kind("deny"), deny, "{line}");
    }
    let unknown = "deny||||{attribute: principal.spiffe_id, op: eq, value: 'http://x'}";
    assert_eq!(found(&[unknown]), is("r0", DeniesOnlyUnknown), "a missing SPIFFE ID is unknown");
}

#[test]
fn allow_rules_that_a_deny_rule_shadows() {
    for (allow, deny) in [
        ("allow", "deny"),
        ("allow|{type: user, value: ann}|{type: gpu, id: gpu/a}", "deny"),
        ("allow|{type: user, value: ann}", "deny|{type: user, pattern: 'a*'}"),
        ("allow|{type: role, value: r1}", "deny|{type: role, pattern: 'r*'}"),
        (
            "allow|{type: team, value: t1}, {type: user, value: bo}",
            "deny|{type: user, value: bo}, {type: team, value: t1}",
        ),
        (
            "allow",
            "deny|{type: user, pattern: '**'}, {type: service, pattern: '**'}, {type: agent, pattern: '**'}",
        ),
        ("allow||{type: gpu, pattern: 'gpu/*'}", "deny||{type: '*', pattern: '**'}"),
        (
            "allow||{type: gpu, pattern: 'gpu/*'}, {type: job, id: j/a}",
            "deny||{type: job, pattern: 'j/*'}, {type: gpu, pattern: 'gpu/**'}",
        ),
        (
            "allow||{type: gpu, pattern: 'a/*b'}",
            "deny||{type: gpu, pattern: 'a/b'}, {type: gpu, pattern: 'a/**b'}",
        ),
        ("allow|||read, list", "deny|||'**'"),
        (
            "allow||||{attribute: context.a, op: gt, value: 5}",
            "deny||||{attribute: context.a, op: gt, value: 3}",
        ),
        ("allow||||{attribute: context.b, op: exists}", "deny||||{attribute: context.b, op: exists}"),
        // Unknown denies too: where `a` is missing, an integer, or a text without this end.
        (
            "allow||||{attribute: context.a, op: exists, value: false}",
            "deny||||{attribute: context.a, op: gt, value: 3}",
        ),
        (
            "allow||||{attribute: context.a, op: eq, value: x}",
            "deny||||{attribute: context.a, op: gt, value: 3}",
        ),
        (
            "allow||||{attribute: context.a, op: cidr, value: 10.1.0.0/16}",
            "deny||||{attribute: context.a, op: cidr, value: 10.0.0.0/8}",
        ),
        (
            "allow||||{attribute: context.a, op: semver, value: '~1.4.2'}",
            "deny||||{attribute: context.a, op: semver, value: '^1.4'}",
        ),
        (
            "allow||||{attribute: context.now, op: time_window, value: {days: [mon], from: '10:00', to: '11:00'}}",
            "deny||||{attribute: context.now, op: time_window, value: {from: '12:00', to: '13:30', offset: '+02:00'}}",
        ),
        (
            "allow||||{any: [{attribute: context.a, op: eq, value: 1}, {attribute: context.a, op: eq, value: 2}]}",
            "deny||||{attribute: context.a, op: in, value: [1, 2, 3]}",
        ),
        (
            "allow||||{attribute: context.a, op: eq, value_from: context.b}",
            "deny||||{attribute: context.b, op: eq, value_from: context.a}",
        ),
        ("allow|||'**'|{attribute: action, op: in, value: [read, list]}", "deny|||list, 'r*'"),
    ] {
        assert_eq!(found(&[allow, deny]), is("r0", Shadowed), "{allow} {deny}");
        assert_eq!(
            found(&[deny, allow]),
            is("r1", Shadowed),
            "the order makes no difference: {allow} {deny}"
        );
    }
}

#[test]
fn allow_rules_that_nothing_shadows() {
    for (allow, deny) in [
        ("allow", "deny|{type: user, pattern: '**'}"),
        ("allow|{type: user, pattern: 'a*'}", "deny|{type: user, value: ann}"),
        ("allow|{type: role, pattern: 'r*'}", "deny|{type: role, value: r1}"),
        ("allow|{type: user, value: ann}", "deny|{type: service, value: ann}"),
        ("allow||{type: gpu, pattern: 'gpu/**'}", "deny||{type: gpu, pattern: 'gpu/*'}"),
        ("allow||{type: '*', pattern: '**'}", "deny||{type: gpu, pattern: '**'}, {type: job, pattern: '**'}"),
        ("allow|||'read.*'", "deny|||read.all"),
        (
            "allow||||{attribute: context.a, op: gt, value: 3}",
            "deny||||{attribute: context.a, op: gt, value: 5}",
        ),
        ("allow", "deny||||{attribute: context.a, op: gt, value: 5}"),
        ("allow||||{attribute: context.a, op: exists}", "deny||||{attribute: context.b, op: exists}"),
        (
            "allow||||{attribute: context.a, op: exists, value: false}",
            "deny||||{attribute: context.a, op: exists}, {attribute: context.a, op: gt, value: 3}",
        ),
        (
            "allow||||{attribute: context.a, op: eq, value_from: context.b}",
            "deny||||{attribute: context.a, op: eq, value_from: context.c}",
        ),
        // Two rules that deny it together: lint compares one by one.
        ("allow||||{attribute: context.a, op: exists}", "deny||||{attribute: context.a, op: lt, value: 3}"),
    ] {
        assert_eq!(found(&[allow, deny]), [], "{allow} {deny}");
    }
}

#[test]
fn rules_that_another_does_already() {
    for effect in ["allow", "deny"] {
        let narrow =
            format!("{effect}|{{type: user, value: ann}}|||{{attribute: context.a, op: gt, value: 5}}");
        let wide = format!("{effect}||||{{attribute: context.a, op: gt, value: 5}}");
        assert_eq!(found(&[&narrow, &wide]), is("r0", Redundant), "{effect}");
        assert_eq!(found(&[&wide, &narrow]), is("r1", Redundant), "{effect}");
        assert_eq!(found(&[&wide, &wide]), is("r1", Redundant), "of two equal rules the later one");
    }
    let unguarded = "deny||||{attribute: context.a, op: gt, value: 5}";
    let guarded = "deny||||{attribute: context.a, op: exists}, {attribute: context.a, op: gt, value: 5}";
    assert_eq!(found(&[unguarded, guarded]), is("r1", Redundant), "the one without `exists` denies more");
}

#[test]
fn what_differs_in_obligations_stays() {
    let with = |duties: &str| format!("allow|||||{duties}");
    for (other, rule, expected) in [
        ("max: 4", "max: 4", true),
        ("max: 4", "max: 8", true),
        ("max: 8", "max: 4", false),
        ("min_days: 8", "min_days: 4", true),
        ("mfa: true", "mfa: false", true),
        ("mfa: false", "mfa: true", false),
        ("notify: [a, b]", "notify: a", true),
        ("notify: [b, a]", "notify: a", false),
        ("notify: a", "notify: [a]", false),
        ("max: 4, mfa: true", "mfa: true", true),
        ("max: 4", "mfa: true", false),
        ("", "mfa: true", false),
        ("mfa: true", "", true),
    ] {
        let rule = format!("allow|{{type: user, value: ann}}||||{rule}");
        let expected = if expected { is("r1", Redundant) } else { Vec::new() };
        assert_eq!(found(&[&with(other), &rule]), expected, "{other} / {rule}");
    }
}

#[test]
fn of_a_chain_the_rule_that_stays_is_named() {
    let report = look(&[], &["allow", "allow|{type: user, pattern: 'a*'}", "allow|{type: user, value: ann}"]);
    let named: Vec<(&str, &str)> =
        report.findings.iter().map(|finding| (&*finding.rule, &*finding.others[0].rule)).collect();
    assert_eq!(named, [("r1", "r0"), ("r2", "r0")]);
    assert!(report.findings.iter().all(|finding| finding.others[0].document.as_deref() == Some("p.yaml")));
}

#[test]
fn conditions_that_change_nothing() {
    for (effect, conditions, expected) in [
        ("allow", on("context.a", &["op: exists", "op: gt, value: 3"]), vec![NeedlessCondition]),
        // In a deny rule the guard makes the difference.
        ("deny", on("context.a", &["op: exists", "op: gt, value: 3"]), vec![]),
        ("allow", on("context.a", &["op: gt, value: 3", "op: gt, value: 5"]), vec![NeedlessCondition]),
        ("deny", on("context.a", &["op: gt, value: 3", "op: gt, value: 5"]), vec![NeedlessCondition]),
        ("allow", on("context.a", &["op: eq, value: 3", "op: eq, value: 3"]), vec![NeedlessCondition]),
        ("allow", on("resource.type", &["op: eq, value: gpu"]), vec![NeedlessCondition]),
        ("deny", on("action", &["op: in, value: [use, hold]"]), vec![NeedlessCondition]),
        ("allow", on("principal.id", &["op: exists"]), vec![NeedlessCondition]),
        (
            "allow",
            "{any: [{attribute: context.a, op: gt, value: 3}, {all: [{attribute: context.b, op: eq, value: x}, {attribute: context.b, op: eq, value: y}]}]}".to_owned(),
            vec![DeadAlternative],
        ),
        (
            "deny",
            "{any: [{attribute: context.a, op: gt, value: 3}, {attribute: resource.type, op: eq, value: job}]}".to_owned(),
            vec![DeadAlternative],
        ),
        (
            "allow",
            "{any: [{attribute: context.a, op: gt, value: 3}, {attribute: context.a, op: lte, value: 3}]}".to_owned(),
            vec![],
        ),
    ] {
        assert_eq!(alone(effect, &conditions), expected, "{effect} {conditions}");
    }
    let twice = on("context.a", &["op: exists", "op: gt, value: 3", "op: gt, value: 3"]);
    let report = look(&[], &[&format!("allow||||{twice}")]);
    let problems: Vec<&str> = report.findings.iter().map(|finding| finding.problem.as_str()).collect();
    assert_eq!(
        problems,
        [
            "`context.a > 3` (line 6) is true whenever the rest of the rule holds, so it changes nothing",
            "`context.a exists` (line 6) is true whenever the rest of the rule holds, so it changes nothing",
        ]
    );
}

const GROUPS: &str = "apiVersion: policy.horizon.dev/v1\nkind: PolicyGroups\nmetadata: {name: g}\nspec:\n  groups:\n    \
    - {name: inner, members: [{type: user, value: ann}]}\n    \
    - {name: outer, members: [{type: group, value: inner}, {type: team, pattern: 'ops-*'}]}\n  roles:\n    \
    - {name: admin, includes: [editor]}\n    - {name: editor, includes: [reader]}\n";

#[test]
fn groups_and_roles_that_include_roles_are_seen_through() {
    for (narrow, wide, within) in [
        ("{type: group, value: inner}", "{type: group, value: outer}", true),
        ("{type: user, value: ann}", "{type: group, value: outer}", true),
        ("{type: team, value: ops-eu}", "{type: group, value: outer}", true),
        ("{type: group, value: inner}", "{type: user, pattern: 'a*'}", true),
        ("{type: group, value: outer}", "{type: group, value: inner}", false),
        ("{type: any}", "{type: group, value: outer}", false),
        ("{type: role, value: admin}", "{type: role, value: reader}", true),
        ("{type: role, value: reader}", "{type: role, value: admin}", false),
        ("{type: role, value: editor}", "{type: role, pattern: 'read*'}", true),
    ] {
        let lines = [format!("allow|{wide}"), format!("allow|{narrow}")];
        let report = look(&[("g.yaml", GROUPS)], &[&lines[0], &lines[1]]);
        let rules: Vec<&str> = report.findings.iter().map(|finding| &*finding.rule).collect();
        // The other way round it is the first rule that says nothing new.
        assert_eq!(rules, [if within { "r1" } else { "r0" }], "{narrow} {wide}");
    }
}

#[test]
fn names_that_no_list_of_entities_holds() {
    let entities = "apiVersion: policy.horizon.dev/v1\nkind: PolicyEntities\nmetadata: {name: e}\nspec:\n  \
        subjects: [{user: ann, roles: [admin], teams: [ops-eu], spiffe_id: 'spiffe://a/b'}]\n  \
        resources: [{type: gpu, id: gpu/a}]\n  actions: [{name: use}]\n";
    for (line, problem) in [
        ("allow|||use, destroy", Some("the set lists actions, and none is `destroy`")),
        ("allow|||'u*'", None),
        (
            "allow||{type: gpu, id: gpu/b}",
            Some("the set lists resources of the type `gpu`, and none is `gpu/b`"),
        ),
        (
            "allow||{type: gpuu, pattern: '**'}",
            Some("the set lists resources, and none is of the type `gpuu`"),
        ),
        ("allow||{type: '*', pattern: 'x/**'}", None),
        (
            "allow|{type: user, value: anm}",
            Some("the set lists subjects of the type user, and none is user `anm`"),
        ),
        ("allow|{type: user, pattern: 'a*'}", None),
        ("allow|{type: agent, value: x}", None),
        (
            "allow|{type: role, value: adnim}",
            Some("the set lists subjects with roles, and none is role `adnim`"),
        ),
        ("allow|{type: role, value: reader}", None),
        (
            "allow|{type: team, value: ops-us}",
            Some("the set lists subjects with teams, and none is team `ops-us`"),
        ),
        (
            "allow|{type: spiffe, pattern: 'spiffe://b/**'}",
            Some("the set lists subjects with SPIFFE IDs, and none is SPIFFE ID `spiffe://b/**`"),
        ),
        ("allow|{type: group, value: inner}", None),
    ] {
        let report = look(&[("g.yaml", GROUPS), ("e.yaml", entities)], &[line]);
        let problems: Vec<&str> = report.findings.iter().map(|finding| finding.problem.as_str()).collect();
        assert_eq!(problems, problem.into_iter().collect::<Vec<_>>(), "{line}");
        assert!(
            report
                .findings
                .iter()
                .all(|finding| finding.kind == UnknownEntity && !finding.rule_is_removable())
        );
        assert_eq!(look(&[("g.yaml", GROUPS)], &[line]).findings, [], "without a list: {line}");
    }
}

#[test]
fn codes_and_severities_are_stable() {
    let all = [
        (Contradictory, "contradictory", "error"),
        (NeverApplies, "never-applies", "error"),
        (DeniesOnlyUnknown, "denies-only-unknown", "warning"),
        (Shadowed, "shadowed", "warning"),
        (Redundant, "redundant", "warning"),
        (DeadAlternative, "dead-alternative", "warning"),
        (NeedlessCondition, "needless-condition", "hint"),
        (UnknownEntity, "unknown-entity", "hint"),
    ];
    for (kind, code, severity) in all {
        assert_eq!((kind.code(), kind.severity().as_str()), (code, severity));
        assert_eq!(serde_json::to_value(kind).unwrap(), code);
        assert_eq!(serde_json::to_value(kind.severity()).unwrap(), severity);
    }
}

#[test]
fn the_example_policies_that_decide_are_clean() {
    let set = PolicySet::parse_documents([
        ("gpu-capacity.yaml", include_str!("../../examples/gpu-capacity.yaml")),
        ("gpu-operations.yaml", include_str!("../../examples/gpu-operations.yaml")),
    ])
    .unwrap();
    assert_eq!(lint(&set).findings, []);
}

#[test]
fn the_readme_shows_what_lint_says() {
    let set = PolicySet::parse_documents([
        ("capacity.yaml", include_str!("../../examples/lint/capacity.yaml")),
        ("limits.yaml", include_str!("../../examples/lint/limits.yaml")),
    ])
    .unwrap();
    let said: String = lint(&set).findings.iter().map(|finding| format!("{finding}\n")).collect();
    let readme = include_str!("../../README.md");
    assert!(readme.contains(&format!("```text\n{said}```\n")), "the README should show:\n{said}");
}

#[test]
fn a_schema_tells_more_and_only_of_requests_that_keep_to_it() {
    let schema = "apiVersion: policy.horizon.dev/v1\nkind: PolicySchema\nmetadata: {name: s}\nspec:\n  \
        attributes:\n    - {name: context.hours, type: integer, min: 1, max: 720}\n    \
        - {name: context.kind, type: string, values: [spot, owned]}\n    \
        - {name: context.tags, type: list, items: string}\n  \
        actions: [{name: use}, {name: hold}]\n";
    for (lines, expected) in [
        (
            &[
                "deny||||{attribute: context.hours, op: gte, value: 1}, {attribute: context.kind, op: eq, value: spot}",
            ][..],
            NeedlessCondition,
        ),
        (
            &[
                "allow||||{any: [{attribute: context.kind, op: in, value: [spot, owned]}, {attribute: context.kind, op: exists, value: false}]}",
            ],
            NeedlessCondition,
        ),
        (
            &[
                "allow||||{attribute: context.kind, op: ne, value: spot}, {attribute: context.kind, op: ne, value: owned}",
            ],
            Contradictory,
        ),
        (
            &[
                "deny||||{attribute: context.kind, op: ne, value: spot}, {attribute: context.kind, op: ne, value: owned}",
            ],
            DeniesOnlyUnknown,
        ),
        (&["deny|||use, hold", "allow|||'**'"], Shadowed),
        (&["allow|||use, hold||max: 4", "allow|||'**'||max: 8"], Redundant),
        // A value of another type, or without one, would make it unknown.
        (
            &[
                "deny||||{attribute: context.hours, op: exists}, {not: {attribute: context.hours, op: range, value: {min: 1, max: 720}}}",
            ],
            Contradictory,
        ),
    ] {
        let plain = look(&[], lines);
        let with = look(&[("s.yaml", schema)], lines);
        let (given, plainly): (Vec<&Finding>, Vec<&Finding>) =
            with.findings.iter().partition(|finding| finding.given_schema);
        assert_eq!(plainly, plain.findings.iter().collect::<Vec<_>>(), "{lines:?}");
        assert_eq!(given.iter().map(|finding| finding.kind).collect::<Vec<_>>(), [expected], "{lines:?}");
        assert!(
            given[0].problem.starts_with("in requests that keep to the schema, ")
                && !given[0].rule_is_removable()
        );
    }
}

/// Many rules: each alone with its type, one type told apart by role, by resource and by condition, and all the same.
#[test]
fn many_rules_are_looked_at() {
    for (shape, line) in [
        ("type", "allow|{type: any}|{type: t@, pattern: '**'}|use|{attribute: context.a, op: gt, value: 3}"),
        ("role", "allow|{type: role, value: role-@}|||{attribute: context.a, op: gt, value: 3}"),
        (
            "resource",
            "allow|{type: any}|{type: gpu, pattern: 'gpu/@/**'}||{attribute: context.a, op: gt, value: 3}",
        ),
        ("condition", "allow||||{attribute: context.a, op: eq, value: @}"),
        (
            "nested",
            "allow||||{any: [{all: [{attribute: context.a, op: eq, value: @}, {attribute: context.b, op: lt, value: 3}]}, {not: {any: [{attribute: context.c, op: exists}, {attribute: context.a, op: ne, value: @}]}}]}",
        ),
        ("nothing", "deny||||{attribute: context.a, op: gt, value: 3}"),
    ] {
        let count = many();
        let lines: Vec<String> = (0..count).map(|number| line.replace('@', &number.to_string())).collect();
        let lines: Vec<&str> = lines.iter().map(String::as_str).collect();
        let texts: Vec<(String, String)> = lines
            .chunks(1_000)
            .enumerate()
            .map(|(number, lines)| {
                (format!("{number}"), rules(lines).replace("{name: p}", &format!("{{name: p{number}}}")))
            })
            .collect();
        let set = PolicySet::parse_documents(texts).unwrap();
        let started = std::time::Instant::now();
        let report = lint(&set);
        println!(
            "{shape}: {count} rules, {} pairs, {} steps, {:?}, complete: {}",
            report.pairs,
            report.steps,
            started.elapsed(),
            report.complete
        );
        assert_eq!(report.findings.len(), if shape == "nothing" { count - 1 } else { 0 }, "{shape}");
        assert_eq!(report.complete, report.pairs < LINT_PAIRS_MAX, "{shape}");
        let expected = if ["condition", "nested"].contains(&shape) { count * (count - 1) } else { 0 };
        assert!(report.pairs <= (expected + count) as u64, "{shape}: {}", report.pairs);
    }
}

/// More where somebody waits for it.
fn many() -> usize {
    std::env::var("LINT_RULES").ok().and_then(|count| count.parse().ok()).unwrap_or(400)
}
