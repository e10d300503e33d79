use std::fmt;
use std::fs::File;
use std::os::unix::fs::FileExt as _;
use std::path::Path;
use std::str::FromStr;

use crate::DirError;
use crate::map::{damaged, io_of};

use super::{CHUNK_ENTRIES, FAN, LEVEL_MAX};

/// The folder of the index.
pub(crate) const FOLDER: &str = "index";
/// Of both kinds of file.
pub(super) const VERSION: u32 = 1;

/// One file of the index.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum IndexFile {
    /// A sorted run of ids over `CHUNK_ENTRIES * FAN^level` entries.
    Ids { level: u32, number: u64 },
    /// What the blocks of one chunk can be found by.
    Terms { number: u64 },
}

impl IndexFile {
    /// The chunks that it covers.
    pub(super) const fn chunks(self) -> std::ops::Range<u64> {
        match self {
            Self::Ids { level, number } => {
                let width = FAN.pow(level);
                number * width..(number + 1) * width
            }
            Self::Terms { number } => number..number + 1,
        }
    }

    /// Index of the first entry that it covers, and how many it covers.
    pub(super) const fn entries(self) -> (u64, u64) {
        let chunks = self.chunks();
        (chunks.start * CHUNK_ENTRIES, (chunks.end - chunks.start) * CHUNK_ENTRIES)
    }
}

impl fmt::Display for IndexFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ids { level, number } => write!(f, "{FOLDER}/ids-{level}-{number}"),
            Self::Terms { number } => write!(f, "{FOLDER}/terms-{number}"),
        }
    }
}

impl FromStr for IndexFile {
    type Err = ();

    fn from_str(path: &str) -> Result<Self, ()> {
        let name = path.strip_prefix(FOLDER).and_then(|rest| rest.strip_prefix('/')).ok_or(())?;
        let number = |text: &str| text.parse().ok().filter(|number| *number < 1 << 40).ok_or(());
        let file = match name.split_once('-') {
            Some(("ids", rest)) => {
                let (level, place) = rest.split_once('-').ok_or(())?;
                let level = level.parse().ok().filter(|level| *level <= LEVEL_MAX).ok_or(())?;
                Self::Ids { level, number: number(place)? }
            }
            Some(("terms", place)) => Self::Terms { number: number(place)? },
            _ => return Err(()),
        };
        // Writing it again settles leading zeros and plus signs.
        if file.to_string() == path { Ok(file) } else { Err(()) }
    }
}

/// Opens a file that must have exactly as many bytes as `bytes`.
pub(super) fn open_sized(root: &Path, name: &str, bytes: u64) -> Result<File, DirError> {
    let (file, got) = open(root, name)?;
    if got == bytes {
        Ok(file)
    } else {
        Err(damaged(name, got.min(bytes), format!("the file has {got} bytes instead of {bytes}")))
    }
}

pub(super) fn open(root: &Path, name: &str) -> Result<(File, u64), DirError> {
    let file = File::open(root.join(name)).map_err(|error| match error.kind() {
        std::io::ErrorKind::NotFound => DirError::Missing { file: name.to_owned() },
        _ => io_of(name)(error),
    })?;
    let bytes = file.metadata().map_err(io_of(name))?.len();
    Ok((file, bytes))
}

pub(super) fn read_at(file: &File, name: &str, offset: u64, bytes: usize) -> Result<Vec<u8>, DirError> {
    let mut buffer = vec![0; bytes];
    file.read_exact_at(&mut buffer, offset).map_err(|error| match error.kind() {
        std::io::ErrorKind::UnexpectedEof => damaged(name, offset, "the file ends too early"),
        _ => io_of(name)(error),
    })?;
    Ok(buffer)
}

/// Adds the CRC-32 of everything from `begin` on.
pub(super) fn push_check(bytes: &mut Vec<u8>, begin: usize) {
    let check = crc32fast::hash(bytes.get(begin..).unwrap_or_default());
    bytes.extend_from_slice(&check.to_be_bytes());
}

/// The bytes before a CRC-32 that fits them.
pub(super) fn checked(bytes: &[u8]) -> Option<&[u8]> {
    let (body, check) = bytes.split_last_chunk::<4>()?;
    (crc32fast::hash(body).to_be_bytes() == *check).then_some(body)
}

/// Reads numbers from bytes whose length was checked before.
pub(super) struct Reader<'b>(pub(super) &'b [u8]);

impl Reader<'_> {
    pub(super) fn bytes<const N: usize>(&mut self) -> [u8; N] {
        let Some((taken, rest)) = self.0.split_first_chunk() else { return [0; N] };
        self.0 = rest;
        *taken
    }

    pub(super) fn u32(&mut self) -> u32 {
        u32::from_be_bytes(self.bytes())
    }

    pub(super) fn u64(&mut self) -> u64 {
        u64::from_be_bytes(self.bytes())
    }

    pub(super) fn i128(&mut self) -> i128 {
        i128::from_be_bytes(self.bytes())
    }
}
