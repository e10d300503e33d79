//! C2SP signed notes: a text, an empty line, one line for each signature.
//!
//! Source: c2sp.org/signed-note v1.0.0. Two signature types are known: Ed25519 (0x01), which [`SignedNote::verify`]
//! checks, and Ed25519 cosignatures (0x04), which [`crate::cosignature`] checks. Neither passes for the other; lines of
//! further types are carried along and never trusted.

mod key;

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::CryptoError;
use crate::signing::{SIGNATURE_BYTES, Signature};

use key::check_key_name;
pub(crate) use key::{KeyKind, NamedKey};
pub use key::{NoteSigner, VerifierKey};

/// The longest signed note that is read, in bytes.
pub const NOTE_BYTES_MAX: usize = 1 << 20;
/// The longest text of a note, in bytes.
pub const NOTE_TEXT_BYTES_MAX: usize = NOTE_BYTES_MAX / 2;
/// The most signatures a note may carry.
pub const NOTE_SIGNATURES_MAX: usize = 64;
/// The longest run of signature lines that is read by itself, such as a witness's reply, in bytes.
pub const SIGNATURE_LINES_BYTES_MAX: usize = NOTE_BYTES_MAX / 2;
/// The longest name of a key, in bytes.
pub const KEY_NAME_BYTES_MAX: usize = 255;

/// First line of every message that a cosigner signs. No signer of notes signs a text that begins so.
pub(crate) const COSIGNED_FIRST_LINE: &str = "cosignature/v1\n";

pub(crate) fn is_cosigned_message(text: &str) -> bool {
    text.starts_with(COSIGNED_FIRST_LINE)
}

/// One signature line of a note, not yet checked. Its text form is the line without its newline.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NoteSignature {
    name: String,
    id: u32,
    bytes: Vec<u8>,
}

impl NoteSignature {
    pub(crate) fn new(key: &NamedKey, bytes: Vec<u8>) -> Self {
        Self { name: key.name().to_owned(), id: key.id(), bytes }
    }

    /// Reads signature lines that stand alone, such as the reply of a witness: at least one, each with its newline.
    ///
    /// # Errors
    /// [`CryptoError::InvalidNote`] or [`CryptoError::InvalidKeyName`].
    pub fn parse_lines(lines: &[u8]) -> Result<Vec<Self>, CryptoError> {
        let invalid = |reason| CryptoError::InvalidNote { reason };
        if lines.len() > SIGNATURE_LINES_BYTES_MAX {
            return Err(invalid("the signature lines are longer than 512 KiB"));
        }
        read_lines(std::str::from_utf8(lines).map_err(|_| invalid("not UTF-8"))?)
    }

    /// The name of the key that is said to have signed.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The id of the key that is said to have signed.
    pub const fn id(&self) -> u32 {
        self.id
    }

    /// What follows the key id: the signature itself, in the form of its type.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Whether name and id are those of `key`. It says nothing about the signature.
    pub(crate) fn claims(&self, key: &NamedKey) -> bool {
        self.name == key.name() && self.id == key.id()
    }

    fn parse(line: &str) -> Result<Self, CryptoError> {
        let invalid = |reason| CryptoError::InvalidNote { reason };
        let Some((name, encoded)) = line.strip_prefix("— ").and_then(|line| line.split_once(' ')) else {
            return Err(invalid("a signature line is not `— name signature`"));
        };
        check_key_name(name)?;
        let bytes = STANDARD.decode(encoded).map_err(|_| invalid("a signature is not Base64"))?;
        let Some((id, bytes)) = bytes.split_first_chunk::<4>() else {
            return Err(invalid("a signature is shorter than its key id"));
        };
        Ok(Self { name: name.to_owned(), id: u32::from_be_bytes(*id), bytes: bytes.to_vec() })
    }
}

impl fmt::Display for NoteSignature {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let bytes = [self.id.to_be_bytes().as_slice(), &self.bytes].concat();
        write!(f, "— {} {}", self.name, STANDARD.encode(bytes))
    }
}

/// A text and the signatures under it, not yet checked. Its text form is the note itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SignedNote {
    text: String,
    signatures: Vec<NoteSignature>,
}

impl SignedNote {
    pub(crate) fn unsigned(text: &str) -> Result<Self, CryptoError> {
        check_text(text)?;
        Ok(Self { text: text.to_owned(), signatures: Vec::new() })
    }

    /// Reads a note. Writing it again gives exactly the same bytes.
    ///
    /// # Errors
    /// [`CryptoError::InvalidNote`] or [`CryptoError::InvalidKeyName`].
    pub fn parse(note: &[u8]) -> Result<Self, CryptoError> {
        let invalid = |reason| CryptoError::InvalidNote { reason };
        if note.len() > NOTE_BYTES_MAX {
            return Err(invalid("longer than 1 MiB"));
        }
        let note = std::str::from_utf8(note).map_err(|_| invalid("not UTF-8"))?;
        // The text ends at the last empty line.
        let Some(at) = note.rfind("\n\n") else { return Err(invalid("no empty line before the signatures")) };
        let (text, rest) = note.split_at(at + 1);
        check_text(text)?;
        let lines = rest.strip_prefix('\n').unwrap_or(rest);
        Ok(Self { text: text.to_owned(), signatures: read_lines(lines)? })
    }

