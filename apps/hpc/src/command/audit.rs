//! `hpc audit`: search, proof, verify. Verifying needs neither daemon nor network.

use std::fs::File;
use std::io::Read as _;
use std::path::Path;

use hpc_audit::{BUNDLE_BYTES_MAX, Bundle, BundleError, VerifierKey, verify_bundle};
use hpc_audit_file::{DirError, verify_dir};
use hpc_error::{HpcError, codes};
use hpc_resources::{LeaseId, RequestId, parse_duration_s};
use hpc_types::control::v1::{self, Document, proof_request::Subject};
use jiff::{SignedDuration, Timestamp};
use serde_json::json;

use crate::args::{Audit, Global, ProofArgs, SearchArgs};
use crate::command::{PAGE_MAX, checked_id};
use crate::context;
use crate::output::Screen;
use crate::render::audit::{EntryLine, KeyTrust, bundle, entries, folder};
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
        Audit::Verify { path, key } => verify(&path, key.as_deref(), around, screen),
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
    let message = v1::ProofRequest { subject: Some(subject) };
    let document = session.audit().proof(session.call(message)).await.map_err(failure)?.into_inner();
    // The text of a bundle is part of what is checked, so it is not made harmless: JSON escapes what it must.
    let proved: Bundle = document.read("hpc.audit-bundle/v1")?;
    let key = session.context.audit_key.as_deref().map(verifier_key).transpose()?;
    let verified =
        verify_bundle(&proved, key.as_ref()).map_err(|error| broken("the daemon's proof", &error))?;
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

fn verify(
    path: &Path,
    key: Option<&str>,
    around: &Surroundings,
    screen: &mut Screen<'_>,
) -> Result<u8, HpcError> {
    let given = key.map(verifier_key).transpose()?;
    let unreadable = |error: std::io::Error| {
        let code = match error.kind() {
            std::io::ErrorKind::NotFound => &codes::USG_FILE_MISSING,
            _ => &codes::USG_FILE_PERMISSION,
        };
        HpcError::coded(code, format!("`{}`: {error}", path.display())).with("path", path.display())
    };
    if std::fs::metadata(path).map_err(unreadable)?.is_dir() {
        let report = verify_dir(path, key).map_err(|error| broken_folder(path, &error))?;
        let trust = trust(&report.vkey, given.is_some(), around);
        if screen.format.is_json() {
            screen.value(&json!({
                "ok": true, "kind": "directory", "path": path.display().to_string(), "entries": report.entries,
                "signed": report.checkpoint.size, "files": report.files, "key": report.vkey,
                "key_trusted": trust != KeyTrust::Own, "clean": report.is_clean(), "unfinished": report.unfinished,
            }))?;
        } else {
            screen.text(&folder(&report, &trust))?;
        }
        return Ok(0);
    }
    let file = File::open(path).map_err(unreadable)?;
    let mut bytes = Vec::new();
    file.take(BUNDLE_BYTES_MAX as u64 + 1).read_to_end(&mut bytes).map_err(unreadable)?;
    let shown = path.display().to_string();
    let verified = Bundle::from_json(&bytes)
        .and_then(|bundle| verify_bundle(&bundle, given.as_ref()))
        .map_err(|error| broken(&format!("`{shown}`"), &error).with("path", &shown))?;
    let trust = trust(&verified.key.to_string(), given.is_some(), around);
    if screen.format.is_json() {
        screen.value(&json!({
            "ok": true, "kind": "bundle", "path": shown, "entries": verified.entries.len(),
            "tree_size": verified.checkpoint.size, "key": verified.key.to_string(),
            "key_trusted": trust != KeyTrust::Own,
        }))?;
    } else {
        screen.text(&bundle(&verified, &trust))?;
    }
    Ok(0)
}

/// A key that was not given may still be that of a context, which a daemon wrote.
fn trust(key: &str, given: bool, around: &Surroundings) -> KeyTrust {
    if given {
        return KeyTrust::Given;
    }
    let known = around.home().ok().and_then(|home| {
        let names = context::list(home).ok()?;
        names.into_iter().find(|name| {
            context::read(home, name).is_ok_and(|context| context.audit_key.as_deref() == Some(key))
        })
    });
    known.map_or(KeyTrust::Own, KeyTrust::Context)
}

pub(super) fn verifier_key(text: &str) -> Result<VerifierKey, HpcError> {
    text.parse().map_err(|error| {
        let message = format!("the key is not a verifier key (NAME+HASH+KEY): {error}");
        HpcError::coded(&codes::USG_UNKNOWN_VALUE, message)
    })
}

pub(super) fn broken(what: &str, error: &BundleError) -> HpcError {
    let code = match error {
        BundleError::OtherKey { .. } => &codes::AUD_UNTRUSTED_KEY,
        _ => &codes::AUD_VERIFICATION_FAILED,
    };
    HpcError::coded(code, format!("{what} does not hold: {error}"))
}

pub(super) fn broken_folder(path: &Path, error: &DirError) -> HpcError {
    let code = match error {
        DirError::OtherKey { .. } => &codes::AUD_UNTRUSTED_KEY,
        DirError::InUse => &codes::DAT_LOCKED,
        DirError::Key(_) => &codes::USG_UNKNOWN_VALUE,
        _ => &codes::AUD_VERIFICATION_FAILED,
    };
    let shown = path.display();
    let what = if *code == codes::AUD_VERIFICATION_FAILED { "does not hold" } else { "cannot be checked" };
    let coded = HpcError::coded(code, format!("`{shown}` {what}: {error}")).with("path", shown);
    match error {
        DirError::Damaged { file, offset: Some(offset), .. } => {
            coded.with("file", file).with("offset", offset)
        }
        DirError::Damaged { file, .. }
        | DirError::Missing { file }
        | DirError::Unexpected { file }
        | DirError::Io { file, .. } => coded.with("file", file),
        _ => coded,
    }
}
