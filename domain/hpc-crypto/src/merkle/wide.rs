//! Many BLAKE3 hashes of one short length side by side, in as many lanes as the processor has.
//!
//! `blake3` offers this in a module that it calls unstable; the workspace pins its exact version, and a property holds
//! every result against the stable function. The flags are those of the BLAKE3 paper, section 2.2.

use blake3::IncrementCounter;
use blake3::platform::{Platform, words_from_le_bytes_32};

use crate::hashing::Hash;

/// The widest lanes there are: AVX-512.
pub(super) const LANES: usize = 16;
const CHUNK_START: u8 = 1 << 0;
const CHUNK_END: u8 = 1 << 1;
const ROOT: u8 = 1 << 3;
const KEYED_HASH: u8 = 1 << 4;

/// Hashes messages of one length with one key.
pub(super) struct Wide {
    platform: Platform,
    key: [u32; 8],
}

impl Wide {
    pub(super) fn new(key: &[u8; 32]) -> Self {
        Self { platform: Platform::detect(), key: words_from_le_bytes_32(key) }
    }

    /// The keyed hash of each message, in order, added to `out`. `N` is a multiple of 64 and at most 1,024: one chunk.
    pub(super) fn hash<const N: usize>(&self, messages: &[&[u8; N]], out: &mut Vec<Hash>) {
        const { assert!(N.is_multiple_of(64) && N > 0 && N <= 1_024, "whole blocks of one chunk") };
        let mut hashes = [0; LANES * 32];
        for some in messages.chunks(LANES) {
            let Some(hashes) = hashes.get_mut(..some.len() * 32) else { continue };
            let end = CHUNK_END | ROOT;
            self.platform.hash_many(
                some,
                &self.key,
                0,
                IncrementCounter::No,
                KEYED_HASH,
                CHUNK_START,
                end,
                hashes,
            );
            out.extend(hashes.as_chunks::<32>().0.iter().map(|hash| Hash::from_bytes(*hash)));
        }
    }

    /// The hash of each pair of neighbours, added to `above`; one left over is left out.
    pub(super) fn pairs(&self, row: &[Hash], above: &mut Vec<Hash>) {
        let mut blocks = [[0; 64]; LANES];
        for some in row.as_chunks::<2>().0.chunks(LANES) {
            for (block, [left, right]) in blocks.iter_mut().zip(some) {
                let (first, second) = block.split_at_mut(32);
                first.copy_from_slice(left.as_bytes());
                second.copy_from_slice(right.as_bytes());
            }
            let mut messages = [&[0; 64]; LANES];
            for (message, block) in messages.iter_mut().zip(&blocks) {
                *message = block;
            }
            self.hash(messages.get(..some.len()).unwrap_or_default(), above);
        }
    }

    /// The hash of each of at most [`LANES`] leaves, added to `out`, if all have one length that is usual; false if not.
    pub(super) fn leaves<L: AsRef<[u8]>>(&self, leaves: &[L], out: &mut Vec<Hash>) -> bool {
        match leaves.first().map(|leaf| leaf.as_ref().len()) {
            Some(64) => self.leaves_of::<64, L>(leaves, out),
            Some(128) => self.leaves_of::<128, L>(leaves, out),
            Some(256) => self.leaves_of::<256, L>(leaves, out),
            Some(512) => self.leaves_of::<512, L>(leaves, out),
            Some(1_024) => self.leaves_of::<1_024, L>(leaves, out),
            _ => false,
        }
    }

    fn leaves_of<const N: usize, L: AsRef<[u8]>>(&self, leaves: &[L], out: &mut Vec<Hash>) -> bool {
        let mut messages = [&[0; N]; LANES];
        for (message, leaf) in messages.iter_mut().zip(leaves) {
            match leaf.as_ref().try_into() {
                Ok(leaf) => *message = leaf,
                Err(_) => return false,
            }
        }
        let Some(messages) = messages.get(..leaves.len()) else { return false };
        self.hash(messages, out);
        true
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::merkle::Profile;

    proptest! {
        #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn side_by_side_is_one_at_a_time(
            length in prop::sample::select(vec![0_usize, 1, 63, 64, 65, 128, 192, 256, 512, 1_023, 1_024, 1_025]),
            count in 0_usize..70,
            odd in prop::option::of(0_usize..70),
            seed in any::<u8>(),
        ) {
            let leaves: Vec<Vec<u8>> = (0..count)
                .map(|n| {
                    let length = length + usize::from(odd == Some(n));
                    (0..length).map(|byte| seed ^ (byte * 31 + n * 7) as u8).collect()
                })
                .collect();
            let one_by_one: Vec<Hash> = leaves.iter().map(|leaf| Profile::Blake3.leaf(leaf)).collect();
            prop_assert_eq!(Profile::Blake3.leaves(&leaves), one_by_one.clone());
            let above: Vec<Hash> = one_by_one
                .chunks_exact(2)
                .map(|pair| Profile::Blake3.node(&pair[0], &pair[1]))
                .collect();
            prop_assert_eq!(Profile::Blake3.row_above(&one_by_one), above);
        }
    }
}
