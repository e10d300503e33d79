//! Decisions and loading among 1 to 100,000 rules, told apart in five ways, each beside Cedar with the same questions.

use hpc_policy::PolicySet;

use super::Promise;
use super::policy_decision_10k::{allocations, decisions};
use crate::Result;
use crate::fixtures::{Spread, policies};
use crate::harness::{Bench, Report, Samples, ratio, show, timed};

pub(super) const PROMISE: Promise = Promise {
    name: "policy_scale",
    about: "decisions among 1 to 100,000 rules beside Cedar: at 10,000 p50 < 500 ns, p99 < 2 us and at most twice the time \
            among 10 wherever rules are told apart by action, role or resource; the worst cases beside",
    run,
};

fn run(bench: &Bench) -> Result<Report> {
    let sizes: &[usize] = if bench.quick() { &[1, 10, 100] } else { &[1, 10, 100, 1_000, 10_000, 100_000] };
    let judged = bench.size(10_000, 100);
    let mut report = Report::new();
    let (mut p50, mut p99, mut times, mut count, mut faster) = (0, 0, 0.0_f64, 0, f64::INFINITY);
    for spread in Spread::ALL {
        let mut among_ten = None;
        for &rules in sizes {
            let documents = policies(rules, spread)?;
            let (set, load) = timed(|| PolicySet::parse_documents(documents));
            if set.map_or(0, |set| set.rule_count()) != rules {
                return Err("the rules were not all loaded".into());
            }
            // Where every rule is looked at, a hundred thousand rules take milliseconds.
            let calls = if spread.is_indexed() { 200_000 } else { (20_000_000 / rules).clamp(200, 200_000) };
            let ours = decisions(rules, spread, bench.size(calls, 100))?;
            if rules == 10 {
                among_ten = Some(ours.p50());
            }
            let (beside, ahead) = beside_cedar(rules, spread, &ours, bench)?;
            report = report.note(format!(
                "{}, {rules} rules: p50 {}, p99 {}{beside}; load {}",
                spread.words(),
                show(ours.p50()),
                show(ours.p99()),
                show(load)
            ));
            if rules == judged && spread.is_indexed() {
                p50 = p50.max(ours.p50().as_nanos());
                p99 = p99.max(ours.p99().as_nanos());
                times = times.max(among_ten.map_or(0.0, |few| ratio(ours.p50(), few)));
                faster = faster.min(ahead.unwrap_or(f64::INFINITY));
            }
            if rules == judged {
                count = count.max(allocations(rules, spread)?);
            }
        }
    }
    report = report
        .measured("worst_p50", format!("{p50}ns"))
        .measured("worst_p99", format!("{p99}ns"))
        .measured("worst_times_10_rules", format!("{times:.2}"))
        .measured("allocations", count.to_string())
        .goal("p50<500ns", p50 < 500)
        .goal("p99<2us", p99 < 2_000)
        .goal("times_10_rules<=2", times <= 2.0)
        .goal("allocations=0", count == 0);
    Ok(if faster.is_finite() {
        report.ratio(faster).goal("cedar/ours>=1000", faster >= 1_000.0)
    } else {
        report.note("not judged: >=1000x faster than cedar-policy; build with --features rivals")
    })
}

#[cfg(not(feature = "rivals"))]
fn beside_cedar(_: usize, _: Spread, _: &Samples, _: &Bench) -> Result<(String, Option<f64>)> {
    Ok((String::new(), None))
}

#[cfg(feature = "rivals")]
fn beside_cedar(
    rules: usize,
    spread: Spread,
    ours: &Samples,
    bench: &Bench,
) -> Result<(String, Option<f64>)> {
    let theirs = super::cedar::decisions(rules, spread, bench.size((200_000 / rules).clamp(10, 2_000), 5))?;
    let ahead = ratio(theirs.p50(), ours.p50());
    Ok((format!("; cedar p50 {}, {ahead:.0}x", show(theirs.p50())), Some(ahead)))
}
