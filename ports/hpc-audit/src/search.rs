use std::ops::Range;

use jiff::Timestamp;

use crate::{AuditError, Entry, Outcome, Recorded};

/// The most hits of one page.
pub const SEARCH_LIMIT_MAX: usize = 1000;
/// The most entries that one call reads; a page may therefore be short or empty without being complete.
///
/// Entries of which a log knows without reading them that they do not fit are not counted: with an index, a search for
/// something rare covers the whole log in one call.
pub const SEARCH_SCAN_MAX: u64 = 65_536;

/// What to look for; every given condition must hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Search {
    /// Exactly this principal.
    pub principal: Option<String>,
    /// Exactly this action, or every action below it when it ends in `.*`.
    pub action: Option<String>,
    /// This id among the subjects, of whatever kind.
    pub subject: Option<String>,
    /// This outcome.
    pub outcome: Option<Outcome>,
    /// At this moment or later.
    pub from: Option<Timestamp>,
    /// Before this moment.
    pub until: Option<Timestamp>,
    /// Only entries with a larger index: how to go on after a page.
    pub after: Option<u64>,
    /// At most so many hits, 1 to [`SEARCH_LIMIT_MAX`].
    pub limit: usize,
}

impl Default for Search {
    /// Everything, 100 hits.
    fn default() -> Self {
        Self {
            principal: None,
            action: None,
            subject: None,
            outcome: None,
            from: None,
            until: None,
            after: None,
            limit: 100,
        }
    }
}

impl Search {
    /// Whether `entry` meets every condition; `after` and `limit` are not conditions on an entry.
    pub fn matches(&self, entry: &Entry) -> bool {
        let action = |wanted: &String| match wanted.strip_suffix('*') {
            Some(prefix) if prefix.ends_with('.') => entry.action.starts_with(prefix),
            _ => entry.action == *wanted,
        };
        self.principal.as_ref().is_none_or(|wanted| entry.principal == *wanted)
            && self.action.as_ref().is_none_or(action)
            && self.subject.as_ref().is_none_or(|wanted| entry.subjects.values().any(|id| id == wanted))
            && self.outcome.is_none_or(|wanted| entry.outcome == wanted)
            && self.from.is_none_or(|from| entry.at >= from)
            && self.until.is_none_or(|until| entry.at < until)
    }

    /// The indices that a search in a log of `size` entries is about: everything behind [`Search::after`].
    ///
    /// # Errors
    /// [`AuditError::OutOfRange`] when the limit is not in 1 to [`SEARCH_LIMIT_MAX`].
    pub fn range(&self, size: u64) -> Result<Range<u64>, AuditError> {
        if self.limit == 0 || self.limit > SEARCH_LIMIT_MAX {
            return Err(AuditError::OutOfRange {
                what: "search limit",
                got: self.limit as u64,
                min: 1,
                max: SEARCH_LIMIT_MAX as u64,
            });
        }
        let start = self.after.map_or(0, |after| after.saturating_add(1)).min(size);
        Ok(start..size)
    }
}

/// Hits, and what they are an answer to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SearchPage {
    /// The hits, by index.
    pub hits: Vec<Recorded>,
    /// The indices that this is an answer for: there are no other hits among them.
    pub covered: Range<u64>,
    /// Whether they go up to the size of the log at the call.
    pub complete: bool,
}

impl SearchPage {
    /// The value of [`Search::after`] for the next page; `None` when there is none.
    pub fn next_after(&self) -> Option<u64> {
        if self.complete { None } else { self.covered.end.checked_sub(1) }
    }
}
