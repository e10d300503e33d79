//! Doors for the fuzz targets. Built for them alone and no part of the package.

use hpc_crypto::hashing::Hash;

use crate::segment::{self, Group};

/// The file of the tail that the two functions speak of.
const NUMBER: u64 = 1;

/// Reads a file of the tail: its entries, the bytes up to which it is whole, and the torn bytes after them.
pub fn scan_tail(bytes: &[u8]) -> Option<(Vec<Vec<u8>>, usize, usize)> {
    let scanned = segment::scan(bytes, NUMBER).ok()?;
    let entries = scanned.entries.iter().map(|(_, entry)| entry.to_vec()).collect();
    let torn = scanned.torn.map_or(0, |torn| torn.bytes as usize);
    Some((entries, scanned.good_bytes as usize, torn))
}

/// Writes a file of the tail that begins after `base` entries, two to a group. An entry has at most 65,535 bytes.
pub fn write_tail(base: u64, entries: &[Vec<u8>]) -> Vec<u8> {
    let mut bytes = segment::header(NUMBER, base, &Hash::from_bytes([9; 32]));
    let mut first = base;
    for pair in entries.chunks(2) {
        let mut group = Group::new(first);
        pair.iter().for_each(|entry| group.push(entry));
        bytes.extend(group.finish());
        first = first.saturating_add(pair.len() as u64);
    }
    bytes
}
