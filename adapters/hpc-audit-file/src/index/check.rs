use std::collections::hash_map::RandomState;
use std::collections::{BTreeMap, BTreeSet};
use std::hash::BuildHasher as _;
use std::path::{Path, PathBuf};

use hpc_audit::Entry;

use crate::DirError;
use crate::map::damaged;
use crate::shared::read_file;

use super::CHUNK_ENTRIES;
use super::chunk::Chunk;
use super::file::IndexFile;
use super::marks::Marks;
use super::run::{Record, Run};
use super::terms::encode;

/// Holds the files of an index against the entries, which it is shown one after the other. Needs the memory of one chunk
/// and of the largest run's filter.
///
/// A file that is missing is no fault: the next opening makes it anew.
pub(crate) struct IndexCheck {
    root: PathBuf,
    /// The sum of the records of each run that should be there.
    sums: BTreeMap<IndexFile, u128>,
    terms: BTreeSet<IndexFile>,
    adder: Adder,
    chunk: Chunk,
    chunk_sum: u128,
    damaged: Vec<(IndexFile, DirError)>,
}

impl IndexCheck {
    /// For these files of a log with so many published entries.
    pub(crate) fn new(root: &Path, files: impl IntoIterator<Item = IndexFile>, published: u64) -> Self {
        let chunks = published / CHUNK_ENTRIES;
        let (covered, beyond): (BTreeSet<_>, Vec<_>) = {
            let (covered, beyond): (Vec<_>, Vec<_>) =
                files.into_iter().partition(|file| file.chunks().end <= chunks);
            (covered.into_iter().collect(), beyond)
        };
        let reason = "covers entries that the checkpoint does not sign";
        let damaged = beyond.into_iter().map(|file| (file, damaged(file.to_string(), None, reason)));
        let (terms, runs) = covered.into_iter().partition(|file| matches!(file, IndexFile::Terms { .. }));
        let runs: BTreeSet<IndexFile> = runs;
        Self {
            root: root.to_owned(),
            sums: runs.into_iter().map(|run| (run, 0)).collect(),
            terms,
            adder: Adder::default(),
            chunk: Chunk::new(0),
            chunk_sum: 0,
            damaged: damaged.collect(),
        }
    }

    /// Shows the next entry, from the first one on.
    pub(crate) fn push(&mut self, entry: &Entry) {
        if self.sums.is_empty() && self.terms.is_empty() {
            return;
        }
        let marks = Marks::of(entry);
        self.chunk_sum = self.chunk_sum.wrapping_add(self.adder.term(&(marks.id, self.chunk.end())));
        self.chunk.push(&marks);
        if !self.chunk.is_full() {
            return;
        }
        let number = self.chunk.number;
        for (run, sum) in &mut self.sums {
            if run.chunks().contains(&number) {
                *sum = sum.wrapping_add(self.chunk_sum);
            }
        }
        self.compare_terms(IndexFile::Terms { number });
        self.chunk = Chunk::new(number + 1);
        self.chunk_sum = 0;
    }

    fn compare_terms(&mut self, file: IndexFile) {
        if !self.terms.contains(&file) {
            return;
        }
        let (name, expected) = (file.to_string(), encode(&self.chunk));
        let error = match read_file(&self.root, &name, expected.len() as u64) {
            Ok(found) if found == expected => return,
            Ok(found) => {
                let same = found.iter().zip(&expected).take_while(|(a, b)| a == b).count();
                damaged(&name, same as u64, "not what the entries can be found by")
            }
            Err(error) => error,
        };
        self.damaged.push((file, error));
    }

    /// Every file that does not fit the entries, and why.
    pub(crate) fn finish(mut self) -> Vec<(IndexFile, DirError)> {
        for (file, expected) in &self.sums {
            let mut sum = 0_u128;
            let outcome = Run::open(&self.root, *file).and_then(|run| {
                run.check(|record| sum = sum.wrapping_add(self.adder.term(&record)))?;
                let name = file.to_string();
                if sum == *expected { Ok(()) } else { Err(damaged(name, None, "not the ids of the entries")) }
            });
            if let Err(error) = outcome {
                self.damaged.push((*file, error));
            }
        }
        self.damaged
    }
}

/// Two collections of records are the same when the sums of their terms are, in whatever order: the terms come from a
/// keyed hash, and the key from chance, so nobody can prepare collections that only seem so.
#[derive(Default)]
struct Adder(RandomState, RandomState);

impl Adder {
    fn term(&self, record: &Record) -> u128 {
        u128::from(self.0.hash_one(record)) << 64 | u128::from(self.1.hash_one(record))
    }
}
