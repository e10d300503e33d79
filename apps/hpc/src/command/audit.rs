//! `hpc audit`: search and proof; the other verbs have files of their own.

use hpc_audit::{Bundle, verify_bundle};
use hpc_error::{HpcError, codes};
use hpc_resources::{LeaseId, RequestId, parse_duration_s};
use hpc_types::control::v1::{self, Document, proof_request::Subject};
use jiff::{SignedDuration, Timestamp};

use super::audit_export::{held, remembered_size};
use super::audit_verify::{broken, verifier_key};
use super::{audit_checkpoint, audit_export, audit_verify};
use crate::args::{Audit, Global, ProofArgs, SearchArgs};
use crate::command::{PAGE_MAX, checked_id};
use crate::output::Screen;
use crate::remembered::Memory;
use crate::render::audit::{EntryLine, entries};
use crate::session::{Session, Surroundings, failure, read};
use crate::text;

pub(super) async fn run(
    command: Audit,
    global: &Global,
    around: &Surroundings,
    screen: &mut Screen<'_>,
) -> Result<u8, HpcError> {
    match command {
        Audit::Search(args) => search(&args, global, around, screen).await,
        Audit::Proof(args) => proof(&args, global, around, screen).await,
        Audit::Show { index } => audit_export::show(index, global, around, screen).await,
        Audit::Export(args) => audit_export::export(&args, global, around, screen).await,
        Audit::Checkpoint(args) => audit_checkpoint::run(&args, global, around, screen).await,
        Audit::Verify(args) => audit_verify::verify(&args, around, screen),
        Audit::Fsck(args) => audit_verify::fsck(&args, around, screen),
    }
}

async fn search(
    args: &SearchArgs,
    global: &Global,
    around: &Surroundings,
    screen: &mut Screen<'_>,
) -> Result<u8, HpcError> {
    let now = (around.now)();
    let moment = |text: &Option<String>| text.as_deref().map(|text| moment(text, now)).transpose();
    let to_proto = |at: Option<Timestamp>| {
        at.map(hpc_types::time::to_proto)
            .transpose()
            .map_err(|error| HpcError::coded(&codes::USG_OUT_OF_RANGE, error.to_string()))
    };
    let (from, to) = (to_proto(moment(&args.from)?)?, to_proto(moment(&args.to)?)?);
    let session = Session::open(around, global).await?;
    let limit = usize::try_from(args.limit).unwrap_or(usize::MAX);
    let mut found: Vec<Document> = Vec::new();
    let mut after_index = args.after;
    let more = loop {
        let left = u32::try_from(limit - found.len()).unwrap_or(u32::MAX);
        let text = |text: &Option<String>| text.clone().unwrap_or_default();
        let message = v1::SearchRequest {
            principal: text(&args.principal),
            action: text(&args.action),
            subject: text(&args.subject),
            outcome: text(&args.outcome),
            from,
            to,
            after_index,
            limit: left.min(PAGE_MAX),
        };
        let answer = session.audit().search(session.call(message)).await.map_err(failure)?.into_inner();
        found.extend(answer.entries);
        found.truncate(limit);
        // An index that does not move on would be asked for for ever.
        match answer.next_after_index {
            Some(next) if found.len() < limit && after_index.is_none_or(|last| next > last) => {
                after_index = Some(next);
            }
            next => break next,
        }
    };
    if screen.format.is_json() {
        screen.documents(&found)?;
    } else if found.is_empty() {
        screen.say("no entry matches");
    } else {
        let lines: Vec<EntryLine> =
            found.iter().map(|entry| read(entry, "hpc.audit-entry/v1")).collect::<Result<_, _>>()?;
        screen.text(&entries(&lines, screen.format.is_wide()))?;
    }
    if more.is_some() {
        screen.say("there may be more: --limit N, or --after INDEX");
    }
    Ok(0)
}

/// A moment, or how long ago.
pub(super) fn moment(text: &str, now: Timestamp) -> Result<Timestamp, HpcError> {
    let bad = || {
        let message =
            format!("`{}` is neither a time like 2026-11-23T15:00:00Z nor one ago like 2h", text::line(text));
        HpcError::coded(&codes::USG_OUT_OF_RANGE, message)
    };
    if let Ok(at) = text.parse() {
        return Ok(at);
    }
    let seconds = parse_duration_s(text).map_err(|_| bad())?;
    let ago = SignedDuration::from_secs(i64::try_from(seconds).map_err(|_| bad())?);
    now.checked_sub(ago).map_err(|_| bad())
}

async fn proof(
    args: &ProofArgs,
    global: &Global,
    around: &Surroundings,
    screen: &mut Screen<'_>,
) -> Result<u8, HpcError> {
    let subject = match (&args.lease, &args.request) {
        (Some(lease), _) => Subject::LeaseId(checked_id(LeaseId::parse(lease.as_str()))?.to_string()),
        (None, Some(request)) => {
            Subject::RequestId(checked_id(RequestId::parse(request.as_str()))?.to_string())
        }
        (None, None) => {
            let mut index = args.index.clone();
            index.sort_unstable();
            index.dedup();
            Subject::Indices(v1::LeafIndices { index })
        }
    };
    let session = Session::open(around, global).await?;
    let memory = Memory::new(around.home()?);
    let old_size = remembered_size(&session, &memory)?;
    let message = v1::ProofRequest { subject: Some(subject), old_size };
    let document = session.audit().proof(session.call(message)).await.map_err(failure)?.into_inner();
    // The text of a bundle is part of what is checked, so it is not made harmless: JSON escapes what it must.
    let proved: Bundle = document.read("hpc.audit-bundle/v1")?;
    let key = session.context.audit_key.as_deref().map(verifier_key).transpose()?;
    let verified =
        verify_bundle(&proved, key.as_ref()).map_err(|error| broken("the daemon's proof", &error))?;
    held(&memory, &verified, old_size)?;
    let written = proved.to_json().map_err(|error| broken("the daemon's proof", &error))?;
    match &args.out {
        Some(path) => std::fs::write(path, written).map_err(|error| {
            let message = format!("`{}` cannot be written: {error}", path.display());
            HpcError::coded(&codes::USG_FILE_PERMISSION, message)
        })?,
        None => screen.text(&written)?,
    }
    let name = args.out.as_ref().map_or("FILE".to_owned(), |path| path.display().to_string());
    screen.say(&format!(
        "{}, tree size {}, signed by {}\nCheck it anywhere: hpc audit verify {name}",
        text::count(verified.entries.len() as u64, "record", "records"),
        verified.checkpoint.size,
        text::line(verified.key.name())
    ));
    Ok(0)
}
