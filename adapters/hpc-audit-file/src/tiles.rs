//! What is published, as bytes: tiles from their files, and from memory while their place is not full.

use async_trait::async_trait;
use hpc_audit::{AuditError, SignedCheckpoint, Tile, TileKind, TileSource};
use hpc_crypto::hashing::HASH_BYTES;
use hpc_crypto::tile::hashes_of;

use crate::FileAuditLog;
use crate::map::{damaged, port};
use crate::segment::split_entries;
use crate::shared::{BUNDLE_BYTES_MAX, Shared, WIDTH, read_file};

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
            Some(_) => {
                let bytes = self.edge().tile(tile);
                bytes.map_or_else(|| self.tile_on_disk(tile).map(Some), |bytes| Ok(Some(bytes)))
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
