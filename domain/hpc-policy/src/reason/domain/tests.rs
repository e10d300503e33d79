//! Every comparison against every wish, on every kind of value.

use super::*;
use crate::condition::{Condition, Leaf, Truth};
use crate::context::{EvaluationContext, Principal, Resource};
use crate::policy::{Policy, parse_policy};
use proptest::prelude::*;

/// Comparisons of `context.a`, one rule each.
fn comparisons(rests: &[&str]) -> Policy {
    let mut text =
        "apiVersion: policy.horizon.dev/v1\nkind: Policy\nmetadata: {name: p}\nspec:\n  rules:\n".to_owned();
    for (number, rest) in rests.iter().enumerate() {
        text.push_str(&format!(
                "    - {{name: r{number}, effect: deny, principals: [{{type: any}}], resources: [{{type: t, id: t}}], \
                 actions: [use], conditions: [{{attribute: context.a, {rest}}}]}}\n"
            ));
    }
    parse_policy(&text).unwrap()
}

fn leaf(policy: &Policy, number: usize) -> &Leaf {
    match &policy.compiled()[number].conditions[0] {
        Condition::Leaf(leaf) => leaf,
        _ => panic!("one comparison"),
    }
}

const RESTS: [&str; 35] = [
    // Every release, and no pre-release.
    "op: semver, value: '*'",
    "op: eq, value: 1",
    "op: ne, value: 1",
    "op: eq, value: p",
    "op: ne, value: q",
    "op: eq, value: true",
    "op: ne, value: true",
    "op: eq, value: {ip: 10.0.0.1}",
    "op: ne, value: {ip: 10.0.0.1}",
    "op: eq, value: {timestamp: \"2026-11-02T10:00:00Z\"}",
    "op: lt, value: 1",
    "op: lte, value: 1",
    "op: gt, value: 1",
    "op: gte, value: 1",
    "op: lt, value: {timestamp: \"2026-11-02T10:00:00Z\"}",
    "op: gte, value: {timestamp: \"2026-11-02T10:00:00Z\"}",
    "op: in, value: [0, 1]",
    "op: not_in, value: [1, 2]",
    "op: in, value: [p, q]",
    "op: not_in, value: [p]",
    "op: in, value: [{ip: 10.0.0.1}, {ip: \"::1\"}]",
    "op: contains, value: 1",
    "op: contains, value: p",
    "op: contains, value: true",
    "op: contains, value: {ip: 10.0.0.1}",
    "op: starts_with, value: p",
    "op: ends_with, value: q",
    "op: glob, value: 'p*'",
    "op: exists",
    "op: exists, value: false",
    "op: cidr, value: [10.0.0.0/31, \"::/0\"]",
    "op: semver, value: '>=1.2.0, <2.0.0'",
    "op: semver, value: '>=1.2.3-rc.0'",
    "op: range, value: {min: 0, max: 1}",
    "op: time_window, value: {days: [mon], from: '09:00', to: '17:00'}",
];

/// Something of every type, near what the comparisons compare with.
fn states() -> Vec<Option<Value>> {
    let time = |text: &str| Value::Timestamp(text.parse().unwrap());
    let ip = |text: &str| Value::Ip(text.parse().unwrap());
    let mut all = vec![None, Some(Value::Opaque)];
    all.extend((-1..4_i64).map(|number| Some(number.into())));
    for text in [
        "",
        "p",
        "q",
        "pq",
        "pp",
        "p/q",
        "10.0.0.1",
        "10.0.0.2",
        "::1",
        "1.2.3",
        "1.2.3-rc.1",
        "1.0.0",
        "2.0.0-a",
    ] {
        all.push(Some(text.into()));
    }
    all.extend([true, false].map(|flag| Some(flag.into())));
    for at in ["2026-11-02T10:00:00Z", "2026-11-02T08:59:59Z", "2026-11-02T12:00:00Z", "2026-11-03T10:00:00Z"]
    {
        all.push(Some(time(at)));
    }
    all.extend(["10.0.0.1", "::ffff:10.0.0.1", "10.0.0.2", "::1"].map(|text| Some(ip(text))));
    let lists: Vec<Vec<Value>> = vec![
        vec![],
        vec![1.into()],
        vec![2.into()],
        vec!["p".into()],
        vec!["q".into()],
        vec![true.into()],
        vec![false.into()],
        vec![ip("10.0.0.1")],
        vec![ip("::1")],
        vec![time("2026-11-02T10:00:00Z")],
        vec![Value::Opaque],
    ];
    all.extend(lists.into_iter().map(|list| Some(Value::List(list))));
    all
}

