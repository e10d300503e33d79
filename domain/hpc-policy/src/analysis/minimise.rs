//! A request that flips, without what does not matter to it.

use crate::analysis::solve::{Goal, reached};
use crate::context::{EvaluationContext, Principal};
use crate::path::AttributePath;
use crate::rule::Rule;
use crate::set::PolicySet;

/// Leaves out whatever can be left out so that `seed` still takes part in a flip towards `goal`: roles, teams, the SPIFFE ID
/// and attributes.
pub(crate) fn minimise(
    goal: Goal,
    seed: &Rule,
    here: &PolicySet,
    there: &PolicySet,
    context: EvaluationContext,
) -> EvaluationContext {
    let flips = |context: &EvaluationContext| {
        let [here, there] = [here, there].map(|set| set.rules_in_scope(context));
        seed.is_in_scope(context) && reached(goal, seed, &here, &there, context)
    };
    let mut kept = context;
    let try_instead = |kept: &mut EvaluationContext, candidate: EvaluationContext| {
        if flips(&candidate) {
            *kept = candidate;
        }
    };
    let principal = kept.principal().clone();
    if principal.spiffe_id().is_some() {
        let candidate = kept.clone().asked_by(principal.without_spiffe_id());
        try_instead(&mut kept, candidate);
    }
    let without = |names: &[String], left_out: &String| -> Vec<String> {
        names.iter().filter(|name| *name != left_out).cloned().collect()
    };
    for role in kept.principal().roles().to_vec() {
        let principal: Principal = kept.principal().clone();
        let fewer = without(principal.roles(), &role);
        let candidate = kept.clone().asked_by(principal.with_roles(fewer));
        try_instead(&mut kept, candidate);
    }
    for team in kept.principal().teams().to_vec() {
        let principal: Principal = kept.principal().clone();
        let fewer = without(principal.teams(), &team);
        let candidate = kept.clone().asked_by(principal.with_teams(fewer));
        try_instead(&mut kept, candidate);
    }
    let paths: Vec<String> = kept
        .attribute_maps()
        .into_iter()
        .flat_map(|(root, attributes)| attributes.keys().map(move |name| format!("{root}.{name}")))
        .chain(kept.now().map(|_| "context.now".to_owned()))
        .collect();
    for path in paths.iter().filter_map(|path| AttributePath::parse(path).ok()) {
        let mut candidate = kept.clone();
        candidate.put(&path, None);
        try_instead(&mut kept, candidate);
    }
    kept
}
