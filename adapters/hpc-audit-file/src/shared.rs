//! What the writer and the readers share: the end of the log that is not yet in full tiles, and the way to the rest.

use std::fs::File;
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use hpc_audit::{AuditError, Entry, EntryError, PROFILE, Recorded, SignedCheckpoint};
use hpc_crypto::CryptoError;
use hpc_crypto::hashing::Hash;
use hpc_crypto::merkle::{CompactRange, NodeId};
use hpc_crypto::note::NoteSigner;
use hpc_crypto::tile::{
    ENTRY_BYTES_MAX, TILE_HEIGHT, TILE_WIDTH, Tile, TileKind, hashes_of, node_in, push_entry,
};

use crate::DirError;
use crate::disk::TAIL;
use crate::head::Head;
use crate::ids::Ids;
use crate::index::{IdHash, Index, Marks, id_hash};
use crate::map::{damaged, io_of, port, unwritable};
use crate::segment::split_entries;
use crate::tail::Tail;

pub(crate) const WIDTH: u64 = TILE_WIDTH as u64;
/// The longest entry bundle: 256 of the longest entries with their lengths.
pub(crate) const BUNDLE_BYTES_MAX: u64 = WIDTH * (ENTRY_BYTES_MAX as u64 + 2);

/// The hashes of one level of tiles that are not in full tiles on disk.
#[derive(Default)]
pub(crate) struct Row {
    /// Place of the first hash kept; a multiple of 256.
    pub(crate) start: u64,
    pub(crate) hashes: Vec<Hash>,
}

impl Row {
    pub(crate) fn end(&self) -> u64 {
        self.start + self.hashes.len() as u64
    }
}

/// The encoded entries of one append. They are in few pieces of memory, because they are freed on another thread.
#[derive(Default)]
pub(crate) struct Batch {
    bytes: Vec<u8>,
    /// Where each entry ends in the bytes, and what the index takes in when it is published.
    entries: Vec<(usize, Marks)>,
}

impl Batch {
    /// Takes in an entry, and gives back its bytes.
    pub(crate) fn push(&mut self, entry: &Entry) -> Result<&[u8], EntryError> {
        let begin = self.bytes.len();
        entry.encode_into(&mut self.bytes)?;
        self.entries.push((self.bytes.len(), Marks::of(entry)));
        Ok(self.bytes.get(begin..).unwrap_or_default())
    }

    /// Bytes of all entries.
    pub(crate) const fn len(&self) -> usize {
        self.bytes.len()
    }

    fn entry(&self, place: usize) -> Option<&[u8]> {
        let (end, _) = self.entries.get(place)?;
        let begin =
            place.checked_sub(1).and_then(|before| self.entries.get(before)).map_or(0, |(end, _)| *end);
        self.bytes.get(begin..*end)
    }

    /// All entries, in order.
    pub(crate) fn pending(self) -> impl Iterator<Item = Pending> {
        let batch = Arc::new(self);
        (0..batch.entries.len()).map(move |place| Pending { batch: Arc::clone(&batch), place })
    }
}

/// A recorded entry that is not in a full bundle that is signed.
#[derive(Clone)]
pub(crate) struct Pending {
    batch: Arc<Batch>,
    place: usize,
}

impl Pending {
    pub(crate) fn bytes(&self) -> &[u8] {
        // INVARIANT: the batch has an entry at this place.
        self.batch.entry(self.place).unwrap_or_default()
    }

    /// What the index takes in when the entry is published; there is always something.
    pub(crate) fn marks(&self) -> Option<&Marks> {
        self.batch.entries.get(self.place).map(|(_, marks)| marks)
    }
}

/// The end of the log.
pub(crate) struct Edge {
    pub(crate) range: CompactRange,
    pub(crate) rows: Vec<Row>,
    /// Index of the first pending entry; a multiple of 256.
    pub(crate) pending_start: u64,
    /// Entries that are not in full bundles that are signed.
    pub(crate) pending: Vec<Pending>,
    /// The checkpoint on disk.
    pub(crate) checkpoint: SignedCheckpoint,
}

impl Edge {
    pub(crate) fn size(&self) -> u64 {
        self.range.size()
    }

    /// Takes in an entry that is durable.
    pub(crate) fn push(&mut self, entry: Pending, leaf_hash: Hash) -> Result<(), CryptoError> {
        let rows = &mut self.rows;
        self.range.append_with(leaf_hash, |node, hash| push_node(rows, node, hash))?;
        self.pending.push(entry);
        Ok(())
    }

