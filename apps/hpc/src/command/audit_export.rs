//! `hpc audit export` and `show`: entries with their proofs, checked before anything is written.

use std::fs::OpenOptions;
use std::io::{ErrorKind, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;

use hpc_audit::{BUNDLE_ENTRIES_MAX, Bundle, BundleEntry, Verified, verify_bundle};
use hpc_error::{HpcError, codes};
use hpc_types::control::v1::{self, export_request::Subject};
use serde::Deserialize;

use super::audit::moment;
use super::audit_checkpoint::unproved;
use super::audit_verify::{broken, verifier_key};
use crate::args::{ExportArgs, Global};
use crate::command::PAGE_MAX;
use crate::output::Screen;
use crate::remembered::{Memory, Standing};
use crate::render::audit::entry as shown;
use crate::session::{Session, Surroundings, failure, read};
use crate::text;

/// Entries after which a long export says how far it is.
const TELL_EVERY: usize = 4_096;

/// Writes a bundle of many entries to a file.
pub(super) async fn export(
    args: &ExportArgs,
    global: &Global,
    around: &Surroundings,
    screen: &mut Screen<'_>,
) -> Result<u8, HpcError> {
    let session = Session::open(around, global).await?;
    let subject = match &args.range {
        Some(range) => Subject::Range(v1::LeafRange { start: range.start, end: range.end }),
        None => {
            let mut index = args.index.clone();
            if index.is_empty() {
                index = search(args, &session, around, screen).await?;
            }
            index.sort_unstable();
            index.dedup();
            Subject::Indices(v1::LeafIndices { index })
        }
    };
    let memory = Memory::new(around.home()?);
    let (bundle, verified) = fetch(subject, &session, &memory, screen).await?;
    let written = bundle.to_json().map_err(|error| broken("the daemon's export", &error))?;
    let path = &args.out;
    let failed = |error: std::io::Error| {
        let message = match error.kind() {
            ErrorKind::AlreadyExists => format!("`{}` is there already; name another file", path.display()),
            _ => format!("`{}` cannot be written: {error}", path.display()),
        };
        HpcError::coded(&codes::USG_FILE_PERMISSION, message).with("path", path.display())
    };
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path).map_err(failed)?;
    file.write_all(written.as_bytes()).and_then(|()| file.sync_all()).map_err(|error| {
        // Half a bundle is none.
        drop(std::fs::remove_file(path));
        failed(error)
    })?;
    screen.say(&format!(
        "{}, tree size {}, signed by {}\nCheck it anywhere: hpc audit verify {}",
        text::count(verified.entries.len() as u64, "record", "records"),
        verified.checkpoint.size,
        text::line(verified.key.name()),
        path.display()
    ));
    Ok(0)
}

/// Shows one entry in full.
pub(super) async fn show(
    index: u64,
    global: &Global,
    around: &Surroundings,
    screen: &mut Screen<'_>,
) -> Result<u8, HpcError> {
    let session = Session::open(around, global).await?;
    let memory = Memory::new(around.home()?);
    let subject = Subject::Indices(v1::LeafIndices { index: vec![index] });
    let (bundle, verified) = fetch(subject, &session, &memory, screen).await?;
    if screen.format.is_json() {
        screen.value(&bundle)?;
    } else if let Some(recorded) = verified.entries.first() {
        screen.text(&shown(recorded, &verified))?;
    }
    Ok(0)
}

