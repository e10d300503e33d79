//! The contract of the published part of a log, one case per sentence.
//!
//! Every case gets a log that is empty and that nobody else writes to.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a case fails by panicking, with the broken sentence as its name"
)]

use std::sync::Arc;

use hpc_audit::{AuditLog, Entry, Hash, Outcome, PROFILE, SignedCheckpoint, Tile, TileKind, TileSource};
use jiff::Timestamp;

/// Makes one test for each case. Takes an expression of a future that gives `(Arc<L>, guard)`, where `L` is an
/// [`AuditLog`] and a [`TileSource`], empty; and whatever must live as long as it.
#[macro_export]
macro_rules! tile_source {
    ($factory:expr) => {
        mod tile_source_contract {
            #[allow(unused_imports, reason = "the factory may need nothing from around it")]
            use super::*;

            $crate::tile_source!(@cases $factory;
                a_new_log_has_a_signed_checkpoint_of_size_0,
                what_is_published_was_signed_and_never_goes_back,
                nothing_beyond_the_published_checkpoint_is_there,
                the_tiles_build_the_root_that_is_signed,
                what_older_checkpoints_need_is_not_lost,
                tiles_are_there_while_the_log_grows,
            );
        }
    };
    (@cases $factory:expr; $($case:ident,)+) => {
        $(
            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $case() {
                let (log, _guard) = ($factory).await;
                $crate::tiles::$case(&log).await;
            }
        )+
    };
}

fn entry(n: u64) -> Entry {
    let at = Timestamp::from_second(1_763_900_000).unwrap();
    Entry::new(format!("id-{n}"), at, "alice", "lease.active", Outcome::Ok).with("n", n)
}

async fn append<L: AuditLog>(log: &L, from: u64, to: u64) {
    for chunk in (from..to).collect::<Vec<_>>().chunks(500) {
        log.append(chunk.iter().map(|n| entry(*n)).collect()).await.unwrap();
    }
}

fn hashes(bytes: &[u8]) -> Vec<Hash> {
    assert_eq!(bytes.len() % 32, 0);
    bytes.chunks(32).map(|bytes| Hash::from_bytes(bytes.try_into().unwrap())).collect()
}

fn entries(mut bytes: &[u8]) -> Vec<Vec<u8>> {
    let mut found = Vec::new();
    while !bytes.is_empty() {
        let end = 2 + usize::from(u16::from_be_bytes([bytes[0], bytes[1]]));
        found.push(bytes[2..end].to_vec());
        bytes = &bytes[end..];
    }
    found
}

fn tile(kind: TileKind, index: u64, width: u16) -> Tile {
    Tile::new(kind, index, width).unwrap()
}

/// A log that never signed anything has a checkpoint of size 0, and no tiles.
pub async fn a_new_log_has_a_signed_checkpoint_of_size_0<L: AuditLog + TileSource>(log: &Arc<L>) {
    let published = log.published();
    assert_eq!(published.checkpoint().size, 0);
    assert_eq!(SignedCheckpoint::open(published.to_string().as_bytes(), &log.verifier_key()), Ok(published));
    for kind in [TileKind::Hashes(0), TileKind::Hashes(7), TileKind::Entries] {
        assert_eq!(log.tile(tile(kind, 0, 1)).await, Ok(None));
    }
}

/// A checkpoint that was given out is published at once; the size never goes back.
pub async fn what_is_published_was_signed_and_never_goes_back<L: AuditLog + TileSource>(log: &Arc<L>) {
    for n in 0..20 {
        let before = log.published();
        append(&**log, n, n + 1).await;
        let signed = log.checkpoint().await.unwrap();
        assert_eq!(log.published(), signed);
        assert!(before.checkpoint().size < signed.checkpoint().size);
    }
}

