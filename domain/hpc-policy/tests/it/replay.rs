//! Recorded decisions against other policies.

use hpc_policy::{
    EvaluationContext, LoggedDecision, PolicySet, Principal, RecordedDecision, Resource, Value, Verdict,
    replay,
};
use jiff::Timestamp;
use proptest::prelude::*;

use crate::{policy, policy_of, rule};

fn at() -> Timestamp {
    "2026-11-02T10:00:00Z".parse().unwrap()
}

fn set(text: &str) -> PolicySet {
    PolicySet::parse_documents([("p.yaml", text)]).unwrap()
}

fn asked(hours: i64) -> EvaluationContext {
    EvaluationContext::new(Principal::user("alice"), Resource::new("thing", "things/a"), "use")
        .with_attribute("hours", hours)
}

fn logged(index: u64, set: &PolicySet, asked: &EvaluationContext, understood: &[&str]) -> LoggedDecision {
    let decision = set.evaluate(asked).deny_unless_understood(understood);
    let decision = RecordedDecision::of(asked, &decision, understood).map_err(|error| error.to_string());
    LoggedDecision { index, at: at(), decision }
}

#[test]
fn flips_are_named_with_the_reasons_of_both() {
    let old = set(&policy("allow", &["{attribute: context.hours, op: lte, value: 8}"]));
    let new = set(&policy("allow", &["{attribute: context.hours, op: range, value: {min: 4, max: 12}}"]));
    let log: Vec<LoggedDecision> = [2, 4, 8, 9, 12, 13]
        .iter()
        .zip(0..)
        .map(|(hours, index)| logged(index, &old, &asked(*hours), &[]))
        .collect();
    let report = replay(log.clone(), &new);
    assert_eq!((report.decisions, report.same, report.allow_to_deny, report.deny_to_allow), (6, 3, 1, 2));
    let flips: Vec<_> = report.flips.iter().map(|flip| (flip.index, flip.from, flip.to)).collect();
    assert_eq!(
        flips,
        [
            (0, Verdict::Allow, Verdict::Deny),
            (3, Verdict::Deny, Verdict::Allow),
            (4, Verdict::Deny, Verdict::Allow)
        ]
    );
    let first = &report.flips[0];
    assert_eq!(
        (first.principal.as_str(), first.action.as_str(), first.resource.as_str()),
        ("user:alice", "use", "thing things/a")
    );
    assert_eq!(first.reasons_then, ["allowed by `p/r`"]);
    assert!(first.reasons_now[0].contains("context.hours"), "{:?}", first.reasons_now);
    assert_eq!((first.digest.as_str(), &*report.candidate), (old.digest(), new.digest()));
    assert!(!report.has_no_flips());
    assert!(replay(log, &old).has_no_flips());
}

#[test]
fn changed_obligations_are_no_flip_and_one_not_understood_is() {
    let duty = |text: &str| policy_of(&[rule("r", "allow", &[]) + &format!("      obligations: {text}\n")]);
    let old = set(&duty("{max_hours: 8}"));
    let log = [logged(0, &old, &asked(1), &["max_hours"])];
    let report = replay(log.clone(), &set(&duty("{max_hours: 4}")));
    assert!(report.has_no_flips() && report.same == 0, "{report:?}");
    assert_eq!(report.obligations[0].then["max_hours"], Value::Integer(8));
    assert_eq!(report.obligations[0].now["max_hours"], Value::Integer(4));
    let report = replay(log, &set(&duty("{max_hours: 8, mfa: true}")));
    assert_eq!((report.allow_to_deny, report.flips[0].to), (1, Verdict::Deny));
    assert!(report.flips[0].reasons_now[0].contains("`mfa` is not understood"), "{:?}", report.flips);
}

#[test]
fn what_cannot_be_asked_again_is_counted_apart() {
    let old = set(&policy("allow", &["{attribute: context.pin, op: eq, value: 1234}"]));
    let secret = asked(1).with_secret_attribute("pin", 1234);
    let unreadable = LoggedDecision { index: 2, at: at(), decision: Err("too long".to_owned()) };
    let report = replay([logged(1, &old, &secret, &[]), unreadable], &old);
    assert!(report.has_no_flips());
    assert_eq!((report.decisions, report.same, report.incomplete, report.unreadable), (1, 0, 1, 1));
    assert_eq!(report.incomplete_at, [1]);
    assert_eq!((report.unreadable_at[0].index, report.unreadable_at[0].reason.as_str()), (2, "too long"));
}

#[test]
fn lists_are_bounded_and_counts_are_not() {
    use hpc_policy::limits::{FLIPS_MAX, REPLAY_NAMED_MAX};
    let old = set(&policy("allow", &[]));
    let one = logged(0, &old, &asked(1), &[]);
    let log = (0..FLIPS_MAX as u64 + 2).map(|index| LoggedDecision { index, ..one.clone() });
    let report = replay(log, &PolicySet::deny_all());
    assert_eq!((report.flips.len(), report.flips_omitted), (FLIPS_MAX, 2));
    assert_eq!(report.allow_to_deny, FLIPS_MAX as u64 + 2);
    let broken = LoggedDecision { index: 0, at: at(), decision: Err("x".to_owned()) };
    let report = replay(vec![broken; REPLAY_NAMED_MAX + 1], &old);
    assert_eq!(
        (report.unreadable, report.unreadable_at.len()),
        (REPLAY_NAMED_MAX as u64 + 1, REPLAY_NAMED_MAX)
    );
}

proptest! {
    #[test]
    fn a_flip_is_exactly_where_the_verdicts_differ(
        hours in proptest::collection::vec(0..20_i64, 0..20),
        limits in (0..20_i64, 0..20_i64),
    ) {
        let of = |limit: i64| set(&policy("allow", &[&format!("{{attribute: context.hours, op: lte, value: {limit}}}")]));
        let (old, new) = (of(limits.0), of(limits.1));
        let log = hours.iter().zip(0..).map(|(hours, index)| logged(index, &old, &asked(*hours), &[]));
        let report = replay(log, &new);
        let expected: Vec<u64> = hours
            .iter()
            .zip(0..)
            .filter(|(hours, _)| (**hours <= limits.0) != (**hours <= limits.1))
            .map(|(_, index)| index)
            .collect();
        prop_assert_eq!(report.flips.iter().map(|flip| flip.index).collect::<Vec<_>>(), expected);
        prop_assert_eq!(report.same + report.allow_to_deny + report.deny_to_allow, hours.len() as u64);
    }
}
