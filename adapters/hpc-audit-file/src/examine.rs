//! Reads a whole folder and holds every byte of it against every other: opening a log and verifying it are one thing.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;

use hpc_audit::{APPEND_BYTES_MAX, Entry, PROFILE, SignedCheckpoint, VerifierKey};
use hpc_crypto::CryptoError;
use hpc_crypto::checkpoint::Checkpoint;
use hpc_crypto::hashing::{HASH_BYTES, Hash};
use hpc_crypto::merkle::{CompactRange, cover};
use hpc_crypto::note::{NOTE_BYTES_MAX, SignedNote};
use hpc_crypto::tile::{TILE_HEIGHT, TILE_LEVEL_MAX, TILE_WIDTH, Tile, TileKind, hashes_of, node_in};

use crate::config::{GROUP_BYTES_MAX, TAIL_BYTES_MAX};
use crate::disk::{CHECKPOINT, LOCK, TAIL, UNFINISHED, VKEY};
use crate::index::{CHUNK_ENTRIES, FOLDER, IndexCheck, IndexFile};
use crate::map::{damaged, io_of};
use crate::segment::{
    BASE_OFFSET, ROOT_OFFSET, SECTOR_BYTES, TornTail, name_of, number_of, scan, split_entries,
};
use crate::shared::{BUNDLE_BYTES_MAX, Batch, Edge, Pending, Row, WIDTH, push_node, read_file};
use crate::tail::Held;
use crate::{Against, DirError, Progress};

/// Folders are nested no deeper than this: index groups of a tile, and what is above them.
const DEPTH_MAX: usize = 12;
/// The most files of one folder that are looked at.
const FILES_MAX: u64 = 16_000_000;

/// The longest file of a tail: a group may be written when it is almost as long as it may be.
const FILE_READ_MAX: u64 = TAIL_BYTES_MAX + 2 * GROUP_READ_MAX;
const GROUP_READ_MAX: u64 = (GROUP_BYTES_MAX + APPEND_BYTES_MAX) as u64 * 2;
/// What is said of a folder of the first layout.
const OLD_TAIL: &str = "is one file, a layout that this version does not read: begin a new folder";

/// How much is looked at.
pub(crate) enum Scope<'a> {
    /// Everything.
    Complete(&'a Against<'a>),
    /// Everything while no more than so many entries are signed; otherwise the end.
    Opening {
        /// The most entries.
        check_max: u64,
    },
}

/// A folder that holds.
pub(crate) struct Examined {
    pub(crate) key: VerifierKey,
    pub(crate) edge: Edge,
    pub(crate) tail: TailFiles,
    pub(crate) torn: Option<TornTail>,
    pub(crate) unfinished: Vec<String>,
    pub(crate) files: u64,
    /// The entries from here on were looked at.
    pub(crate) checked_from: u64,
    /// Files of the index that do not fit the entries; none when not all entries were looked at.
    pub(crate) index_damage: Vec<(IndexFile, DirError)>,
}

