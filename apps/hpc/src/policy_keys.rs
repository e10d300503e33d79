//! Keys of policy authors in files, and what is wrong with bundles.

use std::path::Path;

use hpc_crypto::note::VerifierKey;
use hpc_error::{HpcError, codes};
use hpc_policy::BundleError;

use crate::key_files;

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
    let keys = key_files::read_public(path, KEYS_MAX)?;
    if keys.is_empty() {
        let message = format!("`{}` has no public key in it", path.display());
        return Err(HpcError::coded(&codes::USG_MISSING_FIELD, message));
    }
    Ok(keys)
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
