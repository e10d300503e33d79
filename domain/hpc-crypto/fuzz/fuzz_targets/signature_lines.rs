//! Any bytes as a witness's reply, alone and added to a checkpoint.
#![no_main]

use hpc_crypto::checkpoint::{Checkpoint, SignedCheckpoint};
use hpc_crypto::cosignature::{self, Cosigner};
use hpc_crypto::hashing::sha256;
use hpc_crypto::note::{NoteSignature, NoteSigner};
use hpc_crypto::signing::KeyPair;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let Ok(lines) = NoteSignature::parse_lines(data) else { return };
    let written: String = lines.iter().map(|line| format!("{line}\n")).collect();
    assert_eq!(written.as_bytes(), data, "lines are written as they were read");
    let log = NoteSigner::new("log.example", KeyPair::from_seed([99; 32])).expect("a good name");
    let witness = Cosigner::new("witness.example/w1", KeyPair::from_seed([1; 32])).expect("a good name");
    let checkpoint =
        Checkpoint { origin: "log.example".into(), size: 5, root: sha256(b"x"), extensions: Vec::new() };
    let mut signed = checkpoint.sign(&log).expect("a good checkpoint");
    let before = signed.clone();
    let keys = [witness.key().clone()];
    if cosignature::add_reply(&mut signed, data, &keys, None).is_err() {
        assert_eq!(signed, before, "a bad reply adds nothing");
    }
    let good = format!("{}\n{written}", witness.cosign(&before, 1_000).expect("a good time"));
    let _ = cosignature::add_reply(&mut signed, good.as_bytes(), &keys, None);
    assert!(
        SignedCheckpoint::open(signed.to_string().as_bytes(), log.verifier_key()).as_ref() == Ok(&signed)
    );
});