/// Looks at a folder; `visit` sees every entry that is looked at, in order.
pub(crate) fn examine(
    root: &Path,
    scope: &Scope<'_>,
    progress: impl FnMut(Progress),
    mut visit: impl FnMut(u64, &Entry),
) -> Result<Examined, DirError> {
    let (against, check_max) = match scope {
        Scope::Complete(against) => (**against, u64::MAX),
        Scope::Opening { check_max } => (Against::default(), *check_max),
    };
    let mut listing = Listing::default();
    list(root, "", 0, &mut listing)?;
    let key = read_key(root)?;
    if let Some(want) = against.vkey
        && want != key.to_string()
    {
        return Err(DirError::OtherKey { got: key.to_string(), want: want.to_owned() });
    }
    let checkpoint = read_checkpoint(root, &key)?;
    let remembered = against.remembered.map(|note| remember(note, &key, &checkpoint)).transpose()?;
    let signed = checkpoint.checkpoint().clone();
    let (tail, torn) = survey(root, &listing.tail, &signed)?;

    // A multiple of what the index writes at once, so that everything it does not have yet is seen.
    let checked_from = if signed.size <= check_max { 0 } else { tail.base - tail.base % CHUNK_ENTRIES };
    let index_files = if checked_from == 0 { listing.index } else { BTreeSet::new() };
    let mut index_check = IndexCheck::new(root, index_files, signed.size);
    let visit = |index: u64, entry: &Entry| {
        index_check.push(entry);
        visit(index, entry);
    };
    let mut walk = Walk::new(root, listing.tiles, &signed, tail.end, progress, visit);
    walk.begin_at(checked_from)?;
    walk.remembered_size = remembered.as_ref().map(|remembered| remembered.checkpoint().size);
    walk.remembered_root = (walk.remembered_size == Some(0)).then(|| PROFILE.empty_root());
    walk.published_entries(tail.base)?;
    let mut other_root = None;
    for held in &tail.held {
        let name = name_of(held.number);
        let bytes = read_file(root, &name, FILE_READ_MAX)?;
        let scanned = scan(&bytes, held.number)?;
        if scanned.begin.is_none_or(|(_, root)| root != walk.range.root()) {
            other_root.get_or_insert_with(|| name.clone());
        }
        for (offset, entry) in &scanned.entries {
            walk.push(entry, &name, *offset)?;
        }
    }
    walk.finish(&signed, &tail)?;
    // Only now, because a changed entry is better named by where it is than by this.
    if let Some(name) = other_root {
        let reason = "the root in the header is not that of the entries before the file";
        return Err(damaged(name, ROOT_OFFSET, reason));
    }

    if let Some(remembered) = remembered
        && walk.remembered_root.is_some_and(|root| root != remembered.checkpoint().root)
    {
        return Err(DirError::SplitView { remembered: Box::new(remembered), signed: Box::new(checkpoint) });
    }

    listing.unfinished.extend(walk.torn);
    let Walk { range, rows, pending_start, pending, .. } = walk;
    let edge = Edge { range, rows, pending_start, pending, checkpoint };
    let index_damage = index_check.finish();
    let (unfinished, files) = (listing.unfinished, listing.files);
    Ok(Examined { key, edge, tail, torn, unfinished, files, checked_from, index_damage })
}

/// The files of a tail that holds together.
pub(crate) struct TailFiles {
    /// Number of entries before the tail, and with it.
    pub(crate) base: u64,
    pub(crate) end: u64,
    /// Those that hold entries, oldest first; at least one.
    pub(crate) held: Vec<Held>,
    /// Those behind them, which were only prepared.
    pub(crate) prepared: Vec<u64>,
    /// Whether the last of those that hold entries ends in a write that did not reach the disk.
    pub(crate) is_torn: bool,
}

/// Looks at the tail alone: every file goes on where the one before it ends, and only the last may be torn.
fn survey(
    root: &Path,
    numbers: &BTreeSet<u64>,
    signed: &Checkpoint,
) -> Result<(TailFiles, Option<TornTail>), DirError> {
    let Some(first) = numbers.first() else { return Err(DirError::Missing { file: TAIL.to_owned() }) };
    let mut tail = TailFiles { base: 0, end: 0, held: Vec::new(), prepared: Vec::new(), is_torn: false };
    let mut torn = None;
    for (number, wanted) in numbers.iter().zip(*first..) {
        let name = name_of(*number);
        if *number != wanted {
            return Err(DirError::Missing { file: name_of(wanted) });
        }
        let bytes = read_file(root, &name, FILE_READ_MAX)?;
        let scanned = scan(&bytes, *number)?;
        let is_used = scanned.begin.is_some() || scanned.torn.is_some();
        if is_used && (torn.is_some() || !tail.prepared.is_empty()) {
            let before = name_of(number.saturating_sub(1));
            return Err(damaged(before, None, format!("does not end whole, but `{name}` goes on")));
        }
        torn = torn.or(scanned.torn);
        match scanned.begin {
            Some((base, _)) if tail.held.is_empty() => (tail.base, tail.end) = (base, base),
            Some((base, _)) if base != tail.end => {
                let reason =
                    format!("begins after entry {base}, but the file before it ends after {}", tail.end);
                return Err(damaged(name, BASE_OFFSET, reason));
            }
            Some(_) => {}
            None if tail.held.is_empty() => {
                return Err(damaged(name, 0, "the first file of the tail has no header"));
            }
            None => {
                tail.prepared.push(*number);
                continue;
            }
        }
        tail.is_torn = scanned.torn.is_some();
        tail.held.push(Held { number: *number, base: tail.end, bytes: scanned.good_bytes });
        tail.end += scanned.entries.len() as u64;
    }
    if tail.base > signed.size {
        let (size, base) = (signed.size, tail.base);
        let reason = format!("signs {size} entries, but the tail begins after {base}: it was put back");
        return Err(damaged(CHECKPOINT, None, reason));
    }
    Ok((tail, torn))
}

