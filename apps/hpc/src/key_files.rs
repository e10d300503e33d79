//! Keys in files, in the text form of signed notes: `PRIVATE+KEY+name+id+base64` for a private one, alone in a file that
//! nobody else may read; `name+id+base64` for public ones, one a line.

use std::fs::{File, OpenOptions};
use std::io::{ErrorKind, Read as _, Write as _};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hpc_crypto::CryptoError;
use hpc_crypto::cosignature::Cosigner;
use hpc_crypto::note::{NoteSigner, VerifierKey};
use hpc_crypto::signing::KeyPair;
use hpc_error::{HpcError, codes};
use zeroize::Zeroizing;

/// How the text of a private key begins.
const PRIVATE: &str = "PRIVATE+KEY+";
/// Largest file of keys, in bytes.
pub const FILE_BYTES_MAX: u64 = 64 * 1024;

/// Whoever signs with a key of one kind.
///
/// ```
/// use hpc::key_files::{generate, read_private};
/// use hpc_crypto::note::NoteSigner;
///
/// # let folder = tempfile::tempdir().unwrap();
/// let file = folder.path().join("author.key");
/// let made: NoteSigner = generate("policies.example", &file)?;
/// let read: NoteSigner = read_private(&file)?;
/// assert_eq!(read.verifier_key(), made.verifier_key());
/// # Ok::<(), hpc_error::HpcError>(())
/// ```
pub trait FromKey: Sized {
    /// The byte before the key: the kind of its signatures.
    const KIND: u8;
    /// What its signatures are, as people say it.
    const SIGNS: &'static str;

    /// Makes one.
    ///
    /// # Errors
    /// A name that no key can have.
    fn from_key(name: &str, pair: KeyPair) -> Result<Self, CryptoError>;

    /// The first bytes of the hash of name and key.
    fn id(&self) -> u32;
}

impl FromKey for NoteSigner {
    const KIND: u8 = 1;
    const SIGNS: &'static str = "notes";

    fn from_key(name: &str, pair: KeyPair) -> Result<Self, CryptoError> {
        Self::new(name, pair)
    }

    fn id(&self) -> u32 {
        self.verifier_key().id()
    }
}

impl FromKey for Cosigner {
    const KIND: u8 = 4;
    const SIGNS: &'static str = "cosignatures";

    fn from_key(name: &str, pair: KeyPair) -> Result<Self, CryptoError> {
        Self::new(name, pair)
    }

    fn id(&self) -> u32 {
        self.key().id()
    }
}

/// Draws a key and writes it to a new file with mode 0600.
///
/// # Errors
/// `HPC-USG-0012` for a name that no key can have, `-0006` for a file that is there already or cannot be written.
pub fn generate<S: FromKey>(name: &str, path: &Path) -> Result<S, HpcError> {
    let pair = KeyPair::generate();
    let mut bytes = Zeroizing::new(vec![S::KIND]);
    bytes.extend_from_slice(pair.expose_seed().as_slice());
    let signer = S::from_key(name, pair)
        .map_err(|error| HpcError::coded(&codes::USG_UNKNOWN_VALUE, format!("the key's name: {error}")))?;
    let encoded = Zeroizing::new(STANDARD.encode(&*bytes));
    let text = Zeroizing::new(format!("{PRIVATE}{name}+{:08x}+{}\n", signer.id(), *encoded));
    create(path, text.as_bytes(), 0o600)?;
    Ok(signer)
}

/// Reads a private key, from a file that nobody else may read.
///
/// # Errors
/// `HPC-USG-0005` or `-0006` for a file that cannot be read or that others may read, `-0012` for one without such a key.
pub fn read_private<S: FromKey>(path: &Path) -> Result<S, HpcError> {
    let (text, mode) = read(path)?;
    let shown = path.display();
    if mode & 0o077 != 0 {
        let message =
            format!("others may read the private key in `{shown}` (mode {:04o}); chmod 600", mode & 0o7777);
        return Err(HpcError::coded(&codes::USG_FILE_PERMISSION, message).with("path", shown));
    }
    parse(&text).map_err(|why| {
        HpcError::coded(&codes::USG_UNKNOWN_VALUE, format!("`{shown}` holds no private key: {why}"))
    })
}

/// Nothing of the text is repeated in what is wrong with it.
fn parse<S: FromKey>(text: &str) -> Result<S, String> {
    let rest = text.trim_end().strip_prefix(PRIVATE).ok_or("it does not begin with `PRIVATE+KEY+`")?;
    let mut parts = rest.splitn(3, '+');
    let (Some(name), Some(id), Some(key)) = (parts.next(), parts.next(), parts.next()) else {
        return Err("expected `PRIVATE+KEY+name+id+key`".to_owned());
    };
    let bytes = Zeroizing::new(STANDARD.decode(key).map_err(|_| "the key is not Base64")?);
    let seed = match bytes.split_first() {
        Some((kind, seed)) if *kind == S::KIND => seed,
        _ => return Err(format!("the key is not of the type of {} (0x{:02x})", S::SIGNS, S::KIND)),
    };
    let seed: [u8; 32] = seed.try_into().map_err(|_| "the key is not 33 bytes long")?;
    let signer = S::from_key(name, KeyPair::from_seed(seed)).map_err(|error| error.to_string())?;
    if format!("{:08x}", signer.id()) != id {
        return Err("the id does not fit name and key: one of them was changed".to_owned());
    }
    Ok(signer)
}

/// Reads at most `max` public keys: one a line; empty lines and those that begin with `#` are passed over.
///
/// # Errors
/// `HPC-USG-0005` or `-0006` for a file that cannot be read, `-0003` for too many keys, `-0012` for a line that is no key.
pub fn read_public(path: &Path, max: usize) -> Result<Vec<VerifierKey>, HpcError> {
    let (text, _) = read(path)?;
    let shown = path.display();
    let lines = (1..).zip(text.lines().map(str::trim));
    let mut keys = Vec::new();
    for (number, line) in lines.filter(|(_, line)| !line.is_empty() && !line.starts_with('#')) {
        if keys.len() >= max {
            let message = format!("`{shown}` has more than {max} keys");
            return Err(HpcError::coded(&codes::USG_TOO_LARGE, message));
        }
        // What is written there is not repeated: it may be a private key by mistake.
        keys.push(line.parse().map_err(|error| {
            let message = format!("`{shown}`: line {number} is no public key (NAME+ID+KEY): {error}");
            HpcError::coded(&codes::USG_UNKNOWN_VALUE, message)
        })?);
    }
    Ok(keys)
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
