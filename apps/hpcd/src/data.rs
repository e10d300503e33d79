//! The data directory: where everything lives, and which run this is.
//!
//! ```text
//! DIR/hpcd.json        format, seed, number of runs
//! DIR/ledger.redb      requests, plans, intents, leases, budgets, the owner tag (hpc-ledger-redb)
//! DIR/audit/           the audit log (hpc-audit-file); verify it with `hpc audit verify DIR/audit`
//! DIR/cosigned.checkpoint  the newest checkpoint of the audit log with its quorum of witnesses
//! DIR/telemetry.redb   time series (hpc-tsdb-embedded)
//! DIR/policies.json    the last policy bundle that was taken, and what was promoted
//! DIR/keys/            keys and named secrets, sealed (hpc-vault); DIR/vault.key opens them
//! DIR/reserve          room on the disk, for ending leases when there is no other
//! DIR/cloud.sim        what exists in the SIMULATED clouds (hpc-provider-sim)
//! ```

use std::fs;
use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};

use hpc_error::codes::ErrorCode;
use hpc_error::{HpcError, codes};
use serde::{Deserialize, Serialize};
use tempfile::TempDir;

/// Version of the layout.
const FORMAT: u32 = 1;
/// Largest `hpcd.json`, in bytes.
const HEADER_BYTES_MAX: u64 = 4_096;

/// What tells a data directory from another folder.
const HEADER: &str = "hpcd.json";
/// How a half-written header begins.
const TEMPORARY_PREFIX: &str = ".hpcd.json.";

#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Header {
    format: u32,
    seed: u64,
    runs: u64,
}

/// An open data directory.
pub struct DataDir {
    path: PathBuf,
    /// Deletes the directory when the daemon ends; only without `--data`.
    temporary: Option<TempDir>,
    /// The directory itself: one daemon at a time.
    _lock: Lock,
    seed: u64,
    run: u64,
}

impl DataDir {
    /// Opens a directory, or makes a temporary one. Counts the run durably, so that no two runs draw the same ids.
    ///
    /// A directory that is refused stays as it was, its mode and its counter included.
    ///
    /// # Errors
    /// `HPC-DAT-0001` and `-0003` damaged, `-0002` in use by another daemon, `-0004` not writable, `-0005` disk full,
    /// `-0006` another format;
    /// `HPC-USG-0012` for a seed other than the one the directory was made with.
    pub fn open(path: Option<&Path>, seed: Option<u64>, default_seed: u64) -> Result<Self, HpcError> {
        let (path, temporary) = match path {
            Some(path) => (path.to_owned(), None),
            None => {
                let made = tempfile::Builder::new().prefix("hpcd-").tempdir();
                let made = made.map_err(|error| failed(&std::env::temp_dir(), &error))?;
                (made.path().to_owned(), Some(made))
            }
        };
        fs::create_dir_all(&path).map_err(|error| failed(&path, &error))?;
        // Before anything is read: whoever holds the lock alone decides what is here.
        let lock = lock(&path)?;
        let file = path.join(HEADER);
        let header = match read_header(&file)? {
            Some(header) => {
                if let Some(asked) = seed.filter(|asked| *asked != header.seed) {
                    let message = format!(
                        "`{}` was made with seed {}, not {asked}; leave `--seed` out, or use another directory",
                        path.display(),
                        header.seed
                    );
                    return Err(HpcError::coded(&codes::USG_UNKNOWN_VALUE, message));
                }
                Header { runs: header.runs.saturating_add(1), ..header }
            }
            None => {
                refuse_strangers(&path)?;
                Header { format: FORMAT, seed: seed.unwrap_or(default_seed), runs: 1 }
            }
        };
        // Only now is it known to be ours.
        restrict(&path)?;
        match write_header(&path, &file, &header) {
            // A daemon that does not start ends no lease: the room is there for that.
            Err(error)
                if error.registered() == Some(&codes::DAT_DISK_FULL) && crate::reserve::give_up_in(&path) =>
            {
                write_header(&path, &file, &header)?;
            }
            written => written?,
        }
        Ok(Self { path, temporary, _lock: lock, seed: header.seed, run: header.runs })
    }

    /// Whether there is a data directory, of whatever format.
    #[must_use]
    pub fn is_at(path: &Path) -> bool {
        path.join(HEADER).is_file()
    }

    /// A file or folder in it.
    #[must_use]
    pub fn at(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }

