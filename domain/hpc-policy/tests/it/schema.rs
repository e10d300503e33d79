//! Declared attributes, actions and resource types, and what is refused for departing from them.

use hpc_policy::limits::{SCHEMA_ATTRIBUTES_MAX, SCHEMA_MISTAKES_MAX, SCHEMA_VALUES_MAX};
use hpc_policy::{EvaluationContext, PolicyError, PolicySet, Principal, Resource, ScalarType, Value};
use hpc_policy::{parse_cases, run_cases};
use proptest::prelude::*;

use super::{policy, policy_of, rule};

fn schema(spec: &str) -> String {
    format!("apiVersion: policy.horizon.dev/v1\nkind: PolicySchema\nmetadata: {{name: s}}\nspec:\n{spec}")
}

const ATTRIBUTES: &str = "  attributes:
    - {name: context.hours, type: integer, min: 1, max: 720, description: how long}
    - {name: context.price, type: integer, min: 0}
    - {name: context.market, type: string, values: [spot, on-demand]}
    - {name: context.image, type: string}
    - {name: context.mfa, type: boolean}
    - {name: context.ends, type: timestamp}
    - {name: context.from, type: ip}
    - {name: context.kinds, type: list, items: string, values: [h100, a100]}
    - {name: context.ports, type: list, items: integer}
    - {name: context.level, type: integer, values: [1, 2, 4]}
    - {name: context.reason, type: string, actions: [release]}
    - {name: resource.status, type: string, values: [active, archived]}
    - {name: principal.grade, type: integer}
  actions:
    - {name: use, resources: [thing]}
    - {name: release, resources: [thing, lease], description: gives it back}
";

fn load(spec: &str, policy: String) -> Result<PolicySet, Vec<String>> {
    PolicySet::parse_documents([("s.yaml", schema(spec)), ("p.yaml", policy)])
        .map_err(|errors| errors.iter().map(ToString::to_string).collect())
}

fn conditioned(condition: &str) -> Result<PolicySet, Vec<String>> {
    let text = policy("deny", &[condition]).replace("[\"**\"]", "[use]");
    load(ATTRIBUTES, text)
}

#[test]
fn comparisons_that_can_hold_are_loaded() {
    for condition in [
        "{attribute: context.hours, op: lte, value: 720}",
        "{attribute: context.hours, op: gte, value: 720}",
        "{attribute: context.hours, op: ne, value: 1}",
        "{attribute: context.hours, op: range, value: {min: 700, max: 9000}}",
        "{attribute: context.hours, op: lt, value_from: context.price}",
        "{attribute: context.price, op: gt, value: 1000000}",
        "{attribute: context.market, op: in, value: [spot]}",
        "{attribute: context.market, op: starts_with, value: on}",
        "{attribute: context.market, op: glob, value: \"s*t\"}",
        "{attribute: context.market, op: eq, value_from: context.image}",
        "{attribute: context.image, op: contains, value: pytorch}",
        "{attribute: context.image, op: semver, value: \">=1.2\"}",
        "{attribute: context.image, op: cidr, value: 10.0.0.0/8}",
        "{attribute: context.image, op: in, value_from: context.kinds}",
        "{attribute: context.mfa, op: eq, value: true}",
        "{attribute: context.ends, op: gt, value: {timestamp: 2026-01-01T00:00:00Z}}",
        "{attribute: context.ends, op: lte, value_from: context.now}",
        "{attribute: context.now, op: time_window, value: {from: \"09:00\", to: \"17:00\"}}",
        "{attribute: context.from, op: cidr, value: [10.0.0.0/8, \"fd00::/8\"]}",
        "{attribute: context.kinds, op: contains, value: h100}",
        "{attribute: context.kinds, op: contains, value_from: context.image}",
        "{attribute: context.ports, op: contains, value: 443}",
        "{attribute: context.level, op: gt, value: 2}",
        "{attribute: context.hours, op: exists, value: false}",
        "{attribute: principal.type, op: in, value: [agent, service]}",
        "{attribute: principal.roles, op: contains, value: admin}",
        "{attribute: principal.grade, op: gte, value: 3}",
        "{attribute: resource.status, op: not_in, value: [archived]}",
        "{attribute: resource.type, op: eq, value: lease}",
        "{attribute: action, op: ends_with, value: use}",
        "{any: [{attribute: context.hours, op: gt, value: 8}, {not: {attribute: context.mfa, op: eq, value: true}}]}",
    ] {
        assert!(conditioned(condition).is_ok(), "{condition}: {:?}", conditioned(condition).unwrap_err());
    }
}