#[derive(Default)]
struct Listing {
    tiles: BTreeSet<Tile>,
    tail: BTreeSet<u64>,
    index: BTreeSet<IndexFile>,
    unfinished: Vec<String>,
    files: u64,
}

fn list(root: &Path, below: &str, depth: usize, listing: &mut Listing) -> Result<(), DirError> {
    let folder = if below.is_empty() { root.to_owned() } else { root.join(below) };
    let shown = if below.is_empty() { "." } else { below };
    for entry in std::fs::read_dir(folder).map_err(io_of(shown))? {
        let entry = entry.map_err(io_of(shown))?;
        let name = entry.file_name();
        let prefix = if below.is_empty() { String::new() } else { format!("{below}/") };
        let unexpected = || DirError::Unexpected { file: format!("{prefix}{}", name.to_string_lossy()) };
        let path = format!("{prefix}{}", name.to_str().ok_or_else(unexpected)?);
        let kind = entry.file_type().map_err(io_of(&path))?;
        if kind.is_dir() && depth < DEPTH_MAX {
            list(root, &path, depth + 1, listing)?;
            continue;
        }
        listing.files += 1;
        if !kind.is_file() || listing.files > FILES_MAX {
            return Err(unexpected());
        }
        match path.as_str() {
            LOCK => {
                if entry.metadata().map_err(io_of(LOCK))?.len() != 0 {
                    return Err(damaged(LOCK, 0, "the file must be empty"));
                }
            }
            VKEY | CHECKPOINT => {}
            TAIL => return Err(damaged(TAIL, None, OLD_TAIL)),
            other if other.starts_with(FOLDER) => {
                match (
                    other.parse::<IndexFile>(),
                    other.strip_suffix(UNFINISHED).map(str::parse::<IndexFile>),
                ) {
                    (Ok(file), _) => drop(listing.index.insert(file)),
                    (Err(()), Some(Ok(_))) => listing.unfinished.push(path),
                    _ => return Err(unexpected()),
                }
            }
            other => match (other.parse::<Tile>(), number_of(other), other.strip_suffix(UNFINISHED)) {
                (Ok(tile), ..) => {
                    listing.tiles.insert(tile);
                }
                (_, Some(number), _) => {
                    listing.tail.insert(number);
                }
                (.., Some(VKEY | CHECKPOINT)) => listing.unfinished.push(path),
                (.., Some(name)) if name.parse::<Tile>().is_ok() || number_of(name).is_some() => {
                    listing.unfinished.push(path);
                }
                _ => return Err(unexpected()),
            },
        }
    }
    Ok(())
}

pub(crate) fn read_key(root: &Path) -> Result<VerifierKey, DirError> {
    let bytes = read_file(root, VKEY, 1024)?;
    let text =
        std::str::from_utf8(&bytes).map_err(|error| damaged(VKEY, error.valid_up_to() as u64, "not text"))?;
    let Some(line) = text.strip_suffix('\n') else {
        return Err(damaged(VKEY, text.len() as u64, "no newline at the end"));
    };
    line.parse().map_err(|error: hpc_crypto::CryptoError| damaged(VKEY, None, error.to_string()))
}

