//! The format of the write-ahead tail: entries that are acknowledged and not yet all in signed tiles.
//!
//! The tail is a row of files, `tail/1`, `tail/2` and so on, each of which goes on where the one before it ends. A file
//! is made of sectors of 512 bytes. The first says after which entry the file begins; then comes one group for each
//! write, whole or not at all; then zeros, which were written and made durable before, so that a group changes nothing
//! but bytes.
//!
//! ```text
//! header  "hpc-tail" | version u32 | number of the file u64 | base u64 | root of the first base entries, 32 bytes
//!         | CRC-32 of all before | fill
//! group   "EntG" | entries u32 | index of the first u64 | payload bytes u32 | CRC-32 of all before
//!         | payload: each entry behind its length in two bytes | CRC-32 of the whole group before | fill
//! ```
//! All numbers are big endian. The fill is 0xff up to the end of the sector, so no sector that was written looks like
//! one that was not: that tells a write which did not reach the disk from damage.

use hpc_crypto::hashing::Hash;
use hpc_crypto::merkle::LEAVES_MAX;

use crate::DirError;
use crate::map::damaged;

const MAGIC: &[u8; 8] = b"hpc-tail";
const VERSION: u32 = 2;
const GROUP_MAGIC: &[u8; 4] = b"EntG";
/// What a disk writes whole or not at all.
pub(crate) const SECTOR_BYTES: usize = 512;
const HEADER_BYTES: usize = 64;
/// Where the base is in a header, and the root.
pub(crate) const BASE_OFFSET: u64 = 20;
pub(crate) const ROOT_OFFSET: u64 = 28;
const GROUP_HEADER_BYTES: usize = 24;
const CHECK_BYTES: usize = 4;
const FILL: u8 = 0xff;
/// No sector that was written has so many zeros in a row: entries are text, and numbers have eight bytes at most.
const ZEROS_IN_A_ROW: usize = 32;

/// The end of a tail that a crash cut off. It was never acknowledged; the next opening removes it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TornTail {
    /// Which file of `tail/`.
    pub number: u64,
    /// Where in it it begins.
    pub offset: u64,
    /// How many bytes it has.
    pub bytes: u64,
}

/// The path of a file of the tail.
pub(crate) fn name_of(number: u64) -> String {
    format!("tail/{number}")
}

/// The number of a file of the tail; `None` for any other spelling.
pub(crate) fn number_of(name: &str) -> Option<u64> {
    let number = name.strip_prefix("tail/")?.parse().ok()?;
    (number > 0 && name_of(number) == name).then_some(number)
}

/// The first sector of a file.
pub(crate) fn header(number: u64, base: u64, root: &Hash) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(SECTOR_BYTES);
    bytes.extend_from_slice(MAGIC);
    bytes.extend_from_slice(&VERSION.to_be_bytes());
    bytes.extend_from_slice(&number.to_be_bytes());
    bytes.extend_from_slice(&base.to_be_bytes());
    bytes.extend_from_slice(root.as_bytes());
    push_check(&mut bytes);
    fill(&mut bytes);
    bytes
}

/// A group that is being put together.
pub(crate) struct Group {
    bytes: Vec<u8>,
    first: u64,
    count: u32,
}

impl Group {
    pub(crate) fn new(first: u64) -> Self {
        Self { bytes: vec![0; GROUP_HEADER_BYTES], first, count: 0 }
    }

    /// Adds an entry. It has at most 65,535 bytes, which its encoding sees to.
    pub(crate) fn push(&mut self, entry: &[u8]) {
        self.bytes.extend_from_slice(&(entry.len() as u16).to_be_bytes());
        self.bytes.extend_from_slice(entry);
        self.count += 1;
    }

    /// Where the next entry begins.
    pub(crate) fn mark(&self) -> (usize, u32) {
        (self.bytes.len(), self.count)
    }

    /// Takes back what was added since.
    pub(crate) fn back_to(&mut self, (bytes, count): (usize, u32)) {
        self.bytes.truncate(bytes);
        self.count = count;
    }