#[test]
fn what_can_never_hold_is_refused_where_it_stands() {
    // Conditions begin in column 11 of line 12.
    for (condition, error) in [
        (
            "{attribute: context.huors, op: lte, value: 8}",
            "12:23: the attribute `context.huors` is not in the schema; did you mean `context.hours`?",
        ),
        (
            "{attribute: context.hours, op: lte, value_from: context.quota}",
            "12:59: the attribute `context.quota` is not in the schema; \
             declare it in a `kind: PolicySchema` document, or use one that is",
        ),
        (
            "{attribute: context.hours, op: eq, value: \"8\"}",
            "12:53: `context.hours == \"8\"` can never hold: `context.hours` is an integer from 1 to 720",
        ),
        (
            "{attribute: context.hours, op: eq, value: 721}",
            "12:53: `context.hours == 721` can never hold: `context.hours` is an integer from 1 to 720",
        ),
        (
            "{attribute: context.hours, op: gt, value: 720}",
            "12:53: `context.hours > 720` can never hold: `context.hours` is an integer from 1 to 720",
        ),
        (
            "{attribute: context.hours, op: lt, value: 1}",
            "12:53: `context.hours < 1` can never hold: `context.hours` is an integer from 1 to 720",
        ),
        (
            "{attribute: context.hours, op: gt, value: {timestamp: 2026-01-01T00:00:00Z}}",
            "12:53: `context.hours > 2026-01-01T00:00:00Z` can never hold: `context.hours` is an integer from 1 to 720",
        ),
        (
            "{attribute: context.hours, op: range, value: {min: 721, max: 900}}",
            "12:56: `context.hours in 721 to 900` can never hold: `context.hours` is an integer from 1 to 720",
        ),
        (
            "{attribute: context.level, op: gt, value: 4}",
            "12:53: `context.level > 4` can never hold: `context.level` is an integer out of 1, 2, 4",
        ),
        (
            "{attribute: context.price, op: lt, value: 0}",
            "12:53: `context.price < 0` can never hold: `context.price` is an integer of at least 0",
        ),
        (
            "{attribute: context.market, op: in, value: [spot, sopt]}",
            "12:54: `context.market == \"sopt\"`, part of `context.market in [\"spot\", \"sopt\"]`, can never hold: \
             `context.market` is a string out of \"spot\", \"on-demand\"",
        ),
        (
            "{attribute: context.market, op: ne, value: sopt}",
            "12:54: `context.market == \"sopt\"`, part of `context.market != \"sopt\"`, can never hold: \
             `context.market` is a string out of \"spot\", \"on-demand\"",
        ),
        (
            "{attribute: context.market, op: starts_with, value: of}",
            "12:63: `context.market starts with \"of\"` can never hold: \
             `context.market` is a string out of \"spot\", \"on-demand\"",
        ),
        (
            "{attribute: context.image, op: gt, value: 4}",
            "12:42: `context.image > 4` can never hold: \
             `gt` is for integers and timestamps, and `context.image` is a string",
        ),
        (
            "{attribute: context.kinds, op: eq, value: h100}",
            "12:42: `context.kinds == \"h100\"` can never hold: `eq` is for single values, \
             and `context.kinds` is a list of type `string` out of \"h100\", \"a100\"",
        ),
        (
            "{attribute: context.kinds, op: contains, value: h200}",
            "12:59: `context.kinds contains \"h200\"` can never hold: \
             `context.kinds` is a list of type `string` out of \"h100\", \"a100\"",
        ),
        (
            "{attribute: context.mfa, op: contains, value: x}",
            "12:40: `context.mfa contains \"x\"` can never hold: \
             `contains` is for lists and strings, and `context.mfa` is a boolean",
        ),
        (
            "{attribute: context.image, op: contains, value: 5}",
            "12:59: `context.image contains 5` can never hold: `context.image` is a string",
        ),
        (
            "{attribute: context.mfa, op: cidr, value: 10.0.0.0/8}",
            "12:40: `context.mfa in network 10.0.0.0/8` can never hold: \
             `cidr` is for addresses, and `context.mfa` is a boolean",
        ),
        (
            "{attribute: context.hours, op: eq, value_from: context.image}",
            "12:58: `context.hours == context.image` can never hold: \
             `context.hours` is an integer from 1 to 720, and `context.image` is a string",
        ),
        (
            "{attribute: context.hours, op: in, value_from: context.price}",
            "12:58: `context.hours in context.price` can never hold: \
             `context.hours` is an integer from 1 to 720, and `context.price` is an integer of at least 0",
        ),
        (
            "{attribute: principal.type, op: eq, value: robot}",
            "12:54: `principal.type == \"robot\"` can never hold: \
             `principal.type` is a string out of \"user\", \"service\", \"agent\"",
        ),
        (
            "{attribute: context.now, op: gt, value: 5}",
            "12:51: `context.now > 5` can never hold: `context.now` is a timestamp",
        ),
        (
            "{attribute: resource.type, op: eq, value: gpu}",
            "12:53: `resource.type == \"gpu\"` can never hold: \
             `resource.type` is a string out of \"lease\", \"thing\"",
        ),
        (
            "{attribute: context.reason, op: eq, value: idle}",
            "12:23: `context.reason == \"idle\"` can never hold: only requests for `release` hold `context.reason`",
        ),
        (
            "{not: {any: [{attribute: context.mfa, op: gt, value: 4}]}}",
            "12:53: `context.mfa > 4` can never hold: `gt` is for integers and timestamps, \
             and `context.mfa` is a boolean",
        ),
    ] {
        let errors = conditioned(condition).unwrap_err();
        let expected = match error.contains("can never hold") {
            true => format!("p.yaml:{error}; correct it, or the schema"),
            false => format!("p.yaml:{error}"),
        };
        assert_eq!(errors, [expected], "{condition}");
    }
}

