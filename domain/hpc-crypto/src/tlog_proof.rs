//! One inclusion proof with its checkpoint as text, to be carried beside what it proves.
//!
//! Source: c2sp.org/tlog-proof. Extra data is neither written nor accepted, because nothing vouches for it.

use crate::CryptoError;
use crate::checkpoint::SignedCheckpoint;
use crate::hashing::Hash;
use crate::merkle::{InclusionProof, PROOF_HASHES_MAX, Profile};
use crate::note::VerifierKey;

const FIRST_LINE: &str = "c2sp.org/tlog-proof@v1";

/// Writes the proof.
///
/// # Errors
/// [`CryptoError::SizesOutOfRange`] when proof and checkpoint are not of one size, [`CryptoError::WrongProfile`].
pub fn write(proof: &InclusionProof, checkpoint: &SignedCheckpoint) -> Result<String, CryptoError> {
    let size = checkpoint.checkpoint().size;
    if proof.tree_size != size {
        return Err(CryptoError::SizesOutOfRange { old: proof.tree_size, new: size });
    }
    if proof.profile != Profile::Rfc6962Sha256 {
        return Err(CryptoError::WrongProfile { got: proof.profile, want: Profile::Rfc6962Sha256 });
    }
    let mut text = format!("{FIRST_LINE}\nindex {}\n", proof.leaf_index);
    for hash in &proof.hashes {
        text.push_str(&hash.to_base64());
        text.push('\n');
    }
    text.push('\n');
    text.push_str(&checkpoint.to_string());
    Ok(text)
}

/// Reads a proof and checks it completely: the log with `key` signed a tree that holds the leaf with `leaf_hash`.
/// Returns the leaf's index and the checkpoint.
///
/// # Errors
/// [`CryptoError::InvalidProofText`], or what is wrong with the checkpoint or the proof in it.
pub fn open(text: &str, leaf_hash: &Hash, key: &VerifierKey) -> Result<(u64, SignedCheckpoint), CryptoError> {
    let invalid = |reason| CryptoError::InvalidProofText { reason };
    let Some((head, note)) = text.split_once("\n\n") else { return Err(invalid("no empty line")) };
    let mut lines = head.split('\n');
    if lines.next() != Some(FIRST_LINE) {
        return Err(invalid("the first line is not `c2sp.org/tlog-proof@v1`"));
    }
    let Some(index_text) = lines.next().and_then(|line| line.strip_prefix("index ")) else {
        return Err(invalid("the second line is not `index N`"));
    };
    let leaf_index: u64 = index_text.parse().map_err(|_| invalid("the index is not a number"))?;
    if leaf_index.to_string() != index_text {
        return Err(invalid("the index is not in canonical decimal form"));
    }
    let mut hashes = Vec::new();
    for line in lines {
        if hashes.len() >= PROOF_HASHES_MAX {
            return Err(invalid("more than 64 hashes"));
        }
        hashes.push(Hash::from_base64(line)?);
    }
    let checkpoint = SignedCheckpoint::open(note.as_bytes(), key)?;
    let tree_size = checkpoint.checkpoint().size;
    InclusionProof { profile: Profile::Rfc6962Sha256, leaf_index, tree_size, hashes }
        .verify(leaf_hash, &checkpoint.checkpoint().root)?;
    Ok((leaf_index, checkpoint))
}
