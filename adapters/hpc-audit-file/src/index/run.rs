//! A sorted run: which ids the entries of a part of the log have.
//!
//! ```text
//! header  "hpc-ids\0" | version u32 | index of the first entry u64 | entries u64 | CRC-32 of all before
//! pages   4,096 bytes each: up to 204 of [hash of the id, 16 bytes | entry u32, counted from the first], sorted;
//!         zeros; CRC-32 over the page's number (u64) and all before
//! fences  the first hash of each page | CRC-32 of all before
//! filter  over the first 8 bytes of each hash
//! ```
//! All numbers are big endian. The length follows from the number of entries.

use std::fs::File;
use std::io::{self, Write};
use std::path::Path;

use crate::DirError;
use crate::map::damaged;

use super::file::{self, IndexFile, Reader, VERSION, checked, push_check};
use super::filter::{Filter, UNIT_BYTES};
use super::marks::IdHash;

const MAGIC: &[u8; 8] = b"hpc-ids\0";
const HEADER_BYTES: u64 = 32;
const PAGE_BYTES: usize = 4096;
const RECORD_BYTES: usize = 20;
const RECORDS_PER_PAGE: usize = (PAGE_BYTES - 4) / RECORD_BYTES;
/// Pages that are read at once when a whole run is read.
const PAGES_AHEAD: u64 = 32;

/// The hash of an id and the index of its entry.
pub(super) type Record = (IdHash, u64);

/// A run that is open: its pages are on disk, its fences and its filter in memory.
#[derive(Debug)]
pub(super) struct Run {
    pub(super) name: IndexFile,
    shown: String,
    file: File,
    first: u64,
    count: u64,
    fences: Vec<IdHash>,
    filter: Filter,
}

const fn pages_of(count: u64) -> u64 {
    count.div_ceil(RECORDS_PER_PAGE as u64)
}

const fn bytes_of(count: u64) -> u64 {
    let pages = pages_of(count);
    HEADER_BYTES + pages * (PAGE_BYTES as u64 + 16) + 4 + Filter::units_for(count) * UNIT_BYTES as u64
}

impl Run {
    /// Opens a run and checks all of it but its pages, which are checked when they are read.
    pub(super) fn open(root: &Path, name: IndexFile) -> Result<Self, DirError> {
        let shown = name.to_string();
        let (first, count) = name.entries();
        let (whole, _) = file::open(root, &shown)?;
        let header = file::read_at(&whole, &shown, 0, HEADER_BYTES as usize)?;
        let body =
            checked(&header).ok_or_else(|| damaged(&shown, 0, "the header does not fit its checksum"))?;
        let mut reader = Reader(body);
        if reader.bytes() != *MAGIC || reader.u32() != VERSION {
            return Err(damaged(&shown, 0, "not a run of ids of a version that this program knows"));
        }
        if (reader.u64(), reader.u64()) != (first, count) {
            return Err(damaged(&shown, 12, format!("does not cover {count} entries from entry {first} on")));
        }
        let file = file::open_sized(root, &shown, bytes_of(count))?;
        let pages = pages_of(count);
        let fences_at = HEADER_BYTES + pages * PAGE_BYTES as u64;
        let fences = file::read_at(&file, &shown, fences_at, pages as usize * 16 + 4)?;
        let fences = checked(&fences)
            .ok_or_else(|| damaged(&shown, fences_at, "the fences do not fit their checksum"))?
            .as_chunks()
            .0
            .to_vec();
        if !fences.is_sorted() {
            return Err(damaged(&shown, fences_at, "the fences are not sorted"));
        }
        let filter_at = fences_at + pages * 16 + 4;
        let filter = file::read_at(&file, &shown, filter_at, Filter::units_for(count) as usize * UNIT_BYTES)?;
        let filter = Filter::from_bytes(&filter).map_err(|unit| {
            damaged(&shown, filter_at + unit * UNIT_BYTES as u64, "the filter does not fit its checksum")
        })?;
        Ok(Self { name, shown, file, first, count, fences, filter })
    }

    /// The indices that are noted for an id; nearly always none, without looking at the disk, for one that is not there.
    pub(super) fn find(&self, id: &IdHash) -> Result<Vec<u64>, DirError> {
        let mut found = Vec::new();
        if !self.filter.may_hold(key_of(id)) {
            return Ok(found);
        }
        // Equal hashes may lie on both sides of a border.
        let begin = self.fences.partition_point(|fence| fence < id).saturating_sub(1);
        for page in begin as u64..pages_of(self.count) {
            for (hash, index) in self.page(page)? {
                if hash == *id {
                    found.push(index);
                } else if hash > *id {
                    return Ok(found);
                }
            }
        }
        Ok(found)
    }

    /// Every record in order; ends after the first error.
    pub(super) fn records(&self) -> impl Iterator<Item = Result<Record, DirError>> {
        let pages = pages_of(self.count);
        let mut last: Option<Record> = None;
        let groups = (0..pages.div_ceil(PAGES_AHEAD)).map(|group| group * PAGES_AHEAD);
        groups.flat_map(move |begin| self.pages(begin, PAGES_AHEAD.min(pages - begin))).map(move |record| {
            let record = record?;
            if last.is_some_and(|last| last >= record) {
                return Err(damaged(&self.shown, None, "the ids are not sorted"));
            }
            last = Some(record);
            Ok(record)
        })
    }

