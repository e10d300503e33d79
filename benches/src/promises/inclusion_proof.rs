//! Proofs in a tree of ten million leaves.

use std::time::Duration;

use hpc_crypto::merkle::{MerkleTree, Profile};

use super::Promise;
use crate::Result;
use crate::harness::{Bench, Report, Samples, show};

pub(super) const PROMISE: Promise = Promise {
    name: "inclusion_proof",
    about: "in a tree of 10 M leaves, under 5 us to make a proof and under 5 us to check it",
    run,
};

fn run(bench: &Bench) -> Result<Report> {
    let leaves = bench.size(10_000_000, 10_000) as u64;
    let blake3 = proofs(Profile::Blake3, leaves, bench.size(100_000, 100))?;
    // The audit log has the other profile; a tenth of the leaves is three levels less.
    let sha256 = proofs(Profile::Rfc6962Sha256, leaves / 10, bench.size(100_000, 100))?;
    let limit = Duration::from_micros(5);
    Ok(Report::new()
        .measured("make_p50", show(blake3.0.p50()))
        .measured("make_p99", show(blake3.0.p99()))
        .measured("check_p50", show(blake3.1.p50()))
        .measured("check_p99", show(blake3.1.p99()))
        .goal("make_p50<5us", blake3.0.p50() < limit)
        .goal("check_p50<5us", blake3.1.p50() < limit)
        .note(format!(
            "profile blake3-v1; rfc6962-sha256 with {} leaves: make {}, check {}",
            leaves / 10,
            show(sha256.0.p50()),
            show(sha256.1.p50())
        )))
}

fn proofs(profile: Profile, leaves: u64, calls: usize) -> Result<(Samples, Samples)> {
    let mut tree = MerkleTree::new(profile);
    for leaf in 0..leaves {
        tree.append(&leaf.to_le_bytes())?;
    }
    let root = tree.root();
    let (mut made, mut checked) = (Samples::with_capacity(calls), Samples::with_capacity(calls));
    for call in 0..calls as u64 {
        let index = call.wrapping_mul(0x9E37_79B9_7F4A_7C15) % leaves;
        let proof = made.time(|| tree.prove(index))?;
        checked.time(|| proof.verify(&profile.leaf(&index.to_le_bytes()), &root))?;
    }
    Ok((made, checked))
}