    /// The bytes to write; none when there is no entry.
    pub(crate) fn finish(mut self) -> Vec<u8> {
        if self.count == 0 {
            return Vec::new();
        }
        let payload = (self.bytes.len() - GROUP_HEADER_BYTES) as u32;
        let mut head = Vec::with_capacity(GROUP_HEADER_BYTES);
        head.extend_from_slice(GROUP_MAGIC);
        head.extend_from_slice(&self.count.to_be_bytes());
        head.extend_from_slice(&self.first.to_be_bytes());
        head.extend_from_slice(&payload.to_be_bytes());
        push_check(&mut head);
        if let Some(place) = self.bytes.first_chunk_mut::<GROUP_HEADER_BYTES>() {
            place.copy_from_slice(&head);
        }
        push_check(&mut self.bytes);
        fill(&mut self.bytes);
        self.bytes
    }
}

fn push_check(bytes: &mut Vec<u8>) {
    let check = crc32fast::hash(bytes);
    bytes.extend_from_slice(&check.to_be_bytes());
}

fn fill(bytes: &mut Vec<u8>) {
    bytes.resize(bytes.len().next_multiple_of(SECTOR_BYTES), FILL);
}

/// What a file of the tail holds.
pub(crate) struct Scanned<'b> {
    /// Number of entries before it and their root; `None` when nothing has been written to it.
    pub(crate) begin: Option<(u64, Hash)>,
    /// Offset and bytes of each entry.
    pub(crate) entries: Vec<(u64, &'b [u8])>,
    /// Everything up to here is whole.
    pub(crate) good_bytes: u64,
    pub(crate) torn: Option<TornTail>,
}

/// Reads a whole file of the tail.
///
/// What a crash leaves behind is told from damage: of a last write that did not reach the disk at least one sector is
/// missing or all zeros. Anything else that does not fit is an error.
pub(crate) fn scan(bytes: &[u8], number: u64) -> Result<Scanned<'_>, DirError> {
    let file = File { bytes, name: name_of(number), number };
    let mut scanned = Scanned { begin: None, entries: Vec::new(), good_bytes: 0, torn: None };
    if file.is_zero(0) {
        // The header and the first group are one write.
        scanned.torn = file.lost(0, 2 * SECTOR_BYTES)?;
        return Ok(scanned);
    }
    let (base, root) = file.header()?;
    scanned.begin = Some((base, root));
    scanned.good_bytes = SECTOR_BYTES as u64;
    loop {
        let offset = scanned.good_bytes as usize;
        if file.is_zero(offset) {
            scanned.torn = file.lost(offset, offset + SECTOR_BYTES)?;
            return Ok(scanned);
        }
        if file.sector(offset).len() < SECTOR_BYTES {
            scanned.torn = Some(file.torn(offset));
            return Ok(scanned);
        }
        let head = file.group(offset, base + scanned.entries.len() as u64)?;
        match file.entries(offset, &head) {
            Ok(entries) => {
                scanned.entries.extend(entries);
                scanned.good_bytes += head.sectors_bytes as u64;
            }
            Err(_) if file.is_missing_some(offset, offset + head.sectors_bytes) => {
                let end = offset + head.sectors_bytes;
                if let Some(at) = file.first_written(end) {
                    return Err(file.wrong(at, "there are bytes behind a write that did not reach the disk"));
                }
                scanned.torn = Some(file.torn(offset));
                return Ok(scanned);
            }
            Err(error) => return Err(error),
        }
    }
}

/// A file of the tail. Sectors that it does not have read as zeros.
struct File<'b> {
    bytes: &'b [u8],
    name: String,
    number: u64,
}

/// A group's header.
struct Head {
    count: usize,
    payload_bytes: usize,
    sectors_bytes: usize,
}

impl<'b> File<'b> {
    fn wrong(&self, at: usize, reason: &str) -> DirError {
        damaged(&self.name, at as u64, reason)
    }

