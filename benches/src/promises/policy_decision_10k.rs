//! One decision among 10,000 rules, against ten rules, and against Cedar.

use super::Promise;
use crate::Result;
use crate::fixtures::{Spread, asked_rules, policy_set, question};
use crate::harness::{Bench, Report, Samples, ratio, sample, show};

pub(super) const PROMISE: Promise = Promise {
    name: "policy_decision_10k",
    about: "a decision among 10,000 rules: p50 < 500 ns, p99 < 2 us, at most twice the time among 10, no allocation",
    run,
};

fn run(bench: &Bench) -> Result<Report> {
    let rules = bench.size(10_000, 200);
    let calls = bench.size(400_000, 1_000);
    let few = decisions(10, Spread::OwnAction, calls)?;
    let many = decisions(rules, Spread::OwnAction, calls)?;
    let times_few = ratio(many.p50(), few.p50());
    let allocations = allocations(rules, Spread::OwnAction)?;
    let (set, asked) = (policy_set(rules, Spread::OwnAction)?, question(rules / 2, Spread::OwnAction));
    let explained = sample(calls / 20, |_| set.evaluate(&asked));

    let report = Report::new()
        .measured("p50", show(many.p50()))
        .measured("p99", show(many.p99()))
        .measured("times_10_rules", format!("{times_few:.2}"))
        .measured("allocations", allocations.to_string())
        .goal("p50<500ns", many.p50().as_nanos() < 500)
        .goal("p99<2us", many.p99().as_nanos() < 2_000)
        .goal("times_10_rules<=2", times_few <= 2.0)
        .goal("allocations=0", allocations == 0)
        .note(format!(
            "every rule has its own type and action; `evaluate`, with all reasons: p50 {}; other rules: `policy_scale`",
            show(explained.p50())
        ));
    beside_cedar(report, rules, &many, bench)
}

/// Times single decisions, 64 questions in turn, each allowed by one of the rules.
pub(super) fn decisions(rules: usize, spread: Spread, calls: usize) -> Result<Samples> {
    let set = policy_set(rules, spread)?;
    let asked: Vec<_> = asked_rules(rules).into_iter().map(|rule| question(rule, spread)).collect();
    if !asked.iter().all(|asked| set.decide(asked).is_allowed()) {
        return Err("a question that a rule allows was denied".into());
    }
    Ok(sample(calls, |call| asked.get(call % asked.len()).map(|asked| set.decide(asked))))
}

/// Allocations of one decision.
pub(super) fn allocations(rules: usize, spread: Spread) -> Result<u64> {
    let (set, asked) = (policy_set(rules, spread)?, question(rules / 2, spread));
    let counted = allocation_counter::measure(|| {
        std::hint::black_box(set.decide(std::hint::black_box(&asked)));
    });
    Ok(counted.count_total)
}

#[cfg(not(feature = "rivals"))]
fn beside_cedar(report: Report, _rules: usize, _ours: &Samples, _bench: &Bench) -> Result<Report> {
    Ok(report.note("not judged: >=1000x faster than cedar-policy; build with --features rivals"))
}

#[cfg(feature = "rivals")]
fn beside_cedar(report: Report, rules: usize, ours: &Samples, bench: &Bench) -> Result<Report> {
    let theirs = super::cedar::decisions(rules, Spread::OwnAction, bench.size(50, 5))?;
    let faster = ratio(theirs.p50(), ours.p50());
    Ok(report
        .rival("cedar_p50", show(theirs.p50()))
        .ratio(faster)
        .goal("cedar/ours>=1000", faster >= 1_000.0))
}

#[cfg(test)]
mod tests {
    use hpc_policy::{EvaluationContext, Principal};

    use super::*;

    #[test]
    fn no_decision_allocates() {
        for spread in Spread::ALL {
            for rules in [1, 20, 2_000] {
                assert_eq!(allocations(rules, spread).unwrap(), 0, "{spread:?}, {rules} rules");
            }
            // A refusal, too, and one that reads every rule.
            let (set, asked) = (policy_set(2_000, spread).unwrap(), question(1_000, spread));
            let stranger =
                EvaluationContext::new(Principal::user("eve"), asked.resource().clone(), asked.action());
            let late = asked.with_attribute("context.hours", 100);
            for context in [stranger, late] {
                let counted = allocation_counter::measure(|| {
                    assert!(!set.decide(std::hint::black_box(&context)).is_allowed());
                });
                assert_eq!(counted.count_total, 0, "{spread:?}");
            }
        }
    }
}
