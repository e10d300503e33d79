//! The thread of the index: writes full chunks, and merges runs while no chunk waits.

use std::io;
use std::sync::{Arc, PoisonError};

use crate::DirError;
use crate::map::io_of;

use super::chunk::Chunk;
use super::file::IndexFile;
use super::run::{Record, Run, write};
use super::terms::encode;
use super::{FAN, Inner, LEVEL_MAX};

/// Records that are merged before the thread looks whether a chunk waits.
const RECORDS_BETWEEN_LOOKS: usize = 65_536;

enum Work {
    Chunk(Arc<Chunk>),
    Merge(IndexFile, Vec<Arc<Run>>),
    End,
}

pub(super) fn run(inner: &Inner) {
    loop {
        let outcome = match next(inner) {
            Work::Chunk(chunk) => write_chunk(inner, &chunk),
            Work::Merge(name, runs) => merge(inner, name, &runs),
            Work::End => return,
        };
        let mut state = inner.state();
        state.failure = outcome.err().map(|error| error.to_string());
        state.retry = state.failure.is_none();
        inner.changed.notify_all();
    }
}

fn next(inner: &Inner) -> Work {
    let mut state = inner.state();
    loop {
        let may_try = state.failure.is_none() || state.retry;
        if let Some(chunk) = state.full.front()
            && may_try
        {
            return Work::Chunk(Arc::clone(chunk));
        }
        if state.stop {
            return Work::End;
        }
        if may_try
            && !state.broken
            && let Some((name, runs)) = mergeable(&state.runs)
        {
            return Work::Merge(name, runs);
        }
        state = inner.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
    }
}

/// The smallest runs that can become one.
pub(super) fn mergeable(runs: &[Arc<Run>]) -> Option<(IndexFile, Vec<Arc<Run>>)> {
    let groups = runs.windows(FAN as usize).filter_map(|group| {
        let IndexFile::Ids { level, number } = group.first()?.name else { return None };
        let alike =
            |(place, run): (u64, &Arc<Run>)| run.name == IndexFile::Ids { level, number: number + place };
        let fits = number.is_multiple_of(FAN) && level < LEVEL_MAX && (0..).zip(group).all(alike);
        fits.then(|| (IndexFile::Ids { level: level + 1, number: number / FAN }, group.to_vec()))
    });
    groups.min_by_key(|(name, _)| *name)
}

fn write_chunk(inner: &Inner, chunk: &Chunk) -> Result<(), DirError> {
    write_ids(inner, chunk)?;
    write_terms(inner, chunk)?;
    let run = Run::open(&inner.root, IndexFile::Ids { level: 0, number: chunk.number })?;
    let mut state = inner.state();
    Arc::make_mut(&mut state.runs).push(Arc::new(run));
    state.on_disk = chunk.number + 1;
    state.full.pop_front();
    inner.changed.notify_all();
    Ok(())
}

pub(super) fn write_ids(inner: &Inner, chunk: &Chunk) -> Result<(), DirError> {
    let name = IndexFile::Ids { level: 0, number: chunk.number };
    let shown = name.to_string();
    let records = chunk.records();
    inner.disk.stream(&shown, |out| write(out, name, records.into_iter().map(Ok))).map_err(io_of(&shown))
}

pub(super) fn write_terms(inner: &Inner, chunk: &Chunk) -> Result<(), DirError> {
    let shown = IndexFile::Terms { number: chunk.number }.to_string();
    inner.disk.stream(&shown, |out| out.write_all(&encode(chunk))).map_err(io_of(&shown))
}

fn merge(inner: &Inner, name: IndexFile, runs: &[Arc<Run>]) -> Result<(), DirError> {
    let shown = name.to_string();
    let mut damage = None;
    let written = inner.disk.stream(&shown, |out| {
        let merged = merged(runs).enumerate().map(|(place, record)| {
            if place % RECORDS_BETWEEN_LOOKS == 0 {
                look_up(inner)?;
            }
            record.map_err(|(run, error)| {
                let told = io::Error::other(error.to_string());
                damage = Some((run, error));
                told
            })
        });
        write(out, name, merged)
    });
    if let Some((run, error)) = damage {
        return Err(inner.give_up(run, error));
    }
    written.map_err(io_of(&shown))?;
    let run = Arc::new(Run::open(&inner.root, name)?);
    {
        let mut state = inner.state();
        let all = Arc::make_mut(&mut state.runs);
        let begin = all.iter().position(|run| runs.first().is_some_and(|first| Arc::ptr_eq(run, first)));
        if let Some(begin) = begin {
            all.splice(begin..begin + runs.len(), [run]);
        }
    }
    for run in runs {
        // One that stays is taken away at the next opening.
        let _ = inner.disk.remove(&run.name.to_string());
    }
    Ok(())
}

/// Lets chunks that wait go first, and ends a merge when the log is closed.
fn look_up(inner: &Inner) -> io::Result<()> {
    loop {
        let chunk = {
            let state = inner.state();
            if state.stop {
                return Err(io::Error::other("the log is being closed"));
            }
            state.full.front().cloned()
        };
        match chunk {
            Some(chunk) => write_chunk(inner, &chunk).map_err(|error| io::Error::other(error.to_string()))?,
            None => return Ok(()),
        }
    }
}

type Damage<'r> = (&'r Run, DirError);

/// The records of all runs in order.
fn merged(runs: &[Arc<Run>]) -> impl Iterator<Item = Result<Record, Damage<'_>>> {
    let mut sources: Vec<_> = runs.iter().map(|run| (&**run, run.records().peekable())).collect();
    std::iter::from_fn(move || {
        let least = sources.iter_mut().filter_map(|(run, records)| {
            // An error comes first, so that it is not passed over.
            let key = records.peek()?.as_ref().ok().copied();
            Some((key, *run, records))
        });
        let (_, run, records) = least.min_by_key(|(key, ..)| *key)?;
        Some(records.next()?.map_err(|error| (run, error)))
    })
}