pub(crate) fn read_checkpoint(root: &Path, key: &VerifierKey) -> Result<SignedCheckpoint, DirError> {
    let bytes = read_file(root, CHECKPOINT, NOTE_BYTES_MAX as u64)?;
    let wrong = |error: hpc_crypto::CryptoError| damaged(CHECKPOINT, None, error.to_string());
    let signed = SignedCheckpoint::open(&bytes, key).map_err(wrong)?;
    // Nothing vouches for a signature of a key that is not known here, so there may be none.
    let note = SignedNote::parse(&bytes).map_err(wrong)?;
    if note.signatures().len() != 1 {
        return Err(damaged(
            CHECKPOINT,
            note.text().len() as u64,
            "carries a signature that is not the log's",
        ));
    }
    Ok(signed)
}

/// An earlier checkpoint, when it is one of this log and the log has not become shorter since.
fn remember(note: &[u8], key: &VerifierKey, signed: &SignedCheckpoint) -> Result<SignedCheckpoint, DirError> {
    let remembered = SignedCheckpoint::open(note, key).map_err(DirError::Remembered)?;
    if remembered.checkpoint().size > signed.checkpoint().size {
        let signed = Box::new(signed.clone());
        return Err(DirError::Rollback { remembered: Box::new(remembered), signed });
    }
    Ok(remembered)
}

/// Where an entry was read.
struct Place {
    file: Arc<str>,
    offset: u64,
}

/// A file that does not fit the entries, and the entry that it does not fit.
struct Mismatch {
    file: String,
    offset: u64,
    source: Option<(String, u64)>,
}

struct Walk<'r, P, V> {
    root: &'r Path,
    /// Files not yet compared.
    tiles: BTreeSet<Tile>,
    /// Files compared.
    seen: BTreeSet<Tile>,
    /// How many entries there are to look at.
    entries: u64,
    progress: P,
    visit: V,
    signed_size: u64,
    signed_root: Option<Hash>,
    remembered_size: Option<u64>,
    remembered_root: Option<Hash>,
    /// The entries from here on are looked at.
    begin: u64,
    range: CompactRange,
    rows: Vec<Row>,
    pending_start: u64,
    pending: Vec<Pending>,
    // The bundle being filled: its bytes, the end of each entry in them, and where each entry was read.
    bundle: Vec<u8>,
    ends: Vec<usize>,
    places: Vec<Place>,
    mismatch: Option<Mismatch>,
    /// Tiles that are not signed and did not reach the disk whole.
    torn: Vec<String>,
}

impl<'r, P: FnMut(Progress), V: FnMut(u64, &Entry)> Walk<'r, P, V> {
    fn new(
        root: &'r Path,
        tiles: BTreeSet<Tile>,
        signed: &Checkpoint,
        entries: u64,
        progress: P,
        visit: V,
    ) -> Self {
        Self {
            root,
            tiles,
            seen: BTreeSet::new(),
            entries,
            progress,
            visit,
            signed_size: signed.size,
            signed_root: (signed.size == 0).then(|| PROFILE.empty_root()),
            remembered_size: None,
            remembered_root: None,
            begin: 0,
            range: CompactRange::new(PROFILE),
            rows: Vec::new(),
            pending_start: signed.size - signed.size % WIDTH,
            pending: Vec::new(),
            bundle: Vec::new(),
            ends: Vec::new(),
            places: Vec::new(),
            mismatch: None,
            torn: Vec::new(),
        }
    }

