//! Who can do something, and what somebody can do.

use std::fmt::Write as _;

use hpc_policy::{Denial, RulePlace, Verdict, WhatCan, WhoCan};

use crate::output::{BAD, GOOD, HEAD, WARN, paint};
use crate::table::Table;
use crate::text;

/// One way, whichever it is.
struct Way<'a> {
    head: String,
    rule: &'a RulePlace,
    conditions: &'a [String],
    unless: &'a [Denial],
    unless_omitted: usize,
}

/// Every way in, what is closed, and what the listed principals get.
pub(crate) fn who(answer: &WhoCan) -> String {
    let mut out = String::new();
    for (closed, list) in [(false, &answer.ways), (true, &answer.closed)] {
        for way in list {
            let mut head = way.who.clone();
            if !way.included.is_empty() {
                let _ = write!(head, ", and whoever has {}", way.included.join(", "));
            }
            let (rule, conditions, unless) = (&way.rule, way.conditions.as_slice(), way.unless.as_slice());
            one(
                &Way { head, rule, conditions, unless, unless_omitted: way.unless_omitted },
                closed,
                &mut out,
            );
        }
    }
    more(answer.ways_omitted, answer.closed_omitted, &mut out);
    if !answer.subjects.is_empty() {
        let _ = writeln!(out, "{}", paint(HEAD, "listed principals, with what is known and nothing else"));
        let mut table = Table::plain().indent(2);
        for subject in &answer.subjects {
            let verdict = match subject.verdict {
                Verdict::Allow => paint(GOOD, "allow"),
                Verdict::Deny => paint(BAD, "deny"),
            };
            table.row([text::line(&subject.principal), verdict]);
        }
        out.push_str(&table.render());
    }
    if answer.subjects_omitted > 0 {
        let _ = writeln!(out, "  and {} more that were not asked about", answer.subjects_omitted);
    }
    out
}

/// Every way, what is closed, and what can be done to the listed resources.
pub(crate) fn what(answer: &WhatCan) -> String {
    let mut out = String::new();
    for (closed, list) in [(false, &answer.ways), (true, &answer.closed)] {
        for way in list {
            let head = format!("{} on {}", way.actions.join(", "), way.resource);
            let (rule, conditions, unless) = (&way.rule, way.conditions.as_slice(), way.unless.as_slice());
            one(
                &Way { head, rule, conditions, unless, unless_omitted: way.unless_omitted },
                closed,
                &mut out,
            );
        }
    }
    more(answer.ways_omitted, answer.closed_omitted, &mut out);
    if !answer.resources.is_empty() {
        let _ = writeln!(out, "{}", paint(HEAD, "listed resources, with what is known and nothing else"));
        let mut table = Table::plain().indent(2);
        for resource in &answer.resources {
            table.row([text::line(&resource.resource), text::line(&resource.actions.join(", "))]);
        }
        out.push_str(&table.render());
    }
    if answer.asked_omitted > 0 {
        let _ = writeln!(out, "  and {} more questions that were not asked", answer.asked_omitted);
    }
    out
}

fn one(way: &Way<'_>, closed: bool, out: &mut String) {
    let free = way.conditions.is_empty() && way.unless.is_empty() && way.unless_omitted == 0;
    let (style, mark) = match (closed, free) {
        (true, _) => (BAD, "never "),
        (false, true) => (GOOD, "always"),
        (false, false) => (WARN, "may   "),
    };
    let _ = writeln!(out, "{} {}", paint(style, mark), text::line(&way.head));
    let mut table = Table::plain().indent(7);
    table.row(["by".to_owned(), text::line(&way.rule.to_string())]);
    for (place, condition) in way.conditions.iter().enumerate() {
        table.row([if place == 0 { "if" } else { "and" }.to_owned(), text::line(condition)]);
    }
    for denial in way.unless {
        let name = if closed { "because of" } else { "unless" };
        table.row([name.to_owned(), text::line(&denial_text(denial))]);
    }
    if way.unless_omitted > 0 {
        table.row(["unless".to_owned(), format!("{} more rules", way.unless_omitted)]);
    }
    out.push_str(&table.render());
}

fn denial_text(denial: &Denial) -> String {
    let over = match denial.over.as_slice() {
        [] => String::new(),
        some => format!(" for {}", some.join(", ")),
    };
    let conditions = match denial.conditions.as_slice() {
        [] => String::new(),
        some => format!(" if {}, or if that cannot be known", some.join(" and ")),
    };
    format!("{} denies{over}{conditions}", denial.rule)
}

fn more(ways: usize, closed: usize, out: &mut String) {
    if ways + closed > 0 {
        let _ = writeln!(out, "and {ways} more ways, {closed} more closed");
    }
}
