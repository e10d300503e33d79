//! Small condition code: the plain comparisons of each rule, side by side in memory, over attributes that are looked up once.
//!
//! It only leaves rules out, and only those whose conditions say so by themselves; whatever passes is judged in full. So it
//! makes long lists of rules fast to read and has no say in what is true.

use crate::condition::{Condition, Operand, Order, Test};
use crate::context::EvaluationContext;
use crate::narrow::Names;
use crate::path::AttributePath;
use crate::rule::{Effect, Rule};
use crate::value::{Value, View};

/// Attributes that tests look at; comparisons of any other are left to the full judgement.
const SLOTS_MAX: usize = 64;
/// Tests kept for one rule: the first ones, as a rule is written.
const TESTS_OF_A_RULE_MAX: usize = 4;
/// The number of a string that no test compares with.
const NO_TEST: i64 = -1;

/// The tests of all rules of one effect.
#[derive(Debug)]
pub(crate) struct Prefilter {
    effect: Effect,
    paths: Vec<AttributePath>,
    /// Strings that tests compare with, by number.
    texts: Names<i64>,
    /// Where the tests of each rule begin, by its position, and one end after the last.
    starts: Vec<u32>,
    tests: Vec<SmallTest>,
}

#[derive(Debug, Clone, Copy)]
struct SmallTest {
    /// An integer, the number of a string, or 1 and 0 for true and false.
    value: i64,
    slot: u8,
    want: Want,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Want {
    Integer { less: bool, equal: bool, greater: bool },
    Text { equal: bool },
    Flag { equal: bool },
    Present(bool),
}

/// What a request holds at one attribute, as far as tests can tell.
#[derive(Debug, Clone, Copy)]
enum Held {
    /// Not looked up yet.
    Unread,
    Missing,
    Integer(i64),
    Text(i64),
    Flag(i64),
    /// Of a type that no test compares with.
    Other,
}

/// The attributes of one request, each looked up when it is first needed.
pub(crate) struct Slots([Held; SLOTS_MAX]);

impl Slots {
    pub(crate) fn new() -> Self {
        Self([Held::Unread; SLOTS_MAX])
    }
}

impl Prefilter {
    pub(crate) fn new(effect: Effect) -> Self {
        let (paths, texts) = (Vec::new(), Names::default());
        Self { effect, paths, texts, starts: Vec::new(), tests: Vec::new() }
    }

    /// Adds the tests of a rule; positions ascend.
    pub(crate) fn add(&mut self, position: u32, rule: &Rule) {
        // Positions between belong to rules of the other effect and have no tests.
        self.starts.resize(position as usize + 1, offset(self.tests.len()));
        let first = self.tests.len();
        for condition in &rule.conditions {
            self.add_condition(condition, first);
        }
    }

    /// After the last rule.
    pub(crate) fn finish(&mut self) {
        self.starts.push(offset(self.tests.len()));
    }

    fn add_condition(&mut self, condition: &Condition, first: usize) {
        match condition {
            Condition::All(inner) => inner.iter().for_each(|condition| self.add_condition(condition, first)),
            Condition::Leaf(leaf) => {
                let tests = self.small(&leaf.test);
                let room = self.tests.len() + tests.iter().flatten().count() <= first + TESTS_OF_A_RULE_MAX;
                let slot = if room && tests != [None, None] { self.slot(&leaf.path) } else { None };
                let Some(slot) = slot else { return };
                self.tests.extend(tests.into_iter().flatten().map(|(want, value)| SmallTest {
                    value,
                    slot,
                    want,
                }));
            }
            Condition::Any(_) | Condition::Not(_) => {}
        }
    }

