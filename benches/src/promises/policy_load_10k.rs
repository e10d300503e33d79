//! Parsing, checking and indexing 10,000 rules.

use hpc_policy::PolicySet;

use super::Promise;
use crate::Result;
use crate::fixtures::{Spread, policies};
use crate::harness::{Bench, Report, Samples, show};

pub(super) const PROMISE: Promise =
    Promise { name: "policy_load_10k", about: "10,000 rules are loaded in under 100 ms", run };

fn run(bench: &Bench) -> Result<Report> {
    let rules = bench.size(10_000, 200);
    let documents = policies(rules, Spread::OwnAction)?;
    let mut loads = Samples::default();
    for _ in 0..bench.size(9, 2) {
        let set =
            loads.time(|| PolicySet::parse_documents(documents.iter().map(|(name, text)| (name, text))));
        if set.map_or(0, |set| set.rule_count()) != rules {
            return Err("the rules were not all loaded".into());
        }
    }
    let bytes: usize = documents.iter().map(|(_, text)| text.len()).sum();
    let report = Report::new()
        .measured("median", show(loads.p50()))
        .goal("median<100ms", loads.p50().as_millis() < 100)
        .note(format!("{} documents, {bytes} bytes", documents.len()));
    beside_cedar(report, rules, &loads)
}

#[cfg(not(feature = "rivals"))]
fn beside_cedar(report: Report, _rules: usize, _ours: &Samples) -> Result<Report> {
    Ok(report.note("the rival cedar-policy is measured with --features rivals"))
}

#[cfg(feature = "rivals")]
fn beside_cedar(report: Report, rules: usize, ours: &Samples) -> Result<Report> {
    let theirs = super::cedar::load(rules)?;
    Ok(report.rival("cedar", show(theirs)).ratio(crate::harness::ratio(theirs, ours.p50())))
}
