//! Merkle trees that only grow, and proofs about them.
//!
//! The shape is that of RFC 6962 and RFC 9162: a tree of n leaves splits at the largest power of two below n.
//! No leaf is ever counted twice to fill a level, and a leaf can never pass as a node: each has its own hash domain.

mod plan;
mod profile;
mod proof;
mod range;
mod tree;
mod wide;

pub use plan::{NodeId, ProofPlan, cover};
pub use profile::Profile;
pub(crate) use proof::consistency_roots;
pub use proof::{
    ConsistencyProof, InclusionProof, verify_consistency, verify_inclusion, verify_subtree_consistency,
    verify_subtree_inclusion,
};
pub use range::CompactRange;
pub use tree::MerkleTree;

/// The most leaves a tree may have: 2^63 - 1, so that every index and size fits a signed 64-bit integer.
pub const LEAVES_MAX: u64 = (1 << 63) - 1;

/// The most hashes any proof has: one for each level of a tree of [`LEAVES_MAX`], and one to start from.
pub const PROOF_HASHES_MAX: usize = 64;
