use async_trait::async_trait;
use hpc_crypto::checkpoint::SignedCheckpoint;
use hpc_crypto::tile::Tile;

use crate::AuditError;

/// What a log has published: a signed checkpoint and the C2SP tiles under it, which anyone may fetch, keep and check.
///
/// Beside [`crate::AuditLog`], which answers questions; this one hands out the bytes from which every answer follows.
#[async_trait]
pub trait TileSource: Send + Sync {
    /// The newest checkpoint that is published. It was signed before, and nothing is signed for this call.
    ///
    /// A log that never signed anything has a signed checkpoint of size 0. The size never goes back.
    fn published(&self) -> SignedCheckpoint;

    /// The bytes of a tile; `None` for one that reaches beyond the published checkpoint.
    ///
    /// Every tile of [`Tile::all`] at the published size is there, and so is every narrower tile of the same places: what
    /// a reader of an older checkpoint asks for is not lost when the log grows. The bytes of a tile never change, and a
    /// partial tile is the beginning of the full one.
    ///
    /// # Errors
    /// [`AuditError::Damaged`] and what the backend says.
    async fn tile(&self, tile: Tile) -> Result<Option<Vec<u8>>, AuditError>;
}
