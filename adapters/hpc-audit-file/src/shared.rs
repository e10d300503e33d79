//! What the writer and the readers share: the end of the log that is not yet in full tiles, and the way to the rest.

use std::fs::File;
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use hpc_audit::{AuditError, Entry, PROFILE, Recorded, SignedCheckpoint};
use hpc_crypto::hashing::Hash;
use hpc_crypto::merkle::NodeId;
use hpc_crypto::tile::{ENTRY_BYTES_MAX, TILE_HEIGHT, TILE_WIDTH, Tile, TileKind, hashes_of, node_in};

use crate::DirError;
use crate::map::{damaged, io_of, port};
use crate::tail::split_entries;

pub(crate) const WIDTH: u64 = TILE_WIDTH as u64;
/// The longest entry bundle: 256 of the longest entries with their lengths.
pub(crate) const BUNDLE_BYTES_MAX: u64 = WIDTH * (ENTRY_BYTES_MAX as u64 + 2);

/// The hashes of one level of tiles that are not in full tiles on disk.
#[derive(Default)]
pub(crate) struct Row {
    /// Place of the first hash kept; a multiple of 256.
    pub(crate) start: u64,
    pub(crate) hashes: Vec<Hash>,
    /// How many hashes of the row, from its very beginning, are in tiles on disk, full or partial.
    pub(crate) published: u64,
}

impl Row {
    pub(crate) fn end(&self) -> u64 {
        self.start + self.hashes.len() as u64
    }
}

/// The end of the log.
pub(crate) struct Edge {
    pub(crate) size: u64,
    /// Root of the tree of `size` entries.
    pub(crate) root: Hash,
    pub(crate) rows: Vec<Row>,
    /// Index of the first pending entry; a multiple of 256.
    pub(crate) pending_start: u64,
    /// Encoded entries that are not in full bundles on disk.
    pub(crate) pending: Vec<Arc<[u8]>>,
    pub(crate) checkpoint: SignedCheckpoint,
}

pub(crate) struct Shared {
    root: PathBuf,
    edge: RwLock<Edge>,
}

impl Shared {
    pub(crate) fn new(root: &Path, edge: Edge) -> Self {
        Self { root: root.to_owned(), edge: RwLock::new(edge) }
    }

    pub(crate) fn root(&self) -> &Path {
        &self.root
    }

    pub(crate) fn edge(&self) -> RwLockReadGuard<'_, Edge> {
        // The writer changes the edge without panicking between two consistent states.
        self.edge.read().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn edge_mut(&self) -> RwLockWriteGuard<'_, Edge> {
        self.edge.write().unwrap_or_else(PoisonError::into_inner)
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
                return numbered.map(|(bytes, index)| recorded(index, bytes, "tail", None)).collect();
            }
        }
        let tile =
            Tile::new(TileKind::Entries, start / WIDTH, TILE_WIDTH).map_err(crate::map::out_of_range)?;
        let name = tile.to_string();
        let bytes = read_file(&self.root, &name, BUNDLE_BYTES_MAX).map_err(port)?;
        let entries = split_entries(&bytes)
            .map_err(|at| port(damaged(&name, at as u64, "the bundle ends inside an entry")))?;
        if entries.len() != usize::from(TILE_WIDTH) {
            return Err(port(damaged(&name, None, "the bundle does not hold 256 entries")));
        }
        let numbered = entries.iter().zip(tile.start()..).skip((start % WIDTH) as usize).take(limit);
        numbered.map(|((at, bytes), index)| recorded(index, bytes, &name, Some(*at as u64))).collect()
    }
}

fn recorded(index: u64, bytes: &[u8], file: &str, offset: Option<u64>) -> Result<Recorded, AuditError> {
    let entry = Entry::decode(bytes)
        .map_err(|error| port(damaged(file, offset, format!("entry {index}: {error}"))))?;
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
