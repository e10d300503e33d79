//! One rule against another: what a deny rule shadows, and what another rule does already.

use std::collections::BTreeMap;
use std::ops::ControlFlow;

use super::alone::Alone;
use super::finding::{Finding, FindingKind, OtherRule};
use crate::context::EvaluationContext;
use crate::obligation;
use crate::reason::{Budget, Facts, Goal, Truths, may_be_outside, possible, witness};
use crate::rule::{Effect, Rule};
use crate::set::PolicySet;

/// Which rules can go, and which of the rest do for them.
///
/// A rule goes only because of one that is still there. That one may go later, because of a third; then the third does for
/// both, because "applies whenever" and "covers the obligations of" carry over. So all can go together.
pub(super) struct Pairs<'a> {
    set: &'a PolicySet,
    budget: &'a Budget,
    pairs_max: u64,
    pairs: u64,
    /// Rules that can go; with the kind of finding and the rule because of which, but for those that are dead by themselves.
    gone: BTreeMap<u32, Option<(FindingKind, u32)>>,
}

impl<'a> Pairs<'a> {
    pub(super) fn new(set: &'a PolicySet, budget: &'a Budget, pairs_max: u64) -> Self {
        Self { set, budget, pairs_max, pairs: 0, gone: BTreeMap::new() }
    }

    /// This rule can go by itself.
    pub(super) fn remove(&mut self, position: u32) {
        self.gone.insert(position, None);
    }

    pub(super) fn looked_at(&self) -> u64 {
        self.pairs
    }

    /// Looks for another rule that makes this one do nothing.
    pub(super) fn compare(&mut self, position: u32, rule: &'a Rule, alone: &Alone<'a>) {
        let Some(example) = Example::of(rule, alone, self.budget) else {
            // Without an example there is no short list of rules to compare with.
            return self.budget.note_cut();
        };
        let looks: &[(Effect, FindingKind)] = match rule.effect {
            Effect::Allow => {
                &[(Effect::Deny, FindingKind::Shadowed), (Effect::Allow, FindingKind::Redundant)]
            }
            Effect::Deny => &[(Effect::Deny, FindingKind::Redundant)],
        };
        let found = looks.iter().find_map(|(effect, kind)| {
            let other = self.find(position, rule, *effect, alone, &example)?;
            Some((*kind, other))
        });
        if found.is_some() {
            self.gone.insert(position, found);
        }
    }

    /// A rule of `effect` that applies whenever `rule` does and, if it is of the same effect, covers its obligations.
    fn find(
        &mut self,
        position: u32,
        rule: &'a Rule,
        effect: Effect,
        alone: &Alone<'a>,
        example: &Example,
    ) -> Option<u32> {
        let mut found = None;
        let (set, budget) = (self.set, self.budget);
        let _ = set.visit(effect, &example.request, &mut |other_position, other| {
            if other_position == position || self.gone.contains_key(&other_position) {
                return ControlFlow::Continue(());
            }
            if self.pairs == self.pairs_max {
                budget.note_cut();
                return ControlFlow::Break(());
            }
            self.pairs += 1;
            let fits = (effect != rule.effect || covers(other, rule))
                && example.is_met_by(other)
                && surely_applies(alone, other, budget);
            if fits {
                found = Some(other_position);
                return ControlFlow::Break(());
            }
            ControlFlow::Continue(())
        });
        found
    }

    /// What was found about `rules`, each with a rule that stays as far as is known by now.
    pub(super) fn findings(&self, rules: impl Iterator<Item = (u32, &'a Rule)>) -> Vec<(u32, Finding)> {
        let mut findings = Vec::new();
        for (position, rule) in rules {
            let Some(Some((kind, first))) = self.gone.get(&position) else { continue };
            let mut other = *first;
            while let Some(Some((_, next))) = self.gone.get(&other) {
                other = *next;
            }
            if let Some(other) = self.set.rule(other) {
                findings.push((position, finding(*kind, rule, other)));
            }
        }
        findings
    }
}

fn finding(kind: FindingKind, rule: &Rule, other: &Rule) -> Finding {
    let named = OtherRule::of(other);
    let (problem, advice) = match (rule.effect, other.effect) {
        (Effect::Allow, Effect::Deny) => (
            format!("{named} denies whenever this rule allows, so it never has an effect"),
            "narrow the deny rule, or remove this one",
        ),
        (effect, _) => (
            format!(
                "{named} {} whenever this rule does, and its obligations and advice cover this one's, so it changes nothing",
                if effect == Effect::Allow { "allows" } else { "denies" }
            ),
            "remove it, or narrow the other rule; only owners and messages in explanations differ",
        ),
    };
    let mut finding = Finding::new(kind, rule, problem, advice);
    finding.others.push(named);
    finding
}

/// A request to which a rule applies, as far as one is found, so that most other rules can be passed over.
struct Example {
    request: EvaluationContext,
    /// The rule's conditions hold too.
    whole: bool,
}

impl Example {
    fn of(rule: &Rule, alone: &Alone<'_>, budget: &Budget) -> Option<Self> {
        let mut whole = alone.applies().iter().take(EXAMPLES_MAX).filter_map(|facts| witness(facts, budget));
        let applies = |request: &EvaluationContext| {
            rule.is_in_scope(request) && Truths::applying(rule.effect).includes(rule.truth(request))
        };
        if let Some(request) = whole.find(applies) {
            return Some(Self { request, whole: true });
        }
        let mut scope = alone.scope().iter().take(EXAMPLES_MAX).filter_map(|facts| witness(facts, budget));
        scope.find(|request| rule.is_in_scope(request)).map(|request| Self { request, whole: false })
    }

    fn is_met_by(&self, other: &Rule) -> bool {
        other.is_in_scope(&self.request)
            && (!self.whole || Truths::applying(other.effect).includes(other.truth(&self.request)))
    }
}

/// Cases in which an example is looked for.
const EXAMPLES_MAX: usize = 4;

/// `other` has its effect on every request on which the rule has its own.
fn surely_applies<'a>(alone: &Alone<'a>, other: &'a Rule, budget: &Budget) -> bool {
    let mut goals = alone.goals();
    goals.push(Goal::All(&other.conditions, Truths::applying(other.effect).others()));
    let fails = |facts: &Facts<'a>| may_be_outside(facts, other, budget) || possible(facts, &goals, budget);
    !alone.applies().iter().any(fails)
}

/// With `other`'s obligations and advice, `rule`'s add nothing.
fn covers(other: &Rule, rule: &Rule) -> bool {
    obligation::covers(&other.obligations, &rule.obligations)
        && obligation::covers(&other.advice, &rule.advice)
}
