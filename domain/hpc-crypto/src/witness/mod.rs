//! What a witness does before it cosigns, and what two checkpoints of a log say of it.
//!
//! Source: c2sp.org/tlog-witness v1.0.0. Only the rules: storing what was cosigned before answering, and doing that and
//! the check as one step, is left to the caller.

mod remembered;
mod request;
mod split;

pub use remembered::{Progress, Remembered, compare, confirm_growth};
pub use request::{ADD_CHECKPOINT_BYTES_MAX, ADD_CHECKPOINT_HASHES_MAX, AddCheckpoint};
pub use split::{SPLIT_VIEW_BYTES_MAX, SplitView, Strength};

use crate::CryptoError;
use crate::checkpoint::SignedCheckpoint;
use crate::hashing::Hash;
use crate::merkle::{Profile, verify_consistency};
use crate::note::VerifierKey;

/// Why a witness does not cosign. The list is closed, and each reason has one HTTP status.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// The request cannot be read (400).
    #[error("the request cannot be read: {0}")]
    Malformed(CryptoError),
    /// The old size is above that of the checkpoint (400).
    #[error("the old size {old_size} is above the size {size} of the checkpoint")]
    OldSizeAbove {
        /// The old size in the request.
        old_size: u64,
        /// Size of the checkpoint in the request.
        size: u64,
    },
    /// No key is trusted for the origin (404).
    #[error("the witness does not know the log `{}`", crate::error::shown(origin))]
    UnknownLog {
        /// Origin of the checkpoint in the request.
        origin: String,
    },
    /// No trusted key signed the checkpoint, or the signature of one does not fit (403).
    #[error("the checkpoint is not signed by its log: {0}")]
    Unsigned(CryptoError),
    /// The old size is not that of the latest checkpoint that was cosigned (409).
    #[error("the request goes on from size {old_size}, the latest checkpoint cosigned has size {latest}")]
    OtherOldSize {
        /// The old size in the request.
        old_size: u64,
        /// Size of the latest checkpoint that was cosigned; 0 for none.
        latest: u64,
        /// When the log signed another root for that very size.
        split: Option<Box<SplitView>>,
    },
    /// The checkpoint has the size of the latest that was cosigned, and another root (409).
    #[error("the log signed two roots for size {latest}")]
    OtherRoot {
        /// Size of both.
        latest: u64,
        /// Both, as evidence.
        split: Box<SplitView>,
    },
    /// The proof does not lead from the latest checkpoint that was cosigned to this one (422).
    #[error("the consistency proof does not hold: {reason}")]
    Unproved {
        /// Why.
        reason: CryptoError,
        /// Both checkpoints and the proof; none when there is no earlier checkpoint.
        split: Option<Box<SplitView>>,
    },
    /// The caller looked up the memory of another log (500).
    #[error(
        "the witness remembers a checkpoint of `{}` for the log `{}`",
        crate::error::shown(remembered),
        crate::error::shown(origin)
    )]
    WrongMemory {
        /// Origin of the remembered checkpoint.
        remembered: String,
        /// Origin of the checkpoint in the request.
        origin: String,
    },
}

impl Refusal {
    /// The HTTP status.
    pub const fn status(&self) -> u16 {
        match self {
            Self::Malformed(_) | Self::OldSizeAbove { .. } => 400,
            Self::Unsigned(_) => 403,
            Self::UnknownLog { .. } => 404,
            Self::OtherOldSize { .. } | Self::OtherRoot { .. } => 409,
            Self::Unproved { .. } => 422,
            Self::WrongMemory { .. } => 500,
        }
    }

    /// The body of the reply: for 409 the size of the latest checkpoint that was cosigned, else the reason; one line.
    pub fn body(&self) -> String {
        match self {
            Self::OtherOldSize { latest, .. } | Self::OtherRoot { latest, .. } => format!("{latest}\n"),
            other => format!("{other}\n"),
        }
    }

