//! `decide` against `evaluate` where lists of rules are long enough to be narrowed and prefiltered.
//!
//! `evaluate` reads every rule of a type and an action; `decide` leaves rules out by who asks, by what about and by the
//! plain comparisons. Both must say the same.

use hpc_policy::{EvaluationContext, PolicySet, Principal, Resource, Value};
use proptest::prelude::*;

const GROUPS: &str = "
apiVersion: policy.horizon.dev/v1
kind: PolicyGroups
metadata: {name: g}
spec:
  groups:
    - {name: crew, members: [{type: user, value: alice}, {type: role, value: r1}, {type: group, value: crowd}]}
    - {name: crowd, members: [MANY]}
  roles:
    - {name: r2, includes: [r1]}
";

/// More attributes than the prefilter looks at.
const PATHS: usize = 80;

fn attribute() -> impl Strategy<Value = String> {
    prop_oneof![
        4 => (0..PATHS).prop_map(|n| format!("context.a{n}")),
        4 => (0_usize..3).prop_map(|n| format!("context.a{n}")),
        1 => prop::sample::select(vec![
            "principal.id", "principal.type", "principal.teams", "principal.spiffe_id", "resource.id", "resource.type",
            "resource.x", "principal.x", "action", "action.x", "context.now",
        ]).prop_map(str::to_owned),
    ]
}

fn literal() -> impl Strategy<Value = &'static str> {
    prop::sample::select(vec![
        "-1",
        "0",
        "1",
        "9223372036854775807",
        "-9223372036854775808",
        "true",
        "false",
        "x",
        "\"1.2.0\"",
        "alice",
        "\"10.0.0.1\"",
        "{ip: 10.0.0.1}",
        "{timestamp: 2026-11-02T10:00:00Z}",
    ])
}

fn test() -> impl Strategy<Value = String> {
    let ordered = prop::sample::select(vec![
        "-1",
        "0",
        "1",
        "9223372036854775807",
        "-9223372036854775808",
        "{timestamp: 2026-11-02T10:00:00Z}",
    ]);
    prop_oneof![
        3 => (prop::sample::select(vec!["eq", "ne"]), literal()).prop_map(|(op, value)| format!("op: {op}, value: {value}")),
        3 => (prop::sample::select(vec!["gt", "gte", "lt", "lte"]), ordered)
            .prop_map(|(op, value)| format!("op: {op}, value: {value}")),
        1 => (prop::sample::select(vec!["in", "not_in"]), literal()).prop_map(|(op, value)| format!("op: {op}, value: [{value}]")),
        1 => literal().prop_map(|value| format!("op: contains, value: {value}")),
        2 => prop::sample::select(vec![
            "op: exists", "op: exists, value: false", "op: starts_with, value: a", "op: ends_with, value: e", "op: glob, value: \"a*\"",
            "op: cidr, value: 10.0.0.0/8", "op: semver, value: \">=1\"", "op: range, value: {min: 0, max: 1}",
            "op: range, value: {min: -9223372036854775808, max: 9223372036854775807}",
            "op: time_window, value: {from: \"09:00\", to: \"17:00\"}",
        ]).prop_map(str::to_owned),
        2 => (prop::sample::select(vec!["eq", "ne", "gt", "lte", "in", "not_in", "contains", "starts_with", "ends_with"]), attribute())
            .prop_map(|(op, path)| format!("op: {op}, value_from: {path}")),
    ]
}

fn condition() -> impl Strategy<Value = String> {
    let leaf = (attribute(), test()).prop_map(|(path, test)| format!("{{attribute: {path}, {test}}}"));
    leaf.prop_recursive(2, 6, 3, |inner| {
        let several = prop::collection::vec(inner.clone(), 1..4).prop_map(|all| all.join(", "));
        prop_oneof![
            2 => several.clone().prop_map(|all| format!("{{all: [{all}]}}")),
            1 => several.prop_map(|all| format!("{{any: [{all}]}}")),
            1 => inner.prop_map(|one| format!("{{not: {one}}}")),
        ]
    })
}

