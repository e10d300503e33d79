use super::{LEAVES_MAX, Profile};
use crate::CryptoError;
use crate::hashing::Hash;

/// A complete subtree: `2^level` leaves beginning at leaf `index * 2^level`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NodeId {
    /// Height above the leaves, 0 to 63.
    pub level: u32,
    /// Position among the nodes of its level.
    pub index: u64,
}

/// Which complete nodes a proof is made of, in the order of its hashes.
///
/// Where the nodes are kept, in memory or in tiles, is the caller's business: [`ProofPlan::resolve`] asks for each.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProofPlan {
    nodes: Vec<NodeId>,
    // For each hash of the proof: one past its last node. Its nodes combine from right to left.
    ends: Vec<usize>,
}

impl ProofPlan {
    /// The proof that leaf `index` is in the tree of `size` leaves.
    ///
    /// # Errors
    /// [`CryptoError::IndexOutOfRange`] or [`CryptoError::TooManyLeaves`].
    pub fn inclusion(index: u64, size: u64) -> Result<Self, CryptoError> {
        if size > LEAVES_MAX {
            return Err(CryptoError::TooManyLeaves);
        }
        if index >= size {
            return Err(CryptoError::IndexOutOfRange { index, size });
        }
        let (mut start, mut end) = (0, size);
        let mut siblings = Vec::new();
        while end - start > 1 {
            let split = start + split_of(end - start);
            if index < split {
                siblings.push((split, end));
                end = split;
            } else {
                siblings.push((start, split));
                start = split;
            }
        }
        siblings.reverse();
        Ok(Self::of_ranges(&siblings))
    }

    /// The proof that the tree of `old` leaves is the beginning of the tree of `new` leaves.
    ///
    /// # Errors
    /// [`CryptoError::SizesOutOfRange`] or [`CryptoError::TooManyLeaves`].
    pub fn consistency(old: u64, new: u64) -> Result<Self, CryptoError> {
        if old == 0 || old > new {
            return Err(CryptoError::SizesOutOfRange { old, new });
        }
        Self::subtree_consistency(0, old, new)
    }

    /// The proof that the subtree over leaves `start..end` is part of the tree of `size` leaves.
    ///
    /// # Errors
    /// [`CryptoError::InvalidSubtree`] or [`CryptoError::TooManyLeaves`].
    pub fn subtree_consistency(start: u64, end: u64, size: u64) -> Result<Self, CryptoError> {
        check_subtree(start, end, size)?;
        if start == end {
            return Ok(Self::of_ranges(&[]));
        }
        let (mut low, mut high) = (0, size);
        let mut whole = true; // Whether the subtree's own root is known to the verifier.
        let mut first = start;
        let mut siblings = Vec::new();
        while (low, high) != (first, end) {
            let split = low + split_of(high - low);
            if end <= split {
                siblings.push((split, high));
                high = split;
            } else {
                siblings.push((low, split));
                if first < split {
                    first = split;
                    whole = false;
                }
                low = split;
            }
        }
        if !whole {
            siblings.push((low, high));
        }
        siblings.reverse();
        Ok(Self::of_ranges(&siblings))
    }

    /// Number of hashes in the proof.
    pub fn len(&self) -> usize {
        self.ends.len()
    }

    /// Whether the proof has no hashes: a tree of one leaf, or a tree compared with itself.
    pub fn is_empty(&self) -> bool {
        self.ends.is_empty()
    }

    /// Every node that [`ProofPlan::resolve`] will ask for.
    pub fn nodes(&self) -> &[NodeId] {
        &self.nodes
    }

