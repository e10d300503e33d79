use std::fmt;

use hpc_error::{HpcError, codes};

use crate::file::FILE_BYTES_MAX;
use crate::tree::DEPTH_MAX;

/// Where something is wrong.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Place {
    /// File name, `environment variable `X``, or what the caller called the text; empty when unknown.
    pub source: String,
    /// Path of the key: `spec.rules[3].effect`; empty for the document as a whole.
    pub key: String,
    /// Line, from 1.
    pub line: Option<u32>,
    /// Column, from 1, in characters.
    pub column: Option<u32>,
}

/// What is wrong. No case holds a configured value.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Problem {
    /// The file does not exist.
    Missing,
    /// The operating system refused.
    Unreadable {
        /// Its words.
        reason: String,
    },
    /// The extension is none of `yaml`, `yml`, `toml`, `json`.
    UnknownFormat,
    /// Over [`FILE_BYTES_MAX`] bytes.
    TooLarge,
    /// More than [`DEPTH_MAX`] levels.
    TooDeep,
    /// Not UTF-8.
    NotText,
    /// Against the rules of the format.
    Syntax {
        /// What the parser says.
        detail: String,
    },
    /// A map has the key twice.
    DuplicateKey,
    /// A key is not text.
    KeyNotText,
    /// An anchor, alias, merge key or tag, which YAML knows and configuration does without.
    NotAllowed {
        /// Which of them.
        what: &'static str,
    },
    /// Nothing reads this key.
    UnknownField {
        /// The nearest key that is read.
        suggestion: Option<String>,
        /// Every key that is read.
        known: Vec<String>,
    },
    /// A key without a default is not there.
    MissingField {
        /// The key.
        field: String,
    },
    /// The value has another type.
    WrongType {
        /// What was found: `a number`, without the number.
        found: String,
        /// What is wanted.
        expected: String,
    },
    /// The value is none of the known names.
    UnknownName {
        /// The nearest one.
        suggestion: Option<String>,
        /// All of them.
        known: Vec<String>,
    },
    /// The value breaks a rule of its type.
    Invalid {
        /// The rule, in the words of the type; `None` when the words would repeat the value.
        rule: Option<String>,
    },
    /// Two environment variables give the same key, or one gives a value and the other a key below it.
    Contradiction {
        /// The other variable.
        other: String,
    },
    /// A `secret://` reference has neither the form `secret://file/PATH` nor `secret://credential/NAME`.
    SecretReference,
    /// A secret file cannot be used.
    SecretFile {
        /// The file.
        path: String,
        /// Why not.
        reason: String,
    },
    /// Too many layers or too many keys.
    TooMany,
}

/// Why a configuration or document cannot be used, and where. Never repeats a value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigError {
    /// Where. Boxed with the problem to keep results small.
    inner: Box<(Place, Problem)>,
}

/// The same, of a document that is not configuration: see [`parse_document`](crate::parse_document).
pub type DocumentError = ConfigError;

impl ConfigError {
    pub(crate) fn new(place: Place, problem: Problem) -> Self {
        Self { inner: Box::new((place, problem)) }
    }

    pub(crate) fn of_source(source: impl Into<String>, problem: Problem) -> Self {
        Self::new(Place { source: source.into(), ..Place::default() }, problem)
    }

    /// Where.
    #[must_use]
    pub fn place(&self) -> &Place {
        &self.inner.0
    }

