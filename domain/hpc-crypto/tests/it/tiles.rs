use std::collections::BTreeMap;

use hpc_crypto::CryptoError;
use hpc_crypto::hashing::Hash;
use hpc_crypto::merkle::{MerkleTree, NodeId, Profile, ProofPlan};
use hpc_crypto::tile::{Tile, TileKind, entries_of, hashes_of, node_in, push_entry};
use proptest::prelude::*;

const SHA: Profile = Profile::Rfc6962Sha256;

/// The example in c2sp.org/tlog-tiles.
#[test]
fn the_tiles_of_a_log_of_70000() {
    let counts: BTreeMap<(TileKind, bool), usize> =
        Tile::all(70_000).fold(BTreeMap::new(), |mut counts, tile| {
            *counts.entry((tile.kind(), tile.is_full())).or_default() += 1;
            counts
        });
    let expected = [
        ((TileKind::Hashes(0), true), 273),
        ((TileKind::Hashes(0), false), 1),
        ((TileKind::Hashes(1), true), 1),
        ((TileKind::Hashes(1), false), 1),
        ((TileKind::Hashes(2), false), 1),
        ((TileKind::Entries, true), 273),
        ((TileKind::Entries, false), 1),
    ];
    assert_eq!(counts, BTreeMap::from(expected));
    let partial: Vec<String> =
        Tile::all(70_000).filter(|tile| !tile.is_full()).map(|tile| tile.to_string()).collect();
    assert_eq!(partial, ["tile/0/273.p/112", "tile/1/001.p/17", "tile/2/000.p/1", "tile/entries/273.p/112"]);
    let of_256: Vec<String> = Tile::all(256).map(|tile| tile.to_string()).collect();
    assert_eq!(of_256, ["tile/0/000", "tile/1/000.p/1", "tile/entries/000"]);
    assert_eq!(Tile::all(0).count(), 0);
}

#[test]
fn paths_have_one_spelling() {
    for path in ["tile/0/000", "tile/3/x001/x234/067", "tile/entries/999.p/255", "tile/entries/x001/000"] {
        assert_eq!(path.parse::<Tile>().unwrap().to_string(), path);
    }
    for path in [
        "tile/0/0",
        "tile/00/000",
        "tile/8/000",
        "tile/0/001/000",
        "tile/0/x000/001",
        "tile/0/000.p/256",
        "tile/0/000.p/0",
        "tile/0/000.p/07",
        "tile/0/+00",
        "tile/0/000/",
        "tile/-1/000",
        "0/000",
        "tile/entries/x999/x999/x999/x999/x999/x999/999",
        "tile/7/x001/x234/x067/x000/000",
    ] {
        assert!(path.parse::<Tile>().is_err(), "{path}");
    }
}

#[test]
fn bundles_return_their_entries_and_refuse_cut_ones() {
    let mut bundle = Vec::new();
    for entry in [b"".as_slice(), b"one", &[7; 65_535]] {
        push_entry(&mut bundle, entry).unwrap();
    }
    assert_eq!(entries_of(&bundle).unwrap(), [b"".as_slice(), b"one", &[7; 65_535]]);
    for cut in [1, 3, 6, bundle.len() - 1] {
        assert!(entries_of(&bundle[..cut]).is_err(), "{cut}");
    }
    assert_eq!(push_entry(&mut bundle, &[0; 65_536]), Err(CryptoError::EntryTooLong { got: 65_536 }));
    assert!(hashes_of(&[0; 31]).is_err());
    assert!(hashes_of(&[]).is_err());
    assert!(hashes_of(&[0; 257 * 32]).is_err());
    assert_eq!(hashes_of(&[0; 64]).unwrap().len(), 2);
}

/// All hash tiles of a tree, cut as the format says.
fn tiles_of(tree: &MerkleTree) -> BTreeMap<Tile, Vec<Hash>> {
    let mut rows: Vec<Vec<Hash>> = vec![(0..tree.len()).map(|i| tree.leaf_hash(i).unwrap()).collect()];
    while rows.last().unwrap().len() >= 256 {
        let row = rows.last().unwrap().chunks_exact(256).map(|chunk| SHA.root_of(chunk)).collect();
        rows.push(row);
    }
    let mut tiles = BTreeMap::new();
    for (level, row) in rows.iter().enumerate() {
        for (index, chunk) in row.chunks(256).enumerate() {
            let kind = TileKind::Hashes(level as u8);
            tiles.insert(Tile::new(kind, index as u64, chunk.len() as u16).unwrap(), chunk.to_vec());
        }
    }
    tiles
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn proofs_from_tiles_are_proofs_from_the_tree(size in 1u64..70_000, at in any::<u64>()) {
        let mut tree = MerkleTree::new(SHA);
        for i in 0..size {
            tree.append_hash(Hash::from_bytes([i as u8; 32])).unwrap();
        }
        let tiles = tiles_of(&tree);
        let listed: Vec<Tile> = Tile::all(size).filter(|tile| tile.kind() != TileKind::Entries).collect();
        prop_assert_eq!(&listed, &tiles.keys().copied().collect::<Vec<_>>());
        let read = |node: NodeId| -> Result<Hash, CryptoError> {
            let (tile, range) = Tile::of_node(node, size)?;
            node_in(SHA, &tiles[&tile], range)
        };
        let (index, old) = (at % size, 1 + at % size);
        let plan = ProofPlan::inclusion(index, size).unwrap();
        prop_assert_eq!(plan.resolve(SHA, read).unwrap(), tree.prove(index).unwrap().hashes);
        prop_assert!(Tile::of_plan(&plan, size).unwrap().len() <= 4);
        let plan = ProofPlan::consistency(old, size).unwrap();
        prop_assert_eq!(plan.resolve(SHA, read).unwrap(), tree.prove_consistency(old, size).unwrap().hashes);
    }

    #[test]
    fn reading_paths_never_panics(path in "tile/(entries|[0-9]{1,3})/(x[0-9]{3}/){0,8}[0-9]{1,4}(\\.p/[0-9]{1,4})?") {
        if let Ok(tile) = path.parse::<Tile>() {
            prop_assert_eq!(tile.to_string(), path);
        }
    }
}

#[test]
fn the_widest_tile_of_a_place_grows_with_the_log() {
    let hashes = |level, index, width| Tile::new(TileKind::Hashes(level), index, width).unwrap();
    let entries = |index, width| Tile::new(TileKind::Entries, index, width).unwrap();
    for (tile, size, widest) in [
        (hashes(0, 0, 1), 0, None),
        (hashes(0, 0, 256), 7, Some(hashes(0, 0, 7))),
        (hashes(0, 0, 3), 70_000, Some(hashes(0, 0, 256))),
        (hashes(0, 273, 1), 70_000, Some(hashes(0, 273, 112))),
        (hashes(0, 274, 1), 70_000, None),
        (hashes(1, 1, 256), 70_000, Some(hashes(1, 1, 17))),
        (hashes(2, 0, 256), 70_000, Some(hashes(2, 0, 1))),
        (hashes(3, 0, 1), 70_000, None),
        (entries(273, 256), 70_000, Some(entries(273, 112))),
        (entries(0, 1), u64::MAX, Some(entries(0, 256))),
    ] {
        assert_eq!(tile.widest(size), widest, "{tile} at {size}");
    }
    // What `all` lists is as wide as it can be.
    for size in [1, 255, 256, 257, 65_536, 70_000] {
        assert!(Tile::all(size).all(|tile| tile.widest(size) == Some(tile)), "{size}");
    }
}
