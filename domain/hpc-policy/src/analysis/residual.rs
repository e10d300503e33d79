//! Conditions of which only some attributes are known.
//!
//! What is known is evaluated, the rest stays: a [`Residual`] is what a condition still asks. Under any request that
//! fills in the rest it has the truth that the condition itself has.

use crate::condition::{Condition, Leaf, Test, Truth};
use crate::context::EvaluationContext;
use crate::path::AttributePath;

/// A set of truth values.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Truths(u8);

impl Truths {
    pub(crate) const TRUE: Self = Self(1);
    pub(crate) const FALSE: Self = Self(2);
    pub(crate) const UNKNOWN: Self = Self(4);
    pub(crate) const EVERY: Self = Self(7);

    pub(crate) fn of(truth: Truth) -> Self {
        match truth {
            Truth::True => Self::TRUE,
            Truth::False => Self::FALSE,
            Truth::Unknown => Self::UNKNOWN,
        }
    }

    pub(crate) fn or(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// Whether one of `others` is among these.
    pub(crate) fn any_of(self, others: Self) -> bool {
        self.0 & others.0 != 0
    }

    /// Whether all of these are among `others`.
    pub(crate) fn within(self, others: Self) -> bool {
        self.0 & !others.0 == 0
    }

    fn negated(self) -> Self {
        Self(self.0 & 4 | (self.0 & 1) << 1 | (self.0 & 2) >> 1)
    }

    fn all(parts: impl Iterator<Item = Self>) -> Self {
        let (mut some_false, mut all_true, mut none_false, mut some_unknown) = (false, true, true, false);
        for part in parts {
            some_false |= part.any_of(Self::FALSE);
            all_true &= part.any_of(Self::TRUE);
            none_false &= part.any_of(Self::TRUE.or(Self::UNKNOWN));
            some_unknown |= part.any_of(Self::UNKNOWN);
        }
        Self(u8::from(all_true) | u8::from(some_false) << 1 | u8::from(none_false && some_unknown) << 2)
    }
}

/// The facts of a request so far. What is not open is as the context has it: missing, if it has nothing.
pub(crate) struct Facts<'a> {
    pub(crate) context: &'a EvaluationContext,
    /// Whether nothing is known of the attribute yet.
    pub(crate) open: &'a dyn Fn(&AttributePath) -> bool,
}

/// The truths that the conditions, which must all hold, can still have. May hold one too many, never one too few:
/// parts that ask for the same attribute are taken one by one.
pub(crate) fn possible(conditions: &[Condition], facts: &Facts<'_>) -> Truths {
    Truths::all(conditions.iter().map(|condition| truths(condition, facts)))
}

fn truths(condition: &Condition, facts: &Facts<'_>) -> Truths {
    match condition {
        Condition::Leaf(leaf) => match settled(leaf, facts) {
            Some(truth) => Truths::of(truth),
            None if matches!(leaf.test, Test::Exists(_)) => Truths::TRUE.or(Truths::FALSE),
            None => Truths::EVERY,
        },
        Condition::All(inner) => Truths::all(inner.iter().map(|one| truths(one, facts))),
        Condition::Any(inner) => Truths::all(inner.iter().map(|one| truths(one, facts).negated())).negated(),
        Condition::Not(inner) => truths(inner, facts).negated(),
    }
}

/// The truth of a comparison, if what is known decides it.
fn settled(leaf: &Leaf, facts: &Facts<'_>) -> Option<Truth> {
    let left_open = (facts.open)(&leaf.path);
    if matches!(leaf.test, Test::Exists(_)) {
        return (!left_open).then(|| leaf.truth(facts.context));
    }
    let right = leaf.operand_path();
    let missing = |path: &AttributePath| !(facts.open)(path) && facts.context.lookup(path).is_none();
    // A missing side leaves nothing to compare, whatever the other one is.
    if missing(&leaf.path) || right.is_some_and(missing) {
        return Some(Truth::Unknown);
    }
    if left_open || right.is_some_and(|path| (facts.open)(path)) {
        return None;
    }
    Some(leaf.truth(facts.context))
}

