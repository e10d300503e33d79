//! Trees of other crates.

use std::time::Duration;

use sha2::Sha256;

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
