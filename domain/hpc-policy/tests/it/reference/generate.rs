//! Worlds and requests out of bytes, over small vocabularies so that they meet often.
//!
//! Bytes that have run out count as zero, and zero is the plainest choice, so shorter input is a smaller world.

use std::collections::BTreeMap;

use super::model::{Comparator, Condition, Datum, Name, Request, Right, Rule, Test, Who, Window, World};

/// Choices, one byte each.
pub(crate) struct Choices<'a>(pub(crate) &'a [u8]);

impl Choices<'_> {
    fn below(&mut self, count: usize) -> usize {
        let Some((first, rest)) = self.0.split_first() else { return 0 };
        self.0 = rest;
        usize::from(*first) % count
    }

    fn one_in(&mut self, count: usize) -> bool {
        self.below(count) == count - 1
    }

    fn word(&mut self, words: &[&'static str]) -> &'static str {
        words[self.below(words.len())]
    }

    fn some<T>(&mut self, max: usize, mut make: impl FnMut(&mut Self) -> T) -> Vec<T> {
        (0..=self.below(max)).map(|_| make(self)).collect()
    }

    fn subset(&mut self, words: &[&'static str]) -> Vec<String> {
        words.iter().filter(|_| self.below(2) == 1).map(ToString::to_string).collect()
    }
}

const USERS: [&str; 3] = ["ann", "bob", "eve"];
const ROLES: [&str; 4] = ["r1", "r2", "r3", "lead/r4"];
const TEAMS: [&str; 2] = ["t1", "t2"];
const SPIFFE: [&str; 2] = ["spiffe://td/ns/a", "spiffe://td/b"];
const TYPES: [&str; 2] = ["gpu", "job"];
const IDS: [&str; 6] = ["x/y", "x/z", "q/y", "x/w/z", "x/w/y", "y"];
const ACTIONS: [&str; 5] = ["cap.get", "cap.put", "cap.put.now", "cap.x.get", "read"];
/// A Monday, 00:00 UTC.
const MONDAY: i64 = 1_793_577_600;

pub(crate) const OPERATORS: [&str; 17] = [
    "eq",
    "ne",
    "gt",
    "gte",
    "lt",
    "lte",
    "in",
    "not_in",
    "contains",
    "starts_with",
    "ends_with",
    "glob",
    "exists",
    "cidr",
    "time_window",
    "semver",
    "range",
];

pub(crate) fn world(choices: &mut Choices, rules_max: usize) -> World {
    let mut world = World { rules: Vec::new(), groups: Vec::new(), roles: Vec::new() };
    if choices.one_in(2) {
        for (at, role) in ROLES.iter().enumerate().take(3) {
            if choices.one_in(2) {
                let included = choices.some(1, |choices| choices.word(&ROLES[at + 1..]).to_owned());
                world.roles.push(((*role).to_owned(), included));
            }
        }
    }
    let groups = choices.below(4);
    for at in 0..groups {
        let inner: Vec<String> = (at + 1..groups).map(|inner| format!("g{inner}")).collect();
        let members = choices.some(3, |choices| who(choices, &inner));
        world.groups.push((format!("g{at}"), members));
    }
    let groups: Vec<String> = world.groups.iter().map(|(name, _)| name.clone()).collect();
    // A condition on the roles is refused where roles include others.
    let roles_count = world.roles.is_empty();
    let count = 1 + choices.below(rules_max);
    world.rules = (0..count).map(|number| rule(choices, number, &groups, roles_count)).collect();
    world
}

fn rule(choices: &mut Choices, number: usize, groups: &[String], roles_count: bool) -> Rule {
    let mut obligations = BTreeMap::new();
    for name in ["max_hours", "min_log_days", "mfa", "notify"] {
        if choices.one_in(6) {
            obligations.insert(name.to_owned(), obligation(choices, name));
        }
    }
    Rule {
        name: format!("r{number}"),
        allow: choices.below(3) < 2,
        principals: choices.some(2, |choices| who(choices, groups)),
        resources: choices.some(2, |choices| {
            (
                choices.word(&["*", "gpu", "job"]).to_owned(),
                name(choices, &IDS, &["**", "x/*", "**/y", "*/y", "x/**/z"]),
            )
        }),
        actions: choices
            .some(3, |choices| name(choices, &ACTIONS, &["**", "cap.*", "*.get", "cap.**", "c*.*t"])),
        conditions: match choices.below(4) {
            0 => Vec::new(),
            count => (1..=count).map(|_| condition(choices, 3, roles_count)).take(2).collect(),
        },
        obligations,
    }
}

fn obligation(choices: &mut Choices, name: &str) -> Datum {
    match name {
        "mfa" => Datum::Flag(choices.one_in(2)),
        "notify" if choices.one_in(2) => {
            Datum::List(choices.some(2, |choices| text(choices.word(&["b", "a", "c"]))))
        }
        "notify" => text(choices.word(&["b", "a"])),
        _ => Datum::Number(choices.below(4) as i64),
    }
}

fn name(choices: &mut Choices, exact: &[&'static str], patterns: &[&'static str]) -> Name {
    match choices.below(5) {
        0 | 1 => Name::Pattern(patterns[0].to_owned()),
        2 | 3 => Name::Pattern(choices.word(patterns).to_owned()),
        _ => Name::Exact(choices.word(exact).to_owned()),
    }
}

fn who(choices: &mut Choices, groups: &[String]) -> Who {
    match choices.below(12) {
        0..3 => Who::Any,
        3 => Who::Id("user", name(choices, &USERS, &["**", "a*", "*o*"])),
        4 => Who::Id("service", name(choices, &USERS, &["**", "*b"])),
        5 => Who::Id("agent", name(choices, &USERS, &["**", "e*"])),
        6 | 7 => Who::Role(Name::Exact(choices.word(&ROLES).to_owned())),
        8 => Who::Role(name(choices, &ROLES, &["r*", "*2", "**/r4", "lead/*"])),
        9 => Who::Team(name(choices, &TEAMS, &["t*", "**2"])),
        10 => Who::Spiffe(name(choices, &SPIFFE, &["**", "spiffe://td/*", "spiffe://**/a"])),
        _ if groups.is_empty() => Who::Any,
        _ => Who::Group(groups[choices.below(groups.len())].clone()),
    }
}

fn condition(choices: &mut Choices, depth: usize, roles_count: bool) -> Condition {
    let kind = if depth == 0 { 0 } else { choices.below(9) };
    let inner = |choices: &mut Choices| condition(choices, depth - 1, roles_count);
    match kind {
        0..6 => leaf(choices, roles_count),
        6 => Condition::All(choices.some(3, inner)),
        7 => Condition::Any(choices.some(3, inner)),
        _ => Condition::Not(Box::new(inner(choices))),
    }
}

/// What kind of value an attribute usually has.
#[derive(Clone, Copy, PartialEq)]
enum Kind {
    Text,
    Number,
    Flag,
    Time,
    Address,
    Version,
    List,
}

const ATTRIBUTES: [(&str, Kind); 14] = [
    ("context.n", Kind::Number),
    ("context.m", Kind::Number),
    ("principal.level", Kind::Number),
    ("context.text", Kind::Text),
    ("context.path", Kind::Text),
    ("resource.owner", Kind::Text),
    ("context.at", Kind::Time),
    ("context.until", Kind::Time),
    ("context.ip", Kind::Address),
    ("context.peer", Kind::Address),
    ("context.version", Kind::Version),
    ("action.soft", Kind::Flag),
    ("context.list", Kind::List),
    ("resource.editors", Kind::List),
];

const BUILT_IN: [(&str, Kind); 9] = [
    ("principal.id", Kind::Text),
    ("principal.type", Kind::Text),
    ("resource.id", Kind::Text),
    ("resource.type", Kind::Text),
    ("action", Kind::Text),
    ("principal.spiffe_id", Kind::Text),
    ("context.now", Kind::Time),
    ("principal.teams", Kind::List),
    ("principal.roles", Kind::List),
];

/// Mostly an attribute of this kind.
fn attribute(choices: &mut Choices, kinds: &[Kind], roles_count: bool) -> String {
    let built_in = if roles_count { &BUILT_IN[..] } else { &BUILT_IN[..8] };
    let any = choices.one_in(8);
    let fits: Vec<&str> = ATTRIBUTES
        .iter()
        .chain(built_in)
        .filter(|(_, kind)| any || kinds.is_empty() || kinds.contains(kind))
        .map(|(name, _)| *name)
        .collect();
    fits[choices.below(fits.len())].to_owned()
}

fn text(text: &str) -> Datum {
    Datum::Text(text.to_owned())
}

fn value(choices: &mut Choices, kind: Kind) -> Datum {
    match kind {
        Kind::Text => text(choices.word(&[
            "ann",
            "x/y",
            "x/w/y",
            "x",
            "y",
            "/",
            "n",
            "gpu",
            "é/y",
            "",
            "10.1.2.3",
            "::ffff:10.1.2.3",
            "a*",
            "it's",
            "no",
        ])),
        Kind::Number => Datum::Number([0, 1, 2, 3, -1, i64::MAX, i64::MIN][choices.below(7)]),
        Kind::Flag => Datum::Flag(choices.one_in(2)),
        Kind::Time => match choices.below(12) {
            0 => Datum::Time(MONDAY),
            1 => Datum::Time(-1),
            _ => Datum::Time(moment(choices)),
        },
        Kind::Address => Datum::Address(
            choices
                .word(&[
                    "10.1.2.3",
                    "::ffff:10.1.2.3",
                    "11.0.0.1",
                    "2001:db8::1",
                    "2001:db9::1",
                    "::1",
                    "0.0.0.0",
                ])
                .to_owned(),
        ),
        Kind::Version => text(choices.word(&VERSIONS)),
        Kind::List => any_list(choices),
    }
}

/// Often the very edge of a window, or a second before.
fn moment(choices: &mut Choices) -> i64 {
    MONDAY + (choices.below(128) * 180 * 60) as i64 + [0, 0, -1, 59][choices.below(4)]
}

const VERSIONS: [&str; 9] =
    ["1.4.2", "1.4.3", "1.5.0-beta", "1.4.2-alpha", "2.0.0", "0.3.1", "0.3.2", "0.0.7", "1.4"];

/// Of one type, which is text half the time.
fn any_list(choices: &mut Choices) -> Datum {
    let kind = [Kind::Text, Kind::Text, Kind::Text, Kind::Number, Kind::Time, Kind::Address, Kind::Flag]
        [choices.below(7)];
    list(choices, kind, 0)
}

fn list(choices: &mut Choices, kind: Kind, least: usize) -> Datum {
    let count = [0, 0, 1, 2, 3][choices.below(5)].max(least);
    Datum::List((0..count).map(|_| value(choices, kind)).collect())
}

fn leaf(choices: &mut Choices, roles_count: bool) -> Condition {
    use Kind::{Address, Flag, Number, Text, Time, Version};
    let operator = choices.word(&OPERATORS);
    let right = |choices: &mut Choices, kind: Kind| match choices.below(4) {
        0..3 => Right::Value(value(choices, kind)),
        _ => Right::Attribute(attribute(choices, &[kind], roles_count)),
    };
    let test = |choices: &mut Choices| match operator {
        "glob" => Test::Glob(choices.word(&["**", "x/*", "*/y", "a*", "**n", "*.*.*.*", "é*/y"]).to_owned()),
        "exists" => Test::Exists(choices.below(2) == 0),
        "cidr" => Test::Cidr(choices.some(2, |choices| {
            choices
                .word(&["10.0.0.0/8", "10.1.2.2/31", "0.0.0.0/0", "::/0", "2001:db8::/32", "11.0.0.1/32"])
                .to_owned()
        })),
        "time_window" => {
            let days = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"];
            let from = choices.below(8) as i64 * 180;
            let to = 180 + choices.below(8) as i64 * 180;
            Test::TimeWindow(Window {
                days: match choices.below(3) {
                    0 => Vec::new(),
                    _ => days.into_iter().filter(|_| choices.below(2) == 1).collect(),
                },
                from,
                to: if from == to { 24 * 60 } else { to },
                offset_minutes: [0, 0, 180, -180, 330, -480, 840, -840][choices.below(8)],
            })
        }
        "semver" => Test::Semver(choices.some(2, |choices| Comparator {
            sign: choices.word(&["^", "~", "=", ">", ">=", "<", "<="]),
            version: choices.word(&VERSIONS[..8]).to_owned(),
        })),
        _ => {
            let (low, high) = (choices.below(4) as i64 - 1, choices.below(4) as i64);
            Test::Range(low.min(high), low.max(high))
        }
    };
    match operator {
        "eq" | "ne" => {
            let kind = [Text, Number, Flag, Time, Address][choices.below(5)];
            let right = right(choices, kind);
            Condition::Leaf(attribute(choices, &[kind], roles_count), Test::With(operator, right))
        }
        "gt" | "gte" | "lt" | "lte" => {
            let kind = [Number, Time][choices.below(2)];
            let right = right(choices, kind);
            Condition::Leaf(attribute(choices, &[kind], roles_count), Test::With(operator, right))
        }
        "in" | "not_in" => {
            let kind = [Text, Text, Number, Time][choices.below(4)];
            let right = match choices.below(3) {
                0 => Right::Attribute(attribute(choices, &[Kind::List], roles_count)),
                _ => Right::Value(list(choices, kind, 1)),
            };
            Condition::Leaf(attribute(choices, &[kind], roles_count), Test::With(operator, right))
        }
        "contains" | "starts_with" | "ends_with" => {
            let kind = if operator == "contains" && choices.one_in(3) { Number } else { Text };
            let right = match right(choices, kind) {
                Right::Value(Datum::Text(empty)) if empty.is_empty() => Right::Value(text("y")),
                other => other,
            };
            let kinds: &[Kind] = if operator == "contains" { &[Kind::List, Text] } else { &[Text] };
            Condition::Leaf(attribute(choices, kinds, roles_count), Test::With(operator, right))
        }
        _ => {
            let kinds: &[Kind] = match operator {
                "glob" => &[Text],
                "exists" => &[],
                "cidr" => &[Address, Text],
                "time_window" => &[Time],
                "semver" => &[Version],
                _ => &[Number],
            };
            let attribute = attribute(choices, kinds, roles_count);
            Condition::Leaf(attribute, test(choices))
        }
    }
}

pub(crate) fn request(choices: &mut Choices) -> Request {
    let mut attributes = BTreeMap::new();
    for (path, kind) in ATTRIBUTES {
        let datum = match choices.below(16) {
            0..12 => value(choices, kind),
            12 => continue,
            13 | 14 => Datum::Opaque,
            _ => {
                let kinds = [Kind::Text, Kind::Number, Kind::Flag, Kind::Time, Kind::Address, Kind::List];
                let kind = kinds[choices.below(6)];
                value(choices, kind)
            }
        };
        attributes.insert(path.to_owned(), datum);
    }
    Request {
        kind: choices.word(&["user", "user", "service", "agent"]),
        id: choices.word(&USERS).to_owned(),
        roles: choices.subset(&ROLES),
        teams: choices.subset(&TEAMS),
        spiffe_id: (choices.below(2) == 1).then(|| choices.word(&SPIFFE).to_owned()),
        resource_type: choices.word(&TYPES).to_owned(),
        resource_id: choices.word(&IDS).to_owned(),
        action: choices.word(&ACTIONS).to_owned(),
        attributes,
        now: (choices.below(4) > 0).then(|| moment(choices)),
    }
}
