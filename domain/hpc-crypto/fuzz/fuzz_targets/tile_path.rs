//! Any text as the path of a tile: one spelling each.
#![no_main]

use hpc_crypto::tile::Tile;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let Ok(path) = std::str::from_utf8(data) else { return };
    let Ok(tile) = path.parse::<Tile>() else { return };
    assert_eq!(tile.to_string(), path);
    assert_eq!(Tile::new(tile.kind(), tile.index(), tile.width()), Ok(tile));
    assert!(!path.contains("..") && !path.starts_with('/'), "a path stays below its prefix");
});
