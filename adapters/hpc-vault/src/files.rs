//! Files that only their owner may read, replaced as a whole.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{ErrorKind, Read as _, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _};
use std::path::Path;

use rustix::fs::{CWD, OFlags, RenameFlags, renameat_with};
use rustix::io::Errno;
use zeroize::Zeroizing;

use crate::VaultError;

/// Suffix of a file that is being written; leftovers of a crash carry it.
pub(crate) const TEMPORARY: &str = ".new";

/// Reads a plain file of at most `bytes_max` that is closed to group and others. Links are refused.
pub(crate) fn read_file(path: &Path, bytes_max: usize) -> Result<Zeroizing<Vec<u8>>, VaultError> {
    let no_follow = OFlags::NOFOLLOW | OFlags::NONBLOCK; // not blocking: a pipe in its place must not hang us
    let file = OpenOptions::new().read(true).custom_flags(no_follow.bits().cast_signed()).open(path);
    let file = match file {
        Err(error) if error.raw_os_error() == Some(Errno::LOOP.raw_os_error()) => {
            return Err(VaultError::Mode(path.to_owned()));
        }
        file => file.map_err(at(path))?,
    };
    let metadata = file.metadata().map_err(at(path))?;
    if !metadata.is_file() || metadata.mode() & 0o077 != 0 {
        return Err(VaultError::Mode(path.to_owned()));
    }
    let length = usize::try_from(metadata.len()).unwrap_or(usize::MAX);
    let mut content = Zeroizing::new(Vec::with_capacity(length.min(bytes_max).saturating_add(1)));
    file.take(bytes_max as u64 + 1).read_to_end(&mut content).map_err(at(path))?;
    if content.len() > bytes_max {
        return Err(VaultError::Malformed {
            path: path.to_owned(),
            reason: "longer than anything written there",
        });
    }
    Ok(content)
}

/// Writes a file that must not exist yet, with mode 0600, down to the disk. The directory entry is not synced.
fn write_new_file(path: &Path, content: &[u8]) -> Result<(), VaultError> {
    let mut file =
        OpenOptions::new().write(true).create_new(true).mode(0o600).open(path).map_err(at(path))?;
    file.write_all(content).and_then(|()| file.sync_all()).map_err(at(path))
}

/// As [`write_new_file`], but whole or not at all: whoever sees the file sees all of it, after a crash too. `chance` names the
/// file it is written to first; a crash may leave that one behind, with mode 0600 and under a name that nothing reads.
pub(crate) fn create_whole(path: &Path, chance: u64, content: &[u8]) -> Result<(), VaultError> {
    let mut temporary = path.as_os_str().to_owned();
    temporary.push(format!(".{chance:016x}{TEMPORARY}"));
    let temporary = Path::new(&temporary);
    let placed =
        write_new_file(temporary, content).and_then(|()| place_new(temporary, path).map_err(at(path)));
    let removed = remove(temporary);
    placed.and(removed)?;
    sync_dir(path.parent().unwrap_or(Path::new(".")))
}

/// Moves a file to a name that must not exist yet.
fn place_new(from: &Path, to: &Path) -> std::io::Result<()> {
    match renameat_with(CWD, from, CWD, to, RenameFlags::NOREPLACE) {
        // A file system that cannot: a link never takes the place of another file either.
        Err(Errno::INVAL | Errno::NOSYS | Errno::OPNOTSUPP) => fs::hard_link(from, to),
        placed => Ok(placed?),
    }
}

/// Writes or replaces `name` in `dir`: after this returns, the new content is on disk, and a crash leaves the old or the new.
pub(crate) fn replace_file(dir: &Path, name: &str, content: &[u8]) -> Result<(), VaultError> {
    let temporary = dir.join(format!("{name}{TEMPORARY}"));
    remove(&temporary)?;
    write_new_file(&temporary, content)?;
    fs::rename(&temporary, dir.join(name)).map_err(at(&temporary))?;
    sync_dir(dir)
}

/// Removes a file; it need not exist.
pub(crate) fn remove(path: &Path) -> Result<(), VaultError> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != ErrorKind::NotFound => Err(at(path)(error)),
        _ => Ok(()),
    }
}

/// Makes a directory with mode 0700 if it is missing, and refuses one that is a link or open to others.
pub(crate) fn private_dir(path: &Path) -> Result<(), VaultError> {
    match DirBuilder::new().mode(0o700).create(path) {
        Ok(()) => {
            sync_dir(path.parent().filter(|parent| *parent != Path::new("")).unwrap_or(Path::new(".")))?
        }
        Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
        Err(error) => return Err(at(path)(error)),
    }
    let metadata = fs::symlink_metadata(path).map_err(at(path))?;
    if !metadata.is_dir() || metadata.mode() & 0o077 != 0 {
        return Err(VaultError::Mode(path.to_owned()));
    }
    Ok(())
}

/// Makes the entries of a directory durable.
pub(crate) fn sync_dir(path: &Path) -> Result<(), VaultError> {
    let path = if path == Path::new("") { Path::new(".") } else { path };
    File::open(path).and_then(|dir| dir.sync_all()).map_err(at(path))
}

pub(crate) fn at(path: &Path) -> impl FnOnce(std::io::Error) -> VaultError {
    let path = path.to_owned();
    move |error| VaultError::File { path, kind: error.kind() }
}
