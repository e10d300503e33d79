//! `hpc policy replay`: recorded decisions against candidate policies, before anybody feels the change.

use std::fs::File;
use std::io::{BufRead as _, BufReader, Read as _};
use std::path::Path;

use hpc_audit::{BUNDLE_BYTES_MAX, Bundle, Entry, verify_bundle};
use hpc_audit_file::visit_dir;
use hpc_broker::decisions_in;
use hpc_error::{HpcError, codes};
use hpc_policy::{LoggedDecision, PolicySet, Replay, ReplayReport};
use hpc_types::control::v1;
use jiff::Timestamp;
use serde::Serialize;

use super::audit::moment;
use super::audit_verify::{broken, broken_folder, verifier_key};
use super::policy::{invalid, policies, unreadable};
use crate::args::{Global, ReplayArgs};
use crate::command::PAGE_MAX;
use crate::output::Screen;
use crate::render::audit::EntryLine;
use crate::render::replay::report;
use crate::session::{Session, Surroundings, failure};
use crate::text;

/// Longest line of an exported log, in bytes: an entry and the spelling of it as a document.
const LINE_BYTES_MAX: usize = 1024 * 1024;
/// Pages of the daemon's log between two words about how far it is.
const PAGES_A_WORD: u64 = 10;

/// What was replayed.
#[derive(Debug, Serialize)]
pub(crate) struct Replayed {
    /// `daemon`, `directory`, `bundle` or `export`.
    pub(crate) source: &'static str,
    /// Whether the entries were proved to be the log's: by the daemon's own word `false`, as with an export.
    pub(crate) verified: bool,
    /// How many entries were read, those without a decision too.
    pub(crate) entries: u64,
    /// What came of it.
    #[serde(flatten)]
    pub(crate) report: ReplayReport,
}

pub(super) async fn replay(
    args: &ReplayArgs,
    global: &Global,
    around: &Surroundings,
    screen: &mut Screen<'_>,
) -> Result<u8, HpcError> {
    let candidate = PolicySet::parse_documents(policies(&args.paths)?).map_err(|errors| invalid(&errors))?;
    let now = (around.now)();
    let bound = |text: &Option<String>| text.as_deref().map(|text| moment(text, now)).transpose();
    let mut feeder = Feeder {
        replay: Replay::new(&candidate),
        entries: 0,
        from: bound(&args.from)?,
        to: bound(&args.to)?,
    };
    let (source, verified) = match (&args.audit, &args.decisions) {
        (Some(path), _) => checked(path, args.key.as_deref(), &mut feeder)?,
        (None, Some(path)) => {
            exported(path, &mut feeder)?;
            ("export", false)
        }
        (None, None) => {
            daemon(&Session::open(around, global).await?, &mut feeder, screen).await?;
            ("daemon", false)
        }
    };
    let replayed = Replayed { source, verified, entries: feeder.entries, report: feeder.replay.finish() };
    if screen.format.is_json() {
        screen.value(&replayed)?;
    } else {
        screen.text(&report(&replayed))?;
    }
    Ok(u8::from(!replayed.report.has_no_flips()))
}

/// Takes entries one by one, so that no log need fit into memory.
struct Feeder<'a> {
    replay: Replay<'a>,
    entries: u64,
    from: Option<Timestamp>,
    to: Option<Timestamp>,
}

impl Feeder<'_> {
    fn entry(&mut self, index: u64, entry: &Entry) {
        self.take(index, entry.at, &entry.data);
    }

    fn line(&mut self, line: &EntryLine) {
        self.take(line.index, line.at, &line.data);
    }

    fn take(
        &mut self,
        index: u64,
        at: Timestamp,
        data: &std::collections::BTreeMap<String, serde_json::Value>,
    ) {
        if self.from.is_some_and(|from| at < from) || self.to.is_some_and(|to| at >= to) {
            return;
        }
        self.entries = self.entries.saturating_add(1);
        for decision in decisions_in(data) {
            self.replay.feed(LoggedDecision { index, at, decision });
        }
    }
}

