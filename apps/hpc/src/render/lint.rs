//! Findings of lint, as compilers show warnings: the place, what is wrong, what to do.

use std::fmt::Write as _;

use hpc_policy::{Finding, Severity};

use crate::output::{BAD, HEAD, WARN, paint};
use crate::text;

/// Two lines for each finding.
pub(crate) fn findings(found: &[Finding]) -> String {
    let mut out = String::new();
    for finding in found {
        let style = match finding.severity {
            Severity::Error => BAD,
            Severity::Warning => WARN,
            Severity::Hint => HEAD,
        };
        let document = finding.document.as_deref().unwrap_or_default();
        let _ = writeln!(
            out,
            "{} {} {} `{}/{}`: {}",
            paint(HEAD, &text::line(&format!("{document}:{}:", finding.line))),
            paint(style, &format!("{}[{}]", finding.severity, finding.kind)),
            finding.effect,
            text::line(&finding.policy),
            text::line(&finding.rule),
            text::line(&finding.problem),
        );
        let _ = writeln!(out, "    {}", text::line(finding.advice));
    }
    out
}
