//! The key of a witness in a file, and the logs that it watches.
//!
//! A private key is one line, `PRIVATE+KEY+name+id+base64`, of the type of cosignatures (0x04), in a file with mode 0600.

use std::path::Path;

use hpc::key_files;
use hpc_crypto::cosignature::{Cosigner, CosignerKey};
use hpc_crypto::note::VerifierKey;
use hpc_error::HpcError;

use super::limits::LOGS_MAX;

/// Draws a key pair and writes the private key to a new file with mode 0600. Gives back the public key.
///
/// # Errors
/// As [`key_files::generate`].
pub fn generate(name: &str, path: &Path) -> Result<CosignerKey, HpcError> {
    Ok(key_files::generate::<Cosigner>(name, path)?.key().clone())
}

/// Reads a private key, from a file that nobody else may read.
///
/// # Errors
/// As [`key_files::read_private`].
pub fn read_private(path: &Path) -> Result<Cosigner, HpcError> {
    key_files::read_private(path)
}

/// Reads the public keys of logs: one a line; empty lines and those that begin with `#` are passed over.
///
/// # Errors
/// As [`key_files::read_public`].
pub fn read_logs(path: &Path) -> Result<Vec<VerifierKey>, HpcError> {
    key_files::read_public(path, LOGS_MAX)
}
