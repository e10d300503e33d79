//! A slow, obvious evaluator, and the property that the real one always agrees with it.
//!
//! The reference works on its own model of policies, which is also written out as YAML for the real parser,
//! so parser, index and evaluator are all on trial. `fuzz/` asks the same of bytes that a fuzzer picks.

mod agree;
mod ask;
mod evaluate;
mod generate;
mod model;
mod write;

use std::cell::RefCell;
use std::collections::BTreeMap;

use proptest::collection::vec;
use proptest::prelude::any;
use proptest::test_runner::{Config, TestCaseError, TestRunner};

use generate::Choices;
pub(crate) use generate::OPERATORS;
use model::{Condition, Datum, Name, Request, Right, Rule, Test, Who, World};

type Tally = BTreeMap<String, usize>;

/// Runs `cases` worlds of up to `rules_max` rules and 8 requests each; what happened how often.
fn run(cases: u32, rules_max: usize, words: usize, keep: fn(&mut World)) -> Tally {
    let tally = RefCell::new(Tally::new());
    let mut runner = TestRunner::new(Config { failure_persistence: None, ..Config::with_cases(cases) });
    let outcome = runner.run(&(vec(any::<u64>(), words), vec(any::<u64>(), 60)), |(world, requests)| {
        let bytes = |words: &[u64]| words.iter().flat_map(|word| word.to_le_bytes()).collect::<Vec<u8>>();
        let mut world = generate::world(&mut Choices(&bytes(&world)), rules_max);
        keep(&mut world);
        let requests = bytes(&requests);
        let mut choices = Choices(&requests);
        let requests: Vec<Request> = (0..8).map(|_| generate::request(&mut choices)).collect();
        let sets = agree::Sets::of(&world).map_err(TestCaseError::fail)?;
        for request in &requests {
            let expected = sets.check(&world, request).map_err(TestCaseError::fail)?;
            let mut tally = tally.borrow_mut();
            let class = if expected.allowed {
                "allowed"
            } else if !expected.denied_by_unknown.is_empty() {
                "denied by an unknown"
            } else if expected
                .matched
                .iter()
                .any(|name| world.rules.iter().any(|rule| !rule.allow && rule.name == *name))
            {
                "denied by a rule"
            } else if expected.near_miss {
                "near miss"
            } else {
                "nothing allows"
            };
            *tally.entry(class.to_owned()).or_default() += 1;
            *tally.entry("with obligations".to_owned()).or_default() +=
                usize::from(!expected.obligations.is_empty());
            for rule in &world.rules {
                rule.conditions.iter().for_each(|condition| count(condition, request, &mut tally));
            }
        }
        Ok(())
    });
    if let Err(error) = outcome {
        panic!("{error}");
    }
    tally.into_inner()
}

/// Counts the truth of every leaf, by its operator.
fn count(condition: &Condition, request: &Request, tally: &mut Tally) {
    match condition {
        Condition::All(inner) | Condition::Any(inner) => {
            inner.iter().for_each(|one| count(one, request, tally));
        }
        Condition::Not(inner) => count(inner, request, tally),
        Condition::Leaf(_, test) => {
            let truth = evaluate::truth(condition, request);
            *tally.entry(format!("{} {truth:?}", test.operator())).or_default() += 1;
        }
    }
}

#[test]
fn the_engine_agrees_with_the_reference() {
    let tally = run(500, 6, 60, |_| {});
    let requests = 8 * 500;
    for (class, percent) in [
        ("allowed", 8),
        ("denied by an unknown", 2),
        ("denied by a rule", 4),
        ("near miss", 8),
        ("nothing allows", 10),
        ("with obligations", 10),
    ] {
        let found = tally.get(class).copied().unwrap_or(0);
        assert!(found * 100 >= percent * requests, "{class}: {found} of {requests}, {tally:#?}");
    }
    for operator in OPERATORS {
        for truth in ["Some(true)", "Some(false)", "None"] {
            let found = tally.get(&format!("{operator} {truth}")).copied().unwrap_or(0);
            let never = (operator, truth) == ("exists", "None");
            assert_eq!(found >= 10, !never, "{operator} {truth}: {found}");
        }
    }
}

/// Enough rules for the index to look at principals and resource ids.
#[test]
fn the_index_leaves_no_rule_out() {
    run(40, 120, 900, |_| {});
}

/// Among so many rules some deny nearly always decides; without them the allows do.
#[test]
fn the_index_leaves_no_allow_out() {
    let tally = run(40, 120, 900, |world| {
        world.rules.retain(|rule| rule.allow || rule.name == "r0");
    });
    assert!(tally["allowed"] >= 30, "{tally:#?}");
}

/// A few rules that matter among many that apply and never hold, so that one rule left out shows; half the time under an
/// allow for everybody, so that each deny counts.
#[test]
fn a_rule_among_many_that_never_hold_is_not_left_out() {
    run(150, 6, 90, |world| {
        let nobody = Test::With("eq", Right::Value(Datum::Text("nobody".to_owned())));
        let never = Condition::Leaf("principal.type".to_owned(), nobody);
        let everything = |name: String, allow: bool, conditions: Vec<Condition>| Rule {
            name,
            allow,
            principals: vec![Who::Any],
            resources: vec![("*".to_owned(), Name::Pattern("**".to_owned()))],
            actions: vec![Name::Pattern("**".to_owned())],
            conditions,
            obligations: BTreeMap::new(),
        };
        if world.rules.len() % 2 == 0 {
            world.rules.push(everything("open".to_owned(), true, Vec::new()));
        }
        for number in 0..20 {
            world.rules.push(everything(format!("noise{number}"), number % 2 == 0, vec![never.clone()]));
        }
    });
}
