//! Any text as the key of a log, of a cosigner, and as a hash: one spelling each, and never both keys.
#![no_main]

use hpc_crypto::cosignature::CosignerKey;
use hpc_crypto::hashing::Hash;
use hpc_crypto::note::VerifierKey;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let (log, cosigner) = (text.parse::<VerifierKey>(), text.parse::<CosignerKey>());
    assert!(log.is_err() || cosigner.is_err(), "a key is of one type");
    for error in [log.as_ref().err(), cosigner.as_ref().err()].into_iter().flatten() {
        assert!(!error.to_string().chars().any(char::is_control), "an error speaks to no terminal");
    }
    if let Ok(key) = log {
        assert_eq!(key.to_string(), text);
        assert_eq!(VerifierKey::new(key.name(), *key.public_key()), Ok(key));
    }
    if let Ok(key) = cosigner {
        assert_eq!(key.to_string(), text);
        assert_eq!(CosignerKey::new(key.name(), *key.public_key()), Ok(key));
    }
    if let Ok(hash) = Hash::from_base64(text) {
        assert_eq!(hash.to_base64(), text);
    }
});
