//! The thread that publishes: it writes the tiles, then a checkpoint over them, then lets the tail become shorter. Appends
//! go on meanwhile.

use std::fs::File;
use std::ops::Range;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender};

use hpc_audit::{AuditError, SignedCheckpoint};
use hpc_crypto::tile::{TILE_HEIGHT, TILE_LEVEL_MAX, Tile, TileKind};

use crate::disk::{CHECKPOINT, Disk, Unsynced};
use crate::map::{out_of_range, unwritable};
use crate::shared::{Pending, Shared, WIDTH};
use crate::writer::Reply;

/// Ids that are handed on at once: appends wait meanwhile.
const IDS_AT_ONCE: usize = 256;

pub(crate) enum Task {
    /// Makes the next file of the tail.
    Prepare,
    /// Writes full tiles and makes them durable, for which nobody waits yet.
    Tiles,
    /// Signs a checkpoint over everything, for which nobody waits.
    Publish,
    /// The same, and somebody waits.
    Checkpoint { reply: Reply<SignedCheckpoint> },
    /// Publishes everything and begins the tail anew. The writer waits and appends nothing meanwhile.
    Renew { reply: Sender<Result<(), AuditError>> },
}

pub(crate) struct Publisher {
    disk: Arc<Disk>,
    shared: Arc<Shared>,
    /// The log's folder.
    root: File,
    /// The full tiles of so many entries are written.
    written: u64,
    unsynced: Unsynced,
}

impl Publisher {
    pub(crate) fn new(disk: Arc<Disk>, shared: Arc<Shared>, root: File) -> Self {
        let written = shared.edge().checkpoint.checkpoint().size;
        Self { disk, shared, root, written, unsynced: Unsynced::default() }
    }

    pub(crate) fn run(mut self, tasks: &Receiver<Task>) {
        while let Ok(task) = tasks.recv() {
            let mut renew = None;
            // Everything that waits is done at once: one checkpoint answers all.
            let (mut publish, mut replies) = (false, Vec::new());
            for task in std::iter::once(task).chain(tasks.try_iter()) {
                match task {
                    Task::Prepare | Task::Tiles => {}
                    Task::Publish => publish = true,
                    Task::Checkpoint { reply } => replies.push(reply),
                    Task::Renew { reply } => renew = Some(reply),
                }
            }
            // What fails is tried again later. It matters to appends only when the tail is as long as it may be.
            self.prepare();
            if publish || !replies.is_empty() {
                let outcome = self.publish();
                replies.into_iter().for_each(|reply| drop(reply.send(outcome.clone())));
            } else {
                let size = self.shared.edge().size();
                let _ = self.write_full(size).and_then(|()| self.sync());
            }
            if let Some(reply) = renew {
                let _ = reply.send(self.renew());
            }
        }
    }

    /// Makes the next file of the tail when there should be one. Appends are slower when it comes too late.
    fn prepare(&self) {
        if self.shared.tail.prepare(&self.disk).is_err() {
            self.shared.tail.ask_again();
        }
    }

    /// Writes tiles for everything so far, makes them durable, then puts a checkpoint over it in place.
    fn publish(&mut self) -> Result<SignedCheckpoint, AuditError> {
        self.shared.check_fit()?;
        let old = self.shared.edge().checkpoint.clone();
        let signed = self.shared.head()?;
        let (from, size) = (old.checkpoint().size, signed.checkpoint().size);
        if from == size {
            return Ok(old);
        }
        self.write_full(size)?;
        self.write_partial(from, size)?;
        self.prepare();
        self.sync()?;
        let note = [(CHECKPOINT.to_owned(), signed.to_string().into_bytes())];
        self.disk.replace(&note).map_err(unwritable)?;
        self.let_go(from, &signed);
        // Partial tiles may stay, they are compared like everything else; and the checkpoint stands whether or not the
        // tail gets shorter.
        for tile in full_tiles(from..size) {
            let _ = self.disk.remove_partials(&tile.map_err(out_of_range)?.to_string());
        }
        let _ = self.shared.tail.release(&self.disk, size);
        Ok(signed)
    }

