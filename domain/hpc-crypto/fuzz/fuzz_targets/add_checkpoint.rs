//! Any bytes as a request to a witness, and any text before a checkpoint whose signature fits.
#![no_main]

use hpc_crypto::checkpoint::Checkpoint;
use hpc_crypto::merkle::{MerkleTree, Profile};
use hpc_crypto::note::NoteSigner;
use hpc_crypto::signing::KeyPair;
use hpc_crypto::witness::{AddCheckpoint, Remembered, SplitView, decide};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let signer = NoteSigner::new("log.example", KeyPair::from_seed([1; 32])).expect("a good name");
    let keys = [signer.verifier_key().clone()];
    let tree = |history: u8, size: u8| {
        let leaves: Vec<[u8; 2]> = (0..size).map(|leaf| [history, leaf]).collect();
        MerkleTree::from_leaves_with(Profile::Rfc6962Sha256, &leaves)
    };
    let signed = |tree: &MerkleTree| {
        let (origin, size) = ("log.example".to_owned(), tree.len());
        let checkpoint = Checkpoint { origin, size, root: tree.root(), extensions: Vec::new() };
        checkpoint.sign(&signer).expect("a good checkpoint")
    };
    let known = Remembered::from(&signed(&tree(1, 5)));
    if let Ok(request) = AddCheckpoint::parse(data) {
        assert_eq!(request.to_string().as_bytes(), data, "a request is written as it was read");
        // A key that has signed no seed.
        let stranger = NoteSigner::new("log.example", KeyPair::from_seed([201; 32])).expect("a good name");
        let refusal = decide(Some(&known), &request, &[stranger.verifier_key().clone()]);
        let refusal = refusal.expect_err("no one but the log signs");
        assert!([400, 403, 404].contains(&refusal.status()));
    }
    let Ok(head) = std::str::from_utf8(data) else { return };
    // Another history can never be made to look like growth of this one.
    for new in [tree(2, 5), tree(2, 7), tree(1, 4), tree(2, 8)] {
        let Ok(request) = AddCheckpoint::parse(format!("{head}\n\n{}", signed(&new)).as_bytes()) else {
            return;
        };
        let refusal = decide(Some(&known), &request, &keys).expect_err("this log did not grow");
        assert!([400, 409, 422].contains(&refusal.status()));
        assert!(!refusal.body().is_empty() && refusal.body().ends_with('\n'));
        if let Some(split) = refusal.split() {
            assert_eq!(SplitView::open(split.to_string().as_bytes(), &keys).as_ref(), Ok(split));
        }
    }
});