    /// Lets the tiles stand for the entries before `begin`, which is a multiple of 256 and not beyond the signed size.
    ///
    /// Only the last tile of each row is read: every hash in it is part of the root that [`Walk::finish`] compares.
    fn begin_at(&mut self, begin: u64) -> Result<(), DirError> {
        self.begin = begin;
        let outside = |error: hpc_crypto::CryptoError| damaged(TAIL, 12, error.to_string());
        for level in (0..=TILE_LEVEL_MAX).take_while(|level| begin >> (8 * u32::from(*level)) > 0) {
            let shift = 8 * u32::from(level);
            let (count, signed) = (begin >> shift, self.signed_size >> shift);
            let start = count - count % WIDTH;
            let mut row = Row { start, ..Row::default() };
            if count > start {
                let width = (signed - start).min(WIDTH) as u16;
                let exact = Tile::new(TileKind::Hashes(level), start / WIDTH, width).map_err(outside)?;
                let tile = [exact, exact.full()].into_iter().find(|tile| self.tiles.contains(tile));
                let name = tile.unwrap_or(exact).to_string();
                let hashes = hashes_of(&read_file(self.root, &name, BUNDLE_BYTES_MAX)?)
                    .map_err(|error| damaged(&name, None, error.to_string()))?;
                row.hashes.extend(hashes.iter().take((count - start) as usize));
                if row.end() != count {
                    return Err(damaged(&name, None, "the tile is too short"));
                }
            }
            self.rows.push(row);
        }
        let nodes = cover(0, begin).into_iter().map(|node| {
            let (level, inner) = ((node.level / TILE_HEIGHT) as usize, node.level % TILE_HEIGHT);
            let row = self.rows.get(level).ok_or(CryptoError::InvalidTile { reason: "no such row" })?;
            let first = ((node.index << inner) - row.start) as usize;
            node_in(PROFILE, &row.hashes, first..first + (1 << inner))
        });
        let nodes = nodes.collect::<Result<Vec<_>, _>>().map_err(outside)?;
        self.range = CompactRange::from_nodes(PROFILE, begin, nodes).map_err(outside)?;
        if begin == self.signed_size {
            self.signed_root = Some(self.range.root());
        }
        // Of the tiles before, it is only looked whether they are there.
        let shift = |tile: &Tile| match tile.kind() {
            TileKind::Hashes(level) => 8 * u32::from(level),
            TileKind::Entries => 0,
        };
        let before = |tile: &Tile| (tile.index() + 1) * WIDTH <= begin >> shift(tile);
        self.seen.extend(self.tiles.extract_if(.., |tile| before(tile)));
        Ok(())
    }

    /// The entries before the tail, of which there are no more than signed ones, from their bundles.
    fn published_entries(&mut self, base: u64) -> Result<(), DirError> {
        for index in self.begin / WIDTH..base.div_ceil(WIDTH) {
            let wanted = (base - index * WIDTH).min(WIDTH) as u16;
            let outside = |error: hpc_crypto::CryptoError| damaged(TAIL, 12, error.to_string());
            // The bundle that is signed: a wider one need not have reached the disk whole.
            let width = (self.signed_size - index * WIDTH).min(WIDTH) as u16;
            let signed = Tile::new(TileKind::Entries, index, width).map_err(outside)?;
            let tile = [signed, signed.full()].into_iter().find(|tile| self.tiles.contains(tile));
            let Some(tile) = tile else { return Err(DirError::Missing { file: signed.to_string() }) };
            let name = tile.to_string();
            let bytes = read_file(self.root, &name, BUNDLE_BYTES_MAX)?;
            let entries = split_entries(&bytes)
                .map_err(|at| damaged(&name, at as u64, "the bundle ends inside an entry"))?;
            if entries.len() != usize::from(tile.width()) {
                let reason = format!("holds {} entries instead of {}", entries.len(), tile.width());
                return Err(damaged(&name, bytes.len() as u64, reason));
            }
            // A full bundle is compared with the tail as well when the tail begins inside it.
            if tile.width() == wanted {
                self.tiles.remove(&tile);
                self.seen.insert(tile);
            }
            for (at, entry) in entries.iter().take(usize::from(wanted)) {
                self.push(entry, &name, *at as u64)?;
            }
        }
        Ok(())
    }

