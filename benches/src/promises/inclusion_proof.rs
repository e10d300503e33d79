//! Proofs in a tree of ten million leaves, in both profiles, beside the trees of other crates.

use std::time::Duration;

use hpc_crypto::merkle::{MerkleTree, Profile};

use super::Promise;
use crate::Result;
use crate::harness::{Bench, Report, Samples, show};

pub(super) const PROMISE: Promise = Promise {
    name: "inclusion_proof",
    about: "in a tree of 10 M leaves, under 5 us to make a proof and under 5 us to check it, in either profile",
    run,
};

/// Times of making proofs and of checking them.
#[derive(Default)]
pub(super) struct Times {
    pub(super) made: Samples,
    pub(super) checked: Samples,
}

fn run(bench: &Bench) -> Result<Report> {
    let leaves = leaves(bench.size(10_000_000, 10_000));
    let calls = bench.size(100_000, 100);
    let limit = Duration::from_micros(5);
    let mut report = Report::new();
    for (profile, short) in [(Profile::Blake3, "blake3"), (Profile::Rfc6962Sha256, "sha256")] {
        let Times { made, checked } = proofs(profile, &leaves, calls)?;
        report = report
            .measured(&format!("{short}_make_p50"), show(made.p50()))
            .measured(&format!("{short}_make_p99"), show(made.p99()))
            .measured(&format!("{short}_check_p50"), show(checked.p50()))
            .measured(&format!("{short}_check_p99"), show(checked.p99()))
            .goal(format!("{short}_make_p50<5us"), made.p50() < limit)
            .goal(format!("{short}_check_p50<5us"), checked.p50() < limit);
    }
    beside_crates(report.note("checking includes hashing the leaf of 8 bytes"), &leaves, calls)
}

/// Leaves that all differ.
fn leaves(count: usize) -> Vec<[u8; 8]> {
    (0..count as u64).map(u64::to_le_bytes).collect()
}

/// The indices that are asked for: all over the tree, in no order, the same for every tree.
pub(super) fn indices(leaves: usize, calls: usize) -> impl Iterator<Item = usize> {
    (0..calls as u64).map(move |call| (call.wrapping_mul(0x9E37_79B9_7F4A_7C15) % leaves as u64) as usize)
}

fn proofs(profile: Profile, leaves: &[[u8; 8]], calls: usize) -> Result<Times> {
    let tree = MerkleTree::from_leaves_with(profile, leaves);
    let root = tree.root();
    let mut times = Times { made: Samples::with_capacity(calls), checked: Samples::with_capacity(calls) };
    for index in indices(leaves.len(), calls) {
        let leaf = leaves.get(index).ok_or("an index below the number of leaves")?;
        let proof = times.made.time(|| tree.prove(index as u64))?;
        times.checked.time(|| proof.verify(&profile.leaf(leaf), &root))?;
    }
    Ok(times)
}

#[cfg(not(feature = "rivals"))]
fn beside_crates(report: Report, _leaves: &[[u8; 8]], _calls: usize) -> Result<Report> {
    Ok(report.note("the rivals rs_merkle and ct-merkle are measured with --features rivals"))
}

#[cfg(feature = "rivals")]
fn beside_crates(report: Report, leaves: &[[u8; 8]], calls: usize) -> Result<Report> {
    let rs = super::merkle_rivals::rs_proofs(leaves, calls)?;
    let ct = super::merkle_rivals::ct_proofs(leaves, calls)?;
    Ok(report
        .rival("rs_merkle_blake3_make_p50", show(rs.made.p50()))
        .rival("rs_merkle_blake3_check_p50", show(rs.checked.p50()))
        .rival("ct_merkle_sha256_make_p50", show(ct.made.p50()))
        .rival("ct_merkle_sha256_check_p50", show(ct.checked.p50())))
}
