//! Any text as a log proof, alone and before a checkpoint whose signature fits.
#![no_main]

use hpc_crypto::checkpoint::Checkpoint;
use hpc_crypto::merkle::{MerkleTree, Profile};
use hpc_crypto::note::NoteSigner;
use hpc_crypto::signing::KeyPair;
use hpc_crypto::tlog_policy::TlogPolicy;
use hpc_crypto::tlog_proof::{self, ProofText};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let tree = MerkleTree::from_leaves_with(Profile::Rfc6962Sha256, &[b"a", b"b", b"c", b"d", b"e"]);
    let signer = NoteSigner::new("log.example", KeyPair::from_seed([1; 32])).expect("a good name");
    let key = signer.verifier_key();
    let absent = Profile::Rfc6962Sha256.leaf(b"not in the tree");
    let judge = |text: &str| {
        if let Ok(proof) = ProofText::parse(text) {
            assert_eq!(proof.to_string(), text, "a proof is written as it was read");
        }
        assert!(tlog_proof::open(text, &absent, key).is_err(), "what is not in the tree is not proved");
        assert!(tlog_proof::open_with(text, &absent, &TlogPolicy::of_log(key.clone()), None).is_err());
        // What is in the tree is proved at its own index only.
        for (index, leaf) in [b"a", b"b", b"c", b"d", b"e"].iter().enumerate() {
            if let Ok((proved, _)) = tlog_proof::open(text, &Profile::Rfc6962Sha256.leaf(*leaf), key) {
                assert_eq!(proved, index as u64);
            }
        }
    };
    judge(text);
    let (origin, size) = ("log.example".to_owned(), tree.len());
    let checkpoint = Checkpoint { origin, size, root: tree.root(), extensions: Vec::new() };
    let signed = checkpoint.sign(&signer).expect("a good checkpoint");
    judge(&format!("{text}\n\n{signed}"));
});