    fn sector(&self, at: usize) -> &'b [u8] {
        let rest = self.bytes.get(at..).unwrap_or_default();
        rest.get(..SECTOR_BYTES).unwrap_or(rest)
    }

    fn is_zero(&self, at: usize) -> bool {
        self.sector(at).iter().all(|byte| *byte == 0)
    }

    /// Whether a sector between the two has not been written, or not whole.
    fn is_missing_some(&self, from: usize, to: usize) -> bool {
        to > self.bytes.len() || (from..to).step_by(SECTOR_BYTES).any(|at| self.is_zero(at))
    }

    /// The first byte at or behind `at` that is not zero.
    fn first_written(&self, at: usize) -> Option<usize> {
        let rest = self.bytes.get(at..).unwrap_or_default();
        rest.iter().position(|byte| *byte != 0).map(|skip| at + skip)
    }

    fn torn(&self, offset: usize) -> TornTail {
        let rest = self.bytes.get(offset..).unwrap_or_default();
        let bytes = rest.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1);
        TornTail { number: self.number, offset: offset as u64, bytes: bytes.max(1) as u64 }
    }

    /// The end of the file when the sector at `offset` is zero: all zeros, or a write whose first sector is missing.
    /// Another group at or behind `other` would mean that the missing one had been durable.
    fn lost(&self, offset: usize, other: usize) -> Result<Option<TornTail>, DirError> {
        let Some(first) = self.first_written(offset) else {
            let whole = self.bytes.len().is_multiple_of(SECTOR_BYTES);
            return Ok((!whole).then(|| self.torn(offset.min(self.bytes.len()))));
        };
        for at in (offset..self.bytes.len()).step_by(SECTOR_BYTES) {
            let sector = self.sector(at);
            let at_other = at >= other && head_of(sector).is_some();
            if at_other || (!self.is_zero(at) && !is_written(sector)) {
                return Err(self.wrong(first, "there are bytes behind the end of the tail"));
            }
        }
        Ok(Some(self.torn(offset)))
    }

    fn header(&self) -> Result<(u64, Hash), DirError> {
        let sector = self.sector(0);
        let header = sector.get(..HEADER_BYTES).unwrap_or_default();
        check(header).ok_or_else(|| self.wrong(0, "the header does not fit its checksum"))?;
        let mut reader = Reader(header);
        let (magic, version, number) = (reader.take(8), reader.u32(), reader.u64());
        let (base, root) = (reader.u64(), Hash::from_slice(reader.take(32)));
        if magic != MAGIC || version != VERSION {
            return Err(self.wrong(0, "not a tail of a version that this program knows"));
        }
        if number != self.number {
            return Err(self.wrong(12, &format!("the file is number {number} of the tail")));
        }
        if base > LEAVES_MAX {
            return Err(
                self.wrong(BASE_OFFSET as usize, "the file begins after more entries than a log can have")
            );
        }
        self.filled(HEADER_BYTES, SECTOR_BYTES)?;
        Ok((base, root.map_err(|error| self.wrong(ROOT_OFFSET as usize, &error.to_string()))?))
    }

    fn group(&self, offset: usize, next: u64) -> Result<Head, DirError> {
        let Some((head, first)) = head_of(self.sector(offset)) else {
            return Err(self.wrong(offset, "a group's header does not fit its checksum"));
        };
        if first != next {
            let reason = format!("the group begins at entry {first}, expected {next}");
            return Err(self.wrong(offset + 8, &reason));
        }
        Ok(head)
    }

    /// The entries of the group at `offset`, when all of it is there and fits.
    fn entries(&self, offset: usize, head: &Head) -> Result<Vec<(u64, &'b [u8])>, DirError> {
        let begin = offset + GROUP_HEADER_BYTES;
        let end = begin + head.payload_bytes;
        let whole = self.bytes.get(offset..end + CHECK_BYTES).and_then(check);
        if whole.is_none() {
            return Err(self.wrong(begin, "a group's entries do not fit their checksum"));
        }
        self.filled(end + CHECK_BYTES, offset + head.sectors_bytes)?;
        let payload = self.bytes.get(begin..end).unwrap_or_default();
        let entries =
            split_entries(payload).map_err(|at| self.wrong(begin + at, "the group ends inside an entry"))?;
        if entries.len() != head.count || entries.is_empty() {
            return Err(self.wrong(offset + 4, "the group does not hold as many entries as it says"));
        }
        Ok(entries.into_iter().map(|(at, entry)| ((begin + at) as u64, entry)).collect())
    }

    fn filled(&self, from: usize, to: usize) -> Result<(), DirError> {
        let filled = self.bytes.get(from..to);
        match filled.map(|fill| fill.iter().position(|byte| *byte != FILL)) {
            Some(None) => Ok(()),
            Some(Some(at)) => Err(self.wrong(from + at, "a sector is not filled up as it must be")),
            None => Err(self.wrong(self.bytes.len(), "the file ends inside a sector")),
        }
    }
}

