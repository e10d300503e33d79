//! The one thread that changes the log: it gathers what waits, writes it with one fsync, then answers.

use std::collections::HashMap;
use std::fs::File;
use std::sync::Arc;

use hpc_audit::{AuditError, Checkpoint, Entry, Hash, PROFILE, Receipt, SignedCheckpoint};
use hpc_crypto::hashing::hash;
use hpc_crypto::merkle::{CompactRange, NodeId};
use hpc_crypto::note::NoteSigner;
use hpc_crypto::tile::{TILE_HEIGHT, Tile, TileKind, push_entry};
use tokio::sync::{mpsc, oneshot};

use crate::config::{GROUP_BYTES_MAX, PENDING_BYTES_MAX, PENDING_ENTRIES_MAX, TAIL_BYTES_MAX};
use crate::disk::{CHECKPOINT, Disk, TAIL};
use crate::lock::Locked;
use crate::shared::{Row, Shared, WIDTH};
use crate::tail::{HEADER_BYTES, header, push_frame};

/// The tail is begun anew when it is longer than this, in bytes, after its entries have been published.
const TAIL_ROTATE_BYTES: u64 = PENDING_BYTES_MAX as u64 / 2;

/// An entry on its way into the log.
pub(crate) struct Encoded {
    pub(crate) id: String,
    pub(crate) bytes: Vec<u8>,
    pub(crate) leaf_hash: Hash,
}

pub(crate) enum Command {
    Append { entries: Vec<Encoded>, reply: oneshot::Sender<Result<Vec<Receipt>, AuditError>> },
    Checkpoint { reply: oneshot::Sender<Result<SignedCheckpoint, AuditError>> },
    Close { reply: oneshot::Sender<Result<(), AuditError>> },
}

/// Half of a 256-bit hash of an id: enough to tell ids apart, and small.
pub(crate) type IdHash = [u8; 16];

pub(crate) fn id_hash(id: &str) -> IdHash {
    hash(id.as_bytes()).as_bytes().first_chunk().copied().unwrap_or_default()
}

pub(crate) struct Writer {
    pub(crate) disk: Disk,
    pub(crate) shared: Arc<Shared>,
    pub(crate) signer: Arc<NoteSigner>,
    pub(crate) range: CompactRange,
    pub(crate) ids: HashMap<IdHash, u64>,
    pub(crate) tail: File,
    pub(crate) tail_bytes: u64,
    pub(crate) entries_max: u64,
    /// Entries and bytes since the last publication.
    pub(crate) unpublished: (usize, usize),
    /// Set when the disk has left the tail in a state that only a new opening can settle.
    pub(crate) failed: Option<String>,
    /// Held until the thread ends.
    pub(crate) lock: Locked,
}

struct Waiting {
    entries: Vec<Encoded>,
    reply: oneshot::Sender<Result<Vec<Receipt>, AuditError>>,
}

impl Writer {
    pub(crate) fn run(mut self, mut commands: mpsc::Receiver<Command>) {
        let mut held = None;
        while let Some(command) = held.take().or_else(|| commands.blocking_recv()) {
            match command {
                Command::Append { entries, reply } => {
                    let mut bytes = size_of(&entries);
                    let mut group = vec![Waiting { entries, reply }];
                    while bytes < GROUP_BYTES_MAX {
                        match commands.try_recv() {
                            Ok(Command::Append { entries, reply }) => {
                                bytes += size_of(&entries);
                                group.push(Waiting { entries, reply });
                            }
                            Ok(other) => {
                                held = Some(other);
                                break;
                            }
                            Err(_) => break,
                        }
                    }
                    self.commit(group);
                }
                Command::Checkpoint { reply } => {
                    let _ = reply.send(self.publish());
                }
                Command::Close { reply } => {
                    commands.close();
                    let outcome = self.publish().and_then(|_| self.rotate());
                    while let Ok(late) = commands.try_recv() {
                        match late {
                            Command::Append { reply, .. } => drop(reply.send(Err(AuditError::Closed))),
                            Command::Checkpoint { reply } => drop(reply.send(Err(AuditError::Closed))),
                            Command::Close { reply } => drop(reply.send(Err(AuditError::Closed))),
                        }
                    }
                    drop(self.lock);
                    let _ = reply.send(outcome);
                    return;
                }
            }
        }
    }

