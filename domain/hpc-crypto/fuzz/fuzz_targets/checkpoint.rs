//! Any text as a checkpoint, which its log can sign, and others then open.
#![no_main]

use hpc_crypto::checkpoint::{Checkpoint, SignedCheckpoint};
use hpc_crypto::note::NoteSigner;
use hpc_crypto::signing::KeyPair;
use hpc_crypto::witness::Remembered;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let Ok(checkpoint) = Checkpoint::parse(text) else { return };
    assert_eq!(checkpoint.to_string(), text, "a checkpoint is written as it was read");
    let Ok(signer) = NoteSigner::new(&checkpoint.origin, KeyPair::from_seed([1; 32])) else { return };
    let Ok(signed) = checkpoint.sign(&signer) else { return };
    let note = signed.to_string();
    assert_eq!(SignedCheckpoint::open(note.as_bytes(), signer.verifier_key()).as_ref(), Ok(&signed));
    assert_eq!(Remembered::parse(note.as_bytes()), Ok(Remembered::from(&signed)));
});