fn truths(bits: u8) -> Truths {
    let each = [(1, Truths::TRUE), (2, Truths::FALSE), (4, Truths::UNKNOWN)];
    each.into_iter().filter(|(bit, _)| bits & bit != 0).fold(Truths::NONE, |all, (_, one)| all.or(one))
}

fn truth(leaf: &Leaf, state: &Option<Value>) -> Truth {
    let asked = EvaluationContext::new(Principal::user("u"), Resource::new("t", "t"), "use");
    leaf.truth(&state.iter().fold(asked, |asked, value| asked.with_attribute("a", value.clone())))
}

/// Every pair of comparisons with every pair of wishes: if a state fits both, something is left; and if nothing is left of
/// one wish alone, no state fits it.
#[test]
fn no_state_is_lost() {
    let policy = comparisons(&RESTS);
    let states = states();
    let fits: Vec<Vec<Truth>> = (0..RESTS.len())
        .map(|n| states.iter().map(|state| truth(leaf(&policy, n), state)).collect())
        .collect();
    let budget = Budget::new(u64::MAX);
    let (mut nothing, mut missed) = (0, 0);
    for (left, right) in (0..RESTS.len()).flat_map(|left| (left..RESTS.len()).map(move |right| (left, right)))
    {
        for wishes in 0..64_u8 {
            let (one, two) = (truths(wishes & 7), truths(wishes >> 3));
            let mut domain = Domain::anything();
            domain.narrow(&leaf(&policy, left).test, one);
            domain.narrow(&leaf(&policy, right).test, two);
            let fitting = (0..states.len())
                .find(|state| one.includes(fits[left][*state]) && two.includes(fits[right][*state]));
            match (domain.is_possible(&budget), fitting) {
                (false, Some(state)) => {
                    panic!("{} {one:?}, {} {two:?}: {:?}", RESTS[left], RESTS[right], states[state])
                }
                (false, None) => nothing += 1,
                (true, None) => missed += 1,
                (true, Some(_)) => {}
            }
        }
    }
    println!("{nothing} pairs of wishes exclude each other and are seen to, at most {missed} more are not");
    assert!(nothing > 10 * missed, "{nothing} {missed}");
}

proptest! {
    #[test]
    fn no_state_is_lost_among_many(wishes in prop::collection::vec((0..RESTS.len(), 1..7_u8), 1..6)) {
        let policy = comparisons(&RESTS);
        let mut domain = Domain::anything();
        for (number, wanted) in &wishes {
            domain.narrow(&leaf(&policy, *number).test, truths(*wanted));
        }
        let budget = Budget::new(u64::MAX);
        let fits = |state: &Option<Value>| {
            wishes.iter().all(|(number, wanted)| truths(*wanted).includes(truth(leaf(&policy, *number), state)))
        };
        let fitting = states().into_iter().find(fits);
        prop_assert!(fitting.is_none() || domain.is_possible(&budget), "{:?}", fitting);
        // An example is one, but for what is not told apart exactly.
        if let Some(sample) = domain.sample(&budget)
            && !wishes.iter().any(|(number, _)| RESTS[*number].contains("rc.0"))
        {
            prop_assert!(fits(&sample), "{:?}", sample);
        }
    }
}
