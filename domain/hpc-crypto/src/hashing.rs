//! BLAKE3 and SHA-256 over bytes, at once or streamed.
//!
//! A hash is no message authentication code: use [`keyed_hash`] for that.

use std::fmt;
use std::str::FromStr;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use sha2::Digest as _;
use zeroize::Zeroizing;

use crate::CryptoError;

/// Bytes in a [`struct@Hash`].
pub const HASH_BYTES: usize = 32;

/// Thirty-two bytes of digest; which function made it is known from where it stands.
///
/// Prints as lower-case hexadecimal. Comparison is not constant time: digests here are public.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Hash([u8; HASH_BYTES]);

impl Hash {
    /// Takes the bytes as they are.
    pub const fn from_bytes(bytes: [u8; HASH_BYTES]) -> Self {
        Self(bytes)
    }

    /// Takes a slice of exactly 32 bytes.
    ///
    /// # Errors
    /// Only [`CryptoError::WrongLength`].
    pub fn from_slice(bytes: &[u8]) -> Result<Self, CryptoError> {
        match bytes.try_into() {
            Ok(array) => Ok(Self(array)),
            Err(_) => Err(CryptoError::WrongLength { what: "a hash", got: bytes.len(), want: HASH_BYTES }),
        }
    }

    /// The bytes.
    pub const fn as_bytes(&self) -> &[u8; HASH_BYTES] {
        &self.0
    }

    /// Standard Base64 with padding, 44 characters, as checkpoints write it.
    pub fn to_base64(&self) -> String {
        STANDARD.encode(self.0)
    }

    /// Reads [`Hash::to_base64`]; any other spelling of the same bytes is refused.
    ///
    /// # Errors
    /// [`CryptoError::BadEncoding`] or [`CryptoError::WrongLength`].
    pub fn from_base64(text: &str) -> Result<Self, CryptoError> {
        let bytes = STANDARD
            .decode(text)
            .map_err(|_| CryptoError::BadEncoding { what: "a hash", encoding: "Base64" })?;
        Self::from_slice(&bytes)
    }
}

impl fmt::Display for Hash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex::encode(self.0))
    }
}

impl fmt::Debug for Hash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Hash({self})")
    }
}

impl FromStr for Hash {
    type Err = CryptoError;

    /// Reads 64 hexadecimal digits.
    fn from_str(text: &str) -> Result<Self, CryptoError> {
        let bytes = hex::decode(text)
            .map_err(|_| CryptoError::BadEncoding { what: "a hash", encoding: "hexadecimal" })?;
        Self::from_slice(&bytes)
    }
}

impl AsRef<[u8]> for Hash {
    fn as_ref(&self) -> &[u8] {
        &self.0
    }
}

/// BLAKE3 of `data`.
///
/// ```
/// assert_eq!(
///     hpc_crypto::hashing::hash(b"").to_string(),
///     "af1349b9f5f9a1a6a0404dea36dcc9499bcb25c9adc112b7cc9a93cae41f3262",
/// );
/// ```
pub fn hash(data: &[u8]) -> Hash {
    Hash(*blake3::hash(data).as_bytes())
}

/// Keyed BLAKE3 of `data`: a message authentication code under `key`.
pub fn keyed_hash(key: &[u8; 32], data: &[u8]) -> Hash {
    Hash(*blake3::keyed_hash(key, data).as_bytes())
}

/// Derives a key from key material for one purpose.
///
/// `context` is written in the source, unique to its purpose and never built from input.
/// The result is wiped when dropped.
pub fn derive_key(context: &'static str, key_material: &[u8]) -> Zeroizing<[u8; 32]> {
    Zeroizing::new(blake3::derive_key(context, key_material))
}

/// SHA-256 of `data`.
pub fn sha256(data: &[u8]) -> Hash {
    Hash(sha2::Sha256::digest(data).into())
}

/// A hash over data that arrives in pieces.
///
/// ```
/// use hpc_crypto::hashing::{Hasher, hash};
/// assert_eq!(Hasher::blake3().update(b"one").update(b"two").finalize(), hash(b"onetwo"));
/// ```
#[derive(Clone)]
pub struct Hasher(State);

#[derive(Clone)]
enum State {
    Blake3(Box<blake3::Hasher>),
    Sha256(sha2::Sha256),
}

impl Hasher {
    /// Plain BLAKE3, as [`hash`].
    pub fn blake3() -> Self {
        Self(State::Blake3(Box::new(blake3::Hasher::new())))
    }

    /// Keyed BLAKE3, as [`keyed_hash`].
    pub fn keyed(key: &[u8; 32]) -> Self {
        Self(State::Blake3(Box::new(blake3::Hasher::new_keyed(key))))
    }

    /// BLAKE3 key derivation, as [`derive_key`]; the same rule for `context`.
    pub fn derive_key(context: &'static str) -> Self {
        Self(State::Blake3(Box::new(blake3::Hasher::new_derive_key(context))))
    }

    /// SHA-256, as [`sha256`].
    pub fn sha256() -> Self {
        Self(State::Sha256(sha2::Sha256::new()))
    }

    /// Adds the next piece.
    pub fn update(&mut self, data: &[u8]) -> &mut Self {
        match &mut self.0 {
            State::Blake3(hasher) => {
                hasher.update(data);
            }
            State::Sha256(hasher) => hasher.update(data),
        }
        self
    }

    /// The hash of everything added so far; more may follow.
    pub fn finalize(&self) -> Hash {
        match &self.0 {
            State::Blake3(hasher) => Hash(*hasher.finalize().as_bytes()),
            State::Sha256(hasher) => Hash(hasher.clone().finalize().into()),
        }
    }
}

impl fmt::Debug for Hasher {
    /// Names the function only: the state may hold a key.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.0 {
            State::Blake3(_) => "Hasher(blake3)",
            State::Sha256(_) => "Hasher(sha256)",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sha256_of_abc_is_the_published_value() {
        assert_eq!(
            sha256(b"abc").to_string(),
            "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
        );
        assert_eq!(Hasher::sha256().update(b"a").update(b"bc").finalize(), sha256(b"abc"));
    }

    #[test]
    fn keyed_derived_and_plain_differ() {
        let key = [7; 32];
        let derived = Hash::from_bytes(*derive_key("hpc-crypto 2026 test", b"x"));
        let all = [hash(b"x"), keyed_hash(&key, b"x"), derived, sha256(b"x")];
        for (i, a) in all.iter().enumerate() {
            assert!(all.iter().skip(i + 1).all(|b| a != b));
        }
        assert_eq!(Hasher::keyed(&key).update(b"x").finalize(), keyed_hash(&key, b"x"));
        assert_eq!(Hasher::derive_key("hpc-crypto 2026 test").update(b"x").finalize(), derived);
    }

    #[test]
    fn text_forms_return_and_refuse() {
        let value = hash(b"x");
        assert_eq!(value.to_string().parse(), Ok(value));
        assert_eq!(Hash::from_base64(&value.to_base64()), Ok(value));
        assert!("zz".parse::<Hash>().is_err());
        assert!(Hash::from_base64("AAAA").is_err());
        assert_eq!(
            Hash::from_slice(&[0; 31]),
            Err(CryptoError::WrongLength { what: "a hash", got: 31, want: 32 })
        );
    }
}
