//! Where policies come from: nowhere (the starter set), a directory, or a bundle that a trusted author signed.

use std::fs::File;
use std::io::{ErrorKind, Read as _};
use std::path::{Path, PathBuf};

use hpc::policy_keys::bundle_failure;
use hpc_crypto::note::VerifierKey;
use hpc_error::{HpcError, codes};
use hpc_policy::limits::{BUNDLE_BYTES_MAX, DOCUMENT_BYTES_MAX};
use hpc_policy::verify_bundle;

use super::{Loaded, compile};

/// Most policy files in one directory.
pub const FILES_MAX: usize = 1_024;

/// The starter set: name and text of each document.
pub const STARTER: [(&str, &str); 2] = [
    ("starter.yaml", include_str!("../../policies/starter.yaml")),
    ("access.yaml", include_str!("../../policies/access.yaml")),
];

/// Where a daemon finds its policies, and who may sign them.
#[derive(Clone, Debug)]
pub struct Source {
    path: Option<PathBuf>,
    /// Not empty: only bundles signed with one of these are taken.
    keys: Vec<VerifierKey>,
}

/// What is there at one moment.
pub(crate) struct Snapshot {
    pub(crate) fingerprint: String,
    content: Content,
}

enum Content {
    Documents(Vec<(String, String)>),
    Bundle(Vec<u8>),
}

impl Source {
    /// The starter set without a path; with keys, bundles alone.
    ///
    /// # Errors
    /// `HPC-POL-0013` for keys and the starter set: nobody has signed it.
    pub fn new(path: Option<&Path>, keys: Vec<VerifierKey>) -> Result<Self, HpcError> {
        if path.is_none() && !keys.is_empty() {
            let message = "the built-in policies are not signed; name a bundle with `--policies`";
            return Err(HpcError::coded(&codes::POL_UNSIGNED, message));
        }
        Ok(Self { path: path.map(Path::to_owned), keys })
    }

    /// Whether only what is signed may be in force.
    #[must_use]
    pub fn is_signed(&self) -> bool {
        !self.keys.is_empty()
    }

    /// Whether it can change while the daemon runs.
    #[must_use]
    pub fn can_change(&self) -> bool {
        self.path.is_some()
    }

    /// Reads and compiles what is there.
    ///
    /// # Errors
    /// `HPC-USG-0003`, `-0005`, `-0006` and `-0018` for files that cannot be read; `HPC-POL-0004` with every mistake, its file
    /// and line; `HPC-POL-0010` and `-0011` for a bundle that does not hold; `-0013` for a directory where keys were given.
    pub fn load(&self) -> Result<Loaded, HpcError> {
        self.compile(self.read()?)
    }

    /// Reads what is there, without looking into it.
    pub(crate) fn read(&self) -> Result<Snapshot, HpcError> {
        let Some(path) = &self.path else {
            let documents: Vec<(String, String)> =
                STARTER.iter().map(|(name, text)| ((*name).to_owned(), (*text).to_owned())).collect();
            return Ok(Snapshot {
                fingerprint: of_documents(&documents),
                content: Content::Documents(documents),
            });
        };
        let kind = std::fs::metadata(path).map_err(|error| unreadable(path, &error))?;
        if kind.is_dir() {
            if self.is_signed() {
                let message = format!(
                    "`{}` is a directory, and `--policy-key` takes signed bundles only",
                    path.display()
                );
                return Err(HpcError::coded(&codes::POL_UNSIGNED, message));
            }
            let documents = documents_in(path)?;
            return Ok(Snapshot {
                fingerprint: of_documents(&documents),
                content: Content::Documents(documents),
            });
        }
        if !kind.is_file() {
            // A pipe would be waited for, and read once.
            let message = format!("`{}` is neither a directory nor a file", path.display());
            return Err(HpcError::coded(&codes::USG_FILE_MISSING, message).with("path", path.display()));
        }
        let mut bytes = Vec::new();
        let file = File::open(path).map_err(|error| unreadable(path, &error))?;
        file.take(BUNDLE_BYTES_MAX as u64 + 1)
            .read_to_end(&mut bytes)
            .map_err(|error| unreadable(path, &error))?;
        let fingerprint = blake3::hash(&bytes).to_hex().to_string();
        Ok(Snapshot { fingerprint, content: Content::Bundle(bytes) })
    }

