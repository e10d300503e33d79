//! What must outlive the process: which bundle was taken last, and which candidate was promoted.
//!
//! One JSON file, `policies.json`, written beside itself and renamed: after a crash it is the old one or the new one.

use std::fs;
use std::io::{ErrorKind, Read as _, Write as _};
use std::path::{Path, PathBuf};

use hpc::policy_keys::bundle_failure;
use hpc_error::{HpcError, codes};
use hpc_policy::Accepted;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::source::{Source, of_documents};
use super::{Loaded, compile};

/// Version of the file.
const FORMAT: u32 = 1;
/// Largest file, in bytes: a promoted set comes in one message of 4 MiB, and JSON may spell a byte with six.
const FILE_BYTES_MAX: u64 = 32 << 20;

/// What is kept.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Kept {
    format: u32,
    /// The last bundle that was in force.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    accepted: Option<KeptBundle>,
    /// What was promoted and is in force instead of the source.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) promoted: Option<Promoted>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct KeptBundle {
    name: String,
    sequence: u64,
    digest: String,
}

/// A promoted candidate.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Promoted {
    /// Who promoted it.
    pub(crate) by: String,
    /// When.
    pub(crate) at: Timestamp,
    /// What the source was then: the promotion ends when it is something else.
    pub(crate) source: String,
    /// The set's digest.
    pub(crate) digest: String,
    /// The policies.
    pub(crate) policies: Given,
}

/// Policies as they were handed in.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Given {
    /// Name and text of each document, sorted.
    Documents(Vec<(String, String)>),
    /// A signed bundle.
    Bundle(String),
}

impl Given {
    /// Checks and compiles them.
    pub(crate) fn load(&self, source: &Source) -> Result<Loaded, HpcError> {
        match self {
            Self::Documents(documents) => Ok(Loaded {
                set: compile(documents)?,
                documents: documents.clone(),
                built_in: false,
                bundle: None,
                fingerprint: of_documents(documents),
            }),
            Self::Bundle(text) => source.open_bundle(text.as_bytes()),
        }
    }
}

impl Kept {
    fn nothing() -> Self {
        Self { format: FORMAT, accepted: None, promoted: None }
    }

    /// Reads the file; nothing is kept where there is none.
    pub(crate) fn read(path: &Path) -> Result<Self, HpcError> {
        let damaged = |why: String| {
            let message = format!("`{}` is damaged ({why}); restore it from a backup", path.display());
            HpcError::coded(&codes::DAT_CORRUPT, message).with("path", path.display())
        };
        let file = match fs::File::open(path) {
            Ok(file) => file,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Self::nothing()),
            Err(error) => return Err(damaged(error.to_string())),
        };
        let mut bytes = Vec::new();
        file.take(FILE_BYTES_MAX + 1).read_to_end(&mut bytes).map_err(|error| damaged(error.to_string()))?;
        if bytes.len() as u64 > FILE_BYTES_MAX {
            return Err(damaged(format!("it has more than {FILE_BYTES_MAX} bytes")));
        }
        let kept: Self = serde_json::from_slice(&bytes).map_err(|error| damaged(error.to_string()))?;
        if kept.format != FORMAT {
            let message =
                format!("`{}` has format {}, this hpcd reads {FORMAT}", path.display(), kept.format);
            return Err(HpcError::coded(&codes::DAT_VERSION, message));
        }
        Ok(kept)
    }

    /// Writes the file durably.
    pub(crate) fn write(&self, path: &Path) -> Result<(), HpcError> {
        let bytes =
            serde_json::to_vec(self).map_err(|error| HpcError::coded(&codes::INT_BUG, error.to_string()))?;
        let folder = path.parent().map(PathBuf::from).unwrap_or_default();
        let write = || -> std::io::Result<()> {
            let mut temporary = tempfile::Builder::new().prefix(".policies.json.").tempfile_in(&folder)?;
            temporary.write_all(&bytes)?;
            temporary.as_file().sync_all()?;
            temporary.persist(path)?;
            fs::File::open(&folder)?.sync_all()
        };
        write().map_err(|error| {
            let code = match error.kind() {
                ErrorKind::StorageFull | ErrorKind::QuotaExceeded => &codes::DAT_DISK_FULL,
                _ => &codes::DAT_NOT_WRITABLE,
            };
            HpcError::coded(code, format!("cannot write `{}`: {error}", path.display()))
        })
    }

    /// Whether these may be in force after the last ones.
    ///
    /// # Errors
    /// `HPC-POL-0012` for a bundle that is older, or has another name.
    pub(crate) fn admits(&self, loaded: &Loaded) -> Result<(), HpcError> {
        match (&loaded.bundle, &self.accepted) {
            (Some(bundle), Some(KeptBundle { name, sequence, digest })) => {
                let last = Accepted { name: name.clone(), sequence: *sequence, digest: digest.clone() };
                bundle.follows(&last).map_err(|error| bundle_failure("the policies", &error))
            }
            _ => Ok(()),
        }
    }

    /// What to keep once `loaded` is in force, promoted or not.
    pub(crate) fn with(&self, loaded: &Loaded, promoted: Option<Promoted>) -> Self {
        let accepted = loaded.bundle.as_ref().map(|bundle| {
            let Accepted { name, sequence, digest } = bundle.accepted();
            KeptBundle { name, sequence, digest }
        });
        Self { format: FORMAT, accepted: accepted.or_else(|| self.accepted.clone()), promoted }
    }

    /// What is in force at the start: what was promoted while the source was what it is now, else the source.
    ///
    /// # Errors
    /// `HPC-POL-0012`; `HPC-DAT-0001` for a promoted set that cannot be read any more.
    pub(crate) fn choose(
        &self,
        found: Loaded,
        source: &Source,
    ) -> Result<(Loaded, Option<Promoted>), HpcError> {
        if let Some(promoted) = self.promoted.as_ref().filter(|promoted| promoted.source == found.fingerprint)
        {
            match (&promoted.policies, source.is_signed()) {
                (Given::Documents(_), true) => {
                    tracing::warn!(
                        "what was promoted is not signed and not in force any more: `--policy-key` is given"
                    );
                }
                (Given::Bundle(_), false) => {
                    tracing::warn!(
                        "what was promoted cannot be checked and is not in force any more: no `--policy-key`"
                    );
                }
                (given, _) => {
                    let loaded = given.load(source)?;
                    if loaded.set.digest() != promoted.digest {
                        let message = "the promoted policies are not those that were promoted";
                        return Err(HpcError::coded(&codes::DAT_CORRUPT, message));
                    }
                    self.admits(&loaded)?;
                    return Ok((loaded, Some(promoted.clone())));
                }
            }
        }
        self.admits(&found)?;
        Ok((found, None))
    }
}
