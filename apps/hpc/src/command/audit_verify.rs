//! `hpc audit verify` and `hpc audit fsck`: everything that can be checked without a daemon and a network.

use std::fs::File;
use std::io::Read as _;
use std::path::Path;

use hpc_audit::{BUNDLE_BYTES_MAX, Bundle, BundleError, SignedCheckpoint, VerifierKey, verify_bundle};
use hpc_audit_file::{Against, DirError, DirReport, Progress, check_dir};
use hpc_crypto::note::NOTE_BYTES_MAX;
use hpc_crypto::witness::Remembered;
use hpc_error::{HpcError, codes};
use serde_json::{Value, json};

use super::audit_checkpoint::{add_verdict, judge, policy};
use super::audit_receipt;
use crate::args::VerifyArgs;
use crate::context;
use crate::output::Screen;
use crate::remembered::{Memory, Standing};
use crate::render::audit::{KeyTrust, bundle, folder};
use crate::session::Surroundings;

/// Checks a bundle, a receipt or a folder.
pub(super) fn verify(
    args: &VerifyArgs,
    around: &Surroundings,
    screen: &mut Screen<'_>,
) -> Result<u8, HpcError> {
    if std::fs::metadata(&args.path).map_err(unreadable(&args.path))?.is_dir() {
        check_folder(args, around, screen, false)
    } else {
        check_file(args, around, screen)
    }
}

/// Checks a folder and says on the way how far it is.
pub(super) fn fsck(
    args: &VerifyArgs,
    around: &Surroundings,
    screen: &mut Screen<'_>,
) -> Result<u8, HpcError> {
    if !std::fs::metadata(&args.path).map_err(unreadable(&args.path))?.is_dir() {
        let message = format!("`{}` is no folder; for a bundle: hpc audit verify", args.path.display());
        return Err(HpcError::coded(&codes::USG_UNKNOWN_VALUE, message));
    }
    check_folder(args, around, screen, true)
}

fn check_file(args: &VerifyArgs, around: &Surroundings, screen: &mut Screen<'_>) -> Result<u8, HpcError> {
    let file = File::open(&args.path).map_err(unreadable(&args.path))?;
    let mut bytes = Vec::new();
    file.take(BUNDLE_BYTES_MAX as u64 + 1).read_to_end(&mut bytes).map_err(unreadable(&args.path))?;
    if audit_receipt::is_receipt(&bytes) {
        return audit_receipt::check(args, &bytes, around, screen);
    }
    if args.leaf_hash.is_some() {
        let message = format!("`{}` is no receipt; --leaf-hash is for one", args.path.display());
        return Err(HpcError::coded(&codes::USG_UNKNOWN_VALUE, message));
    }
    let given = args.key.as_deref().map(verifier_key).transpose()?;
    let policy = args.policy.as_deref().map(policy).transpose()?;
    let shown = args.path.display().to_string();
    let verified = Bundle::from_json(&bytes)
        .and_then(|bundle| verify_bundle(&bundle, given.as_ref()))
        .map_err(|error| broken(&format!("`{shown}`"), &error).with("path", &shown))?;
    let verdict =
        policy.map(|policy| judge(policy, &verified.key, &verified.signed, (around.now)())).transpose()?;
    let trust = trust(&verified.key.to_string(), given.is_some(), verdict.is_some(), around);
    let earlier = since(args, &verified.key)?;
    let standing = match (&earlier, memory(args, around)) {
        (Some(earlier), _) => {
            Some(Memory::compare(earlier, &verified.signed, verified.consistency.as_ref(), &shown)?)
        }
        // What merely agrees with itself is not remembered: anybody can make it.
        (None, Some(memory)) if trust != KeyTrust::Own => {
            Some(memory.hold(&verified.key, &verified.signed, verified.consistency.as_ref(), false)?)
        }
        (None, _) => None,
    };
    if screen.format.is_json() {
        let mut value = json!({
            "ok": true, "kind": "bundle", "path": shown, "entries": verified.entries.len(),
            "tree_size": verified.checkpoint.size, "key": verified.key.to_string(),
            "key_trusted": trust != KeyTrust::Own,
        });
        add_standing(&mut value, standing.as_ref());
        add_verdict(&mut value, verdict.as_ref());
        screen.value(&value)?;
    } else {
        screen.text(&bundle(&verified, &trust, standing.as_ref(), verdict.as_ref()))?;
    }
    Ok(0)
}

