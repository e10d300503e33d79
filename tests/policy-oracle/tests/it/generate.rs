//! Worlds and requests of the language that both have.

use std::collections::BTreeMap;

use proptest::collection::vec;
use proptest::option::weighted;
use proptest::prelude::*;
use proptest::sample::{select, subsequence};

use crate::model::{Condition, Datum, Name, Request, Right, Rule, Test, Who, World};

const USERS: [&str; 3] = ["ann", "bob", "eve"];
const ROLES: [&str; 3] = ["r1", "r2", "r3"];
const TEAMS: [&str; 2] = ["t1", "t2"];
const ACTIONS: [&str; 3] = ["get", "put", "del"];
const IDS: [&str; 4] = ["x/y", "x/z", "q/y", "x/w/z"];
const NUMBERS: [&str; 3] = ["context.n", "principal.level", "resource.size"];
const TEXTS: [&str; 2] = ["context.text", "resource.owner"];
const WORDS: [&str; 5] = ["ann", "x/y", "a*", "é", "yx"];
const ADDRESSES: [&str; 5] = ["10.1.2.3", "11.0.0.1", "2001:db8::1", "::1", "0.0.0.0"];

/// Conditions nested in each other; attributes may be missing and otherwise have their usual type.
pub(crate) fn nested(requests: usize) -> impl Strategy<Value = (World, Vec<Request>)> {
    let tree = leaf().prop_recursive(3, 10, 3, |inner| {
        prop_oneof![
            vec(inner.clone(), 1..4).prop_map(Condition::All),
            vec(inner.clone(), 1..4).prop_map(Condition::Any),
            inner.prop_map(|one| Condition::Not(Box::new(one))),
        ]
    });
    (world(vec(tree, 0..3).boxed()), vec(request(false), requests))
}

/// At most one comparison in a rule, perhaps negated; numbers and addresses may also be texts, which is an error in both.
pub(crate) fn flat(requests: usize) -> impl Strategy<Value = (World, Vec<Request>)> {
    let one = (leaf(), any::<bool>()).prop_map(|(leaf, negated)| match negated {
        true => Condition::Not(Box::new(leaf)),
        false => leaf,
    });
    (world(vec(one, 0..2).boxed()), vec(request(true), requests))
}

fn word(words: &'static [&'static str]) -> impl Strategy<Value = String> {
    select(words).prop_map(str::to_owned)
}

fn exact(words: &'static [&'static str]) -> impl Strategy<Value = Name> {
    word(words).prop_map(Name::Exact)
}

fn world(conditions: BoxedStrategy<Vec<Condition>>) -> impl Strategy<Value = World> {
    // A role includes later ones, a group holds later ones.
    let roles = (subsequence(vec!["r2", "r3"], 0..=2), any::<bool>()).prop_map(|(first, second)| {
        let mut roles: Vec<(String, Vec<String>)> = Vec::new();
        if !first.is_empty() {
            roles.push(("r1".to_owned(), first.into_iter().map(str::to_owned).collect()));
        }
        if second {
            roles.push(("r2".to_owned(), vec!["r3".to_owned()]));
        }
        roles
    });
    let member = || {
        prop_oneof![
            exact(&USERS).prop_map(|name| Who::Id("user", name)),
            exact(&ROLES).prop_map(Who::Role),
            exact(&TEAMS).prop_map(Who::Team),
        ]
    };
    let groups = (vec(member(), 0..2), vec(member(), 1..3)).prop_map(|(mut outer, inner)| {
        outer.push(Who::Group("g1".to_owned()));
        vec![("g0".to_owned(), outer), ("g1".to_owned(), inner)]
    });
    let rules = vec(rule(conditions), 1..7);
    (roles, groups, rules).prop_map(|(roles, groups, mut rules)| {
        for (number, rule) in rules.iter_mut().enumerate() {
            rule.name = format!("r{number}");
        }
        World { rules, groups, roles }
    })
}

fn rule(conditions: BoxedStrategy<Vec<Condition>>) -> impl Strategy<Value = Rule> {
    let who = prop_oneof![
        3 => Just(Who::Any),
        1 => exact(&USERS).prop_map(|name| Who::Id("user", name)),
        2 => exact(&ROLES).prop_map(Who::Role),
        1 => exact(&TEAMS).prop_map(Who::Team),
        1 => word(&["g0", "g1"]).prop_map(Who::Group),
    ];
    let id = prop_oneof![
        1 => exact(&IDS),
        2 => word(&["**", "**", "x/**", "**/y", "x/**/z"]).prop_map(Name::Pattern),
    ];
    let resource = (word(&["*", "gpu", "job"]), id);
    (prop::bool::weighted(0.6), vec(who, 1..3), vec(resource, 1..3), vec(exact(&ACTIONS), 1..4), conditions)
        .prop_map(|(allow, principals, resources, actions, conditions)| Rule {
            name: String::new(),
            allow,
            principals,
            resources,
            actions,
            conditions,
            // Shows which side won.
            obligations: BTreeMap::from([("won".to_owned(), Datum::Flag(true))]),
        })
}

