//! C2SP signed notes: a text, an empty line, one line for each signature.
//!
//! Source: c2sp.org/signed-note v1.0.0. Of the signature types only Ed25519 (0x01) is known; others are carried along
//! and never trusted.

use std::fmt;
use std::str::FromStr;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::CryptoError;
use crate::hashing::sha256;
use crate::signing::{KeyPair, PUBLIC_KEY_BYTES, PublicKey, SIGNATURE_BYTES, Signature};

/// The longest signed note that is read, in bytes.
pub const NOTE_BYTES_MAX: usize = 1 << 20;
/// The most signatures a note may carry.
pub const NOTE_SIGNATURES_MAX: usize = 64;
/// The longest name of a key, in bytes.
pub const KEY_NAME_BYTES_MAX: usize = 255;

/// Type byte of Ed25519 keys and signatures.
const ED25519: u8 = 0x01;

/// A public key with its name: who may sign notes. Its text form is `name+id+key`.
///
/// ```
/// use hpc_crypto::note::VerifierKey;
/// # fn main() -> Result<(), hpc_crypto::CryptoError> {
/// let key: VerifierKey = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW".parse()?;
/// assert_eq!(key.name(), "PeterNeumann");
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VerifierKey {
    name: String,
    id: u32,
    key: PublicKey,
}

impl VerifierKey {
    /// Names a public key.
    ///
    /// # Errors
    /// Only [`CryptoError::InvalidKeyName`].
    pub fn new(name: &str, key: PublicKey) -> Result<Self, CryptoError> {
        check_key_name(name)?;
        Ok(Self { name: name.to_owned(), id: key_id(name, &key), key })
    }

    /// The key's name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The first four bytes of the hash of name and key; tells keys apart, protects nothing.
    pub const fn id(&self) -> u32 {
        self.id
    }

    /// The key itself.
    pub const fn public_key(&self) -> &PublicKey {
        &self.key
    }
}

impl fmt::Display for VerifierKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut bytes = [ED25519; PUBLIC_KEY_BYTES + 1];
        for (target, byte) in bytes.iter_mut().skip(1).zip(self.key.to_bytes()) {
            *target = byte;
        }
        write!(f, "{}+{:08x}+{}", self.name, self.id, STANDARD.encode(bytes))
    }
}

impl FromStr for VerifierKey {
    type Err = CryptoError;

    /// Reads `name+id+key`. Every other spelling of the same key is refused.
    fn from_str(text: &str) -> Result<Self, CryptoError> {
        let invalid = |reason| CryptoError::InvalidVerifierKey { reason };
        // Base64 may contain `+`, a name and an id may not.
        let mut parts = text.splitn(3, '+');
        let (Some(name), Some(id), Some(key)) = (parts.next(), parts.next(), parts.next()) else {
            return Err(invalid("expected `name+id+key`"));
        };
        let bytes = STANDARD.decode(key).map_err(|_| invalid("the key is not Base64"))?;
        let Some((&ED25519, point)) = bytes.split_first() else {
            return Err(invalid("the key is not of type Ed25519 (0x01)"));
        };
        let point = point.try_into().map_err(|_| invalid("the key is not 33 bytes long"))?;
        let key = Self::new(name, PublicKey::from_bytes(point)?)?;
        if format!("{:08x}", key.id) != id {
            return Err(invalid("the id does not fit name and key: one of them was changed"));
        }
        Ok(key)
    }
}

/// A key pair with its name: signs notes.
pub struct NoteSigner {
    verifier: VerifierKey,
    pair: KeyPair,
}

impl NoteSigner {
    /// Names a key pair. Use one pair for one purpose only.
    ///
    /// # Errors
    /// Only [`CryptoError::InvalidKeyName`].
    pub fn new(name: &str, pair: KeyPair) -> Result<Self, CryptoError> {
        Ok(Self { verifier: VerifierKey::new(name, pair.public_key())?, pair })
    }

    /// What others need to check this signer's notes.
    pub const fn verifier_key(&self) -> &VerifierKey {
        &self.verifier
    }

    /// Signs `text`, which must end in a newline and hold no other control character.
    ///
    /// # Errors
    /// Only [`CryptoError::InvalidNote`].
    pub fn sign(&self, text: &str) -> Result<SignedNote, CryptoError> {
        let mut note = SignedNote { text: text.to_owned(), signatures: Vec::new() };
        check_text(&note.text)?;
        self.cosign(&mut note)?;
        Ok(note)
    }