/// Who, about what and which actions: mostly everything, so that conditions decide.
fn scope() -> impl Strategy<Value = String> {
    let who = prop::sample::select(vec![
        "{type: any}",
        "{type: any}",
        "{type: any}",
        "{type: user, value: alice}",
        "{type: user, value: bob}",
        "{type: group, value: crew}",
        "{type: group, value: crowd}",
        "{type: role, value: r1}",
        "{type: team, pattern: \"t*\"}",
        "{type: spiffe, pattern: \"spiffe://d/**\"}",
    ]);
    let wide: Vec<String> = (0..40).map(|n| format!("{{type: thing, pattern: \"w{n}/**\"}}")).collect();
    let wide = wide.join(", ") + ", {type: thing, pattern: \"**\"}";
    let what = prop_oneof![
        4 => Just("{type: thing, pattern: \"**\"}".to_owned()),
        1 => Just("{type: \"*\", pattern: \"**\"}".to_owned()),
        1 => Just("{type: thing, pattern: \"things/*\"}".to_owned()),
        1 => Just("{type: thing, id: things/b}".to_owned()),
        1 => Just(wide),
    ];
    let actions = prop::sample::select(vec!["use", "use", "use", "\"**\"", "\"u*\", use, stop"]);
    (who, what, actions).prop_map(|(who, what, actions)| {
        format!("principals: [{who}], resources: [{what}], actions: [{actions}]")
    })
}

fn value() -> impl Strategy<Value = Value> {
    let time = "2026-11-02T10:00:00Z".parse::<jiff::Timestamp>().unwrap();
    let ip = "::ffff:10.0.0.1".parse::<std::net::IpAddr>().unwrap();
    prop_oneof![
        4 => prop::sample::select(vec![-1_i64, 0, 1, 2, i64::MAX, i64::MIN]).prop_map(Value::from),
        2 => prop::sample::select(vec!["x", "", "1.2.0", "alice", "10.0.0.1"]).prop_map(Value::from),
        1 => any::<bool>().prop_map(Value::from),
        1 => prop::sample::select(vec![
            Value::from(vec!["x"]), Value::from(vec![1, 2]), Value::List(Vec::new()), Value::Opaque, time.into(), ip.into(),
        ]),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_short_way_is_the_long_way(
        rules in prop::collection::vec(
            ((prop::bool::weighted(0.5), prop::bool::weighted(0.1)), scope(), prop::collection::vec(condition(), 1..4)),
            40..80,
        ),
        base in prop::bool::weighted(0.7),
        first in prop::collection::vec(prop::option::weighted(0.8, (value(), any::<bool>())), 3),
        others in prop::collection::vec((3..PATHS, value(), any::<bool>()), 0..8),
        (x, with_now) in (prop::option::of(value()), any::<bool>()),
        (bob, role, spiffe, other_id) in any::<(bool, bool, bool, bool)>(),
    ) {
        let mut text = "apiVersion: policy.horizon.dev/v1\nkind: Policy\nmetadata: {name: p}\nspec:\n  rules:\n".to_owned();
        if base {
            let all = "principals: [{type: any}], resources: [{type: \"*\", pattern: \"**\"}], actions: [\"**\"]";
            text.push_str(&format!("    - {{name: base, effect: allow, {all}}}\n"));
        }
        for (number, ((deny, alive), scope, conditions)) in rules.iter().enumerate() {
            let effect = if *deny { "deny" } else { "allow" };
            let mut conditions = conditions.clone();
            if !alive {
                // Most rules never hold, so that each of the others can change the verdict by itself.
                conditions.push("{attribute: principal.type, op: eq, value: agent}".to_owned());
            }
            let conditions = conditions.join(", ");
            text.push_str(&format!("    - {{name: r{number}, effect: {effect}, {scope}, conditions: [{conditions}]}}\n"));
        }
        let many: Vec<String> = (0..70).map(|n| format!("{{type: user, value: u{n}}}")).chain(["{type: role, value: r9}".to_owned()]).collect();
        let groups = GROUPS.replace("MANY", &many.join(", "));
        let set = PolicySet::parse_documents([("p.yaml", &*text), ("g.yaml", &*groups)]).unwrap();
        let mut principal = Principal::user(if bob { "bob" } else { "alice" }).with_team("t1");
        if role {
            principal = principal.with_role("r2").with_role("r9");
        }
        if spiffe {
            principal = principal.with_spiffe_id("spiffe://d/a");
        }
        let mut resource = Resource::new("thing", if other_id { "things/b" } else { "elsewhere/a/b" });
        if let Some(x) = x {
            principal = principal.with_attribute("x", x.clone());
            resource = resource.with_secret_attribute("x", x.clone());
        }
        let mut context = EvaluationContext::new(principal, resource, "use");
        if with_now {
            context = context.with_now("2026-11-02T10:00:00Z".parse().unwrap());
        }
        let first = first.into_iter().enumerate().filter_map(|(n, held)| held.map(|(value, secret)| (n, value, secret)));
        for (n, value, secret) in first.chain(others) {
            let name = format!("a{n}");
            context = if secret { context.with_secret_attribute(name, value) } else { context.with_attribute(name, value) };
        }
        prop_assert_eq!(set.decide(&context), set.evaluate(&context).verdict, "{}\n{:?}", text, context);
    }
}
