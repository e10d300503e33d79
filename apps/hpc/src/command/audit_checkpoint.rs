//! `hpc audit checkpoint`: what the log says now, held against what it said before, and who cosigned it.

use std::io::Read as _;
use std::path::Path;

use hpc_audit::{BundleConsistency, SignedCheckpoint, VerifierKey};
use hpc_crypto::CryptoError;
use hpc_crypto::cosignature::Clock;
use hpc_crypto::tlog_policy::{POLICY_BYTES_MAX, TlogPolicy, Verdict};
use hpc_crypto::witness::{Remembered, confirm_growth};
use hpc_error::{HpcError, codes};
use hpc_types::control::v1::{self, Document};
use jiff::Timestamp;
use serde::Deserialize;
use serde_json::{Value, json};

use super::audit_verify::verifier_key;
use crate::args::{CheckpointArgs, Global};
use crate::output::Screen;
use crate::remembered::{Memory, Standing};
use crate::render::audit::checkpoint as shown;
use crate::session::{Session, Surroundings, failure, read_with};
use crate::text;

/// How often a daemon is asked again because another client has remembered more in the meantime.
const TRIES: usize = 3;
/// How far ahead of this machine's clock a cosignature may be dated, in seconds.
const AHEAD_S_MAX: u64 = 300;

#[derive(Deserialize)]
struct Said {
    note: String,
    verifier_key: String,
    #[serde(default)]
    consistency: Option<BundleConsistency>,
    #[serde(default)]
    witnessed: Option<Witnessing>,
}

/// How a daemon's witnesses do, as it says itself.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub(crate) struct Witnessing {
    /// Whether the quorum has been missed for too long.
    pub(crate) late: bool,
    /// Size of the newest checkpoint with the quorum of the daemon's policy.
    pub(crate) size: u64,
    /// That checkpoint.
    #[serde(default)]
    pub(crate) note: Option<String>,
    /// What the quorum lacks.
    #[serde(default)]
    pub(crate) missing: Option<String>,
    /// The witnesses.
    #[serde(default)]
    pub(crate) witnesses: Vec<WitnessLine>,
}

/// One of them.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub(crate) struct WitnessLine {
    /// Its name in the daemon's policy.
    pub(crate) name: String,
    /// What went wrong the last time.
    #[serde(default)]
    pub(crate) problem: Option<String>,
}

/// What a log says now.
pub(super) struct Newest {
    pub(super) signed: SignedCheckpoint,
    pub(super) key: VerifierKey,
    pub(super) standing: Standing,
    pub(super) witnessing: Option<Witnessing>,
}

pub(super) async fn run(
    args: &CheckpointArgs,
    global: &Global,
    around: &Surroundings,
    screen: &mut Screen<'_>,
) -> Result<u8, HpcError> {
    let policy = args.policy.as_deref().map(policy).transpose()?;
    let session = Session::open(around, global).await?;
    let newest = newest(&session, &Memory::new(around.home()?)).await?;
    let cosigned = cosigned(&session, &newest).await?;
    let Newest { signed, key, standing, witnessing } = newest;
    // Witnesses speak of the newest checkpoint that they were asked about, which entries may have followed.
    let judged = cosigned.as_ref().unwrap_or(&signed);
    let verdict = policy.map(|policy| judge(policy, &key, judged, (around.now)())).transpose()?;
    if screen.format.is_json() {
        let checkpoint = signed.checkpoint();
        let mut value = json!({
            "log": checkpoint.origin, "size": checkpoint.size, "root": checkpoint.root.to_base64(), "key": key.to_string(),
            "standing": standing.word(), "note": signed.to_string(),
            "cosigned": cosigned.as_ref().map(|cosigned| json!({
                "size": cosigned.checkpoint().size, "note": cosigned.to_string(),
                "signatures": cosigned.note().signatures().iter().map(|line| line.name()).collect::<Vec<_>>(),
            })),
            "late": witnessing.as_ref().is_some_and(|witnessing| witnessing.late),
        });
        add_verdict(&mut value, verdict.as_ref());
        screen.value(&value)?;
    } else {
        screen.text(&shown(
            &signed,
            &key,
            &standing,
            cosigned.as_ref(),
            witnessing.as_ref(),
            verdict.as_ref(),
        ))?;
    }
    Ok(0)
}

/// Asks for the newest checkpoint, checks its signature, and holds it against what is remembered of the log.
pub(super) async fn newest(session: &Session, memory: &Memory) -> Result<Newest, HpcError> {
    let trusted = session.context.audit_key.as_deref().map(verifier_key).transpose()?;
    let mut key = trusted.clone();
    let mut tries = 0;
    loop {
        let known = key.as_ref().map(|key| memory.read(key)).transpose()?.flatten();
        let old_size = known.map_or(0, |known| known.checkpoint().size);
        let message = session.call(v1::CheckpointRequest { old_size });
        let answer = session.audit().checkpoint(message).await.map_err(failure)?.into_inner();
        let (signed, signer, proof, witnessing) = open(&answer, trusted.as_ref())?;
        let proof = proof.map(|proof| proof.to_proof(signed.checkpoint().size)).transpose();
        let proof = proof.map_err(|error| super::audit_verify::broken("the daemon's answer", &error))?;
        let standing = memory.hold(&signer, &signed, proof.as_ref(), true)?;
        tries += 1;
        match standing {
            // Asked without knowing the key, or overtaken by another client: once more from what is remembered now.
            Standing::Unproved(_) if tries < TRIES => key = Some(signer),
            Standing::Unproved(from) => return Err(unproved(from)),
            standing => return Ok(Newest { signed, key: signer, standing, witnessing }),
        }
    }
}

