//! `hpc policy lint`: rules and conditions that do nothing, or not what they say. Needs no daemon.

use std::path::PathBuf;

use hpc_error::HpcError;
use hpc_policy::{PolicySet, Severity, lint};

use super::policy::{invalid, load};
use crate::args::{Format, Level};
use crate::output::Screen;
use crate::render::lint::findings;
use crate::text;

/// Ends with 0 if nothing was found and with 1 if something was.
pub(super) fn run(paths: &[PathBuf], level: Level, screen: &mut Screen<'_>) -> Result<u8, HpcError> {
    let set = PolicySet::parse_documents(load(paths)?).map_err(|mistakes| invalid(&mistakes))?;
    let mut report = lint(&set);
    let least = match level {
        Level::Hint => Severity::Hint,
        Level::Warning => Severity::Warning,
        Level::Error => Severity::Error,
    };
    report.findings.retain(|finding| finding.severity >= least);
    match screen.format {
        Format::Json => screen.value(&report)?,
        Format::Ndjson => screen.values(&report.findings)?,
        Format::Table | Format::Wide => screen.text(&findings(&report.findings))?,
    }
    let rules = text::count(report.rules as u64, "rule", "rules");
    let of = |severity| report.findings.iter().filter(|finding| finding.severity == severity).count() as u64;
    screen.say(&format!(
        "{rules}, {}, {}, {}",
        text::count(of(Severity::Error), "error", "errors"),
        text::count(of(Severity::Warning), "warning", "warnings"),
        text::count(of(Severity::Hint), "hint", "hints"),
    ));
    if report.findings_omitted > 0 {
        screen.say(&format!("{} more findings are not listed: correct these first", report.findings_omitted));
    }
    if !report.complete {
        screen.say("a limit cut the search: what was found holds, and there may be more; lint fewer policies at a time");
    }
    Ok(u8::from(!report.findings.is_empty() || report.findings_omitted > 0))
}
