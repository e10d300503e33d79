//! Readers that know nothing of this software: the crates `signed_note` and `tlog_tiles` on a folder as it lies there.

use std::path::Path;

use hpc_audit::AuditLog as _;
use signed_note::{Note, StandardVerifier, VerifierList};
use tlog_tiles::{
    Checkpoint, Error, Hash, Tile, TileHashReader, TileReader, check_record, check_tree, prove_record,
    prove_tree, record_hash,
};

use crate::world::{append, entry, open};

/// Tiles from the files that the published format names.
struct Folder<'d>(&'d Path);

impl TileReader for Folder<'_> {
    fn height(&self) -> u8 {
        8
    }

    fn read_tiles(&self, tiles: &[Tile]) -> Result<Vec<Vec<u8>>, Error> {
        // That crate's paths name the height as well: `tile/8/0/000`.
        let read =
            |tile: &Tile| std::fs::read(self.0.join(tile.path().replacen("tile/8/", "tile/", 1))).unwrap();
        Ok(tiles.iter().map(read).collect())
    }

    fn save_tiles(&self, _: &[Tile], _: &[Vec<u8>]) {}
}

/// The checkpoint as a stranger with the key alone reads it.
fn checkpoint(dir: &Path, vkey: &str) -> Checkpoint {
    let note = Note::from_bytes(&std::fs::read(dir.join("checkpoint")).unwrap()).unwrap();
    let verifier = StandardVerifier::new(vkey).unwrap();
    let (verified, unknown) = note.verify(&VerifierList::new(vec![Box::new(verifier)])).unwrap();
    assert_eq!((verified.len(), unknown.len()), (1, 0));
    Checkpoint::from_bytes(note.text()).unwrap()
}

#[tokio::test]
async fn strangers_check_every_proof_from_the_tiles() {
    let dir = tempfile::tempdir().unwrap();
    let log = open(dir.path()).unwrap();
    let vkey = log.verifier_key().to_string();
    let mut earlier: Vec<(u64, Hash)> = Vec::new();
    let mut size = 0;
    for next in [1, 3, 255, 256, 257, 700, 9000] {
        append(&log, size, next).await;
        log.checkpoint().await.unwrap();
        size = next;
        // While the log is open.
        let found = checkpoint(dir.path(), &vkey);
        assert_eq!((found.origin(), found.size()), ("test.example/audit", size));
        let (root, tiles) = (*found.hash(), Folder(dir.path()));
        let reader = TileHashReader::new(size, root, &tiles);
        for index in (0..size).step_by(if size > 1000 { 901 } else { 41 }).chain([size - 1]) {
            let leaf = record_hash(&entry(index).encode().unwrap());
            let proof = prove_record(size, index, &reader).unwrap();
            check_record(&proof, size, root, index, leaf).unwrap();
            assert!(check_record(&proof, size, root, index, record_hash(b"other")).is_err());
        }
        for (old, old_root) in &earlier {
            let proof = prove_tree(size, *old, &reader).unwrap();
            check_tree(&proof, size, root, *old, *old_root).unwrap();
        }
        earlier.push((size, root));
    }
}

#[tokio::test]
async fn strangers_see_a_changed_tile_and_a_foreign_key() {
    let dir = tempfile::tempdir().unwrap();
    let log = open(dir.path()).unwrap();
    append(&log, 0, 300).await;
    log.close().await.unwrap();
    let found = checkpoint(dir.path(), &log.verifier_key().to_string());
    let path = dir.path().join("tile/0/000");
    let mut tile = std::fs::read(&path).unwrap();
    tile[32 * 7] ^= 1;
    std::fs::write(&path, tile).unwrap();
    let tiles = Folder(dir.path());
    let leaf = record_hash(&entry(6).encode().unwrap());
    let verdict = prove_record(300, 6, &TileHashReader::new(300, *found.hash(), &tiles))
        .and_then(|proof| check_record(&proof, 300, *found.hash(), 6, leaf));
    assert!(verdict.is_err());
    let other =
        hpc_audit::VerifierKey::new("test.example/audit", crate::world::keys(9).public_key()).unwrap();
    let note = Note::from_bytes(&std::fs::read(dir.path().join("checkpoint")).unwrap()).unwrap();
    let verifier = StandardVerifier::new(&other.to_string()).unwrap();
    assert!(note.verify(&VerifierList::new(vec![Box::new(verifier)])).is_err());
}
