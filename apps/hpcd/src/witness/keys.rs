//! The key of a witness in a file, and the logs that it watches.
//!
//! A private key is one line, `PRIVATE+KEY+name+id+base64`, of the type of cosignatures (0x04), in a file with mode 0600.

use std::fs::{File, OpenOptions};
use std::io::{ErrorKind, Read as _, Write as _};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hpc_crypto::cosignature::{Cosigner, CosignerKey};
use hpc_crypto::note::VerifierKey;
use hpc_crypto::signing::KeyPair;
use hpc_error::{HpcError, codes};
use zeroize::Zeroizing;

use super::limits::{FILE_BYTES_MAX, LOGS_MAX};

/// How the text of a private key begins.
const PRIVATE: &str = "PRIVATE+KEY+";
/// The byte before an Ed25519 key of a cosigner.
const COSIGNATURE: u8 = 4;

/// Draws a key pair and writes the private key to a new file with mode 0600. Gives back the public key.
///
/// # Errors
/// `HPC-USG-0012` for a name that no key can have, `-0006` for a file that is there already or cannot be written.
pub fn generate(name: &str, path: &Path) -> Result<CosignerKey, HpcError> {
    let pair = KeyPair::generate();
    let mut bytes = Zeroizing::new(vec![COSIGNATURE]);
    bytes.extend_from_slice(pair.expose_seed().as_slice());
    let cosigner = Cosigner::new(name, pair)
        .map_err(|error| HpcError::coded(&codes::USG_UNKNOWN_VALUE, format!("the key's name: {error}")))?;
    let key = cosigner.key().clone();
    let encoded = Zeroizing::new(STANDARD.encode(&*bytes));
    let text = Zeroizing::new(format!("{PRIVATE}{name}+{:08x}+{}\n", key.id(), *encoded));
    let shown = path.display();
    let failed = |error: std::io::Error| {
        let message = match error.kind() {
            ErrorKind::AlreadyExists => format!("`{shown}` is there already; name another file"),
            _ => format!("`{shown}` cannot be written: {error}"),
        };
        HpcError::coded(&codes::USG_FILE_PERMISSION, message)
    };
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path).map_err(failed)?;
    file.write_all(text.as_bytes()).and_then(|()| file.sync_all()).map_err(|error| {
        // Half a file would pass for one.
        drop(std::fs::remove_file(path));
        failed(error)
    })?;
    Ok(key)
}

/// Reads a private key, from a file that nobody else may read.
///
/// # Errors
/// `HPC-USG-0005` or `-0006` for a file that cannot be read or that others may read, `-0012` for one without a key.
pub fn read_private(path: &Path) -> Result<Cosigner, HpcError> {
    let (text, mode) = read(path)?;
    let shown = path.display();
    if mode & 0o077 != 0 {
        let message =
            format!("others may read the private key in `{shown}` (mode {:04o}); chmod 600", mode & 0o7777);
        return Err(HpcError::coded(&codes::USG_FILE_PERMISSION, message).with("path", shown));
    }
    let bad = |why: &str| {
        HpcError::coded(
            &codes::USG_UNKNOWN_VALUE,
            format!("`{shown}` holds no private key of a witness: {why}"),
        )
    };
    let rest =
        text.trim_end().strip_prefix(PRIVATE).ok_or_else(|| bad("it does not begin with `PRIVATE+KEY+`"))?;
    let mut parts = rest.splitn(3, '+');
    let (Some(name), Some(id), Some(key)) = (parts.next(), parts.next(), parts.next()) else {
        return Err(bad("expected `PRIVATE+KEY+name+id+key`"));
    };
    let bytes = Zeroizing::new(STANDARD.decode(key).map_err(|_| bad("the key is not Base64"))?);
    let Some((&COSIGNATURE, seed)) = bytes.split_first() else {
        return Err(bad("the key is not of the type of cosignatures (0x04)"));
    };
    let seed: [u8; 32] = seed.try_into().map_err(|_| bad("the key is not 33 bytes long"))?;
    let cosigner = Cosigner::new(name, KeyPair::from_seed(seed)).map_err(|error| bad(&error.to_string()))?;
    if format!("{:08x}", cosigner.key().id()) != id {
        return Err(bad("the id does not fit name and key: one of them was changed"));
    }
    Ok(cosigner)
}

/// Reads the public keys of logs: one a line; empty lines and those that begin with `#` are passed over.
///
/// # Errors
/// `HPC-USG-0005` or `-0006` for a file that cannot be read, `-0003` for too many, `-0012` for a line that is no key.
pub fn read_logs(path: &Path) -> Result<Vec<VerifierKey>, HpcError> {
    let (text, _) = read(path)?;
    let shown = path.display();
    let lines = (1..).zip(text.lines().map(str::trim));
    let mut logs = Vec::new();
    for (number, line) in lines.filter(|(_, line)| !line.is_empty() && !line.starts_with('#')) {
        if logs.len() >= LOGS_MAX {
            let message = format!("`{shown}` has more than {LOGS_MAX} keys");
            return Err(HpcError::coded(&codes::USG_TOO_LARGE, message));
        }
        // What is written there is not repeated: it may be a private key by mistake.
        logs.push(line.parse().map_err(|error| {
            let message =
                format!("`{shown}`: line {number} is no public key of a log (NAME+ID+KEY): {error}");
            HpcError::coded(&codes::USG_UNKNOWN_VALUE, message)
        })?);
    }
    Ok(logs)
}

fn read(path: &Path) -> Result<(Zeroizing<String>, u32), HpcError> {
    let failed = |error: std::io::Error| {
        let code = match error.kind() {
            ErrorKind::NotFound => &codes::USG_FILE_MISSING,
            ErrorKind::InvalidData => &codes::USG_NOT_TEXT,
            _ => &codes::USG_FILE_PERMISSION,
        };
        HpcError::coded(code, format!("`{}`: {error}", path.display())).with("path", path.display())
    };
    let file = File::open(path).map_err(failed)?;
    // Of the open file: what is behind the name may change.
    let mode = file.metadata().map_err(failed)?.mode();
    let mut text = Zeroizing::new(String::new());
    file.take(FILE_BYTES_MAX + 1).read_to_string(&mut text).map_err(failed)?;
    if text.len() as u64 > FILE_BYTES_MAX {
        let message = format!("`{}` has more than {FILE_BYTES_MAX} bytes", path.display());
        return Err(HpcError::coded(&codes::USG_TOO_LARGE, message));
    }
    Ok((text, mode))
}