#[test]
fn actions_and_types_are_those_that_are_declared() {
    let with = |actions: &str, resources: &str| {
        let text = rule("r", "allow", &[])
            .replace("[\"**\"]", actions)
            .replace("[{type: thing, pattern: \"**\"}]", resources);
        load(ATTRIBUTES, policy_of(&[text]))
    };
    let things = "[{type: thing, pattern: \"**\"}]";
    assert!(with("[use, release]", things).is_ok());
    assert!(with("[\"**\"]", "[{type: \"*\", pattern: \"**\"}]").is_ok());
    assert!(with("[use, release]", "[{type: thing, id: a}, {type: lease, id: b}]").is_ok());
    for (actions, resources, error) in [
        (
            "[use, relaese]",
            things,
            "p.yaml:10:22: the action `relaese` is not in the schema; did you mean `release`?",
        ),
        (
            "[\"lease.*\"]",
            things,
            "p.yaml:10:17: the action `lease.*` is not in the schema; no declared action matches it",
        ),
        (
            "[use]",
            "[{type: thign, id: a}]",
            "p.yaml:9:26: the resource type `thign` is not in the schema; did you mean `thing`?",
        ),
        (
            "[use]",
            "[{type: planet, id: a}]",
            "p.yaml:9:26: the resource type `planet` is not in the schema; no declared action is about it",
        ),
        (
            "[use]",
            "[{type: thing, id: a}, {type: lease, id: a}]",
            "p.yaml:9:48: `use` on type `lease` can never hold: \
             the schema has it for other types of resources; correct it, or the schema",
        ),
        (
            "[release, use]",
            "[{type: lease, id: a}]",
            "p.yaml:10:26: `use` on lease `a` can never hold: \
             the schema has this action for other types of resources; correct it, or the schema",
        ),
    ] {
        assert_eq!(with(actions, resources).unwrap_err(), [error], "{actions} {resources}");
    }
}

