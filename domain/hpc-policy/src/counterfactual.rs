//! What would have to change for a refusal to become an allow.
//!
//! Works over comparisons of numbers, flags and listed words. A candidate is only reported after the
//! changed request has been evaluated against the same rules and was allowed.

use std::collections::BTreeMap;

use crate::condition::{Condition, Leaf, Operand, Order, Test, Truth};
use crate::context::EvaluationContext;
use crate::decision::{AllowedIf, Change};
use crate::explain;
use crate::limits::ALLOWED_IF_MAX;
use crate::path::AttributePath;
use crate::rule::Rule;
use crate::value::{Value, View};

/// Near-miss rules considered for one refusal.
const PATHS_MAX: usize = 32;
/// Changed requests evaluated for one refusal, when there are few rules.
const TRIALS_MAX: usize = 256;
/// Rules looked at for one refusal; with many rules this lowers the number of trials.
const LOOKS_MAX: usize = 32_768;
/// Values tried for one attribute.
const CANDIDATES_MAX: usize = 16;

/// What one attribute must satisfy.
#[derive(Default, Clone)]
struct Need {
    at_least: Option<i64>,
    at_most: Option<i64>,
    one_of: Option<Vec<Value>>,
    none_of: Vec<Value>,
}

type Needs<'a> = BTreeMap<&'a AttributePath, Need>;

/// `allows` matched, `missed` failed on conditions, `denies` matched or could not be evaluated.
pub(crate) fn find(
    rules: &[&Rule],
    allows: &[&Rule],
    missed: &[&Rule],
    denies: &[&Rule],
    context: &EvaluationContext,
) -> Vec<AllowedIf> {
    let mut against = Needs::new();
    for rule in denies {
        // A deny without conditions, or one that no attribute can undo, is final.
        if !none_true(&rule.conditions, context, &mut against) {
            return Vec::new();
        }
    }
    let mut trials = TRIALS_MAX.min(LOOKS_MAX / rules.len().max(1)).max(2);
    let mut found: Vec<AllowedIf> = Vec::new();
    // One matched allow is as good as another: then only the denies stand in the way.
    for rule in allows.iter().take(1).chain(missed.iter().take(PATHS_MAX)) {
        let mut needs = against.clone();
        let reachable = rule.conditions.iter().all(|condition| require(condition, true, context, &mut needs));
        if !reachable || needs.is_empty() {
            continue;
        }
        if let Some(changes) = attempt(rules, &needs, context, &mut trials)
            && !found.iter().any(|known| known.changes == changes)
        {
            found.push(AllowedIf { rule: format!("{}/{}", rule.policy, rule.name), changes });
            if found.len() == ALLOWED_IF_MAX {
                break;
            }
        }
    }
    found
}

/// Makes the conjunction false by the cheapest of its parts.
fn none_true<'a>(conditions: &'a [Condition], context: &EvaluationContext, needs: &mut Needs<'a>) -> bool {
    let mut best: Option<Needs<'a>> = None;
    for condition in conditions {
        let mut attempt = needs.clone();
        if require(condition, false, context, &mut attempt)
            && best.as_ref().is_none_or(|known| attempt.len() < known.len())
        {
            best = Some(attempt);
        }
    }
    match best {
        Some(best) => {
            *needs = best;
            true
        }
        None => false,
    }
}

/// Adds what makes `condition` come out as `target`; false if nothing known does.
fn require<'a>(
    condition: &'a Condition,
    target: bool,
    context: &EvaluationContext,
    needs: &mut Needs<'a>,
) -> bool {
    let goal = if target { Truth::True } else { Truth::False };
    if condition.truth(context) == goal {
        return true;
    }
    match condition {
        Condition::Leaf(leaf) => compare(leaf, target, context, needs),
        Condition::Not(inner) => require(inner, !target, context, needs),
        Condition::All(inner) if target => inner.iter().all(|one| require(one, true, context, needs)),
        Condition::Any(inner) if !target => inner.iter().all(|one| require(one, false, context, needs)),
        Condition::All(inner) => none_true(inner, context, needs),
        Condition::Any(inner) => {
            for one in inner {
                let mut attempt = needs.clone();
                if require(one, true, context, &mut attempt) {
                    *needs = attempt;
                    return true;
                }
            }
            false
        }
    }
}

