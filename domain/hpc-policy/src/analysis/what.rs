//! What one principal can do.

use std::collections::BTreeSet;

use crate::analysis::against::{Against, Cover, against};
use crate::analysis::cover::{resource_covers, resources_meet, text_covers};
use crate::analysis::known::Known;
use crate::analysis::report::RulePlace;
use crate::analysis::residual::{Facts, Truths, residual};
use crate::analysis::sides::texts_meet;
use crate::analysis::ways::{ResourceAnswer, WayTo, WhatCan};
use crate::analysis::words::Shape;
use crate::context::{EvaluationContext, Principal, Resource};
use crate::error::PolicyError;
use crate::limits::{EXACT_MAX, WAYS_MAX};
use crate::path::{AttributePath, Source};
use crate::rule::{Effect, ResourceMatch, Rule, Text};
use crate::set::PolicySet;

/// Stands for a resource or an action of which nothing is known.
const ANYTHING: &str = "anything";

/// Every way in which `principal`, whose roles and teams are complete, may do something: which actions to which
/// resources, under which conditions that `known` and the principal's own attributes leave open, and which deny rules can
/// stand in the way.
///
/// No way is left out. A way that [is unconditional](WayTo::is_unconditional) holds for every request that it means; one
/// that is not may still turn out to be impossible, because its conditions are not compared with each other.
/// Resources that the set's [entities](PolicySet::entities) list are asked about one by one for every action that they
/// list, or that rules name if they list none, with what is known and everything else missing.
///
/// # Errors
/// Only [`PolicyError::InvalidRequest`]: no request can come from this principal.
///
/// ```
/// use hpc_policy::{Known, PolicySet, Principal, what_can};
///
/// let set = PolicySet::parse_documents([("p.yaml", "
/// apiVersion: policy.horizon.dev/v1
/// kind: Policy
/// metadata: {name: own-leases}
/// spec:
///   principals: [{type: any}]
///   resources: [{type: lease, pattern: '**'}]
///   actions: [lease.read, lease.release]
///   effect: allow
///   conditions: [{attribute: resource.owner, op: eq, value_from: principal.id}]
/// ")]).unwrap();
/// let answer = what_can(&set, &Principal::user("alice"), &Known::new())?;
/// assert_eq!(answer.ways[0].actions, ["lease.read", "lease.release"]);
/// assert_eq!(answer.ways[0].conditions, [r#"resource.owner == "alice""#]);
/// # Ok::<(), hpc_policy::PolicyError>(())
/// ```
pub fn what_can(set: &PolicySet, principal: &Principal, known: &Known) -> Result<WhatCan, PolicyError> {
    let mut context = EvaluationContext::new(principal.clone(), Resource::new(ANYTHING, ANYTHING), ANYTHING);
    known.apply(&mut context);
    context.check()?;
    let (allows, denies): (Vec<&Rule>, Vec<&Rule>) = set
        .compiled()
        .map(|(_, rule)| rule)
        .filter(|rule| rule.covers_principal(&context))
        .partition(|rule| rule.effect == Effect::Allow);
    let mut answer = WhatCan {
        digest: set.digest().into(),
        principal: principal.to_string(),
        ways: Vec::new(),
        ways_omitted: 0,
        closed: Vec::new(),
        closed_omitted: 0,
        resources: Vec::new(),
        asked: 0,
        asked_omitted: 0,
    };
    for rule in allows {
        for resource in &rule.resources {
            way(rule, resource, &denies, &context, known, &mut answer);
        }
    }
    ask_resources(set, &context, known, &mut answer);
    Ok(answer)
}

