use std::fmt;

use super::SplitView;
use crate::CryptoError;
use crate::checkpoint::{Checkpoint, SignedCheckpoint};
use crate::hashing::Hash;
use crate::merkle::{Profile, verify_consistency};
use crate::note::SignedNote;

/// A checkpoint that was checked when it was stored, by a witness or by a client that wants to notice a log going back.
///
/// Its text form is the signed note. It is believed because of where it was kept: the key that signed it may since have
/// been taken off the list of trusted ones.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Remembered {
    checkpoint: Checkpoint,
    note: SignedNote,
}

impl Remembered {
    /// Reads a checkpoint from the caller's own store. No signature is checked.
    ///
    /// # Errors
    /// What is wrong with the note or the checkpoint.
    pub fn parse(note: &[u8]) -> Result<Self, CryptoError> {
        let note = SignedNote::parse(note)?;
        Ok(Self { checkpoint: Checkpoint::parse(note.text())?, note })
    }

    /// What the log said.
    pub const fn checkpoint(&self) -> &Checkpoint {
        &self.checkpoint
    }

    /// The note with all its signatures.
    pub const fn note(&self) -> &SignedNote {
        &self.note
    }
}

impl From<&SignedCheckpoint> for Remembered {
    fn from(checkpoint: &SignedCheckpoint) -> Self {
        Self { checkpoint: checkpoint.checkpoint().clone(), note: checkpoint.note().clone() }
    }
}

impl fmt::Display for Remembered {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.note.fmt(f)
    }
}

/// What a newly seen checkpoint is to a remembered one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Progress {
    /// The same size and root.
    Same,
    /// The log says that it grew; [`confirm_growth`] with a consistency proof between these sizes shows whether it did.
    Grown {
        /// Size of the remembered checkpoint, at least 1.
        from: u64,
        /// Size of the new one.
        to: u64,
    },
    /// The log grew from nothing, which needs no proof.
    Begun,
    /// The log is smaller than it was: an old checkpoint is shown, or entries are gone.
    RolledBack {
        /// Size of the remembered checkpoint.
        from: u64,
        /// Size of the new one.
        to: u64,
    },
    /// The log signed two roots for one size.
    Split(Box<SplitView>),
}

/// Compares a newly seen checkpoint with the one that is remembered of the same log.
///
/// # Errors
/// Only [`CryptoError::WrongOrigin`].
pub fn compare(remembered: &Remembered, seen: &SignedCheckpoint) -> Result<Progress, CryptoError> {
    let (known, new) = (remembered.checkpoint(), seen.checkpoint());
    if known.origin != new.origin {
        return Err(CryptoError::WrongOrigin { got: new.origin.clone(), want: known.origin.clone() });
    }
    Ok(match (known.size, new.size) {
        (from, to) if from == to => match SplitView::new(remembered, seen, &[]) {
            Ok(split) => Progress::Split(Box::new(split)),
            Err(_) => Progress::Same,
        },
        (from, to) if from > to => Progress::RolledBack { from, to },
        (0, _) => Progress::Begun,
        (from, to) => Progress::Grown { from, to },
    })
}

/// Checks that the log grew from the remembered checkpoint to the seen one, whatever [`compare`] says of the two.
///
/// # Errors
/// What is wrong with the proof or the sizes. For two checkpoints of one log, [`SplitView::new`] keeps what was shown.
pub fn confirm_growth(
    remembered: &Remembered,
    seen: &SignedCheckpoint,
    proof: &[Hash],
) -> Result<(), CryptoError> {
    let (known, new) = (remembered.checkpoint(), seen.checkpoint());
    if known.origin != new.origin {
        return Err(CryptoError::WrongOrigin { got: new.origin.clone(), want: known.origin.clone() });
    }
    if known.size == 0 && proof.is_empty() {
        return Ok(());
    }
    verify_consistency(Profile::Rfc6962Sha256, known.size, new.size, proof, &known.root, &new.root)
}
