//! What is read: values with their versions, and pages of them.

use crate::key::shorten;
use crate::{KEY_BYTES_MAX, Key, LedgerError, Revision};

/// Most entries in one page.
pub const RANGE_LIMIT_MAX: usize = 1024;

/// Most keys in one [`get_many`](crate::Ledger::get_many).
pub const KEYS_PER_READ_MAX: usize = 1024;

/// Most bytes of keys and values in one page; a page always holds at least one entry if there is one.
pub const PAGE_BYTES_MAX: usize = 4 << 20;

/// A value and the commit that last wrote it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Versioned {
    /// The bytes, as they were put.
    pub value: Vec<u8>,
    /// The revision of the last write to this key: give it to [`expect_version`](crate::Transaction::expect_version).
    pub version: Revision,
}

/// Which keys to read: those that begin with `prefix`, in byte order, after `after`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Range {
    /// Bytes every key begins with. `lease/` for a family, empty for everything.
    pub prefix: String,
    /// Only keys greater than this one: the last key of the page before.
    pub after: Option<Key>,
    /// Most entries in the page; taken as 1 if 0, and as [`RANGE_LIMIT_MAX`] if above it.
    pub limit: usize,
}

impl Range {
    /// Every key that begins with `prefix`, [`RANGE_LIMIT_MAX`] a page.
    #[must_use]
    pub fn prefix(prefix: impl Into<String>) -> Self {
        Self { prefix: prefix.into(), after: None, limit: RANGE_LIMIT_MAX }
    }

    /// Only keys greater than `key`.
    #[must_use]
    pub fn after(mut self, key: impl Into<Key>) -> Self {
        self.after = Some(key.into());
        self
    }

    /// At most `limit` entries a page.
    #[must_use]
    pub fn limit(mut self, limit: usize) -> Self {
        self.limit = limit;
        self
    }

    /// The number of entries a page may have: `limit` brought into 1..=[`RANGE_LIMIT_MAX`].
    #[must_use]
    pub fn page_limit(&self) -> usize {
        self.limit.clamp(1, RANGE_LIMIT_MAX)
    }
}

/// Some entries of a range, all read at one revision.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page {
    /// The entries in key order.
    pub entries: Vec<(Key, Versioned)>,
    /// Whether more keys of the range follow the last entry.
    pub more: bool,
    /// The revision of the ledger the page shows.
    pub revision: Revision,
}

impl Page {
    /// The range that reads the next page, if there is more.
    #[must_use]
    pub fn next(&self, range: &Range) -> Option<Range> {
        let (last, _) = self.entries.last().filter(|_| self.more)?;
        Some(range.clone().after(last))
    }
}

/// Checks that `prefix` can begin a key: visible ASCII, at most [`KEY_BYTES_MAX`] bytes; empty is fine.
///
/// # Errors
/// Only [`LedgerError::InvalidKey`].
pub fn check_prefix(prefix: &str) -> Result<(), LedgerError> {
    let refuse = |reason| Err(LedgerError::InvalidKey { key: shorten(prefix), reason });
    if prefix.len() > KEY_BYTES_MAX {
        return refuse("a prefix has at most 512 bytes");
    }
    if !prefix.bytes().all(|byte| byte.is_ascii_graphic()) {
        return refuse("a prefix has only visible ASCII characters");
    }
    Ok(())
}

/// Checks that so many keys may be read at once.
///
/// # Errors
/// [`LedgerError::TooLarge`].
pub fn check_keys(keys: &[Key]) -> Result<(), LedgerError> {
    if keys.len() <= KEYS_PER_READ_MAX {
        return Ok(());
    }
    Err(LedgerError::TooLarge {
        what: "number of keys in one read",
        actual: u64::try_from(keys.len()).unwrap_or(u64::MAX),
        limit: KEYS_PER_READ_MAX as u64,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_limit_is_brought_into_bounds() {
        assert_eq!(Range::prefix("").limit(0).page_limit(), 1);
        assert_eq!(Range::prefix("").limit(7).page_limit(), 7);
        assert_eq!(Range::prefix("").limit(usize::MAX).page_limit(), RANGE_LIMIT_MAX);
    }

    #[test]
    fn the_next_page_starts_after_the_last_entry() {
        let key = Key::parse("a/1").unwrap();
        let entry = (key.clone(), Versioned { value: vec![], version: 1 });
        let range = Range::prefix("a/").limit(1);
        let page = Page { entries: vec![entry], more: true, revision: 1 };
        assert_eq!(page.next(&range), Some(range.clone().after(&key)));
        assert_eq!(Page { more: false, ..page }.next(&range), None);
    }

    #[test]
    fn keys_are_counted() {
        let keys = vec![Key::parse("a").unwrap(); KEYS_PER_READ_MAX + 1];
        assert_eq!(check_keys(&keys[1..]), Ok(()));
        assert!(matches!(check_keys(&keys), Err(LedgerError::TooLarge { actual: 1025, limit: 1024, .. })));
    }

    #[test]
    fn prefixes_are_checked() {
        assert_eq!(check_prefix(""), Ok(()));
        assert_eq!(check_prefix("lease/"), Ok(()));
        for prefix in ["a b", "ü", "\n", &"p".repeat(KEY_BYTES_MAX + 1)] {
            assert!(matches!(check_prefix(prefix), Err(LedgerError::InvalidKey { .. })), "{prefix:?}");
        }
    }
}