#[test]
fn obligations_are_those_that_are_honoured() {
    let spec = "  obligations: [{name: idle_minutes, type: integer, min: 1, max: 60}, {name: approval, type: string}, \
                {name: tell, type: list, items: string}]\n";
    let with = |obligations: &str| {
        let text = rule("r", "allow", &[]) + &format!("      obligations: {{{obligations}}}\n");
        load(spec, policy_of(&[text]))
    };
    assert!(with("idle_minutes: 15, approval: \"role:lead\", tell: [a, b]").is_ok());
    for (obligations, error) in [
        (
            "idel_minutes: 15",
            "p.yaml:6:1: the obligation `idel_minutes` is not in the schema; did you mean `idle_minutes`?",
        ),
        (
            "log_level: 3",
            "p.yaml:6:1: the obligation `log_level` is not in the schema; \
             whoever enforces decisions must refuse what it does not understand",
        ),
        ("idle_minutes: 0", "p.yaml:6:1: `obligations.idle_minutes` is 0; expected an integer from 1 to 60"),
        ("approval: 3", "p.yaml:6:1: `obligations.approval` is 3; expected a string"),
    ] {
        assert_eq!(with(obligations).unwrap_err(), [error], "{obligations}");
    }
    for (spec, error) in [
        (
            "  obligations: [{name: a, type: timestamp}]\n",
            "s.yaml:5:27: `type` is a timestamp; expected `string`, `integer`, `boolean`, or a list of strings",
        ),
        (
            "  obligations: [{name: a, type: integer, actions: [use]}]\n",
            "s.yaml:5:42: unknown field `actions`; \
             expected `name`, `type`, `items`, `values`, `min`, `max`, `description`",
        ),
    ] {
        assert_eq!(load(spec, policy("allow", &[])).unwrap_err(), [error]);
    }
    assert_eq!(with("approval: x").unwrap().schema().obligations().count(), 3);
}

#[test]
fn what_no_document_declares_is_free() {
    let open = policy("allow", &["{attribute: context.anything, op: gt, value: 1}"]);
    let actions = "  actions: [{name: use}]\n";
    assert!(
        load(actions, open.replace("[\"**\"]", "[use]").replace("type: thing", "type: whatever")).is_ok()
    );
    assert_eq!(load(actions, open.replace("[\"**\"]", "[paint]")).unwrap_err().len(), 1);
    let attributes = "  attributes: [{name: context.anything, type: integer}]\n";
    assert!(load(attributes, open.replace("[\"**\"]", "[paint]")).is_ok());
    let set = PolicySet::parse_documents([("p.yaml", open)]).unwrap();
    assert_eq!((set.schema().attributes().count(), set.schema().actions().count()), (0, 0));
}

#[test]
fn a_schema_says_what_it_knows() {
    let set = conditioned("{attribute: context.mfa, op: exists}").unwrap();
    let hours = set.schema().attribute("context.hours").unwrap();
    assert_eq!((hours.scalar, hours.list, hours.min, hours.max), (ScalarType::Integer, false, 1, 720));
    let kinds = set.schema().attribute("context.kinds").unwrap();
    assert_eq!((kinds.list, kinds.values.as_slice()), (true, &["h100".into(), "a100".into()][..]));
    assert_eq!(set.schema().attributes().count(), 13 + 9);
    let actions: Vec<_> = set.schema().actions().collect();
    assert_eq!(actions[0], ("release", &["thing".to_owned(), "lease".to_owned()][..]));
}