    fn push(&mut self, bytes: &[u8], file: &str, offset: u64) -> Result<(), DirError> {
        let index = self.range.size();
        let entry =
            Entry::decode(bytes).map_err(|error| damaged(file, offset, format!("entry {index}: {error}")))?;
        (self.visit)(index, &entry);
        if index >= self.pending_start {
            let mut batch = Batch::default();
            batch.push(&entry).map_err(|error| damaged(file, offset, format!("entry {index}: {error}")))?;
            self.pending.extend(batch.pending());
        }
        self.bundle.extend_from_slice(&(bytes.len() as u16).to_be_bytes());
        self.bundle.extend_from_slice(bytes);
        self.ends.push(self.bundle.len());
        let file = match self.places.last() {
            Some(place) if *place.file == *file => Arc::clone(&place.file),
            _ => Arc::from(file),
        };
        self.places.push(Place { file, offset });

        let rows = &mut self.rows;
        let mut filled = 0;
        let appended = self.range.append_with(Entry::leaf_hash(bytes), |node, hash| {
            push_node(rows, node, hash);
            let is_full = |row: &Row| row.end().is_multiple_of(WIDTH);
            let row = rows.get((node.level / TILE_HEIGHT) as usize);
            filled += usize::from(node.level.is_multiple_of(TILE_HEIGHT) && row.is_some_and(is_full));
        });
        appended.map_err(|error| damaged(TAIL, None, error.to_string()))?;
        let size = self.range.size();
        if size == self.signed_size {
            self.signed_root = Some(self.range.root());
        }
        if Some(size) == self.remembered_size {
            self.remembered_root = Some(self.range.root());
        }
        if size.is_multiple_of(WIDTH) || size == self.entries {
            (self.progress)(Progress { entries_done: size, entries: self.entries });
        }
        // A row fills only together with all rows below it.
        for level in 0..filled {
            self.compare_hashes(level)?;
            let required = (self.signed_size >> (8 * level as u32)) / WIDTH * WIDTH;
            if let Some(row) = self.rows.get_mut(level)
                && row.end() <= required
            {
                row.start = row.end();
                row.hashes.clear();
            }
        }
        if filled > 0 {
            self.compare_bundle()?;
            self.bundle.clear();
            self.ends.clear();
            self.places.clear();
        }
        Ok(())
    }

    /// Compares the files of the last tile of a row with the hashes of the row.
    fn compare_hashes(&mut self, level: usize) -> Result<(), DirError> {
        let Some(row) = self.rows.get(level) else { return Ok(()) };
        let Some(last) = row.end().checked_sub(1) else { return Ok(()) };
        let index = last / WIDTH;
        let skip = (index * WIDTH).saturating_sub(row.start) as usize;
        let bytes: Vec<u8> = row.hashes.iter().skip(skip).flat_map(|hash| *hash.as_bytes()).collect();
        let ends: Vec<usize> = (1..=bytes.len() / HASH_BYTES).map(|count| count * HASH_BYTES).collect();
        self.compare(TileKind::Hashes(level as u8), index, &bytes, &ends)
    }

    fn compare_bundle(&mut self) -> Result<(), DirError> {
        let Some(last) = self.range.size().checked_sub(1) else { return Ok(()) };
        let (bytes, ends) = (std::mem::take(&mut self.bundle), std::mem::take(&mut self.ends));
        let outcome = self.compare(TileKind::Entries, last / WIDTH, &bytes, &ends);
        (self.bundle, self.ends) = (bytes, ends);
        outcome
    }

