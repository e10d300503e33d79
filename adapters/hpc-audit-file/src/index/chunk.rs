use std::collections::HashMap;
use std::sync::Arc;

use super::CHUNK_ENTRIES;
use super::filter::Filter;
use super::marks::{IdHash, Marks, Span};
use super::run::Record;
use crate::shared::WIDTH;

/// What 256 entries can be found by.
#[derive(Debug)]
pub(super) struct Block {
    pub(super) span: Span,
    pub(super) terms: Vec<u64>,
    pub(super) filter: Filter,
}

impl Block {
    pub(super) fn of(span: Span, mut terms: Vec<u64>) -> Self {
        terms.sort_unstable();
        terms.dedup();
        terms.shrink_to_fit();
        Self { span, filter: Filter::of(&terms), terms }
    }
}

/// The part of the index that is not on disk yet: at most [`CHUNK_ENTRIES`] entries, and about 150 bytes for each.
#[derive(Debug)]
pub(super) struct Chunk {
    pub(super) number: u64,
    ids: Vec<IdHash>,
    by_id: HashMap<IdHash, u64>,
    pub(super) blocks: Vec<Arc<Block>>,
    span: Span,
    terms: Vec<u64>,
}

impl Chunk {
    pub(super) fn new(number: u64) -> Self {
        Self {
            number,
            ids: Vec::new(),
            by_id: HashMap::new(),
            blocks: Vec::new(),
            span: Span::EMPTY,
            terms: Vec::new(),
        }
    }

    /// Index of the entry behind the last one.
    pub(super) const fn end(&self) -> u64 {
        self.number * CHUNK_ENTRIES + self.ids.len() as u64
    }

    pub(super) const fn is_full(&self) -> bool {
        self.ids.len() as u64 == CHUNK_ENTRIES
    }

    /// Takes in the entry behind the last one. The caller has looked whether there is room.
    pub(super) fn push(&mut self, marks: &Marks) {
        let index = self.end();
        self.by_id.entry(marks.id).or_insert(index);
        self.ids.push(marks.id);
        self.span.join(&marks.span);
        self.terms.extend_from_slice(&marks.terms);
        if (self.ids.len() as u64).is_multiple_of(WIDTH) {
            let span = std::mem::replace(&mut self.span, Span::EMPTY);
            self.blocks.push(Arc::new(Block::of(span, std::mem::take(&mut self.terms))));
        }
    }

    pub(super) fn find(&self, id: &IdHash) -> Option<u64> {
        self.by_id.get(id).copied()
    }

    /// Its ids as a run has them.
    pub(super) fn records(&self) -> Vec<Record> {
        let mut records: Vec<Record> = self.ids.iter().copied().zip(self.number * CHUNK_ENTRIES..).collect();
        records.sort_unstable();
        records
    }

    /// What all its entries together can be found by.
    pub(super) fn whole(&self) -> Block {
        let mut span = Span::EMPTY;
        self.blocks.iter().for_each(|block| span.join(&block.span));
        Block::of(span, self.blocks.iter().flat_map(|block| &block.terms).copied().collect())
    }
}
