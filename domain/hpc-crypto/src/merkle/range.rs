use super::{LEAVES_MAX, NodeId, Profile};
use crate::CryptoError;
use crate::hashing::Hash;

/// The right edge of a growing tree: enough to append and to know the root, 32 bytes for each level.
///
/// An append costs one node hash on average, whatever the size.
///
/// ```
/// use hpc_crypto::merkle::{CompactRange, MerkleTree, Profile};
/// # fn main() -> Result<(), hpc_crypto::CryptoError> {
/// let mut range = CompactRange::new(Profile::Blake3);
/// range.append(Profile::Blake3.leaf(b"tx1"))?;
/// range.append(Profile::Blake3.leaf(b"tx2"))?;
/// assert_eq!(range.root(), MerkleTree::from_leaves(&[b"tx1", b"tx2"]).root());
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CompactRange {
    profile: Profile,
    size: u64,
    // INVARIANT: one hash for each set bit of `size`, largest subtree first.
    nodes: Vec<Hash>,
}

impl CompactRange {
    /// The edge of an empty tree.
    pub const fn new(profile: Profile) -> Self {
        Self { profile, size: 0, nodes: Vec::new() }
    }

    /// The edge of a tree of `size` leaves from the hashes of [`super::cover`]`(0, size)`, in its order.
    ///
    /// # Errors
    /// [`CryptoError::WrongProofLength`] when their number does not fit, [`CryptoError::TooManyLeaves`].
    pub fn from_nodes(profile: Profile, size: u64, nodes: Vec<Hash>) -> Result<Self, CryptoError> {
        if size > LEAVES_MAX {
            return Err(CryptoError::TooManyLeaves);
        }
        let want = size.count_ones() as usize;
        if nodes.len() != want {
            return Err(CryptoError::WrongProofLength { got: nodes.len(), want });
        }
        Ok(Self { profile, size, nodes })
    }

    /// The hash profile.
    pub const fn profile(&self) -> Profile {
        self.profile
    }

    /// Number of leaves.
    pub const fn size(&self) -> u64 {
        self.size
    }

    /// Adds a leaf's hash and returns its index.
    ///
    /// # Errors
    /// Only [`CryptoError::TooManyLeaves`].
    pub fn append(&mut self, leaf_hash: Hash) -> Result<u64, CryptoError> {
        self.append_with(leaf_hash, |_, _| ())
    }

    /// Adds a leaf's hash, tells `completed` every node that is complete from now on (the leaf first), returns its index.
    ///
    /// # Errors
    /// Only [`CryptoError::TooManyLeaves`].
    pub fn append_with(
        &mut self,
        leaf_hash: Hash,
        mut completed: impl FnMut(NodeId, Hash),
    ) -> Result<u64, CryptoError> {
        if self.size >= LEAVES_MAX {
            return Err(CryptoError::TooManyLeaves);
        }
        let leaf_index = self.size;
        let mut node = NodeId { level: 0, index: leaf_index };
        let mut hash = leaf_hash;
        completed(node, hash);
        while node.index & 1 == 1 {
            let Some(left) = self.nodes.pop() else { break };
            hash = self.profile.node(&left, &hash);
            node = NodeId { level: node.level + 1, index: node.index >> 1 };
            completed(node, hash);
        }
        self.nodes.push(hash);
        self.size += 1;
        Ok(leaf_index)
    }

    // The edge of a whole tree in memory, which cannot reach the limit: what has no right neighbour, highest first.
    pub(super) fn of_levels(profile: Profile, levels: &[Vec<Hash>]) -> Self {
        let size = levels.first().map_or(0, |leaves| leaves.len() as u64);
        let alone = levels.iter().rev().filter(|row| row.len() % 2 == 1);
        Self { profile, size, nodes: alone.filter_map(|row| row.last().copied()).collect() }
    }

    // For rows already in memory, which cannot reach the limit.
    pub(super) fn push(&mut self, leaf_hash: Hash) {
        let _ = self.append(leaf_hash);
    }

    /// The root hash of the leaves so far.
    pub fn root(&self) -> Hash {
        let mut nodes = self.nodes.iter().rev();
        let Some(last) = nodes.next() else { return self.profile.empty_root() };
        nodes.fold(*last, |right, left| self.profile.node(left, &right))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn three_leaves_are_not_three_with_the_last_twice() {
        for profile in [Profile::Blake3, Profile::Rfc6962Sha256] {
            let [a, b, c] = [b"a", b"b", b"c"].map(|leaf| profile.leaf(leaf));
            assert_ne!(profile.root_of(&[a, b, c]), profile.root_of(&[a, b, c, c]));
        }
    }

    #[test]
    fn limits_hold() {
        let full = CompactRange::from_nodes(Profile::Blake3, LEAVES_MAX, vec![Hash::from_bytes([0; 32]); 63]);
        assert_eq!(full.unwrap().append(Hash::from_bytes([1; 32])), Err(CryptoError::TooManyLeaves));
        assert!(CompactRange::from_nodes(Profile::Blake3, LEAVES_MAX + 1, vec![]).is_err());
        assert!(CompactRange::from_nodes(Profile::Blake3, 3, vec![]).is_err());
    }
}
