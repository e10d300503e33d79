//! Conditions as cases: what must hold of single comparisons for the whole to come out as wanted.

use std::ops::ControlFlow;

use super::Truths;
use super::budget::Budget;
use super::facts::Facts;
use crate::condition::{Condition, Leaf};
use crate::limits::REASON_CASES_MAX;

/// What a branch costs, and each attribute that is known in it, beside the comparisons.
const BRANCH_STEPS: u64 = 20;
const DOMAIN_STEPS: u64 = 10;

/// Something to be brought about.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Goal<'a> {
    /// The condition comes out as one of these.
    One(&'a Condition, Truths),
    /// The conjunction comes out as one of these.
    All(&'a [Condition], Truths),
}

/// Few cases that hold every request for which all `goals` are reached. With many alternatives they are not all told apart,
/// and hold other requests too.
pub(crate) fn cases<'a>(facts: &Facts<'a>, goals: &[Goal<'a>], budget: &Budget) -> Vec<Facts<'a>> {
    let mut found = Vec::new();
    let mut branches = Branches { left: SPLIT_MAX, cut: false };
    let _ = explore(facts.clone(), goals.to_vec(), Vec::new(), budget, &mut branches, &mut |facts| {
        found.push(facts);
        ControlFlow::Continue(())
    });
    found
}

/// Whether there may be a request for which all `goals` are reached. `false` is proved.
pub(crate) fn possible<'a>(facts: &Facts<'a>, goals: &[Goal<'a>], budget: &Budget) -> bool {
    let mut branches = Branches { left: REASON_CASES_MAX, cut: false };
    let found = explore(facts.clone(), goals.to_vec(), Vec::new(), budget, &mut branches, &mut |_| {
        ControlFlow::Break(())
    });
    if branches.cut {
        budget.note_cut();
    }
    found.is_break()
}

/// How many ways may still be gone into, and whether there were more.
struct Branches {
    left: usize,
    cut: bool,
}

/// Ways that are told apart where cases are kept.
const SPLIT_MAX: usize = 16;

/// A choice between several lists of goals.
type Choice<'a> = Vec<Vec<Goal<'a>>>;

/// Visits every case, as long as there are branches left.
fn explore<'a>(
    mut facts: Facts<'a>,
    mut goals: Vec<Goal<'a>>,
    mut choices: Vec<Choice<'a>>,
    budget: &Budget,
    branches: &mut Branches,
    visit: &mut impl FnMut(Facts<'a>) -> ControlFlow<()>,
) -> ControlFlow<()> {
    loop {
        if !conjunction(&mut facts, &mut goals, &mut choices, budget) {
            return ControlFlow::Continue(());
        }
        // What is plainly impossible by now is no way any more.
        for choice in &mut choices {
            choice.retain(|way| match way.as_slice() {
                [one] => comparison(*one).is_none_or(|(leaf, wanted)| facts.admits(leaf, wanted, budget)),
                _ => true,
            });
        }
        // The choice with the fewest ways first; with none there is no case, and with one there is nothing to choose.
        let narrowest = (0..choices.len()).min_by_key(|index| choices.get(*index).map_or(0, Vec::len));
        let Some(narrowest) = narrowest else { return visit(facts) };
        let mut choice = choices.swap_remove(narrowest);
        if choice.len() <= 1 {
            match choice.pop() {
                Some(way) => goals = way,
                None => return ControlFlow::Continue(()),
            }
            continue;
        }
        for way in choice {
            if branches.left == 0
                || !budget.take(BRANCH_STEPS + facts.domains().count() as u64 * DOMAIN_STEPS)
            {
                branches.cut = true;
                return visit(facts);
            }
            branches.left -= 1;
            explore(facts.clone(), way, choices.clone(), budget, branches, visit)?;
        }
        return ControlFlow::Continue(());
    }
}

/// Reaches all `goals` between which nothing is to be chosen; false if that cannot be.
fn conjunction<'a>(
    facts: &mut Facts<'a>,
    goals: &mut Vec<Goal<'a>>,
    choices: &mut Vec<Choice<'a>>,
    budget: &Budget,
) -> bool {
    while let Some(goal) = goals.pop() {
        let possible = match goal {
            // Work that is not done narrows nothing.
            Goal::One(Condition::Leaf(leaf), wanted) => !budget.take(1) || facts.narrow(leaf, wanted, budget),
            Goal::One(Condition::Not(inner), wanted) => {
                goals.push(Goal::One(inner, wanted.negated()));
                true
            }
            Goal::One(Condition::All(inner), wanted) => {
                list(inner, wanted, Truths::TRUE, Truths::FALSE, goals, choices)
            }
            Goal::All(inner, wanted) => list(inner, wanted, Truths::TRUE, Truths::FALSE, goals, choices),
            Goal::One(Condition::Any(inner), wanted) => {
                list(inner, wanted, Truths::FALSE, Truths::TRUE, goals, choices)
            }
        };
        if !possible {
            return false;
        }
    }
    true
}

/// The single comparison that a goal is about, if it is.
fn comparison(mut goal: Goal<'_>) -> Option<(&Leaf, Truths)> {
    loop {
        match goal {
            Goal::One(Condition::Leaf(leaf), wanted) => return Some((leaf, wanted)),
            Goal::One(Condition::Not(inner), wanted) => goal = Goal::One(inner, wanted.negated()),
            _ => return None,
        }
    }
}

/// A conjunction is true if all parts are `even`, true, and false if one is `odd`, false; a disjunction the other way
/// round. Between the two it is unknown. False if nothing can be wanted of it.
fn list<'a>(
    parts: &'a [Condition],
    wanted: Truths,
    even: Truths,
    odd: Truths,
    goals: &mut Vec<Goal<'a>>,
    choices: &mut Vec<Choice<'a>>,
) -> bool {
    let each = |truths| parts.iter().map(move |part| Goal::One(part, truths));
    let one = |truths| -> Choice<'a> { parts.iter().map(|part| vec![Goal::One(part, truths)]).collect() };
    let not_odd = even.or(Truths::UNKNOWN);
    match (wanted.has(even), wanted.has(Truths::UNKNOWN), wanted.has(odd)) {
        (true, true, true) => {}
        (false, false, false) => return false,
        (true, false, false) => goals.extend(each(even)),
        (true, true, false) => goals.extend(each(not_odd)),
        (false, false, true) => choices.push(one(odd)),
        (false, true, true) => choices.push(one(odd.or(Truths::UNKNOWN))),
        (false, true, false) => {
            goals.extend(each(not_odd));
            choices.push(one(Truths::UNKNOWN));
        }
        (true, false, true) => {
            let mut choice = one(odd);
            choice.push(each(even).collect());
            choices.push(choice);
        }
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::context::{EvaluationContext, Principal, Resource};
    use crate::policy::parse_policy;
    use crate::reason::OnlyBuiltIn;
    use crate::value::Value;
    use proptest::prelude::*;

    fn conditions() -> impl Strategy<Value = String> {
        let leaf =
            (prop::sample::select(vec!["a", "b"]), prop::sample::select(vec!["eq", "lt", "ne"]), 0..2_i64)
                .prop_map(|(name, op, value)| {
                    format!("{{attribute: context.{name}, op: {op}, value: {value}}}")
                });
        leaf.prop_recursive(3, 10, 3, |inner| {
            let list = prop::collection::vec(inner.clone(), 1..4).prop_map(|parts| parts.join(", "));
            prop_oneof![
                list.clone().prop_map(|parts| format!("{{all: [{parts}]}}")),
                list.prop_map(|parts| format!("{{any: [{parts}]}}")),
                inner.prop_map(|part| format!("{{not: {part}}}")),
            ]
        })
    }

    proptest! {
        /// Whatever is wanted of nested conditions: where a request gives it, it is possible, and a case holds that request.
        /// Over these few values it is also the other way round.
        #[test]
        fn what_a_request_gives_is_possible(first in conditions(), second in conditions()) {
            let text = format!(
                "apiVersion: policy.horizon.dev/v1\nkind: Policy\nmetadata: {{name: p}}\nspec:\n  principals: [{{type: any}}]\n  \
                 resources: [{{type: t, id: t}}]\n  actions: [use]\n  effect: deny\n  conditions: [{first}, {second}]\n"
            );
            let policy = parse_policy(&text).unwrap();
            let conditions = &policy.compiled()[0].conditions;
            let values = [None, Some(Value::from(-1)), Some(0.into()), Some(1.into()), Some(2.into()), Some("x".into())];
            let requests: Vec<EvaluationContext> = values
                .iter()
                .flat_map(|a| values.iter().map(move |b| (a, b)))
                .map(|(a, b)| {
                    let mut asked = EvaluationContext::new(Principal::user("u"), Resource::new("t", "t"), "use");
                    for (name, value) in [("a", a), ("b", b)] {
                        asked = value.iter().fold(asked, |asked, value| asked.with_attribute(name, value.clone()));
                    }
                    asked
                })
                .collect();
            let budget = Budget::new(u64::MAX);
            let facts = Facts::new(&OnlyBuiltIn);
            for bits in 1..8_u8 {
                let each = [(1, Truths::TRUE), (2, Truths::FALSE), (4, Truths::UNKNOWN)];
                let wanted = each.into_iter().filter(|(bit, _)| bits & bit != 0).fold(Truths::NONE, |all, (_, one)| all.or(one));
                let given = requests.iter().any(|asked| wanted.includes(crate::condition::all(conditions, asked)));
                let goals = [Goal::All(conditions, wanted)];
                let found = possible(&facts, &goals, &budget);
                prop_assert!(found || !given, "{:?} {}", wanted, text);
                prop_assert!(found == given || budget.was_cut(), "{:?} {}", wanted, text);
                prop_assert!(!given || !cases(&facts, &goals, &budget).is_empty());
            }
        }
    }
}
