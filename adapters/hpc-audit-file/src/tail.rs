//! The write-ahead tail: entries that are acknowledged and not yet all in tiles.
//!
//! A header says after which entry the tail begins; then comes one frame for each append, whole or not at all.
//!
//! ```text
//! header  "hpc-tail" | version u32 | base u64 | root of the first base entries, 32 bytes | CRC-32 of all before
//! frame   "EntF" | entries u32 | index of the first u64 | payload bytes u32 | CRC-32 of all before
//!         | payload: each entry behind its length in two bytes | CRC-32 of the whole frame before
//! ```
//! All numbers are big endian.

use hpc_audit::{APPEND_BYTES_MAX, APPEND_ENTRIES_MAX};
use hpc_crypto::hashing::Hash;

use crate::DirError;
use crate::disk::TAIL;
use crate::map::damaged;

const MAGIC: &[u8; 8] = b"hpc-tail";
const VERSION: u32 = 1;
const FRAME_MAGIC: &[u8; 4] = b"EntF";
/// Bytes of the header.
pub(crate) const HEADER_BYTES: usize = 56;
const FRAME_HEADER_BYTES: usize = 24;
const CHECK_BYTES: usize = 4;
/// The longest payload: the entries of one append and their lengths.
const PAYLOAD_BYTES_MAX: usize = APPEND_BYTES_MAX + 2 * APPEND_ENTRIES_MAX;
/// Zeros at the end that tell a write which did not reach the disk from a change: no frame ends in so many.
const ZEROS_OF_A_LOST_WRITE: usize = 16;

/// The end of a tail that a crash cut off. It was never acknowledged; the next opening removes it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TornTail {
    /// Where in `tail` it begins.
    pub offset: u64,
    /// How many bytes it has.
    pub bytes: u64,
}

/// What a tail holds.
pub(crate) struct Scanned<'b> {
    pub(crate) base: u64,
    pub(crate) root: Hash,
    /// Offset and bytes of each entry.
    pub(crate) entries: Vec<(u64, &'b [u8])>,
    /// Everything up to here is whole.
    pub(crate) good_bytes: u64,
    pub(crate) torn: Option<TornTail>,
}

pub(crate) fn header(base: u64, root: &Hash) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(HEADER_BYTES);
    bytes.extend_from_slice(MAGIC);
    bytes.extend_from_slice(&VERSION.to_be_bytes());
    bytes.extend_from_slice(&base.to_be_bytes());
    bytes.extend_from_slice(root.as_bytes());
    push_check(&mut bytes, 0);
    bytes
}

/// Adds one frame. The caller has checked that entries and their bytes are within the limits of an append.
pub(crate) fn push_frame<'e>(
    out: &mut Vec<u8>,
    first: u64,
    count: usize,
    entries: impl Iterator<Item = &'e [u8]>,
) {
    let begin = out.len();
    let mut payload = Vec::new();
    for entry in entries {
        // INVARIANT: an encoded entry has at most 65,535 bytes.
        payload.extend_from_slice(&(entry.len() as u16).to_be_bytes());
        payload.extend_from_slice(entry);
    }
    out.extend_from_slice(FRAME_MAGIC);
    out.extend_from_slice(&(count as u32).to_be_bytes());
    out.extend_from_slice(&first.to_be_bytes());
    out.extend_from_slice(&(payload.len() as u32).to_be_bytes());
    push_check(out, begin);
    out.extend_from_slice(&payload);
    push_check(out, begin);
}

fn push_check(out: &mut Vec<u8>, begin: usize) {
    let check = crc32fast::hash(out.get(begin..).unwrap_or_default());
    out.extend_from_slice(&check.to_be_bytes());
}