/// The header of a group and the index of its first entry, when there is one at the start of the sector.
fn head_of(sector: &[u8]) -> Option<(Head, u64)> {
    let head = sector.get(..GROUP_HEADER_BYTES)?;
    check(head)?;
    let mut reader = Reader(head);
    let (magic, count, first) = (reader.take(4), reader.u32() as usize, reader.u64());
    let payload_bytes = reader.u32() as usize;
    let sectors_bytes = (GROUP_HEADER_BYTES + payload_bytes + CHECK_BYTES).next_multiple_of(SECTOR_BYTES);
    (magic == GROUP_MAGIC).then_some((Head { count, payload_bytes, sectors_bytes }, first))
}

/// Whether a sector that is not all zeros can have been written by this program.
fn is_written(sector: &[u8]) -> bool {
    let mut runs = sector.chunk_by(|a, b| a == b);
    sector.len() < SECTOR_BYTES || runs.all(|run| run.first() != Some(&0) || run.len() < ZEROS_IN_A_ROW)
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

/// Something when the last four bytes are the checksum of those before them.
fn check(bytes: &[u8]) -> Option<()> {
    let (body, check) = bytes.split_at_checked(bytes.len().checked_sub(CHECK_BYTES)?)?;
    (crc32fast::hash(body).to_be_bytes() == check).then_some(())
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

    const NUMBER: u64 = 7;

    fn group(first: u64, entries: &[&[u8]]) -> Vec<u8> {
        let mut group = Group::new(first);
        entries.iter().for_each(|entry| group.push(entry));
        group.finish()
    }

    /// A header, a group of one sector, one of four sectors.
    fn tail() -> Vec<u8> {
        let long = [b'x'; 1700];
        let mut bytes = header(NUMBER, 3, &Hash::from_bytes([9; 32]));
        bytes.extend(group(3, &[b"one", b"two"]));
        bytes.extend(group(5, &[&long]));
        bytes
    }

    const ENDS: [usize; 3] = [512, 1024, 1024 + 2048];

    #[test]
    fn a_tail_begins_after_no_more_entries_than_a_log_can_have() {
        let root = Hash::from_bytes([9; 32]);
        let begin = |base| scan(&header(NUMBER, base, &root), NUMBER).map(|scanned| scanned.begin);
        assert_eq!(begin(LEAVES_MAX), Ok(Some((LEAVES_MAX, root))));
        for base in [LEAVES_MAX + 1, u64::MAX] {
            assert!(matches!(begin(base), Err(DirError::Damaged { .. })), "{base}");
        }
    }

    #[test]
    fn a_tail_returns_its_entries() {
        for zeros in [0, 512, 4096] {
            let mut bytes = tail();
            bytes.resize(bytes.len() + zeros, 0);
            let scanned = scan(&bytes, NUMBER).unwrap();
            assert_eq!(scanned.begin, Some((3, Hash::from_bytes([9; 32]))));
            let entries: Vec<&[u8]> = scanned.entries.iter().map(|(_, entry)| *entry).collect();
            assert_eq!(entries, [b"one".as_slice(), b"two", &[b'x'; 1700]]);
            for (offset, entry) in &scanned.entries {
                assert_eq!(&bytes[*offset as usize + 2..][..entry.len()], *entry);
            }
            assert_eq!((scanned.good_bytes as usize, scanned.torn), (ENDS[2], None));
        }
    }

    #[test]
    fn a_file_that_was_only_prepared_is_empty() {
        for length in [0, 512, 8192] {
            let bytes = vec![0; length];
            let scanned = scan(&bytes, NUMBER).unwrap();
            assert_eq!((scanned.begin, scanned.good_bytes, scanned.torn), (None, 0, None));
        }
    }

    #[test]
    fn every_cut_between_sectors_is_torn_at_the_last_whole_group() {
        let bytes = tail();
        for cut in (0..bytes.len()).step_by(SECTOR_BYTES) {
            for zeros in [0, bytes.len() - cut, 8192] {
                let mut half = bytes[..cut].to_vec();
                half.resize(cut + zeros, 0);
                let scanned = scan(&half, NUMBER).unwrap();
                let good = ENDS.into_iter().rev().find(|end| *end <= cut).unwrap_or(0);
                assert_eq!(scanned.good_bytes, good as u64);
                let torn = TornTail { number: NUMBER, offset: good as u64, bytes: (cut - good) as u64 };
                assert_eq!(scanned.torn, (cut > good).then_some(torn), "{cut}");
            }
        }
    }

    #[test]
    fn a_cut_inside_a_sector_is_torn_too() {
        let bytes = tail();
        for cut in SECTOR_BYTES..bytes.len() {
            let scanned = scan(&bytes[..cut], NUMBER).unwrap();
            let good = ENDS.into_iter().rev().find(|end| *end <= cut).unwrap();
            assert_eq!((scanned.good_bytes, scanned.torn.is_some()), (good as u64, cut > good), "{cut}");
        }
    }

    #[test]
    fn any_sectors_of_the_last_write_may_be_missing() {
        let bytes = tail();
        for missing in 1..16_u32 {
            let mut half = bytes.clone();
            half.resize(8192, 0);
            for sector in (0..4).filter(|sector| missing & (1 << sector) != 0) {
                half[ENDS[1] + sector * SECTOR_BYTES..][..SECTOR_BYTES].fill(0);
            }
            let scanned = scan(&half, NUMBER).unwrap();
            assert_eq!((scanned.good_bytes as usize, scanned.torn.is_some()), (ENDS[1], missing != 15));
        }
        // Header and first group are one write too.
        let begun = &bytes[..ENDS[1]];
        for missing in 0..2 {
            let mut half = begun.to_vec();
            half[missing * SECTOR_BYTES..][..SECTOR_BYTES].fill(0);
            let scanned = scan(&half, NUMBER).unwrap();
            assert_eq!((scanned.entries.len(), scanned.torn.is_some()), (0, missing == 0), "{missing}");
        }
    }

    #[test]
    fn a_missing_write_before_a_durable_one_is_damage() {
        let mut bytes = tail();
        bytes.resize(8192, 0);
        for sectors in [0..1, 1..2, 0..2] {
            let mut wiped = bytes.clone();
            wiped[sectors.start * SECTOR_BYTES..sectors.end * SECTOR_BYTES].fill(0);
            let verdict = scan(&wiped, NUMBER).map(|scanned| scanned.good_bytes);
            assert!(matches!(verdict, Err(DirError::Damaged { .. })), "{sectors:?}: {verdict:?}");
        }
    }

    #[test]
    fn every_changed_bit_is_damage_and_not_tearing() {
        let mut bytes = tail();
        bytes.resize(bytes.len() + 2 * SECTOR_BYTES, 0);
        for at in 0..bytes.len() {
            for bit in [0, 3, 7] {
                let mut changed = bytes.clone();
                changed[at] ^= 1 << bit;
                assert!(
                    matches!(scan(&changed, NUMBER), Err(DirError::Damaged { .. })),
                    "byte {at} bit {bit}"
                );
            }
            let mut zeroed = bytes.clone();
            zeroed[at] = 0;
            assert!(zeroed == bytes || scan(&zeroed, NUMBER).is_err(), "byte {at}");
        }
    }

    #[test]
    fn a_file_belongs_in_its_place() {
        assert!(scan(&tail(), NUMBER + 1).is_err());
        assert_eq!((number_of("tail/1"), number_of("tail/20")), (Some(1), Some(20)));
        for name in ["tail/0", "tail/01", "tail/+1", "tail/", "tail/x", "tile/1", "tail/1.tmp"] {
            assert_eq!(number_of(name), None, "{name}");
        }
    }

    #[test]
    fn a_group_takes_back_what_was_added() {
        let mut changed = Group::new(3);
        changed.push(b"one");
        let mark = changed.mark();
        changed.push(b"other");
        changed.back_to(mark);
        changed.push(b"two");
        assert_eq!(changed.finish(), group(3, &[b"one", b"two"]));
        assert_eq!(Group::new(3).finish(), b"");
    }
}