fn compare<'a>(leaf: &'a Leaf, target: bool, context: &EvaluationContext, needs: &mut Needs<'a>) -> bool {
    let secret = |path| context.lookup(path).is_some_and(|(_, secret)| secret);
    if secret(&leaf.path) || leaf.operand_path().is_some_and(secret) {
        return false;
    }
    let literal = |operand: &Operand| operand.resolve(context).ok().map(View::to_value);
    let mut need = needs.get(&leaf.path).cloned().unwrap_or_default();
    match &leaf.test {
        Test::Equal { operand, negated } => match literal(operand) {
            Some(value) if target != *negated => need.restrict(vec![value]),
            Some(value) => need.none_of.push(value),
            None => return false,
        },
        Test::In { operand, negated } => match literal(operand) {
            Some(Value::List(items)) if target != *negated => need.restrict(items),
            Some(Value::List(items)) => need.none_of.extend(items),
            _ => return false,
        },
        Test::Order { order, operand } => {
            let Some(Value::Integer(limit)) = literal(operand) else { return false };
            let bounded = match (order, target) {
                (Order::Greater, true) | (Order::LessOrEqual, false) => need.floor(limit.checked_add(1)),
                (Order::GreaterOrEqual, true) | (Order::Less, false) => need.floor(Some(limit)),
                (Order::Less, true) | (Order::GreaterOrEqual, false) => need.ceiling(limit.checked_sub(1)),
                (Order::LessOrEqual, true) | (Order::Greater, false) => need.ceiling(Some(limit)),
            };
            if !bounded {
                return false;
            }
        }
        Test::Range { min, max } if target => {
            need.floor(Some(*min));
            need.ceiling(Some(*max));
        }
        Test::Range { min, .. } => {
            if !need.ceiling(min.checked_sub(1)) {
                return false;
            }
        }
        _ => return false,
    }
    needs.insert(&leaf.path, need);
    true
}

impl Need {
    fn restrict(&mut self, values: Vec<Value>) {
        self.one_of = Some(match self.one_of.take() {
            None => values,
            Some(known) => known.into_iter().filter(|value| values.contains(value)).collect(),
        });
    }

    fn floor(&mut self, limit: Option<i64>) -> bool {
        if let Some(limit) = limit {
            self.at_least = Some(self.at_least.map_or(limit, |known| known.max(limit)));
        }
        limit.is_some()
    }

    fn ceiling(&mut self, limit: Option<i64>) -> bool {
        if let Some(limit) = limit {
            self.at_most = Some(self.at_most.map_or(limit, |known| known.min(limit)));
        }
        limit.is_some()
    }

    fn accepts(&self, value: &Value) -> bool {
        let in_bounds = match value {
            Value::Integer(number) => {
                self.at_least.is_none_or(|least| *number >= least)
                    && self.at_most.is_none_or(|most| *number <= most)
            }
            _ => self.at_least.is_none() && self.at_most.is_none(),
        };
        let listed = self.one_of.as_ref().is_none_or(|values| values.contains(value));
        in_bounds && listed && !self.none_of.contains(value)
    }

