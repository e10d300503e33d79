use std::fs::File;
use std::io::{ErrorKind, Read};
use std::path::Path;

use zeroize::Zeroizing;

use crate::error::{ConfigError, Problem};

/// Largest configuration file or document: 1 MiB.
pub const FILE_BYTES_MAX: usize = 1024 * 1024;
/// Largest secret file: 64 KiB.
pub const SECRET_BYTES_MAX: usize = 64 * 1024;

pub(crate) fn read(path: &Path) -> Result<Vec<u8>, ConfigError> {
    let fail = |problem| ConfigError::of_source(path.display().to_string(), problem);
    let io = |error: std::io::Error| match error.kind() {
        ErrorKind::NotFound => fail(Problem::Missing),
        _ => fail(Problem::Unreadable { reason: error.to_string() }),
    };
    let file = File::open(path).map_err(io)?;
    if file.metadata().map_err(io)?.is_dir() {
        return Err(fail(Problem::Unreadable { reason: "it is a directory".to_owned() }));
    }
    let mut bytes = Vec::new();
    file.take(FILE_BYTES_MAX as u64 + 1).read_to_end(&mut bytes).map_err(io)?;
    if bytes.len() > FILE_BYTES_MAX { Err(fail(Problem::TooLarge)) } else { Ok(bytes) }
}

/// The content of a secret file without its last line break, or why it cannot be used.
///
/// The file is opened first and judged by its handle, so that what is judged is what is read.
pub(crate) fn read_secret(path: &Path) -> Result<Zeroizing<String>, String> {
    let io = |error: std::io::Error| match error.kind() {
        ErrorKind::NotFound => "does not exist".to_owned(),
        _ => format!("cannot be read: {error}"),
    };
    if !path.is_absolute() {
        return Err("must be given as an absolute path".to_owned());
    }
    // A link is followed only within its directory: Kubernetes swaps secrets that way.
    let real = path.canonicalize().map_err(io)?;
    let folder = path.parent().unwrap_or(path).canonicalize().map_err(io)?;
    if !real.starts_with(&folder) {
        return Err("is a link out of its directory".to_owned());
    }
    let file = open_without_following(&real)?;
    let metadata = file.metadata().map_err(io)?;
    if !metadata.is_file() {
        return Err("is not a regular file".to_owned());
    }
    check_owner(&metadata)?;
    // The buffer never grows, so no copy of the secret is left behind.
    let mut bytes = Zeroizing::new(Vec::with_capacity(SECRET_BYTES_MAX + 1));
    file.take(SECRET_BYTES_MAX as u64 + 1).read_to_end(&mut bytes).map_err(io)?;
    if bytes.len() > SECRET_BYTES_MAX {
        return Err(format!("is larger than {SECRET_BYTES_MAX} bytes"));
    }
    let text = std::str::from_utf8(&bytes).map_err(|_| "is not UTF-8 text".to_owned())?;
    let text = text.strip_suffix('\n').map_or(text, |text| text.strip_suffix('\r').unwrap_or(text));
    if text.is_empty() { Err("is empty".to_owned()) } else { Ok(Zeroizing::new(text.to_owned())) }
}

#[cfg(unix)]
fn open_without_following(path: &Path) -> Result<File, String> {
    use rustix::fs::{Mode, OFlags, open};
    // NONBLOCK: opening a pipe must not wait for its other end.
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC | OFlags::NONBLOCK;
    open(path, flags, Mode::empty())
        .map(File::from)
        .map_err(|error| format!("cannot be read: {}", std::io::Error::from(error)))
}

#[cfg(not(unix))]
fn open_without_following(path: &Path) -> Result<File, String> {
    File::open(path).map_err(|error| format!("cannot be read: {error}"))
}

#[cfg(unix)]
fn check_owner(metadata: &std::fs::Metadata) -> Result<(), String> {
    use std::os::unix::fs::MetadataExt;
    let owner = metadata.uid();
    if owner != 0 && owner != rustix::process::geteuid().as_raw() {
        return Err("belongs to another user".to_owned());
    }
    let mode = metadata.mode() & 0o777;
    if mode & 0o077 != 0 {
        return Err(format!("may be used by others (mode {mode:04o}), run: chmod 600 FILE"));
    }
    Ok(())
}

#[cfg(not(unix))]
fn check_owner(_metadata: &std::fs::Metadata) -> Result<(), String> {
    Ok(())
}
