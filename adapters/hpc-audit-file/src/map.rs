//! From the words of files and proofs to those of the port.

use std::io;

use hpc_audit::AuditError;
use hpc_crypto::CryptoError;

use crate::DirError;

pub(crate) fn io_of(file: &str) -> impl Fn(io::Error) -> DirError + '_ {
    move |error| DirError::Io { file: file.to_owned(), reason: error.to_string() }
}

pub(crate) fn damaged(
    file: impl Into<String>,
    offset: impl Into<Option<u64>>,
    reason: impl Into<String>,
) -> DirError {
    DirError::Damaged { file: file.into(), offset: offset.into(), reason: reason.into() }
}

pub(crate) fn port(error: DirError) -> AuditError {
    match error {
        DirError::Damaged { file, offset, reason } => AuditError::Damaged {
            place: offset.map_or_else(|| format!("`{file}`"), |offset| format!("`{file}` byte {offset}")),
            reason,
        },
        DirError::Missing { ref file } => {
            AuditError::Damaged { place: format!("`{file}`"), reason: error.to_string() }
        }
        other => AuditError::Backend { name: "files", reason: other.to_string() },
    }
}

pub(crate) fn out_of_range(error: CryptoError) -> AuditError {
    match error {
        CryptoError::IndexOutOfRange { index, size } => {
            AuditError::OutOfRange { what: "index", got: index, min: 0, max: size.saturating_sub(1) }
        }
        CryptoError::SizesOutOfRange { old, new } => {
            AuditError::OutOfRange { what: "size", got: old, min: 1, max: new }
        }
        other => AuditError::Backend { name: "files", reason: other.to_string() },
    }
}

pub(crate) fn unwritable(reason: impl ToString) -> AuditError {
    AuditError::Unwritable { reason: reason.to_string() }
}
