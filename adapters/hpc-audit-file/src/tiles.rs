//! What is published, as bytes: tiles from their files, and from memory while their place is not full.

use async_trait::async_trait;
use hpc_audit::{AuditError, SignedCheckpoint, Tile, TileKind, TileSource};
use hpc_crypto::hashing::HASH_BYTES;
use hpc_crypto::tile::{hashes_of, push_entry};

use crate::FileAuditLog;
use crate::map::{damaged, out_of_range, port};
use crate::shared::{BUNDLE_BYTES_MAX, Shared, WIDTH, read_file};
use crate::tail::split_entries;

#[async_trait]
impl TileSource for FileAuditLog {
    fn published(&self) -> SignedCheckpoint {
        self.shared().edge().checkpoint.clone()
    }

    async fn tile(&self, tile: Tile) -> Result<Option<Vec<u8>>, AuditError> {
        self.read(move |shared| shared.tile(tile)).await
    }
}

impl Shared {
    fn tile(&self, tile: Tile) -> Result<Option<Vec<u8>>, AuditError> {
        let published = self.edge().checkpoint.checkpoint().size;
        match tile.widest(published) {
            Some(widest) if widest.width() < tile.width() => Ok(None),
            None => Ok(None),
            Some(widest) if widest.is_full() => self.tile_on_disk(tile).map(Some),
            // The place may become full at any moment, and leaves memory then.
            Some(_) => match self.tile_in_memory(tile)? {
                Some(bytes) => Ok(Some(bytes)),
                None => self.tile_on_disk(tile).map(Some),
            },
        }
    }

    fn tile_in_memory(&self, tile: Tile) -> Result<Option<Vec<u8>>, AuditError> {
        let width = usize::from(tile.width());
        let skip = |start: u64| tile.start().checked_sub(start).map(|skip| skip as usize);
        let edge = self.edge();
        match tile.kind() {
            TileKind::Hashes(level) => {
                let Some(row) = edge.rows.get(usize::from(level)) else { return Ok(None) };
                let Some(skip) = skip(row.start) else { return Ok(None) };
                let hashes = row.hashes.get(skip..skip + width);
                Ok(hashes.map(|hashes| hashes.iter().flat_map(|hash| *hash.as_bytes()).collect()))
            }
            TileKind::Entries => {
                let Some(skip) = skip(edge.pending_start) else { return Ok(None) };
                let Some(entries) = edge.pending.get(skip..skip + width) else { return Ok(None) };
                let entries = entries.to_vec();
                drop(edge);
                let mut bytes = Vec::new();
                for entry in entries {
                    push_entry(&mut bytes, &entry).map_err(out_of_range)?;
                }
                Ok(Some(bytes))
            }
        }
    }

    /// The beginning of a full tile.
    fn tile_on_disk(&self, tile: Tile) -> Result<Vec<u8>, AuditError> {
        let name = tile.full().to_string();
        let mut bytes = read_file(self.root(), &name, BUNDLE_BYTES_MAX).map_err(port)?;
        let width = usize::from(tile.width());
        let length = match tile.kind() {
            TileKind::Hashes(_) => {
                let hashes =
                    hashes_of(&bytes).map_err(|error| port(damaged(&name, None, error.to_string())))?;
                (hashes.len() as u64 == WIDTH).then_some(width * HASH_BYTES)
            }
            TileKind::Entries => {
                let entries = split_entries(&bytes)
                    .map_err(|at| port(damaged(&name, at as u64, "the bundle ends inside an entry")))?;
                let end = entries.get(width).map_or(bytes.len(), |(at, _)| *at);
                (entries.len() as u64 == WIDTH).then_some(end)
            }
        };
        let length =
            length.ok_or_else(|| port(damaged(&name, None, "the tile does not hold 256 of its kind")))?;
        bytes.truncate(length);
        Ok(bytes)
    }
}
