//! Contexts: which daemon to talk to, and as whom. A folder per context, written by `hpcd dev` and read by `hpc`.
//!
//! ```text
//! <home>/current                      the name of the context in use
//! <home>/contexts/<name>/context.json
//! <home>/contexts/<name>/{ca,cert,key}.pem
//! ```
//!
//! `<home>` is an argument everywhere but in [`home_from_env`], the one place that reads the environment.

use std::fs::{self, File, OpenOptions};
use std::io::{ErrorKind, Read as _, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use etcetera::BaseStrategy as _;
use hpc_auth::AuthError;
use hpc_auth::files::{read_identity, write_identity};
use hpc_error::{HpcError, codes};
use hpc_identity::{SpiffeId, TrustBundle, X509Svid};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// Longest name of a context, in bytes.
pub const NAME_BYTES_MAX: usize = 64;
/// Most contexts that are listed.
pub const CONTEXTS_MAX: usize = 256;
/// Largest `context.json`, in bytes.
pub const FILE_BYTES_MAX: usize = 64 * 1024;
/// The context that is used when none is chosen and this one exists.
pub const DEV_NAME: &str = "dev";

/// One daemon, and what there is to know about it before the first call.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Context {
    /// Its name: 1 to [`NAME_BYTES_MAX`] of `a-z`, `0-9`, `-` and `_`, the first a letter or digit.
    pub name: String,
    /// Where the daemon listens: `https://127.0.0.1:7801`.
    pub endpoint: String,
    /// Who the daemon is; any other member of its trust domain is refused.
    pub server_id: SpiffeId,
    /// Whether it is a development daemon.
    pub dev: bool,
    /// When the context was written.
    pub written_at: Timestamp,
    /// Where the daemon keeps its state, if it keeps any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub data: Option<PathBuf>,
    /// The public key of its audit log, as a C2SP verifier key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub audit_key: Option<String>,
}

/// Why a context cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ContextError {
    /// No home directory is known.
    #[error("no home directory is known; set `HPC_HOME` to a folder of your own")]
    NoHome,
    /// Not a name.
    #[error(
        "`{name}` is no name of a context: use 1 to {NAME_BYTES_MAX} of `a-z`, `0-9`, `-`, `_`, a letter or digit first"
    )]
    Name {
        /// What was given, cut short.
        name: String,
    },
    /// There is none of this name.
    #[error("there is no context `{name}`; see `hpc context list`")]
    Unknown {
        /// The name.
        name: String,
    },
    /// There is none at all, or none is chosen.
    #[error("{}", if *.some { "several contexts and none chosen; choose one with `hpc context use NAME`" }
        else { "no context: no daemon has introduced itself; start one with `hpcd dev`" })]
    NoneChosen {
        /// Whether there are contexts to choose from.
        some: bool,
    },
    /// `context.json` cannot be understood.
    #[error("`{}` cannot be read: {reason}; start the daemon again, it writes a new one", path.display())]
    Malformed {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },
    /// The operating system refused.
    #[error("`{}`: {source}", path.display())]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// What it said.
        source: std::io::Error,
    },
    /// The identity files cannot be used.
    #[error("the identity of context `{name}` cannot be used: {source}")]
    Identity {
        /// The context.
        name: String,
        /// Why.
        source: AuthError,
    },
}

impl From<ContextError> for HpcError {
    fn from(error: ContextError) -> Self {
        let code = match &error {
            ContextError::NoneChosen { .. } => &codes::NET_DAEMON_UNREACHABLE,
            ContextError::Name { .. } | ContextError::Unknown { .. } => &codes::USG_UNKNOWN_VALUE,
            ContextError::NoHome => &codes::USG_FILE_MISSING,
            ContextError::Malformed { .. } => &codes::USG_SYNTAX,
            ContextError::Io { .. } => &codes::USG_FILE_PERMISSION,
            ContextError::Identity { .. } => &codes::AUT_KEY_UNREADABLE,
        };
        Self::coded(code, error.to_string()).caused_by(error)
    }
}

/// The folder of all contexts: `$HPC_HOME`, else `$XDG_CONFIG_HOME/hpc`, else `~/.config/hpc`.
///
/// # Errors
/// [`ContextError::NoHome`].
pub fn home_from_env() -> Result<PathBuf, ContextError> {
    match std::env::var_os("HPC_HOME") {
        Some(home) if !home.is_empty() => Ok(PathBuf::from(home)),
        _ => {
            let base = etcetera::base_strategy::Xdg::new().map_err(|_| ContextError::NoHome)?;
            Ok(base.config_dir().join("hpc"))
        }
    }
}