/// Reads a whole tail.
///
/// What a crash leaves behind is told from damage: a frame cut short, or bytes that never reached the disk and read as
/// zeros, are torn; anything else that does not fit is an error.
pub(crate) fn scan(bytes: &[u8]) -> Result<Scanned<'_>, DirError> {
    let (base, root) = read_header(bytes)?;
    let mut scanned =
        Scanned { base, root, entries: Vec::new(), good_bytes: HEADER_BYTES as u64, torn: None };
    let mut offset = HEADER_BYTES;
    while offset < bytes.len() {
        let rest = bytes.get(offset..).unwrap_or_default();
        let next = base + scanned.entries.len() as u64;
        match read_frame(rest, offset, next) {
            Ok(Some((entries, length))) => {
                scanned.entries.extend(entries);
                offset += length;
                scanned.good_bytes = offset as u64;
            }
            Ok(None) => {
                scanned.torn = Some(TornTail { offset: offset as u64, bytes: rest.len() as u64 });
                break;
            }
            Err(_) if ends_in_zeros(rest) => {
                scanned.torn = Some(TornTail { offset: offset as u64, bytes: rest.len() as u64 });
                break;
            }
            Err(error) => return Err(error),
        }
    }
    Ok(scanned)
}

fn read_header(bytes: &[u8]) -> Result<(u64, Hash), DirError> {
    let wrong = |offset: u64, reason: &str| damaged(TAIL, offset, reason);
    let Some(header) = bytes.get(..HEADER_BYTES) else {
        return Err(wrong(bytes.len() as u64, "the file ends inside its header"));
    };
    let mut reader = Reader(header);
    let (magic, version) = (reader.take(8), reader.u32());
    let (base, root) = (reader.u64(), Hash::from_slice(reader.take(32)));
    check(header, HEADER_BYTES - CHECK_BYTES)
        .map_err(|()| wrong(0, "the header does not fit its checksum"))?;
    if magic != MAGIC || version != VERSION {
        return Err(wrong(0, "not a tail of a version that this program knows"));
    }
    let root = root.map_err(|error| wrong(20, &error.to_string()))?;
    Ok((base, root))
}

type Frame<'b> = (Vec<(u64, &'b [u8])>, usize);

/// One frame and its length; `None` when the bytes end inside it.
fn read_frame(rest: &[u8], offset: usize, next: u64) -> Result<Option<Frame<'_>>, DirError> {
    let wrong = |at: usize, reason: &str| damaged(TAIL, (offset + at) as u64, reason);
    let Some(head) = rest.get(..FRAME_HEADER_BYTES) else { return Ok(None) };
    check(head, FRAME_HEADER_BYTES - CHECK_BYTES)
        .map_err(|()| wrong(0, "a frame's header does not fit its checksum"))?;
    let mut reader = Reader(head);
    let (magic, count, first, length) = (reader.take(4), reader.u32(), reader.u64(), reader.u32() as usize);
    if magic != FRAME_MAGIC || length > PAYLOAD_BYTES_MAX {
        return Err(wrong(0, "not a frame"));
    }
    if first != next {
        return Err(wrong(8, &format!("the frame begins at entry {first}, expected {next}")));
    }
    let body = FRAME_HEADER_BYTES + length;
    let Some(frame) = rest.get(..body + CHECK_BYTES) else { return Ok(None) };
    check(frame, body)
        .map_err(|()| wrong(FRAME_HEADER_BYTES, "a frame's entries do not fit their checksum"))?;
    let payload = frame.get(FRAME_HEADER_BYTES..body).unwrap_or_default();
    let entries = split_entries(payload)
        .map_err(|at| wrong(FRAME_HEADER_BYTES + at, "the frame ends inside an entry"))?;
    if entries.len() != count as usize || entries.is_empty() {
        return Err(wrong(4, "the frame does not hold as many entries as it says"));
    }
    let begin = (offset + FRAME_HEADER_BYTES) as u64;
    let entries = entries.into_iter().map(|(at, entry)| (begin + at as u64, entry)).collect();
    Ok(Some((entries, body + CHECK_BYTES)))
}

/// Length-prefixed entries with the offset of each one's length; the offset of the cut one when there is one.
pub(crate) fn split_entries(bytes: &[u8]) -> Result<Vec<(usize, &[u8])>, usize> {
    let mut entries = Vec::new();
    let mut at = 0;
    while at < bytes.len() {
        let rest = bytes.get(at..).unwrap_or_default();
        let (length, rest) = rest.split_first_chunk::<2>().ok_or(at)?;
        let entry = rest.get(..usize::from(u16::from_be_bytes(*length))).ok_or(at)?;
        entries.push((at, entry));
        at += 2 + entry.len();
    }
    Ok(entries)
}

