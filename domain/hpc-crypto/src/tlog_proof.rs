//! One inclusion proof with its checkpoint as text, to be carried beside what it proves.
//!
//! Source: c2sp.org/tlog-proof. Extra data is read, within a limit, because others write it; nothing vouches for it, and
//! [`write()`] writes none. The usual extension of a file is `.tlog-proof`.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::CryptoError;
use crate::checkpoint::{Checkpoint, SignedCheckpoint};
use crate::cosignature::Clock;
use crate::hashing::Hash;
use crate::merkle::{InclusionProof, PROOF_HASHES_MAX, Profile};
use crate::note::{NOTE_BYTES_MAX, SignedNote, VerifierKey};
use crate::tlog_policy::{TlogPolicy, Verdict};

/// The most extra data that is read, in bytes.
pub const EXTRA_BYTES_MAX: usize = 65_536;
/// The longest proof text that is read, in bytes: the longest note, extra data and hashes.
pub const PROOF_TEXT_BYTES_MAX: usize =
    NOTE_BYTES_MAX + EXTRA_BYTES_MAX.div_ceil(3) * 4 + PROOF_HASHES_MAX * 45 + 128;

const FIRST_LINE: &str = "c2sp.org/tlog-proof@v1";

/// Writes the proof. The checkpoint carries its cosignatures along.
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
    let (hashes, note) = (proof.hashes.clone(), checkpoint.note().clone());
    Ok(ProofText { extra: None, leaf_index: proof.leaf_index, hashes, note }.to_string())
}

/// Reads a proof and checks it completely: the log with `key` signed a tree that holds the leaf with `leaf_hash`.
/// Returns the leaf's index and the checkpoint. Cosignatures are not looked at; [`open_with`] asks for them.
///
/// # Errors
/// [`CryptoError::InvalidProofText`], or what is wrong with the checkpoint or the proof in it.
pub fn open(text: &str, leaf_hash: &Hash, key: &VerifierKey) -> Result<(u64, SignedCheckpoint), CryptoError> {
    let proof = ProofText::parse(text)?;
    let checkpoint = SignedCheckpoint::of_note(proof.note.clone(), key)?;
    proof.verify(leaf_hash, checkpoint.checkpoint())?;
    Ok((proof.leaf_index, checkpoint))
}

/// Reads a proof and checks it completely: a log of `policy` signed a tree that holds the leaf with `leaf_hash`, and the
/// policy's quorum of witnesses cosigned it. Returns the leaf's index and the verdict, whose quorum holds.
///
/// # Errors
/// [`CryptoError::InvalidProofText`], what is wrong with the checkpoint or the proof in it, or
/// [`CryptoError::QuorumMissed`].
pub fn open_with(
    text: &str,
    leaf_hash: &Hash,
    policy: &TlogPolicy,
    clock: Option<Clock>,
) -> Result<(u64, Verdict), CryptoError> {
    let proof = ProofText::parse(text)?;
    let verdict = policy.evaluate_note(proof.note.clone(), clock)?;
    proof.verify(leaf_hash, verdict.checkpoint().checkpoint())?;
    Ok((proof.leaf_index, verdict.require()?))
}

/// A proof text that was read and not yet checked. Its text form is the proof itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProofText {
    extra: Option<Vec<u8>>,
    leaf_index: u64,
    hashes: Vec<Hash>,
    note: SignedNote,
}

impl ProofText {
    /// Reads a proof. Writing it again gives exactly the same bytes.
    ///
    /// # Errors
    /// [`CryptoError::InvalidProofText`], or what is wrong with a hash or the note.
    pub fn parse(text: &str) -> Result<Self, CryptoError> {
        let invalid = |reason| CryptoError::InvalidProofText { reason };
        if text.len() > PROOF_TEXT_BYTES_MAX {
            return Err(invalid("longer than the longest note, extra data and hashes"));
        }
        let Some((head, note)) = text.split_once("\n\n") else { return Err(invalid("no empty line")) };
        let mut lines = head.split('\n').peekable();
        if lines.next() != Some(FIRST_LINE) {
            return Err(invalid("the first line is not `c2sp.org/tlog-proof@v1`"));
        }
        let extra = match lines.next_if(|line| line.starts_with("extra ")) {
            Some(line) => Some(extra_of(line.strip_prefix("extra ").unwrap_or_default())?),
            None => None,
        };
        let Some(index_text) = lines.next().and_then(|line| line.strip_prefix("index ")) else {
            return Err(invalid("the line after the first, or after `extra`, is not `index N`"));
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
        Ok(Self { extra, leaf_index, hashes, note: SignedNote::parse(note.as_bytes())? })
    }

    /// Extra data that someone put beside the proof. No signature covers it, not even of a proof that holds.
    pub fn unauthenticated_extra(&self) -> Option<&[u8]> {
        self.extra.as_deref()
    }

    /// The same with this extra data. Nothing vouches for it: put there what the proof shows to be true or false, as the
    /// hash of the leaf.
    ///
    /// # Errors
    /// [`CryptoError::InvalidProofText`] for more than [`EXTRA_BYTES_MAX`].
    pub fn with_extra(self, extra: Vec<u8>) -> Result<Self, CryptoError> {
        if extra.len() > EXTRA_BYTES_MAX {
            return Err(CryptoError::InvalidProofText { reason: "more than 64 KiB of extra data" });
        }
        Ok(Self { extra: Some(extra), ..self })
    }

    /// The index that the proof is for.
    pub const fn leaf_index(&self) -> u64 {
        self.leaf_index
    }

    /// The checkpoint's note, of which nothing has been checked.
    pub const fn note(&self) -> &SignedNote {
        &self.note
    }

    /// Checks the hashes against a checkpoint whose signature has been checked.
    fn verify(&self, leaf_hash: &Hash, checkpoint: &Checkpoint) -> Result<(), CryptoError> {
        InclusionProof {
            profile: Profile::Rfc6962Sha256,
            leaf_index: self.leaf_index,
            tree_size: checkpoint.size,
            hashes: self.hashes.clone(),
        }
        .verify(leaf_hash, &checkpoint.root)
    }
}

impl fmt::Display for ProofText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{FIRST_LINE}")?;
        if let Some(extra) = &self.extra {
            writeln!(f, "extra {}", STANDARD.encode(extra))?;
        }
        writeln!(f, "index {}", self.leaf_index)?;
        self.hashes.iter().try_for_each(|hash| writeln!(f, "{}", hash.to_base64()))?;
        write!(f, "\n{}", self.note)
    }
}

fn extra_of(encoded: &str) -> Result<Vec<u8>, CryptoError> {
    let invalid = |reason| CryptoError::InvalidProofText { reason };
    if encoded.len() > EXTRA_BYTES_MAX.div_ceil(3) * 4 {
        return Err(invalid("more than 64 KiB of extra data"));
    }
    let extra = STANDARD.decode(encoded).map_err(|_| invalid("the extra data is not Base64"))?;
    if extra.len() > EXTRA_BYTES_MAX {
        return Err(invalid("more than 64 KiB of extra data"));
    }
    Ok(extra)
}