    /// A comparison as one or two tests, both of which must hold; none if it is not a plain one.
    fn small(&mut self, test: &Test) -> [Option<(Want, i64)>; 2] {
        let integer = |less, equal, greater| Want::Integer { less, equal, greater };
        match test {
            Test::Exists(expected) => [Some((Want::Present(*expected), 0)), None],
            Test::Range { min, max } => {
                [Some((integer(false, true, true), *min)), Some((integer(true, true, false), *max))]
            }
            Test::Order { order, operand: Operand::Literal(Value::Integer(limit)) } => {
                let want = match order {
                    Order::Less => integer(true, false, false),
                    Order::LessOrEqual => integer(true, true, false),
                    Order::Greater => integer(false, false, true),
                    Order::GreaterOrEqual => integer(false, true, true),
                };
                [Some((want, *limit)), None]
            }
            Test::Equal { operand: Operand::Literal(value), negated } => {
                let one = match value {
                    Value::Integer(number) => (integer(*negated, !*negated, *negated), *number),
                    Value::Bool(flag) => (Want::Flag { equal: !*negated }, i64::from(*flag)),
                    Value::String(text) => {
                        let next = self.texts.len() as i64;
                        let number = *self.texts.entry(text.as_str().into()).or_insert(next);
                        (Want::Text { equal: !*negated }, number)
                    }
                    _ => return [None, None],
                };
                [Some(one), None]
            }
            _ => [None, None],
        }
    }

    fn slot(&mut self, path: &AttributePath) -> Option<u8> {
        let known = self.paths.iter().position(|known| known == path);
        let slot = known.unwrap_or(self.paths.len());
        if slot >= SLOTS_MAX {
            return None;
        }
        if known.is_none() {
            self.paths.push(path.clone());
        }
        u8::try_from(slot).ok()
    }

    /// Whether the rule at `position` may apply, as far as its tests tell: an allow rule needs all of them true, a deny rule
    /// none of them false.
    pub(crate) fn passes(&self, position: u32, context: &EvaluationContext, slots: &mut Slots) -> bool {
        let position = position as usize;
        let Some(&[start, end]) = self.starts.get(position..position + 2) else { return true };
        let tests = self.tests.get(start as usize..end as usize).unwrap_or_default();
        tests.iter().all(|test| {
            let Some(held) = slots.0.get_mut(usize::from(test.slot)) else { return true };
            if matches!(held, Held::Unread) {
                *held = self.read(test.slot, context);
            }
            test.holds(*held).unwrap_or(self.effect == Effect::Deny)
        })
    }