    /// Checks everything that can be checked without the entries.
    pub(super) fn check(&self, mut visit: impl FnMut(Record)) -> Result<(), DirError> {
        let mut filter = Filter::with_room_for(self.count);
        for (place, record) in self.records().enumerate() {
            let record = record?;
            if place % RECORDS_PER_PAGE == 0 && self.fences.get(place / RECORDS_PER_PAGE) != Some(&record.0) {
                return Err(damaged(&self.shown, None, "a fence is not the first id of its page"));
            }
            filter.insert(key_of(&record.0));
            visit(record);
        }
        filter.seal();
        if filter == self.filter {
            Ok(())
        } else {
            Err(damaged(&self.shown, None, "the filter is not that of the ids"))
        }
    }

    fn page(&self, page: u64) -> Result<Vec<Record>, DirError> {
        self.pages(page, 1).into_iter().collect()
    }

    fn pages(&self, begin: u64, count: u64) -> Vec<Result<Record, DirError>> {
        let offset = HEADER_BYTES + begin * PAGE_BYTES as u64;
        let bytes = match file::read_at(&self.file, &self.shown, offset, count as usize * PAGE_BYTES) {
            Ok(bytes) => bytes,
            Err(error) => return vec![Err(error)],
        };
        let mut records = Vec::with_capacity(count as usize * RECORDS_PER_PAGE);
        for (page, number) in bytes.chunks(PAGE_BYTES).zip(begin..) {
            let at = HEADER_BYTES + number * PAGE_BYTES as u64;
            let Some(body) = page_body(page, number) else {
                records.push(Err(damaged(&self.shown, at, "a page does not fit its checksum")));
                break;
            };
            let used = (self.count - number * RECORDS_PER_PAGE as u64).min(RECORDS_PER_PAGE as u64) as usize;
            let (used, padding) = body.split_at_checked(used * RECORD_BYTES).unwrap_or((body, &[]));
            if padding.iter().any(|byte| *byte != 0) {
                records.push(Err(damaged(&self.shown, at, "a page has more ids than it may")));
                break;
            }
            for record in used.as_chunks::<RECORD_BYTES>().0 {
                let mut reader = Reader(record);
                let (hash, place) = (reader.bytes(), u64::from(reader.u32()));
                if place >= self.count {
                    records.push(Err(damaged(
                        &self.shown,
                        at,
                        "an id of an entry that the run does not cover",
                    )));
                    return records;
                }
                records.push(Ok((hash, self.first + place)));
            }
        }
        records
    }

    /// Whether [`Run::find`] would read a page.
    #[cfg(test)]
    pub(super) fn would_read(&self, id: &IdHash) -> bool {
        self.filter.may_hold(key_of(id))
    }

    /// Bytes of memory, as good as all.
    #[cfg(test)]
    pub(super) fn memory_bytes(&self) -> usize {
        self.fences.len() * 16 + self.filter.as_bytes().len()
    }
}

fn page_body(page: &[u8], number: u64) -> Option<&[u8]> {
    let (body, check) = page.split_last_chunk::<4>()?;
    (page_check(body, number) == *check).then_some(body)
}

fn page_check(body: &[u8], number: u64) -> [u8; 4] {
    let mut check = crc32fast::Hasher::new();
    check.update(&number.to_be_bytes());
    check.update(body);
    check.finalize().to_be_bytes()
}

fn key_of(id: &IdHash) -> u64 {
    id.first_chunk().map_or(0, |bytes| u64::from_be_bytes(*bytes))
}

/// Writes the run of this name from its records, which must be as many as it covers, and sorted.
pub(super) fn write(
    out: &mut dyn Write,
    name: IndexFile,
    records: impl Iterator<Item = io::Result<Record>>,
) -> io::Result<()> {
    let (first, count) = name.entries();
    let mut header = MAGIC.to_vec();
    header.extend_from_slice(&VERSION.to_be_bytes());
    header.extend_from_slice(&first.to_be_bytes());
    header.extend_from_slice(&count.to_be_bytes());
    push_check(&mut header, 0);
    out.write_all(&header)?;
    let mut filter = Filter::with_room_for(count);
    let mut fences = Vec::with_capacity(pages_of(count) as usize * 16 + 4);
    let (mut page, mut pages) = (Vec::with_capacity(PAGE_BYTES), 0);
    let mut end_page = |page: &mut Vec<u8>| {
        page.resize(PAGE_BYTES - 4, 0);
        let check = page_check(page, pages);
        page.extend_from_slice(&check);
        pages += 1;
        out.write_all(page)?;
        page.clear();
        io::Result::Ok(())
    };
    let mut written = 0;
    for record in records {
        let (hash, index) = record?;
        // INVARIANT: a run covers at most 2^30 entries.
        let place = u32::try_from(index.wrapping_sub(first)).map_err(io::Error::other)?;
        if page.is_empty() {
            fences.extend_from_slice(&hash);
        }
        page.extend_from_slice(&hash);
        page.extend_from_slice(&place.to_be_bytes());
        filter.insert(key_of(&hash));
        written += 1;
        if page.len() == RECORDS_PER_PAGE * RECORD_BYTES {
            end_page(&mut page)?;
        }
    }
    if !page.is_empty() {
        end_page(&mut page)?;
    }
    if written != count {
        return Err(io::Error::other(format!("{written} ids for a run of {count}")));
    }
    push_check(&mut fences, 0);
    out.write_all(&fences)?;
    filter.seal();
    out.write_all(filter.as_bytes())
}