fn check(bytes: &[u8], at: usize) -> Result<(), ()> {
    let (body, check) = bytes.split_at_checked(at).ok_or(())?;
    if crc32fast::hash(body).to_be_bytes() == check { Ok(()) } else { Err(()) }
}

fn ends_in_zeros(bytes: &[u8]) -> bool {
    bytes.iter().rev().take_while(|byte| **byte == 0).count() >= ZEROS_OF_A_LOST_WRITE
}

/// Reads numbers from bytes whose length was checked before.
struct Reader<'b>(&'b [u8]);

impl<'b> Reader<'b> {
    fn take(&mut self, count: usize) -> &'b [u8] {
        let (taken, rest) = self.0.split_at_checked(count).unwrap_or((self.0, &[]));
        self.0 = rest;
        taken
    }

    fn u32(&mut self) -> u32 {
        self.take(4).try_into().map(u32::from_be_bytes).unwrap_or_default()
    }

    fn u64(&mut self) -> u64 {
        self.take(8).try_into().map(u64::from_be_bytes).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tail() -> Vec<u8> {
        let mut bytes = header(3, &Hash::from_bytes([9; 32]));
        push_frame(&mut bytes, 3, 2, [b"one".as_slice(), b"two"].into_iter());
        push_frame(&mut bytes, 5, 1, [b"three".as_slice()].into_iter());
        bytes
    }

    #[test]
    fn a_tail_returns_its_entries() {
        let bytes = tail();
        let scanned = scan(&bytes).unwrap();
        assert_eq!((scanned.base, scanned.root), (3, Hash::from_bytes([9; 32])));
        let entries: Vec<&[u8]> = scanned.entries.iter().map(|(_, entry)| *entry).collect();
        assert_eq!(entries, [b"one".as_slice(), b"two", b"three"]);
        for (offset, entry) in &scanned.entries {
            assert_eq!(&bytes[*offset as usize + 2..][..entry.len()], *entry);
        }
        assert_eq!((scanned.good_bytes, scanned.torn), (bytes.len() as u64, None));
    }

    #[test]
    fn every_cut_is_torn_at_the_last_whole_frame() {
        let bytes = tail();
        let ends = [HEADER_BYTES, HEADER_BYTES + 24 + 10 + 4, bytes.len()];
        for cut in 0..bytes.len() {
            let scanned = match scan(&bytes[..cut]) {
                Ok(scanned) => scanned,
                Err(error) => {
                    assert!(cut < HEADER_BYTES, "{cut}: {error}");
                    continue;
                }
            };
            let good = *ends.iter().rev().find(|end| **end <= cut).unwrap();
            assert_eq!(scanned.good_bytes, good as u64);
            let torn = TornTail { offset: good as u64, bytes: (cut - good) as u64 };
            assert_eq!(scanned.torn, (cut > good).then_some(torn), "{cut}");
        }
    }

    #[test]
    fn every_changed_bit_is_damage_and_not_tearing() {
        let bytes = tail();
        for at in 0..bytes.len() {
            for bit in 0..8 {
                let mut changed = bytes.clone();
                changed[at] ^= 1 << bit;
                assert!(matches!(scan(&changed), Err(DirError::Damaged { .. })), "byte {at} bit {bit}");
            }
            let mut zeroed = bytes.clone();
            zeroed[at] = 0;
            assert!(zeroed == bytes || scan(&zeroed).is_err(), "byte {at}");
        }
    }

    #[test]
    fn bytes_that_never_reached_the_disk_are_torn() {
        let bytes = tail();
        let good = HEADER_BYTES + 24 + 10 + 4;
        for length in [1, 24, 4096] {
            let mut longer = bytes.clone();
            longer.resize(bytes.len() + length, 0);
            let torn = scan(&longer).unwrap().torn;
            assert_eq!(torn, Some(TornTail { offset: bytes.len() as u64, bytes: length as u64 }));
        }
        for kept in good..bytes.len() - ZEROS_OF_A_LOST_WRITE {
            let mut half = bytes.clone();
            half[kept..].fill(0);
            assert_eq!(scan(&half).unwrap().good_bytes, good as u64, "{kept}");
        }
    }
}