/// What a condition still asks.
#[derive(Debug)]
pub(crate) enum Residual<'a> {
    Known(Truth),
    Open(&'a Leaf),
    All(Vec<Residual<'a>>),
    Any(Vec<Residual<'a>>),
    Not(Box<Residual<'a>>),
}

/// What the conditions of a rule, which must all hold, still ask.
pub(crate) fn residual<'a>(conditions: &'a [Condition], facts: &Facts<'_>) -> Residual<'a> {
    join(conditions.iter().map(|one| reduce(one, facts)), Truth::True)
}

fn reduce<'a>(condition: &'a Condition, facts: &Facts<'_>) -> Residual<'a> {
    match condition {
        Condition::Leaf(leaf) => settled(leaf, facts).map_or(Residual::Open(leaf), Residual::Known),
        Condition::All(inner) => join(inner.iter().map(|one| reduce(one, facts)), Truth::True),
        Condition::Any(inner) => join(inner.iter().map(|one| reduce(one, facts)), Truth::False),
        Condition::Not(inner) => match reduce(inner, facts) {
            Residual::Known(truth) => Residual::Known(truth.negated()),
            Residual::Not(twice) => *twice,
            other => Residual::Not(Box::new(other)),
        },
    }
}

/// `all` if nothing in it is true, `any` if nothing in it is false: `neutral` changes nothing, its opposite decides.
fn join<'a>(parts: impl Iterator<Item = Residual<'a>>, neutral: Truth) -> Residual<'a> {
    let (mut kept, mut unknown) = (Vec::new(), false);
    for part in parts {
        match part {
            Residual::Known(Truth::Unknown) => unknown = true,
            Residual::Known(truth) if truth == neutral => {}
            Residual::Known(truth) => return Residual::Known(truth),
            Residual::All(inner) if neutral == Truth::True => kept.extend(inner),
            Residual::Any(inner) if neutral == Truth::False => kept.extend(inner),
            other => kept.push(other),
        }
    }
    if kept.is_empty() {
        return Residual::Known(if unknown { Truth::Unknown } else { neutral });
    }
    if unknown {
        kept.push(Residual::Known(Truth::Unknown));
    }
    match kept.len() {
        1 => kept.pop().unwrap_or(Residual::Known(neutral)),
        _ if neutral == Truth::True => Residual::All(kept),
        _ => Residual::Any(kept),
    }
}

impl Residual<'_> {
    /// The truths that it can have.
    pub(crate) fn possible(&self) -> Truths {
        match self {
            Self::Known(truth) => Truths::of(*truth),
            Self::Open(leaf) if matches!(leaf.test, Test::Exists(_)) => Truths::TRUE.or(Truths::FALSE),
            Self::Open(_) => Truths::EVERY,
            Self::All(parts) => Truths::all(parts.iter().map(Self::possible)),
            Self::Any(parts) => Truths::all(parts.iter().map(|part| part.possible().negated())).negated(),
            Self::Not(part) => part.possible().negated(),
        }
    }

    /// Its truth under a request that has the facts.
    #[cfg(test)]
    pub(crate) fn truth(&self, context: &EvaluationContext) -> Truth {
        let all = |truths: &mut dyn Iterator<Item = Truth>| {
            let mut whole = Truth::True;
            for truth in truths {
                match truth {
                    Truth::False => return Truth::False,
                    Truth::Unknown => whole = Truth::Unknown,
                    Truth::True => {}
                }
            }
            whole
        };
        match self {
            Self::Known(truth) => *truth,
            Self::Open(leaf) => leaf.truth(context),
            Self::All(parts) => all(&mut parts.iter().map(|part| part.truth(context))),
            Self::Any(parts) => all(&mut parts.iter().map(|part| part.truth(context).negated())).negated(),
            Self::Not(part) => part.truth(context).negated(),
        }
    }

    /// What must hold, one text each; empty if nothing is asked.
    pub(crate) fn words(&self, facts: &Facts<'_>) -> Vec<String> {
        match self {
            Self::Known(Truth::True) => Vec::new(),
            Self::All(parts) => parts.iter().map(|part| part.text(facts)).collect(),
            other => vec![other.text(facts)],
        }
    }

    fn text(&self, facts: &Facts<'_>) -> String {
        let joined = |parts: &[Self], word: &str| {
            let texts: Vec<String> = parts.iter().map(|part| part.text(facts)).collect();
            format!("({})", texts.join(word))
        };
        match self {
            Self::Known(Truth::True) => "always".to_owned(),
            Self::Known(Truth::False) => "never".to_owned(),
            Self::Known(Truth::Unknown) => "what cannot be known, because an attribute is missing".to_owned(),
            Self::Open(leaf) => comparison(leaf, facts),
            Self::All(parts) => joined(parts, " and "),
            Self::Any(parts) => joined(parts, " or "),
            Self::Not(part) => match &**part {
                Self::Open(leaf) => format!("not ({})", comparison(leaf, facts)),
                other => format!("not {}", other.text(facts)),
            },
        }
    }
}