    /// Makes the tiles that are written durable. Appends share the disk with it, so it comes often and is short.
    fn sync(&mut self) -> Result<(), AuditError> {
        let unsynced = std::mem::take(&mut self.unsynced);
        self.disk.sync_all(&self.root, &unsynced).map_err(|error| {
            // They are written once more, as other files.
            self.written = self.shared.edge().checkpoint.checkpoint().size;
            unwritable(error)
        })
    }

    /// Frees the memory of what is published now.
    fn let_go(&self, from: u64, signed: &SignedCheckpoint) {
        let size = signed.checkpoint().size;
        let published: Vec<Pending> = {
            let edge = self.shared.edge();
            let skip = from.saturating_sub(edge.pending_start) as usize;
            edge.pending.iter().skip(skip).take((size - from) as usize).cloned().collect()
        };
        // In small parts, and others first: each append asks both for its ids, and waits as long as they are held.
        for (part, first) in published.chunks(IDS_AT_ONCE).zip((from..).step_by(IDS_AT_ONCE)) {
            self.shared.index.add(first, part.iter().filter_map(Pending::marks));
            std::thread::yield_now();
        }
        for part in published.chunks(IDS_AT_ONCE) {
            self.shared.ids().forget(part.iter().filter_map(Pending::marks).map(|marks| marks.id));
            std::thread::yield_now();
        }
        let freed = self.shared.edge_mut().publish(signed.clone());
        // Only here, so that appends do not wait for it.
        drop(freed);
    }

    /// Writes the full tiles of the first `size` entries that are not written yet. They are durable later.
    fn write_full(&mut self, size: u64) -> Result<(), AuditError> {
        for tile in full_tiles(self.written..size) {
            self.write(tile.map_err(out_of_range)?)?;
            self.prepare();
        }
        self.written = self.written.max(size);
        Ok(())
    }

    /// Writes the partial tiles of a log of `size` entries, but for those that stand since it had `from`.
    fn write_partial(&mut self, from: u64, size: u64) -> Result<(), AuditError> {
        for (kind, shift) in rows() {
            let (before, now) = (from >> shift, size >> shift);
            if before != now && !now.is_multiple_of(WIDTH) {
                let tile = Tile::new(kind, now / WIDTH, (now % WIDTH) as u16).map_err(out_of_range)?;
                self.write(tile)?;
            }
        }
        Ok(())
    }

    fn write(&mut self, tile: Tile) -> Result<(), AuditError> {
        let bytes = self.shared.edge().tile(tile);
        // INVARIANT: what is not in a signed tile is in memory.
        let Some(bytes) = bytes else { return Err(unwritable(format!("`{tile}` is not in memory"))) };
        self.disk.write_later(&tile.to_string(), &bytes, &mut self.unsynced).map_err(unwritable)
    }

    fn renew(&mut self) -> Result<(), AuditError> {
        let signed = self.publish()?;
        let (size, root) = (signed.checkpoint().size, signed.checkpoint().root);
        self.shared.tail.renew(&self.disk, size, &root).map_err(unwritable)
    }
}

/// The rows of tiles, and how many levels of the tree lie below each.
fn rows() -> impl Iterator<Item = (TileKind, u32)> {
    let hashes = (0..=TILE_LEVEL_MAX).map(|level| (TileKind::Hashes(level), TILE_HEIGHT * u32::from(level)));
    hashes.chain([(TileKind::Entries, 0)])
}

/// The tiles that become full while a log grows, bundles last.
fn full_tiles(sizes: Range<u64>) -> impl Iterator<Item = Result<Tile, hpc_crypto::CryptoError>> {
    rows().flat_map(move |(kind, shift)| {
        let full = |size: u64| (size >> shift) / WIDTH;
        (full(sizes.start)..full(sizes.end)).map(move |index| Tile::new(kind, index, WIDTH as u16))
    })
}
