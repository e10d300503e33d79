//! The fake audit log as a source of tiles: they are made from its entries when they are asked for.

use async_trait::async_trait;
use hpc_audit::{AuditError, PROFILE, Recorded, SignedCheckpoint, Tile, TileKind, TileSource};
use hpc_crypto::hashing::Hash;
use hpc_crypto::merkle::NodeId;
use hpc_crypto::tile::{TILE_HEIGHT, push_entry};

use crate::audit::{MemoryAuditLog, damaged};

#[async_trait]
impl TileSource for MemoryAuditLog {
    fn published(&self) -> SignedCheckpoint {
        self.state().published.clone()
    }

    async fn tile(&self, tile: Tile) -> Result<Option<Vec<u8>>, AuditError> {
        let state = self.state();
        let published = state.published.checkpoint().size;
        if tile.widest(published).is_none_or(|widest| widest.width() < tile.width()) {
            return Ok(None);
        }
        let mut bytes = Vec::new();
        for place in tile.start()..tile.start() + u64::from(tile.width()) {
            match tile.kind() {
                TileKind::Hashes(level) => {
                    let node = NodeId { level: u32::from(level) * TILE_HEIGHT, index: place };
                    bytes.extend_from_slice(subtree(&state.entries, node)?.as_bytes());
                }
                TileKind::Entries => {
                    let recorded = usize::try_from(place).ok().and_then(|place| state.entries.get(place));
                    let encoded = recorded.and_then(|recorded| recorded.entry.encode().ok());
                    let encoded = encoded.ok_or_else(|| missing(place))?;
                    push_entry(&mut bytes, &encoded).map_err(damaged)?;
                }
            }
        }
        Ok(Some(bytes))
    }
}

/// The hash of a complete node, from the leaves below it.
fn subtree(entries: &[Recorded], node: NodeId) -> Result<Hash, AuditError> {
    let start = usize::try_from(node.index << node.level).unwrap_or(usize::MAX);
    let leaves =
        entries.get(start..start.saturating_add(1 << node.level)).ok_or_else(|| missing(node.index))?;
    let hashes: Vec<Hash> = leaves.iter().map(|recorded| recorded.leaf_hash).collect();
    Ok(PROFILE.root_of(&hashes))
}

fn missing(place: u64) -> AuditError {
    AuditError::Damaged { place: "memory".to_owned(), reason: format!("nothing is at {place}") }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use hpc_crypto::signing::KeyPair;

    use super::*;

    hpc_conformance::tile_source!(async {
        (Arc::new(MemoryAuditLog::new("log.example", KeyPair::from_seed([1; 32])).unwrap()), ())
    });
}
