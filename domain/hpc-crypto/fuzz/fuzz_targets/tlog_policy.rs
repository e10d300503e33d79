//! Any bytes as a policy, which then judges a checkpoint.
#![no_main]

use hpc_crypto::CryptoError;
use hpc_crypto::checkpoint::Checkpoint;
use hpc_crypto::cosignature::{Clock, Cosigner};
use hpc_crypto::hashing::sha256;
use hpc_crypto::note::NoteSigner;
use hpc_crypto::signing::KeyPair;
use hpc_crypto::tlog_policy::TlogPolicy;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let policy = match TlogPolicy::parse(data) {
        Ok(policy) => policy,
        Err(CryptoError::InvalidTlogPolicy { line, reason }) => {
            assert!(line <= data.len() && !reason.is_empty() && reason.len() < 1024);
            assert!(!reason.chars().any(char::is_control), "a reason speaks to no terminal");
            return;
        }
        Err(other) => panic!("{other}"),
    };
    let written = policy.to_bytes();
    let again = TlogPolicy::parse(&written).expect("a policy that was written can be read");
    assert_eq!(again, policy);
    assert_eq!(again.to_bytes(), written, "the text is canonical");
    // The keys of the seeds: a log and witnesses that have all cosigned.
    let log = NoteSigner::new("log.example", KeyPair::from_seed([99; 32])).expect("a good name");
    let Ok(policy) = policy.with_log(log.verifier_key().clone()) else { return };
    let checkpoint =
        Checkpoint { origin: "log.example".into(), size: 5, root: sha256(b"x"), extensions: Vec::new() };
    let mut signed = checkpoint.sign(&log).expect("a good checkpoint");
    let bare = policy.evaluate_note(signed.note().clone(), None).expect("a note of a listed log");
    assert_eq!(bare.holds(), !policy.asks_for_witnesses());
    for seed in 1..=6 {
        let witness = Cosigner::new(&format!("witness.example/w{seed}"), KeyPair::from_seed([seed; 32]));
        let line = witness.expect("a good name").cosign(&signed, 1_000).expect("a good time");
        signed.push(line).expect("room for seven");
    }
    let verdict = policy.evaluate_note(signed.note().clone(), None).expect("a note of a listed log");
    assert!(verdict.holds() || !bare.holds(), "more cosignatures never take a quorum away");
    assert_eq!(verdict.holds(), verdict.missing().is_none());
    let past = Some(Clock { now_s: 0, ahead_s_max: 999 });
    let early = policy.evaluate_note(signed.note().clone(), past).expect("a note of a listed log");
    assert_eq!((early.holds(), early.witnessed().len()), (bare.holds(), 0));
});
