//! The policy and the newest cosigned checkpoint, in files.

use std::fs::File;
use std::io::{self, ErrorKind, Read as _, Write as _};
use std::path::Path;

use hpc_audit::{SignedCheckpoint, VerifierKey};
use hpc_crypto::note::NOTE_BYTES_MAX;
use hpc_crypto::tlog_policy::{POLICY_BYTES_MAX, TlogPolicy};
use hpc_error::{HpcError, codes};

/// Reads a policy that must be about the log with `key`; one that lists no logs is.
pub(super) fn read_policy(path: &Path, key: &VerifierKey) -> Result<TlogPolicy, HpcError> {
    let shown = path.display();
    let bytes = read_file(path, POLICY_BYTES_MAX).map_err(|error| {
        let code = match error.kind() {
            ErrorKind::NotFound => &codes::USG_FILE_MISSING,
            _ => &codes::USG_FILE_PERMISSION,
        };
        HpcError::coded(code, format!("`{shown}`: {error}")).with("path", &shown)
    })?;
    let wrong = |error: String| HpcError::coded(&codes::USG_UNKNOWN_VALUE, format!("`{shown}`: {error}"));
    let policy = TlogPolicy::parse(&bytes).map_err(|error| wrong(error.to_string()))?;
    if !policy.logs().is_empty() && policy.logs().iter().all(|log| log.key != *key) {
        return Err(wrong(format!("the policy lists other logs than this one, `{key}`")));
    }
    policy.with_log(key.clone()).map_err(|error| wrong(error.to_string()))
}

/// The newest cosigned checkpoint of an earlier run.
pub(super) fn read(path: &Path, key: &VerifierKey) -> Result<Option<SignedCheckpoint>, HpcError> {
    let damaged = |error: String| {
        let message =
            format!("`{}` is damaged: {error}; remove it, witnesses are asked again", path.display());
        HpcError::coded(&codes::DAT_CORRUPT, message).with("path", path.display())
    };
    match read_file(path, NOTE_BYTES_MAX) {
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(damaged(error.to_string())),
        Ok(note) => {
            let signed = SignedCheckpoint::open(&note, key).map_err(|error| damaged(error.to_string()))?;
            Ok(Some(signed))
        }
    }
}

/// Replaces it, at once and durably.
pub(super) fn write(path: &Path, note: &str) -> io::Result<()> {
    let folder = path.parent().unwrap_or(Path::new("."));
    let mut temporary = tempfile::Builder::new().prefix(".cosigned.").tempfile_in(folder)?;
    temporary.write_all(note.as_bytes())?;
    temporary.as_file().sync_all()?;
    temporary.persist(path)?;
    File::open(folder)?.sync_all()
}

fn read_file(path: &Path, bytes_max: usize) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    File::open(path)?.take(bytes_max as u64 + 1).read_to_end(&mut bytes)?;
    Ok(bytes)
}