    /// Adds this signer's signature to a note.
    ///
    /// # Errors
    /// [`CryptoError::InvalidNote`] when the note is full.
    pub fn cosign(&self, note: &mut SignedNote) -> Result<(), CryptoError> {
        if note.signatures.len() >= NOTE_SIGNATURES_MAX {
            return Err(CryptoError::InvalidNote { reason: "too many signatures" });
        }
        note.signatures.push(NoteSignature {
            name: self.verifier.name.clone(),
            id: self.verifier.id,
            bytes: self.pair.sign(note.text.as_bytes()).to_bytes().to_vec(),
        });
        Ok(())
    }
}

/// One signature line of a note.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NoteSignature {
    name: String,
    id: u32,
    bytes: Vec<u8>,
}

impl NoteSignature {
    /// The name of the key that is said to have signed.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The id of the key that is said to have signed.
    pub const fn id(&self) -> u32 {
        self.id
    }
}

/// A text and the signatures under it, not yet checked. Its text form is the note itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SignedNote {
    text: String,
    signatures: Vec<NoteSignature>,
}

impl SignedNote {
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
        let Some(lines) = rest.strip_prefix('\n').and_then(|rest| rest.strip_suffix('\n')) else {
            return Err(invalid("no newline after the last signature"));
        };
        let mut signatures = Vec::new();
        for line in lines.split('\n') {
            if signatures.len() >= NOTE_SIGNATURES_MAX {
                return Err(invalid("too many signatures"));
            }
            let Some((name, encoded)) = line.strip_prefix("— ").and_then(|line| line.split_once(' '))
            else {
                return Err(invalid("a signature line is not `— name signature`"));
            };
            check_key_name(name)?;
            let bytes = STANDARD.decode(encoded).map_err(|_| invalid("a signature is not Base64"))?;
            let Some((id, bytes)) = bytes.split_first_chunk::<4>() else {
                return Err(invalid("a signature is shorter than its key id"));
            };
            signatures.push(NoteSignature {
                name: name.to_owned(),
                id: u32::from_be_bytes(*id),
                bytes: bytes.to_vec(),
            });
        }
        Ok(Self { text: text.to_owned(), signatures })
    }

    /// The text, with its last newline. Worth nothing before [`SignedNote::verify`].
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The signatures, in order.
    pub fn signatures(&self) -> &[NoteSignature] {
        &self.signatures
    }

    /// Checks the note against the keys that the caller trusts and returns the keys that signed, in order of the note.
    ///
    /// Signatures of other keys are ignored.
    ///
    /// # Errors
    /// [`CryptoError::BadSignature`] when a trusted key's signature does not fit,
    /// [`CryptoError::NoTrustedSignature`] when there is none.
    pub fn verify<'k>(&self, trusted: &'k [VerifierKey]) -> Result<Vec<&'k VerifierKey>, CryptoError> {
        let mut signers: Vec<&VerifierKey> = Vec::new();
        for line in &self.signatures {
            let Some(key) = trusted.iter().find(|key| key.name == line.name && key.id == line.id) else {
                continue;
            };
            let fits = line.bytes.len() == SIGNATURE_BYTES
                && Signature::from_slice(&line.bytes)
                    .is_ok_and(|signature| key.key.verify(self.text.as_bytes(), &signature));
            if !fits {
                return Err(CryptoError::BadSignature { name: key.name.clone() });
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
        for line in &self.signatures {
            let bytes = [line.id.to_be_bytes().as_slice(), &line.bytes].concat();
            writeln!(f, "— {} {}", line.name, STANDARD.encode(bytes))?;
        }
        Ok(())
    }
}

fn key_id(name: &str, key: &PublicKey) -> u32 {
    let hash = sha256(&[name.as_bytes(), b"\n", &[ED25519], &key.to_bytes()].concat());
    hash.as_bytes().first_chunk::<4>().map_or(0, |id| u32::from_be_bytes(*id))
}

fn check_key_name(name: &str) -> Result<(), CryptoError> {
    let bad = |c: char| c.is_whitespace() || c.is_control() || c == '+';
    if name.is_empty() || name.len() > KEY_NAME_BYTES_MAX || name.contains(bad) {
        return Err(CryptoError::InvalidKeyName { name: name.chars().take(64).collect() });
    }
    Ok(())
}

fn check_text(text: &str) -> Result<(), CryptoError> {
    if !text.ends_with('\n') {
        return Err(CryptoError::InvalidNote { reason: "the text does not end in a newline" });
    }
    if text.bytes().any(|byte| byte < 0x20 && byte != b'\n') {
        return Err(CryptoError::InvalidNote { reason: "a control character other than newline" });
    }
    if text.len() > NOTE_BYTES_MAX / 2 {
        return Err(CryptoError::InvalidNote { reason: "the text is longer than 512 KiB" });
    }
    Ok(())
}