#[test]
fn requests_are_not_checked_against_it_and_still_fail_closed() {
    let set = conditioned("{attribute: context.hours, op: gt, value: 8}").unwrap();
    let asked = |value: Value| {
        EvaluationContext::new(Principal::user("a"), Resource::new("thing", "t"), "use")
            .with_attribute("context.hours", value)
    };
    assert!(!set.evaluate(&asked("many".into())).errors.is_empty());
    assert!(set.evaluate(&asked(9000.into())).errors.is_empty());
    // Whoever wants to know asks the schema.
    let problem =
        |context: &EvaluationContext| set.schema().check(context).map_err(|error| error.to_string());
    assert_eq!(problem(&asked(9.into())), Ok(()));
    let of = |kind: &str, action: &str| {
        EvaluationContext::new(Principal::user("a"), Resource::new(kind, "t"), action)
    };
    for (context, expected) in [
        (asked(9000.into()), "context.hours is something else than an integer from 1 to 720"),
        (
            asked(9.into()).with_attribute("context.reason", "x"),
            "context.reason is not for requests for `use`",
        ),
        (
            asked(9.into()).with_attribute("context.huors", 1),
            "context.huors is not in the schema; did you mean `context.hours`?",
        ),
        (of("thing", "sue"), "action `sue` is not in the schema"),
        (of("lease", "use"), "resource.type `lease` is none that `use` is for"),
    ] {
        assert_eq!(problem(&context), Err(format!("the request cannot be judged: {expected}")));
    }
}

#[test]
fn schemas_that_say_nothing_or_two_things_are_refused() {
    for (spec, error) in [
        (
            "  {}\n",
            "s.yaml:5:3: missing field `attributes`; declare at least one of `attributes`, `actions` and `obligations`",
        ),
        (
            "  attributes: [{name: context.now, type: timestamp}]\n",
            "s.yaml:5:23: `name` is `context.now`, which is built in; \
             expected an attribute of your own; the built-in ones are known",
        ),
        (
            "  attributes: [{name: hours, type: integer}]\n",
            "s.yaml:5:23: `name` is `hours`; \
             expected `action` or a path below `principal.`, `resource.`, `action.` or `context.`",
        ),
        (
            "  attributes: [{name: context.a, type: float}]\n",
            "s.yaml:5:40: `type` is `float`; \
             expected one of `string`, `integer`, `boolean`, `timestamp`, `ip`, `list`",
        ),
        (
            "  attributes: [{name: context.a, type: list}]\n",
            "s.yaml:5:16: missing field `items`; say of what it is a list",
        ),
        (
            "  attributes: [{name: context.a, type: list, items: list}]\n",
            "s.yaml:5:53: `items` is `list`; expected one of `string`, `integer`, `boolean`, `timestamp`, `ip`",
        ),
        (
            "  attributes: [{name: context.a, type: string, items: string}]\n",
            "s.yaml:5:55: `items` is given for a single value; expected no `items`, or `type: list`",
        ),
        (
            "  attributes: [{name: context.a, type: string, max: 3}]\n",
            "s.yaml:5:53: `max` is given for another type than `integer`; expected no bounds",
        ),
        (
            "  attributes: [{name: context.a, type: integer, min: 3, max: 2}]\n",
            "s.yaml:5:62: `max` is below `min`; expected a maximum of at least the minimum",
        ),
        (
            "  attributes: [{name: context.a, type: integer, max: 3, values: [1, 4]}]\n",
            "s.yaml:5:69: `values` is 4; expected a value for an integer of at most 3",
        ),
        (
            "  attributes: [{name: context.a, type: integer}, {name: context.a, type: string}]\n",
            "s.yaml:5:57: attribute `context.a` is already used; give each its own name",
        ),
        (
            "  attributes: [{name: context.a, type: integer, actions: [fly]}]\n  actions: [{name: use}]\n",
            "s.yaml:5:23: `actions` is the action `fly`, which the schema does not declare; \
             expected an action below `spec.actions` of a schema of the set",
        ),
        ("  actions: [{name: \"use.*\"}]\n", "s.yaml:5:20: `name` is `use.*`; expected a name without `*`"),
    ] {
        let errors = load(spec, policy("allow", &[])).unwrap_err();
        assert_eq!(errors.first().map(String::as_str), Some(error), "{spec}");
    }
}

