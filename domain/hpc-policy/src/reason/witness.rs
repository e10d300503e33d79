//! A request out of facts: what could be asked for them to hold.

use super::budget::Budget;
use super::facts::{Facts, Need};
use crate::context::{EvaluationContext, Principal, PrincipalKind, Resource};
use crate::path::Source;
use crate::value::Value;

/// A request that the facts describe, as far as one is found. Whoever uses it asks the rule whether it applies: facts may
/// hold more requests than those that were meant.
pub(crate) fn witness(facts: &Facts<'_>, budget: &Budget) -> Option<EvaluationContext> {
    let mut facts = facts.clone();
    let mut texts = |source: &'static Source| facts.domain(source).sample_texts(budget);
    let mut one = |source: &'static Source| texts(source).and_then(|texts| texts.into_iter().next());
    let kind = match one(&Source::PrincipalType).as_deref() {
        Some("service") => PrincipalKind::Service,
        Some("agent") => PrincipalKind::Agent,
        _ => PrincipalKind::User,
    };
    let id = one(&Source::PrincipalId)?;
    let resource = Resource::new(one(&Source::ResourceType)?, one(&Source::ResourceId)?);
    let action = one(&Source::Action)?;
    let spiffe_id = one(&Source::PrincipalSpiffeId);
    let (roles, teams) = (texts(&Source::PrincipalRoles)?, texts(&Source::PrincipalTeams)?);
    let spiffe_needed = facts.domains().any(|(source, _)| *source == Source::PrincipalSpiffeId);
    let mut principal = Principal::new(kind, id).with_roles(roles).with_teams(teams);
    if let Some(spiffe_id) = spiffe_id.filter(|_| spiffe_needed) {
        principal = principal.with_spiffe_id(spiffe_id);
    }
    let mut context = EvaluationContext::new(principal, resource, action);
    for (source, domain) in facts.domains() {
        match domain.sample(budget) {
            Some(Some(Value::Timestamp(now))) if *source == Source::Now => context = context.with_now(now),
            Some(Some(value)) => _ = context.replace_source(source, value),
            _ => {}
        }
    }
    for (left, need, right) in facts.pairs() {
        fit(&mut context, left, need, right);
    }
    context.check().is_ok().then_some(context)
}

/// Of two attributes that are compared, gives one a value that fits the other's.
fn fit(context: &mut EvaluationContext, left: &Source, need: Need, right: &Source) {
    let value = |source| context.lookup_source(source).map(|(view, _)| view.to_value());
    let (has_left, has_right) = (value(left), value(right));
    let next = |value: Value, step: i64| match value {
        Value::Integer(number) => Value::Integer(number.saturating_add(step)),
        other => other,
    };
    let for_left = has_right.map(|value| match need {
        Need::Same | Need::Item => value,
        Need::Less => next(value, -1),
        Need::Greater => next(value, 1),
        Need::Holder => Value::List(vec![value]),
    });
    // The left one of a built-in attribute stays as it is; then the right one has to fit.
    if need != Need::Item && for_left.is_some_and(|value| context.replace_source(left, value)) {
        return;
    }
    if let Some(value) = has_left {
        let for_right = match need {
            Need::Same | Need::Holder => value,
            Need::Less => next(value, 1),
            Need::Greater => next(value, -1),
            Need::Item => Value::List(vec![value]),
        };
        context.replace_source(right, for_right);
    }
}