/// A tile that reaches beyond the published checkpoint is not there, whatever the log holds already.
pub async fn nothing_beyond_the_published_checkpoint_is_there<L: AuditLog + TileSource>(log: &Arc<L>) {
    append(&**log, 0, 300).await;
    log.checkpoint().await.unwrap();
    append(&**log, 300, 310).await;
    let size = log.published().checkpoint().size;
    for kind in [TileKind::Hashes(0), TileKind::Entries] {
        let widest = tile(kind, 1, u16::try_from(size - 256).unwrap());
        assert!(log.tile(widest).await.unwrap().is_some());
        assert_eq!(log.tile(tile(kind, 1, widest.width() + 1)).await, Ok(None));
        assert_eq!(log.tile(widest.full()).await, Ok(None));
        assert_eq!(log.tile(tile(kind, 2, 1)).await, Ok(None));
        assert_eq!(log.tile(tile(kind, 1 << 40, 1)).await, Ok(None));
    }
    assert_eq!(log.tile(tile(TileKind::Hashes(1), 0, 2)).await, Ok(None));
    assert_eq!(log.tile(tile(TileKind::Hashes(2), 0, 1)).await, Ok(None));
}

/// Somebody with nothing but tiles and checkpoint builds the tree anew and comes to its root.
pub async fn the_tiles_build_the_root_that_is_signed<L: AuditLog + TileSource>(log: &Arc<L>) {
    append(&**log, 0, 700).await;
    log.checkpoint().await.unwrap();
    let checkpoint = log.published().checkpoint().clone();
    let (mut leaves, mut inner, mut texts) = (Vec::new(), Vec::new(), Vec::new());
    for tile in Tile::all(checkpoint.size) {
        let bytes = log.tile(tile).await.unwrap().unwrap();
        match tile.kind() {
            TileKind::Hashes(0) => leaves.extend(hashes(&bytes)),
            TileKind::Hashes(_) => inner.extend(hashes(&bytes)),
            TileKind::Entries => texts.extend(entries(&bytes)),
        }
    }
    assert_eq!(PROFILE.root_of(&leaves), checkpoint.root);
    let from_entries: Vec<Hash> = texts.iter().map(|text| Entry::leaf_hash(text)).collect();
    assert_eq!(from_entries, leaves);
    let rows: Vec<Hash> = leaves.chunks_exact(256).map(|row| PROFILE.root_of(row)).collect();
    assert_eq!(inner, rows);
}

/// Tiles of older sizes are there when the log has grown, as the beginning of what is there now.
pub async fn what_older_checkpoints_need_is_not_lost<L: AuditLog + TileSource>(log: &Arc<L>) {
    let mut seen = Vec::new();
    let mut from = 0;
    for size in [10, 20, 255, 256, 300, 513] {
        append(&**log, from, size).await;
        from = size;
        log.checkpoint().await.unwrap();
        for tile in Tile::all(size) {
            seen.push((tile, log.tile(tile).await.unwrap().unwrap()));
        }
    }
    for (tile, bytes) in &seen {
        assert_eq!(log.tile(*tile).await.unwrap().as_ref(), Some(bytes), "{tile} has changed");
        let widest = tile.widest(513).unwrap();
        assert!(log.tile(widest).await.unwrap().unwrap().starts_with(bytes), "{tile}");
    }
}

/// Whoever reads beside a writer gets every tile of the checkpoint that he was given.
pub async fn tiles_are_there_while_the_log_grows<L: AuditLog + TileSource + 'static>(log: &Arc<L>) {
    let writer = {
        let log = Arc::clone(log);
        tokio::spawn(async move {
            for n in 0..60 {
                append(&*log, n * 10, n * 10 + 10).await;
                log.checkpoint().await.unwrap();
            }
        })
    };
    loop {
        let checkpoint = log.published().checkpoint().clone();
        let mut leaves = Vec::new();
        for tile in Tile::row(TileKind::Hashes(0), checkpoint.size) {
            leaves.extend(hashes(&log.tile(tile).await.unwrap().unwrap()));
        }
        assert_eq!(PROFILE.root_of(&leaves), checkpoint.root);
        for tile in Tile::row(TileKind::Entries, checkpoint.size) {
            assert_eq!(entries(&log.tile(tile).await.unwrap().unwrap()).len(), usize::from(tile.width()));
        }
        if checkpoint.size == 600 {
            break;
        }
        tokio::task::yield_now().await;
    }
    writer.await.unwrap();
}
