//! Audit entries, and what checking them showed.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use hpc_audit::{Recorded, Selection, SignedCheckpoint, Verified, VerifierKey};
use hpc_audit_file::DirReport;
use hpc_crypto::tlog_policy::Verdict;
use jiff::Timestamp;
use serde::Deserialize;
use serde_json::Value;

use crate::command::CheckedReceipt;
use crate::command::Witnessing;
use crate::output::{GOOD, WARN, paint};
use crate::remembered::Standing;
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
    /// One that the policy lists, or that its quorum of witnesses stands for.
    Policy,
    /// Merely the one in what was checked.
    Own,
}

impl KeyTrust {
    fn words(&self) -> String {
        match self {
            Self::Given => "the one given with --key".to_owned(),
            Self::Policy => "the policy's".to_owned(),
            Self::Context(name) => format!("that of context `{name}`"),
            Self::Own => paint(WARN, "only the one inside; to be sure of its origin pass --key"),
        }
    }
}

/// How a checkpoint stands to an earlier one, and what witnesses say of it.
fn standing_rows(table: &mut Table, standing: Option<&Standing>, verdict: Option<&Verdict>) {
    match standing {
        Some(standing @ Standing::Unproved(_)) => table.row(["earlier", &paint(WARN, &standing.words())]),
        Some(standing) => table.row(["earlier", &standing.words()]),
        None => table.row(["earlier", "not held against an earlier checkpoint"]),
    };
    if let Some(verdict) = verdict {
        let names: Vec<String> = verdict
            .witnessed()
            .iter()
            .map(|witnessed| text::line(&format!("{} at {}", witnessed.name, at(witnessed.time_s))))
            .collect();
        let names = if names.is_empty() { "none asked for".to_owned() } else { names.join(", ") };
        table.row(["witnesses", &names]);
    }
}

/// Seconds of a cosignature as a moment.
fn at(time_s: u64) -> String {
    let moment = i64::try_from(time_s).ok().and_then(|seconds| Timestamp::from_second(seconds).ok());
    moment.map_or_else(|| format!("{time_s} s"), text::moment)
}

/// The newest checkpoint of a log.
pub(crate) fn checkpoint(
    signed: &SignedCheckpoint,
    key: &VerifierKey,
    standing: &Standing,
    cosigned: Option<&SignedCheckpoint>,
    witnessing: Option<&Witnessing>,
    verdict: Option<&Verdict>,
) -> String {
    let checkpoint = signed.checkpoint();
    let mut out = format!("{}   checkpoint signature valid\n", paint(GOOD, "ok"));
    let mut table = Table::plain().indent(2);
    table.row(["log", &text::line(&checkpoint.origin)]);
    table.row(["size", &checkpoint.size.to_string()]);
    table.row(["root", &checkpoint.root.to_base64()]);
    table.row(["key", &text::line(&key.to_string())]);
    let others = cosigned.map_or_else(
        || "by nobody".to_owned(),
        |cosigned| {
            let lines = cosigned.note().signatures().iter().filter(|line| line.name() != key.name());
            let names: Vec<String> = lines.map(|line| text::line(line.name())).collect();
            format!("size {} by {}", cosigned.checkpoint().size, names.join(", "))
        },
    );
    table.row(["cosigned", &others]);
    if let Some(missing) = witnessing.and_then(|witnessing| witnessing.missing.as_ref()) {
        table.row(["missing", &paint(WARN, &text::line(missing))]);
    }
    for line in witnessing.map(|witnessing| &witnessing.witnesses).into_iter().flatten() {
        if let Some(problem) = &line.problem {
            table.row(["witness", &paint(WARN, &text::line(&format!("{}: {problem}", line.name)))]);
        }
    }
    standing_rows(&mut table, Some(standing), verdict);
    out.push_str(&table.render());
    out
}

/// One entry in full, and that it is proved.
pub(crate) fn entry(recorded: &Recorded, verified: &Verified) -> String {
    let entry = &recorded.entry;
    let mut table = Table::plain();
    table.row(["index", &recorded.index.to_string()]);
    table.row(["id", &text::line(&entry.id)]);
    table.row(["at", &text::moment(entry.at)]);
    table.row(["principal", &text::line(&entry.principal)]);
    table.row(["action", &text::line(&entry.action)]);
    table.row(["outcome", &entry.outcome.to_string()]);
    for (kind, id) in &entry.subjects {
        table.row([text::line(kind), text::line(id)]);
    }
    for (key, value) in &entry.data {
        table.row([text::line(key), text::line(&value.to_string())]);
    }
    let worlds = [(entry.dev, "development"), (entry.simulated, "SIMULATED")];
    let worlds: Vec<&str> = worlds.iter().filter(|(is, _)| *is).map(|(_, word)| *word).collect();
    if !worlds.is_empty() {
        table.row(["world", &worlds.join(", ")]);
    }
    table.row(["leaf", &recorded.leaf_hash.to_base64()]);
    let checkpoint = &verified.checkpoint;
    let proved = format!(
        "{}, in the tree of {} that {} signed",
        paint(GOOD, "included"),
        text::count(checkpoint.size, "entry", "entries"),
        text::line(&checkpoint.origin)
    );
    table.row(["proof", &proved]);
    table.render()
}

/// What a bundle shows.
pub(crate) fn bundle(
    verified: &Verified,
    trust: &KeyTrust,
    standing: Option<&Standing>,
    verdict: Option<&Verdict>,
) -> String {
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
    standing_rows(&mut table, standing, verdict);
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

/// A receipt that was checked.
pub(crate) fn receipt(
    checked: &CheckedReceipt,
    standing: Option<&Standing>,
    verdict: Option<&Verdict>,
) -> String {
    let checkpoint = checked.signed.checkpoint();
    let mut out =
        format!("{}   entry {} included   checkpoint signature valid\n", paint(GOOD, "ok"), checked.index);
    let mut table = Table::plain().indent(2);
    table.row(["log", &text::line(&checkpoint.origin)]);
    table.row(["tree size", &checkpoint.size.to_string()]);
    table.row(["leaf", &checked.leaf_hash.to_base64()]);
    table.row(["key", &checked.key.to_string()]);
    table.row(["trust", &checked.trust.words()]);
    standing_rows(&mut table, standing, verdict);
    out.push_str(&table.render());
    out
}

/// What the folder of a log shows.
pub(crate) fn folder(
    report: &DirReport,
    trust: &KeyTrust,
    standing: Option<&Standing>,
    verdict: Option<&Verdict>,
) -> String {
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
    standing_rows(&mut table, standing, verdict);
    if let Some(torn) = &report.torn_tail {
        table.row(["torn", &format!("{torn:?}: cut off by a crash before it was acknowledged")]);
    }
    for file in &report.unfinished {
        table.row(["unfinished", &format!("{}: left by a crash, no part of the log", text::line(file))]);
    }
    out.push_str(&table.render());
    out
}
