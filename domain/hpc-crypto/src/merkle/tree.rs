use super::{CompactRange, ConsistencyProof, InclusionProof, LEAVES_MAX, NodeId, Profile, ProofPlan, cover};
use crate::CryptoError;
use crate::hashing::Hash;

/// A whole tree in memory: about 64 bytes for each leaf. It keeps hashes, not the leaves.
///
/// For a log too large for memory keep a [`CompactRange`] and tiles instead.
///
/// ```
/// use hpc_crypto::merkle::MerkleTree;
/// # fn main() -> Result<(), hpc_crypto::CryptoError> {
/// let tree = MerkleTree::from_leaves(&[b"tx1", b"tx2", b"tx3"]);
/// let proof = tree.prove(1)?;
/// assert!(tree.verify(&proof, b"tx2"));
/// assert!(!tree.verify(&proof, b"tx1"));
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone)]
pub struct MerkleTree {
    edge: CompactRange,
    // levels[k] holds the hashes of all complete subtrees of 2^k leaves, in order.
    levels: Vec<Vec<Hash>>,
}

impl MerkleTree {
    /// An empty tree of the given profile.
    pub const fn new(profile: Profile) -> Self {
        Self { edge: CompactRange::new(profile), levels: Vec::new() }
    }

    /// The tree over `leaves`, in order, of the default profile.
    pub fn from_leaves<L: AsRef<[u8]>>(leaves: &[L]) -> Self {
        Self::from_leaves_with(Profile::default(), leaves)
    }

    /// The tree over `leaves`, in order.
    pub fn from_leaves_with<L: AsRef<[u8]>>(profile: Profile, leaves: &[L]) -> Self {
        let mut levels = Vec::new();
        let mut row = profile.leaves(leaves);
        // Level by level, so that each is allocated once, at its size, and many nodes are hashed side by side.
        while !row.is_empty() {
            let above = profile.row_above(&row);
            levels.push(std::mem::replace(&mut row, above));
        }
        Self { edge: CompactRange::of_levels(profile, &levels), levels }
    }

    /// The hash profile.
    pub const fn profile(&self) -> Profile {
        self.edge.profile()
    }

    /// Number of leaves.
    pub const fn len(&self) -> u64 {
        self.edge.size()
    }

    /// Whether there are no leaves.
    pub const fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The root hash; [`Profile::empty_root`] for an empty tree.
    pub fn root(&self) -> Hash {
        self.edge.root()
    }

    /// The root hash that the tree had when it had `size` leaves.
    ///
    /// # Errors
    /// [`CryptoError::SizesOutOfRange`] when the tree is smaller than that.
    pub fn root_at(&self, size: u64) -> Result<Hash, CryptoError> {
        if size > self.len() {
            return Err(CryptoError::SizesOutOfRange { old: size, new: self.len() });
        }
        let nodes = cover(0, size).into_iter().map(|node| self.node(node)).collect::<Result<Vec<_>, _>>()?;
        Ok(CompactRange::from_nodes(self.profile(), size, nodes)?.root())
    }

    /// The hash of the leaf at `leaf_index`.
    ///
    /// # Errors
    /// Only [`CryptoError::IndexOutOfRange`].
    pub fn leaf_hash(&self, leaf_index: u64) -> Result<Hash, CryptoError> {
        self.node(NodeId { level: 0, index: leaf_index })
    }

    /// Adds a leaf and returns its index.
    ///
    /// # Errors
    /// Only [`CryptoError::TooManyLeaves`].
    pub fn append(&mut self, leaf: &[u8]) -> Result<u64, CryptoError> {
        self.append_hash(self.profile().leaf(leaf))
    }

    /// Adds a leaf by its hash and returns its index.
    ///
    /// # Errors
    /// Only [`CryptoError::TooManyLeaves`], at [`LEAVES_MAX`].
    pub fn append_hash(&mut self, leaf_hash: Hash) -> Result<u64, CryptoError> {
        debug_assert!(self.len() <= LEAVES_MAX);
        let levels = &mut self.levels;
        self.edge.append_with(leaf_hash, |node, hash| {
            let level = node.level as usize;
            if levels.len() <= level {
                levels.resize_with(level + 1, Vec::new);
            }
            if let Some(row) = levels.get_mut(level) {
                row.push(hash);
            }
        })
    }

