//! The two sets that are compared, and what their rules have to do with a decision.

use std::collections::{BTreeMap, BTreeSet};

use crate::analysis::report::Part;
use crate::analysis::same::meaning;
use crate::analysis::words::{Pattern, Shape};
use crate::condition::Truth;
use crate::context::EvaluationContext;
use crate::decision::Verdict;
use crate::rule::{Effect, Rule, Text};
use crate::set::PolicySet;

/// One set, and which of its rules the other one does not have.
pub(crate) struct Side<'a> {
    pub(crate) set: &'a PolicySet,
    pub(crate) rules: Vec<&'a Rule>,
    pub(crate) changed: Vec<bool>,
    by_name: BTreeMap<(&'a str, &'a str), usize>,
}

impl<'a> Side<'a> {
    pub(crate) fn empty(set: &'a PolicySet) -> Self {
        Self { set, rules: Vec::new(), changed: Vec::new(), by_name: BTreeMap::new() }
    }

    pub(crate) fn pair(old: &'a PolicySet, new: &'a PolicySet) -> (Self, Self) {
        let [old_meanings, new_meanings] =
            [old, new].map(|set| set.compiled().map(|(_, rule)| meaning(rule)).collect::<Vec<String>>());
        let side = |set: &'a PolicySet, own: &[String], other: &[String]| {
            let known: BTreeSet<&String> = other.iter().collect();
            let rules: Vec<&Rule> = set.compiled().map(|(_, rule)| rule).collect();
            let by_name =
                rules.iter().enumerate().map(|(place, rule)| ((&*rule.policy, &*rule.name), place)).collect();
            Self { set, rules, changed: own.iter().map(|text| !known.contains(text)).collect(), by_name }
        };
        (side(old, &old_meanings, &new_meanings), side(new, &new_meanings, &old_meanings))
    }

    pub(crate) fn changed_positions(&self) -> impl Iterator<Item = usize> + '_ {
        self.changed.iter().enumerate().filter(|(_, changed)| **changed).map(|(place, _)| place)
    }

    pub(crate) fn is_changed(&self, position: usize) -> bool {
        self.changed.get(position).copied().unwrap_or(false)
    }

    pub(crate) fn in_scope(&self, context: &EvaluationContext) -> (Vec<usize>, Vec<&'a Rule>) {
        let places: Vec<usize> = self.set.in_scope(context).into_iter().map(|place| place as usize).collect();
        let rules = places.iter().filter_map(|place| self.rules.get(*place).copied()).collect();
        (places, rules)
    }

    pub(crate) fn only(&self) -> usize {
        self.changed.iter().filter(|changed| **changed).count()
    }
}

/// The rules by which a set decides so.
pub(crate) fn responsible(
    side: &Side<'_>,
    verdict: Verdict,
    context: &EvaluationContext,
) -> Vec<(usize, Part)> {
    let (places, rules) = side.in_scope(context);
    let part = |rule: &Rule| match (verdict, rule.effect, rule.truth(context)) {
        (Verdict::Allow, Effect::Allow, Truth::True) => Some(Part::Allows),
        (Verdict::Deny, Effect::Deny, Truth::True | Truth::Unknown) => Some(Part::Denies),
        _ => None,
    };
    places.into_iter().zip(rules).filter_map(|(place, rule)| Some((place, part(rule)?))).collect()
}

/// Where nothing is responsible, the rules with the names of those that are on the other side.
pub(crate) fn with_counterparts(
    side: &Side<'_>,
    other: &Side<'_>,
    own: Vec<(usize, Part)>,
    others: &[(usize, Part)],
) -> Vec<(usize, Part)> {
    if !own.is_empty() {
        return own;
    }
    let name = |place: &usize| other.rules.get(*place).map(|rule| (&*rule.policy, &*rule.name));
    let found = others.iter().filter_map(|(place, _)| side.by_name.get(&name(place)?).copied());
    found.map(|place| (place, Part::DoesNothing)).collect()
}

/// Whether some request can be in the scope of both, by action and resource; principals can always be joined, but for ids.
pub(crate) fn can_meet(left: &Rule, right: &Rule) -> bool {
    let actions = left
        .actions
        .iter()
        .any(|own| right.actions.iter().any(|other| texts_meet(own, other, b'.', Shape::Name)));
    actions
        && left.resources.iter().any(|own| {
            right.resources.iter().any(|other| {
                let kinds = own.kind.is_none() || other.kind.is_none() || own.kind == other.kind;
                kinds && texts_meet(&own.id, &other.id, b'/', Shape::Path)
            })
        })
}

/// Whether some name matches both.
pub(crate) fn texts_meet(left: &Text, right: &Text, separator: u8, shape: Shape) -> bool {
    match (left, right) {
        (Text::Exact(left), right) => right.matches(left),
        (left, Text::Exact(right)) => left.matches(right),
        (Text::Glob(one), Text::Glob(other)) => {
            one.source() == "**"
                || other.source() == "**"
                || one == other
                || Pattern::of(left, separator).meets(&Pattern::of(right, separator), shape)
        }
    }
}
