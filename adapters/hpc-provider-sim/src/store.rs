//! The file behind a durable world: one snapshot, then a journal of changes.
//!
//! Each record is its length, a checksum of the length, a checksum of the payload, and the payload (JSON). A record that
//! ends early at the end of the file is a torn tail and is cut; anything else that does not add up is damage.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use crate::error::SimError;
use crate::state::{Change, State};

const MAGIC: &[u8; 8] = b"HPCSIM1\n";
const HEADER_BYTES: usize = 12;
/// Largest record that is believed, snapshot included: 256 MiB.
const RECORD_BYTES_MAX: usize = 256 << 20;
/// Largest file that is read: 512 MiB.
const FILE_BYTES_MAX: u64 = 512 << 20;
/// The journal is folded into a new snapshot when it is larger than this and than twice the snapshot.
const JOURNAL_BYTES_MIN: u64 = 4 << 20;

/// The open file. Another process cannot open it at the same time.
#[derive(Debug)]
pub(crate) struct Store {
    path: PathBuf,
    file: File,
    snapshot_bytes: u64,
    journal_bytes: u64,
    /// Set when a write failed: what is on disk is then unknown, and nothing more is written.
    broken: bool,
    lock: File,
}

impl Drop for Store {
    fn drop(&mut self) {
        // By name, not only by closing: a child process that is just being started shares every open file for a moment.
        drop(self.lock.unlock());
    }
}

impl Store {
    /// Opens the file, or makes it with `fresh` in it, and returns what it holds.
    pub(crate) fn open(path: &Path, fresh: State) -> Result<(Self, State), SimError> {
        let lock = lock(path)?;
        if !path.exists() {
            write_snapshot(path, &fresh)?;
        }
        let mut file = OpenOptions::new()
            .read(true)
            .write(true)
            .open(path)
            .map_err(|source| io("open", path, source))?;
        let mut bytes = Vec::new();
        (&file)
            .take(FILE_BYTES_MAX + 1)
            .read_to_end(&mut bytes)
            .map_err(|source| io("read", path, source))?;
        if u64::try_from(bytes.len()).unwrap_or(u64::MAX) > FILE_BYTES_MAX {
            return Err(corrupt(path, FILE_BYTES_MAX, "larger than 512 MiB".to_owned()));
        }
        let (state, snapshot_end, end) = replay(path, &bytes)?;
        let end = u64::try_from(end).unwrap_or(u64::MAX);
        file.set_len(end).map_err(|source| io("cut the torn end of", path, source))?;
        file.sync_data().map_err(|source| io("write", path, source))?;
        file.seek(SeekFrom::Start(end)).map_err(|source| io("read", path, source))?;
        let snapshot_bytes = u64::try_from(snapshot_end).unwrap_or(u64::MAX);
        let journal_bytes = end - snapshot_bytes;
        let store =
            Self { path: path.to_path_buf(), file, snapshot_bytes, journal_bytes, broken: false, lock };
        Ok((store, state))
    }

    /// Appends one record; with `durable` it is on disk when this returns.
    pub(crate) fn append(&mut self, changes: &[Change], durable: bool) -> Result<(), SimError> {
        if self.broken {
            let source = std::io::Error::other("an earlier write failed; open the world again");
            return Err(io("write", &self.path, source));
        }
        let record = encode(&self.path, changes)?;
        let written =
            self.file.write_all(&record).and_then(|()| if durable { self.file.sync_data() } else { Ok(()) });
        if let Err(source) = written {
            self.broken = true;
            return Err(io("write", &self.path, source));
        }
        self.journal_bytes += u64::try_from(record.len()).unwrap_or(u64::MAX);
        Ok(())
    }

    /// Whether the journal has grown so long that it should be folded into a snapshot.
    pub(crate) fn wants_snapshot(&self) -> bool {
        self.journal_bytes > JOURNAL_BYTES_MIN.max(self.snapshot_bytes.saturating_mul(2))
    }

    /// Replaces the file by a snapshot of `state`: written beside it, synced, then renamed over it.
    pub(crate) fn fold(&mut self, state: &State) -> Result<(), SimError> {
        let result = write_snapshot(&self.path, state).and_then(|bytes| {
            let reopen = OpenOptions::new().read(true).append(true).open(&self.path);
            self.file = reopen.map_err(|source| io("open", &self.path, source))?;
            self.snapshot_bytes = bytes;
            self.journal_bytes = 0;
            Ok(())
        });
        self.broken |= result.is_err();
        result
    }
}

fn lock(path: &Path) -> Result<File, SimError> {
    let beside = beside(path, "lock");
    let lock = OpenOptions::new()
        .create(true)
        .truncate(false)
        .write(true)
        .open(&beside)
        .map_err(|source| io("open", &beside, source))?;
    match lock.try_lock() {
        Ok(()) => Ok(lock),
        Err(TryLockError::WouldBlock) => Err(SimError::Locked { path: path.to_path_buf() }),
        Err(TryLockError::Error(source)) => Err(io("lock", &beside, source)),
    }
}

fn beside(path: &Path, ending: &str) -> PathBuf {
    let mut name = path.file_name().unwrap_or_default().to_os_string();
    name.push(".");
    name.push(ending);
    path.with_file_name(name)
}

