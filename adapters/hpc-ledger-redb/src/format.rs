//! What is in the file: three tables, and the bytes of their values.
//!
//! | table | key | value |
//! | --- | --- | --- |
//! | `meta` | name | number: `schema_version`, `revision`, `compacted`, `history_changes`, `history_bytes` |
//! | `state` | ledger key | checksum (4 bytes), version (8), value |
//! | `history` | revision | checksum (4 bytes), number of changes (4), then the changes |
//!
//! A change is: length of the key (2), key, 0 for deleted or 1 for put, and for put length of the value (4), value.
//! All numbers are little-endian. A checksum is CRC-32 over the key (of a history record: the revision) and what
//! follows the checksum; redb's own page checksums are checked only when a file is opened.

use hpc_ledger::{Key, Revision, Versioned};
use redb::TableDefinition;

/// The format this program reads and writes.
pub(crate) const SCHEMA_VERSION: u64 = 1;

pub(crate) const META: TableDefinition<'_, &str, u64> = TableDefinition::new("meta");
pub(crate) const STATE: TableDefinition<'_, &str, &[u8]> = TableDefinition::new("state");
pub(crate) const HISTORY: TableDefinition<'_, u64, &[u8]> = TableDefinition::new("history");

pub(crate) const META_SCHEMA_VERSION: &str = "schema_version";
pub(crate) const META_REVISION: &str = "revision";
/// The newest revision whose changes are gone.
pub(crate) const META_COMPACTED: &str = "compacted";
pub(crate) const META_HISTORY_CHANGES: &str = "history_changes";
pub(crate) const META_HISTORY_BYTES: &str = "history_bytes";

const CHECKSUM_BYTES: usize = 4;
const STATE_HEADER_BYTES: usize = CHECKSUM_BYTES + 8;
const HISTORY_HEADER_BYTES: usize = CHECKSUM_BYTES + 4;

/// One key changed: its new value, or `None` if it was deleted.
pub(crate) type KeyChange = (Key, Option<Vec<u8>>);

fn checksum(name: &[u8], content: &[u8]) -> [u8; CHECKSUM_BYTES] {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(&(name.len() as u64).to_le_bytes());
    hasher.update(name);
    hasher.update(content);
    hasher.finalize().to_le_bytes()
}

/// Splits the checksum off and compares it.
fn checked<'a>(name: &[u8], record: &'a [u8]) -> Option<&'a [u8]> {
    let (stored, content) = record.split_first_chunk::<CHECKSUM_BYTES>()?;
    (*stored == checksum(name, content)).then_some(content)
}

fn seal(name: &[u8], mut record: Vec<u8>) -> Vec<u8> {
    let sum = record.get(CHECKSUM_BYTES..).map(|content| checksum(name, content)).unwrap_or_default();
    if let Some(place) = record.first_chunk_mut::<CHECKSUM_BYTES>() {
        *place = sum;
    }
    record
}

pub(crate) fn encode_state(key: &Key, version: Revision, value: &[u8]) -> Vec<u8> {
    let mut record = Vec::with_capacity(STATE_HEADER_BYTES + value.len());
    record.extend_from_slice(&[0; CHECKSUM_BYTES]);
    record.extend_from_slice(&version.to_le_bytes());
    record.extend_from_slice(value);
    seal(key.as_str().as_bytes(), record)
}

pub(crate) fn decode_state(key: &str, record: &[u8]) -> Option<Versioned> {
    let (version, value) = checked(key.as_bytes(), record)?.split_first_chunk::<8>()?;
    Some(Versioned { version: u64::from_le_bytes(*version), value: value.to_vec() })
}

/// The version alone, without copying the value.
pub(crate) fn decode_version(key: &str, record: &[u8]) -> Option<Revision> {
    let (version, _) = checked(key.as_bytes(), record)?.split_first_chunk::<8>()?;
    Some(u64::from_le_bytes(*version))
}

