use std::collections::{BTreeSet, VecDeque};
use std::fs;
use std::path::Path;
use std::sync::{Arc, Condvar, Mutex};

use hpc_audit::Entry;

use crate::DirError;
use crate::disk::{Disk, UNFINISHED};
use crate::map::io_of;
use crate::shared::WIDTH;

use super::chunk::Chunk;
use super::file::{FOLDER, IndexFile};
use super::marks::Marks;
use super::run::Run;
use super::terms::Terms;
use super::worker::{self, write_ids, write_terms};
use super::{CHUNK_ENTRIES, FAN, Index, Inner, LEVEL_MAX, State};

/// What opening did with the index, which is derived from the entries and decides nothing by itself.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct IndexReport {
    /// Files made anew from the entries, because they were missing or damaged.
    pub made_anew: Vec<String>,
    /// Files taken away: damaged, covered by others, or over entries that no checkpoint signs.
    pub removed: Vec<String>,
}

impl Index {
    /// Opens the index of a log with so many published entries and puts it in order.
    ///
    /// Files in `distrusted` are not used. `read` gives the 256 entries of a block, for what must be made anew. The
    /// entries from [`Index::end`] on are not in the index yet.
    pub(crate) fn open(
        disk: Arc<Disk>,
        root: &Path,
        published: u64,
        distrusted: &BTreeSet<IndexFile>,
        mut read: impl FnMut(u64) -> Result<Vec<Entry>, DirError>,
    ) -> Result<(Self, IndexReport), DirError> {
        let chunks = published / CHUNK_ENTRIES;
        let mut there = list(&disk, root)?;
        there.retain(|file| !distrusted.contains(file) && file.chunks().end <= chunks);

        let state = State {
            runs: Arc::default(),
            on_disk: chunks,
            full: VecDeque::new(),
            open: Chunk::new(chunks),
            failure: None,
            retry: true,
            broken: false,
            stop: false,
        };
        let inner = Inner { disk, root: root.to_owned(), state: Mutex::new(state), changed: Condvar::new() };
        let mut report = IndexReport::default();
        let mut runs = Vec::new();
        let mut at = 0;
        while at < chunks {
            let run = largest_run(root, at, &there);
            let mut next = at + 1;
            let terms = Terms::open(root, at).is_ok() && there.contains(&IndexFile::Terms { number: at });
            if run.is_none() || !terms {
                let chunk = chunk_of(at, &mut read)?;
                if run.is_none() {
                    write_ids(&inner, &chunk)?;
                    report.made_anew.push(IndexFile::Ids { level: 0, number: at }.to_string());
                }
                if !terms {
                    write_terms(&inner, &chunk)?;
                    report.made_anew.push(IndexFile::Terms { number: at }.to_string());
                }
            }
            let run = match run {
                Some(run) => run,
                None => Run::open(root, IndexFile::Ids { level: 0, number: at })?,
            };
            // The other chunks of a larger run need only their terms.
            let end = run.name.chunks().end;
            while next < end {
                let file = IndexFile::Terms { number: next };
                if Terms::open(root, next).is_err() || !there.contains(&file) {
                    write_terms(&inner, &chunk_of(next, &mut read)?)?;
                    report.made_anew.push(file.to_string());
                }
                next += 1;
            }
            runs.push(Arc::new(run));
            at = end;
        }

        for file in list(&inner.disk, root)? {
            let used = match file {
                IndexFile::Ids { .. } => runs.iter().any(|run| run.name == file),
                IndexFile::Terms { number } => number < chunks,
            };
            if !used {
                let shown = file.to_string();
                inner.disk.remove(&shown).map_err(io_of(&shown))?;
                report.removed.push(shown);
            }
        }
        inner.state().runs = Arc::new(runs);
        let inner = Arc::new(inner);
        let worker = {
            let inner = Arc::clone(&inner);
            let thread = std::thread::Builder::new().name("audit-index".to_owned());
            thread.spawn(move || worker::run(&inner)).map_err(io_of(FOLDER))?
        };
        Ok((Self { inner, worker: Mutex::new(Some(worker)) }, report))
    }
}

/// The largest run that begins at a chunk and can be used.
fn largest_run(root: &Path, chunk: u64, there: &BTreeSet<IndexFile>) -> Option<Run> {
    let levels = (0..=LEVEL_MAX).rev().filter(|level| chunk.is_multiple_of(FAN.pow(*level)));
    let names = levels.map(|level| IndexFile::Ids { level, number: chunk / FAN.pow(level) });
    names.filter(|name| there.contains(name)).find_map(|name| Run::open(root, name).ok())
}

fn chunk_of(
    number: u64,
    read: &mut impl FnMut(u64) -> Result<Vec<Entry>, DirError>,
) -> Result<Chunk, DirError> {
    let mut chunk = Chunk::new(number);
    let first = number * CHUNK_ENTRIES / WIDTH;
    for block in first..first + CHUNK_ENTRIES / WIDTH {
        for entry in read(block)? {
            chunk.push(&Marks::of(&entry));
        }
    }
    Ok(chunk)
}

/// The files of the index. Half written ones are removed; there may be no others.
fn list(disk: &Disk, root: &Path) -> Result<BTreeSet<IndexFile>, DirError> {
    let mut files = BTreeSet::new();
    let folder = match fs::read_dir(root.join(FOLDER)) {
        Ok(folder) => folder,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(files),
        Err(error) => return Err(io_of(FOLDER)(error)),
    };
    for entry in folder {
        let name = entry.map_err(io_of(FOLDER))?.file_name();
        let path = format!("{FOLDER}/{}", name.to_string_lossy());
        match (path.parse::<IndexFile>(), path.strip_suffix(UNFINISHED).map(str::parse::<IndexFile>)) {
            (Ok(file), _) => drop(files.insert(file)),
            (_, Some(Ok(_))) => disk.remove(&path).map_err(io_of(&path))?,
            _ => return Err(DirError::Unexpected { file: path }),
        }
    }
    Ok(files)
}
