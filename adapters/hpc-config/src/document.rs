use std::path::Path;

use serde::de::DeserializeOwned;

use crate::error::{ConfigError, DocumentError, Problem};
use crate::tree::Tree;
use crate::value::{Context, Origin};
use crate::{FILE_BYTES_MAX, file, json, toml_format, yaml};

/// How a document is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Format {
    /// YAML 1.2 without anchors, aliases, merge keys and tags.
    Yaml,
    /// TOML 1.
    Toml,
    /// JSON.
    Json,
}

impl Format {
    /// The format a file's extension stands for: `.yaml`, `.yml`, `.toml`, `.json`, in any case.
    #[must_use]
    pub fn of_path(path: &Path) -> Option<Self> {
        match path.extension()?.to_str()?.to_ascii_lowercase().as_str() {
            "yaml" | "yml" => Some(Self::Yaml),
            "toml" => Some(Self::Toml),
            "json" => Some(Self::Json),
            _ => None,
        }
    }
}

/// Reads a document a person wrote: at most [`FILE_BYTES_MAX`] bytes and [`DEPTH_MAX`](crate::DEPTH_MAX) levels,
/// no key twice, no type guessed. Unknown fields are errors with a suggestion if `T` denies them.
///
/// ```
/// use hpc_config::{Format, parse_document};
///
/// #[derive(Debug, serde::Deserialize)]
/// #[serde(deny_unknown_fields)]
/// struct Request { gpus: u32 }
///
/// let error = parse_document::<Request>("gpu: 8\n", Format::Yaml).unwrap_err();
/// assert_eq!(error.to_string(), "line 1, column 1: `gpu`: unknown field, did you mean `gpus`?");
/// ```
///
/// # Errors
/// [`DocumentError`] with key, line and column.
pub fn parse_document<T: DeserializeOwned>(
    text: impl AsRef<[u8]>,
    format: Format,
) -> Result<T, DocumentError> {
    parse_document_named("", text, format)
}

/// The same for a text with a name, which goes into errors.
///
/// # Errors
/// [`DocumentError`] with name, key, line and column.
pub fn parse_document_named<T: DeserializeOwned>(
    name: &str,
    text: impl AsRef<[u8]>,
    format: Format,
) -> Result<T, DocumentError> {
    let tree = read_tree(name, text.as_ref(), format)?;
    let origin = Origin::of_document(name, tree.positions);
    Context::new(&[origin], true).deserialize(&tree.root.into())
}

/// The same for a file, whose extension says the format.
///
/// # Errors
/// [`DocumentError`] with file, key, line and column.
pub fn read_document<T: DeserializeOwned>(path: impl AsRef<Path>) -> Result<T, DocumentError> {
    let path = path.as_ref();
    let name = path.display().to_string();
    let format =
        Format::of_path(path).ok_or_else(|| ConfigError::of_source(name.as_str(), Problem::UnknownFormat))?;
    parse_document_named(&name, file::read(path)?, format)
}

pub(crate) fn read_tree(name: &str, text: &[u8], format: Format) -> Result<Tree, ConfigError> {
    if text.len() > FILE_BYTES_MAX {
        return Err(ConfigError::of_source(name, Problem::TooLarge));
    }
    let text = std::str::from_utf8(text).map_err(|_| ConfigError::of_source(name, Problem::NotText))?;
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    match format {
        Format::Yaml => yaml::read(name, text),
        Format::Toml => toml_format::read(name, text),
        Format::Json => json::read(name, text),
    }
}