#[test]
fn entities_keep_to_the_schema_too() {
    let entities = |spec: &str| {
        let text = format!(
            "apiVersion: policy.horizon.dev/v1\nkind: PolicyEntities\nmetadata: {{name: e}}\nspec:\n{spec}"
        );
        let documents = [("s.yaml", schema(ATTRIBUTES)), ("p.yaml", policy("allow", &[])), ("e.yaml", text)];
        PolicySet::parse_documents(documents).map_err(|errors| errors[0].to_string())
    };
    assert!(
        entities(
            "  resources: [{type: thing, id: a, attributes: {status: active}}]\n  actions: [{name: use}]\n"
        )
        .is_ok()
    );
    for (spec, error) in [
        (
            "  resources: [{type: thing, id: a, attributes: {status: gone}}]\n",
            "e.yaml:5:15: `resource.status` is something else than a string out of \"active\", \"archived\"; \
             expected what the schema of the set declares",
        ),
        (
            "  subjects: [{user: a, attributes: {garde: 3}}]\n",
            "e.yaml:5:14: `principal.garde` is not in the schema; did you mean `principal.grade`?; \
             expected what the schema of the set declares",
        ),
        (
            "  actions: [{name: sue}]\n",
            "e.yaml:5:13: the action `sue` is not in the schema; did you mean `use`?",
        ),
    ] {
        assert_eq!(entities(spec).unwrap_err(), error);
    }
}

#[test]
fn a_case_with_a_misspelt_attribute_fails() {
    let set = conditioned("{attribute: context.hours, op: gt, value: 8}").unwrap();
    let table = "apiVersion: policy.horizon.dev/v1\nkind: PolicyTest\ncases:\n  - name: c\n    principal: {user: a}\n    \
                 action: use\n    resource: {type: thing, id: t}\n    context: {huors: 9}\n    expect: deny\n";
    let failed = run_cases(&set, &parse_cases(table).unwrap()).remove(0).failure.unwrap();
    assert_eq!(
        failed,
        "the request holds `context.huors`, which the schema does not declare; correct the name"
    );
    let right = table.replace("huors", "hours");
    assert!(run_cases(&set, &parse_cases(&right).unwrap())[0].passed());
}

#[test]
fn as_many_names_as_the_limits_say() {
    let attributes = |count: usize| {
        let items: Vec<String> =
            (0..count).map(|n| format!("{{name: context.a{n}, type: integer}}")).collect();
        load(&format!("  attributes: [{}]\n", items.join(", ")), policy("allow", &[]))
    };
    assert!(attributes(SCHEMA_ATTRIBUTES_MAX).is_ok());
    assert!(
        attributes(SCHEMA_ATTRIBUTES_MAX + 1).unwrap_err()[0].contains("the number of attributes exceeds")
    );
    let values = |count: usize| {
        let items: Vec<String> = (0..count).map(|n| n.to_string()).collect();
        let spec =
            format!("  attributes: [{{name: context.a, type: integer, values: [{}]}}]\n", items.join(", "));
        load(&spec, policy("allow", &[]))
    };
    assert!(values(SCHEMA_VALUES_MAX).is_ok());
    assert!(values(SCHEMA_VALUES_MAX + 1).unwrap_err()[0].contains("the number of values exceeds"));
    let rules: Vec<String> = (0..=SCHEMA_MISTAKES_MAX)
        .map(|n| rule(&format!("r{n}"), "allow", &["{attribute: context.nope, op: exists}"]))
        .collect();
    assert_eq!(load(ATTRIBUTES, policy_of(&rules)).unwrap_err().len(), SCHEMA_MISTAKES_MAX);
}