    /// Compiles what was read.
    pub(crate) fn compile(&self, snapshot: Snapshot) -> Result<Loaded, HpcError> {
        let Snapshot { fingerprint, content } = snapshot;
        match content {
            Content::Documents(documents) => {
                let set = compile(&documents)?;
                Ok(Loaded { set, documents, built_in: self.path.is_none(), bundle: None, fingerprint })
            }
            Content::Bundle(bytes) => {
                let what =
                    self.path.as_ref().map_or_else(String::new, |path| format!("`{}`", path.display()));
                self.open(&bytes, &what, fingerprint)
            }
        }
    }

    /// Checks a bundle that came another way, by the same keys.
    pub(crate) fn open_bundle(&self, bytes: &[u8]) -> Result<Loaded, HpcError> {
        self.open(bytes, "the bundle", blake3::hash(bytes).to_hex().to_string())
    }

    fn open(&self, bytes: &[u8], what: &str, fingerprint: String) -> Result<Loaded, HpcError> {
        if self.keys.is_empty() {
            let message = format!(
                "{what} is no directory, and a bundle is taken only with the key of its author: `--policy-key FILE`"
            );
            return Err(HpcError::coded(&codes::POL_BUNDLE_UNTRUSTED, message));
        }
        let bundle = verify_bundle(bytes, &self.keys).map_err(|error| bundle_failure(what, &error))?;
        let (set, documents) = (bundle.set.clone(), bundle.documents.clone());
        Ok(Loaded { set, documents, built_in: false, bundle: Some(bundle), fingerprint })
    }
}

/// A hash over names and texts, each with its length.
pub(crate) fn of_documents(documents: &[(String, String)]) -> String {
    let mut hasher = blake3::Hasher::new();
    for part in documents.iter().flat_map(|(name, text)| [name, text]) {
        hasher.update(&(part.len() as u64).to_le_bytes()).update(part.as_bytes());
    }
    hasher.finalize().to_hex().to_string()
}

fn documents_in(directory: &Path) -> Result<Vec<(String, String)>, HpcError> {
    let shown = directory.display();
    let unreadable = |error: std::io::Error| unreadable(directory, &error);
    let mut documents = Vec::new();
    for entry in std::fs::read_dir(directory).map_err(unreadable)? {
        let path = entry.map_err(unreadable)?.path();
        let is_policy = path.extension().is_some_and(|extension| extension == "yaml" || extension == "yml");
        let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        // `*.test.yaml` beside the policies are tables of cases for `hpc policy test`.
        if !is_policy || name.ends_with(".test.yaml") || name.ends_with(".test.yml") {
            continue;
        }
        if documents.len() >= FILES_MAX {
            let message = format!("`{shown}` holds more than {FILES_MAX} policy files");
            return Err(HpcError::coded(&codes::USG_TOO_LARGE, message));
        }
        let size = std::fs::metadata(&path).map_err(unreadable)?.len();
        if size > u64::try_from(DOCUMENT_BYTES_MAX).unwrap_or(u64::MAX) {
            let message = format!("`{}` has {size} bytes; a policy has at most 1 MiB", path.display());
            return Err(HpcError::coded(&codes::USG_TOO_LARGE, message));
        }
        let text = std::fs::read_to_string(&path).map_err(unreadable)?;
        documents.push((name, text));
    }
    documents.sort();
    if documents.is_empty() {
        let message = format!("`{shown}` holds no `.yaml` file; nothing would be allowed");
        return Err(HpcError::coded(&codes::USG_FILE_MISSING, message));
    }
    Ok(documents)
}

fn unreadable(path: &Path, error: &std::io::Error) -> HpcError {
    let shown = path.display();
    let code = match error.kind() {
        ErrorKind::PermissionDenied => &codes::USG_FILE_PERMISSION,
        ErrorKind::InvalidData => &codes::USG_NOT_TEXT,
        _ => &codes::USG_FILE_MISSING,
    };
    HpcError::coded(code, format!("cannot read the policies in `{shown}`: {error}")).with("path", shown)
}