    /// Values to try, the nearest to `have` first.
    fn candidates(&self, have: Option<View<'_>>, words: &[Value]) -> Vec<Value> {
        let mut candidates: Vec<Value> = Vec::new();
        if let Some(values) = &self.one_of {
            candidates.extend(values.iter().cloned());
        } else {
            if let (Some(bound), _) | (None, Some(bound)) = (self.at_most, self.at_least) {
                let number = match have {
                    Some(View::Int(number)) => number,
                    _ => bound,
                };
                let clamped =
                    number.max(self.at_least.unwrap_or(i64::MIN)).min(self.at_most.unwrap_or(i64::MAX));
                candidates.push(Value::Integer(clamped));
            }
            for excluded in &self.none_of {
                match excluded {
                    Value::Bool(flag) => candidates.push(Value::Bool(!flag)),
                    Value::Integer(number) => {
                        candidates.extend(number.checked_sub(1).map(Value::Integer));
                        candidates.extend(number.checked_add(1).map(Value::Integer));
                    }
                    _ => {}
                }
            }
            candidates.extend(words.iter().cloned());
        }
        candidates.retain(|value| self.accepts(value));
        candidates.truncate(CANDIDATES_MAX);
        candidates
    }

    /// The need in words, for a value that satisfies it.
    fn text(&self, path: &AttributePath, value: &Value) -> String {
        match (self.at_least, self.at_most, value, &self.one_of) {
            (Some(least), Some(most), Value::Integer(_), None) if least == most => {
                format!("{path} == {least}")
            }
            (Some(least), Some(most), Value::Integer(_), None) => format!("{least} <= {path} <= {most}"),
            (Some(least), None, Value::Integer(_), None) => format!("{path} >= {least}"),
            (None, Some(most), Value::Integer(_), None) => format!("{path} <= {most}"),
            _ => format!("{path} == {value}"),
        }
    }
}

/// The first combination of candidate values that is allowed.
fn attempt(
    rules: &[&Rule],
    needs: &Needs<'_>,
    context: &EvaluationContext,
    trials: &mut usize,
) -> Option<Vec<Change>> {
    let mut options: Vec<(&AttributePath, &Need, Vec<Value>)> = Vec::new();
    for (path, need) in needs {
        let have = context.lookup(path).map(|(view, _)| view);
        let words = if need.none_of.is_empty() { Vec::new() } else { words(rules, path) };
        let candidates = need.candidates(have, &words);
        if candidates.is_empty() {
            return None;
        }
        options.push((path, need, candidates));
    }
    let mut changed = context.clone();
    for trial in 0.. {
        let mut changes = Vec::new();
        let mut rest = trial;
        for (path, need, candidates) in &options {
            let value = candidates.get(rest % candidates.len())?.clone();
            rest /= candidates.len();
            if !changed.replace(path, value.clone()) {
                return None;
            }
            changes.push(Change { attribute: path.to_string(), text: need.text(path, &value), value });
        }
        // Every combination has been tried, or the work is enough.
        if rest > 0 || *trials == 0 {
            return None;
        }
        *trials -= 1;
        if changed.check().is_ok() && explain::decide(rules.iter().copied(), &changed).is_allowed() {
            return Some(changes);
        }
    }
    None
}

/// Words that any rule compares `path` with: the finite set of values that can make a difference.
fn words(rules: &[&Rule], path: &AttributePath) -> Vec<Value> {
    fn collect(condition: &Condition, path: &AttributePath, out: &mut Vec<Value>) {
        match condition {
            Condition::All(inner) | Condition::Any(inner) => {
                inner.iter().for_each(|one| collect(one, path, out))
            }
            Condition::Not(inner) => collect(inner, path, out),
            Condition::Leaf(leaf) if leaf.path == *path && out.len() < CANDIDATES_MAX => {
                if let Test::Equal { operand: Operand::Literal(value), .. }
                | Test::In { operand: Operand::Literal(value), .. } = &leaf.test
                {
                    let items = match value {
                        Value::List(items) => items.as_slice(),
                        one => std::slice::from_ref(one),
                    };
                    for item in items {
                        if !out.contains(item) {
                            out.push(item.clone());
                        }
                    }
                }
            }
            Condition::Leaf(_) => {}
        }
    }
    let mut out = Vec::new();
    for condition in rules.iter().flat_map(|rule| &rule.conditions) {
        collect(condition, path, &mut out);
    }
    out
}
