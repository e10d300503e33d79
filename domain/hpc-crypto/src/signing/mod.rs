//! Ed25519 signatures, verified strictly.
//!
//! Strict means: a signature is refused when the key or the signature's point is of low order or not canonically
//! written, so that a message, a key and a signature that verify anywhere verify for everyone in the same way.

mod batch;

use std::fmt;

use ed25519_dalek::{Signer as _, SigningKey, VerifyingKey};
use zeroize::{Zeroize as _, Zeroizing};

use crate::CryptoError;

pub use batch::{Signed, verify_batch};

/// Bytes in a [`Signature`].
pub const SIGNATURE_BYTES: usize = 64;
/// Bytes in a [`PublicKey`].
pub const PUBLIC_KEY_BYTES: usize = 32;

/// A private key and its public key. The private half has no text form and is wiped from memory when dropped.
pub struct KeyPair {
    // Boxed, so that moving the pair does not leave copies of the secret behind.
    secret: Box<SigningKey>,
}

impl KeyPair {
    /// Draws a fresh pair from the operating system. Not on WebAssembly, which has none to ask.
    ///
    /// # Panics
    /// When the operating system cannot give randomness; there is nothing safe to do then.
    #[cfg(not(target_family = "wasm"))]
    #[expect(
        clippy::expect_used,
        reason = "without randomness no key may be made, and the specification gives no Result"
    )]
    pub fn generate() -> Self {
        let mut seed = Zeroizing::new([0; 32]);
        getrandom::fill(seed.as_mut()).expect("the operating system gives randomness");
        Self { secret: Box::new(SigningKey::from_bytes(&seed)) }
    }

    /// The pair that `seed` stands for; the same seed gives the same pair.
    pub fn from_seed(mut seed: [u8; 32]) -> Self {
        let secret = Box::new(SigningKey::from_bytes(&seed));
        seed.zeroize();
        Self { secret }
    }

    /// The seed, to be sealed away; wiped when dropped.
    pub fn expose_seed(&self) -> Zeroizing<[u8; 32]> {
        Zeroizing::new(self.secret.to_bytes())
    }

    /// Signs `message`. The same key and message give the same signature.
    pub fn sign(&self, message: &[u8]) -> Signature {
        Signature(self.secret.sign(message).to_bytes())
    }

    /// Whether `signature` is this key's signature of `message`.
    pub fn verify(&self, message: &[u8], signature: &Signature) -> bool {
        self.public_key().verify(message, signature)
    }

    /// The public half.
    pub fn public_key(&self) -> PublicKey {
        PublicKey(self.secret.verifying_key())
    }
}

/// A public key: a canonical point of the curve that is not of low order.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct PublicKey(VerifyingKey);

impl PublicKey {
    /// Reads the 32 bytes of RFC 8032.
    ///
    /// # Errors
    /// [`CryptoError::InvalidPublicKey`] or [`CryptoError::WeakPublicKey`].
    pub fn from_bytes(bytes: &[u8; PUBLIC_KEY_BYTES]) -> Result<Self, CryptoError> {
        let key = VerifyingKey::from_bytes(bytes).map_err(|_| CryptoError::InvalidPublicKey)?;
        if key.is_weak() {
            return Err(CryptoError::WeakPublicKey);
        }
        if key.to_edwards().compress().as_bytes() != bytes {
            return Err(CryptoError::InvalidPublicKey);
        }
        Ok(Self(key))
    }

    /// The 32 bytes of RFC 8032.
    pub fn to_bytes(&self) -> [u8; PUBLIC_KEY_BYTES] {
        self.0.to_bytes()
    }

    /// Whether `signature` is this key's signature of `message`.
    pub fn verify(&self, message: &[u8], signature: &Signature) -> bool {
        let signature = ed25519_dalek::Signature::from_bytes(&signature.0);
        self.0.verify_strict(message, &signature).is_ok()
    }
}

impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PublicKey({})", hex::encode(self.to_bytes()))
    }
}

/// An Ed25519 signature: 64 bytes, not yet known to fit anything.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Signature([u8; SIGNATURE_BYTES]);

impl Signature {
    /// Takes the bytes as they are; [`PublicKey::verify`] judges them.
    pub const fn from_bytes(bytes: [u8; SIGNATURE_BYTES]) -> Self {
        Self(bytes)
    }

    /// Takes a slice of exactly 64 bytes.
    ///
    /// # Errors
    /// Only [`CryptoError::WrongLength`].
    pub fn from_slice(bytes: &[u8]) -> Result<Self, CryptoError> {
        match bytes.try_into() {
            Ok(array) => Ok(Self(array)),
            Err(_) => {
                Err(CryptoError::WrongLength { what: "a signature", got: bytes.len(), want: SIGNATURE_BYTES })
            }
        }
    }

    /// The bytes.
    pub const fn to_bytes(&self) -> [u8; SIGNATURE_BYTES] {
        self.0
    }
}

impl fmt::Debug for Signature {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Signature({})", hex::encode(self.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_vector_of_rfc_8032_holds() {
        let mut seed = [0; 32];
        hex::decode_to_slice("9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60", &mut seed)
            .unwrap();
        let pair = KeyPair::from_seed(seed);
        assert_eq!(
            hex::encode(pair.public_key().to_bytes()),
            "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a"
        );
        assert!(hex::encode(pair.sign(b"").to_bytes()).starts_with("e5564300c360ac729086e2cc806e828a"));
        assert_eq!(*pair.expose_seed(), seed);
    }

    #[test]
    fn any_change_is_refused() {
        let pair = KeyPair::from_seed([1; 32]);
        let signature = pair.sign(b"message");
        assert!(pair.verify(b"message", &signature));
        assert!(!pair.verify(b"massage", &signature));
        assert!(!KeyPair::from_seed([2; 32]).verify(b"message", &signature));
        for bit in 0..SIGNATURE_BYTES * 8 {
            let mut bytes = signature.to_bytes();
            bytes[bit / 8] ^= 1 << (bit % 8);
            assert!(!pair.verify(b"message", &Signature::from_bytes(bytes)), "bit {bit}");
        }
    }

    #[test]
    fn generated_pairs_differ() {
        assert_ne!(KeyPair::generate().public_key(), KeyPair::generate().public_key());
    }

    #[test]
    fn weak_and_non_canonical_keys_are_refused() {
        assert_eq!(PublicKey::from_bytes(&[0; 32]), Err(CryptoError::WeakPublicKey));
        let mut identity = [0; 32];
        identity[0] = 1;
        assert_eq!(PublicKey::from_bytes(&identity), Err(CryptoError::WeakPublicKey));
        // y = p + 3 writes the point y = 3 in a second way.
        let mut second_form = [0xff; 32];
        second_form[0] = 0xf0;
        second_form[31] = 0x7f;
        assert_eq!(PublicKey::from_bytes(&second_form), Err(CryptoError::InvalidPublicKey));
    }

    #[test]
    fn lengths_are_checked() {
        assert!(Signature::from_slice(&[0; 63]).is_err());
        assert!(Signature::from_slice(&[0; 64]).is_ok());
    }
}