    /// The bytes of a tile that is not yet in a signed one; `None` when it is, or not all of it is there.
    pub(crate) fn tile(&self, tile: Tile) -> Option<Vec<u8>> {
        let width = usize::from(tile.width());
        match tile.kind() {
            TileKind::Entries => {
                let skip = tile.start().checked_sub(self.pending_start)? as usize;
                let entries = self.pending.get(skip..skip + width)?;
                let mut bundle =
                    Vec::with_capacity(entries.iter().map(|entry| entry.bytes().len() + 2).sum());
                entries.iter().try_for_each(|entry| push_entry(&mut bundle, entry.bytes())).ok()?;
                Some(bundle)
            }
            TileKind::Hashes(level) => {
                let row = self.rows.get(usize::from(level))?;
                let skip = tile.start().checked_sub(row.start)? as usize;
                let hashes = row.hashes.get(skip..skip + width)?;
                Some(hashes.iter().flat_map(|hash| *hash.as_bytes()).collect())
            }
        }
    }

    /// Lets go of everything in full tiles below `signed`, and gives it back to be freed elsewhere.
    pub(crate) fn publish(&mut self, signed: SignedCheckpoint) -> (Vec<Pending>, Vec<Vec<Hash>>) {
        let size = signed.checkpoint().size;
        self.checkpoint = signed;
        let done = (size / WIDTH * WIDTH).saturating_sub(self.pending_start);
        let rest = self.pending.split_off(done as usize);
        self.pending_start += done;
        let hashes = self.rows.iter_mut().zip(0..).map(|(row, level): (&mut Row, u32)| {
            let done = ((size >> (TILE_HEIGHT * level)) / WIDTH * WIDTH).saturating_sub(row.start);
            let rest = row.hashes.split_off(done as usize);
            row.start += done;
            std::mem::replace(&mut row.hashes, rest)
        });
        let hashes = hashes.collect();
        (std::mem::replace(&mut self.pending, rest), hashes)
    }
}

/// Keeps the hashes that stand in tiles: every eighth level of the tree.
pub(crate) fn push_node(rows: &mut Vec<Row>, node: NodeId, hash: Hash) {
    if node.level.is_multiple_of(TILE_HEIGHT) {
        let level = (node.level / TILE_HEIGHT) as usize;
        if rows.len() <= level {
            rows.resize_with(level + 1, Row::default);
        }
        if let Some(row) = rows.get_mut(level) {
            row.hashes.push(hash);
        }
    }
}

pub(crate) struct Shared {
    root: PathBuf,
    head: Head,
    edge: RwLock<Edge>,
    ids: Mutex<Ids>,
    /// Of the published entries.
    pub(crate) index: Index,
    pub(crate) tail: Tail,
    /// Set when the disk has left the tail in a state that only a new opening can settle.
    failed: OnceLock<String>,
}

impl Shared {
    pub(crate) fn new(
        root: &Path,
        signer: NoteSigner,
        edge: Edge,
        ids: Ids,
        index: Index,
        tail: Tail,
    ) -> Self {
        Self {
            root: root.to_owned(),
            head: Head::new(signer),
            edge: RwLock::new(edge),
            ids: Mutex::new(ids),
            index,
            tail,
            failed: OnceLock::new(),
        }
    }

    pub(crate) fn root(&self) -> &Path {
        &self.root
    }

    pub(crate) fn edge(&self) -> RwLockReadGuard<'_, Edge> {
        // The edge is changed without panicking between two consistent states.
        self.edge.read().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn edge_mut(&self) -> RwLockWriteGuard<'_, Edge> {
        self.edge.write().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn ids(&self) -> MutexGuard<'_, Ids> {
        self.ids.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Refuses all writing from now on.
    pub(crate) fn fail(&self, reason: String) {
        // The first reason is the one that counts.
        let _ = self.failed.set(reason);
    }

    pub(crate) fn check_fit(&self) -> Result<(), AuditError> {
        match self.failed.get() {
            Some(reason) => Err(unwritable(format!("{reason}: open the log again"))),
            None => Ok(()),
        }
    }

    /// The checkpoint over everything that is acknowledged now.
    pub(crate) fn head(&self) -> Result<SignedCheckpoint, AuditError> {
        self.head.of(self)
    }

    /// The hash of a complete node, from memory or from its tile.
    pub(crate) fn node(&self, node: NodeId) -> Result<Hash, AuditError> {
        let (level, inner) = (node.level / TILE_HEIGHT, node.level % TILE_HEIGHT);
        let first = node.index << inner;
        if let Some(row) = self.edge().rows.get(level as usize)
            && let Some(skip) = first.checked_sub(row.start)
        {
            let range = skip as usize..skip as usize + (1 << inner);
            return node_in(PROFILE, &row.hashes, range).map_err(crate::map::out_of_range);
        }
        // Hashes leave memory only when their tile is full and durable.
        let offset = (first % WIDTH) as usize;
        let tile = Tile::new(TileKind::Hashes(level as u8), first / WIDTH, TILE_WIDTH)
            .map_err(crate::map::out_of_range)?;
        let name = tile.to_string();
        let bytes = read_file(&self.root, &name, BUNDLE_BYTES_MAX).map_err(port)?;
        hashes_of(&bytes)
            .and_then(|hashes| node_in(PROFILE, &hashes, offset..offset + (1 << inner)))
            .map_err(|error| AuditError::Damaged { place: format!("`{name}`"), reason: error.to_string() })
    }

