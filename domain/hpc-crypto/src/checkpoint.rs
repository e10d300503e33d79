//! C2SP log checkpoints: origin, size and root of a log, signed as a note.
//!
//! Source: c2sp.org/tlog-checkpoint v1.0.0. The roots are of [`Profile::Rfc6962Sha256`](crate::merkle::Profile).

use std::fmt;

use crate::CryptoError;
use crate::hashing::Hash;
use crate::merkle::LEAVES_MAX;
use crate::note::{NoteSignature, NoteSigner, SignedNote, VerifierKey};

/// What a log says of itself at one moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Checkpoint {
    /// The log's name, one non-empty line.
    pub origin: String,
    /// Number of entries.
    pub size: u64,
    /// Root hash over these entries.
    pub root: Hash,
    /// Further lines, usually none; nobody audits them.
    pub extensions: Vec<String>,
}

impl Checkpoint {
    /// Reads the text of a checkpoint note. Writing it again gives exactly the same bytes.
    ///
    /// # Errors
    /// [`CryptoError::InvalidCheckpoint`], or what [`Hash::from_base64`] gives.
    pub fn parse(text: &str) -> Result<Self, CryptoError> {
        let invalid = |reason| CryptoError::InvalidCheckpoint { reason };
        let Some(body) = text.strip_suffix('\n') else { return Err(invalid("no newline at the end")) };
        let mut lines = body.split('\n');
        let (Some(origin), Some(size_text), Some(root)) = (lines.next(), lines.next(), lines.next()) else {
            return Err(invalid("fewer than three lines"));
        };
        if origin.is_empty() {
            return Err(invalid("the origin is empty"));
        }
        let size: u64 = size_text.parse().map_err(|_| invalid("the size is not a number"))?;
        if size.to_string() != size_text {
            return Err(invalid("the size is not in canonical decimal form"));
        }
        if size > LEAVES_MAX {
            return Err(invalid("the size is over 2^63 - 1"));
        }
        let extensions: Vec<String> = lines.map(str::to_owned).collect();
        if extensions.iter().any(String::is_empty) {
            return Err(invalid("an extension line is empty"));
        }
        Ok(Self { origin: origin.to_owned(), size, root: Hash::from_base64(root)?, extensions })
    }

    /// Signs the checkpoint. The signer's name must be the origin.
    ///
    /// # Errors
    /// [`CryptoError::WrongOrigin`], [`CryptoError::InvalidCheckpoint`] or [`CryptoError::InvalidNote`].
    pub fn sign(self, signer: &NoteSigner) -> Result<SignedCheckpoint, CryptoError> {
        check_origin(&self, signer.verifier_key())?;
        let text = self.to_string();
        if Self::parse(&text)? != self {
            return Err(CryptoError::InvalidCheckpoint { reason: "a field contains a newline" });
        }
        Ok(SignedCheckpoint { note: signer.sign(&text)?, checkpoint: self })
    }
}

impl fmt::Display for Checkpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}\n{}\n{}\n", self.origin, self.size, self.root.to_base64())?;
        self.extensions.iter().try_for_each(|line| writeln!(f, "{line}"))
    }
}

/// A checkpoint whose signature by its log has been checked, or made here. Its text form is the signed note.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SignedCheckpoint {
    checkpoint: Checkpoint,
    note: SignedNote,
}

impl SignedCheckpoint {
    /// Reads a signed checkpoint and checks that the log with `key` signed it and is its origin.
    ///
    /// # Errors
    /// What is wrong with note, signature or checkpoint; [`CryptoError::WrongOrigin`] for another log's.
    pub fn open(note: &[u8], key: &VerifierKey) -> Result<Self, CryptoError> {
        Self::of_note(SignedNote::parse(note)?, key)
    }

    pub(crate) fn of_note(note: SignedNote, key: &VerifierKey) -> Result<Self, CryptoError> {
        note.verify(std::slice::from_ref(key))?;
        let checkpoint = Checkpoint::parse(note.text())?;
        check_origin(&checkpoint, key)?;
        Ok(Self { checkpoint, note })
    }

    /// Checks a note as the checkpoint of any of the logs with `keys`: one of those named as its origin signed it.
    /// Returns that key too.
    ///
    /// # Errors
    /// What is wrong with checkpoint or signature; [`CryptoError::UnknownLog`] when no key is named as the origin.
    pub fn of_any(note: SignedNote, keys: &[VerifierKey]) -> Result<(Self, &VerifierKey), CryptoError> {
        Self::of_any_by(note, keys.iter())
    }

    pub(crate) fn of_any_by<'k>(
        note: SignedNote,
        keys: impl Iterator<Item = &'k VerifierKey> + Clone,
    ) -> Result<(Self, &'k VerifierKey), CryptoError> {
        let checkpoint = Checkpoint::parse(note.text())?;
        let of_origin = keys.filter(|key| key.name() == checkpoint.origin);
        if of_origin.clone().next().is_none() {
            return Err(CryptoError::UnknownLog { origin: checkpoint.origin });
        }
        let signers = note.verify_by(of_origin)?;
        let key = signers.first().ok_or(CryptoError::NoTrustedSignature)?;
        Ok((Self { checkpoint, note }, key))
    }

    /// What the log said.
    pub const fn checkpoint(&self) -> &Checkpoint {
        &self.checkpoint
    }

    /// The note with all its signatures.
    pub const fn note(&self) -> &SignedNote {
        &self.note
    }

    /// Adds a signature line of whatever type, unchecked, as [`SignedNote::push`] does. A witness's reply is added by
    /// [`crate::cosignature::add_reply`], which checks it.
    ///
    /// # Errors
    /// [`CryptoError::InvalidNote`] when the note is full.
    pub fn push(&mut self, line: NoteSignature) -> Result<(), CryptoError> {
        self.note.push(line)
    }

    /// Leaves only the signature lines of `keys`.
    pub(crate) fn keep_lines_of(&mut self, keys: &[VerifierKey]) {
        self.note.remove(|line| !keys.iter().any(|key| key.name() == line.name() && key.id() == line.id()));
    }

    /// The same text under other signatures, of which the log's must be one.
    pub(crate) fn replace_note(&mut self, note: SignedNote) {
        debug_assert_eq!(self.note.text(), note.text());
        self.note = note;
    }
}

impl fmt::Display for SignedCheckpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.note.fmt(f)
    }
}

fn check_origin(checkpoint: &Checkpoint, key: &VerifierKey) -> Result<(), CryptoError> {
    if checkpoint.origin != key.name() {
        return Err(CryptoError::WrongOrigin { got: checkpoint.origin.clone(), want: key.name().to_owned() });
    }
    Ok(())
}
