use std::fmt;
use std::str::FromStr;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::{KEY_NAME_BYTES_MAX, SignedNote};
use crate::CryptoError;
use crate::hashing::sha256;
use crate::signing::{KeyPair, PUBLIC_KEY_BYTES, PublicKey};

/// What a key signs: the type byte of its text form, which its id is computed over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum KeyKind {
    /// Notes, such as a log's checkpoints: Ed25519 over the text.
    Note = 0x01,
    /// Cosignatures: Ed25519 over the time and the text.
    Cosignature = 0x04,
}

impl KeyKind {
    const fn wrong_type(self) -> &'static str {
        match self {
            Self::Note => "the key is not of type Ed25519 (0x01), which a log or signer has",
            Self::Cosignature => "the key is not of type Ed25519 cosignature (0x04), which a witness has",
        }
    }
}

/// A public key with its name, for signatures of one type. Two types of one name and key have two ids.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct NamedKey {
    name: String,
    id: u32,
    key: PublicKey,
    kind: KeyKind,
}

impl NamedKey {
    pub(crate) fn new(kind: KeyKind, name: &str, key: PublicKey) -> Result<Self, CryptoError> {
        check_key_name(name)?;
        let hash = sha256(&[name.as_bytes(), b"\n", &[kind as u8], &key.to_bytes()].concat());
        let id = hash.as_bytes().first_chunk::<4>().map_or(0, |id| u32::from_be_bytes(*id));
        Ok(Self { name: name.to_owned(), id, key, kind })
    }

    /// Reads `name+id+key`. Every other spelling of the same key is refused.
    pub(crate) fn parse(kind: KeyKind, text: &str) -> Result<Self, CryptoError> {
        let invalid = |reason| CryptoError::InvalidVerifierKey { reason };
        if text.len() > VERIFIER_KEY_BYTES_MAX {
            return Err(invalid("longer than the longest name, an id and a key of 33 bytes"));
        }
        // Base64 may contain `+`, a name and an id may not.
        let mut parts = text.splitn(3, '+');
        let (Some(name), Some(id), Some(key)) = (parts.next(), parts.next(), parts.next()) else {
            return Err(invalid("expected `name+id+key`"));
        };
        let bytes = STANDARD.decode(key).map_err(|_| invalid("the key is not Base64"))?;
        let point = match bytes.split_first() {
            Some((type_byte, point)) if *type_byte == kind as u8 => point,
            _ => return Err(invalid(kind.wrong_type())),
        };
        let point = point.try_into().map_err(|_| invalid("the key is not 33 bytes long"))?;
        let key = Self::new(kind, name, PublicKey::from_bytes(point)?)?;
        if format!("{:08x}", key.id) != id {
            return Err(invalid("the id does not fit name and key: one of them was changed"));
        }
        Ok(key)
    }

    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    pub(crate) const fn id(&self) -> u32 {
        self.id
    }

    pub(crate) const fn public_key(&self) -> &PublicKey {
        &self.key
    }
}

/// `name+id+key` with the longest name.
const VERIFIER_KEY_BYTES_MAX: usize = KEY_NAME_BYTES_MAX + 1 + 8 + 1 + (PUBLIC_KEY_BYTES + 1).div_ceil(3) * 4;

impl fmt::Display for NamedKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let bytes = [[self.kind as u8].as_slice(), &self.key.to_bytes()].concat();
        write!(f, "{}+{:08x}+{}", self.name, self.id, STANDARD.encode(bytes))
    }
}

impl fmt::Debug for NamedKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{self}`")
    }
}

/// A public key with its name: who may sign notes, such as a log its checkpoints. Its text form is `name+id+key`.
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
pub struct VerifierKey(NamedKey);

impl VerifierKey {
    /// Names a public key.
    ///
    /// # Errors
    /// Only [`CryptoError::InvalidKeyName`].
    pub fn new(name: &str, key: PublicKey) -> Result<Self, CryptoError> {
        Ok(Self(NamedKey::new(KeyKind::Note, name, key)?))
    }

    /// The key's name.
    pub fn name(&self) -> &str {
        self.0.name()
    }

    /// The first four bytes of the hash of name and key; tells keys apart, protects nothing.
    pub const fn id(&self) -> u32 {
        self.0.id()
    }

    /// The key itself.
    pub const fn public_key(&self) -> &PublicKey {
        self.0.public_key()
    }
}

impl fmt::Display for VerifierKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl FromStr for VerifierKey {
    type Err = CryptoError;

    /// Reads `name+id+key`. Every other spelling of the same key is refused, and so is a key of another type.
    fn from_str(text: &str) -> Result<Self, CryptoError> {
        NamedKey::parse(KeyKind::Note, text).map(Self)
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
    /// Only [`CryptoError::InvalidNote`]; also for a text that begins as what a cosigner signs.
    pub fn sign(&self, text: &str) -> Result<SignedNote, CryptoError> {
        let mut note = SignedNote::unsigned(text)?;
        self.sign_too(&mut note)?;
        Ok(note)
    }

    /// Adds this signer's signature to a note.
    ///
    /// # Errors
    /// As [`NoteSigner::sign`], and [`CryptoError::InvalidNote`] when the note is full.
    pub fn sign_too(&self, note: &mut SignedNote) -> Result<(), CryptoError> {
        if super::is_cosigned_message(note.text()) {
            return Err(CryptoError::InvalidNote { reason: "the text begins as a cosigned message does" });
        }
        let signature = self.pair.sign(note.text().as_bytes());
        note.push(super::NoteSignature::new(&self.verifier.0, signature.to_bytes().to_vec()))
    }
}

pub(super) fn check_key_name(name: &str) -> Result<(), CryptoError> {
    let bad = |c: char| c.is_whitespace() || c.is_control() || c == '+';
    if name.is_empty() || name.len() > KEY_NAME_BYTES_MAX || name.contains(bad) {
        return Err(CryptoError::InvalidKeyName { name: name.chars().take(64).collect() });
    }
    Ok(())
}