    /// Makes the hashes of the proof; `read` gives the hash of a complete node.
    ///
    /// # Errors
    /// Only those of `read`.
    pub fn resolve<E>(
        &self,
        profile: Profile,
        mut read: impl FnMut(NodeId) -> Result<Hash, E>,
    ) -> Result<Vec<Hash>, E> {
        let mut hashes = Vec::with_capacity(self.ends.len());
        let mut begin = 0;
        for &end in &self.ends {
            let part = self.nodes.get(begin..end).unwrap_or_default();
            begin = end;
            let mut combined: Option<Hash> = None;
            for node in part.iter().rev() {
                let left = read(*node)?;
                combined = Some(match combined {
                    None => left,
                    Some(right) => profile.node(&left, &right),
                });
            }
            // INVARIANT: no part is empty, because every range in `of_ranges` has at least one leaf.
            hashes.extend(combined);
        }
        Ok(hashes)
    }

    fn of_ranges(ranges: &[(u64, u64)]) -> Self {
        let mut plan =
            Self { nodes: Vec::with_capacity(ranges.len() + 8), ends: Vec::with_capacity(ranges.len()) };
        for &(start, end) in ranges {
            cover_into(start, end, &mut plan.nodes);
            plan.ends.push(plan.nodes.len());
        }
        plan
    }
}

/// The complete nodes that make up the subtree over `start..end`, largest first.
///
/// Combined from right to left they give its hash. `start` must be a multiple of the power of two
/// at or above the length, as it is for every subtree of a tree; for `0..size` this is the right edge of the tree.
pub fn cover(start: u64, end: u64) -> Vec<NodeId> {
    let mut nodes = Vec::new();
    cover_into(start, end, &mut nodes);
    nodes
}

fn cover_into(mut start: u64, end: u64, nodes: &mut Vec<NodeId>) {
    while start < end {
        let level = (end - start).ilog2();
        nodes.push(NodeId { level, index: start >> level });
        start += 1 << level;
    }
}

/// The largest power of two below `size`, which is at least 2.
fn split_of(size: u64) -> u64 {
    1 << (size - 1).ilog2()
}

/// Whether `start..end` can be a node of a tree of `size` leaves; an empty range is the empty tree.
pub(super) fn check_subtree(start: u64, end: u64, size: u64) -> Result<(), CryptoError> {
    if size > LEAVES_MAX || end > LEAVES_MAX {
        return Err(CryptoError::TooManyLeaves);
    }
    let invalid = CryptoError::InvalidSubtree { start, end, size };
    match end.checked_sub(start) {
        Some(0) if end <= size => Ok(()),
        // `next_power_of_two` cannot overflow: the length is at most 2^63 - 1.
        Some(length) if length > 0 && end <= size && start.is_multiple_of(length.next_power_of_two()) => {
            Ok(())
        }
        _ => Err(invalid),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn covers_are_the_set_bits() {
        let node = |level, index| NodeId { level, index };
        assert_eq!(cover(0, 0), []);
        assert_eq!(cover(0, 7), [node(2, 0), node(1, 2), node(0, 6)]);
        assert_eq!(cover(4, 7), [node(1, 2), node(0, 6)]);
    }

    #[test]
    fn ranges_are_checked() {
        assert_eq!(ProofPlan::inclusion(3, 3), Err(CryptoError::IndexOutOfRange { index: 3, size: 3 }));
        assert_eq!(ProofPlan::inclusion(0, LEAVES_MAX + 1), Err(CryptoError::TooManyLeaves));
        assert_eq!(ProofPlan::consistency(0, 3), Err(CryptoError::SizesOutOfRange { old: 0, new: 3 }));
        assert_eq!(ProofPlan::consistency(4, 3), Err(CryptoError::SizesOutOfRange { old: 4, new: 3 }));
        assert!(ProofPlan::subtree_consistency(2, 6, 8).is_err());
        assert!(ProofPlan::subtree_consistency(1, u64::MAX, u64::MAX).is_err());
        assert_eq!(ProofPlan::inclusion(LEAVES_MAX - 1, LEAVES_MAX).map(|plan| plan.len()), Ok(62));
        assert_eq!(ProofPlan::inclusion(0, LEAVES_MAX).map(|plan| plan.len()), Ok(63));
        assert!(
            ProofPlan::consistency(LEAVES_MAX - 1, LEAVES_MAX).unwrap().len()
                <= super::super::PROOF_HASHES_MAX
        );
    }
}
