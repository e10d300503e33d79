//! Passes over the blocks in which a search can have no hit.

use std::path::PathBuf;
use std::sync::Arc;

use super::CHUNK_ENTRIES;
use super::chunk::{Block, Chunk};
use super::marks::Wanted;
use super::terms::Terms;
use crate::shared::WIDTH;

/// Files of the index that one search opens: those of 2^28 entries. Beyond, the search goes on in the next call.
pub(crate) const SEARCH_FILES_MAX: u64 = 4096;

/// The index as it was when the search began.
pub(crate) struct Sieve {
    pub(super) root: PathBuf,
    pub(super) wanted: Wanted,
    /// Chunks whose terms are on disk.
    pub(super) on_disk: u64,
    /// The full chunks behind them.
    pub(super) full: Vec<Arc<Chunk>>,
    /// The full blocks behind those.
    pub(super) blocks: Vec<Arc<Block>>,
    pub(super) files: u64,
    /// The chunk looked at last, and what is known of it: nothing when its file cannot be read.
    pub(super) view: Option<(u64, Option<Terms>)>,
}

/// Where a search goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Next {
    /// At this entry: its block may have hits, and nothing between here and there does.
    Look(u64),
    /// There are no hits before this entry, and no more is known without doing more than one call may.
    Stop(u64),
}

impl Sieve {
    /// The first entry from `from` on, and before `end`, in whose block there may be hits; `end` when there is none.
    pub(crate) fn next(&mut self, from: u64, end: u64) -> Next {
        let mut at = from;
        while at < end {
            let chunk = at / CHUNK_ENTRIES;
            let behind = (chunk + 1) * CHUNK_ENTRIES;
            let block = at % CHUNK_ENTRIES / WIDTH;
            let passes = if chunk < self.on_disk {
                match self.on_disk(chunk, block) {
                    None => return Next::Stop(at),
                    Some(verdict) => verdict,
                }
            } else {
                self.in_memory(chunk, block)
            };
            match passes {
                Verdict::Maybe => return Next::Look(at),
                Verdict::NotInBlock => at = at - at % WIDTH + WIDTH,
                Verdict::NotInChunk => at = behind,
            }
        }
        Next::Look(end)
    }

    fn in_memory(&self, chunk: u64, block: u64) -> Verdict {
        let blocks = match self.full.get((chunk - self.on_disk) as usize) {
            Some(chunk) => &chunk.blocks,
            None if chunk - self.on_disk == self.full.len() as u64 => &self.blocks,
            None => return Verdict::Maybe,
        };
        // A block that is not full has no filter yet.
        let Some(block) = blocks.get(block as usize) else { return Verdict::Maybe };
        let holds = |term: &u64| block.filter.may_hold(*term);
        if self.wanted.meets(&block.span) && self.wanted.terms.iter().all(holds) {
            Verdict::Maybe
        } else {
            Verdict::NotInBlock
        }
    }

    /// Nothing when this search has opened as many files as it may.
    fn on_disk(&mut self, chunk: u64, block: u64) -> Option<Verdict> {
        let known = self.view.as_ref().is_some_and(|(number, _)| *number == chunk);
        if !known {
            if self.files == SEARCH_FILES_MAX {
                return None;
            }
            self.files += 1;
            // What cannot be read rules nothing out; a complete check names it.
            let terms = Terms::open(&self.root, chunk).ok();
            let may = terms.as_ref().is_none_or(|terms| terms.chunk_may_hold(&self.wanted).unwrap_or(true));
            if !may {
                return Some(Verdict::NotInChunk);
            }
            self.view = Some((chunk, terms));
        }
        let terms = self.view.as_ref().and_then(|(_, terms)| terms.as_ref());
        let may = terms.is_none_or(|terms| terms.block_may_hold(block, &self.wanted).unwrap_or(true));
        Some(if may { Verdict::Maybe } else { Verdict::NotInBlock })
    }
}

enum Verdict {
    Maybe,
    NotInBlock,
    NotInChunk,
}
