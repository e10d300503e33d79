//! Receipts of what an answer recorded: checked against the log's key, told, and kept where that was asked for.

use std::fs::{self, OpenOptions};
use std::io::{ErrorKind, Write as _};
use std::path::Path;

use hpc_audit::{Hash, VerifierKey, verify_receipt};
use hpc_error::{HpcError, codes};
use hpc_types::control::v1;

use super::audit_receipt::with_leaf;
use crate::args::Global;
use crate::output::{Screen, WARN, paint};
use crate::session::Session;

/// Most bytes of one proof: a note may be longer, but no log of this kind writes one.
const PROOF_BYTES_MAX: usize = 64 * 1024;

/// Checks the receipts of an answer and says where the audit log has its entries; with `--receipts` their proofs are
/// kept.
///
/// What was recorded has happened whatever comes out here: show the answer first, then end with this error.
///
/// # Errors
/// `HPC-AUD-0002` for a proof that does not hold under the context's key, `-0004` when the context has a key that cannot
/// be read; when `--receipts` is given, `HPC-AUD-0003` for a receipt without a proof, and failures to write.
pub(super) fn take(
    receipts: &[v1::Receipt],
    session: &Session,
    global: &Global,
    screen: &mut Screen<'_>,
) -> Result<(), HpcError> {
    if receipts.is_empty() {
        return Ok(());
    }
    let key = session.context.audit_key.as_deref().map(key).transpose()?;
    for receipt in receipts {
        check(receipt, key.as_ref())?;
    }
    let indices: Vec<String> = receipts.iter().map(|receipt| receipt.index.to_string()).collect();
    let proved = key.is_some() && receipts.iter().all(|receipt| !receipt.proof.is_empty());
    let how = if proved { ", proved" } else { "" };
    screen.say(&format!("  recorded  audit {}{how}", indices.join(", ")));
    if !proved && global.receipts.is_some() {
        let why = if key.is_none() { "the context has no audit key" } else { "the daemon sent no proof" };
        screen.say(&paint(WARN, &format!("  not checked: {why}")));
    }
    match &global.receipts {
        Some(folder) => receipts.iter().try_for_each(|receipt| keep(receipt, folder, screen)),
        None => Ok(()),
    }
}

fn key(text: &str) -> Result<VerifierKey, HpcError> {
    text.parse().map_err(|error| {
        let message = format!("the context's audit key cannot be read: {error}");
        HpcError::coded(&codes::AUD_UNTRUSTED_KEY, message)
    })
}

/// An older daemon sends no proof, and an older context has no key; what can be checked must hold.
fn check(receipt: &v1::Receipt, key: Option<&VerifierKey>) -> Result<(), HpcError> {
    let Some(key) = key.filter(|_| !receipt.proof.is_empty()) else { return Ok(()) };
    let wrong = |why: String| {
        let message = format!("the daemon's receipt of audit entry {} does not hold: {why}", receipt.index);
        HpcError::coded(&codes::AUD_VERIFICATION_FAILED, message).with("index", receipt.index)
    };
    if receipt.proof.len() > PROOF_BYTES_MAX {
        return Err(wrong(format!("its proof has more than {PROOF_BYTES_MAX} bytes")));
    }
    let leaf_hash = Hash::from_slice(&receipt.leaf_hash).map_err(|error| wrong(error.to_string()))?;
    let (index, _) =
        verify_receipt(&leaf_hash, &receipt.proof, key).map_err(|error| wrong(error.to_string()))?;
    if index == receipt.index { Ok(()) } else { Err(wrong(format!("its proof is of entry {index}"))) }
}

fn keep(receipt: &v1::Receipt, folder: &Path, screen: &mut Screen<'_>) -> Result<(), HpcError> {
    if receipt.proof.is_empty() {
        let message = format!(
            "audit entry {} is recorded, but the daemon sent no proof to keep; take one: hpc audit proof",
            receipt.index
        );
        return Err(HpcError::coded(&codes::AUD_UNKNOWN_ENTRY, message));
    }
    let leaf_hash = Hash::from_slice(&receipt.leaf_hash).map_err(|error| {
        let message = format!("audit entry {} is recorded, but not to be kept: {error}", receipt.index);
        HpcError::coded(&codes::AUD_VERIFICATION_FAILED, message)
    })?;
    let text = with_leaf(&receipt.proof, &leaf_hash)?;
    let path = folder.join(format!("{}.tlog-proof", receipt.index));
    let failed = |error: std::io::Error| {
        let message = format!("`{}`: {error}", path.display());
        HpcError::coded(&codes::USG_FILE_PERMISSION, message).with("path", path.display())
    };
    fs::create_dir_all(folder).map_err(failed)?;
    match OpenOptions::new().write(true).create_new(true).open(&path) {
        Ok(mut file) => file.write_all(text.as_bytes()).map_err(failed)?,
        // Another proof of the same entry is as good, and none is written over.
        Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
        Err(error) => return Err(failed(error)),
    }
    screen.say(&format!("  receipt   {}", path.display()));
    Ok(())
}
