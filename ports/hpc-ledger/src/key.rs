//! Keys: ASCII paths.

use std::borrow::Borrow;
use std::fmt;

use crate::LedgerError;

/// Most bytes in a key or in the prefix of a range.
pub const KEY_BYTES_MAX: usize = 512;

/// A validated key: a path of visible ASCII characters such as `lease/lse_01`, ordered by bytes.
///
/// 1 to [`KEY_BYTES_MAX`] bytes; segments are separated by `/` and none is empty, so there is no leading,
/// trailing or doubled `/`.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Key(String);

impl Key {
    /// Checks `text` and makes it a key.
    ///
    /// # Errors
    /// Only [`LedgerError::InvalidKey`].
    pub fn parse(text: &str) -> Result<Self, LedgerError> {
        let refuse = |reason| Err(LedgerError::InvalidKey { key: shorten(text), reason });
        if text.is_empty() {
            return refuse("a key has at least one character");
        }
        if text.len() > KEY_BYTES_MAX {
            return refuse("a key has at most 512 bytes");
        }
        if !text.bytes().all(|byte| byte.is_ascii_graphic()) {
            return refuse("a key has only visible ASCII characters");
        }
        if text.split('/').any(str::is_empty) {
            return refuse("a key has no empty segment: no leading, trailing or doubled `/`");
        }
        Ok(Self(text.to_owned()))
    }

    /// The key as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The last segment: `lse_01` of `lease/lse_01`.
    #[must_use]
    pub fn name(&self) -> &str {
        self.0.rsplit('/').next().unwrap_or(&self.0)
    }
}

/// An untrusted text cut to what an error message may carry, control characters escaped.
pub(crate) fn shorten(text: &str) -> String {
    const SHOWN_CHARS_MAX: usize = 64;
    let mut shown: String = text.chars().take(SHOWN_CHARS_MAX).flat_map(char::escape_debug).collect();
    if text.chars().nth(SHOWN_CHARS_MAX).is_some() {
        shown.push('…');
    }
    shown
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Key({})", self.0)
    }
}

impl From<&Key> for Key {
    fn from(key: &Key) -> Self {
        key.clone()
    }
}

impl AsRef<str> for Key {
    fn as_ref(&self) -> &str {
        &self.0
    }
}

// `str` and `Key` order and hash alike, so a map of keys can be searched by text.
impl Borrow<str> for Key {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl std::str::FromStr for Key {
    type Err = LedgerError;

    fn from_str(text: &str) -> Result<Self, LedgerError> {
        Self::parse(text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn takes_paths_and_names_the_last_segment() {
        for text in ["a", "lease/lse_x", "intent/2026-07-28T00:00:00Z/aws:us-east-1", "a/b/c"] {
            assert_eq!(Key::parse(text).unwrap().as_str(), text);
        }
        assert_eq!(Key::parse("lease/lse_x").unwrap().name(), "lse_x");
        assert_eq!(Key::parse("solo").unwrap().name(), "solo");
        assert!(Key::parse(&"k".repeat(KEY_BYTES_MAX)).is_ok());
    }

    #[test]
    fn refuses_what_is_no_path() {
        let long = "k".repeat(KEY_BYTES_MAX + 1);
        for text in ["", "/", "/a", "a/", "a//b", "a b", "a\n", "a\0", "schlüssel", "\u{7f}", long.as_str()]
        {
            assert!(matches!(Key::parse(text), Err(LedgerError::InvalidKey { .. })), "{text:?}");
        }
    }

    #[test]
    fn a_refusal_shows_a_bounded_escaped_text() {
        let shown = Key::parse(&"\u{1b}[31m".repeat(1000)).unwrap_err().to_string();
        assert!(shown.len() < 600 && !shown.contains('\u{1b}'), "{shown}");
    }
}
