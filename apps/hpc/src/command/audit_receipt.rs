//! `hpc audit verify` of a receipt: the C2SP tlog-proof of one entry, as `--receipts` keeps it.

use hpc_audit::{Hash, SignedCheckpoint, VerifierKey, verify_receipt};
use hpc_crypto::tlog_policy::TlogPolicy;
use hpc_crypto::tlog_proof::ProofText;
use hpc_error::{HpcError, codes};
use serde_json::json;

use super::audit_checkpoint::{add_verdict, judge, policy};
use super::audit_verify::{add_standing, memory, since, verifier_key};
use crate::args::VerifyArgs;
use crate::context;
use crate::output::Screen;
use crate::remembered::{Memory, Standing};
use crate::render::audit::{KeyTrust, receipt};
use crate::session::Surroundings;

/// How every proof of this kind begins, in any version.
const BEGINNING: &[u8] = b"c2sp.org/tlog-proof@";

/// A receipt that was checked.
pub(crate) struct CheckedReceipt {
    /// Where the entry is in the log.
    pub(crate) index: u64,
    /// Which entry it is.
    pub(crate) leaf_hash: Hash,
    /// What the log signed.
    pub(crate) signed: SignedCheckpoint,
    /// By which key.
    pub(crate) key: VerifierKey,
    /// Why that key counts.
    pub(crate) trust: KeyTrust,
}

/// Whether these are a receipt's bytes and not a bundle's.
pub(super) fn is_receipt(bytes: &[u8]) -> bool {
    bytes.starts_with(BEGINNING)
}

/// What is kept of a proof: the proof, and beside it which entry it is of. The proof holds for that entry and no other, so
/// that whoever changes it is found out.
///
/// # Errors
/// `HPC-AUD-0002` for a text that is no proof.
pub(super) fn with_leaf(proof: &str, leaf_hash: &Hash) -> Result<String, HpcError> {
    let proof = ProofText::parse(proof).and_then(|proof| proof.with_extra(leaf_hash.as_bytes().to_vec()));
    proof.map(|proof| proof.to_string()).map_err(|error| failed(&error))
}

/// Checks a receipt.
///
/// # Errors
/// `HPC-AUD-0002` when it does not hold, `-0004` when none of the keys at hand signed it, `HPC-USG-0012` when it does not say
/// which entry it is of; those of policies, checkpoints and what is remembered.
pub(super) fn check(
    args: &VerifyArgs,
    bytes: &[u8],
    around: &Surroundings,
    screen: &mut Screen<'_>,
) -> Result<u8, HpcError> {
    let shown = args.path.display().to_string();
    let at = |error: HpcError| error.with("path", &shown);
    let text = std::str::from_utf8(bytes).map_err(|_| at(failed(&"not UTF-8")))?;
    let proof = ProofText::parse(text).map_err(|error| at(failed(&error)))?;
    let leaf_hash = match (&args.leaf_hash, proof.unauthenticated_extra()) {
        (Some(given), _) => leaf(given)?,
        (None, Some(kept)) if kept.len() == 32 => {
            Hash::from_slice(kept).map_err(|error| at(failed(&error)))?
        }
        (None, _) => {
            let message = "the receipt does not say which entry it is of; pass that as --leaf-hash";
            return Err(at(HpcError::coded(&codes::USG_UNKNOWN_VALUE, message)));
        }
    };
    let policy = args.policy.as_deref().map(policy).transpose()?;
    let (key, trust) = signer(args, &proof, policy.as_ref(), around).map_err(at)?;
    let (index, signed) = verify_receipt(&leaf_hash, text, &key).map_err(|error| at(failed(&error)))?;
    let verdict = policy.map(|policy| judge(policy, &key, &signed, (around.now)())).transpose()?;
    let standing = standing(args, &key, &signed, &shown, around)?;
    let checked = CheckedReceipt { index, leaf_hash, signed, key, trust };
    if screen.format.is_json() {
        let mut value = json!({
            "ok": true, "kind": "receipt", "path": shown, "index": index, "leaf_hash": leaf_hash.to_base64(),
            "tree_size": checked.signed.checkpoint().size, "key": checked.key.to_string(), "key_trusted": true,
        });
        add_standing(&mut value, standing.as_ref());
        add_verdict(&mut value, verdict.as_ref());
        screen.value(&value)?;
    } else {
        screen.text(&receipt(&checked, standing.as_ref(), verdict.as_ref()))?;
    }
    Ok(0)
}

/// In Base64, as everywhere here, or in hexadecimal.
fn leaf(text: &str) -> Result<Hash, HpcError> {
    Hash::from_base64(text).or_else(|_| text.parse()).map_err(|_| {
        let message = "the leaf hash is neither 44 characters of Base64 nor 64 hexadecimal digits";
        HpcError::coded(&codes::USG_UNKNOWN_VALUE, message)
    })
}

/// How the receipt's checkpoint stands to the one of `--since`, or to the one that is remembered.
fn standing(
    args: &VerifyArgs,
    key: &VerifierKey,
    signed: &SignedCheckpoint,
    shown: &str,
    around: &Surroundings,
) -> Result<Option<Standing>, HpcError> {
    match (since(args, key)?, memory(args, around)) {
        (Some(earlier), _) => Memory::compare(&earlier, signed, None, shown).map(Some),
        (None, Some(memory)) => memory.hold(key, signed, None, false).map(Some),
        (None, None) => Ok(None),
    }
}

/// The key that signed it: the given one, one of the policy's, or that of a context. A proof carries no key of its own.
fn signer(
    args: &VerifyArgs,
    proof: &ProofText,
    policy: Option<&TlogPolicy>,
    around: &Surroundings,
) -> Result<(VerifierKey, KeyTrust), HpcError> {
    let note = proof.note().to_string();
    let signed = |key: &VerifierKey| SignedCheckpoint::open(note.as_bytes(), key).is_ok();
    if let Some(given) = args.key.as_deref().map(verifier_key).transpose()? {
        return match signed(&given) {
            true => Ok((given, KeyTrust::Given)),
            false => Err(untrusted(format!("`{}` did not sign its checkpoint", given.name()))),
        };
    }
    let listed = policy.iter().flat_map(|policy| policy.logs()).map(|log| &log.key).find(|key| signed(key));
    if let Some(key) = listed {
        return Ok((key.clone(), KeyTrust::Policy));
    }
    let home = around.home().ok();
    let names = home.and_then(|home| context::list(home).ok()).unwrap_or_default();
    let known = home.into_iter().flat_map(|home| {
        names.iter().filter_map(move |name| {
            let key = context::read(home, name).ok()?.audit_key?.parse().ok()?;
            Some((key, KeyTrust::Context(name.clone())))
        })
    });
    let mut known = known.filter(|(key, _)| signed(key));
    known.next().ok_or_else(|| {
        untrusted(
            "no context and no policy has the key that signed its checkpoint; pass it with --key".to_owned(),
        )
    })
}

fn untrusted(message: String) -> HpcError {
    HpcError::coded(&codes::AUD_UNTRUSTED_KEY, message)
}

fn failed(error: &dyn std::fmt::Display) -> HpcError {
    HpcError::coded(&codes::AUD_VERIFICATION_FAILED, format!("the receipt does not hold: {error}"))
}
