use std::fmt;

use crate::CryptoError;
use crate::checkpoint::{Checkpoint, SignedCheckpoint};
use crate::hashing::Hash;
use crate::merkle::LEAVES_MAX;
use crate::note::{NOTE_BYTES_MAX, SignedNote};

/// The most hashes of a consistency proof in a request.
pub const ADD_CHECKPOINT_HASHES_MAX: usize = 63;
/// The longest request that is read, in bytes: the longest note and what goes before it.
pub const ADD_CHECKPOINT_BYTES_MAX: usize = NOTE_BYTES_MAX + ADD_CHECKPOINT_HASHES_MAX * 45 + 32;

/// A request to a witness: a checkpoint, and the proof that the log only grew since an earlier size.
///
/// Its text form is the body of `POST <prefix>/add-checkpoint`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AddCheckpoint {
    old_size: u64,
    proof: Vec<Hash>,
    note: SignedNote,
    origin: String,
}

impl AddCheckpoint {
    /// Asks for a cosignature of `checkpoint`, going on from the tree of `old_size`; 0 when the witness knows none.
    ///
    /// # Errors
    /// [`CryptoError::InvalidAddCheckpoint`] for an old size above the checkpoint's or too many hashes.
    pub fn new(old_size: u64, proof: Vec<Hash>, checkpoint: &SignedCheckpoint) -> Result<Self, CryptoError> {
        let Checkpoint { origin, size, .. } = checkpoint.checkpoint();
        if old_size > *size {
            return Err(CryptoError::InvalidAddCheckpoint {
                reason: "the old size is above that of the checkpoint",
            });
        }
        if proof.len() > ADD_CHECKPOINT_HASHES_MAX {
            return Err(CryptoError::InvalidAddCheckpoint { reason: "more than 63 hashes" });
        }
        Ok(Self { old_size, proof, note: checkpoint.note().clone(), origin: origin.clone() })
    }

    /// Reads a request. Writing it again gives exactly the same bytes. No signature is checked.
    ///
    /// # Errors
    /// [`CryptoError::InvalidAddCheckpoint`], or what is wrong with a hash, the note or the checkpoint.
    pub fn parse(body: &[u8]) -> Result<Self, CryptoError> {
        let invalid = |reason| CryptoError::InvalidAddCheckpoint { reason };
        if body.len() > ADD_CHECKPOINT_BYTES_MAX {
            return Err(invalid("longer than the longest note and 63 hashes"));
        }
        let body = std::str::from_utf8(body).map_err(|_| invalid("not UTF-8"))?;
        let Some((head, note)) = body.split_once("\n\n") else { return Err(invalid("no empty line")) };
        let mut lines = head.split('\n');
        let Some(size_text) = lines.next().and_then(|line| line.strip_prefix("old ")) else {
            return Err(invalid("the first line is not `old N`"));
        };
        let old_size: u64 = size_text.parse().map_err(|_| invalid("the old size is not a number"))?;
        if old_size.to_string() != size_text {
            return Err(invalid("the old size is not in canonical decimal form"));
        }
        if old_size > LEAVES_MAX {
            return Err(invalid("the old size is over 2^63 - 1"));
        }
        let mut proof = Vec::new();
        for line in lines {
            if proof.len() >= ADD_CHECKPOINT_HASHES_MAX {
                return Err(invalid("more than 63 hashes"));
            }
            proof.push(Hash::from_base64(line)?);
        }
        let note = SignedNote::parse(note.as_bytes())?;
        let origin = Checkpoint::parse(note.text())?.origin;
        Ok(Self { old_size, proof, note, origin })
    }

    /// The size that the proof starts from.
    pub const fn old_size(&self) -> u64 {
        self.old_size
    }

    /// The consistency proof.
    pub fn proof(&self) -> &[Hash] {
        &self.proof
    }

    /// The checkpoint's note, of which nothing has been checked.
    pub const fn note(&self) -> &SignedNote {
        &self.note
    }

    /// The log that the checkpoint says it is of; not checked.
    pub fn origin(&self) -> &str {
        &self.origin
    }
}

impl fmt::Display for AddCheckpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "old {}", self.old_size)?;
        self.proof.iter().try_for_each(|hash| writeln!(f, "{}", hash.to_base64()))?;
        write!(f, "\n{}", self.note)
    }
}
