//! Names in rules that the set's lists of entities do not hold.

use super::finding::{Finding, FindingKind};
use crate::entities::Entities;
use crate::rule::{PrincipalMatch, Rule, Text};

/// Lists need not be complete, so a list that is not there says nothing.
const ADVICE: &str = "correct the name, or add it to a `kind: PolicyEntities` document";

/// What `rule` names and no list holds, where there is such a list.
pub(super) fn unknown(rule: &Rule, entities: &Entities) -> Vec<Finding> {
    let mut problems = Vec::new();
    problems.extend(rule.actions.iter().filter_map(|action| unknown_action(action, entities)));
    for resource in &rule.resources {
        problems.extend(unknown_resource(resource.kind.as_deref(), &resource.id, entities));
    }
    problems.extend(rule.principals.iter().filter_map(|principal| unknown_principal(principal, entities)));
    let finding = |problem| Finding::new(FindingKind::UnknownEntity, rule, problem, ADVICE);
    problems.into_iter().map(finding).collect()
}

fn unknown_action(action: &Text, entities: &Entities) -> Option<String> {
    let listed = entities.actions();
    let missing = !listed.is_empty() && !listed.iter().any(|name| action.matches(name));
    missing.then(|| format!("the set lists actions, and none is `{action}`"))
}

fn unknown_resource(kind: Option<&str>, id: &Text, entities: &Entities) -> Option<String> {
    // A rule for every type is about more than any list.
    let kind = kind?;
    let listed = entities.resources_of(kind);
    if listed.is_empty() {
        return entities
            .resource_types()
            .next()
            .map(|_| format!("the set lists resources, and none is of the type `{kind}`"));
    }
    let missing = !listed.iter().any(|resource| id.matches(resource.id()));
    missing.then(|| format!("the set lists resources of the type `{kind}`, and none is `{id}`"))
}

fn unknown_principal(principal: &PrincipalMatch, entities: &Entities) -> Option<String> {
    let none = |what: &str, mut names: Box<dyn Iterator<Item = &str> + '_>, known: &dyn Fn(&str) -> bool| {
        let mut some = false;
        let found = names.any(|name| {
            some = true;
            known(name)
        });
        (some && !found).then(|| format!("the set lists {what}, and none is {principal}"))
    };
    match principal {
        PrincipalMatch::Any | PrincipalMatch::Group { .. } => None,
        PrincipalMatch::Id(kind, id) => {
            let ids = entities.subjects_of(*kind).iter().map(|subject| subject.id());
            none(&format!("subjects of the type {}", kind.as_str()), Box::new(ids), &|name| id.matches(name))
        }
        PrincipalMatch::Role(role, holders) => {
            let roles = entities.subjects().flat_map(|subject| subject.roles()).map(String::as_str);
            none("subjects with roles", Box::new(roles), &|name| {
                role.matches(name)
                    || holders.as_ref().is_some_and(|names| names.iter().any(|holder| **holder == *name))
            })
        }
        PrincipalMatch::Team(team) => {
            let teams = entities.subjects().flat_map(|subject| subject.teams()).map(String::as_str);
            none("subjects with teams", Box::new(teams), &|name| team.matches(name))
        }
        PrincipalMatch::Spiffe(pattern) => {
            let ids = entities.subjects().filter_map(|subject| subject.spiffe_id());
            none("subjects with SPIFFE IDs", Box::new(ids), &|name| pattern.matches(name))
        }
    }
}
