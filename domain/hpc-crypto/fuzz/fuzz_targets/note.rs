//! Any bytes as a signed note; and any text behind signatures that fit.
#![no_main]

use hpc_crypto::cosignature::{self, Cosigner};
use hpc_crypto::note::{NoteSigner, SignedNote};
use hpc_crypto::signing::KeyPair;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    // Keys that have signed no seed.
    let signer = NoteSigner::new("log.example", KeyPair::from_seed([201; 32])).expect("a good name");
    let witness = Cosigner::new("witness.example", KeyPair::from_seed([202; 32])).expect("a good name");
    let (logs, witnesses) = ([signer.verifier_key().clone()], [witness.key().clone()]);
    if let Ok(note) = SignedNote::parse(data) {
        assert_eq!(note.to_string().as_bytes(), data, "a note is written as it was read");
        assert!(note.verify(&logs).is_err(), "no one but the signer signs");
        let found = cosignature::verify(&note, &witnesses, None);
        assert!(
            found.is_err() || found.is_ok_and(|found| found.counted.is_empty()),
            "no one but the witness cosigns"
        );
    }
    let Ok(text) = std::str::from_utf8(data) else { return };
    if let Ok(mut note) = signer.sign(text) {
        assert!(note.verify(&logs).is_ok());
        for line in SignedNote::parse(data).iter().flat_map(SignedNote::signatures) {
            let _ = note.push(line.clone());
        }
        assert_eq!(SignedNote::parse(note.to_string().as_bytes()).as_ref(), Ok(&note));
    }
});