fn check_folder(
    args: &VerifyArgs,
    around: &Surroundings,
    screen: &mut Screen<'_>,
    tell: bool,
) -> Result<u8, HpcError> {
    let path = &args.path;
    let given = args.key.as_deref().map(verifier_key).transpose()?;
    let policy = args.policy.as_deref().map(policy).transpose()?;
    // Whatever is wrong with the key in the folder, the check itself will say.
    let own: Option<VerifierKey> =
        std::fs::read_to_string(path.join("log.vkey")).ok().and_then(|text| text.trim_end().parse().ok());
    let memory = memory(args, around);
    let earlier = match (&own, args.since.as_ref(), &memory) {
        (Some(own), Some(_), _) => since(args, own)?,
        (Some(own), None, Some(memory)) => memory.read(own)?,
        _ => None,
    };
    let note = earlier.as_ref().map(ToString::to_string);
    let against = Against { vkey: args.key.as_deref(), remembered: note.as_deref().map(str::as_bytes) };
    let mut told = 0;
    let report = check_dir(path, &against, |Progress { entries_done, entries }| {
        let tenths = entries_done.saturating_mul(10).checked_div(entries).unwrap_or(10);
        if tell && tenths > told {
            told = tenths;
            screen.say(&format!("checked {entries_done} of {entries} entries"));
        }
    })
    .map_err(|error| broken_dir(path, &error, earlier.as_ref(), memory.as_ref()))?;
    let (signed, verdict) = match (&own, policy) {
        (Some(own), policy) => {
            let signed = checkpoint_in(path, own, &report)?;
            let verdict = policy.map(|policy| judge(policy, own, &signed, (around.now)())).transpose()?;
            (Some((own, signed)), verdict)
        }
        (None, _) => (None, None),
    };
    let trust = trust(&report.vkey, given.is_some(), verdict.is_some(), around);
    let standing = earlier.as_ref().map(|earlier| match earlier.checkpoint().size {
        size if size == report.checkpoint.size => Standing::Same,
        size => Standing::Grown(size),
    });
    if let (Some(memory), Some((own, signed)), true) = (&memory, &signed, trust != KeyTrust::Own) {
        memory.advance(own, signed)?;
    }
    if screen.format.is_json() {
        let mut value = json!({
            "ok": true, "kind": "directory", "path": path.display().to_string(), "entries": report.entries,
            "signed": report.checkpoint.size, "files": report.files, "key": report.vkey,
            "key_trusted": trust != KeyTrust::Own, "clean": report.is_clean(), "unfinished": report.unfinished,
        });
        add_standing(&mut value, standing.as_ref());
        add_verdict(&mut value, verdict.as_ref());
        screen.value(&value)?;
    } else {
        screen.text(&folder(&report, &trust, standing.as_ref(), verdict.as_ref()))?;
    }
    Ok(0)
}

/// The signed note that the check found good.
fn checkpoint_in(path: &Path, key: &VerifierKey, report: &DirReport) -> Result<SignedCheckpoint, HpcError> {
    let file = path.join("checkpoint");
    let signed = std::fs::read(&file).ok().and_then(|note| SignedCheckpoint::open(&note, key).ok());
    signed.filter(|signed| *signed.checkpoint() == report.checkpoint).ok_or_else(|| {
        let message = format!("`{}` has changed while it was being checked", file.display());
        HpcError::coded(&codes::AUD_VERIFICATION_FAILED, message)
    })
}

/// Where checkpoints are remembered, unless that is not wanted or there is no home.
pub(super) fn memory(args: &VerifyArgs, around: &Surroundings) -> Option<Memory> {
    if args.no_remember { None } else { around.home().ok().map(|home| Memory::new(home)) }
}

/// The checkpoint of `--since`, which the same log signed.
pub(super) fn since(args: &VerifyArgs, key: &VerifierKey) -> Result<Option<Remembered>, HpcError> {
    let Some(path) = &args.since else { return Ok(None) };
    let file = File::open(path).map_err(unreadable(path))?;
    let mut bytes = Vec::new();
    file.take(NOTE_BYTES_MAX as u64 + 1).read_to_end(&mut bytes).map_err(unreadable(path))?;
    let signed = SignedCheckpoint::open(&bytes, key).map_err(|error| {
        let message = format!("`{}` is no checkpoint of this log: {error}", path.display());
        HpcError::coded(&codes::USG_UNKNOWN_VALUE, message)
    })?;
    Ok(Some(Remembered::from(&signed)))
}

pub(super) fn add_standing(value: &mut Value, standing: Option<&Standing>) {
    if let (Some(standing), Some(fields)) = (standing, value.as_object_mut()) {
        fields.insert("standing".to_owned(), standing.word().into());
    }
}

/// A key that was not given may still be that of a context, which a daemon wrote.
fn trust(key: &str, given: bool, by_policy: bool, around: &Surroundings) -> KeyTrust {
    if given {
        return KeyTrust::Given;
    }
    if by_policy {
        return KeyTrust::Policy;
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

/// A folder whose log contradicts an earlier checkpoint is evidence; anything else is damage.
fn broken_dir(
    path: &Path,
    error: &DirError,
    earlier: Option<&Remembered>,
    memory: Option<&Memory>,
) -> HpcError {
    let (code, signed) = match error {
        DirError::Rollback { signed, .. } => (&codes::AUD_ROLLBACK, signed),
        DirError::SplitView { signed, .. } => (&codes::AUD_SPLIT_VIEW, signed),
        _ => return broken_folder(path, error),
    };
    match (earlier, memory) {
        (Some(earlier), Some(memory)) => memory.contradiction(code, None, earlier, signed),
        _ => HpcError::coded(code, format!("`{}`: {error}", path.display())),
    }
    .with("path", path.display())
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

fn unreadable(path: &Path) -> impl Fn(std::io::Error) -> HpcError + '_ {
    move |error| {
        let code = match error.kind() {
            std::io::ErrorKind::NotFound => &codes::USG_FILE_MISSING,
            _ => &codes::USG_FILE_PERMISSION,
        };
        HpcError::coded(code, format!("`{}`: {error}", path.display())).with("path", path.display())
    }
}
