//! Keys of policy authors in files: a private one to sign bundles with, public ones to check them.
//!
//! Both are in the text form of signed notes: `PRIVATE+KEY+name+id+base64` and `name+id+base64`.

use std::fs::{File, OpenOptions};
use std::io::{ErrorKind, Read as _, Write as _};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hpc_crypto::note::{NoteSigner, VerifierKey};
use hpc_crypto::signing::KeyPair;
use hpc_error::{HpcError, codes};
use hpc_policy::BundleError;
use zeroize::Zeroizing;

/// How the text of a private key begins.
const PRIVATE: &str = "PRIVATE+KEY+";
/// The byte before an Ed25519 key.
const ED25519: u8 = 1;
/// Largest file of keys, in bytes.
const FILE_BYTES_MAX: u64 = 16 * 1024;
/// Most public keys of one file.
const KEYS_MAX: usize = 16;

/// Reads public keys: one a line; empty lines and those that begin with `#` are passed over.
///
/// # Errors
/// `HPC-USG-0005` or `-0006` for a file that cannot be read, `-0003` for too many keys, `-0012` for a line that is no
/// key, `-0010` for a file without any.
///
/// ```
/// # let folder = tempfile::tempdir().unwrap();
/// let file = folder.path().join("authors.pub");
/// let key = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW";
/// std::fs::write(&file, format!("# who may write policies\n{key}\n")).unwrap();
/// assert_eq!(hpc::policy_keys::read_public(&file)?[0].name(), "PeterNeumann");
/// # Ok::<(), hpc_error::HpcError>(())
/// ```
pub fn read_public(path: &Path) -> Result<Vec<VerifierKey>, HpcError> {
    let (text, _) = read(path)?;
    let shown = path.display();
    let mut keys = Vec::new();
    for (number, line) in (1..).zip(text.lines().map(str::trim)) {
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        if keys.len() >= KEYS_MAX {
            let message = format!("`{shown}` has more than {KEYS_MAX} keys");
            return Err(HpcError::coded(&codes::USG_TOO_LARGE, message));
        }
        // What is written there is not repeated: it may be a private key by mistake.
        keys.push(line.parse().map_err(|error| {
            let message = format!("`{shown}`: line {number} is no public key (NAME+ID+KEY): {error}");
            HpcError::coded(&codes::USG_UNKNOWN_VALUE, message)
        })?);
    }
    if keys.is_empty() {
        return Err(HpcError::coded(&codes::USG_MISSING_FIELD, format!("`{shown}` has no public key in it")));
    }
    Ok(keys)
}

/// Reads a private key, from a file that nobody else may read.
pub(crate) fn read_private(path: &Path) -> Result<NoteSigner, HpcError> {
    let (text, mode) = read(path)?;
    let shown = path.display();
    if mode & 0o077 != 0 {
        let message = format!("others may read the private key in `{shown}` (mode {:04o})", mode & 0o7777);
        return Err(HpcError::coded(&codes::USG_FILE_PERMISSION, message).with("path", shown));
    }
    let bad = |why: &str| {
        HpcError::coded(&codes::USG_UNKNOWN_VALUE, format!("`{shown}` holds no private key: {why}"))
    };
    let rest =
        text.trim_end().strip_prefix(PRIVATE).ok_or_else(|| bad("it does not begin with `PRIVATE+KEY+`"))?;
    let mut parts = rest.splitn(3, '+');
    let (Some(name), Some(id), Some(key)) = (parts.next(), parts.next(), parts.next()) else {
        return Err(bad("expected `PRIVATE+KEY+name+id+key`"));
    };
    let bytes = Zeroizing::new(STANDARD.decode(key).map_err(|_| bad("the key is not Base64"))?);
    let Some((&ED25519, seed)) = bytes.split_first() else {
        return Err(bad("the key is not of type Ed25519 (0x01)"));
    };
    let seed: [u8; 32] = seed.try_into().map_err(|_| bad("the key is not 33 bytes long"))?;
    let signer = NoteSigner::new(name, KeyPair::from_seed(seed)).map_err(|error| bad(&error.to_string()))?;
    if format!("{:08x}", signer.verifier_key().id()) != id {
        return Err(bad("the id does not fit name and key: one of them was changed"));
    }
    Ok(signer)
}

/// Draws a key pair and writes the private key to a new file with mode 0600. Gives back the public key.
pub(crate) fn generate(name: &str, path: &Path) -> Result<VerifierKey, HpcError> {
    let pair = KeyPair::generate();
    let mut bytes = Zeroizing::new(vec![ED25519]);
    bytes.extend_from_slice(pair.expose_seed().as_slice());
    let signer = NoteSigner::new(name, pair)
        .map_err(|error| HpcError::coded(&codes::USG_UNKNOWN_VALUE, format!("the key's name: {error}")))?;
    let key = signer.verifier_key().clone();
    let encoded = Zeroizing::new(STANDARD.encode(&*bytes));
    let text = Zeroizing::new(format!("{PRIVATE}{name}+{:08x}+{}\n", key.id(), *encoded));
    create(path, text.as_bytes(), 0o600)?;
    Ok(key)
}

/// Writes a new file; one that is there is never written over.
pub(crate) fn create(path: &Path, bytes: &[u8], mode: u32) -> Result<(), HpcError> {
    let shown = path.display();
    let failed = |error: std::io::Error| {
        let message = match error.kind() {
            ErrorKind::AlreadyExists => format!("`{shown}` is there already; name another file"),
            _ => format!("`{shown}` cannot be written: {error}"),
        };
        HpcError::coded(&codes::USG_FILE_PERMISSION, message)
    };
    let mut file = OpenOptions::new().write(true).create_new(true).mode(mode).open(path).map_err(failed)?;
    let written = file.write_all(bytes).and_then(|()| file.sync_all());
    written.map_err(|error| {
        // Half a file would pass for one.
        drop(std::fs::remove_file(path));
        failed(error)
    })
}

/// A failure of bundles with its code.
#[must_use]
pub fn bundle_failure(what: &str, error: &BundleError) -> HpcError {
    let code = match error {
        BundleError::Signature(_) => &codes::POL_BUNDLE_UNTRUSTED,
        BundleError::OtherName { .. } | BundleError::Rollback { .. } => &codes::POL_BUNDLE_OLD,
        BundleError::Policies(_) => &codes::POL_INVALID,
        BundleError::TooMuch { .. } => &codes::USG_TOO_LARGE,
        _ => &codes::POL_BUNDLE_INVALID,
    };
    HpcError::coded(code, format!("{what}: {error}"))
}

fn read(path: &Path) -> Result<(Zeroizing<String>, u32), HpcError> {
    let shown = path.display();
    let failed = |error: std::io::Error| {
        let code = match error.kind() {
            ErrorKind::NotFound => &codes::USG_FILE_MISSING,
            ErrorKind::InvalidData => &codes::USG_NOT_TEXT,
            _ => &codes::USG_FILE_PERMISSION,
        };
        HpcError::coded(code, format!("`{shown}`: {error}")).with("path", path.display())
    };
    let file = File::open(path).map_err(failed)?;
    // Of the open file: what is behind the name may change.
    let mode = file.metadata().map_err(failed)?.mode();
    let mut text = Zeroizing::new(String::new());
    file.take(FILE_BYTES_MAX + 1).read_to_string(&mut text).map_err(failed)?;
    if text.len() as u64 > FILE_BYTES_MAX {
        let message = format!("`{shown}` has more than {FILE_BYTES_MAX} bytes");
        return Err(HpcError::coded(&codes::USG_TOO_LARGE, message));
    }
    Ok((text, mode))
}