/// The indices of all entries that match, page by page.
async fn search(
    args: &ExportArgs,
    session: &Session,
    around: &Surroundings,
    screen: &mut Screen<'_>,
) -> Result<Vec<u64>, HpcError> {
    #[derive(Deserialize)]
    struct Hit {
        index: u64,
    }
    let now = (around.now)();
    let to_proto = |text: &Option<String>| {
        let at = text.as_deref().map(|text| moment(text, now)).transpose()?;
        at.map(hpc_types::time::to_proto)
            .transpose()
            .map_err(|error| HpcError::coded(&codes::USG_OUT_OF_RANGE, error.to_string()))
    };
    let text = |text: &Option<String>| text.clone().unwrap_or_default();
    let (from, to) = (to_proto(&args.from)?, to_proto(&args.to)?);
    let (mut found, mut after_index) = (Vec::new(), None);
    loop {
        let message = v1::SearchRequest {
            principal: text(&args.principal),
            action: text(&args.action),
            subject: text(&args.subject),
            outcome: text(&args.outcome),
            from,
            to,
            after_index,
            limit: PAGE_MAX,
        };
        let answer = session.audit().search(session.call(message)).await.map_err(failure)?.into_inner();
        for entry in &answer.entries {
            found.push(read::<Hit>(entry, "hpc.audit-entry/v1")?.index);
        }
        if found.len() > BUNDLE_ENTRIES_MAX {
            let message =
                format!("more than {BUNDLE_ENTRIES_MAX} entries match; export them in several files");
            return Err(HpcError::coded(&codes::USG_TOO_LARGE, message));
        }
        // An index that does not move on would be asked for for ever.
        match answer.next_after_index {
            Some(next) if after_index.is_none_or(|last| next > last) => after_index = Some(next),
            _ => break,
        }
        screen.say(&format!("found {}", text_count(found.len())));
    }
    if found.is_empty() {
        return Err(HpcError::coded(&codes::AUD_UNKNOWN_ENTRY, "no entry matches"));
    }
    Ok(found)
}

/// Fetches a bundle part by part and checks it completely.
async fn fetch(
    subject: Subject,
    session: &Session,
    memory: &Memory,
    screen: &mut Screen<'_>,
) -> Result<(Bundle, Verified), HpcError> {
    let old_size = remembered_size(session, memory)?;
    let message = session.long_call(v1::ExportRequest { subject: Some(subject), old_size });
    let mut parts = session.audit().export(message).await.map_err(failure)?.into_inner();
    let nothing = || HpcError::coded(&codes::NET_VERSION, "the daemon's export is empty");
    // The text of a bundle is part of what is checked, so it is not made harmless: JSON escapes what it must.
    let first = parts.message().await.map_err(failure)?.ok_or_else(nothing)?;
    let mut bundle: Bundle = first.read("hpc.audit-bundle/v1")?;
    let mut told = 0;
    while let Some(part) = parts.message().await.map_err(failure)? {
        let entries: Vec<BundleEntry> = part.read("hpc.audit-entries/v1")?;
        bundle.entries.extend(entries);
        if bundle.entries.len() > BUNDLE_ENTRIES_MAX {
            let message = format!("the daemon sends more than {BUNDLE_ENTRIES_MAX} entries");
            return Err(HpcError::coded(&codes::NET_VERSION, message));
        }
        if bundle.entries.len() >= told + TELL_EVERY {
            told = bundle.entries.len();
            screen.say(&format!("received {}", text_count(told)));
        }
    }
    let key = session.context.audit_key.as_deref().map(verifier_key).transpose()?;
    let verified =
        verify_bundle(&bundle, key.as_ref()).map_err(|error| broken("the daemon's export", &error))?;
    held(memory, &verified, old_size)?;
    Ok((bundle, verified))
}

/// The size from which the daemon has to prove that its log only grew; 0 when nothing is remembered of it.
pub(super) fn remembered_size(session: &Session, memory: &Memory) -> Result<u64, HpcError> {
    let key = session.context.audit_key.as_deref().map(verifier_key).transpose()?;
    let known = key.map(|key| memory.read(&key)).transpose()?.flatten();
    Ok(known.map_or(0, |known| known.checkpoint().size))
}

/// Holds what a daemon proved against what is remembered of its log; it was asked for a proof from `old_size`.
pub(super) fn held(memory: &Memory, verified: &Verified, old_size: u64) -> Result<(), HpcError> {
    let standing = memory.hold(&verified.key, &verified.signed, verified.consistency.as_ref(), true)?;
    let answered = verified.consistency.as_ref().is_some_and(|proof| proof.old_size == old_size);
    match standing {
        Standing::Unproved(from) if old_size > 0 && !answered => Err(unproved(from)),
        // Another client has remembered more since, or the context names no key to ask by.
        _ => Ok(()),
    }
}

fn text_count(count: usize) -> String {
    text::count(count as u64, "entry", "entries")
}