fn write_snapshot(path: &Path, state: &State) -> Result<u64, SimError> {
    let record = encode(path, state)?;
    let fresh = beside(path, "new");
    let mut file = File::create(&fresh).map_err(|source| io("create", &fresh, source))?;
    file.write_all(MAGIC)
        .and_then(|()| file.write_all(&record))
        .and_then(|()| file.sync_all())
        .map_err(|source| io("write", &fresh, source))?;
    std::fs::rename(&fresh, path).map_err(|source| io("replace", path, source))?;
    // The rename itself is durable only when the folder is.
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    File::open(folder)
        .and_then(|folder| folder.sync_all())
        .map_err(|source| io("sync the folder of", path, source))?;
    Ok(u64::try_from(MAGIC.len() + record.len()).unwrap_or(u64::MAX))
}

fn encode<T: serde::Serialize + ?Sized>(path: &Path, what: &T) -> Result<Vec<u8>, SimError> {
    let mut record = vec![0_u8; HEADER_BYTES];
    serde_json::to_writer(&mut record, what).map_err(|error| io("write", path, error.into()))?;
    let payload = record.get(HEADER_BYTES..).unwrap_or_default();
    let length = match u32::try_from(payload.len()) {
        Ok(length) if payload.len() <= RECORD_BYTES_MAX => length.to_le_bytes(),
        _ => {
            return Err(io(
                "write",
                path,
                std::io::Error::other("the simulated cloud has grown past 256 MiB"),
            ));
        }
    };
    let checks = [length, crc32fast::hash(&length).to_le_bytes(), crc32fast::hash(payload).to_le_bytes()];
    for (place, byte) in record.iter_mut().zip(checks.into_iter().flatten()) {
        *place = byte;
    }
    Ok(record)
}

/// What stands at an offset.
enum Found<'a> {
    Record { payload: &'a [u8], end: usize },
    End,
    Torn,
    Damaged(&'static str),
}

fn record_at(bytes: &[u8], offset: usize) -> Found<'_> {
    let rest = bytes.get(offset..).unwrap_or_default();
    if rest.is_empty() {
        return Found::End;
    }
    let Some((header, body)) = rest.split_at_checked(HEADER_BYTES) else { return Found::Torn };
    let word = |at: usize| -> Option<[u8; 4]> { header.get(at..at + 4)?.try_into().ok() };
    let (Some(length), Some(length_check), Some(check)) = (word(0), word(4), word(8)) else {
        return Found::Torn;
    };
    if crc32fast::hash(&length) != u32::from_le_bytes(length_check) {
        // After a power cut the end of a file may be there as zeroes only.
        let zeroes = rest.iter().all(|byte| *byte == 0);
        return if zeroes {
            Found::Torn
        } else {
            Found::Damaged("the checksum of a record's length is wrong")
        };
    }
    let length = usize::try_from(u32::from_le_bytes(length)).unwrap_or(usize::MAX);
    if length > RECORD_BYTES_MAX {
        return Found::Damaged("a record is longer than 256 MiB");
    }
    let Some(payload) = body.get(..length) else { return Found::Torn };
    let end = offset + HEADER_BYTES + length;
    if crc32fast::hash(payload) == u32::from_le_bytes(check) {
        Found::Record { payload, end }
    } else if end == bytes.len() {
        Found::Torn
    } else {
        Found::Damaged("the checksum of a record is wrong")
    }
}

/// The state in `bytes`, where its snapshot ends, and where what can be trusted ends.
fn replay(path: &Path, bytes: &[u8]) -> Result<(State, usize, usize), SimError> {
    let damaged =
        |offset: usize, what: &str| corrupt(path, u64::try_from(offset).unwrap_or(u64::MAX), what.to_owned());
    if !bytes.starts_with(MAGIC) {
        return Err(damaged(0, "it does not begin like a file of simulated clouds"));
    }
    // The snapshot was synced before it got its name: it cannot be torn.
    let Found::Record { payload, end } = record_at(bytes, MAGIC.len()) else {
        return Err(damaged(MAGIC.len(), "the snapshot is not whole"));
    };
    let mut state: State = serde_json::from_slice(payload)
        .map_err(|error| damaged(MAGIC.len(), &format!("the snapshot cannot be read: {error}")))?;
    state.reindex();
    let (snapshot_end, mut offset) = (end, end);
    loop {
        match record_at(bytes, offset) {
            Found::Record { payload, end } => {
                let changes: Vec<Change> = serde_json::from_slice(payload)
                    .map_err(|error| damaged(offset, &format!("a record cannot be read: {error}")))?;
                for change in changes {
                    state.apply(change);
                }
                offset = end;
            }
            Found::End | Found::Torn => break,
            Found::Damaged(what) => return Err(damaged(offset, what)),
        }
    }
    state.reindex();
    Ok((state, snapshot_end, offset))
}

fn io(action: &'static str, path: &Path, source: std::io::Error) -> SimError {
    SimError::Io { action, path: path.to_path_buf(), source }
}

fn corrupt(path: &Path, offset: u64, what: String) -> SimError {
    SimError::Corrupt { path: path.to_path_buf(), offset, what }
}
