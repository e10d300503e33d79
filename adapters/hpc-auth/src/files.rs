//! An identity as a folder: `ca.pem`, `cert.pem` and `key.pem`.

use std::fs::{self, OpenOptions};
use std::io::{Read as _, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use hpc_identity::{TrustBundle, X509Svid};
use zeroize::Zeroizing;

use crate::{AuthError, pem};

/// The authorities to believe.
pub const CA_FILE: &str = "ca.pem";
/// The certificate chain, leaf first.
pub const CERT_FILE: &str = "cert.pem";
/// The private key, readable by its owner only.
pub const KEY_FILE: &str = "key.pem";

/// Writes an identity into `dir`, which is made with mode 0700 if it is missing; the files get mode 0600.
///
/// Each file is replaced as a whole and is on disk when this returns, but the three are not replaced at one instant:
/// a reader in between gets [`AuthError::Key`] from [`read_identity`] and tries again.
///
/// # Errors
/// [`AuthError::File`].
pub fn write_identity(dir: &Path, svid: &X509Svid, bundle: &TrustBundle) -> Result<(), AuthError> {
    fs::DirBuilder::new().recursive(true).mode(0o700).create(dir).map_err(at(dir))?;
    write(dir, CA_FILE, pem::certificates_to_pem(bundle.authorities()).as_bytes())?;
    write(dir, KEY_FILE, pem::private_key_to_pem(svid.private_key_der()).as_bytes())?;
    write(dir, CERT_FILE, pem::certificates_to_pem(svid.cert_chain_der()).as_bytes())?;
    fs::File::open(dir).and_then(|dir| dir.sync_all()).map_err(at(dir))
}

/// Reads an identity that [`write_identity`] wrote. The bundle is that of the identity's own trust domain.
///
/// # Errors
/// [`AuthError::File`]; [`AuthError::FileMode`] when others may read the key, or it is a link;
/// [`AuthError::Pem`], [`AuthError::Identity`] and [`AuthError::Key`] for what the files say.
pub fn read_identity(dir: &Path) -> Result<(X509Svid, TrustBundle), AuthError> {
    let key = read(&dir.join(KEY_FILE), true)?;
    let svid = pem::svid_from_pem(&read(&dir.join(CERT_FILE), false)?, &key)?;
    let bundle = pem::bundle_from_pem(svid.id().trust_domain().clone(), &read(&dir.join(CA_FILE), false)?)?;
    Ok((svid, bundle))
}

fn write(dir: &Path, name: &str, content: &[u8]) -> Result<(), AuthError> {
    let temporary = dir.join(format!(".{name}.new"));
    // A leftover of a crash is removed, so that the file made here is ours and has our mode.
    match fs::remove_file(&temporary) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(at(&temporary)(error)),
        _ => {}
    }
    let mut file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(&temporary)
        .map_err(at(&temporary))?;
    file.write_all(content).and_then(|()| file.sync_all()).map_err(at(&temporary))?;
    fs::rename(&temporary, dir.join(name)).map_err(at(&temporary))
}

fn read(path: &Path, secret: bool) -> Result<Zeroizing<String>, AuthError> {
    let found = fs::symlink_metadata(path).map_err(at(path))?;
    if secret && !found.is_file() {
        return Err(AuthError::FileMode { path: path.to_owned() });
    }
    let file = fs::File::open(path).map_err(at(path))?;
    let metadata = file.metadata().map_err(at(path))?;
    // The second look is at the file that was opened: it is the one that was judged, and it is closed to others.
    let same = metadata.ino() == found.ino() && metadata.dev() == found.dev();
    if secret && (!same || metadata.mode() & 0o077 != 0) {
        return Err(AuthError::FileMode { path: path.to_owned() });
    }
    let mut text = Zeroizing::new(String::with_capacity(
        usize::try_from(metadata.len()).unwrap_or(0).min(pem::PEM_BYTES_MAX),
    ));
    let limit = pem::PEM_BYTES_MAX as u64 + 1; // one more than PEM reading accepts, so that it can say so
    file.take(limit).read_to_string(&mut text).map_err(at(path))?;
    Ok(text)
}

fn at(path: &Path) -> impl FnOnce(std::io::Error) -> AuthError {
    let path: PathBuf = path.to_owned();
    move |error| AuthError::File { path, kind: error.kind() }
}
