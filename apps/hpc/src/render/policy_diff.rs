//! What two sets of policies decide differently.

use std::fmt::Write as _;

use hpc_policy::{DiffReport, Direction, FlipGroup, Gap, Outcome, Part, Responsible, Value};

use crate::output::{BAD, GOOD, HEAD, WARN, paint};
use crate::table::Table;
use crate::text;

/// Group by group: which way, because of which rules, and a request that shows it.
pub(crate) fn report(found: &DiffReport) -> String {
    let mut out = String::new();
    for (number, group) in found.flips.iter().enumerate() {
        if number > 0 {
            out.push('\n');
        }
        let style = match group.direction {
            Direction::DenyToAllow => GOOD,
            Direction::AllowToDeny => BAD,
            Direction::Obligations => WARN,
        };
        let count = text::count(group.count, "combination", "combinations");
        let _ = writeln!(out, "{}  {count}", paint(style, &format!("{}. {}", number + 1, group.direction)));
        out.push_str(&rules(group));
        match &group.example.case {
            Some(case) => out.push_str(&text::block(case)),
            None => out.push_str("  the request holds a value that a table cannot write; see -o json\n"),
        }
        if !group.example.keeps_to_schema {
            let _ = writeln!(out, "  {}", paint(WARN, "the schema does not let a request hold these values"));
        }
    }
    if found.flips_omitted > 0 {
        let more = text::count(found.flips_omitted as u64, "more difference", "more differences");
        let _ = writeln!(out, "\n{}", paint(HEAD, &format!("and {more}")));
    }
    out
}

fn rules(group: &FlipGroup) -> String {
    let mut table = Table::plain().indent(2);
    for (side, rules, omitted, outcome) in [
        ("old", &group.old, group.old_omitted, &group.example.old),
        ("new", &group.new, group.new_omitted, &group.example.new),
    ] {
        let mut name = side;
        let mut line = |words: &str| {
            table.row([name, words]);
            name = "";
        };
        rules.iter().for_each(|rule| line(&text::line(&responsible(rule))));
        if omitted > 0 {
            line(&format!("and {}", text::count(omitted as u64, "more rule", "more rules")));
        }
        outcome.reasons.iter().for_each(|reason| line(&text::line(reason)));
        if group.direction == Direction::Obligations {
            line(&text::line(&obligations(outcome)));
        }
    }
    table.render()
}

fn responsible(rule: &Responsible) -> String {
    let does = match rule.part {
        Part::Allows => "allows",
        Part::Denies => "denies",
        Part::DoesNothing => "does nothing",
    };
    let same = if rule.changed { "" } else { ", unchanged" };
    format!("{} {does}{same}", rule.place)
}

fn obligations(outcome: &Outcome) -> String {
    let show = |(name, value): (&String, &Value)| format!("{name}: {value}");
    let all: Vec<String> = outcome.obligations.iter().map(show).collect();
    if all.is_empty() { "no obligations".to_owned() } else { format!("obligations {}", all.join(", ")) }
}

/// Where the comparison may have missed something.
pub(crate) fn gaps(gaps: &[Gap], omitted: usize) -> String {
    let mut lines: Vec<String> = gaps
        .iter()
        .map(|gap| {
            format!("  {} {}: {}", paint(WARN, "not complete"), text::line(&gap.rule.to_string()), gap.reason)
        })
        .collect();
    if omitted > 0 {
        lines.push(format!("  and {}", text::count(omitted as u64, "more gap", "more gaps")));
    }
    lines.join("\n")
}