/// The daemon's log, as far as it goes when the first page is read: what is added meanwhile is left for the next time.
async fn daemon(session: &Session, feeder: &mut Feeder<'_>, screen: &mut Screen<'_>) -> Result<(), HpcError> {
    let bound = |at: Option<Timestamp>| {
        at.map(hpc_types::time::to_proto)
            .transpose()
            .map_err(|error| HpcError::coded(&codes::USG_OUT_OF_RANGE, error.to_string()))
    };
    let (from, to) = (bound(feeder.from)?, bound(feeder.to)?);
    let mut after_index = None;
    let mut end = None;
    for page in 1_u64.. {
        let message = v1::SearchRequest { from, to, after_index, limit: PAGE_MAX, ..Default::default() };
        let answer = session.audit().search(session.call(message)).await.map_err(failure)?.into_inner();
        let end = *end.get_or_insert(answer.tree_size);
        for document in &answer.entries {
            // As it was sent: what is made harmless for a terminal is no longer what was recorded.
            let line: EntryLine = document.read("hpc.audit-entry/v1").map_err(|error| {
                let message = format!("the daemon's entry cannot be read: {error}");
                HpcError::coded(&codes::NET_VERSION, message)
            })?;
            if line.index < end {
                feeder.line(&line);
            }
        }
        match answer.next_after_index {
            // An index that does not move on would be asked for for ever.
            Some(next) if next < end && after_index.is_none_or(|last| next > last) => {
                after_index = Some(next);
                if page.is_multiple_of(PAGES_A_WORD) {
                    screen.say(&format!("  {} of {end} entries read", next.saturating_add(1)));
                }
            }
            _ => break,
        }
    }
    Ok(())
}

/// A log's folder or a proof: the whole of it holds, or nothing of it counts.
fn checked(
    path: &Path,
    key: Option<&str>,
    feeder: &mut Feeder<'_>,
) -> Result<(&'static str, bool), HpcError> {
    let trusted = key.map(verifier_key).transpose()?;
    let failed = |error: std::io::Error| unreadable(path, &error);
    if std::fs::metadata(path).map_err(failed)?.is_dir() {
        visit_dir(path, key, |index, entry| feeder.entry(index, entry))
            .map_err(|error| broken_folder(path, &error))?;
        return Ok(("directory", true));
    }
    let mut bytes = Vec::new();
    let file = File::open(path).map_err(failed)?;
    file.take(BUNDLE_BYTES_MAX as u64 + 1).read_to_end(&mut bytes).map_err(failed)?;
    let shown = path.display().to_string();
    let verified = Bundle::from_json(&bytes)
        .and_then(|bundle| verify_bundle(&bundle, trusted.as_ref()))
        .map_err(|error| broken(&format!("`{shown}`"), &error).with("path", &shown))?;
    for recorded in &verified.entries {
        feeder.entry(recorded.index, &recorded.entry);
    }
    Ok(("bundle", true))
}

/// The lines of `hpc audit search -o ndjson`.
fn exported(path: &Path, feeder: &mut Feeder<'_>) -> Result<(), HpcError> {
    let failed = |error: std::io::Error| unreadable(path, &error);
    let mut reader = BufReader::new(File::open(path).map_err(failed)?);
    let shown = path.display();
    for number in 1_u64.. {
        let mut line = Vec::new();
        let read = reader.by_ref().take(LINE_BYTES_MAX as u64 + 1).read_until(b'\n', &mut line);
        if read.map_err(failed)? == 0 {
            break;
        }
        if line.len() > LINE_BYTES_MAX {
            let message = format!("`{shown}`: line {number} has more than {LINE_BYTES_MAX} bytes");
            return Err(HpcError::coded(&codes::USG_TOO_LARGE, message));
        }
        if line.iter().all(u8::is_ascii_whitespace) {
            continue;
        }
        let entry: EntryLine = serde_json::from_slice(&line).map_err(|error| {
            let why = text::line(&error.to_string());
            let message =
                format!("`{shown}`: line {number} is no entry of `hpc audit search -o ndjson`: {why}");
            HpcError::coded(&codes::USG_SYNTAX, message).with("path", shown.to_string())
        })?;
        feeder.line(&entry);
    }
    Ok(())
}
