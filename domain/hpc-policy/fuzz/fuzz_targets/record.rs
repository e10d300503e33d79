//! Any bytes as a recorded question, a recorded decision and a bundle; and any text as a bundle's signed lines.
#![no_main]

use hpc_crypto::note::NoteSigner;
use hpc_crypto::signing::KeyPair;
use hpc_policy::{QuestionRecord, RecordedDecision, verify_bundle};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    if let Ok(question) = serde_json::from_slice::<QuestionRecord>(data) {
        let written = serde_json::to_string(&question).expect("what was read can be written");
        assert_eq!(
            serde_json::from_str::<QuestionRecord>(&written).expect("what was written can be read"),
            question
        );
        question.context().check().expect("a question that was read can be judged");
    }
    if let Ok(decision) = serde_json::from_slice::<RecordedDecision>(data) {
        let written = serde_json::to_string(&decision).expect("what was read can be written");
        assert_eq!(
            serde_json::from_str::<RecordedDecision>(&written).expect("what was written can be read"),
            decision
        );
    }
    let signer = NoteSigner::new("policies.example.org", KeyPair::from_seed([1; 32])).expect("a good name");
    let trusted = [signer.verifier_key().clone()];
    let _ = verify_bundle(data, &trusted);
    // Head and body in one input, so that what is behind the signature is reached.
    let Ok(text) = std::str::from_utf8(data) else { return };
    let Some((head, body)) = text.split_once("\n\n") else { return };
    if let Ok(note) = signer.sign(&format!("{head}\n")) {
        let _ = verify_bundle(format!("{note}\n{body}").as_bytes(), &trusted);
    }
});
