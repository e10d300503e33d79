//! What the blocks of one chunk can be found by, so that a search passes over those without a hit.
//!
//! ```text
//! header  "hpc-term" | version u32 | index of the first entry u64 | blocks u32 | CRC-32 of all before
//! rows    one for the chunk, then one for each block of 256 entries, 44 bytes each:
//!         first moment i128 | last moment i128, in nanoseconds since 1970 | outcomes u32, one bit for each
//!         | place of its filter u32 | length of its filter u32, both in units of 64 bytes
//!         CRC-32 of all rows
//! filters one after the other, over principal, action, each `x.*` that fits the action, and the ids of the subjects
//! ```
//! All numbers are big endian.

use std::fs::File;
use std::path::Path;

use crate::DirError;
use crate::map::damaged;
use crate::shared::WIDTH;

use super::CHUNK_ENTRIES;
use super::chunk::{Block, Chunk};
use super::file::{self, IndexFile, Reader, VERSION, checked, push_check};
use super::filter::{UNIT_BYTES, Unit, is_whole, may_hold, unit_of};
use super::marks::{Span, Wanted};

const MAGIC: &[u8; 8] = b"hpc-term";
const HEADER_BYTES: usize = 28;
const ROW_BYTES: usize = 44;
const BLOCKS: u64 = CHUNK_ENTRIES / WIDTH;
const ROWS_BYTES: usize = (BLOCKS as usize + 1) * ROW_BYTES + 4;

/// The bytes of the file for a full chunk.
pub(super) fn encode(chunk: &Chunk) -> Vec<u8> {
    let mut bytes = MAGIC.to_vec();
    bytes.extend_from_slice(&VERSION.to_be_bytes());
    bytes.extend_from_slice(&(chunk.number * CHUNK_ENTRIES).to_be_bytes());
    bytes.extend_from_slice(&(chunk.blocks.len() as u32).to_be_bytes());
    push_check(&mut bytes, 0);
    let whole = chunk.whole();
    let all = || std::iter::once(&whole).chain(chunk.blocks.iter().map(|block| &**block));
    let mut place = 0;
    for Block { span, filter, .. } in all() {
        bytes.extend_from_slice(&span.from.to_be_bytes());
        bytes.extend_from_slice(&span.to.to_be_bytes());
        bytes.extend_from_slice(&span.outcomes.to_be_bytes());
        // INVARIANT: an entry has at most 50 terms, so the filters of a chunk have less than 2^20 units.
        let units = filter.units() as u32;
        bytes.extend_from_slice(&u32::to_be_bytes(place));
        bytes.extend_from_slice(&units.to_be_bytes());
        place += units;
    }
    push_check(&mut bytes, HEADER_BYTES);
    all().for_each(|block| bytes.extend_from_slice(block.filter.as_bytes()));
    bytes
}

struct Row {
    span: Span,
    place: u32,
    units: u32,
}

/// A file that is open: header and rows are read and checked, each unit of a filter is when it is needed.
pub(super) struct Terms {
    shown: String,
    file: File,
    rows: Vec<Row>,
}

impl Terms {
    pub(super) fn open(root: &Path, number: u64) -> Result<Self, DirError> {
        let shown = IndexFile::Terms { number }.to_string();
        let (file, bytes) = file::open(root, &shown)?;
        let head = file::read_at(&file, &shown, 0, HEADER_BYTES + ROWS_BYTES)?;
        let (header, rows) = head.split_at_checked(HEADER_BYTES).unwrap_or((&head, &[]));
        let header =
            checked(header).ok_or_else(|| damaged(&shown, 0, "the header does not fit its checksum"))?;
        let mut reader = Reader(header);
        if reader.bytes() != *MAGIC || reader.u32() != VERSION {
            return Err(damaged(&shown, 0, "not search terms of a version that this program knows"));
        }
        let (first, blocks) = (reader.u64(), u64::from(reader.u32()));
        if first != number * CHUNK_ENTRIES || blocks != BLOCKS {
            let reason = format!("does not cover {BLOCKS} blocks from entry {} on", number * CHUNK_ENTRIES);
            return Err(damaged(&shown, 12, reason));
        }
        let at = HEADER_BYTES as u64;
        let rows = checked(rows).ok_or_else(|| damaged(&shown, at, "the rows do not fit their checksum"))?;
        let (mut read, mut end) = (Vec::with_capacity(BLOCKS as usize + 1), 0_u32);
        for row in rows.as_chunks::<ROW_BYTES>().0 {
            let mut reader = Reader(row);
            let span = Span { from: reader.i128(), to: reader.i128(), outcomes: reader.u32() };
            let (place, units) = (reader.u32(), reader.u32());
            if place != end || units == 0 {
                return Err(damaged(&shown, at, "the filters are not one after the other"));
            }
            end = end.checked_add(units).ok_or_else(|| damaged(&shown, at, "the filters are too long"))?;
            read.push(Row { span, place, units });
        }
        let wanted = HEADER_BYTES as u64 + ROWS_BYTES as u64 + u64::from(end) * UNIT_BYTES as u64;
        if bytes != wanted {
            let reason = format!("the file has {bytes} bytes instead of {wanted}");
            return Err(damaged(&shown, bytes.min(wanted), reason));
        }
        Ok(Self { shown, file, rows: read })
    }

    /// Whether the chunk can have a hit at all.
    pub(super) fn chunk_may_hold(&self, wanted: &Wanted) -> Result<bool, DirError> {
        self.may_hold(0, wanted)
    }

    /// Whether a block of the chunk, counted from 0, can have a hit.
    pub(super) fn block_may_hold(&self, block: u64, wanted: &Wanted) -> Result<bool, DirError> {
        self.may_hold(block as usize + 1, wanted)
    }

    fn may_hold(&self, row: usize, wanted: &Wanted) -> Result<bool, DirError> {
        let Some(row) = self.rows.get(row) else { return Ok(true) };
        if !wanted.meets(&row.span) {
            return Ok(false);
        }
        for term in &wanted.terms {
            let number = unit_of(*term, u64::from(row.units));
            let offset =
                (HEADER_BYTES + ROWS_BYTES) as u64 + (u64::from(row.place) + number) * UNIT_BYTES as u64;
            let bytes = file::read_at(&self.file, &self.shown, offset, UNIT_BYTES)?;
            let unit: &Unit = match bytes.first_chunk() {
                Some(unit) if is_whole(number, unit) => unit,
                _ => return Err(damaged(&self.shown, offset, "a filter does not fit its checksum")),
            };
            if !may_hold(unit, *term) {
                return Ok(false);
            }
        }
        Ok(true)
    }
}