    /// The directory.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Whether it is deleted at exit.
    #[must_use]
    pub fn is_temporary(&self) -> bool {
        self.temporary.is_some()
    }

    /// The seed of the simulated world.
    #[must_use]
    pub fn seed(&self) -> u64 {
        self.seed
    }

    /// Which run over this directory this is, from 1.
    #[must_use]
    pub fn run(&self) -> u64 {
        self.run
    }
}

/// A lock on a directory. Let go of by name, because a child that is just being started may hold the file for a moment;
/// the system lets go of it when the process ends.
struct Lock(fs::File);

impl Drop for Lock {
    fn drop(&mut self) {
        // What cannot be unlocked is unlocked by being closed.
        drop(self.0.unlock());
    }
}

/// Locks the directory itself, so that nothing need be written to find out that it is taken.
fn lock(path: &Path) -> Result<Lock, HpcError> {
    let directory = fs::File::open(path).map_err(|error| failed(path, &error))?;
    match directory.try_lock() {
        Ok(()) => Ok(Lock(directory)),
        Err(fs::TryLockError::WouldBlock) => {
            let message = format!("`{}` is in use by another daemon", path.display());
            Err(HpcError::coded(&codes::DAT_LOCKED, message).with("path", path.display()))
        }
        Err(fs::TryLockError::Error(error)) => Err(failed(path, &error)),
    }
}

fn read_header(file: &Path) -> Result<Option<Header>, HpcError> {
    let bytes = match fs::metadata(file).and_then(|meta| {
        if meta.len() > HEADER_BYTES_MAX { Err(ErrorKind::InvalidData.into()) } else { fs::read(file) }
    }) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(failed(file, &error)),
    };
    let header: Header = serde_json::from_slice(&bytes).map_err(|error| {
        let message = format!("`{}` is damaged ({error}); restore it from a backup", file.display());
        HpcError::coded(&codes::DAT_CORRUPT, message)
    })?;
    if header.format != FORMAT {
        let message = format!("`{}` has format {}, this hpcd reads {FORMAT}", file.display(), header.format);
        return Err(HpcError::coded(&codes::DAT_VERSION, message));
    }
    Ok(Some(header))
}

/// Somebody's photographs are no place for a ledger; and a directory of ours without its header is damaged.
fn refuse_strangers(path: &Path) -> Result<(), HpcError> {
    for entry in fs::read_dir(path).map_err(|error| failed(path, &error))? {
        let name = entry.map_err(|error| failed(path, &error))?.file_name();
        // A crash while the header was first written leaves a temporary file and nothing else.
        if !name.to_string_lossy().starts_with(TEMPORARY_PREFIX) {
            let message =
                format!("`{}` is neither empty nor a data directory of hpcd; name another", path.display());
            return Err(HpcError::coded(&codes::DAT_CORRUPT, message));
        }
    }
    Ok(())
}

fn write_header(dir: &Path, file: &Path, header: &Header) -> Result<(), HpcError> {
    let bytes =
        serde_json::to_vec(header).map_err(|error| HpcError::coded(&codes::INT_BUG, error.to_string()))?;
    let write = || -> std::io::Result<()> {
        let mut temporary = tempfile::Builder::new().prefix(TEMPORARY_PREFIX).tempfile_in(dir)?;
        temporary.write_all(&bytes)?;
        temporary.as_file().sync_all()?;
        temporary.persist(file)?;
        fs::File::open(dir)?.sync_all()
    };
    write().map_err(|error| failed(file, &error))
}

/// Only the owner may look in.
fn restrict(path: &Path) -> Result<(), HpcError> {
    use std::os::unix::fs::PermissionsExt;
    let mode = fs::metadata(path).map_err(|error| failed(path, &error))?.permissions().mode();
    if mode & 0o077 != 0 {
        fs::set_permissions(path, fs::Permissions::from_mode(0o700)).map_err(|error| failed(path, &error))?;
    }
    Ok(())
}

fn failed(path: &Path, error: &std::io::Error) -> HpcError {
    let code: &'static ErrorCode = match error.kind() {
        ErrorKind::StorageFull | ErrorKind::QuotaExceeded => &codes::DAT_DISK_FULL,
        ErrorKind::InvalidData => &codes::DAT_CORRUPT,
        _ => &codes::DAT_NOT_WRITABLE,
    };
    HpcError::coded(code, format!("cannot use `{}`: {error}", path.display())).with("path", path.display())
}
