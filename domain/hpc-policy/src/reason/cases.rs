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

/// The cases in which all `goals` are reached: at most [`REASON_CASES_MAX`], the last of which may leave goals out.
pub(crate) fn cases<'a>(facts: &Facts<'a>, goals: &[Goal<'a>], budget: &Budget) -> Vec<Facts<'a>> {
    let mut found = Vec::new();
    let mut branches = REASON_CASES_MAX;
    let _ = explore(facts.clone(), goals.to_vec(), Vec::new(), budget, &mut branches, &mut |facts| {
        found.push(facts);
        ControlFlow::Continue(())
    });
    found
}

/// Whether there may be a request for which all `goals` are reached. `false` is proved.
pub(crate) fn possible<'a>(facts: &Facts<'a>, goals: &[Goal<'a>], budget: &Budget) -> bool {
    let mut branches = REASON_CASES_MAX;
    explore(facts.clone(), goals.to_vec(), Vec::new(), budget, &mut branches, &mut |_| ControlFlow::Break(()))
        .is_break()
}

/// A choice between several lists of goals.
type Choice<'a> = Vec<Vec<Goal<'a>>>;

/// Visits every case, as long as there are branches left.
fn explore<'a>(
    mut facts: Facts<'a>,
    mut goals: Vec<Goal<'a>>,
    mut choices: Vec<Choice<'a>>,
    budget: &Budget,
    branches: &mut usize,
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
            if *branches == 0 || !budget.take(BRANCH_STEPS + facts.domains().count() as u64 * DOMAIN_STEPS) {
                budget.note_cut();
                return visit(facts);
            }
            *branches -= 1;
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