pub(crate) fn encode_history(revision: Revision, changes: &[(&Key, Option<&[u8]>)]) -> Vec<u8> {
    let bytes: usize =
        changes.iter().map(|(key, value)| 7 + key.as_str().len() + value.map_or(0, <[u8]>::len)).sum();
    let mut record = Vec::with_capacity(HISTORY_HEADER_BYTES + bytes);
    record.extend_from_slice(&[0; CHECKSUM_BYTES]);
    record.extend_from_slice(&(changes.len() as u32).to_le_bytes());
    for (key, value) in changes {
        // INVARIANT: a key has at most 512 bytes and a value at most 1 MiB, so the lengths fit.
        record.extend_from_slice(&(key.as_str().len() as u16).to_le_bytes());
        record.extend_from_slice(key.as_str().as_bytes());
        record.push(u8::from(value.is_some()));
        if let Some(value) = value {
            record.extend_from_slice(&(value.len() as u32).to_le_bytes());
            record.extend_from_slice(value);
        }
    }
    seal(&revision.to_le_bytes(), record)
}

pub(crate) fn decode_history(revision: Revision, record: &[u8]) -> Option<Vec<KeyChange>> {
    let (count, mut rest) = checked(&revision.to_le_bytes(), record)?.split_first_chunk::<4>()?;
    let mut changes = Vec::new();
    for _ in 0..u32::from_le_bytes(*count) {
        let key = take_bytes(&mut rest, 2)?;
        let key = Key::parse(std::str::from_utf8(key).ok()?).ok()?;
        let (put, after) = rest.split_first()?;
        rest = after;
        let value = match put {
            0 => None,
            1 => Some(take_bytes(&mut rest, 4)?.to_vec()),
            _ => return None,
        };
        changes.push((key, value));
    }
    rest.is_empty().then_some(changes)
}

/// How many changes a history record holds, without its checksum: only to keep count while dropping it.
pub(crate) fn history_count(record: &[u8]) -> u64 {
    let count = record.get(CHECKSUM_BYTES..).and_then(|content| content.first_chunk::<4>());
    count.map_or(0, |count| u32::from_le_bytes(*count).into())
}

/// A length of `width` bytes and as many bytes as it says.
fn take_bytes<'a>(rest: &mut &'a [u8], width: usize) -> Option<&'a [u8]> {
    let (length, after) = rest.split_at_checked(width)?;
    let length = length.iter().rev().fold(0_usize, |sum, byte| (sum << 8) | usize::from(*byte));
    let (bytes, after) = after.split_at_checked(length)?;
    *rest = after;
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn key(text: &str) -> Key {
        Key::parse(text).unwrap()
    }

    #[test]
    fn a_record_belongs_to_its_key() {
        let record = encode_state(&key("a"), 7, b"value");
        assert_eq!(decode_state("a", &record), Some(Versioned { value: b"value".to_vec(), version: 7 }));
        assert_eq!(decode_version("a", &record), Some(7));
        assert_eq!(decode_state("b", &record), None);
        let history = encode_history(3, &[(&key("a"), Some(b"1")), (&key("b"), None)]);
        assert_eq!(history_count(&history), 2);
        assert_eq!(decode_history(4, &history), None);
    }

    proptest! {
        #[test]
        fn history_comes_back(changes in prop::collection::vec(("[a-z]{1,9}", prop::option::of(prop::collection::vec(any::<u8>(), 0..50))), 0..20)) {
            let changes: Vec<KeyChange> = changes.into_iter().map(|(name, value)| (key(&name), value)).collect();
            let borrowed: Vec<_> = changes.iter().map(|(key, value)| (key, value.as_deref())).collect();
            prop_assert_eq!(decode_history(9, &encode_history(9, &borrowed)), Some(changes));
        }

        #[test]
        fn any_flipped_bit_is_seen(value in prop::collection::vec(any::<u8>(), 0..60), at in any::<prop::sample::Index>(), bit in 0..8) {
            let mut record = encode_state(&key("k"), 5, &value);
            let index = at.index(record.len());
            record[index] ^= 1_u8 << bit;
            prop_assert_eq!(decode_state("k", &record), None);
            let mut record = encode_history(5, &[(&key("k"), Some(&value))]);
            let index = at.index(record.len());
            record[index] ^= 1_u8 << bit;
            prop_assert_eq!(decode_history(5, &record), None);
        }

        #[test]
        fn garbage_is_refused_without_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let mut sealed = vec![0; CHECKSUM_BYTES];
            sealed.extend_from_slice(&bytes);
            let _ = decode_history(1, &seal(&1_u64.to_le_bytes(), sealed.clone()));
            let _ = decode_state("k", &seal(b"k", sealed));
            let _ = decode_history(1, &bytes);
            let _ = decode_state("k", &bytes);
        }
    }
}
