use std::fmt;

use super::Remembered;
use crate::CryptoError;
use crate::checkpoint::{Checkpoint, SignedCheckpoint};
use crate::hashing::Hash;
use crate::merkle::{PROOF_HASHES_MAX, Profile, consistency_roots, verify_consistency};
use crate::note::{NOTE_BYTES_MAX, VerifierKey};

/// The longest evidence that is read, in bytes: two notes and a proof.
pub const SPLIT_VIEW_BYTES_MAX: usize = 2 * NOTE_BYTES_MAX + PROOF_HASHES_MAX * 45 + 64;

const FIRST_LINE: &str = "hpc-split-view/v1";

/// How much a [`SplitView`] says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Strength {
    /// The log signed two trees that cannot be one. Nothing it can still show changes that.
    Conclusive,
    /// The log signed two trees of different size, and what was given as a proof does not connect them. A consistency
    /// proof between the two, if the log can show one, clears it; whoever asked gave a wrong proof then.
    Suspected,
}

/// Two checkpoints signed by one log that nothing has shown to be of one growing tree: evidence for a third party.
///
/// Its text form is a first line, the hashes of the proof that failed, and the two signed notes, each after an empty line:
///
/// ```text
/// hpc-split-view/v1
/// <hash in Base64>...
///
/// <signed note of the smaller size, or the earlier seen>
///
/// <the other signed note>
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SplitView {
    // INVARIANT: the two are of one origin, the first is not larger, and `proof` does not lead from one to the other.
    first: Remembered,
    second: Remembered,
    proof: Vec<Hash>,
}

impl SplitView {
    /// Keeps two checkpoints of one log and the proof, if there was one, that should have led from one to the other.
    ///
    /// # Errors
    /// [`CryptoError::WrongOrigin`] for two logs, [`CryptoError::InvalidSplitView`] when the two agree.
    pub fn new(known: &Remembered, seen: &SignedCheckpoint, proof: &[Hash]) -> Result<Self, CryptoError> {
        let seen = Remembered::from(seen);
        if known.checkpoint().size <= seen.checkpoint().size {
            Self::of(known.clone(), seen, proof.to_vec())
        } else {
            Self::of(seen, known.clone(), proof.to_vec())
        }
    }

    fn of(first: Remembered, second: Remembered, proof: Vec<Hash>) -> Result<Self, CryptoError> {
        let invalid = |reason| Err(CryptoError::InvalidSplitView { reason });
        let (a, b) = (first.checkpoint(), second.checkpoint());
        if a.origin != b.origin {
            return Err(CryptoError::WrongOrigin { got: b.origin.clone(), want: a.origin.clone() });
        }
        if a.size > b.size {
            return invalid("the second checkpoint is the smaller one");
        }
        if proof.len() > PROOF_HASHES_MAX {
            return invalid("more than 64 hashes");
        }
        if a.size == b.size {
            if a.root == b.root {
                return invalid("both checkpoints have the same size and root");
            }
            // A proof between equal sizes is empty and says nothing.
            return Ok(Self { first, second, proof: Vec::new() });
        }
        if a.size == 0 {
            return invalid("every log goes on from no entries");
        }
        match verify_consistency(Profile::Rfc6962Sha256, a.size, b.size, &proof, &a.root, &b.root) {
            Ok(()) => invalid("the proof shows that the log only grew from the one checkpoint to the other"),
            Err(_) => Ok(Self { first, second, proof }),
        }
    }

    /// Reads evidence and checks it: both checkpoints are signed by the log with one of `keys`, and they do not agree.
    ///
    /// # Errors
    /// [`CryptoError::InvalidSplitView`], or what is wrong with a note, a checkpoint or a signature.
    pub fn open(text: &[u8], keys: &[VerifierKey]) -> Result<Self, CryptoError> {
        let split = Self::parse(text)?;
        split.verify(keys)?;
        Ok(split)
    }

    /// Reads evidence without checking its signatures. Writing it again gives exactly the same bytes.
    ///
    /// # Errors
    /// [`CryptoError::InvalidSplitView`], or what is wrong with a note or a checkpoint.
    pub fn parse(text: &[u8]) -> Result<Self, CryptoError> {
        let invalid = |reason| CryptoError::InvalidSplitView { reason };
        if text.len() > SPLIT_VIEW_BYTES_MAX {
            return Err(invalid("longer than two notes and a proof"));
        }
        let text = std::str::from_utf8(text).map_err(|_| invalid("not UTF-8"))?;
        // Neither a checkpoint nor signature lines hold an empty line, so there are five parts.
        let parts: Vec<&str> = text.splitn(6, "\n\n").collect();
        let [head, first, first_signatures, second, second_signatures] = parts.as_slice() else {
            return Err(invalid("not a first line, a proof and two signed notes with empty lines between"));
        };
        let mut lines = head.split('\n');
        if lines.next() != Some(FIRST_LINE) {
            return Err(invalid("the first line is not `hpc-split-view/v1`"));
        }
        let mut proof = Vec::new();
        for line in lines {
            if proof.len() >= PROOF_HASHES_MAX {
                return Err(invalid("more than 64 hashes"));
            }
            proof.push(Hash::from_base64(line)?);
        }
        let hashes = proof.len();
        // The first note's last newline went with the empty line after it.
        let first = Remembered::parse(format!("{first}\n\n{first_signatures}\n").as_bytes())?;
        let second = Remembered::parse(format!("{second}\n\n{second_signatures}").as_bytes())?;
        let split = Self::of(first, second, proof)?;
        if split.proof.len() != hashes {
            return Err(invalid("hashes where both checkpoints are of one size"));
        }
        Ok(split)
    }

    /// Checks that the log with one of `keys` signed both checkpoints. That they disagree is checked when they are read.
    ///
    /// # Errors
    /// [`CryptoError::UnknownLog`], [`CryptoError::NoTrustedSignature`] or [`CryptoError::BadSignature`].
    pub fn verify(&self, keys: &[VerifierKey]) -> Result<Strength, CryptoError> {
        for side in [&self.first, &self.second] {
            SignedCheckpoint::of_any(side.note().clone(), keys)?;
        }
        Ok(self.strength())
    }

    /// How much it says, once [`SplitView::verify`] holds.
    pub fn strength(&self) -> Strength {
        let (a, b) = (self.first.checkpoint(), self.second.checkpoint());
        if a.size == b.size {
            return Strength::Conclusive;
        }
        // The proof leads to the later root, and so to what the log then said its first `a.size` entries were: another
        // root than it had signed.
        match consistency_roots(Profile::Rfc6962Sha256, a.size, b.size, &self.proof, &a.root) {
            Ok((old, new)) if new == b.root && old != a.root => Strength::Conclusive,
            _ => Strength::Suspected,
        }
    }

    /// The checkpoint of the smaller size; of two of one size, the one that was seen first.
    pub const fn first(&self) -> &Checkpoint {
        self.first.checkpoint()
    }

    /// The other checkpoint.
    pub const fn second(&self) -> &Checkpoint {
        self.second.checkpoint()
    }

    /// The proof that does not connect the two; empty when there was none.
    pub fn proof(&self) -> &[Hash] {
        &self.proof
    }
}

impl fmt::Display for SplitView {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{FIRST_LINE}")?;
        self.proof.iter().try_for_each(|hash| writeln!(f, "{}", hash.to_base64()))?;
        write!(f, "\n{}\n{}", self.first, self.second)
    }
}
