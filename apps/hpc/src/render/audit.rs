//! Audit entries, and what checking them showed.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use hpc_audit::{Selection, Verified};
use hpc_audit_file::DirReport;
use jiff::Timestamp;
use serde::Deserialize;
use serde_json::Value;

use crate::output::{GOOD, WARN, paint};
use crate::table::Table;
use crate::text;

/// An entry as the daemon's documents have it.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub(crate) struct EntryLine {
    pub(crate) index: u64,
    pub(crate) at: Timestamp,
    pub(crate) principal: String,
    pub(crate) action: String,
    pub(crate) outcome: String,
    #[serde(default)]
    pub(crate) subjects: BTreeMap<String, String>,
    #[serde(default)]
    pub(crate) data: BTreeMap<String, Value>,
}

/// Entries found.
pub(crate) fn entries(entries: &[EntryLine], wide: bool) -> String {
    let mut heads = vec![">index", "at", "action", "outcome", "principal", "subjects"];
    if wide {
        heads.push("data");
    }
    let mut table = Table::new(&heads);
    for entry in entries {
        let subjects: Vec<&str> = entry.subjects.values().map(String::as_str).collect();
        let mut row = vec![
            entry.index.to_string(),
            text::moment(entry.at),
            entry.action.clone(),
            entry.outcome.clone(),
            entry.principal.clone(),
            subjects.join(" "),
        ];
        if wide {
            let data: Vec<String> = entry.data.iter().map(|(key, value)| format!("{key}={value}")).collect();
            row.push(data.join(" "));
        }
        table.row(row);
    }
    table.render()
}

/// Whose key a check rests on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum KeyTrust {
    /// Given by the caller.
    Given,
    /// That of this context.
    Context(String),
    /// Merely the one in what was checked.
    Own,
}

impl KeyTrust {
    fn words(&self) -> String {
        match self {
            Self::Given => "the one given with --key".to_owned(),
            Self::Context(name) => format!("that of context `{name}`"),
            Self::Own => paint(WARN, "only the one inside; to be sure of its origin pass --key"),
        }
    }
}

/// What a bundle shows.
pub(crate) fn bundle(verified: &Verified, trust: &KeyTrust) -> String {
    let checkpoint = &verified.checkpoint;
    let entries = text::count(verified.entries.len() as u64, "entry", "entries");
    let gaps = match &verified.selection {
        Selection::Range { start, end } => format!("nothing missing from {start} up to {end}"),
        Selection::Indices(_) => "a choice: others between them were left out".to_owned(),
    };
    let mut out =
        format!("{}   {entries} included   order intact   checkpoint signature valid\n", paint(GOOD, "ok"));
    let mut table = Table::plain().indent(2);
    table.row(["log", &text::line(&checkpoint.origin)]);
    table.row(["tree size", &checkpoint.size.to_string()]);
    table.row(["entries", &gaps]);
    table.row(["key", &verified.key.to_string()]);
    table.row(["trust", &trust.words()]);
    out.push_str(&table.render());
    let mut table = Table::plain().indent(2);
    for recorded in &verified.entries {
        let entry = &recorded.entry;
        table.row([
            recorded.index.to_string(),
            text::moment(entry.at),
            entry.action.clone(),
            entry.outcome.to_string(),
            text::line(&entry.principal),
        ]);
    }
    let _ = write!(out, "{}", table.render());
    out
}

/// What the folder of a log shows.
pub(crate) fn folder(report: &DirReport, trust: &KeyTrust) -> String {
    let mut out = format!(
        "{}   {} in {}   every byte checked   checkpoint signature valid\n",
        paint(GOOD, "ok"),
        text::count(report.entries, "entry", "entries"),
        text::count(report.files, "file", "files")
    );
    let mut table = Table::plain().indent(2);
    table.row(["log", &text::line(&report.checkpoint.origin)]);
    table.row(["signed", &format!("{} of {}", report.checkpoint.size, report.entries)]);
    table.row(["key", &report.vkey]);
    table.row(["trust", &trust.words()]);
    if let Some(torn) = &report.torn_tail {
        table.row(["torn", &format!("{torn:?}: cut off by a crash before it was acknowledged")]);
    }
    for file in &report.unfinished {
        table.row(["unfinished", &format!("{}: left by a crash, no part of the log", text::line(file))]);
    }
    out.push_str(&table.render());
    out
}
