//! The key schedule: fixed by a vector that another implementation made, and injective.

use hpc_keystore::{Binding, KeyVersion, MessageKeys, SecretPath, SecretVersion};
use proptest::prelude::*;

#[test]
fn the_schedule_gives_the_published_values() {
    // Made with Python's hmac and hashlib by RFC 5869, from the description in `MessageKeys`.
    let long_lived: [u8; 32] = std::array::from_fn(|index| index as u8);
    let salt: [u8; 32] = std::array::from_fn(|index| 0xa0 + index as u8);
    let keys = MessageKeys::derive(&long_lived, KeyVersion::new(7), &salt);
    assert_eq!(hex::encode(keys.key()), "d4c7db3283d3ba628c5ecbc1dfcb75a0f94d409585706029a44dce8078e5442c");
    assert_eq!(hex::encode(keys.nonce()), "bdd2758740388d3abebb2382");
    assert_eq!(
        hex::encode(keys.commitment()),
        "a7601a699d04fa51fa4d7442c9c15a9730962737a806c1a1c702510c9c5ce344"
    );
}

#[test]
fn the_additional_data_is_the_written_one() {
    let path = SecretPath::parse("a/b").unwrap();
    let data = Binding::Secret(&path, SecretVersion::new(5).unwrap()).additional_data(KeyVersion::new(7));
    assert_eq!(data, b"hpc-keystore/v1/aad\x01\x01\0\0\0\x07\x01\0\0\0\0\0\0\0\x03a/b\0\0\0\0\0\0\0\x05");
    let data = Binding::Context(b"").additional_data(KeyVersion::new(0));
    assert_eq!(data, b"hpc-keystore/v1/aad\x01\x01\0\0\0\0\x02\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0");
}

#[test]
fn keys_differ_in_every_input_and_from_each_other() {
    let derive =
        |key: u8, version, salt: u8| MessageKeys::derive(&[key; 32], KeyVersion::new(version), &[salt; 32]);
    let base = derive(1, 1, 1);
    assert_ne!(base.key(), base.commitment());
    for other in [derive(2, 1, 1), derive(1, 2, 1), derive(1, 1, 2)] {
        assert_ne!(base.key(), other.key());
        assert_ne!(base.nonce(), other.nonce());
        assert!(!base.committed_by(other.commitment()));
    }
    assert!(base.committed_by(derive(1, 1, 1).commitment()));
}

proptest! {
    #[test]
    fn different_places_have_different_data(
        a in prop::collection::vec(any::<u8>(), 0..40), b in prop::collection::vec(any::<u8>(), 0..40),
        path in "[a-z]{1,8}(/[a-z]{1,8}){0,2}", one in 1..9_u64, two in 1..9_u64, x: u32, y: u32,
    ) {
        let (x, y) = (KeyVersion::new(x), KeyVersion::new(y));
        let context = |bytes, key| Binding::Context(bytes).additional_data(key);
        prop_assert_eq!(context(&a, x) == context(&b, y), a == b && x == y);
        let path = SecretPath::parse(&path).unwrap();
        let secret = |version, key| Binding::Secret(&path, SecretVersion::new(version).unwrap()).additional_data(key);
        prop_assert_eq!(secret(one, x) == secret(two, y), one == two && x == y);
        prop_assert_ne!(secret(one, x), context(&a, x));
    }
}
