//! Single records.

use hpc_keystore::{HEADER_BYTES, KeyStoreError, KeyVersion, SECRET_BYTES_MAX};
use hpc_vault::{Argon2Params, Backend, MasterKey, SealedRecord, VaultEncryption, VaultError};
use proptest::prelude::*;
use zeroize::Zeroizing;

fn vault(key: u8) -> VaultEncryption {
    VaultEncryption::new(MasterKey::from_bytes(Zeroizing::new([key; 32])))
}

fn unreadable<T>() -> Result<T, VaultError> {
    Err(VaultError::Store(KeyStoreError::Unreadable))
}

#[test]
fn three_lines_keep_a_secret() {
    let key = MasterKey::from_passphrase("passphrase", b"salt").unwrap();
    let vault = VaultEncryption::new(key);
    let encrypted = vault.encrypt(b"aws-secret-key").unwrap();
    assert_eq!(vault.decrypt(&encrypted).unwrap().expose(), b"aws-secret-key");
    let again = VaultEncryption::new(MasterKey::from_passphrase("passphrase", b"salt").unwrap());
    assert_eq!(again.decrypt(&encrypted).unwrap().expose(), b"aws-secret-key");
    let other = MasterKey::from_passphrase_with("passphrase", b"salt", Argon2Params::FLOOR).unwrap();
    assert_eq!(VaultEncryption::new(other).decrypt(&encrypted).map(drop), unreadable());
}

#[test]
fn any_changed_byte_is_noticed() {
    let vault = vault(1);
    let good = vault.encrypt(b"secret").unwrap().to_bytes();
    for index in 0..good.len() {
        let mut bad = good.clone();
        bad[index] ^= 0x10;
        let opened =
            SealedRecord::parse(&bad).map_err(VaultError::from).and_then(|record| vault.decrypt(&record));
        match index {
            0..6 => assert!(matches!(opened, Err(VaultError::Store(KeyStoreError::Record(_)))), "{index}"),
            6..10 => {
                assert!(matches!(opened, Err(VaultError::Store(KeyStoreError::UnknownKey(_)))), "{index}")
            }
            _ => assert_eq!(opened.map(drop), unreadable(), "{index}"),
        }
    }
    assert!(SealedRecord::parse(&good[..good.len() - 1]).is_ok_and(|record| vault.decrypt(&record).is_err()));
}

#[test]
fn two_sealings_have_nothing_in_common() {
    let vault = vault(1);
    let (one, two) = (vault.encrypt(&[0; 64]).unwrap(), vault.encrypt(&[0; 64]).unwrap());
    assert_ne!(one.salt(), two.salt());
    assert_ne!(one.commitment(), two.commitment());
    assert_ne!(one.ciphertext(), two.ciphertext());
    assert_eq!(one.to_bytes().len(), HEADER_BYTES + 64 + 16);
}

#[test]
fn keys_and_contexts_tell_records_apart() {
    let record = vault(1).encrypt_for(b"a", b"secret").unwrap();
    assert_eq!(vault(1).decrypt_for(b"a", &record).unwrap().expose(), b"secret");
    assert_eq!(vault(1).decrypt_for(b"b", &record).map(drop), unreadable());
    assert_eq!(vault(1).decrypt(&record).map(drop), unreadable());
    assert_eq!(vault(2).decrypt_for(b"a", &record).map(drop), unreadable());
    assert_eq!(record.key_version(), KeyVersion::new(0));
}

#[test]
fn sizes_have_a_limit() {
    let big = vec![7; SECRET_BYTES_MAX];
    let record = vault(1).encrypt(&big).unwrap();
    assert_eq!(vault(1).decrypt(&record).unwrap().expose(), big);
    let bytes = SECRET_BYTES_MAX + 1;
    let error = VaultError::Store(KeyStoreError::TooLarge { bytes });
    assert_eq!(vault(1).encrypt(&vec![7; bytes]).map(drop), Err(error));
}

proptest! {
    #[test]
    fn what_is_sealed_opens(secret in prop::collection::vec(any::<u8>(), 0..600), context in prop::collection::vec(any::<u8>(), 0..40)) {
        let record = vault(3).encrypt_for(&context, &secret).unwrap();
        let record = SealedRecord::parse(&record.to_bytes()).unwrap();
        let opened = vault(3).decrypt_for(&context, &record).unwrap();
        prop_assert_eq!(opened.expose(), &secret[..]);
    }
}

/// Sealed by Python's `cryptography` from the written format alone; see `tests/data/README.md`.
#[test]
fn a_record_made_by_another_program_opens_and_nothing_but_it() {
    let hex = include_str!("../data/foreign.hex");
    let record = SealedRecord::parse(&hex::decode(hex.trim()).unwrap()).unwrap();
    let key = std::array::from_fn(|index| u8::try_from(index).unwrap());
    let vault = VaultEncryption::with_backend(MasterKey::from_bytes(Zeroizing::new(key)), Backend::default());
    assert_eq!(vault.decrypt_for(b"elsewhere", &record).unwrap().expose(), b"sealed by another program");
}
