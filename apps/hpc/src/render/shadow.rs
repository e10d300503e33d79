//! How a candidate compares with the policies in force.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use jiff::Timestamp;
use serde::Deserialize;
use serde_json::Value;

use crate::output::{BAD, GOOD, HEAD, WARN, paint};
use crate::table::Table;
use crate::text;

/// A candidate, and how it differed.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub(crate) struct Candidate {
    digest: String,
    rules: usize,
    since: Timestamp,
    active_digest: String,
    decisions: u64,
    allow_to_deny: u64,
    deny_to_allow: u64,
    obligations: u64,
    failures: u64,
    recent: Vec<Difference>,
}

#[derive(Debug, Clone, PartialEq, Deserialize)]
struct Difference {
    #[serde(default)]
    number: u64,
    at: Option<Timestamp>,
    principal: String,
    action: String,
    resource: String,
    active: Answer,
    candidate: Answer,
}

#[derive(Debug, Clone, PartialEq, Deserialize)]
struct Answer {
    verdict: String,
    reasons: Vec<String>,
    #[serde(default)]
    obligations: BTreeMap<String, Value>,
}

/// The newest differences, then the sums.
pub(crate) fn report(candidate: &Candidate) -> String {
    let mut out = String::new();
    for difference in &candidate.recent {
        let Difference { number, at, principal, action, resource, active, candidate } = difference;
        let same = active.verdict == candidate.verdict;
        let style = match (same, candidate.verdict.as_str()) {
            (true, _) => WARN,
            (_, "deny") => BAD,
            _ => GOOD,
        };
        let change = match same {
            true => "obligations".to_owned(),
            false => format!("{} -> {}", active.verdict, candidate.verdict),
        };
        let at = at.map_or_else(|| "-".to_owned(), text::moment);
        let (number, change) = (paint(HEAD, &format!("#{number}")), paint(style, &change));
        let _ = writeln!(out, "{number}  {change}  {at}  {principal}  {action}  {resource}");
        for (word, answer) in [("in force", active), ("candidate", candidate)] {
            let words = if same { duties(&answer.obligations) } else { answer.reasons.join("; ") };
            let _ = writeln!(out, "    {word:9}  {words}");
        }
    }
    let differ = [candidate.allow_to_deny, candidate.deny_to_allow, candidate.obligations]
        .into_iter()
        .fold(0_u64, u64::saturating_add);
    let shown = candidate.recent.len() as u64;
    if differ > shown {
        let _ = writeln!(out, "{} older differences are counted and not kept", differ.saturating_sub(shown));
    }
    let mut table = Table::plain();
    table.row(["candidate", &candidate.digest]);
    table.row(["in force", &candidate.active_digest]);
    table.row(["rules", &candidate.rules.to_string()]);
    table.row(["since", &text::moment(candidate.since)]);
    table.row(["decisions", &candidate.decisions.to_string()]);
    table.row(["allow -> deny", &candidate.allow_to_deny.to_string()]);
    table.row(["deny -> allow", &candidate.deny_to_allow.to_string()]);
    table.row(["obligations", &candidate.obligations.to_string()]);
    if candidate.failures > 0 {
        table.row(["failed", &candidate.failures.to_string()]);
    }
    out.push_str(&table.render());
    out
}

fn duties(obligations: &BTreeMap<String, Value>) -> String {
    if obligations.is_empty() {
        return "none".to_owned();
    }
    obligations.iter().map(|(name, value)| format!("{name}: {value}")).collect::<Vec<_>>().join(", ")
}
