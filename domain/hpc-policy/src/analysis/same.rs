//! What a rule says, whatever it is called and wherever it stands.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use crate::condition::{Condition, Leaf, Operand, Test};
use crate::rule::{PrincipalMatch, Rule, Text};

/// A text that two rules share only if they mean the same: effect, scope with groups and roles closed, conditions and
/// obligations. Name, place, owner, message and advice are not in it.
pub(crate) fn meaning(rule: &Rule) -> String {
    let mut out = String::new();
    let _ = write!(out, "{}", rule.effect);
    let mut principals = BTreeSet::new();
    for principal in &rule.principals {
        add_principal(principal, &mut principals);
    }
    let resources: BTreeSet<String> =
        rule.resources.iter().map(|resource| format!("{:?}{}", resource.kind, text(&resource.id))).collect();
    let actions: BTreeSet<String> = rule.actions.iter().map(text).collect();
    for set in [principals, resources, actions, set_of(&rule.conditions)] {
        out.push('|');
        set.iter().for_each(|item| {
            let _ = write!(out, "{}:{item}", item.len());
        });
    }
    let _ = write!(out, "|{:?}", rule.obligations);
    out
}

fn text(text: &Text) -> String {
    match text {
        Text::Exact(exact) => format!("={exact}"),
        Text::Glob(glob) => format!("~{}", glob.source()),
    }
}

fn add_principal(principal: &PrincipalMatch, into: &mut BTreeSet<String>) {
    let item = match principal {
        PrincipalMatch::Any => "any".to_owned(),
        PrincipalMatch::Id(kind, id) => format!("{} {}", kind.as_str(), text(id)),
        PrincipalMatch::Role(role, holders) => {
            let holders: Vec<&str> =
                holders.iter().flat_map(|names| names.iter()).map(|name| &**name).collect();
            format!("role {} {holders:?}", text(role))
        }
        PrincipalMatch::Team(team) => format!("team {}", text(team)),
        PrincipalMatch::Spiffe(id) => format!("spiffe {}", text(id)),
        PrincipalMatch::Group { members, .. } => {
            return members.iter().for_each(|member| add_principal(member, into));
        }
    };
    into.insert(item);
}

/// Neither order nor repetition in `all` and `any` means anything.
fn set_of(conditions: &[Condition]) -> BTreeSet<String> {
    conditions.iter().map(condition).collect()
}

fn condition(condition: &Condition) -> String {
    let joined = |inner: &[Condition]| set_of(inner).into_iter().collect::<Vec<_>>().join(",");
    match condition {
        Condition::Leaf(leaf) => comparison(leaf),
        Condition::All(inner) => format!("all[{}]", joined(inner)),
        Condition::Any(inner) => format!("any[{}]", joined(inner)),
        Condition::Not(inner) => format!("not[{}]", self::condition(inner)),
    }
}

fn comparison(leaf: &Leaf) -> String {
    let operand = |operand: &Operand| match operand {
        Operand::Literal(value) => format!("{value:?}"),
        Operand::Attribute(path) => format!("from {path}"),
    };
    let right = match &leaf.test {
        Test::Equal { operand: right, .. }
        | Test::Order { operand: right, .. }
        | Test::In { operand: right, .. }
        | Test::Contains(right)
        | Test::StartsWith(right)
        | Test::EndsWith(right) => operand(right),
        Test::Glob(glob) => format!("{:?}", glob.source()),
        Test::Exists(expected) => expected.to_string(),
        Test::Cidr(networks) => format!("{networks:?}"),
        Test::TimeWindow(window) => format!("{window:?}"),
        Test::Semver(requirement) => format!("{:?}", requirement.to_string()),
        Test::Range { min, max } => format!("{min}..{max}"),
    };
    format!("{} {} {right}", leaf.path, leaf.operator)
}