    /// Proves that the leaf at `leaf_index` is in the tree as it is now.
    ///
    /// # Errors
    /// Only [`CryptoError::IndexOutOfRange`].
    pub fn prove(&self, leaf_index: u64) -> Result<InclusionProof, CryptoError> {
        self.prove_at(leaf_index, self.len())
    }

    /// Proves that the leaf at `leaf_index` was in the tree when it had `tree_size` leaves.
    ///
    /// # Errors
    /// [`CryptoError::IndexOutOfRange`] or [`CryptoError::SizesOutOfRange`].
    pub fn prove_at(&self, leaf_index: u64, tree_size: u64) -> Result<InclusionProof, CryptoError> {
        if tree_size > self.len() {
            return Err(CryptoError::SizesOutOfRange { old: tree_size, new: self.len() });
        }
        let hashes =
            ProofPlan::inclusion(leaf_index, tree_size)?.resolve(self.profile(), |node| self.node(node))?;
        Ok(InclusionProof { profile: self.profile(), leaf_index, tree_size, hashes })
    }

    /// Proves that the tree of `old_size` leaves is the beginning of the tree of `new_size` leaves.
    ///
    /// # Errors
    /// Only [`CryptoError::SizesOutOfRange`].
    pub fn prove_consistency(&self, old_size: u64, new_size: u64) -> Result<ConsistencyProof, CryptoError> {
        if new_size > self.len() {
            return Err(CryptoError::SizesOutOfRange { old: new_size, new: self.len() });
        }
        let hashes =
            ProofPlan::consistency(old_size, new_size)?.resolve(self.profile(), |node| self.node(node))?;
        Ok(ConsistencyProof { profile: self.profile(), old_size, new_size, hashes })
    }

    /// Proves that the subtree over `start..end` is part of the tree as it is now; returns its root and the hashes.
    ///
    /// # Errors
    /// Only [`CryptoError::InvalidSubtree`].
    pub fn prove_subtree(&self, start: u64, end: u64) -> Result<(Hash, Vec<Hash>), CryptoError> {
        let plan = ProofPlan::subtree_consistency(start, end, self.len())?;
        let nodes =
            cover(start, end).into_iter().map(|node| self.node(node)).collect::<Result<Vec<_>, _>>()?;
        let root = CompactRange::from_nodes(self.profile(), end - start, nodes)?.root();
        Ok((root, plan.resolve(self.profile(), |node| self.node(node))?))
    }

    /// Whether `proof` shows `leaf` to be in this tree, now or at the earlier size the proof is for.
    ///
    /// A proof of another profile, or for a size this tree never had, is refused.
    pub fn verify(&self, proof: &InclusionProof, leaf: &[u8]) -> bool {
        proof.profile == self.profile()
            && self
                .root_at(proof.tree_size)
                .and_then(|root| proof.verify(&self.profile().leaf(leaf), &root))
                .is_ok()
    }

    fn node(&self, node: NodeId) -> Result<Hash, CryptoError> {
        self.levels
            .get(node.level as usize)
            .and_then(|row| row.get(usize::try_from(node.index).ok()?))
            .copied()
            .ok_or(CryptoError::IndexOutOfRange { index: node.index << node.level, size: self.len() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tree_built_at_once_is_the_one_that_grew() {
        let leaves: Vec<[u8; 8]> = (0..70_u64).map(u64::to_le_bytes).collect();
        for profile in [Profile::Blake3, Profile::Rfc6962Sha256] {
            let mut grown = MerkleTree::new(profile);
            for size in 0..leaves.len() {
                let mut built = MerkleTree::from_leaves_with(profile, &leaves[..size]);
                assert_eq!((&built.edge, &built.levels), (&grown.edge, &grown.levels), "{size} leaves");
                built.append(&leaves[size]).unwrap();
                grown.append(&leaves[size]).unwrap();
                assert_eq!(built.root(), grown.root());
            }
        }
    }
}