    /// What.
    #[must_use]
    pub fn problem(&self) -> &Problem {
        &self.inner.1
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.source)?;
        if let (Some(line), Some(column)) = (self.line, self.column) {
            write!(f, "{}line {line}, column {column}", if self.source.is_empty() { "" } else { ", " })?;
        }
        if !self.key.is_empty() {
            let empty = self.source.is_empty() && self.line.is_none();
            write!(f, "{}`{}`", if empty { "" } else { ": " }, self.key)?;
        }
        Ok(())
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names = |f: &mut fmt::Formatter<'_>, suggestion: &Option<String>, known: &[String]| {
            const SHOWN_MAX: usize = 20;
            if let Some(suggestion) = suggestion {
                write!(f, ", did you mean `{suggestion}`?")
            } else if known.is_empty() {
                Ok(())
            } else {
                let shown: Vec<_> = known.iter().take(SHOWN_MAX).map(|name| format!("`{name}`")).collect();
                let more = if known.len() > SHOWN_MAX { ", ..." } else { "" };
                write!(f, ", known are {}{more}", shown.join(", "))
            }
        };
        match self {
            Self::Missing => f.write_str("file not found"),
            Self::Unreadable { reason } => write!(f, "file cannot be read: {reason}"),
            Self::UnknownFormat => {
                f.write_str("unknown format, use the extension .yaml, .yml, .toml or .json")
            }
            Self::TooLarge => write!(f, "larger than {FILE_BYTES_MAX} bytes"),
            Self::TooDeep => write!(f, "nested more than {DEPTH_MAX} levels deep"),
            Self::NotText => f.write_str("not UTF-8 text"),
            Self::Syntax { detail } => write!(f, "cannot be parsed: {detail}"),
            Self::DuplicateKey => f.write_str("key given twice"),
            Self::KeyNotText => f.write_str("a key must be text, put it in quotes"),
            Self::NotAllowed { what } => write!(f, "{what} is not allowed here, write the value out"),
            Self::UnknownField { suggestion, known } => {
                f.write_str("unknown field")?;
                names(f, suggestion, known)
            }
            Self::MissingField { field } => write!(f, "missing field `{field}`"),
            Self::WrongType { found, expected } => write!(f, "expected {expected}, found {found}"),
            Self::UnknownName { suggestion, known } => {
                f.write_str("unknown name")?;
                names(f, suggestion, known)
            }
            Self::Invalid { rule: Some(rule) } => write!(f, "{rule}"),
            Self::Invalid { rule: None } => f.write_str("is not valid"),
            Self::Contradiction { other } => {
                write!(f, "contradicts the environment variable `{other}`, unset one")
            }
            Self::SecretReference => {
                f.write_str("a secret is written `secret://file/PATH` or `secret://credential/NAME`")
            }
            Self::SecretFile { path, reason } => write!(f, "secret file `{path}` {reason}"),
            Self::TooMany => f.write_str("too many layers or keys"),
        }
    }
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (place, problem) = &*self.inner;
        if *place == Place::default() { write!(f, "{problem}") } else { write!(f, "{place}: {problem}") }
    }
}

impl std::error::Error for ConfigError {}

/// A code of the `USG` area, with `source`, `key`, `line` and `column` in the context.
impl From<ConfigError> for HpcError {
    fn from(error: ConfigError) -> Self {
        let code = match error.problem() {
            Problem::Missing => &codes::USG_FILE_MISSING,
            Problem::Unreadable { .. } | Problem::SecretFile { .. } => &codes::USG_FILE_PERMISSION,
            Problem::UnknownFormat => &codes::USG_UNKNOWN_FORMAT,
            Problem::TooLarge | Problem::TooMany => &codes::USG_TOO_LARGE,
            Problem::TooDeep => &codes::USG_TOO_DEEP,
            Problem::NotText => &codes::USG_NOT_TEXT,
            Problem::Syntax { .. } | Problem::KeyNotText | Problem::NotAllowed { .. } => &codes::USG_SYNTAX,
            Problem::DuplicateKey | Problem::Contradiction { .. } => &codes::USG_DUPLICATE_KEY,
            Problem::UnknownField { .. } => &codes::USG_UNKNOWN_FIELD,
            Problem::MissingField { .. } => &codes::USG_MISSING_FIELD,
            Problem::WrongType { .. } => &codes::USG_WRONG_TYPE,
            Problem::UnknownName { .. } => &codes::USG_UNKNOWN_VALUE,
            Problem::Invalid { .. } | Problem::SecretReference => &codes::USG_OUT_OF_RANGE,
        };
        let mut ours = Self::coded(code, error.to_string());
        let place = error.place();
        if !place.source.is_empty() {
            ours = ours.with("source", &place.source);
        }
        if !place.key.is_empty() {
            ours = ours.with("key", &place.key);
        }
        if let (Some(line), Some(column)) = (place.line, place.column) {
            ours = ours.with("line", line).with("column", column);
        }
        ours.caused_by(error)
    }
}