/// The newest checkpoint that the daemon's witnesses cosigned, shown to be of the same history as the newest.
async fn cosigned(session: &Session, newest: &Newest) -> Result<Option<SignedCheckpoint>, HpcError> {
    let Some(note) = newest.witnessing.as_ref().and_then(|witnessing| witnessing.note.as_ref()) else {
        return Ok(None);
    };
    let wrong = |why: String| {
        HpcError::coded(
            &codes::AUD_VERIFICATION_FAILED,
            format!("the cosigned checkpoint does not hold: {why}"),
        )
    };
    let cosigned =
        SignedCheckpoint::open(note.as_bytes(), &newest.key).map_err(|error| wrong(error.to_string()))?;
    let known = Remembered::from(&cosigned);
    let old_size = cosigned.checkpoint().size;
    let message = session.call(v1::CheckpointRequest { old_size });
    let answer = session.audit().checkpoint(message).await.map_err(failure)?.into_inner();
    let (now, _, proof, _) = open(&answer, Some(&newest.key))?;
    let proof = proof.map(|proof| proof.to_proof(now.checkpoint().size)).transpose();
    let proof =
        proof.map_err(|error| wrong(error.to_string()))?.map(|proof| proof.hashes).unwrap_or_default();
    match confirm_growth(&known, &now, &proof) {
        Ok(()) => Ok(Some(cosigned)),
        Err(error) => Err(wrong(format!("nothing shows that the log only grew since then: {error}"))),
    }
}

/// A daemon that is asked for a proof and gives none is not believed.
pub(super) fn unproved(from: u64) -> HpcError {
    let message =
        format!("the daemon does not prove that its log only grew since size {from}, which it once signed");
    HpcError::coded(&codes::AUD_VERIFICATION_FAILED, message)
}

type Opened = (SignedCheckpoint, VerifierKey, Option<BundleConsistency>, Option<Witnessing>);

fn open(answer: &Document, trusted: Option<&VerifierKey>) -> Result<Opened, HpcError> {
    let said: Said = read_with(answer, "hpc.audit-checkpoint/v1", text::block)?;
    let key = match trusted {
        Some(key) => key.clone(),
        None => said.verifier_key.parse().map_err(|error| {
            HpcError::coded(&codes::AUD_UNTRUSTED_KEY, format!("the log's key is no key: {error}"))
        })?,
    };
    let signed = SignedCheckpoint::open(said.note.as_bytes(), &key).map_err(|error| {
        HpcError::coded(&codes::AUD_UNTRUSTED_KEY, format!("the newest checkpoint does not hold: {error}"))
    })?;
    Ok((signed, key, said.consistency, said.witnessed))
}

/// Reads a policy of logs and witnesses.
pub(super) fn policy(path: &Path) -> Result<TlogPolicy, HpcError> {
    let shown = path.display();
    let unreadable = |error: std::io::Error| {
        let code = match error.kind() {
            std::io::ErrorKind::NotFound => &codes::USG_FILE_MISSING,
            _ => &codes::USG_FILE_PERMISSION,
        };
        HpcError::coded(code, format!("`{shown}`: {error}")).with("path", &shown)
    };
    let file = std::fs::File::open(path).map_err(unreadable)?;
    let mut bytes = Vec::new();
    file.take(POLICY_BYTES_MAX as u64 + 1).read_to_end(&mut bytes).map_err(unreadable)?;
    TlogPolicy::parse(&bytes).map_err(|error| {
        HpcError::coded(&codes::USG_SYNTAX, format!("`{shown}` is no policy of logs and witnesses: {error}"))
    })
}

/// What a policy says of a checkpoint whose log's key is known.
///
/// # Errors
/// `HPC-AUD-0007` without the quorum, `-0004` for a log that the policy does not list, `-0002` for a signature that does
/// not fit.
pub(super) fn judge(
    policy: TlogPolicy,
    key: &VerifierKey,
    signed: &SignedCheckpoint,
    now: Timestamp,
) -> Result<Verdict, HpcError> {
    // A policy without logs is about a log that is known from elsewhere.
    let policy = if policy.logs().is_empty() { policy.with_log(key.clone()) } else { Ok(policy) };
    let clock = Clock { now_s: u64::try_from(now.as_second()).unwrap_or(0), ahead_s_max: AHEAD_S_MAX };
    let verdict = policy
        .and_then(|policy| policy.evaluate(signed.to_string().as_bytes(), Some(clock)))
        .and_then(Verdict::require)
        .map_err(|error| {
            let code = match &error {
                CryptoError::QuorumMissed { .. } => &codes::AUD_QUORUM,
                CryptoError::UnknownLog { .. } | CryptoError::NoTrustedSignature => &codes::AUD_UNTRUSTED_KEY,
                _ => &codes::AUD_VERIFICATION_FAILED,
            };
            HpcError::coded(code, format!("the checkpoint does not hold by the policy: {error}"))
        })?;
    if verdict.log() != key {
        let message = format!("the policy trusts another key than `{key}` for this log");
        return Err(HpcError::coded(&codes::AUD_UNTRUSTED_KEY, message));
    }
    Ok(verdict)
}

/// Adds what a policy said to a result.
pub(super) fn add_verdict(value: &mut Value, verdict: Option<&Verdict>) {
    let (Some(verdict), Some(fields)) = (verdict, value.as_object_mut()) else { return };
    let witnesses: Vec<Value> = verdict
        .witnessed()
        .iter()
        .map(|witnessed| json!({"name": witnessed.name.to_string(), "time_s": witnessed.time_s}))
        .collect();
    fields.insert("quorum".to_owned(), verdict.holds().into());
    fields.insert("witnesses".to_owned(), witnesses.into());
}
