//! Named secrets of a data directory: credentials that its providers use, sealed in its key store.
//!
//! They are put there by `hpcd secret put`, from standard input, while no daemon runs over the directory, and are read when
//! one starts. Nothing ever prints one.

use std::path::Path;

use hpc_error::{HpcError, codes};
use hpc_keystore::{KeyStore, KeyStoreError, Secret, SecretPath};
use serde::Serialize;

use crate::data::DataDir;
use crate::stores::{Stores, broken};
use crate::world::SEED_DEFAULT;

/// Longest secret, in bytes.
pub const SECRET_BYTES_MAX: usize = 64 << 10;
/// Where they lie in the key store: apart from the keys of the daemon itself, which no name can reach.
const BELOW: &str = "named";

/// Whether a secret may make its data directory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Directory {
    /// It must be there: a path with a mistake in it is refused.
    Known,
    /// It is made if it is not there, before a daemon ran over it.
    Created,
}

/// A secret's name and how often it was put.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Named {
    /// Its name.
    pub name: String,
    /// Its newest version, from 1.
    pub version: u64,
}

/// Seals a secret under a name; one that was there under it is used no longer.
///
/// # Errors
/// `HPC-USG-0013` for a name that is none, `-0003` for more than [`SECRET_BYTES_MAX`], `-0010` for nothing at all, `-0005`
/// without a data directory that is [`Directory::Known`]; `HPC-DAT-*`, `-0002` while a daemon runs over the directory.
pub async fn put(data: &Path, directory: Directory, name: &str, secret: &[u8]) -> Result<Named, HpcError> {
    let path = place(name)?;
    match secret.len() {
        0 => return Err(HpcError::coded(&codes::USG_MISSING_FIELD, "standard input holds no secret")),
        1..=SECRET_BYTES_MAX => {}
        _ => {
            let message = format!("a secret has at most {SECRET_BYTES_MAX} bytes");
            return Err(HpcError::coded(&codes::USG_TOO_LARGE, message));
        }
    }
    if directory == Directory::Known {
        is_there(data)?;
    }
    let (_data, stores) = open(data).await?;
    let version = stores.keys.seal(&path, secret).await.map_err(broken)?;
    Ok(Named { name: name.to_owned(), version: version.get() })
}

/// The names that are there, in order.
///
/// # Errors
/// `HPC-USG-0005` without a data directory; `HPC-DAT-*`.
pub async fn list(data: &Path) -> Result<Vec<Named>, HpcError> {
    is_there(data)?;
    let (_data, stores) = open(data).await?;
    let below = SecretPath::parse(BELOW).map_err(broken)?;
    let mut names = Vec::new();
    let mut after: Option<SecretPath> = None;
    loop {
        let limit = hpc_keystore::LIST_MAX;
        let found = stores.keys.list(Some(&below), after.as_ref(), limit).await.map_err(broken)?;
        after = found.last().map(|entry| entry.path.clone());
        let whole = found.len() < limit;
        names.extend(found.into_iter().filter_map(|entry| {
            let name = entry.path.as_str().strip_prefix(BELOW)?.strip_prefix('/')?.to_owned();
            Some(Named { name, version: entry.version.get() })
        }));
        if whole {
            return Ok(names);
        }
    }
}

/// Hides a secret. Its sealed records stay in the directory: rotate the credential where it was issued.
///
/// # Errors
/// `HPC-USG-0012` when there is none of this name, `-0005` without a data directory; `HPC-DAT-*`.
pub async fn delete(data: &Path, name: &str) -> Result<(), HpcError> {
    let path = place(name)?;
    is_there(data)?;
    let (_data, stores) = open(data).await?;
    read(&stores, name).await?;
    stores.keys.delete(&path).await.map_err(broken)
}

/// The secret of this name.
///
/// # Errors
/// `HPC-USG-0012` when there is none, with what to do; `HPC-DAT-0001` when it cannot be opened.
pub(crate) async fn read(stores: &Stores, name: &str) -> Result<Secret, HpcError> {
    match stores.keys.open(&place(name)?, None).await {
        Ok(opened) => Ok(opened.secret),
        Err(KeyStoreError::NotFound { .. }) => {
            let message = format!(
                "the data directory has no secret `{name}`; put it there with `hpcd secret put {name} --data DIR`"
            );
            Err(HpcError::coded(&codes::USG_UNKNOWN_VALUE, message))
        }
        Err(error) => Err(broken(error)),
    }
}

fn place(name: &str) -> Result<SecretPath, HpcError> {
    SecretPath::parse(&format!("{BELOW}/{name}")).map_err(|_| {
        let message = "a secret's name has 1 to 190 of a-z, A-Z, 0-9, `.`, `_`, `-`, in parts joined by `/`";
        HpcError::coded(&codes::USG_BAD_ID, message)
    })
}

/// Who only asks makes no directory, and nothing of another one.
fn is_there(data: &Path) -> Result<(), HpcError> {
    if DataDir::is_at(data) {
        return Ok(());
    }
    let message = format!(
        "`{}` is no data directory; check the path, or make one with `hpcd secret put --create`",
        data.display()
    );
    Err(HpcError::coded(&codes::USG_FILE_MISSING, message))
}

/// The directory stays locked as long as it is held.
async fn open(data: &Path) -> Result<(DataDir, Stores), HpcError> {
    let data = DataDir::open(Some(data), None, SEED_DEFAULT)?;
    let stores = Stores::open(&data).await?;
    Ok((data, stores))
}
