//! The audit entry of what was decided, and its receipt in the answer.
//!
//! One request is one entry, however many evaluations are in it. The entry says who asked, which policies decided and how;
//! the request itself may be personal, so the entry is committed to it, and whoever asked gets the salt.

use hpc_audit::{AuditLog, Commitment, Entry, Outcome, SALT_BYTES, prove};
use hpc_crypto::hashing::Hash;
use jiff::Timestamp;
use serde_json::{Value, json};

use super::wire::{Object, Problem};

/// The field of the entry, and of its commitment, that stands for the body of the request.
const FIELD: &str = "request";

/// What came of a request, as the entry says it.
pub(super) struct Decided {
    /// What was asked: `access.evaluated`, or `access.searched`.
    pub(super) action: &'static str,
    /// Who asked.
    pub(super) caller: String,
    /// The policies that decided.
    pub(super) digest: String,
    /// When.
    pub(super) at: Timestamp,
}

/// Records an answer, and puts the receipt into it.
///
/// Only what this returns may leave: what was not recorded was not decided.
pub(super) async fn record(
    log: &dyn AuditLog,
    decided: Decided,
    body: &str,
    (id, salt): (u128, [u8; SALT_BYTES]),
    mut answer: Value,
) -> Result<Value, Problem> {
    let entry = entry(decided, body, id, &salt, &answer);
    let text = entry.encode().ok().and_then(|bytes| String::from_utf8(bytes).ok());
    let failed = |error: hpc_audit::AuditError| {
        tracing::error!(%error, "a decision could not be recorded, so none is given");
        Problem::unrecorded()
    };
    let receipts = log.append(vec![entry]).await.map_err(failed)?;
    let receipt = receipts.first().ok_or_else(Problem::unrecorded)?;
    let proofs = prove(log, &[receipt.index]).await.map_err(failed)?;
    let proof = proofs.into_iter().next().ok_or_else(Problem::unrecorded)?;
    let leaf_hash = receipt.leaf_hash.to_base64();
    let short = json!({"log": receipt.log, "index": receipt.index, "leaf_hash": leaf_hash});
    let mut whole = short.clone();
    if let Some(fields) = whole.as_object_mut() {
        fields.insert("proof".to_owned(), proof.into());
        fields.insert("entry".to_owned(), text.into());
        fields.insert("salt".to_owned(), Hash::from_bytes(salt).to_base64().into());
    }
    match answer.get_mut("evaluations").and_then(Value::as_array_mut) {
        // They are of one entry: its proof stands in the first.
        Some(evaluations) => {
            for (position, evaluation) in evaluations.iter_mut().enumerate() {
                attach(evaluation, if position == 0 { whole.clone() } else { short.clone() });
            }
        }
        None => attach(&mut answer, whole),
    }
    Ok(answer)
}

fn entry(decided: Decided, body: &str, id: u128, salt: &[u8; SALT_BYTES], answer: &Value) -> Entry {
    let id = hpc_resources::DecisionId::from_bits(id);
    let one = std::slice::from_ref(answer);
    let evaluations = answer.get("evaluations").and_then(Value::as_array).map_or(one, Vec::as_slice);
    let mut outcome = Outcome::Ok;
    let entry = Entry::new(format!("{id}.answered"), decided.at, decided.caller, decided.action, outcome)
        .subject("decision", id.to_string())
        .with("policy_digest", decided.digest)
        .with(FIELD, Commitment::new(FIELD, body, salt).to_string())
        .dev(true);
    let mut entry = match answer.get("results").and_then(Value::as_array) {
        Some(results) => entry.with("results", results.len()),
        None => {
            let allowed = |evaluation: &Value| evaluation.get("decision") == Some(&Value::Bool(true));
            if !evaluations.iter().all(allowed) {
                outcome = Outcome::Denied;
            }
            let letter = |evaluation| if allowed(evaluation) { 'a' } else { 'd' };
            let decisions: String = evaluations.iter().map(letter).collect();
            entry.with("decisions", decisions)
        }
    };
    entry.outcome = outcome;
    entry
}

/// Puts the receipt into the `context` of an answer.
fn attach(answer: &mut Value, receipt: Value) {
    let Some(answer) = answer.as_object_mut() else { return };
    let context = answer.entry("context").or_insert_with(|| Object::new().into());
    if let Some(context) = context.as_object_mut() {
        context.insert("receipt".to_owned(), receipt);
    }
}
