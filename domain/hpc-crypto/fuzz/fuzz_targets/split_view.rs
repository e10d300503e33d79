//! Any bytes as evidence of a split view, alone and with two checkpoints whose signatures fit.
#![no_main]

use hpc_crypto::checkpoint::Checkpoint;
use hpc_crypto::merkle::{MerkleTree, Profile};
use hpc_crypto::note::NoteSigner;
use hpc_crypto::signing::KeyPair;
use hpc_crypto::witness::{SplitView, Strength};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let signer = NoteSigner::new("log.example", KeyPair::from_seed([1; 32])).expect("a good name");
    let keys = [signer.verifier_key().clone()];
    if let Ok(split) = SplitView::parse(data) {
        assert_eq!(split.to_string().as_bytes(), data, "evidence is written as it was read");
        // A key that has signed no seed.
        let stranger = NoteSigner::new("log.example", KeyPair::from_seed([201; 32])).expect("a good name");
        assert!(split.verify(&[stranger.verifier_key().clone()]).is_err(), "no one but the log signs");
    }
    let Ok(head) = std::str::from_utf8(data) else { return };
    let signed = |size: u8| {
        let leaves: Vec<[u8; 1]> = (0..size).map(|leaf| [leaf]).collect();
        let tree = MerkleTree::from_leaves_with(Profile::Rfc6962Sha256, &leaves);
        let (origin, size) = ("log.example".to_owned(), tree.len());
        let checkpoint = Checkpoint { origin, size, root: tree.root(), extensions: Vec::new() };
        checkpoint.sign(&signer).expect("a good checkpoint").to_string()
    };
    // Nothing can be said of an honest log that proves it guilty.
    for (old, new) in [(5, 7), (4, 7), (6, 8)] {
        let text = format!("{head}\n\n{}\n{}", signed(old), signed(new));
        if let Ok(split) = SplitView::open(text.as_bytes(), &keys) {
            assert_eq!(split.strength(), Strength::Suspected);
        }
    }
    assert!(SplitView::open(format!("{head}\n\n{}\n{}", signed(5), signed(5)).as_bytes(), &keys).is_err());
});
