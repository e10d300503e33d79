//! Trees of other crates.

use std::time::Duration;

use sha2::Sha256;

use super::inclusion_proof::{Times, indices};
use crate::Result;
use crate::harness::timed;

#[derive(Clone)]
struct Blake3;

impl rs_merkle::Hasher for Blake3 {
    type Hash = [u8; 32];

    fn hash(data: &[u8]) -> [u8; 32] {
        *blake3::hash(data).as_bytes()
    }
}

/// `rs_merkle` with BLAKE3: hashes the leaves and builds.
pub(super) fn rs_build<const N: usize>(leaves: &[[u8; N]]) -> Duration {
    let build = || {
        let hashes: Vec<[u8; 32]> = leaves.iter().map(|leaf| *blake3::hash(leaf).as_bytes()).collect();
        rs_merkle::MerkleTree::<Blake3>::from_leaves(&hashes).root()
    };
    timed(build).1
}

/// `ct-merkle` with SHA-256, as in RFC 6962.
pub(super) fn ct_build<const N: usize>(leaves: &[[u8; N]]) -> Duration {
    let build = || {
        let mut tree = ct_merkle::mem_backed_tree::MemoryBackedTree::<Sha256, Vec<u8>>::new();
        for leaf in leaves {
            tree.push(leaf.to_vec());
        }
        tree.root()
    };
    timed(build).1
}

/// Proofs by `rs_merkle` with BLAKE3, whose tree is of another shape.
pub(super) fn rs_proofs<const N: usize>(leaves: &[[u8; N]], calls: usize) -> Result<Times> {
    let hashes: Vec<[u8; 32]> = leaves.iter().map(|leaf| *blake3::hash(leaf).as_bytes()).collect();
    let tree = rs_merkle::MerkleTree::<Blake3>::from_leaves(&hashes);
    let root = tree.root().ok_or("a tree with leaves has a root")?;
    let mut times = Times::default();
    for index in indices(leaves.len(), calls) {
        let leaf = leaves.get(index).ok_or("an index below the number of leaves")?;
        let proof = times.made.time(|| tree.proof(&[index]));
        let check = || proof.verify(root, &[index], &[*blake3::hash(leaf).as_bytes()], leaves.len());
        if !times.checked.time(check) {
            return Err("rs_merkle refuses its own proof".into());
        }
    }
    Ok(times)
}

/// Proofs by `ct-merkle` with SHA-256, as in RFC 6962.
pub(super) fn ct_proofs<const N: usize>(leaves: &[[u8; N]], calls: usize) -> Result<Times> {
    let mut tree = ct_merkle::mem_backed_tree::MemoryBackedTree::<Sha256, [u8; N]>::new();
    for leaf in leaves {
        tree.push(*leaf);
    }
    let root = tree.root();
    let mut times = Times::default();
    for index in indices(leaves.len(), calls) {
        let leaf = leaves.get(index).ok_or("an index below the number of leaves")?;
        let proof = times.made.time(|| tree.prove_inclusion(index));
        let check = || root.verify_inclusion(leaf, index as u64, &proof);
        if times.checked.time(check).is_err() {
            return Err("ct-merkle refuses its own proof".into());
        }
    }
    Ok(times)
}