    /// Compares all files of one tile, full or partial, with what the entries make of it.
    fn compare(&mut self, kind: TileKind, index: u64, bytes: &[u8], ends: &[usize]) -> Result<(), DirError> {
        let bound =
            |width| Tile::new(kind, index, width).map_err(|error| damaged(TAIL, None, error.to_string()));
        let files: Vec<Tile> = self.tiles.range(bound(1)?..=bound(TILE_WIDTH)?).copied().collect();
        for tile in files {
            let Some(end) = ends.get(usize::from(tile.width()) - 1) else { continue };
            let name = tile.to_string();
            let found = read_file(self.root, &name, BUNDLE_BYTES_MAX)?;
            let expected = bytes.get(..*end).unwrap_or_default();
            if found != expected && !self.is_signed(&tile) && is_torn(&found, expected) {
                self.torn.push(name);
            } else if found != expected {
                let same = found.iter().zip(expected).take_while(|(a, b)| a == b).count();
                // Which entry the first differing byte belongs to; hashes above the leaves belong to many.
                let place = match kind {
                    TileKind::Hashes(0) => self.places.get(same / HASH_BYTES),
                    TileKind::Entries => self.places.get(ends.iter().take_while(|end| **end <= same).count()),
                    TileKind::Hashes(_) => None,
                };
                let source = place.map(|place| (place.file.to_string(), place.offset));
                self.mismatch.get_or_insert(Mismatch { file: name, offset: same as u64, source });
            }
            self.tiles.remove(&tile);
            self.seen.insert(tile);
        }
        Ok(())
    }

    /// Whether the checkpoint vouches for the tile.
    fn is_signed(&self, tile: &Tile) -> bool {
        let shift = match tile.kind() {
            TileKind::Hashes(level) => TILE_HEIGHT * u32::from(level),
            TileKind::Entries => 0,
        };
        tile.start() + u64::from(tile.width()) <= self.signed_size >> shift
    }

    /// The last, partial tiles; then whether everything signed is there and fits, and nothing else is.
    fn finish(&mut self, signed: &Checkpoint, tail: &TailFiles) -> Result<(), DirError> {
        let size = self.range.size();
        if size < signed.size {
            let reason = format!(
                "ends after entry {size}, but {} are signed: acknowledged entries are gone",
                signed.size
            );
            let last = tail.held.last().map(|held| (name_of(held.number), held.bytes));
            let (file, end) = last.unwrap_or_else(|| (TAIL.to_owned(), 0));
            return Err(damaged(file, end, reason));
        }
        for level in 0..=usize::from(TILE_LEVEL_MAX) {
            if self.rows.get(level).is_some_and(|row| !row.end().is_multiple_of(WIDTH)) {
                self.compare_hashes(level)?;
            }
        }
        if !size.is_multiple_of(WIDTH) {
            self.compare_bundle()?;
        }
        let entries_hold = self.signed_root == Some(signed.root);
        match self.mismatch.take() {
            // The entries give the signed root, so the other file is wrong.
            Some(Mismatch { file, offset, .. }) if entries_hold => {
                return Err(damaged(file, offset, "does not fit the entries that the checkpoint signs"));
            }
            Some(Mismatch { file, offset, source: Some((source, at)) }) => {
                let reason = format!("the entry fits neither the checkpoint nor `{file}` at byte {offset}");
                return Err(damaged(source, at, reason));
            }
            Some(Mismatch { file, offset, source: None }) => {
                return Err(damaged(file, offset, "fits neither the entries nor the checkpoint"));
            }
            None if !entries_hold && self.begin > 0 => {
                let begin = self.begin;
                let reason = format!(
                    "signs another root than that of the tiles before entry {begin} and the entries from there on: \
                     a complete check says more"
                );
                return Err(damaged(CHECKPOINT, None, reason));
            }
            None if !entries_hold => {
                return Err(damaged(CHECKPOINT, None, "signs another root than that of the entries"));
            }
            None => {}
        }
        if let Some(tile) = self.tiles.first() {
            return Err(DirError::Unexpected { file: tile.to_string() });
        }
        let missing = |tile: &Tile| !self.seen.contains(tile) && !self.seen.contains(&tile.full());
        if let Some(tile) = Tile::all(signed.size).find(missing) {
            return Err(DirError::Missing { file: tile.to_string() });
        }
        Ok(())
    }
}

/// Whether a file is one that a crash left behind before all of it was on the disk: the end or some sectors are missing.
fn is_torn(found: &[u8], expected: &[u8]) -> bool {
    let mut sectors = found.chunks(SECTOR_BYTES).zip(expected.chunks(SECTOR_BYTES));
    found.len() <= expected.len()
        && sectors.all(|(found, expected)| expected.starts_with(found) || found.iter().all(|byte| *byte == 0))
}
