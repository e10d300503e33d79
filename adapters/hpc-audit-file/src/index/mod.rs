//! Finds entries by id and by search terms without reading the log, in bounded memory.
//!
//! The index is derived from the published entries and never trusted over them: what it finds is confirmed by reading the
//! entry, what is missing or damaged is made anew from the entries. It takes in entries in chunks. A full chunk is written
//! as a sorted run of ids and a file of search terms; four neighbouring runs of one level are merged into one of the next.
//!
//! | in memory | |
//! | --- | --- |
//! | of entries in runs | about 1.7 bytes each: a filter of 12 bits with its checks, and one id of each page |
//! | while runs are merged | as much again for the entries being merged |
//! | of newer entries | about 150 bytes each, at most [`CHUNKS_WAITING_MAX`] + 1 chunks and what one publication adds |

mod check;
mod chunk;
mod file;
mod filter;
mod marks;
mod open;
mod run;
mod sieve;
mod terms;
mod worker;

#[cfg(test)]
mod tests;

use std::collections::VecDeque;
use std::path::PathBuf;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;

use hpc_audit::Search;

use crate::DirError;
use crate::disk::Disk;

pub(crate) use check::IndexCheck;
pub(crate) use file::{FOLDER, IndexFile};
pub(crate) use marks::{IdHash, Marks, id_hash};
pub use open::IndexReport;
pub(crate) use sieve::{Next, Sieve};

use chunk::Chunk;
use marks::Wanted;
use run::Run;

/// Entries whose index is written at once. Small in the tests of this package, so that they have many chunks.
pub(crate) const CHUNK_ENTRIES: u64 = if cfg!(test) { 512 } else { 65_536 };
/// Runs of one level that are merged into one of the next.
const FAN: u64 = 4;
/// The highest level: runs of 2^30 entries, which are not merged any more.
const LEVEL_MAX: u32 = 7;
/// Full chunks that may wait to be written. More wait only while they cannot be.
const CHUNKS_WAITING_MAX: usize = 4;

/// The index of a log that is open. Its own thread writes and merges; dropping it waits for that to end.
pub(crate) struct Index {
    inner: Arc<Inner>,
    worker: Mutex<Option<JoinHandle<()>>>,
}

struct Inner {
    disk: Arc<Disk>,
    root: PathBuf,
    state: Mutex<State>,
    changed: Condvar,
}

struct State {
    /// By the entries they cover, without gaps.
    runs: Arc<Vec<Arc<Run>>>,
    /// Chunks in files.
    on_disk: u64,
    /// Full chunks behind those.
    full: VecDeque<Arc<Chunk>>,
    /// What comes behind them.
    open: Chunk,
    /// Why the last attempt to write failed.
    failure: Option<String>,
    /// Whether to try again after a failure.
    retry: bool,
    /// Whether a run is damaged, so that nothing is merged any more.
    broken: bool,
    stop: bool,
}

impl Inner {
    fn state(&self) -> MutexGuard<'_, State> {
        // No code panics while it holds the lock and the state is between two consistent ones.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A damaged run is taken away, so that the next opening makes it anew.
    fn give_up(&self, run: &Run, error: DirError) -> DirError {
        if matches!(error, DirError::Damaged { .. }) {
            self.state().broken = true;
            // When this fails, the next opening that checks everything finds the damage.
            let _ = self.disk.remove(&run.name.to_string());
        }
        error
    }
}

impl Index {
    /// How many entries have been taken in: the index of the next one.
    pub(crate) fn end(&self) -> u64 {
        self.inner.state().open.end()
    }

    /// Takes in the published entries from `first` on, which is [`Index::end`] or before it.
    ///
    /// Waits while [`CHUNKS_WAITING_MAX`] chunks wait to be written, unless writing fails.
    pub(crate) fn add<'m>(&self, first: u64, marks: impl IntoIterator<Item = &'m Marks>) {
        let mut state = self.inner.state();
        let known = state.open.end().saturating_sub(first);
        // INVARIANT: what is published has no gaps.
        debug_assert!(first <= state.open.end());
        for marks in marks.into_iter().skip(usize::try_from(known).unwrap_or(usize::MAX)) {
            state.open.push(marks);
            if state.open.is_full() {
                let next = Chunk::new(state.open.number + 1);
                let full = Arc::new(std::mem::replace(&mut state.open, next));
                state.full.push_back(full);
                state.retry = true;
                self.inner.changed.notify_all();
                while state.full.len() > CHUNKS_WAITING_MAX && state.failure.is_none() && !state.stop {
                    state = self.inner.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
                }
            }
        }
    }

    /// Why no more entries may be appended: the index cannot be written and too much waits.
    pub(crate) fn unfit(&self) -> Option<String> {
        let mut state = self.inner.state();
        let failure = state.failure.clone()?;
        if state.full.len() <= CHUNKS_WAITING_MAX {
            return None;
        }
        state.retry = true;
        self.inner.changed.notify_all();
        Some(format!("the index cannot be written: {failure}"))
    }

    /// For each id the indices, smallest first, of entries that may have it; nearly always none for an id that no
    /// entry has. The caller reads the entry and compares.
    ///
    /// # Errors
    /// [`DirError::Damaged`] or [`DirError::Io`] when a run cannot be read: whether an entry has the id is not known.
    pub(crate) fn find(&self, ids: &[IdHash]) -> Result<Vec<Vec<u64>>, DirError> {
        let (runs, recent) = {
            let state = self.inner.state();
            let in_memory = |id| {
                let chunks = state.full.iter().map(|chunk| &**chunk).chain([&state.open]);
                chunks.filter_map(|chunk| chunk.find(id)).collect::<Vec<_>>()
            };
            (Arc::clone(&state.runs), ids.iter().map(in_memory).collect::<Vec<_>>())
        };
        let mut found = Vec::with_capacity(ids.len());
        for (id, recent) in ids.iter().zip(recent) {
            let mut indices = Vec::new();
            for run in runs.iter() {
                indices.extend(run.find(id).map_err(|error| self.inner.give_up(run, error))?);
            }
            indices.extend(recent);
            found.push(indices);
        }
        Ok(found)
    }

    /// What passes over the blocks in which this search has no hit.
    pub(crate) fn sieve(&self, search: &Search) -> Sieve {
        let state = self.inner.state();
        Sieve {
            root: self.inner.root.clone(),
            wanted: Wanted::of(search),
            on_disk: state.on_disk,
            full: state.full.iter().cloned().collect(),
            blocks: state.open.blocks.clone(),
            files: 0,
            view: None,
        }
    }

    /// Writes the chunks that wait and ends the thread. Searching goes on.
    pub(crate) fn close(&self) {
        self.inner.state().stop = true;
        self.inner.changed.notify_all();
        let worker = self.worker.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(worker) = worker {
            let _ = worker.join();
        }
    }

    /// Waits until nothing is left to write or merge, or writing fails.
    #[cfg(test)]
    fn settle(&self) {
        let mut state = self.inner.state();
        while state.failure.is_none()
            && !(state.full.is_empty() && (state.broken || worker::mergeable(&state.runs).is_none()))
        {
            state = self.inner.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// Bytes of memory that the runs take, as good as all.
    #[cfg(test)]
    fn memory_bytes(&self) -> usize {
        self.inner.state().runs.iter().map(|run| run.memory_bytes()).sum()
    }
}

impl Drop for Index {
    fn drop(&mut self) {
        self.close();
    }
}