    /// Writes a group of appends with one fsync and answers each.
    fn commit(&mut self, group: Vec<Waiting>) {
        if let Err(error) = self.make_room() {
            group.into_iter().for_each(|waiting| drop(waiting.reply.send(Err(error.clone()))));
            return;
        }
        let first = self.range.size();
        let mut frames = Vec::new();
        let mut new_ids = Vec::new();
        let mut new_entries: Vec<(Arc<[u8]>, Hash)> = Vec::new();
        let mut answers = Vec::with_capacity(group.len());
        for Waiting { entries, reply } in group {
            let room = self.entries_max.saturating_sub(first + new_entries.len() as u64);
            let begin = new_entries.len();
            let mut receipts = Vec::with_capacity(entries.len());
            let mut outcome = Ok(());
            for entry in &entries {
                let id = id_hash(&entry.id);
                let old = self.ids.get(&id).copied();
                let index = old.unwrap_or(first + new_entries.len() as u64);
                let leaf_hash = match old {
                    None => Ok(entry.leaf_hash),
                    Some(index) => match index.checked_sub(first).and_then(|at| new_entries.get(at as usize))
                    {
                        Some((_, leaf_hash)) => Ok(*leaf_hash),
                        None => self.shared.node(NodeId { level: 0, index }),
                    },
                };
                match leaf_hash {
                    Ok(leaf_hash) => receipts.push(self.receipt(&entry.id, index, leaf_hash, old.is_some())),
                    Err(error) => outcome = Err(error),
                }
                if old.is_none() {
                    self.ids.insert(id, index);
                    new_ids.push(id);
                    new_entries.push((Arc::from(entry.bytes.as_slice()), entry.leaf_hash));
                }
            }
            let added = new_entries.len() - begin;
            if added as u64 > room {
                outcome = Err(unwritable(format!("the log is limited to {} entries", self.entries_max)));
            }
            if let Err(error) = outcome {
                // This append alone is taken back; those before it stay.
                new_entries.truncate(begin);
                for id in new_ids.drain(begin..) {
                    self.ids.remove(&id);
                }
                let _ = reply.send(Err(error));
                continue;
            }
            if added > 0 {
                let bytes = new_entries.iter().skip(begin).map(|(bytes, _)| &**bytes);
                push_frame(&mut frames, first + begin as u64, added, bytes);
            }
            answers.push((reply, receipts));
        }
        match self.write(&frames) {
            Ok(()) => {
                self.unpublished.0 += new_entries.len();
                self.unpublished.1 += frames.len();
                self.take_in(new_entries);
                answers.into_iter().for_each(|(reply, receipts)| drop(reply.send(Ok(receipts))));
            }
            Err(error) => {
                for id in new_ids {
                    self.ids.remove(&id);
                }
                answers.into_iter().for_each(|(reply, _)| drop(reply.send(Err(error.clone()))));
            }
        }
        // Failing to publish now is not the appends' failure: they are durable in the tail.
        if self.unpublished.0 >= PENDING_ENTRIES_MAX || self.unpublished.1 >= PENDING_BYTES_MAX {
            let _ = self.publish();
        }
    }