type Holds = fn(i64, i64) -> bool;

/// A condition on one integer, and the numbers for which it holds.
fn on_a_number() -> impl Strategy<Value = (String, Holds, i64)> {
    let test: Vec<(&str, Holds)> = vec![
        ("eq", |have, limit| have == limit),
        ("gt", |have, limit| have > limit),
        ("gte", |have, limit| have >= limit),
        ("lt", |have, limit| have < limit),
        ("lte", |have, limit| have <= limit),
    ];
    (proptest::sample::select(test), -12_i64..12).prop_map(|((op, holds), limit)| {
        (format!("{{attribute: context.n, op: {op}, value: {limit}}}"), holds, limit)
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn exactly_the_comparisons_that_hold_for_no_number_are_refused(
        (condition, holds, limit) in on_a_number(),
        min in -10_i64..10,
        width in 0_i64..10,
        listed in proptest::option::of(proptest::collection::btree_set(-10_i64..10, 1..4)),
    ) {
        let (bounds, possible): (String, Vec<i64>) = match listed {
            Some(values) => {
                let names: Vec<String> = values.iter().map(ToString::to_string).collect();
                (format!("values: [{}]", names.join(", ")), values.into_iter().collect())
            }
            None => (format!("min: {min}, max: {}", min + width), (min..=min + width).collect()),
        };
        let spec = format!("  attributes: [{{name: context.n, type: integer, {bounds}}}]\n");
        let loaded = load(&spec, policy("allow", &[&condition]));
        prop_assert_eq!(loaded.is_ok(), possible.into_iter().any(|have| holds(have, limit)), "{} {}", spec, condition);
    }
}

#[test]
fn the_errors_say_what_they_are() {
    let text =
        policy("deny", &["{attribute: context.huors, op: lte, value: 8}"]).replace("[\"**\"]", "[use]");
    let errors = PolicySet::parse_documents([("s.yaml", schema(ATTRIBUTES)), ("p.yaml", text)]).unwrap_err();
    assert!(
        matches!(&errors[0], PolicyError::Undeclared { what: "attribute", name, .. } if name == "context.huors")
    );
    let text =
        policy("deny", &["{attribute: context.hours, op: gt, value: 720}"]).replace("[\"**\"]", "[use]");
    let errors = PolicySet::parse_documents([("s.yaml", schema(ATTRIBUTES)), ("p.yaml", text)]).unwrap_err();
    assert!(matches!(&errors[0], PolicyError::Impossible { .. }));
    assert_eq!(errors[0].location().unwrap().document.as_deref(), Some("p.yaml"));
}

#[test]
fn the_readme_shows_what_a_schema_refuses() {
    let readme = include_str!("../../README.md");
    let after = |start: &str| readme.split_once(start).unwrap().1.split_once("\n```").unwrap().0;
    let schema = after("refused when the set is loaded:\n\n```yaml\n");
    let policy = "apiVersion: policy.horizon.dev/v1\nkind: Policy\nmetadata: {name: short}\nspec:\n  \
                  principals: [{type: any}]\n  resources: [{type: gpu, pattern: '**'}]\n  \
                  actions: [capacity.request]\n  effect: allow\n  conditions:\n    \
                  - {attribute: context.huors, op: lte, value: 8}\n    - {attribute: context.hours, op: gt, value: 720}\n";
    let errors = PolicySet::parse_documents([("schema.yaml", schema), ("short.yaml", policy)]).unwrap_err();
    let errors: Vec<String> = errors.iter().map(ToString::to_string).collect();
    let shown = readme.split_once("```text\nshort.yaml").unwrap().1.split_once("\n```").unwrap().0;
    assert_eq!(format!("short.yaml{shown}"), errors.join("\n"));
}
