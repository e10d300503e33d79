//! A world as YAML documents.

use std::fmt::Write as _;

use super::model::{Condition, Datum, Name, Right, Rule, Test, Who, World};

const HEAD: &str = "apiVersion: policy.horizon.dev/v1\nkind: ";

/// The rules as one policy.
pub(crate) fn policy(name: &str, rules: &[Rule]) -> String {
    let mut out = format!("{HEAD}Policy\nmetadata: {{name: {name}}}\nspec:\n  rules:\n");
    for rule in rules {
        let resource =
            |(kind, id): &(String, Name)| format!("{{type: {}, {}}}", quoted(kind), named("id", id));
        let action = |action: &Name| match action {
            Name::Exact(text) | Name::Pattern(text) => quoted(text),
        };
        let effect = if rule.allow { "allow" } else { "deny" };
        let _ = write!(
            out,
            "    - name: {}\n      effect: {effect}\n      principals: {}\n      resources: {}\n      actions: {}\n",
            rule.name,
            list(&rule.principals, who),
            list(&rule.resources, resource),
            list(&rule.actions, action),
        );
        if !rule.conditions.is_empty() {
            out.push_str("      conditions:\n");
            for one in &rule.conditions {
                let _ = writeln!(out, "        - {}", condition(one));
            }
        }
        if !rule.obligations.is_empty() {
            out.push_str("      obligations:\n");
            for (name, value) in &rule.obligations {
                let _ = writeln!(out, "        {name}: {}", datum(value));
            }
        }
    }
    out
}

/// The groups and roles as one document, if there are any.
pub(crate) fn groups(world: &World) -> Option<String> {
    let mut out = format!("{HEAD}PolicyGroups\nmetadata: {{name: g}}\nspec:\n");
    if !world.groups.is_empty() {
        out.push_str("  groups:\n");
        for (name, members) in &world.groups {
            let _ = writeln!(out, "    - {{name: {name}, members: {}}}", list(members, who));
        }
    }
    if !world.roles.is_empty() {
        out.push_str("  roles:\n");
        for (name, includes) in &world.roles {
            let _ =
                writeln!(out, "    - {{name: {name}, includes: {}}}", list(includes, |role| quoted(role)));
        }
    }
    (!world.groups.is_empty() || !world.roles.is_empty()).then_some(out)
}

fn list<T>(items: &[T], write: impl Fn(&T) -> String) -> String {
    format!("[{}]", items.iter().map(write).collect::<Vec<_>>().join(", "))
}

fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}

fn named(literal: &str, name: &Name) -> String {
    match name {
        Name::Exact(text) => format!("{literal}: {}", quoted(text)),
        Name::Pattern(pattern) => format!("pattern: {}", quoted(pattern)),
    }
}

fn who(who: &Who) -> String {
    match who {
        Who::Any => "{type: any}".to_owned(),
        Who::Id(kind, name) => format!("{{type: {kind}, {}}}", named("value", name)),
        Who::Role(name) => format!("{{type: role, {}}}", named("value", name)),
        Who::Team(name) => format!("{{type: team, {}}}", named("value", name)),
        Who::Spiffe(name) => format!("{{type: spiffe, {}}}", named("value", name)),
        Who::Group(name) => format!("{{type: group, value: {name}}}"),
    }
}

fn condition(one: &Condition) -> String {
    match one {
        Condition::Leaf(attribute, test) => {
            format!("{{attribute: {attribute}, op: {}, {}}}", test.operator(), right(test))
        }
        Condition::All(inner) => format!("{{all: {}}}", list(inner, condition)),
        Condition::Any(inner) => format!("{{any: {}}}", list(inner, condition)),
        Condition::Not(inner) => format!("{{not: {}}}", condition(inner)),
    }
}

fn right(test: &Test) -> String {
    let clock = |minutes: i64| format!("'{:02}:{:02}'", minutes / 60, minutes % 60);
    match test {
        Test::With(_, Right::Value(value)) => format!("value: {}", datum(value)),
        Test::With(_, Right::Attribute(path)) => format!("value_from: {path}"),
        Test::Glob(pattern) => format!("value: {}", quoted(pattern)),
        Test::Exists(wanted) => format!("value: {wanted}"),
        Test::Cidr(networks) => format!("value: {}", list(networks, |network| quoted(network))),
        Test::TimeWindow(window) => {
            let days = match window.days.as_slice() {
                [] => String::new(),
                days => format!("days: [{}], ", days.join(", ")),
            };
            let offset = match window.offset_minutes {
                0 => "Z".to_owned(),
                minutes => format!(
                    "{}{:02}:{:02}",
                    if minutes < 0 { '-' } else { '+' },
                    minutes.abs() / 60,
                    minutes.abs() % 60
                ),
            };
            let (from, to) = (clock(window.from), clock(window.to));
            format!("value: {{{days}from: {from}, to: {to}, offset: '{offset}'}}")
        }
        Test::Semver(comparators) => {
            let texts: Vec<String> =
                comparators.iter().map(|one| format!("{}{}", one.sign, one.version)).collect();
            format!("value: '{}'", texts.join(", "))
        }
        Test::Range(min, max) => format!("value: {{min: {min}, max: {max}}}"),
    }
}

fn datum(value: &Datum) -> String {
    match value {
        Datum::Text(text) => quoted(text),
        Datum::Number(number) => number.to_string(),
        Datum::Flag(flag) => flag.to_string(),
        Datum::Time(seconds) => {
            format!("{{timestamp: '{}'}}", jiff::Timestamp::from_second(*seconds).unwrap())
        }
        Datum::Address(text) => format!("{{ip: '{text}'}}"),
        Datum::List(items) => list(items, datum),
        Datum::Texts(_) | Datum::Opaque => unreachable!("no policy can write it"),
    }
}
