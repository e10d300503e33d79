//! Values for the attributes of one question that make two sets decide it differently.
//!
//! Attributes are given values one after another; as soon as what is known rules the difference out, no further value is
//! tried. Rules that what is known settles for nothing are left behind.

use std::collections::{BTreeMap, BTreeSet};

use crate::analysis::attributes::{Attributes, each_leaf};
use crate::analysis::residual::{Facts, Truths, possible};
use crate::condition::{Condition, Leaf, Truth};
use crate::context::EvaluationContext;
use crate::decision::Verdict;
use crate::limits::DIFF_LOOKS_OF_ONE_MAX;
use crate::obligation;
use crate::path::AttributePath;
use crate::rule::{Effect, Rule};
use crate::value::Value;

/// What is looked for: the verdict on the side of the changed rule and on the other side. Two allows: with other
/// obligations.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Goal {
    /// The changed rule denies what the other side allows.
    Denies,
    /// The changed rule allows what the other side denies.
    Allows,
    /// The changed rule allows with other obligations than the other side.
    Obliges,
}

/// What came of the search.
#[derive(Debug)]
pub(crate) enum Solved {
    /// A question that is decided differently.
    Found(Box<EvaluationContext>),
    /// There is none.
    Nothing,
    /// The search was cut short, or the values may not be all.
    Unsure(&'static str),
}

/// One search.
pub(crate) struct Search<'a> {
    goal: Goal,
    seed: &'a Rule,
    domains: BTreeMap<&'a AttributePath, Vec<Option<Value>>>,
    order: Vec<&'a AttributePath>,
    cut: bool,
    /// How many rules and conditions were looked at.
    pub(crate) looks: u64,
}

/// Whether a value keeps to what schemas declare; those that do are tried first.
pub(crate) type Usual<'a> = &'a dyn Fn(&AttributePath, &Value) -> bool;

const VALUES: &str = "the attributes of one combination have too many values to try all";

/// Looks for attributes that reach the goal for the question `base`; `here` and `there` are the rules in its scope on the
/// side of `seed`, which is among them, and on the other side.
pub(crate) fn solve<'a>(
    goal: Goal,
    seed: &'a Rule,
    here: &[&'a Rule],
    there: &[&'a Rule],
    base: EvaluationContext,
    usual: Usual<'_>,
    looks: &mut u64,
) -> Solved {
    let mut leaves: Vec<&Leaf> = Vec::new();
    each_leaf(&seed.conditions, &mut |leaf| leaves.push(leaf));
    let own: BTreeSet<&AttributePath> =
        leaves.iter().flat_map(|leaf| std::iter::once(&leaf.path).chain(leaf.operand_path())).collect();
    for rule in here.iter().chain(there) {
        each_leaf(&rule.conditions, &mut |leaf| leaves.push(leaf));
    }
    let attributes = Attributes::of(&leaves, Some(&base));
    let mut gap = None;
    let mut domains = BTreeMap::new();
    for path in attributes.free() {
        let domain = attributes.domain(path);
        gap = gap.or(domain.gap);
        let (mut first, rest): (Vec<_>, Vec<_>) =
            domain.values.into_iter().partition(|value| usual(path, value));
        // A changed rule asks for its attributes; the others are better left out of an example.
        let missing = if own.contains(path) { first.len() } else { 0 };
        let mut values: Vec<Option<Value>> = first.drain(..).map(Some).collect();
        values.insert(missing, None);
        values.extend(rest.into_iter().map(Some));
        domains.insert(path, values);
    }
    let (mut order, rest): (Vec<&AttributePath>, Vec<_>) =
        attributes.free().partition(|path| own.contains(path));
    order.extend(rest);
    let mut search = Search { goal, seed, domains, order, cut: false, looks: 0 };
    let mut open: BTreeSet<&AttributePath> = search.order.iter().copied().collect();
    let mut context = base;
    let found = search.descend(&mut context, &mut open, here, there);
    *looks = looks.saturating_add(search.looks);
    match (found, search.cut, gap) {
        (true, ..) => Solved::Found(Box::new(context)),
        (false, true, _) => Solved::Unsure(VALUES),
        (false, false, Some(gap)) => Solved::Unsure(gap),
        (false, false, None) => Solved::Nothing,
    }
}

/// What the rules of one side can still come to.
struct Outlook<'a> {
    left: Vec<&'a Rule>,
    can_allow: bool,
    can_deny: bool,
}