    /// Makes `frames` durable at the end of the tail, or leaves the tail as it was.
    fn write(&mut self, frames: &[u8]) -> Result<(), AuditError> {
        if frames.is_empty() {
            return Ok(());
        }
        if let Err(error) = self.disk.write(&self.tail, frames, self.tail_bytes) {
            if let Err(second) = self.disk.truncate(&self.tail, self.tail_bytes) {
                self.failed =
                    Some(format!("writing the tail failed ({error}), and so did taking it back ({second})"));
            }
            return Err(unwritable(error.to_string()));
        }
        if let Err(error) = self.disk.sync(&self.tail) {
            // After a failed fsync nobody knows what is on the disk; only reading it again can tell.
            self.failed = Some(format!("fsync of the tail failed ({error})"));
            return Err(AuditError::Unknown { reason: format!("fsync failed: {error}") });
        }
        self.tail_bytes += frames.len() as u64;
        Ok(())
    }

    /// Lets readers see entries that are durable now.
    fn take_in(&mut self, entries: Vec<(Arc<[u8]>, Hash)>) {
        let mut edge = self.shared.edge_mut();
        for (bytes, leaf_hash) in entries {
            let rows = &mut edge.rows;
            let appended = self.range.append_with(leaf_hash, |node, hash| {
                if node.level % TILE_HEIGHT == 0 {
                    let level = (node.level / TILE_HEIGHT) as usize;
                    if rows.len() <= level {
                        rows.resize_with(level + 1, Row::default);
                    }
                    if let Some(row) = rows.get_mut(level) {
                        row.hashes.push(hash);
                    }
                }
            });
            // INVARIANT: `entries_max` is far below the limit of a tree.
            debug_assert!(appended.is_ok());
            edge.pending.push(bytes);
        }
        edge.size = self.range.size();
        edge.root = self.range.root();
    }

    /// Refuses appends when the log is not fit for them, and first tries to shorten an overlong tail.
    fn make_room(&mut self) -> Result<(), AuditError> {
        self.check_fit()?;
        if self.tail_bytes < TAIL_BYTES_MAX {
            return Ok(());
        }
        self.publish()?;
        if self.tail_bytes < TAIL_BYTES_MAX {
            Ok(())
        } else {
            Err(unwritable("the tail cannot be shortened".to_owned()))
        }
    }

    fn check_fit(&self) -> Result<(), AuditError> {
        match &self.failed {
            Some(reason) => Err(unwritable(format!("{reason}: open the log again"))),
            None => Ok(()),
        }
    }

    /// Writes tiles for everything so far, then a checkpoint over it, then shortens the tail if it is long.
    fn publish(&mut self) -> Result<SignedCheckpoint, AuditError> {
        self.check_fit()?;
        let size = self.range.size();
        let (files, full) = {
            let edge = self.shared.edge();
            if edge.checkpoint.checkpoint().size == size {
                return Ok(edge.checkpoint.clone());
            }
            tile_files(&edge)
                .map_err(|error| AuditError::Backend { name: "files", reason: error.to_string() })?
        };
        let checkpoint = Checkpoint {
            origin: self.signer.verifier_key().name().to_owned(),
            size,
            root: self.range.root(),
            extensions: Vec::new(),
        };
        // Signing cannot contradict an earlier checkpoint: every entry in it is durable in tail or tiles already, and
        // opening refuses a folder whose entries do not give the root signed last.
        let signed = checkpoint
            .sign(&self.signer)
            .map_err(|error| AuditError::Backend { name: "files", reason: error.to_string() })?;
        self.disk.replace(&files).map_err(|error| unwritable(error.to_string()))?;
        let note = vec![(CHECKPOINT.to_owned(), signed.to_string().into_bytes())];
        self.disk.replace(&note).map_err(|error| unwritable(error.to_string()))?;
        {
            let mut edge = self.shared.edge_mut();
            for row in &mut edge.rows {
                row.published = row.end();
                let done = (row.end() / WIDTH * WIDTH - row.start) as usize;
                row.hashes.drain(..done);
                row.start += done as u64;
            }
            let done = (size / WIDTH * WIDTH - edge.pending_start) as usize;
            edge.pending.drain(..done);
            edge.pending_start += done as u64;
            edge.checkpoint = signed.clone();
        }
        self.unpublished = (0, 0);
        for tile in full {
            // Partial tiles may stay; they are compared like everything else.
            let _ = self.disk.remove_partials(&tile.to_string());
        }
        if self.tail_bytes > TAIL_ROTATE_BYTES {
            // The checkpoint stands whether or not the tail gets shorter.
            let _ = self.rotate();
        }
        Ok(signed)
    }

