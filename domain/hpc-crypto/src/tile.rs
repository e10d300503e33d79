//! C2SP tiles: where the hashes and entries of a log lie, and which of them a proof needs.
//!
//! A hash tile of level L holds up to 256 hashes of complete subtrees of 256^L leaves; an entry bundle holds up to 256
//! entries, each behind its length in two bytes. Source: c2sp.org/tlog-tiles.

use std::collections::BTreeSet;
use std::fmt;
use std::ops::Range;
use std::str::FromStr;

use crate::CryptoError;
use crate::hashing::{HASH_BYTES, Hash};
use crate::merkle::{LEAVES_MAX, NodeId, Profile, ProofPlan};

/// Levels of the tree in one tile.
pub const TILE_HEIGHT: u32 = 8;
/// Hashes or entries in a full tile.
pub const TILE_WIDTH: u16 = 256;
/// The highest tile level that a tree of 2^63 - 1 leaves has.
pub const TILE_LEVEL_MAX: u8 = 7;
/// The longest entry of a bundle, in bytes.
pub const ENTRY_BYTES_MAX: usize = 65_535;

/// What a tile holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum TileKind {
    /// Hashes of complete subtrees of 256^level leaves.
    Hashes(u8),
    /// The entries themselves.
    Entries,
}

/// One tile of a log: its kind, its place in the row, and how much of it is filled. Its text form is its path.
///
/// ```
/// use hpc_crypto::tile::{Tile, TileKind};
/// # fn main() -> Result<(), hpc_crypto::CryptoError> {
/// let tile = Tile::new(TileKind::Hashes(0), 1_234_067, 17)?;
/// assert_eq!(tile.to_string(), "tile/0/x001/x234/067.p/17");
/// assert_eq!(tile.to_string().parse::<Tile>()?, tile);
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Tile {
    kind: TileKind,
    index: u64,
    width: u16,
}

impl Tile {
    /// A tile, when there can be one of this kind, place and width.
    ///
    /// # Errors
    /// Only [`CryptoError::InvalidTile`].
    pub fn new(kind: TileKind, index: u64, width: u16) -> Result<Self, CryptoError> {
        let invalid = |reason| Err(CryptoError::InvalidTile { reason });
        if width == 0 || width > TILE_WIDTH {
            return invalid("the width is not 1 to 256");
        }
        if matches!(kind, TileKind::Hashes(level) if level > TILE_LEVEL_MAX) {
            return invalid("the level is above 7");
        }
        let tile = Self { kind, index, width };
        match tile
            .index
            .checked_mul(u64::from(TILE_WIDTH))
            .and_then(|first| first.checked_add(u64::from(width)))
        {
            Some(end) if end <= LEAVES_MAX >> tile.shift() => Ok(tile),
            _ => invalid("the index is beyond the largest tree"),
        }
    }

    /// What it holds.
    pub const fn kind(&self) -> TileKind {
        self.kind
    }

    /// Its place in the row of its kind.
    pub const fn index(&self) -> u64 {
        self.index
    }

    /// How many hashes or entries it holds, 1 to 256.
    pub const fn width(&self) -> u16 {
        self.width
    }

    /// Whether nothing can be added to it.
    pub const fn is_full(&self) -> bool {
        self.width == TILE_WIDTH
    }

    /// The tile of the same place when it is full.
    #[must_use]
    pub const fn full(self) -> Self {
        Self { width: TILE_WIDTH, ..self }
    }

    /// Position of its first hash or entry in its row.
    pub const fn start(&self) -> u64 {
        self.index * TILE_WIDTH as u64
    }

    /// The widest tile of the same kind and place in a log of `size` entries; `None` when there is not even one entry of it.
    #[must_use]
    pub fn widest(self, size: u64) -> Option<Self> {
        let width = width_of(size.min(LEAVES_MAX) >> self.shift(), self.index);
        (width > 0).then_some(Self { width, ..self })
    }

    /// The hash tile that `node` is computed from in a log of `size` entries, and the hashes in it that matter.
    ///
    /// # Errors
    /// [`CryptoError::IndexOutOfRange`] when the node is not complete at that size.
    pub fn of_node(node: NodeId, size: u64) -> Result<(Self, Range<usize>), CryptoError> {
        let outside = CryptoError::IndexOutOfRange { index: node.index, size };
        let (level, inner) = (node.level / TILE_HEIGHT, node.level % TILE_HEIGHT);
        let end = node.index.checked_add(1).ok_or(outside.clone())?;
        if node.level >= u64::BITS || size > LEAVES_MAX || end > size >> node.level {
            return Err(outside);
        }
        let first = node.index << inner;
        let index = first / u64::from(TILE_WIDTH);
        let offset = (first % u64::from(TILE_WIDTH)) as usize;
        let width = width_of(size >> (level * TILE_HEIGHT), index);
        Ok((Self::new(TileKind::Hashes(level as u8), index, width)?, offset..offset + (1 << inner)))
    }

    /// Every tile of a log of `size` entries: hash tiles level by level, then entry bundles.
    pub fn all(size: u64) -> impl Iterator<Item = Self> {
        let hashes = (0..=TILE_LEVEL_MAX).map(TileKind::Hashes);
        hashes.chain([TileKind::Entries]).flat_map(move |kind| Self::row(kind, size))
    }

    /// The tiles of one kind of a log of `size` entries, in order; the last may be partial.
    pub fn row(kind: TileKind, size: u64) -> impl Iterator<Item = Self> {
        let in_row = match kind {
            TileKind::Hashes(level) if level <= TILE_LEVEL_MAX => size >> (u32::from(level) * TILE_HEIGHT),
            TileKind::Hashes(_) => 0,
            TileKind::Entries => size,
        };
        (0..in_row.div_ceil(u64::from(TILE_WIDTH))).map(move |index| Self {
            kind,
            index,
            width: width_of(in_row, index),
        })
    }