impl<'a> Search<'a> {
    fn descend(
        &mut self,
        context: &mut EvaluationContext,
        open: &mut BTreeSet<&'a AttributePath>,
        here: &[&'a Rule],
        there: &[&'a Rule],
    ) -> bool {
        if self.looks > DIFF_LOOKS_OF_ONE_MAX {
            self.cut = true;
            return false;
        }
        let (next, here, there) = {
            let is_open = |path: &AttributePath| open.contains(path);
            let facts = Facts { context, open: &is_open };
            self.looks += work(self.seed);
            let of_seed = possible(&self.seed.conditions, &facts);
            let wanted = match self.goal {
                Goal::Denies => Truths::TRUE.or(Truths::UNKNOWN),
                Goal::Allows | Goal::Obliges => Truths::TRUE,
            };
            if !of_seed.any_of(wanted) {
                return false;
            }
            let here = outlook(here, &facts, &mut self.looks);
            let there = outlook(there, &facts, &mut self.looks);
            let reachable = match self.goal {
                Goal::Denies => here.can_deny && there.can_allow,
                Goal::Allows => here.can_allow && there.can_deny,
                Goal::Obliges => here.can_allow && there.can_allow,
            };
            if !reachable {
                return false;
            }
            let mut asked: BTreeSet<&AttributePath> = BTreeSet::new();
            for rule in here.left.iter().chain(&there.left) {
                each_leaf(&rule.conditions, &mut |leaf| {
                    asked.extend(std::iter::once(&leaf.path).chain(leaf.operand_path()));
                });
            }
            let next = self.order.iter().copied().find(|path| open.contains(path) && asked.contains(path));
            (next, here.left, there.left)
        };
        let Some(path) = next else {
            return reached(self.goal, self.seed, &here, &there, context);
        };
        open.remove(path);
        for value in self.domains.get(path).cloned().unwrap_or_default() {
            context.put(path, value);
            if self.descend(context, open, &here, &there) {
                return true;
            }
            if self.cut {
                break;
            }
        }
        context.put(path, None);
        open.insert(path);
        false
    }
}

/// What a look at a rule costs.
fn work(rule: &Rule) -> u64 {
    1 + rule.conditions.len() as u64
}

fn outlook<'a>(rules: &[&'a Rule], facts: &Facts<'_>, looks: &mut u64) -> Outlook<'a> {
    let mut left = Vec::with_capacity(rules.len());
    let (mut denies_surely, mut denies_perhaps, mut allows_surely, mut allows_perhaps) =
        (false, false, false, false);
    *looks += rules.iter().map(|rule| work(rule)).sum::<u64>();
    for rule in rules {
        let truths = possible(&rule.conditions, facts);
        match rule.effect {
            Effect::Deny => {
                let applies = Truths::TRUE.or(Truths::UNKNOWN);
                if !truths.any_of(applies) {
                    continue;
                }
                denies_perhaps = true;
                denies_surely |= truths.within(applies);
            }
            Effect::Allow => {
                if !truths.any_of(Truths::TRUE) {
                    continue;
                }
                allows_perhaps = true;
                allows_surely |= truths.within(Truths::TRUE);
            }
        }
        left.push(*rule);
    }
    Outlook { left, can_allow: allows_perhaps && !denies_surely, can_deny: denies_perhaps || !allows_surely }
}

/// Whether the rules in scope, all attributes known, come to the goal.
pub(crate) fn reached(
    goal: Goal,
    seed: &Rule,
    here: &[&Rule],
    there: &[&Rule],
    context: &EvaluationContext,
) -> bool {
    let holds = match seed.effect {
        Effect::Allow => seed.truth(context) == Truth::True,
        Effect::Deny => seed.truth(context) != Truth::False,
    };
    let verdicts = || (verdict(here, context), verdict(there, context));
    holds
        && match goal {
            Goal::Denies => verdicts() == (Verdict::Deny, Verdict::Allow),
            Goal::Allows => verdicts() == (Verdict::Allow, Verdict::Deny),
            Goal::Obliges => {
                verdicts() == (Verdict::Allow, Verdict::Allow)
                    && duties(here, context) != duties(there, context)
            }
        }
}

fn verdict(rules: &[&Rule], context: &EvaluationContext) -> Verdict {
    crate::explain::decide(rules.iter().copied(), context)
}

/// The obligations of the allows that hold; lists as sets, and one text as a list of it.
pub(crate) fn duties(rules: &[&Rule], context: &EvaluationContext) -> BTreeMap<String, Value> {
    let mut merged = BTreeMap::new();
    for rule in rules.iter().filter(|rule| rule.effect == Effect::Allow) {
        if rule.truth(context) == Truth::True {
            obligation::merge(&mut merged, &rule.obligations);
        }
    }
    comparable(merged)
}

/// Obligations so that two are equal exactly if they ask for the same.
pub(crate) fn comparable(obligations: BTreeMap<String, Value>) -> BTreeMap<String, Value> {
    obligations
        .into_iter()
        .map(|(name, value)| {
            let value = match value {
                Value::String(text) => Value::List(vec![Value::String(text)]),
                Value::List(mut items) => {
                    items.sort_by_cached_key(|item| format!("{item:?}"));
                    items.dedup();
                    Value::List(items)
                }
                other => other,
            };
            (name, value)
        })
        .collect()
}

/// Whether conditions look at attributes that follow from who asks what of which thing.
pub(crate) fn looks_at_names(conditions: &[Condition]) -> bool {
    let mut found = false;
    each_leaf(conditions, &mut |leaf| {
        let mut paths = std::iter::once(&leaf.path).chain(leaf.operand_path());
        found |= paths.any(|path| !crate::analysis::attributes::is_free(path));
    });
    found
}
