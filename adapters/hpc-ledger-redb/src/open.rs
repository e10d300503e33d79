//! Making and opening the file.
//!
//! A new ledger is made beside its path and then given its name, so an empty or half-made file under that name is
//! damage and never taken for a new ledger.

use std::fs::{File, OpenOptions};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use redb::backends::{FileBackend, InMemoryBackend};
use redb::{Builder, Database, ReadableDatabase, StorageBackend};

use crate::error::StoreError;
use crate::format::{
    HISTORY, META, META_COMPACTED, META_HISTORY_BYTES, META_HISTORY_CHANGES, META_REVISION,
    META_SCHEMA_VERSION, SCHEMA_VERSION, STATE,
};
use crate::options::Options;

/// Where a ledger's bytes are, so that it can be opened again after a failure.
pub(crate) enum Place {
    File(PathBuf),
    Memory,
    /// A disk with faults.
    #[cfg(test)]
    Test(crate::faulty_disk::FaultyDisk),
}

impl Place {
    pub(crate) fn name(&self) -> String {
        match self {
            Self::File(path) => path.display().to_string(),
            Self::Memory => "memory".into(),
            #[cfg(test)]
            Self::Test(_) => "faulty disk".into(),
        }
    }
}

/// Opens the ledger at `place`; one that is not there is made if `options` say so.
pub(crate) fn open(place: &Place, options: &Options) -> Result<Database, StoreError> {
    // redb checks what it reads only in part: it may panic on a file that it did not write.
    catch_unwind(AssertUnwindSafe(|| match place {
        Place::File(path) => open_path(path, options),
        Place::Memory => initialise(with_backend(InMemoryBackend::new(), options)?),
        #[cfg(test)]
        Place::Test(disk) => {
            let database = with_backend(disk.backend(), options)?;
            if disk.is_initialised() {
                check_schema(&database)?;
                return Ok(database);
            }
            let database = initialise(database)?;
            disk.set_initialised();
            Ok(database)
        }
    }))
    .unwrap_or_else(|panic| Err(StoreError::from_panic(&*panic)))
}

fn open_path(path: &Path, options: &Options) -> Result<Database, StoreError> {
    /// Tries, if files of this name come and go meanwhile.
    const TRIES_MAX: u32 = 8;
    for _ in 0..TRIES_MAX {
        match OpenOptions::new().read(true).write(true).open(path) {
            Ok(file) => return open_existing(file, options),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound && options.create => {}
            Err(error) => return Err(explain("open", path, &error)),
        }
        if let Some(database) = make(path, options)? {
            return Ok(database);
        }
        // Another process gave the file its name first: open that one.
    }
    Err(StoreError::Other("the path names nothing that can be opened, such as a dangling link".into()))
}

fn open_existing(file: File, options: &Options) -> Result<Database, StoreError> {
    let metadata = file.metadata()?;
    if !metadata.is_file() {
        return Err(StoreError::Other("not a regular file; choose another path".into()));
    }
    if metadata.len() == 0 {
        return Err(StoreError::Corrupt("the file is empty".into()));
    }
    let database = with_backend(FileBackend::new(file)?, options)?;
    check_schema(&database)?;
    Ok(database)
}

/// Makes a ledger; `None` if the path has a file meanwhile.
fn make(path: &Path, options: &Options) -> Result<Option<Database>, StoreError> {
    static MADE: AtomicU64 = AtomicU64::new(0);

    let mut name = path.file_name().map(std::ffi::OsStr::to_os_string).ok_or_else(|| {
        StoreError::Other("the path names no file; give the path of a file in an existing folder".into())
    })?;
    name.push(format!(".{}-{}.new", std::process::id(), MADE.fetch_add(1, Ordering::Relaxed)));
    let draft = path.with_file_name(name);

    let mut how = OpenOptions::new();
    how.read(true).write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut how, 0o600);
    let file = how.open(&draft).map_err(|error| explain("make", path, &error))?;
    let made = fill(file, &draft, path, options);
    // The draft's name goes in every case; what it names stays if it got its real name.
    let removed = std::fs::remove_file(&draft);
    let made = made?;
    removed?;
    sync_folder(path)?;
    Ok(made)
}

fn fill(file: File, draft: &Path, path: &Path, options: &Options) -> Result<Option<Database>, StoreError> {
    let database = initialise(with_backend(FileBackend::new(file)?, options)?)?;
    match std::fs::hard_link(draft, path) {
        Ok(()) => Ok(Some(database)),
        Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => Ok(None),
        Err(error) => Err(explain("make", path, &error)),
    }
}

/// Makes the new name survive a loss of power.
fn sync_folder(path: &Path) -> Result<(), StoreError> {
    #[cfg(unix)]
    {
        let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
        File::open(folder)?.sync_all()?;
    }
    #[cfg(not(unix))]
    let _ = path;
    Ok(())
}

fn explain(what: &str, path: &Path, error: &std::io::Error) -> StoreError {
    use std::io::ErrorKind;
    let advice = match error.kind() {
        ErrorKind::StorageFull | ErrorKind::QuotaExceeded => return StoreError::Full,
        ErrorKind::NotFound => "create its folder first, or correct the path",
        ErrorKind::PermissionDenied | ErrorKind::ReadOnlyFilesystem => {
            "give this user write access to the folder, or choose another path"
        }
        ErrorKind::IsADirectory => "it is a folder; give the path of a file in it",
        ErrorKind::NotADirectory => "a part of the path is a file; correct the path",
        _ => "check the path",
    };
    let folder = path.parent().map(|folder| folder.display().to_string()).unwrap_or_default();
    StoreError::Other(format!("cannot {what} the ledger in `{folder}`: {error}; {advice}"))
}

fn with_backend(backend: impl StorageBackend, options: &Options) -> Result<Database, StoreError> {
    Ok(Builder::new()
        .set_cache_size(options.cache_bytes)
        .set_check_integrity_on_open(options.verify_on_open)
        .create_with_backend(backend)?)
}

/// Makes the tables of an empty ledger.
fn initialise(database: Database) -> Result<Database, StoreError> {
    let transaction = database.begin_write()?;
    {
        let mut meta = transaction.open_table(META)?;
        for (name, number) in [
            (META_SCHEMA_VERSION, SCHEMA_VERSION),
            (META_REVISION, 0),
            (META_COMPACTED, 0),
            (META_HISTORY_CHANGES, 0),
            (META_HISTORY_BYTES, 0),
        ] {
            meta.insert(name, number)?;
        }
        transaction.open_table(STATE)?;
        transaction.open_table(HISTORY)?;
    }
    transaction.commit()?;
    Ok(database)
}

/// Refuses a file that is no ledger, or one of another format.
fn check_schema(database: &Database) -> Result<(), StoreError> {
    let transaction = database.begin_read()?;
    let meta = transaction.open_table(META)?;
    let found = meta.get(META_SCHEMA_VERSION)?.map(|number| number.value());
    match found {
        Some(SCHEMA_VERSION) => {}
        Some(other) => return Err(StoreError::Format(other)),
        None => return Err(StoreError::Corrupt("not a ledger: it has no format number".into())),
    }
    transaction.open_table(STATE)?;
    transaction.open_table(HISTORY)?;
    Ok(())
}