/// The comparison as a reader sees it, with the other attribute's value where it is known and no secret.
fn comparison(leaf: &Leaf, facts: &Facts<'_>) -> String {
    let known = |path: &AttributePath| match facts.context.lookup(path) {
        Some((view, false)) if !(facts.open)(path) => Some(view.to_seen()),
        _ => None,
    };
    if let Some(path) = leaf.operand_path()
        && let Some(value) = known(path)
        && let Some(front) = leaf.text.strip_suffix(&*leaf.want)
    {
        return format!("{front}{value}");
    }
    match known(&leaf.path) {
        // The left side is known, the right side is not.
        Some(value) => leaf
            .text
            .strip_prefix(&*leaf.path.to_string())
            .map_or_else(|| leaf.text.to_string(), |rest| format!("{value}{rest}")),
        None => leaf.text.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::context::{Principal, Resource};
    use crate::policy::{Policy, parse_policy};
    use crate::value::Value;
    use proptest::prelude::*;

    const NAMES: [&str; 3] = ["a", "b", "c"];

    fn policy(conditions: &[String]) -> Policy {
        parse_policy(&format!(
            "apiVersion: policy.horizon.dev/v1\nkind: Policy\nmetadata: {{name: p}}\nspec:\n  effect: allow\n  \
             principals: [{{type: any}}]\n  resources: [{{type: thing, pattern: \"**\"}}]\n  actions: [use]\n  conditions: [{}]\n",
            conditions.join(", ")
        ))
        .unwrap()
    }

    fn condition() -> impl Strategy<Value = String> {
        let name = proptest::sample::select(&NAMES[..]);
        let leaf = prop_oneof![
            3 => (name.clone(), proptest::sample::select(&["eq", "lt", "gte"][..]), 0..3_i64)
                .prop_map(|(name, op, limit)| format!("{{attribute: context.{name}, op: {op}, value: {limit}}}")),
            2 => (name.clone(), name.clone())
                .prop_map(|(left, right)| format!("{{attribute: context.{left}, op: eq, value_from: context.{right}}}")),
            1 => name.prop_map(|name| format!("{{attribute: context.{name}, op: exists}}")),
        ];
        leaf.prop_recursive(3, 10, 3, |inner| {
            let list = |items: Vec<String>| items.join(", ");
            prop_oneof![
                prop::collection::vec(inner.clone(), 1..3)
                    .prop_map(move |items| format!("{{all: [{}]}}", list(items))),
                prop::collection::vec(inner.clone(), 1..3)
                    .prop_map(move |items| format!("{{any: [{}]}}", list(items))),
                inner.prop_map(|one| format!("{{not: {one}}}")),
            ]
        })
    }

    fn context(values: &[Option<Value>; 3]) -> EvaluationContext {
        let asked = EvaluationContext::new(Principal::user("ann"), Resource::new("thing", "t"), "use");
        NAMES.iter().zip(values).fold(asked, |asked, (name, value)| match value {
            Some(value) => asked.with_attribute(*name, value.clone()),
            None => asked,
        })
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2_000))]

        /// Whatever the open attributes turn out to be, what is left of the conditions has the truth of the conditions.
        #[test]
        fn what_is_left_has_the_same_truth(
            conditions in prop::collection::vec(condition(), 1..3),
            values in prop::array::uniform3(prop_oneof![
                2 => Just(None),
                5 => (0..3_i64).prop_map(|number| Some(Value::from(number))),
                1 => Just(Some(Value::from("text"))),
            ]),
            open in prop::array::uniform3(any::<bool>()),
        ) {
            let policy = policy(&conditions);
            let rule = &policy.compiled()[0];
            let whole = context(&values);
            // The facts know nothing of open attributes, not even by accident.
            let mut facts = whole.clone();
            for (name, open) in NAMES.iter().zip(open) {
                if open {
                    facts = facts.with_attribute(*name, 99);
                }
            }
            let is_open = |path: &AttributePath| {
                NAMES.iter().zip(open).any(|(name, open)| open && path.to_string() == format!("context.{name}"))
            };
            let facts = Facts { context: &facts, open: &is_open };
            let left = residual(&rule.conditions, &facts);
            let truth = rule.truth(&whole);
            prop_assert_eq!(left.truth(&whole), truth, "{:?}", left);
            prop_assert!(left.possible().any_of(Truths::of(truth)));
            prop_assert!(possible(&rule.conditions, &facts).any_of(Truths::of(truth)));
            if !open.contains(&true) {
                prop_assert!(matches!(left, Residual::Known(_)));
            }
        }
    }

    #[test]
    fn what_is_left_is_said_in_words() {
        let conditions = [
            "{attribute: context.a, op: lt, value: 3}",
            "{any: [{attribute: context.b, op: eq, value: 1}, {not: {attribute: context.c, op: exists}}]}",
            "{attribute: context.b, op: eq, value_from: context.a}",
        ];
        let policy = policy(&conditions.map(str::to_owned));
        let facts = context(&[Some(Value::from(1)), None, None]);
        let is_open = |path: &AttributePath| path.to_string() != "context.a";
        let facts = Facts { context: &facts, open: &is_open };
        let left = residual(&policy.compiled()[0].conditions, &facts);
        assert_eq!(left.words(&facts), ["(context.b == 1 or not (context.c exists))", "context.b == 1"]);
    }

    #[test]
    fn a_secret_is_not_said() {
        let policy = policy(&["{attribute: context.b, op: eq, value_from: context.a}".to_owned()]);
        let facts = EvaluationContext::new(Principal::user("ann"), Resource::new("thing", "t"), "use")
            .with_secret_attribute("a", "s3cret");
        let is_open = |path: &AttributePath| path.to_string() == "context.b";
        let facts = Facts { context: &facts, open: &is_open };
        let left = residual(&policy.compiled()[0].conditions, &facts);
        assert_eq!(left.words(&facts), ["context.b == context.a"]);
    }
}
