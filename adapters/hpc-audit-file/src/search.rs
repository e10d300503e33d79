use std::ops::Range;

use hpc_audit::{AuditError, SEARCH_SCAN_MAX, Search, SearchPage};

use crate::index::Next;
use crate::shared::{Shared, WIDTH};

/// Looks for hits in a range of entries: reads the blocks that the index does not rule out.
pub(crate) fn search(shared: &Shared, search: &Search, range: Range<u64>) -> Result<SearchPage, AuditError> {
    let mut page = SearchPage { hits: Vec::new(), covered: range.start..range.start, complete: false };
    let mut sieve = shared.index.sieve(search);
    let mut read = 0;
    while page.covered.end < range.end && page.hits.len() < search.limit && read < SEARCH_SCAN_MAX {
        let (next, stop) = match sieve.next(page.covered.end, range.end) {
            Next::Look(next) => (next, next == range.end),
            Next::Stop(next) => (next, true),
        };
        page.covered.end = next;
        if stop {
            break;
        }
        let left = (range.end - next).min(WIDTH - next % WIDTH).min(SEARCH_SCAN_MAX - read);
        let block = shared.block(next, left as usize)?;
        if block.is_empty() {
            break;
        }
        read += block.len() as u64;
        for recorded in block {
            if page.hits.len() == search.limit {
                break;
            }
            page.covered.end = recorded.index + 1;
            if search.matches(&recorded.entry) {
                page.hits.push(recorded);
            }
        }
    }
    page.complete = page.covered.end == range.end;
    Ok(page)
}
