//! What a witness must never forget, on disk.
//!
//! ```text
//! DIR/lock                          one witness at a time
//! DIR/logs/<hash of origin>         the latest checkpoint that was cosigned, as a signed note
//! DIR/evidence/<hash>.conclusive    two checkpoints of one log that cannot be of one history
//! DIR/evidence/<hash>.suspected     two checkpoints, and a proof that does not connect them
//! ```
//!
//! A file is written beside its name, made durable, and renamed; then the folder is made durable.

use std::fs::{self, DirBuilder, File, OpenOptions, TryLockError};
use std::io::{self, ErrorKind, Read as _, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use hpc_crypto::hashing::sha256;
use hpc_crypto::note::NOTE_BYTES_MAX;
use hpc_crypto::witness::{Remembered, SPLIT_VIEW_BYTES_MAX, SplitView, Strength};
use hpc_error::{HpcError, codes};

use super::limits::{EVIDENCE_MAX, SUSPICIONS_MAX};

/// How a file that is being written ends.
const UNFINISHED: &str = ".tmp";

/// The folder of a witness. One program has it at a time.
pub struct Store {
    dir: PathBuf,
    lock: File,
}

/// One piece of evidence.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Evidence {
    /// Where it lies.
    pub path: PathBuf,
    /// What it says.
    pub split: SplitView,
}

impl Store {
    /// Takes the folder, which is made when it is not there, with mode 0700.
    ///
    /// # Errors
    /// `HPC-DAT-0002` when another witness has it, `-0004` or `-0005` when it cannot be used.
    pub fn open(dir: &Path) -> Result<Self, HpcError> {
        for folder in [dir.to_owned(), dir.join("logs"), dir.join("evidence")] {
            DirBuilder::new().recursive(true).mode(0o700).create(&folder).map_err(failed(&folder))?;
        }
        let path = dir.join("lock");
        let mut options = OpenOptions::new();
        let lock = options.read(true).write(true).create(true).truncate(false).mode(0o600).open(&path);
        let lock = lock.map_err(failed(&path))?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                let message = format!("`{}` is in use by another witness", dir.display());
                return Err(HpcError::coded(&codes::DAT_LOCKED, message));
            }
            Err(TryLockError::Error(error)) => return Err(failed(&path)(error)),
        }
        sync(dir).map_err(failed(dir))?;
        Ok(Self { dir: dir.to_owned(), lock })
    }

    /// The latest checkpoint that was cosigned for a log.
    ///
    /// # Errors
    /// `HPC-DAT-0001` for a file that is no checkpoint of this log, `-0004` for one that cannot be read.
    pub fn read(&self, origin: &str) -> Result<Option<Remembered>, HpcError> {
        let path = self.log(origin);
        let damaged = |why: String| {
            let message = format!(
                "`{}` is damaged: {why}; restore it: a witness that forgot would cosign a second history",
                path.display()
            );
            HpcError::coded(&codes::DAT_CORRUPT, message).with("path", path.display())
        };
        let bytes = match read(&path, NOTE_BYTES_MAX) {
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            other => other.map_err(failed(&path))?,
        };
        let found = Remembered::parse(&bytes).map_err(|error| damaged(error.to_string()))?;
        if found.checkpoint().origin != origin {
            return Err(damaged(format!("it is of another log than `{origin}`")));
        }
        Ok(Some(found))
    }

    /// Makes a checkpoint the latest of its log, durably.
    ///
    /// # Errors
    /// What the disk says. Which of the two checkpoints is stored is then not known, and the newer one was not cosigned.
    pub fn write(&self, origin: &str, latest: &Remembered) -> io::Result<()> {
        replace(&self.log(origin), latest.to_string().as_bytes())
    }

    /// Keeps evidence; `None` when it is kept already, or there is too much of it.
    ///
    /// # Errors
    /// What the disk says.
    pub fn keep(&self, split: &SplitView) -> io::Result<Option<PathBuf>> {
        let folder = self.dir.join("evidence");
        let (ending, most) = match split.strength() {
            Strength::Conclusive => ("conclusive", EVIDENCE_MAX),
            Strength::Suspected => ("suspected", SUSPICIONS_MAX),
        };
        // Of the two checkpoints alone: anybody can send the same two with ever other proofs.
        let named = format!("{}\n{}", split.first(), split.second());
        let path = folder.join(format!("{}.{ending}", hex(named.as_bytes())));
        let mut kept = 0_usize;
        for entry in fs::read_dir(&folder)? {
            kept += usize::from(entry?.path().extension().is_some_and(|found| found == ending));
        }
        if path.exists() || kept >= most {
            return Ok(None);
        }
        replace(&path, split.to_string().as_bytes())?;
        Ok(Some(path))
    }

    fn log(&self, origin: &str) -> PathBuf {
        self.dir.join("logs").join(hex(origin.as_bytes()))
    }
}

impl Drop for Store {
    fn drop(&mut self) {
        // What cannot be unlocked is unlocked by being closed.
        drop(self.lock.unlock());
    }
}

/// All evidence in a witness's folder, whether or not a witness has it open.
///
/// # Errors
/// `HPC-USG-0005` where there is no such folder, `HPC-DAT-0001` for a file that is none, `-0004` for one that cannot be
/// read.
pub fn evidence(dir: &Path) -> Result<Vec<Evidence>, HpcError> {
    let folder = dir.join("evidence");
    let entries = match fs::read_dir(&folder) {
        Err(error) if error.kind() == ErrorKind::NotFound => {
            let message = format!("`{}` is no folder of a witness", dir.display());
            return Err(HpcError::coded(&codes::USG_FILE_MISSING, message));
        }
        other => other.map_err(failed(&folder))?,
    };
    let mut paths = Vec::new();
    for entry in entries {
        let path = entry.map_err(failed(&folder))?.path();
        // What a crash left half written is no evidence yet.
        if path.extension().is_some_and(|ending| ending == "conclusive" || ending == "suspected") {
            paths.push(path);
        }
    }
    paths.sort();
    paths
        .into_iter()
        .map(|path| {
            let bytes = read(&path, SPLIT_VIEW_BYTES_MAX).map_err(failed(&path))?;
            let split = SplitView::parse(&bytes).map_err(|error| {
                let message = format!("`{}` is damaged: {error}; restore it from a backup", path.display());
                HpcError::coded(&codes::DAT_CORRUPT, message)
            })?;
            Ok(Evidence { path, split })
        })
        .collect()
}

fn hex(bytes: &[u8]) -> String {
    sha256(bytes).as_bytes().iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Writes a whole file that appears at once or not at all, and makes it and its name durable.
fn replace(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut unfinished = path.as_os_str().to_owned();
    unfinished.push(UNFINISHED);
    let mut file =
        OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&unfinished)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    fs::rename(&unfinished, path)?;
    path.parent().map_or(Ok(()), sync)
}

fn sync(folder: &Path) -> io::Result<()> {
    File::open(folder)?.sync_all()
}

fn read(path: &Path, bytes_max: usize) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    File::open(path)?.take(bytes_max as u64 + 1).read_to_end(&mut bytes)?;
    Ok(bytes)
}

fn failed(path: &Path) -> impl Fn(io::Error) -> HpcError + '_ {
    move |error| {
        let code = match error.kind() {
            ErrorKind::StorageFull | ErrorKind::QuotaExceeded => &codes::DAT_DISK_FULL,
            _ => &codes::DAT_NOT_WRITABLE,
        };
        HpcError::coded(code, format!("cannot use `{}`: {error}", path.display()))
            .with("path", path.display())
    }
}
