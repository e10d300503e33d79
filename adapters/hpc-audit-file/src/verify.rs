use std::fs::{File, TryLockError};
use std::path::Path;

use hpc_audit::{Checkpoint, Entry};

use crate::disk::LOCK;
use crate::examine::examine;
use crate::lock::Locked;
use crate::map::io_of;
use crate::{DirError, TornTail};

/// What a folder that holds contains.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DirReport {
    /// The log's public key, as a C2SP verifier key.
    pub vkey: String,
    /// Whether that is the key the caller gave, or merely the one in the folder.
    pub key_trusted: bool,
    /// Number of entries.
    pub entries: u64,
    /// The checkpoint: the first `checkpoint.size` entries are signed. Later ones are protected against accidents only.
    pub checkpoint: Checkpoint,
    /// The end of the tail that a crash cut off, if any. It was never acknowledged.
    pub torn_tail: Option<TornTail>,
    /// Files that a crash left half written; they are not part of the log.
    pub unfinished: Vec<String>,
    /// Number of files looked at.
    pub files: u64,
}

impl DirReport {
    /// Whether the log was closed in order: everything signed, nothing torn, nothing half written.
    pub fn is_clean(&self) -> bool {
        self.checkpoint.size == self.entries && self.torn_tail.is_none() && self.unfinished.is_empty()
    }
}

/// What a folder is held against besides itself. The default is nothing: it is only shown to agree with itself.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Against<'a> {
    /// The key that the caller trusts, as a C2SP verifier key.
    pub vkey: Option<&'a str>,
    /// A checkpoint that the log signed earlier, as it came: a signed note. The log must contain it.
    pub remembered: Option<&'a [u8]>,
}

/// How far a check has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Progress {
    /// Entries looked at.
    pub entries_done: u64,
    /// Entries there are.
    pub entries: u64,
}

/// Checks every byte of every file of a log's folder, without changing anything.
///
/// The tree is built anew from the entries; tiles, partial tiles and tail are compared with it, and its root with the
/// signed checkpoint. `vkey` is the key the caller trusts; without it the folder is only shown to agree with itself.
///
/// # Errors
/// [`DirError::InUse`] while a program has the log open; otherwise the first thing that is wrong, by file and offset.
pub fn verify_dir(path: &Path, vkey: Option<&str>) -> Result<DirReport, DirError> {
    check_dir(path, &Against { vkey, remembered: None }, |_| ())
}

/// Does what [`verify_dir`] does, holds the log against an earlier checkpoint too, and tells `progress` how far it is
/// after every 256 entries at most.
///
/// # Errors
/// As [`verify_dir`]; and [`DirError::Rollback`] when the log signs fewer entries than it once did,
/// [`DirError::SplitView`] when it signs other ones, [`DirError::Remembered`] when the checkpoint given is not one that
/// the log's key signed.
pub fn check_dir(
    path: &Path,
    against: &Against<'_>,
    progress: impl FnMut(Progress),
) -> Result<DirReport, DirError> {
    look(path, against, progress, |_, _| ())
}

/// Does what [`verify_dir`] does, and shows every entry with its index to `visit` on the way, in order.
///
/// What `visit` has seen holds only if this returns `Ok`: the last byte may be the wrong one.
///
/// # Errors
/// As [`verify_dir`].
pub fn visit_dir(
    path: &Path,
    vkey: Option<&str>,
    visit: impl FnMut(u64, &Entry),
) -> Result<DirReport, DirError> {
    look(path, &Against { vkey, remembered: None }, |_| (), visit)
}

fn look(
    path: &Path,
    against: &Against<'_>,
    progress: impl FnMut(Progress),
    visit: impl FnMut(u64, &Entry),
) -> Result<DirReport, DirError> {
    let _lock = match File::open(path.join(LOCK)) {
        Ok(file) => match file.try_lock_shared() {
            Ok(()) => Some(Locked::new(file)),
            Err(TryLockError::WouldBlock) => return Err(DirError::InUse),
            Err(TryLockError::Error(error)) => return Err(io_of(LOCK)(error)),
        },
        // A copy of the folder need not have it.
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => None,
        Err(error) => return Err(io_of(LOCK)(error)),
    };
    let examined = examine(path, against, progress, visit)?;
    Ok(DirReport {
        vkey: examined.key.to_string(),
        key_trusted: against.vkey.is_some(),
        entries: examined.edge.size(),
        checkpoint: examined.edge.checkpoint.checkpoint().clone(),
        torn_tail: examined.torn,
        unfinished: examined.unfinished,
        files: examined.files,
    })
}