/// Adds the way that `rule` opens to `resource`, if it opens one.
fn way(
    rule: &Rule,
    resource: &ResourceMatch,
    denies: &[&Rule],
    context: &EvaluationContext,
    known: &Known,
    answer: &mut WhatCan,
) {
    let id = match &resource.id {
        Text::Exact(id) => Some(&**id),
        Text::Glob(_) => None,
    };
    let action = match rule.actions.as_slice() {
        [Text::Exact(action)] => Some(&**action),
        _ => None,
    };
    let thing = Resource::new(resource.kind.as_deref().unwrap_or(ANYTHING), id.unwrap_or(ANYTHING));
    let mut asked = EvaluationContext::new(context.principal().clone(), thing, action.unwrap_or(ANYTHING));
    known.apply(&mut asked);
    let is_open = |path: &AttributePath| match path.source() {
        Source::ResourceId => id.is_none(),
        Source::ResourceType => resource.kind.is_none(),
        Source::Action => action.is_none(),
        Source::PrincipalId
        | Source::PrincipalType
        | Source::PrincipalRoles
        | Source::PrincipalTeams
        | Source::PrincipalSpiffeId => false,
        Source::Principal(_) => !known.has(path) && context.lookup(path).is_none(),
        _ => !known.has(path),
    };
    let facts = Facts { context: &asked, open: &is_open };
    let conditions = residual(&rule.conditions, &facts);
    if !conditions.possible().any_of(Truths::TRUE) {
        return;
    }
    let Against { unless, omitted: unless_omitted, closed } = against(denies, &facts, |deny| {
        let resources: Vec<&ResourceMatch> =
            deny.resources.iter().filter(|entry| resources_meet(entry, resource)).collect();
        let meets = |own: &&Text| rule.actions.iter().any(|other| texts_meet(own, other, b'.', Shape::Name));
        let actions: Vec<&Text> = deny.actions.iter().filter(meets).collect();
        if resources.is_empty() || actions.is_empty() {
            return None;
        }
        let all = resources.iter().any(|entry| resource_covers(entry, resource))
            && rule.actions.iter().all(|own| actions.iter().any(|other| text_covers(other, own)));
        if all {
            return Some(Cover::All);
        }
        let actions: Vec<String> = actions.iter().map(|text| format!("`{text}`")).collect();
        let over = resources.iter().map(|entry| format!("{} on {entry}", actions.join(", "))).collect();
        Some(Cover::Part(over))
    });
    let (list, omitted) = match closed {
        true => (&mut answer.closed, &mut answer.closed_omitted),
        false => (&mut answer.ways, &mut answer.ways_omitted),
    };
    if list.len() >= WAYS_MAX {
        *omitted += 1;
        return;
    }
    list.push(WayTo {
        actions: rule.actions.iter().map(ToString::to_string).collect(),
        resource: resource.to_string(),
        rule: RulePlace::of(rule),
        conditions: conditions.words(&facts),
        unless,
        unless_omitted,
    });
}

fn ask_resources(set: &PolicySet, context: &EvaluationContext, known: &Known, answer: &mut WhatCan) {
    let entities = set.entities();
    let named: BTreeSet<&str> = set
        .compiled()
        .flat_map(|(_, rule)| &rule.actions)
        .filter_map(|text| match text {
            Text::Exact(action) => Some(&**action),
            Text::Glob(_) => None,
        })
        .collect();
    let actions: Vec<&str> = match entities.actions() {
        [] => named.into_iter().collect(),
        listed => listed.iter().map(String::as_str).collect(),
    };
    for resource in entities.all_resources() {
        let mut allowed = Vec::new();
        for action in &actions {
            if answer.asked >= EXACT_MAX {
                answer.asked_omitted += 1;
                continue;
            }
            answer.asked += 1;
            let mut asked = EvaluationContext::new(context.principal().clone(), resource.clone(), *action);
            known.apply(&mut asked);
            if set.decide(&asked).is_allowed() {
                allowed.push((*action).to_owned());
            }
        }
        if !allowed.is_empty() {
            let resource = format!("{}:{}", resource.resource_type(), resource.id());
            answer.resources.push(ResourceAnswer { resource, actions: allowed });
        }
    }
}