    /// The text, with its last newline. Worth nothing before [`SignedNote::verify`].
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The signatures, in order, of whatever type.
    pub fn signatures(&self) -> &[NoteSignature] {
        &self.signatures
    }

    /// Adds a signature line of whatever type, unchecked, after the others. A line that is there already is not repeated.
    ///
    /// # Errors
    /// [`CryptoError::InvalidNote`] when the note is full.
    pub fn push(&mut self, line: NoteSignature) -> Result<(), CryptoError> {
        if self.signatures.contains(&line) {
            return Ok(());
        }
        if self.signatures.len() >= NOTE_SIGNATURES_MAX {
            return Err(CryptoError::InvalidNote { reason: "too many signatures" });
        }
        let written: usize = self.signatures.iter().chain([&line]).map(line_bytes).sum();
        if self.text.len() + 1 + written > NOTE_BYTES_MAX {
            return Err(CryptoError::InvalidNote { reason: "longer than 1 MiB" });
        }
        self.signatures.push(line);
        Ok(())
    }

    /// Removes the signature lines that `unwanted` names.
    pub(crate) fn remove(&mut self, mut unwanted: impl FnMut(&NoteSignature) -> bool) {
        self.signatures.retain(|line| !unwanted(line));
    }

    /// Checks the note against the keys that the caller trusts and returns the keys that signed, in order of the note.
    ///
    /// Signatures of other keys are ignored.
    ///
    /// # Errors
    /// [`CryptoError::BadSignature`] when a trusted key's signature does not fit,
    /// [`CryptoError::NoTrustedSignature`] when there is none.
    pub fn verify<'k>(&self, trusted: &'k [VerifierKey]) -> Result<Vec<&'k VerifierKey>, CryptoError> {
        self.verify_by(trusted.iter())
    }

    pub(crate) fn verify_by<'k>(
        &self,
        trusted: impl Iterator<Item = &'k VerifierKey> + Clone,
    ) -> Result<Vec<&'k VerifierKey>, CryptoError> {
        let mut signers: Vec<&VerifierKey> = Vec::new();
        for line in &self.signatures {
            let Some(key) = trusted.clone().find(|key| key.name() == line.name && key.id() == line.id) else {
                continue;
            };
            // A cosigner's signature of another text must not come back as a note of that text.
            let fits = line.bytes.len() == SIGNATURE_BYTES
                && !is_cosigned_message(&self.text)
                && Signature::from_slice(&line.bytes)
                    .is_ok_and(|signature| key.public_key().verify(self.text.as_bytes(), &signature));
            if !fits {
                return Err(CryptoError::BadSignature { name: key.name().to_owned() });
            }
            if !signers.contains(&key) {
                signers.push(key);
            }
        }
        if signers.is_empty() { Err(CryptoError::NoTrustedSignature) } else { Ok(signers) }
    }
}

impl fmt::Display for SignedNote {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}", self.text)?;
        self.signatures.iter().try_for_each(|line| writeln!(f, "{line}"))
    }
}

/// One or more signature lines, each with its newline.
fn read_lines(text: &str) -> Result<Vec<NoteSignature>, CryptoError> {
    let invalid = |reason| CryptoError::InvalidNote { reason };
    let Some(lines) = text.strip_suffix('\n') else {
        return Err(invalid("no newline after the last signature"));
    };
    let mut signatures = Vec::new();
    for line in lines.split('\n') {
        if signatures.len() >= NOTE_SIGNATURES_MAX {
            return Err(invalid("too many signatures"));
        }
        signatures.push(NoteSignature::parse(line)?);
    }
    Ok(signatures)
}

/// Bytes of a line as it is written: the dash, two spaces, the name, Base64 and the newline.
fn line_bytes(line: &NoteSignature) -> usize {
    "— ".len() + line.name.len() + 1 + (4 + line.bytes.len()).div_ceil(3) * 4 + 1
}

fn check_text(text: &str) -> Result<(), CryptoError> {
    if !text.ends_with('\n') {
        return Err(CryptoError::InvalidNote { reason: "the text does not end in a newline" });
    }
    if text.bytes().any(|byte| byte < 0x20 && byte != b'\n') {
        return Err(CryptoError::InvalidNote { reason: "a control character other than newline" });
    }
    if text.len() > NOTE_TEXT_BYTES_MAX {
        return Err(CryptoError::InvalidNote { reason: "the text is longer than 512 KiB" });
    }
    Ok(())
}
