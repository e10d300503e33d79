//! The policies in force: the starter set, or every `.yaml` and `.yml` file of a directory. All or nothing.

use std::path::Path;

use hpc_error::{HpcError, codes};
use hpc_policy::PolicySet;

/// Most policy files in one directory.
pub const FILES_MAX: usize = 1_024;

/// The starter set: name and text of each document.
pub const STARTER: [(&str, &str); 3] = [
    ("starter.yaml", include_str!("../policies/starter.yaml")),
    ("access.yaml", include_str!("../policies/access.yaml")),
    ("schema.yaml", include_str!("../policies/schema.yaml")),
];

/// Policies and the documents they came from.
pub struct Loaded {
    /// The compiled set.
    pub set: PolicySet,
    /// Name and text of each document.
    pub documents: Vec<(String, String)>,
    /// Whether these are the built-in ones.
    pub built_in: bool,
}

/// Loads the policies of a directory, or the starter set.
///
/// # Errors
/// `HPC-USG-0005` or `-0006` for a directory that cannot be read; `HPC-POL-0004` with every mistake, its file and line;
/// `HPC-USG-0003` for too many or too large files.
pub fn load(directory: Option<&Path>) -> Result<Loaded, HpcError> {
    let documents = match directory {
        None => STARTER.iter().map(|(name, text)| ((*name).to_owned(), (*text).to_owned())).collect(),
        Some(directory) => read(directory)?,
    };
    let set = PolicySet::parse_documents(documents.iter().map(|(name, text)| (name.clone(), text.clone())))
        .map_err(|mistakes| {
        let shown: Vec<String> = mistakes.iter().take(10).map(ToString::to_string).collect();
        let more = mistakes.len().saturating_sub(shown.len());
        let rest = if more > 0 { format!("; and {more} more") } else { String::new() };
        HpcError::coded(&codes::POL_INVALID, format!("{}{rest}", shown.join("; ")))
    })?;
    Ok(Loaded { set, documents, built_in: directory.is_none() })
}

fn read(directory: &Path) -> Result<Vec<(String, String)>, HpcError> {
    let shown = directory.display();
    let unreadable = |error: std::io::Error| {
        let code = match error.kind() {
            std::io::ErrorKind::NotFound | std::io::ErrorKind::NotADirectory => &codes::USG_FILE_MISSING,
            std::io::ErrorKind::PermissionDenied => &codes::USG_FILE_PERMISSION,
            _ => &codes::USG_FILE_MISSING,
        };
        HpcError::coded(code, format!("cannot read the policies in `{shown}`: {error}"))
            .with("path", shown.to_string())
    };
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
        if size > u64::try_from(hpc_policy::limits::DOCUMENT_BYTES_MAX).unwrap_or(u64::MAX) {
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