    /// The media type of the body.
    pub const fn content_type(&self) -> &'static str {
        match self {
            Self::OtherOldSize { .. } | Self::OtherRoot { .. } => "text/x.tlog.size",
            _ => "text/plain; charset=utf-8",
        }
    }

    /// What speaks against the log, to be stored and reported.
    pub fn split(&self) -> Option<&SplitView> {
        match self {
            Self::OtherRoot { split, .. } => Some(split),
            Self::OtherOldSize { split, .. } | Self::Unproved { split, .. } => split.as_deref(),
            _ => None,
        }
    }
}

/// Decides whether a witness cosigns the checkpoint of a request.
///
/// `remembered` is the latest checkpoint cosigned for [`AddCheckpoint::origin`], `logs` the keys of all trusted logs. The
/// checkpoint returned, with the signatures of trusted keys alone, is to be stored in its place, and only then cosigned;
/// that nothing else was stored in between is the caller's to see to.
///
/// # Errors
/// The [`Refusal`], checked in this order: log, signature, old size, root of an equal size, proof.
pub fn decide(
    remembered: Option<&Remembered>,
    request: &AddCheckpoint,
    logs: &[VerifierKey],
) -> Result<SignedCheckpoint, Refusal> {
    let mut checkpoint = match SignedCheckpoint::of_any(request.note().clone(), logs) {
        Ok((checkpoint, _)) => checkpoint,
        Err(CryptoError::UnknownLog { origin }) => return Err(Refusal::UnknownLog { origin }),
        Err(error @ (CryptoError::NoTrustedSignature | CryptoError::BadSignature { .. })) => {
            return Err(Refusal::Unsigned(error));
        }
        Err(error) => return Err(Refusal::Malformed(error)),
    };
    // Whoever sent the request can have added lines, and none of them is worth storing.
    checkpoint.keep_lines_of(logs);
    let (origin, size) = (&checkpoint.checkpoint().origin, checkpoint.checkpoint().size);
    let old_size = request.old_size();
    if let Some(known) = remembered.filter(|known| known.checkpoint().origin != *origin) {
        let (remembered, origin) = (known.checkpoint().origin.clone(), origin.clone());
        return Err(Refusal::WrongMemory { remembered, origin });
    }
    if old_size > size {
        return Err(Refusal::OldSizeAbove { old_size, size });
    }
    let split = |proof: &[Hash]| {
        remembered.and_then(|known| SplitView::new(known, &checkpoint, proof).ok()).map(Box::new)
    };
    let latest = remembered.map_or(0, |known| known.checkpoint().size);
    if old_size != latest {
        let split = (size == latest).then(|| split(&[])).flatten();
        return Err(Refusal::OtherOldSize { old_size, latest, split });
    }
    if size == latest
        && let Some(split) = split(&[])
    {
        return Err(Refusal::OtherRoot { latest, split });
    }
    match check_proof(remembered, &checkpoint, request.proof()) {
        Ok(()) => Ok(checkpoint),
        Err(reason) => Err(Refusal::Unproved { reason, split: split(request.proof()) }),
    }
}

/// Whether the proof leads from what is remembered to the checkpoint.
fn check_proof(
    remembered: Option<&Remembered>,
    checkpoint: &SignedCheckpoint,
    proof: &[Hash],
) -> Result<(), CryptoError> {
    let new = checkpoint.checkpoint();
    let known = remembered.map(Remembered::checkpoint).filter(|known| known.size > 0);
    match known {
        Some(known) => {
            verify_consistency(Profile::Rfc6962Sha256, known.size, new.size, proof, &known.root, &new.root)
        }
        // Every tree goes on from none, so there is nothing to prove; but none has one root only.
        None if !proof.is_empty() => Err(CryptoError::WrongProofLength { got: proof.len(), want: 0 }),
        None if new.size == 0 && new.root != Profile::Rfc6962Sha256.empty_root() => {
            Err(CryptoError::RootMismatch)
        }
        None => Ok(()),
    }
}
