use super::plan::check_subtree;
use super::{LEAVES_MAX, Profile, ProofPlan};
use crate::CryptoError;
use crate::hashing::Hash;

/// The hashes that lead from one leaf to the root of a tree of a given size.
///
/// The size beside a proof is a claim: when checking, take size and root from a verified checkpoint.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InclusionProof {
    /// The hash profile the proof is made in.
    pub profile: Profile,
    /// The leaf's index.
    pub leaf_index: u64,
    /// The number of leaves of the tree.
    pub tree_size: u64,
    /// The sibling hashes, the leaf's own sibling first.
    pub hashes: Vec<Hash>,
}

impl InclusionProof {
    /// Checks the proof for a leaf's hash against a root that is trusted for `tree_size`.
    ///
    /// # Errors
    /// As [`verify_inclusion`].
    pub fn verify(&self, leaf_hash: &Hash, root: &Hash) -> Result<(), CryptoError> {
        verify_inclusion(self.profile, leaf_hash, self.leaf_index, self.tree_size, &self.hashes, root)
    }
}

/// The hashes that show one tree to be the beginning of a later one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConsistencyProof {
    /// The hash profile the proof is made in.
    pub profile: Profile,
    /// The earlier size, at least 1.
    pub old_size: u64,
    /// The later size.
    pub new_size: u64,
    /// The hashes, in the order of RFC 6962.
    pub hashes: Vec<Hash>,
}

impl ConsistencyProof {
    /// Checks the proof between two roots that are trusted for the two sizes.
    ///
    /// # Errors
    /// As [`verify_consistency`].
    pub fn verify(&self, old_root: &Hash, new_root: &Hash) -> Result<(), CryptoError> {
        verify_consistency(self.profile, self.old_size, self.new_size, &self.hashes, old_root, new_root)
    }
}

/// Checks that the leaf with `leaf_hash` is at `leaf_index` in the tree of `tree_size` leaves with `root`.
///
/// # Errors
/// [`CryptoError::IndexOutOfRange`], [`CryptoError::TooManyLeaves`], [`CryptoError::WrongProofLength`],
/// [`CryptoError::RootMismatch`].
pub fn verify_inclusion(
    profile: Profile,
    leaf_hash: &Hash,
    leaf_index: u64,
    tree_size: u64,
    proof: &[Hash],
    root: &Hash,
) -> Result<(), CryptoError> {
    if tree_size > LEAVES_MAX {
        return Err(CryptoError::TooManyLeaves);
    }
    if leaf_index >= tree_size {
        return Err(CryptoError::IndexOutOfRange { index: leaf_index, size: tree_size });
    }
    // Below `inner` the path has siblings on both sides; above it runs along the right edge and has left ones only.
    let inner = (u64::BITS - (leaf_index ^ (tree_size - 1)).leading_zeros()) as usize;
    let border = leaf_index.checked_shr(inner as u32).unwrap_or(0).count_ones() as usize;
    if proof.len() != inner + border {
        return Err(CryptoError::WrongProofLength { got: proof.len(), want: inner + border });
    }
    let mut hash = *leaf_hash;
    for (level, sibling) in proof.iter().enumerate() {
        hash = if level < inner && (leaf_index >> level) & 1 == 0 {
            profile.node(&hash, sibling)
        } else {
            profile.node(sibling, &hash)
        };
    }
    if hash == *root { Ok(()) } else { Err(CryptoError::RootMismatch) }
}

/// Checks that the tree of `old_size` leaves with `old_root` is the beginning of that of `new_size` with `new_root`.
///
/// # Errors
/// [`CryptoError::SizesOutOfRange`], [`CryptoError::TooManyLeaves`], [`CryptoError::WrongProofLength`],
/// [`CryptoError::RootMismatch`].
pub fn verify_consistency(
    profile: Profile,
    old_size: u64,
    new_size: u64,
    proof: &[Hash],
    old_root: &Hash,
    new_root: &Hash,
) -> Result<(), CryptoError> {
    if old_size == 0 || old_size > new_size {
        return Err(CryptoError::SizesOutOfRange { old: old_size, new: new_size });
    }
    verify_subtree_consistency(profile, 0, old_size, new_size, proof, old_root, new_root)
}