    /// Begins the tail anew after the last published entry.
    fn rotate(&mut self) -> Result<(), AuditError> {
        if self.tail_bytes == HEADER_BYTES as u64 {
            return Ok(());
        }
        let begin = header(self.range.size(), &self.range.root());
        self.disk.prepare(TAIL, &begin).map_err(|error| unwritable(error.to_string()))?;
        if let Err(error) = self.disk.put_in_place(TAIL) {
            // Writing on in a tail that may no longer have the name, or may lose it again, would lose entries.
            self.failed = Some(format!("the tail could not be replaced ({error})"));
            return Err(unwritable(error.to_string()));
        }
        match self.disk.open_tail() {
            Ok(tail) => {
                self.tail = tail;
                self.tail_bytes = HEADER_BYTES as u64;
                Ok(())
            }
            Err(error) => {
                self.failed = Some(format!("the new tail cannot be opened ({error})"));
                Err(unwritable(error.to_string()))
            }
        }
    }

    fn receipt(&self, id: &str, index: u64, leaf_hash: Hash, repeated: bool) -> Receipt {
        let log = self.signer.verifier_key().name().to_owned();
        Receipt { log, id: id.to_owned(), index, leaf_hash, size_at_least: index + 1, repeated }
    }
}

type Files = Vec<(String, Vec<u8>)>;

/// The tiles that are not on disk as they should be, and those among them that are full.
fn tile_files(edge: &crate::shared::Edge) -> Result<(Files, Vec<Tile>), hpc_crypto::CryptoError> {
    let mut files = Vec::new();
    let mut full = Vec::new();
    let mut add = |tile: Tile, bytes: Vec<u8>| {
        files.push((tile.to_string(), bytes));
        if tile.is_full() {
            full.push(tile);
        }
    };
    for (chunk, index) in edge.pending.chunks(WIDTH as usize).zip(edge.pending_start / WIDTH..) {
        let mut bytes = Vec::new();
        for entry in chunk {
            push_entry(&mut bytes, entry)?;
        }
        add(Tile::new(TileKind::Entries, index, chunk.len() as u16)?, bytes);
    }
    for (level, row) in edge.rows.iter().enumerate() {
        if row.published == row.end() {
            continue;
        }
        for (chunk, index) in row.hashes.chunks(WIDTH as usize).zip(row.start / WIDTH..) {
            let bytes = chunk.iter().flat_map(|hash| *hash.as_bytes()).collect();
            add(Tile::new(TileKind::Hashes(level as u8), index, chunk.len() as u16)?, bytes);
        }
    }
    Ok((files, full))
}

fn size_of(entries: &[Encoded]) -> usize {
    entries.iter().map(|entry| entry.bytes.len()).sum()
}

fn unwritable(reason: String) -> AuditError {
    AuditError::Unwritable { reason }
}

// The hash of a leaf is made where the entry is encoded, outside the writer's thread.
pub(crate) fn encode(entry: &Entry) -> Result<Encoded, AuditError> {
    let bytes = entry
        .encode()
        .map_err(|source| AuditError::InvalidEntry { id: entry.id.chars().take(64).collect(), source })?;
    debug_assert_eq!(PROFILE, hpc_crypto::merkle::Profile::Rfc6962Sha256);
    Ok(Encoded { id: entry.id.clone(), leaf_hash: Entry::leaf_hash(&bytes), bytes })
}