/// Writes a context and its identity: folders get mode 0700, files 0600.
///
/// The context is made beside the old one and put in its place by renaming, so a reader sees the whole old one or the
/// whole new one; for the moment between two renames it may see none. With `make_current` it becomes the one in use.
///
/// # Errors
/// [`ContextError::Name`], [`ContextError::Io`], [`ContextError::Identity`].
pub fn write(
    home: &Path,
    context: &Context,
    svid: &X509Svid,
    bundle: &TrustBundle,
    make_current: bool,
) -> Result<PathBuf, ContextError> {
    let name = checked(&context.name)?;
    let folder = contexts(home);
    fs::DirBuilder::new().recursive(true).mode(0o700).create(&folder).map_err(at(&folder))?;
    // Names cannot begin with a dot, so these are never taken for contexts.
    let (target, new, old) =
        (folder.join(name), folder.join(format!(".{name}.new")), folder.join(format!(".{name}.old")));
    remove_folder(&new)?;
    remove_folder(&old)?;
    write_identity(&new, svid, bundle)
        .map_err(|source| ContextError::Identity { name: name.to_owned(), source })?;
    let mut text = serde_json::to_vec_pretty(context)
        .map_err(|error| ContextError::Malformed { path: target.clone(), reason: error.to_string() })?;
    text.push(b'\n');
    write_file(&new.join("context.json"), &text)?;
    match fs::rename(&target, &old) {
        Err(error) if error.kind() != ErrorKind::NotFound => return Err(at(&target)(error)),
        _ => {}
    }
    fs::rename(&new, &target).map_err(at(&target))?;
    sync(&folder)?;
    remove_folder(&old)?;
    if make_current {
        choose(home, name)?;
    }
    Ok(target)
}

/// Reads a context.
///
/// # Errors
/// [`ContextError::Name`], [`ContextError::Unknown`], [`ContextError::Malformed`], [`ContextError::Io`].
pub fn read(home: &Path, name: &str) -> Result<Context, ContextError> {
    let path = contexts(home).join(checked(name)?).join("context.json");
    let malformed = |reason: String| ContextError::Malformed { path: path.clone(), reason };
    let bytes = match read_file(&path, FILE_BYTES_MAX) {
        Err(error) if error.kind() == ErrorKind::NotFound => {
            return Err(ContextError::Unknown { name: name.to_owned() });
        }
        other => other.map_err(at(&path))?,
    };
    if bytes.len() > FILE_BYTES_MAX {
        return Err(malformed(format!("it has more than {FILE_BYTES_MAX} bytes")));
    }
    let context: Context = serde_json::from_slice(&bytes).map_err(|error| malformed(error.to_string()))?;
    if context.name != name {
        return Err(malformed(format!("it calls itself `{}`", cut(&context.name))));
    }
    Ok(context)
}

/// Reads the identity of a context.
///
/// # Errors
/// [`ContextError::Name`]; [`ContextError::Identity`] also when others may read the key.
pub fn identity(home: &Path, name: &str) -> Result<(X509Svid, TrustBundle), ContextError> {
    read_identity(&contexts(home).join(checked(name)?))
        .map_err(|source| ContextError::Identity { name: name.to_owned(), source })
}

/// The names of all contexts, sorted, at most [`CONTEXTS_MAX`]. A home that does not exist has none.
///
/// # Errors
/// [`ContextError::Io`].
pub fn list(home: &Path) -> Result<Vec<String>, ContextError> {
    let folder = contexts(home);
    let entries = match fs::read_dir(&folder) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
        other => other.map_err(at(&folder))?,
    };
    let mut names = Vec::new();
    for entry in entries.take(CONTEXTS_MAX * 4) {
        let name = entry.map_err(at(&folder))?.file_name();
        let Some(name) = name.to_str().filter(|name| checked(name).is_ok()) else { continue };
        if folder.join(name).join("context.json").is_file() {
            names.push(name.to_owned());
        }
    }
    names.sort();
    names.truncate(CONTEXTS_MAX);
    Ok(names)
}