    /// The hash tiles that a proof needs in a log of `size` entries, each once.
    ///
    /// # Errors
    /// As [`Tile::of_node`].
    pub fn of_plan(plan: &ProofPlan, size: u64) -> Result<Vec<Self>, CryptoError> {
        let tiles = plan.nodes().iter().map(|node| Self::of_node(*node, size).map(|(tile, _)| tile));
        Ok(tiles.collect::<Result<BTreeSet<_>, _>>()?.into_iter().collect())
    }

    const fn shift(&self) -> u32 {
        match self.kind {
            TileKind::Hashes(level) => level as u32 * TILE_HEIGHT,
            TileKind::Entries => 0,
        }
    }
}

/// Hashes in tile `index` of a row of `in_row`; the caller knows that there is at least one.
fn width_of(in_row: u64, index: u64) -> u16 {
    let rest = in_row.saturating_sub(index * u64::from(TILE_WIDTH)).min(u64::from(TILE_WIDTH));
    rest as u16
}

impl fmt::Display for Tile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.kind {
            TileKind::Hashes(level) => write!(f, "tile/{level}/")?,
            TileKind::Entries => f.write_str("tile/entries/")?,
        }
        // Groups of three digits, all but the last marked with an `x`.
        let mut groups = vec![format!("{:03}", self.index % 1000)];
        let mut rest = self.index / 1000;
        while rest > 0 {
            groups.push(format!("x{:03}/", rest % 1000));
            rest /= 1000;
        }
        groups.iter().rev().try_for_each(|group| f.write_str(group))?;
        if self.is_full() { Ok(()) } else { write!(f, ".p/{}", self.width) }
    }
}

impl FromStr for Tile {
    type Err = CryptoError;

    /// Reads a path below the log's prefix. Every other spelling of the same tile is refused.
    fn from_str(path: &str) -> Result<Self, CryptoError> {
        let invalid = CryptoError::InvalidTile { reason: "not a tile path" };
        let Some((kind, rest)) = path.strip_prefix("tile/").and_then(|rest| rest.split_once('/')) else {
            return Err(invalid);
        };
        let kind = match kind {
            "entries" => TileKind::Entries,
            level => TileKind::Hashes(level.parse().map_err(|_| invalid.clone())?),
        };
        let (place, width) = match rest.split_once(".p/") {
            Some((place, width)) => (place, width.parse().map_err(|_| invalid.clone())?),
            None => (rest, TILE_WIDTH),
        };
        let mut index: u64 = 0;
        for group in place.split('/') {
            let digits = group.strip_prefix('x').unwrap_or(group);
            let value: u64 = digits.parse().map_err(|_| invalid.clone())?;
            index = index.checked_mul(1000).and_then(|i| i.checked_add(value)).ok_or(invalid.clone())?;
        }
        let tile = Self::new(kind, index, width)?;
        // Writing it again settles leading zeros, plus signs, missing `x` and a width of 256 at once.
        if tile.to_string() == path { Ok(tile) } else { Err(invalid) }
    }
}

/// The hashes of a hash tile.
///
/// # Errors
/// [`CryptoError::InvalidTile`] when the bytes are not 1 to 256 whole hashes.
pub fn hashes_of(bytes: &[u8]) -> Result<Vec<Hash>, CryptoError> {
    let (hashes, rest) = bytes.as_chunks::<HASH_BYTES>();
    if hashes.is_empty() || !rest.is_empty() || hashes.len() > usize::from(TILE_WIDTH) {
        return Err(CryptoError::InvalidTile { reason: "not 1 to 256 whole hashes" });
    }
    Ok(hashes.iter().map(|bytes| Hash::from_bytes(*bytes)).collect())
}

/// The hash of the node that [`Tile::of_node`] placed at `range` of a tile with these hashes.
///
/// # Errors
/// [`CryptoError::InvalidTile`] when the tile is too short for it or the range is not a power of two.
pub fn node_in(profile: Profile, hashes: &[Hash], range: Range<usize>) -> Result<Hash, CryptoError> {
    match hashes.get(range) {
        Some(row) if row.len().is_power_of_two() => Ok(profile.root_of(row)),
        _ => Err(CryptoError::InvalidTile { reason: "the tile is too short for the node" }),
    }
}

/// Appends one entry to the bytes of an entry bundle.
///
/// # Errors
/// Only [`CryptoError::EntryTooLong`].
pub fn push_entry(bundle: &mut Vec<u8>, entry: &[u8]) -> Result<(), CryptoError> {
    let Ok(length) = u16::try_from(entry.len()) else {
        return Err(CryptoError::EntryTooLong { got: entry.len() });
    };
    bundle.extend_from_slice(&length.to_be_bytes());
    bundle.extend_from_slice(entry);
    Ok(())
}

/// The entries of an entry bundle.
///
/// # Errors
/// [`CryptoError::InvalidTile`] when the bytes end inside an entry.
pub fn entries_of(mut bundle: &[u8]) -> Result<Vec<&[u8]>, CryptoError> {
    let mut entries = Vec::new();
    while !bundle.is_empty() {
        let cut = CryptoError::InvalidTile { reason: "the bundle ends inside an entry" };
        let (length, rest) = bundle.split_first_chunk::<2>().ok_or(cut.clone())?;
        let (entry, rest) = rest.split_at_checked(usize::from(u16::from_be_bytes(*length))).ok_or(cut)?;
        entries.push(entry);
        bundle = rest;
    }
    Ok(entries)
}
