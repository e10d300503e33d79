//! Combining the obligations of several rules into one set that satisfies all of them.
//!
//! The result does not depend on the order of rules: of two integers the stricter stands (the smaller, or the
//! larger when the name begins with `min_`), a boolean duty is on if any rule turns it on, strings and lists
//! of strings are collected.

use std::collections::{BTreeMap, BTreeSet};

use crate::error::{Location, PolicyError};
use crate::rule::Rule;
use crate::value::Value;

/// What is known of an obligation's type so far, and from which rule.
pub(crate) type Types = BTreeMap<String, (&'static str, String)>;

/// Refuses two rules that give one name values which cannot be combined.
pub(crate) fn check_types(known: &mut Types, rules: &[Rule]) -> Result<(), PolicyError> {
    for rule in rules {
        for (name, value) in rule.obligations.iter().chain(&rule.advice) {
            let found = kind(value);
            let (other, elsewhere) = known
                .entry(name.clone())
                .or_insert_with(|| (found, format!("{}/{}", rule.policy, rule.name)));
            if *other != found {
                return Err(PolicyError::ObligationConflict {
                    at: Location::new(rule.line, 1),
                    name: name.clone(),
                    found,
                    other,
                    elsewhere: elsewhere.clone(),
                });
            }
        }
    }
    Ok(())
}

fn kind(value: &Value) -> &'static str {
    match value {
        Value::Integer(_) => "an integer",
        Value::Bool(_) => "a boolean",
        _ => "text",
    }
}

/// Adds `from` to `into`.
pub(crate) fn merge(into: &mut BTreeMap<String, Value>, from: &BTreeMap<String, Value>) {
    for (name, value) in from {
        match into.get_mut(name) {
            None => {
                into.insert(name.clone(), value.clone());
            }
            Some(present) => *present = combine(name, present, value),
        }
    }
}

/// Whether adding `less` to any set that holds `more` changes nothing, in any order.
pub(crate) fn covers(more: &BTreeMap<String, Value>, less: &BTreeMap<String, Value>) -> bool {
    less.iter().all(|(name, value)| more.get(name).is_some_and(|held| combine(name, held, value) == *held))
}

fn combine(name: &str, left: &Value, right: &Value) -> Value {
    match (left, right) {
        (Value::Integer(left), Value::Integer(right)) if name.starts_with("min_") => {
            Value::Integer(*left.max(right))
        }
        (Value::Integer(left), Value::Integer(right)) => Value::Integer(*left.min(right)),
        (Value::Bool(left), Value::Bool(right)) => Value::Bool(*left || *right),
        (left, right) if left == right => left.clone(),
        (left, right) => {
            let texts: BTreeSet<&str> = texts(left).chain(texts(right)).collect();
            Value::List(texts.into_iter().map(Value::from).collect())
        }
    }
}

fn texts(value: &Value) -> impl Iterator<Item = &str> {
    let items = match value {
        Value::List(items) => items.as_slice(),
        one => std::slice::from_ref(one),
    };
    items.iter().filter_map(|item| match item {
        Value::String(text) => Some(text.as_str()),
        _ => None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_stricter_stands_in_any_order() {
        for (name, left, right, expected) in [
            ("max_lease_hours", Value::from(8), Value::from(4), Value::from(4)),
            ("min_log_days", Value::from(8), Value::from(4), Value::from(8)),
            ("require_mfa", Value::from(false), Value::from(true), Value::from(true)),
            ("notify", Value::from("a"), Value::from("a"), Value::from("a")),
            ("notify", Value::from("b"), Value::from("a"), Value::from(vec!["a", "b"])),
            ("notify", Value::from("b"), Value::from(vec!["c", "a"]), Value::from(vec!["a", "b", "c"])),
        ] {
            assert_eq!(combine(name, &left, &right), expected, "{name}");
            assert_eq!(combine(name, &right, &left), expected, "{name}");
        }
    }
}