/// Checks that the subtree over leaves `start..end` with `subtree_root` is part of the tree of `size` with `root`.
///
/// An empty subtree has the empty root, needs no hashes and is part of every tree.
///
/// # Errors
/// [`CryptoError::InvalidSubtree`], [`CryptoError::TooManyLeaves`], [`CryptoError::WrongProofLength`],
/// [`CryptoError::RootMismatch`].
///
/// Source: the subtree section of draft-ietf-plants-merkle-tree-certs.
pub fn verify_subtree_consistency(
    profile: Profile,
    start: u64,
    end: u64,
    size: u64,
    proof: &[Hash],
    subtree_root: &Hash,
    root: &Hash,
) -> Result<(), CryptoError> {
    if start == end && proof.is_empty() {
        check_subtree(start, end, size)?;
        return if *subtree_root == profile.empty_root() { Ok(()) } else { Err(CryptoError::RootMismatch) };
    }
    let (found_subtree, found_tree) = subtree_roots(profile, start, end, size, proof, subtree_root)?;
    if found_subtree == *subtree_root && found_tree == *root {
        Ok(())
    } else {
        Err(CryptoError::RootMismatch)
    }
}

/// The roots that a consistency proof leads to: of the earlier tree and of the later one.
///
/// Where the earlier tree is one full subtree, the proof starts from `old_root` and can lead to no other.
pub(crate) fn consistency_roots(
    profile: Profile,
    old_size: u64,
    new_size: u64,
    proof: &[Hash],
    old_root: &Hash,
) -> Result<(Hash, Hash), CryptoError> {
    if old_size == 0 || old_size > new_size {
        return Err(CryptoError::SizesOutOfRange { old: old_size, new: new_size });
    }
    subtree_roots(profile, 0, old_size, new_size, proof, old_root)
}

/// The roots of subtree and tree that the hashes of a subtree consistency proof lead to.
fn subtree_roots(
    profile: Profile,
    start: u64,
    end: u64,
    size: u64,
    proof: &[Hash],
    subtree_root: &Hash,
) -> Result<(Hash, Hash), CryptoError> {
    check_subtree(start, end, size)?;
    let want = ProofPlan::subtree_consistency(start, end, size)?.len();
    if proof.len() != want {
        return Err(CryptoError::WrongProofLength { got: proof.len(), want });
    }
    if start == end {
        return Err(CryptoError::InvalidSubtree { start, end, size });
    }
    // `first` and `last` are the subtree's outer nodes at the current level, `top` the tree's last node there.
    let (mut first, mut last, mut top) = (start, end - 1, size - 1);
    let shift = if last == top {
        u64::BITS - (first ^ last).leading_zeros()
    } else {
        (u64::BITS - (first ^ last).leading_zeros()).min(last.trailing_ones())
    };
    (first, last, top) = (first >> shift, last >> shift, top >> shift);
    let mut rest = proof.iter();
    let seed = if first == last { Some(subtree_root) } else { rest.next() };
    // INVARIANT: the length was checked above, so there is a seed.
    let Some(seed) = seed else { return Err(CryptoError::WrongProofLength { got: 0, want: 1 }) };
    let (mut subtree_hash, mut tree_hash) = (*seed, *seed);
    for sibling in rest {
        if last & 1 == 1 || last == top {
            if first < last {
                subtree_hash = profile.node(sibling, &subtree_hash);
            }
            tree_hash = profile.node(sibling, &tree_hash);
            let skip = last.trailing_zeros().min(63);
            (first, last, top) = (first >> skip, last >> skip, top >> skip);
        } else {
            tree_hash = profile.node(&tree_hash, sibling);
        }
        (first, last, top) = (first >> 1, last >> 1, top >> 1);
    }
    if top == 0 { Ok((subtree_hash, tree_hash)) } else { Err(CryptoError::RootMismatch) }
}

/// Checks that the leaf with `leaf_hash` is at `leaf_index` in the subtree over `start..end` with `root`.
///
/// # Errors
/// [`CryptoError::InvalidSubtree`], then as [`verify_inclusion`].
pub fn verify_subtree_inclusion(
    profile: Profile,
    leaf_hash: &Hash,
    leaf_index: u64,
    start: u64,
    end: u64,
    proof: &[Hash],
    root: &Hash,
) -> Result<(), CryptoError> {
    check_subtree(start, end, end)?;
    let Some(offset) = leaf_index.checked_sub(start) else {
        return Err(CryptoError::IndexOutOfRange { index: leaf_index, size: end });
    };
    verify_inclusion(profile, leaf_hash, offset, end - start, proof, root)
}
