//! Names and versions of secrets.

use std::fmt;
use std::num::NonZeroU64;

use serde::{Deserialize, Serialize};

use crate::KeyStoreError;

/// Longest path, in bytes; short enough to be one file name.
pub const SECRET_PATH_BYTES_MAX: usize = 200;

/// Name of a secret: segments of `a-z A-Z 0-9 . _ -` joined by `/`, 1 to 200 bytes; no segment is empty, `.` or `..`.
///
/// Ordered by its text. Not itself secret. Serialised as a string; deserialising parses.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct SecretPath(String);

impl SecretPath {
    /// Parses a path.
    ///
    /// # Errors
    /// [`KeyStoreError::Path`].
    pub fn parse(text: &str) -> Result<Self, KeyStoreError> {
        let allowed = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-');
        let good = |segment: &str| !matches!(segment, "" | "." | "..") && segment.bytes().all(allowed);
        if text.len() <= SECRET_PATH_BYTES_MAX && text.split('/').all(good) {
            Ok(Self(text.to_owned()))
        } else {
            Err(KeyStoreError::Path)
        }
    }

    /// The path.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether this path is `prefix` itself or lies below it: `a/b` is under `a`, `ab` is not.
    #[must_use]
    pub fn is_under(&self, prefix: &Self) -> bool {
        self.0.strip_prefix(prefix.as_str()).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    }
}

impl fmt::Display for SecretPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl TryFrom<String> for SecretPath {
    type Error = KeyStoreError;
    fn try_from(text: String) -> Result<Self, KeyStoreError> {
        Self::parse(&text)
    }
}

impl From<SecretPath> for String {
    fn from(path: SecretPath) -> Self {
        path.0
    }
}

/// Version of a secret at its path: 1, 2, 3, and so on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct SecretVersion(NonZeroU64);

impl SecretVersion {
    /// The first version of every secret.
    pub const FIRST: Self = Self(NonZeroU64::MIN);

    /// The version of this number; none for 0.
    #[must_use]
    pub fn new(number: u64) -> Option<Self> {
        NonZeroU64::new(number).map(Self)
    }

    /// The number.
    #[must_use]
    pub fn get(self) -> u64 {
        self.0.get()
    }

    /// The version after this one; none after the last there can be.
    #[must_use]
    pub fn next(self) -> Option<Self> {
        self.0.checked_add(1).map(Self)
    }
}

impl fmt::Display for SecretVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}
