use std::fmt;
use std::str::FromStr;
use std::sync::LazyLock;

use sha2::Digest as _;

use super::wide::{LANES, Wide};
use crate::CryptoError;
use crate::hashing::Hash;

/// Which hash a tree is made of. Part of every root and proof: a proof of one profile never verifies in another.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
#[non_exhaustive]
pub enum Profile {
    /// BLAKE3 keyed with one fixed key for leaves and another for nodes; a node costs one 64-byte block.
    #[default]
    Blake3,
    /// SHA-256 with the prefix bytes 0x00 for leaves and 0x01 for nodes: what outside verifiers of logs know.
    Rfc6962Sha256,
}

// The two keys are derived from published context strings, so that nothing about them is arbitrary.
static LEAF_KEY: LazyLock<[u8; 32]> =
    LazyLock::new(|| blake3::derive_key("hpc-crypto 2026-11 merkle leaf v1", b""));
static NODE_KEY: LazyLock<[u8; 32]> =
    LazyLock::new(|| blake3::derive_key("hpc-crypto 2026-11 merkle node v1", b""));

impl Profile {
    /// The name written into files and exports.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Blake3 => "blake3-v1",
            Self::Rfc6962Sha256 => "rfc6962-sha256",
        }
    }

    /// The hash of a leaf's bytes.
    pub fn leaf(self, data: &[u8]) -> Hash {
        match self {
            Self::Blake3 => Hash::from_bytes(*blake3::keyed_hash(&LEAF_KEY, data).as_bytes()),
            Self::Rfc6962Sha256 => {
                Hash::from_bytes(sha2::Sha256::new().chain_update([0]).chain_update(data).finalize().into())
            }
        }
    }

    /// The hash of a node above two others.
    pub fn node(self, left: &Hash, right: &Hash) -> Hash {
        match self {
            Self::Blake3 => {
                let mut block = [0; 64];
                let (first, second) = block.split_at_mut(32);
                first.copy_from_slice(left.as_bytes());
                second.copy_from_slice(right.as_bytes());
                Hash::from_bytes(*blake3::keyed_hash(&NODE_KEY, &block).as_bytes())
            }
            Self::Rfc6962Sha256 => Hash::from_bytes(
                sha2::Sha256::new()
                    .chain_update([1])
                    .chain_update(left)
                    .chain_update(right)
                    .finalize()
                    .into(),
            ),
        }
    }

    /// The hash of each leaf, in order; neighbours of one usual length side by side, where the hash has lanes.
    pub(super) fn leaves<L: AsRef<[u8]>>(self, leaves: &[L]) -> Vec<Hash> {
        let mut hashes = Vec::with_capacity(leaves.len());
        let wide = (self == Self::Blake3).then(|| Wide::new(&LEAF_KEY));
        for some in leaves.chunks(LANES) {
            if !wide.as_ref().is_some_and(|wide| wide.leaves(some, &mut hashes)) {
                hashes.extend(some.iter().map(|leaf| self.leaf(leaf.as_ref())));
            }
        }
        hashes
    }

    /// The nodes above a row of hashes, without the one that has no neighbour yet.
    pub(super) fn row_above(self, row: &[Hash]) -> Vec<Hash> {
        let mut above = Vec::with_capacity(row.len() / 2);
        match self {
            Self::Blake3 => Wide::new(&NODE_KEY).pairs(row, &mut above),
            Self::Rfc6962Sha256 => {
                above.extend(row.as_chunks::<2>().0.iter().map(|[left, right]| self.node(left, right)));
            }
        }
        above
    }

    /// The root of a tree without leaves: the plain hash of nothing.
    pub fn empty_root(self) -> Hash {
        match self {
            Self::Blake3 => crate::hashing::hash(b""),
            Self::Rfc6962Sha256 => crate::hashing::sha256(b""),
        }
    }

    /// Hash of a row of nodes or leaf hashes as the tree combines them; the empty root for none.
    pub fn root_of(self, hashes: &[Hash]) -> Hash {
        let mut range = super::CompactRange::new(self);
        for hash in hashes {
            range.push(*hash);
        }
        range.root()
    }
}

impl fmt::Display for Profile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Profile {
    type Err = CryptoError;

    /// Reads [`Profile::name`].
    fn from_str(text: &str) -> Result<Self, CryptoError> {
        [Self::Blake3, Self::Rfc6962Sha256]
            .into_iter()
            .find(|profile| profile.name() == text)
            .ok_or(CryptoError::BadEncoding { what: "a hash profile", encoding: "profile name" })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_leaf_is_never_a_node() {
        for profile in [Profile::Blake3, Profile::Rfc6962Sha256] {
            let (a, b) = (profile.leaf(b"a"), profile.leaf(b"b"));
            let joined = [a.as_bytes().as_slice(), b.as_bytes().as_slice()].concat();
            assert_ne!(profile.leaf(&joined), profile.node(&a, &b));
            assert_ne!(profile.node(&a, &b), profile.node(&b, &a));
            assert_eq!(profile.name().parse(), Ok(profile));
        }
        assert_ne!(Profile::Blake3.leaf(b"a"), Profile::Rfc6962Sha256.leaf(b"a"));
        assert!("md5".parse::<Profile>().is_err());
    }
}
