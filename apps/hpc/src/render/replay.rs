//! What candidate policies would have changed.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use hpc_policy::{Value, Verdict};

use crate::command::Replayed;
use crate::output::{BAD, GOOD, HEAD, WARN, paint};
use crate::text;

/// Places that are named in one line.
const PLACES_SHOWN: usize = 10;

/// Every decision that would change, then the sums.
pub(crate) fn report(replayed: &Replayed) -> String {
    let report = &replayed.report;
    let mut out = String::new();
    for flip in &report.flips {
        let change = format!("{} -> {}", flip.from, flip.to);
        let change = paint(if flip.to == Verdict::Deny { BAD } else { GOOD }, &change);
        let head = Head {
            index: flip.index,
            at: flip.at,
            who: &flip.principal,
            what: &flip.action,
            to: &flip.resource,
        };
        head.write(&mut out, &change);
        sides(&mut out, &flip.reasons_then, &flip.reasons_now);
    }
    left_out(&mut out, report.flips_omitted, "flips");
    for change in &report.obligations {
        let head = Head {
            index: change.index,
            at: change.at,
            who: &change.principal,
            what: &change.action,
            to: &change.resource,
        };
        head.write(&mut out, &paint(WARN, "obligations"));
        sides(&mut out, &[duties(&change.then)], &[duties(&change.now)]);
    }
    left_out(&mut out, report.obligations_omitted, "changes of obligations");
    if report.incomplete > 0 {
        let places: Vec<String> =
            report.incomplete_at.iter().take(PLACES_SHOWN).map(|at| format!("#{at}")).collect();
        let more = if report.incomplete > places.len() as u64 { " ..." } else { "" };
        let what = text::count(report.incomplete, "decision", "decisions");
        let line = format!("{what} not judged again, a secret was asked for: {}{more}", places.join(" "));
        let _ = writeln!(out, "{}", paint(WARN, &line));
    }
    if report.unreadable > 0 {
        let what = text::count(report.unreadable, "record", "records");
        let _ = writeln!(out, "{}", paint(WARN, &format!("{what} could not be read:")));
        for unreadable in report.unreadable_at.iter().take(PLACES_SHOWN) {
            let _ = writeln!(out, "  #{}  {}", unreadable.index, text::line(&unreadable.reason));
        }
        left_out(&mut out, report.unreadable.saturating_sub(PLACES_SHOWN as u64), "records");
    }
    sums(&mut out, replayed);
    out
}

fn sums(out: &mut String, replayed: &Replayed) {
    let report = &replayed.report;
    let obligations = (report.obligations.len() as u64).saturating_add(report.obligations_omitted);
    let source = match replayed.source {
        "daemon" => "the daemon's log",
        "directory" => "a log that holds",
        "bundle" => "a proof that holds",
        _ => "an export that nothing proves",
    };
    let _ = writeln!(
        out,
        "{} in {} of {source}",
        text::count(report.decisions, "decision", "decisions"),
        text::count(replayed.entries, "entry", "entries"),
    );
    let _ = writeln!(
        out,
        "{} allow -> deny, {} deny -> allow, {obligations} with other obligations, {} the same",
        report.allow_to_deny, report.deny_to_allow, report.same
    );
    let _ = writeln!(out, "candidate {}", report.candidate);
}

struct Head<'a> {
    index: u64,
    at: jiff::Timestamp,
    who: &'a str,
    what: &'a str,
    to: &'a str,
}

impl Head<'_> {
    fn write(&self, out: &mut String, change: &str) {
        let Self { index, at, who, what, to } = self;
        let place = paint(HEAD, &format!("#{index}"));
        let (who, what, to) = (text::line(who), text::line(what), text::line(to));
        let _ = writeln!(out, "{place}  {change}  {}  {who}  {what}  {to}", text::moment(*at));
    }
}

fn sides(out: &mut String, then: &[String], now: &[String]) {
    for (word, reasons) in [("then", then), ("now", now)] {
        for (position, reason) in reasons.iter().enumerate() {
            let word = if position == 0 { word } else { "" };
            let _ = writeln!(out, "    {word:4}  {}", text::line(reason));
        }
    }
}

fn left_out(out: &mut String, count: u64, what: &str) {
    if count > 0 {
        let _ = writeln!(out, "  and {count} more {what}");
    }
}

fn duties(obligations: &BTreeMap<String, Value>) -> String {
    if obligations.is_empty() {
        return "none".to_owned();
    }
    obligations.iter().map(|(name, value)| format!("{name}: {value}")).collect::<Vec<_>>().join(", ")
}
