//! A tree of a million leaves, beside a plain tree and the hash alone.

use hpc_crypto::hashing::Hash;
use hpc_crypto::merkle::{MerkleTree, Profile};

use super::Promise;
use crate::Result;
use crate::harness::{Bench, Report, Samples, ratio, show};

pub(super) const PROMISE: Promise = Promise {
    name: "merkle_build_1m",
    about: "a tree of 1 M leaves at least 5 times as fast as one hash at a time, and half of the hash's own speed",
    run,
};

/// Bytes of one leaf.
const LEAF_BYTES: usize = 64;

fn run(bench: &Bench) -> Result<Report> {
    let leaves: Vec<[u8; LEAF_BYTES]> = leaves(bench.size(1_000_000, 2_000));
    let (mut ours, mut naive, mut raw) = (Samples::default(), Samples::default(), Samples::default());
    // The bytes that a tree hashes: each leaf, and 64 for each node above.
    let all = vec![7_u8; leaves.len() * (LEAF_BYTES + 64)];
    for _ in 0..bench.size(5, 1) {
        let tree = ours.time(|| MerkleTree::from_leaves(&leaves));
        let root = naive.time(|| plain_root(&leaves));
        if tree.root() != root {
            return Err("the two trees differ".into());
        }
        raw.time(|| blake3::hash(&all));
    }
    let times_naive = ratio(naive.p50(), ours.p50());
    let of_limit = ratio(raw.p50(), ours.p50());
    let report = Report::new()
        .measured("build", show(ours.p50()))
        .rival("plain_tree", show(naive.p50()))
        .rival("raw_blake3_same_bytes", show(raw.p50()))
        .ratio(times_naive)
        .goal("plain/ours>=5", times_naive >= 5.0)
        .goal("raw/ours>=0.5", of_limit >= 0.5)
        .note(format!("{LEAF_BYTES}-byte leaves, one thread; {of_limit:.3} of the hash's own speed"));
    beside_crates(report, &leaves, &ours)
}

fn leaves(count: usize) -> Vec<[u8; LEAF_BYTES]> {
    (0..count as u64)
        .map(|n| {
            let mut leaf = [0; LEAF_BYTES];
            for (byte, value) in leaf.iter_mut().zip(n.to_le_bytes().iter().cycle()) {
                *byte = *value;
            }
            leaf
        })
        .collect()
}

/// The tree as one would first write it: level after level, one hash at a time.
fn plain_root(leaves: &[[u8; LEAF_BYTES]]) -> Hash {
    let profile = Profile::default();
    let mut level: Vec<Hash> = leaves.iter().map(|leaf| profile.leaf(leaf)).collect();
    while level.len() > 1 {
        level = level
            .chunks(2)
            .filter_map(|pair| match pair {
                [left, right] => Some(profile.node(left, right)),
                [alone] => Some(*alone),
                _ => None,
            })
            .collect();
    }
    level.first().copied().unwrap_or_else(|| profile.empty_root())
}

#[cfg(not(feature = "rivals"))]
fn beside_crates(report: Report, _leaves: &[[u8; LEAF_BYTES]], _ours: &Samples) -> Result<Report> {
    Ok(report.note("the rivals rs_merkle and ct-merkle are measured with --features rivals"))
}

#[cfg(feature = "rivals")]
fn beside_crates(report: Report, leaves: &[[u8; LEAF_BYTES]], _ours: &Samples) -> Result<Report> {
    let (rs, ct) = (super::merkle_rivals::rs_build(leaves), super::merkle_rivals::ct_build(leaves));
    let (_, sha) = crate::harness::timed(|| MerkleTree::from_leaves_with(Profile::Rfc6962Sha256, leaves));
    Ok(report
        .rival("rs_merkle_blake3", show(rs))
        .rival("ct_merkle_sha256", show(ct))
        .note(format!("our rfc6962-sha256 profile, to compare with ct-merkle: {}", show(sha))))
}
