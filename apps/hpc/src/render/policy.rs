//! Policies in force, explained decisions, and results of policy tests.

use std::fmt::Write as _;

use hpc_broker::RuleLine;
use serde::{Deserialize, Serialize};

use crate::output::{BAD, GOOD, HEAD, paint};
use crate::table::Table;

/// The policies in force.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub(crate) struct Shown {
    pub(crate) digest: String,
    pub(crate) built_in: bool,
    pub(crate) rules: usize,
    pub(crate) documents: Vec<Text>,
    #[serde(default)]
    pub(crate) source: Option<Source>,
    #[serde(default)]
    pub(crate) promoted: Option<Promoted>,
    #[serde(default)]
    pub(crate) failure: Option<Failure>,
    #[serde(default)]
    pub(crate) candidate: Option<String>,
}

/// Where policies come from.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub(crate) struct Source {
    #[serde(default)]
    pub(crate) name: String,
    #[serde(default)]
    pub(crate) sequence: u64,
    #[serde(default)]
    pub(crate) signer: String,
}

/// How they came into force, if not from there.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub(crate) struct Promoted {
    pub(crate) by: String,
    pub(crate) at: jiff::Timestamp,
}

/// Why newer ones are not in force.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub(crate) struct Failure {
    pub(crate) at: jiff::Timestamp,
    pub(crate) code: String,
    pub(crate) message: String,
}

impl Shown {
    /// What is wrong, if anything is.
    pub(crate) fn alarm(&self) -> Option<String> {
        self.failure.as_ref().map(|Failure { at, code, message }| {
            let (at, message) = (crate::text::moment(*at), crate::text::line(message));
            format!("the policies at their source are refused since {at} ({code}): {message}")
        })
    }

    fn origin(&self) -> String {
        let signed = self.source.as_ref().filter(|source| !source.signer.is_empty());
        let origin = match signed {
            Some(Source { name, sequence, signer }) => {
                let by = signer.split('+').next().unwrap_or_default();
                format!("bundle {name}, sequence {sequence}, signed by {by}")
            }
            None if self.built_in => "the starter set".to_owned(),
            None if self.promoted.is_some() => "a candidate".to_owned(),
            None => "loaded from a folder".to_owned(),
        };
        match &self.promoted {
            Some(Promoted { by, at }) => {
                format!("{origin}, promoted by {by} at {}", crate::text::moment(*at))
            }
            None => origin,
        }
    }
}

/// One policy document.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub(crate) struct Text {
    pub(crate) name: String,
    pub(crate) text: String,
}

/// The documents, each under its name as a YAML comment, so that the output is YAML again.
pub(crate) fn shown(shown: &Shown) -> String {
    // The names in it come from elsewhere; a line break would end the comment.
    let origin = crate::text::line(&shown.origin());
    let mut out = format!("# {} rules, {origin}, digest {}\n", shown.rules, shown.digest);
    if let Some(candidate) = &shown.candidate {
        let _ = writeln!(out, "# candidate {}", crate::text::line(candidate));
    }
    for document in &shown.documents {
        let _ = write!(out, "---\n# {}\n{}", document.name, document.text);
        if !document.text.ends_with('\n') {
            out.push('\n');
        }
    }
    out
}

/// A decision with the places and owners of its rules.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub(crate) struct Explanation {
    pub(crate) plan: String,
    pub(crate) decision: String,
    pub(crate) allowed: bool,
    pub(crate) policy_digest: String,
    pub(crate) reasons: Vec<String>,
    pub(crate) allowed_if: Vec<String>,
    pub(crate) rules: Vec<ExplainedRule>,
}

/// One rule of an [`Explanation`].
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub(crate) struct ExplainedRule {
    #[serde(flatten)]
    pub(crate) line: RuleLine,
    #[serde(default)]
    pub(crate) place: Option<String>,
    #[serde(default)]
    pub(crate) owner: Option<String>,
}

/// Rule by rule: what it is, what it saw, whom to ask.
pub(crate) fn explanation(explained: &Explanation) -> String {
    let verdict = if explained.allowed { paint(GOOD, "ALLOW") } else { paint(BAD, "DENY") };
    let mut out = format!("{} {verdict}\n", paint(HEAD, &explained.plan));
    let mut table = Table::plain().indent(2);
    table.row(["decision", &explained.decision]);
    table.row(["policy", &explained.policy_digest]);
    for reason in &explained.reasons {
        table.row(["because", reason]);
    }
    for change in &explained.allowed_if {
        table.row(["allowed if", change]);
    }
    out.push_str(&table.render());
    for rule in &explained.rules {
        let _ = writeln!(out, "{}", paint(HEAD, &rule.line.rule));
        let mut table = Table::plain().indent(2);
        table.row(["effect", &rule.line.effect]);
        table.row(["result", &rule.line.result]);
        if !rule.line.detail.is_empty() {
            table.row(["saw", &rule.line.detail]);
        }
        if let Some(place) = &rule.place {
            table.row(["place", place]);
        }
        if let Some(owner) = &rule.owner {
            table.row(["owner", owner]);
        }
        out.push_str(&table.render());
    }
    out
}

/// What came of one case of a table.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(crate) struct CaseLine {
    pub(crate) file: String,
    pub(crate) line: u32,
    pub(crate) name: String,
    pub(crate) expected: String,
    pub(crate) passed: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) failure: Option<String>,
}

/// All cases, failing ones with what came out instead.
pub(crate) fn cases(cases: &[CaseLine]) -> String {
    let mut out = String::new();
    for case in cases {
        let mark = if case.passed { paint(GOOD, "pass") } else { paint(BAD, "FAIL") };
        let _ = writeln!(out, "{mark}  {}:{}  {}", case.file, case.line, case.name);
        if let Some(failure) = &case.failure {
            let _ = writeln!(out, "      {failure}");
        }
    }
    out
}

/// One mistake in a file.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(crate) struct Mistake {
    /// Empty if it is about the set as a whole.
    pub(crate) file: String,
    /// From 1; 0 without a place.
    pub(crate) line: u32,
    /// In characters, from 1; 0 without a place.
    pub(crate) column: u32,
    pub(crate) message: String,
    /// The line of the file.
    #[serde(skip)]
    pub(crate) source: String,
}

/// Widest part of a line that is shown, in characters.
const SOURCE_MAX: usize = 100;

/// Mistakes as compilers show them: the place, the line, and a mark below the column.
pub(crate) fn mistakes(found: &[Mistake]) -> String {
    let mut out = String::new();
    for Mistake { file, line, column, message, source } in found {
        if *line == 0 {
            let _ = writeln!(out, "{}", paint(BAD, message));
            continue;
        }
        let place = format!("{file}:{line}:{column}:");
        let _ = writeln!(out, "{} {message}", paint(BAD, &place));
        let column = usize::try_from(*column).unwrap_or(usize::MAX).saturating_sub(1);
        // Long lines are shown from a little before the column; each character takes one place, whatever it is.
        let skip = if column < SOURCE_MAX { 0 } else { column - SOURCE_MAX / 2 };
        let shown: String = source
            .chars()
            .skip(skip)
            .take(SOURCE_MAX)
            .map(|c| if c.is_control() { ' ' } else { c })
            .collect();
        if shown.trim().is_empty() {
            continue;
        }
        let number = line.to_string();
        let _ = writeln!(out, "{number:>5} | {}", crate::text::line(&shown));
        let _ = writeln!(out, "      | {}{}", " ".repeat(column - skip), paint(BAD, "^"));
    }
    out
}
