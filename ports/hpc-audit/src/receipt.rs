//! Receipts, and the texts that prove them to anyone with the log's public key.

use hpc_crypto::CryptoError;
use hpc_crypto::checkpoint::SignedCheckpoint;
use hpc_crypto::cosignature::Clock;
use hpc_crypto::hashing::Hash;
use hpc_crypto::note::VerifierKey;
use hpc_crypto::tlog_policy::{TlogPolicy, Verdict};
use hpc_crypto::tlog_proof;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::{APPEND_ENTRIES_MAX, AuditError, AuditLog};

/// What the log answers for one entry: where it is, and its hash.
///
/// Together with the text that [`prove`] gives for its index it is proof, checked by [`Receipt::check`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Receipt {
    /// The log's origin.
    pub log: String,
    /// The entry's idempotency id.
    pub id: String,
    /// The entry's index.
    pub index: u64,
    /// The hash of the recorded entry; Base64 in text.
    #[serde(serialize_with = "write_hash", deserialize_with = "read_hash")]
    pub leaf_hash: Hash,
    /// The least size of a log that contains the entry.
    pub size_at_least: u64,
    /// Whether the entry was already there and this append added nothing.
    pub repeated: bool,
}

/// Why a proof does not hold for a receipt.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ReceiptError {
    /// The receipt is of another log than the key.
    #[error("the receipt is of the log `{got}`, the trusted key is of `{want}`")]
    OtherLog {
        /// What the receipt says.
        got: String,
        /// The name of the trusted key.
        want: String,
    },
    /// The proof is of another entry.
    #[error("the proof is of entry {got}, the receipt of entry {want}")]
    OtherIndex {
        /// What the proof shows.
        got: u64,
        /// What the receipt says.
        want: u64,
    },
    /// The text is no proof, its checkpoint is not signed by the trusted key, or it does not lead from the entry to the
    /// signed root.
    #[error("the proof does not hold: {0}")]
    Proof(#[source] CryptoError),
}

impl Receipt {
    /// Checks the text of a C2SP tlog-proof completely: the log with `key` signed a tree that holds this entry at this
    /// index. Returns the checkpoint that was signed.
    ///
    /// # Errors
    /// Any [`ReceiptError`].
    pub fn check(&self, proof: &str, key: &VerifierKey) -> Result<SignedCheckpoint, ReceiptError> {
        if self.log != key.name() {
            return Err(ReceiptError::OtherLog { got: self.log.clone(), want: key.name().to_owned() });
        }
        let (index, checkpoint) = verify_receipt(&self.leaf_hash, proof, key)?;
        if index != self.index {
            return Err(ReceiptError::OtherIndex { got: index, want: self.index });
        }
        Ok(checkpoint)
    }
}

/// Checks the text of a C2SP tlog-proof for the entry with `leaf_hash`, which is [`crate::Entry::leaf_hash`] of its
/// encoding. Returns its index and the signed checkpoint.
///
/// # Errors
/// Only [`ReceiptError::Proof`].
pub fn verify_receipt(
    leaf_hash: &Hash,
    proof: &str,
    key: &VerifierKey,
) -> Result<(u64, SignedCheckpoint), ReceiptError> {
    tlog_proof::open(proof, leaf_hash, key).map_err(ReceiptError::Proof)
}

/// The same with a log policy in place of a key: a listed log signed the checkpoint, and the quorum of witnesses cosigned
/// it, none of them later than `clock` allows. Returns the entry's index, and which of them did.
///
/// # Errors
/// Only [`ReceiptError::Proof`].
pub fn verify_receipt_with(
    leaf_hash: &Hash,
    proof: &str,
    policy: &TlogPolicy,
    clock: Option<Clock>,
) -> Result<(u64, Verdict), ReceiptError> {
    tlog_proof::open_with(proof, leaf_hash, policy, clock).map_err(ReceiptError::Proof)
}

/// The texts of C2SP tlog-proofs for these indices, in their order, all under one head.
///
/// It costs at most one signature, and writes nothing.
///
/// # Errors
/// [`AuditError::TooMuch`] for more than [`APPEND_ENTRIES_MAX`] indices, [`AuditError::OutOfRange`] for one that the log
/// does not have, and what the backend says.
pub async fn prove(log: &dyn AuditLog, indices: &[u64]) -> Result<Vec<String>, AuditError> {
    if indices.len() > APPEND_ENTRIES_MAX {
        return Err(AuditError::TooMuch { what: "receipts", got: indices.len(), max: APPEND_ENTRIES_MAX });
    }
    if indices.is_empty() {
        return Ok(Vec::new());
    }
    let head = log.head().await?;
    let mut texts = Vec::with_capacity(indices.len());
    for &index in indices {
        let proof = log.inclusion(index, head.checkpoint().size).await?;
        let text = tlog_proof::write(&proof, &head).map_err(|error| AuditError::Damaged {
            place: format!("the proof of entry {index}"),
            reason: error.to_string(),
        })?;
        texts.push(text);
    }
    Ok(texts)
}

fn write_hash<S: Serializer>(hash: &Hash, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&hash.to_base64())
}

fn read_hash<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Hash, D::Error> {
    let text = String::deserialize(deserializer)?;
    Hash::from_base64(&text).map_err(serde::de::Error::custom)
}