    fn read(&self, slot: u8, context: &EvaluationContext) -> Held {
        let Some(path) = self.paths.get(usize::from(slot)) else { return Held::Other };
        match context.lookup(path) {
            None => Held::Missing,
            Some((View::Int(number), _)) => Held::Integer(number),
            Some((View::Bool(flag), _)) => Held::Flag(i64::from(flag)),
            Some((View::Str(text), _)) => Held::Text(self.texts.get(text).copied().unwrap_or(NO_TEST)),
            Some(_) => Held::Other,
        }
    }
}

impl SmallTest {
    /// `None` where the comparison is unknown.
    fn holds(self, held: Held) -> Option<bool> {
        match (self.want, held) {
            (Want::Present(expected), held) => Some(!matches!(held, Held::Missing) == expected),
            (Want::Integer { less, equal, greater }, Held::Integer(number)) => Some(
                less && number < self.value
                    || equal && number == self.value
                    || greater && number > self.value,
            ),
            (Want::Text { equal }, Held::Text(number)) => Some((number == self.value) == equal),
            (Want::Flag { equal }, Held::Flag(number)) => Some((number == self.value) == equal),
            _ => None,
        }
    }
}

/// A set has far fewer tests than 32 bits count: 200,000 rules with at most four each.
fn offset(tests: usize) -> u32 {
    u32::try_from(tests).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::condition::Truth;
    use crate::context::{Principal, Resource};
    use crate::policy::parse_policy;

    fn condition() -> impl Strategy<Value = String> {
        let path = prop::sample::select(vec!["context.a", "context.b", "principal.id", "principal.roles"]);
        let number = (-2_i64..3).prop_map(|number| number.to_string());
        let literal = prop_oneof![
            number.clone(),
            prop::sample::select(vec!["x", "\"y\"", "alice", "true", "false"]).prop_map(str::to_owned),
        ];
        let test = prop_oneof![
            (prop::sample::select(vec!["gt", "gte", "lt", "lte"]), number)
                .prop_map(|(op, value)| format!("op: {op}, value: {value}")),
            (prop::sample::select(vec!["eq", "ne"]), literal)
                .prop_map(|(op, value)| format!("op: {op}, value: {value}")),
            (-2_i64..3, 0_i64..3)
                .prop_map(|(min, width)| format!("op: range, value: {{min: {min}, max: {}}}", min + width)),
            any::<bool>().prop_map(|flag| format!("op: exists, value: {flag}")),
            Just("op: in, value: [1, 2]".to_owned()),
            Just("op: eq, value_from: context.b".to_owned()),
        ];
        let leaf = (path, test).prop_map(|(path, test)| format!("{{attribute: {path}, {test}}}"));
        leaf.prop_recursive(2, 8, 3, |inner| {
            let several = prop::collection::vec(inner.clone(), 1..3).prop_map(|all| all.join(", "));
            prop_oneof![
                several.clone().prop_map(|all| format!("{{all: [{all}]}}")),
                several.prop_map(|all| format!("{{any: [{all}]}}")),
                inner.prop_map(|one| format!("{{not: {one}}}")),
            ]
        })
    }

    fn held() -> impl Strategy<Value = Option<Value>> {
        prop_oneof![
            3 => (-3_i64..4).prop_map(|number| Some(Value::from(number))),
            2 => prop::sample::select(vec!["x", "y", "z"]).prop_map(|text| Some(Value::from(text))),
            1 => any::<bool>().prop_map(|flag| Some(Value::from(flag))),
            1 => Just(Some(Value::from(vec!["x"]))),
            1 => Just(Some(Value::Opaque)),
            2 => Just(None),
        ]
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 2_048, failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn what_is_left_out_could_not_apply(
            rules in prop::collection::vec((any::<bool>(), prop::collection::vec(condition(), 1..3)), 1..6),
            a in held(),
            b in held(),
        ) {
            let mut text = "apiVersion: policy.horizon.dev/v1\nkind: Policy\nmetadata: {name: p}\nspec:\n  rules:\n".to_owned();
            for (number, (deny, conditions)) in rules.iter().enumerate() {
                let effect = if *deny { "deny" } else { "allow" };
                text.push_str(&format!(
                    "    - {{name: r{number}, effect: {effect}, principals: [{{type: any}}], \
                     resources: [{{type: t, pattern: \"**\"}}], actions: [use], conditions: [{}]}}\n",
                    conditions.join(", ")
                ));
            }
            let policy = parse_policy(&text).unwrap();
            let mut context =
                EvaluationContext::new(Principal::user("alice"), Resource::new("t", "t"), "use");
            for (name, value) in [("context.a", a), ("context.b", b)] {
                if let Some(value) = value {
                    context = context.with_attribute(name, value);
                }
            }
            for effect in [Effect::Allow, Effect::Deny] {
                let mut prefilter = Prefilter::new(effect);
                let mut slots = Slots::new();
                let of = || (0_u32..).zip(policy.compiled().iter()).filter(|(_, rule)| rule.effect == effect);
                of().for_each(|(position, rule)| prefilter.add(position, rule));
                prefilter.finish();
                for (position, rule) in of() {
                    let truth = rule.truth(&context);
                    let may_apply = truth == Truth::True || effect == Effect::Deny && truth == Truth::Unknown;
                    let passes = prefilter.passes(position, &context, &mut slots);
                    prop_assert!(passes || !may_apply, "{:?} is {truth:?}", rule.conditions);
                    // One plain comparison by itself is told exactly.
                    let [Condition::Leaf(leaf)] = &*rule.conditions else { continue };
                    let plain = leaf.operand_path().is_none() && leaf.operator != "in";
                    prop_assert!(!plain || passes == may_apply, "{} is {truth:?}", leaf.text);
                }
            }
        }
    }
}