fn leaf() -> impl Strategy<Value = Condition> {
    let text = || word(&WORDS).prop_map(Datum::Text);
    let number = || (-1..4_i64).prop_map(Datum::Number);
    let with =
        |paths: BoxedStrategy<String>, operators: &'static [&'static str], right: BoxedStrategy<Right>| {
            (paths, select(operators), right)
                .prop_map(|(path, operator, right)| Condition::Leaf(path, Test::With(operator, right)))
        };
    let numbers = || word(&NUMBERS).boxed();
    let texts = || word(&TEXTS).boxed();
    let same = &["eq", "ne"];
    let number_right =
        prop_oneof![3 => number().prop_map(Right::Value), 1 => numbers().prop_map(Right::Attribute)];
    let text_right = prop_oneof![3 => text().prop_map(Right::Value), 1 => texts().prop_map(Right::Attribute)];
    let list = vec(text(), 1..4).prop_map(|items| Right::Value(Datum::List(items)));
    prop_oneof![
        3 => with(numbers(), &["gt", "gte", "lt", "lte"], number_right.boxed()),
        1 => with(word(&["context.count"]).boxed(), same, number().prop_map(Right::Value).boxed()),
        1 => with(word(&["context.flag"]).boxed(), same, any::<bool>().prop_map(|flag| Right::Value(Datum::Flag(flag))).boxed()),
        2 => with(texts(), same, text_right.boxed()),
        2 => with(texts(), &["in", "not_in"], list.boxed()),
        2 => with(texts(), &["contains", "starts_with", "ends_with"], text().prop_map(Right::Value).boxed()),
        1 => with(word(&["context.list"]).boxed(), &["contains"], text().prop_map(Right::Value).boxed()),
        1 => (texts(), word(&["**", "x/**", "**y", "a**", "**x**"])).prop_map(|(path, glob)| Condition::Leaf(path, Test::Glob(glob))),
        1 => (prop_oneof![numbers(), texts()], any::<bool>()).prop_map(|(path, there)| Condition::Leaf(path, Test::Exists(there))),
        2 => vec(word(&["10.0.0.0/8", "10.1.2.2/31", "0.0.0.0/0", "::/0", "2001:db8::/32"]), 1..3)
            .prop_map(|networks| Condition::Leaf("context.ip".to_owned(), Test::Cidr(networks))),
        1 => (numbers(), -1..2_i64, 0..3_i64).prop_map(|(path, min, more)| Condition::Leaf(path, Test::Range(min, min + more))),
    ]
}

fn request(mistyped: bool) -> impl Strategy<Value = Request> {
    let odd = if mistyped { 1 } else { 0 };
    let number = move || prop_oneof![8 => (-1..4_i64).prop_map(Datum::Number), odd => Just(Datum::Text("8".to_owned()))];
    let text = || word(&WORDS).prop_map(Datum::Text);
    let address = prop_oneof![8 => word(&ADDRESSES).prop_map(Datum::Address), odd => Just(Datum::Flag(true))];
    let there = move |datum: BoxedStrategy<Datum>| weighted(if mistyped { 0.7 } else { 0.85 }, datum);
    let attributes = (
        (there(number().boxed()), there(number().boxed()), there(number().boxed())),
        (there(text().boxed()), there(text().boxed())),
        there((-1..4_i64).prop_map(Datum::Number).boxed()),
        there(any::<bool>().prop_map(Datum::Flag).boxed()),
        there(vec(text(), 0..3).prop_map(Datum::List).boxed()),
        there(address.boxed()),
    )
        .prop_map(|((n, level, size), (text, owner), count, flag, list, ip)| {
            [
                ("context.n", n),
                ("principal.level", level),
                ("resource.size", size),
                ("context.text", text),
                ("resource.owner", owner),
                ("context.count", count),
                ("context.flag", flag),
                ("context.list", list),
                ("context.ip", ip),
            ]
            .into_iter()
            .filter_map(|(path, datum)| Some((path.to_owned(), datum?)))
            .collect::<BTreeMap<String, Datum>>()
        });
    let owned = |words: Vec<&'static str>| words.into_iter().map(str::to_owned).collect::<Vec<String>>();
    (
        word(&USERS),
        subsequence(ROLES.to_vec(), 0..=2).prop_map(owned),
        subsequence(TEAMS.to_vec(), 0..=2).prop_map(owned),
        word(&["gpu", "job"]),
        word(&IDS),
        word(&ACTIONS),
        attributes,
    )
        .prop_map(|(id, roles, teams, resource_type, resource_id, action, attributes)| Request {
            kind: "user",
            id,
            roles,
            teams,
            spiffe_id: None,
            resource_type,
            resource_id,
            action,
            attributes,
            now: None,
        })
}
