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

/// Checks every byte of every file of a log's folder, without changing anything.
///
/// The tree is built anew from the entries; tiles, partial tiles and tail are compared with it, and its root with the
/// signed checkpoint. `vkey` is the key the caller trusts; without it the folder is only shown to agree with itself.
///
/// # Errors
/// [`DirError::InUse`] while a program has the log open; otherwise the first thing that is wrong, by file and offset.
pub fn verify_dir(path: &Path, vkey: Option<&str>) -> Result<DirReport, DirError> {
    visit_dir(path, vkey, |_, _| ())
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
    let examined = examine(path, visit)?;
    let got = examined.key.to_string();
    if let Some(want) = vkey
        && want != got
    {
        return Err(DirError::OtherKey { got, want: want.to_owned() });
    }
    Ok(DirReport {
        vkey: got,
        key_trusted: vkey.is_some(),
        entries: examined.edge.size,
        checkpoint: examined.edge.checkpoint.checkpoint().clone(),
        torn_tail: examined.torn,
        unfinished: examined.unfinished,
        files: examined.files,
    })
}
