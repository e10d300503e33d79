//! A filter says for certain that something is not in a set, and is rarely wrong when it says that it may be.
//!
//! A blocked Bloom filter: every item has all its bits in one unit of 64 bytes, so that one small read answers. The last
//! four bytes of a unit are a CRC-32 over its number and its bits.

pub(super) const UNIT_BYTES: usize = 64;
const BITS_BYTES: usize = 60;
/// Bits for each item of a filter; a filter of this kind is wrong for about one item in 200.
const BITS_PER_ITEM: u64 = 12;
const BITS_PER_UNIT: u64 = BITS_BYTES as u64 * 8;
/// Bits that are set for each item.
const PROBES: u32 = 7;

pub(super) type Unit = [u8; UNIT_BYTES];

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Filter(Vec<Unit>);

impl Filter {
    /// Units of a filter for so many items.
    pub(super) const fn units_for(items: u64) -> u64 {
        let units = (items * BITS_PER_ITEM).div_ceil(BITS_PER_UNIT);
        if units == 0 { 1 } else { units }
    }

    pub(super) fn with_room_for(items: u64) -> Self {
        Self(vec![[0; UNIT_BYTES]; Self::units_for(items) as usize])
    }

    /// A filter of these items, ready to be written.
    pub(super) fn of(items: &[u64]) -> Self {
        let mut filter = Self::with_room_for(items.len() as u64);
        items.iter().for_each(|item| filter.insert(*item));
        filter.seal();
        filter
    }

    pub(super) fn insert(&mut self, item: u64) {
        let at = unit_of(item, self.0.len() as u64) as usize;
        let Some(unit) = self.0.get_mut(at) else { return };
        for bit in probes(item) {
            if let Some(byte) = unit.get_mut(bit / 8) {
                *byte |= 1 << (bit % 8);
            }
        }
    }

    /// Writes the checks; nothing is inserted afterwards.
    pub(super) fn seal(&mut self) {
        for (unit, number) in self.0.iter_mut().zip(0..) {
            let check = check_of(number, unit);
            if let Some(end) = unit.last_chunk_mut() {
                *end = check;
            }
        }
    }

    pub(super) fn may_hold(&self, item: u64) -> bool {
        let at = unit_of(item, self.0.len() as u64) as usize;
        self.0.get(at).is_none_or(|unit| may_hold(unit, item))
    }

    pub(super) fn as_bytes(&self) -> &[u8] {
        self.0.as_flattened()
    }

    pub(super) const fn units(&self) -> u64 {
        self.0.len() as u64
    }

    /// A filter that was written; the number of the first unit that is not whole when there is one.
    pub(super) fn from_bytes(bytes: &[u8]) -> Result<Self, u64> {
        let (units, rest) = bytes.as_chunks::<UNIT_BYTES>();
        let broken = units.iter().zip(0..).find(|(unit, number)| !is_whole(*number, unit));
        match broken {
            Some((_, number)) => Err(number),
            None if !rest.is_empty() || units.is_empty() => Err(units.len() as u64),
            None => Ok(Self(units.to_vec())),
        }
    }
}

/// The unit that an item has its bits in.
pub(super) const fn unit_of(item: u64, units: u64) -> u64 {
    ((item as u128 * units as u128) >> 64) as u64
}

/// Whether an item may be in the set that a filter with this unit was made of.
pub(super) fn may_hold(unit: &Unit, item: u64) -> bool {
    probes(item).all(|bit| unit.get(bit / 8).is_none_or(|byte| byte & (1 << (bit % 8)) != 0))
}

/// Whether a unit is as it was written, at its place.
pub(super) fn is_whole(number: u64, unit: &Unit) -> bool {
    unit.ends_with(&check_of(number, unit))
}

fn check_of(number: u64, unit: &Unit) -> [u8; 4] {
    let mut check = crc32fast::Hasher::new();
    check.update(&number.to_be_bytes());
    check.update(unit.get(..BITS_BYTES).unwrap_or_default());
    check.finalize().to_be_bytes()
}

/// Seven places of nine bits each, from a number that has little to do with the one that chose the unit.
fn probes(item: u64) -> impl Iterator<Item = usize> {
    let mut mixed = item.wrapping_add(0x9e37_79b9_7f4a_7c15);
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^= mixed >> 31;
    (0..PROBES).map(move |probe| (((mixed >> (9 * probe)) & 0x1ff) * BITS_PER_UNIT / 512) as usize)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn item(n: u64) -> u64 {
        let hash = hpc_crypto::hashing::hash(&n.to_be_bytes());
        u64::from_be_bytes(*hash.as_bytes().first_chunk().unwrap())
    }

    #[test]
    fn what_was_put_in_is_always_found_and_other_things_seldom() {
        for count in [1, 40, 41, 1000, 20_000] {
            let items: Vec<u64> = (0..count).map(item).collect();
            let filter = Filter::of(&items);
            assert_eq!(filter.units(), Filter::units_for(count));
            assert!(items.iter().all(|item| filter.may_hold(*item)), "{count}");
            let wrong = (0..100_000).filter(|n| filter.may_hold(item(1 << 40 | *n))).count();
            assert!(wrong < 800, "{wrong} of 100,000 at {count} items");
        }
    }

    #[test]
    fn every_changed_bit_and_every_moved_unit_is_noticed() {
        let filter = Filter::of(&(0..100).map(item).collect::<Vec<_>>());
        let bytes = filter.as_bytes();
        assert_eq!(bytes.len(), 3 * UNIT_BYTES);
        assert_eq!(Filter::from_bytes(bytes), Ok(filter.clone()));
        for bit in 0..bytes.len() * 8 {
            let mut changed = bytes.to_vec();
            changed[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(Filter::from_bytes(&changed), Err((bit / 8 / UNIT_BYTES) as u64));
        }
        let mut moved = bytes.to_vec();
        moved.rotate_left(UNIT_BYTES);
        assert_eq!(Filter::from_bytes(&moved), Err(0));
        assert_eq!(Filter::from_bytes(&bytes[..100]), Err(1));
        assert_eq!(Filter::from_bytes(&[]), Err(0));
    }
}