/// The name of the context that was chosen with [`choose`]; `None` if none was, or it is gone.
///
/// # Errors
/// [`ContextError::Io`].
pub fn current(home: &Path) -> Result<Option<String>, ContextError> {
    let path = home.join("current");
    let bytes = match read_file(&path, NAME_BYTES_MAX + 1) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        other => other.map_err(at(&path))?,
    };
    let name = std::str::from_utf8(&bytes).unwrap_or_default().trim_end();
    let known = checked(name).is_ok() && contexts(home).join(name).join("context.json").is_file();
    Ok(known.then(|| name.to_owned()))
}

/// The context to use: the chosen one, else the only one, else [`DEV_NAME`].
///
/// # Errors
/// [`ContextError::NoneChosen`], [`ContextError::Io`].
pub fn in_use(home: &Path) -> Result<String, ContextError> {
    if let Some(name) = current(home)? {
        return Ok(name);
    }
    let mut names = list(home)?;
    match names.len() {
        1 => names.pop().ok_or(ContextError::NoneChosen { some: false }),
        _ if names.iter().any(|name| name == DEV_NAME) => Ok(DEV_NAME.to_owned()),
        count => Err(ContextError::NoneChosen { some: count > 0 }),
    }
}

/// Makes a context the one in use.
///
/// # Errors
/// [`ContextError::Name`], [`ContextError::Unknown`], [`ContextError::Io`].
pub fn choose(home: &Path, name: &str) -> Result<(), ContextError> {
    read(home, name)?;
    let (path, new) = (home.join("current"), home.join(".current.new"));
    match fs::remove_file(&new) {
        Err(error) if error.kind() != ErrorKind::NotFound => return Err(at(&new)(error)),
        _ => {}
    }
    write_file(&new, format!("{name}\n").as_bytes())?;
    fs::rename(&new, &path).map_err(at(&path))?;
    sync(home)
}

/// Removes a context with its identity; if it was the one in use, none is any more. Removing what is not there succeeds.
///
/// # Errors
/// [`ContextError::Name`], [`ContextError::Io`].
pub fn remove(home: &Path, name: &str) -> Result<(), ContextError> {
    let target = contexts(home).join(checked(name)?);
    if current(home)?.as_deref() == Some(name) {
        let path = home.join("current");
        fs::remove_file(&path).map_err(at(&path))?;
    }
    remove_folder(&target)
}

/// As [`remove`], but only if the context on disk is still this one: what a daemon calls at its exit, because another
/// one may have taken the name over. Says whether it was.
///
/// # Errors
/// As [`remove`].
pub fn remove_if_same(home: &Path, context: &Context) -> Result<bool, ContextError> {
    match read(home, &context.name) {
        Ok(found) if found == *context => remove(home, &context.name).map(|()| true),
        _ => Ok(false),
    }
}

fn contexts(home: &Path) -> PathBuf {
    home.join("contexts")
}

fn checked(name: &str) -> Result<&str, ContextError> {
    let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
    let fits = name.len() <= NAME_BYTES_MAX
        && name.starts_with(plain)
        && name.chars().all(|c| plain(c) || c == '-' || c == '_');
    if fits { Ok(name) } else { Err(ContextError::Name { name: cut(name) }) }
}

fn cut(text: &str) -> String {
    text.chars().take(NAME_BYTES_MAX).collect()
}

fn read_file(path: &Path, bytes_max: usize) -> std::io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    File::open(path)?.take(bytes_max as u64 + 1).read_to_end(&mut bytes)?;
    Ok(bytes)
}

fn write_file(path: &Path, content: &[u8]) -> Result<(), ContextError> {
    let mut file =
        OpenOptions::new().write(true).create_new(true).mode(0o600).open(path).map_err(at(path))?;
    file.write_all(content).and_then(|()| file.sync_all()).map_err(at(path))
}

fn remove_folder(path: &Path) -> Result<(), ContextError> {
    match fs::remove_dir_all(path) {
        Err(error) if error.kind() != ErrorKind::NotFound => Err(at(path)(error)),
        _ => Ok(()),
    }
}

fn sync(folder: &Path) -> Result<(), ContextError> {
    File::open(folder).and_then(|folder| folder.sync_all()).map_err(at(folder))
}

fn at(path: &Path) -> impl FnOnce(std::io::Error) -> ContextError {
    let path = path.to_owned();
    move |source| ContextError::Io { path, source }
}