    /// Up to `limit` entries from `start` on, as far as the block goes in which `start` lies.
    pub(crate) fn block(&self, start: u64, limit: usize) -> Result<Vec<Recorded>, AuditError> {
        {
            let edge = self.edge();
            if let Some(skip) = start.checked_sub(edge.pending_start) {
                let entries: Vec<_> = edge.pending.iter().skip(skip as usize).take(limit).cloned().collect();
                drop(edge);
                let numbered = entries.iter().zip(start..);
                let read = numbered.map(|(entry, index)| recorded(index, entry.bytes(), TAIL, None));
                return read.collect::<Result<_, _>>().map_err(port);
            }
        }
        full_block(&self.root, start, limit).map_err(port)
    }

    /// For each id the index of the entry that has it, new or old.
    pub(crate) fn known(&self, ids: &[IdHash]) -> Result<Vec<Option<u64>>, AuditError> {
        // In this order: an entry that is published meanwhile is in the index before it is forgotten here.
        let mut known = self.ids().find(ids);
        let older = self.index.find(ids);
        let older = older.map_err(|error| unwritable(format!("{error}: open the log again")))?;
        for ((known, older), id) in known.iter_mut().zip(older).zip(ids) {
            if known.is_none() {
                *known = self.confirmed(id, &older)?;
            }
        }
        Ok(known)
    }

    /// The index of the entry that has this id, among some that may. What the index says is confirmed by the entry.
    pub(crate) fn confirmed(&self, id: &IdHash, candidates: &[u64]) -> Result<Option<u64>, AuditError> {
        for index in candidates {
            let entry = self.block(*index, 1)?;
            if entry.first().is_some_and(|recorded| id_hash(&recorded.entry.id) == *id) {
                return Ok(Some(*index));
            }
        }
        Ok(None)
    }
}

/// Up to `limit` entries from `start` on of a full bundle, each as its hash in the tile says.
pub(crate) fn full_block(root: &Path, start: u64, limit: usize) -> Result<Vec<Recorded>, DirError> {
    let outside = |error: CryptoError| damaged("tile", None, error.to_string());
    let tile = Tile::new(TileKind::Entries, start / WIDTH, TILE_WIDTH).map_err(outside)?;
    let name = tile.to_string();
    let bytes = read_file(root, &name, BUNDLE_BYTES_MAX)?;
    let entries =
        split_entries(&bytes).map_err(|at| damaged(&name, at as u64, "the bundle ends inside an entry"))?;
    if entries.len() != usize::from(TILE_WIDTH) {
        return Err(damaged(&name, None, "the bundle does not hold 256 entries"));
    }
    let hash_tile = Tile::new(TileKind::Hashes(0), start / WIDTH, TILE_WIDTH).map_err(outside)?.to_string();
    let hashes = hashes_of(&read_file(root, &hash_tile, BUNDLE_BYTES_MAX)?)
        .map_err(|error| damaged(&hash_tile, None, error.to_string()))?;
    if hashes.len() != entries.len() {
        return Err(damaged(&hash_tile, None, "the tile does not hold 256 hashes"));
    }
    let numbered = entries.iter().zip(hashes).zip(tile.start()..);
    let wanted = numbered.skip((start % WIDTH) as usize).take(limit);
    wanted
        .map(|(((at, bytes), hash), index)| {
            let entry = recorded(index, bytes, &name, Some(*at as u64))?;
            if entry.leaf_hash == hash {
                return Ok(entry);
            }
            let reason = format!("entry {index} does not have the hash that `{hash_tile}` says");
            Err(damaged(&name, *at as u64, reason))
        })
        .collect()
}

fn recorded(index: u64, bytes: &[u8], file: &str, offset: Option<u64>) -> Result<Recorded, DirError> {
    let entry =
        Entry::decode(bytes).map_err(|error| damaged(file, offset, format!("entry {index}: {error}")))?;
    Ok(Recorded { index, leaf_hash: Entry::leaf_hash(bytes), entry })
}

/// A whole file that must not be longer than `bytes_max`.
pub(crate) fn read_file(root: &Path, name: &str, bytes_max: u64) -> Result<Vec<u8>, DirError> {
    let file = File::open(root.join(name)).map_err(|error| match error.kind() {
        std::io::ErrorKind::NotFound => DirError::Missing { file: name.to_owned() },
        _ => io_of(name)(error),
    })?;
    let mut bytes = Vec::new();
    file.take(bytes_max + 1).read_to_end(&mut bytes).map_err(io_of(name))?;
    if bytes.len() as u64 > bytes_max {
        return Err(damaged(name, bytes_max, format!("the file is longer than {bytes_max} bytes")));
    }
    Ok(bytes)
}
