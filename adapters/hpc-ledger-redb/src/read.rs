//! Reads: each is one snapshot.

use std::collections::VecDeque;
use std::ops::Bound;

use hpc_ledger::{Change, Key, PAGE_BYTES_MAX, Page, Range, Revision, Versioned};
use redb::{Database, ReadTransaction, ReadableDatabase};

use crate::error::StoreError;
use crate::format::{HISTORY, META, META_COMPACTED, META_REVISION, STATE, decode_history, decode_state};

/// Bytes of history after which one read of a watch stops.
const WATCH_READ_BYTES_MAX: usize = 1 << 20;

/// Commits after which one read of a watch stops, so that a narrow watch does not hold a thread for long.
const WATCH_READ_COMMITS_MAX: usize = 1024;

pub(crate) fn damaged(table: &str, key: impl std::fmt::Display) -> StoreError {
    StoreError::Corrupt(format!("the record `{key}` of table `{table}` does not match its checksum"))
}

fn meta(transaction: &ReadTransaction, name: &str) -> Result<u64, StoreError> {
    let number = transaction.open_table(META)?.get(name)?.map(|number| number.value());
    number.ok_or_else(|| StoreError::Corrupt(format!("table `meta` has no `{name}`")))
}

pub(crate) fn current_revision(database: &Database) -> Result<Revision, StoreError> {
    meta(&database.begin_read()?, META_REVISION)
}

/// The smallest revision that can be watched from.
pub(crate) fn oldest_revision(database: &Database) -> Result<Revision, StoreError> {
    meta(&database.begin_read()?, META_COMPACTED)
}

pub(crate) fn get(database: &Database, key: &Key) -> Result<Option<Versioned>, StoreError> {
    let state = database.begin_read()?.open_table(STATE)?;
    let Some(record) = state.get(key.as_str())? else { return Ok(None) };
    decode_state(key.as_str(), record.value()).map(Some).ok_or_else(|| damaged("state", key))
}

pub(crate) fn get_many(database: &Database, keys: &[Key]) -> Result<Vec<Option<Versioned>>, StoreError> {
    let state = database.begin_read()?.open_table(STATE)?;
    let (mut values, mut bytes) = (Vec::with_capacity(keys.len()), 0_usize);
    for key in keys {
        let value = match state.get(key.as_str())? {
            Some(record) => {
                let read = decode_state(key.as_str(), record.value());
                Some(read.ok_or_else(|| damaged("state", key))?)
            }
            None => None,
        };
        let value_bytes = value.as_ref().map_or(0, |read| read.value.len());
        bytes = bytes.saturating_add(key.as_str().len()).saturating_add(value_bytes);
        if bytes > PAGE_BYTES_MAX && !values.is_empty() {
            break;
        }
        values.push(value);
    }
    Ok(values)
}

pub(crate) fn page(database: &Database, range: &Range) -> Result<Page, StoreError> {
    let transaction = database.begin_read()?;
    let mut page = Page { entries: Vec::new(), more: false, revision: meta(&transaction, META_REVISION)? };
    let state = transaction.open_table(STATE)?;
    let start = match &range.after {
        Some(after) if after.as_str() >= range.prefix.as_str() => Bound::Excluded(after.as_str()),
        _ => Bound::Included(range.prefix.as_str()),
    };
    let mut bytes = 0_usize;
    for entry in state.range::<&str>((start, Bound::Unbounded))? {
        let (key, record) = entry?;
        let key = key.value();
        if !key.starts_with(&range.prefix) {
            break;
        }
        let read = decode_state(key, record.value()).ok_or_else(|| damaged("state", key))?;
        bytes = bytes.saturating_add(key.len() + read.value.len());
        if page.entries.len() == range.page_limit() || (bytes > PAGE_BYTES_MAX && !page.entries.is_empty()) {
            page.more = true;
            break;
        }
        page.entries.push((Key::parse(key).map_err(|_| damaged("state", key))?, read));
    }
    Ok(page)
}

/// What one read of a watch found.
pub(crate) enum Changes {
    /// Changes of commits up to and including the revision; maybe none of the prefix.
    Upto(Revision, VecDeque<Change>),
    /// Changes since are gone; this is the smallest revision that can be watched from.
    Compacted(Revision),
}

pub(crate) fn changes(database: &Database, prefix: &str, after: Revision) -> Result<Changes, StoreError> {
    let transaction = database.begin_read()?;
    let oldest = meta(&transaction, META_COMPACTED)?;
    if after < oldest {
        return Ok(Changes::Compacted(oldest));
    }
    let history = transaction.open_table(HISTORY)?;
    let mut found = VecDeque::new();
    let mut upto = after;
    let mut bytes = 0_usize;
    let commits = history.range((Bound::Excluded(after), Bound::Unbounded))?;
    for entry in commits.take(WATCH_READ_COMMITS_MAX) {
        let (revision, record) = entry?;
        let revision = revision.value();
        let mut watched = decode_history(revision, record.value())
            .ok_or_else(|| damaged("history", revision))?
            .into_iter()
            .filter(|(key, _)| key.as_str().starts_with(prefix))
            .peekable();
        while let Some((key, value)) = watched.next() {
            found.push_back(Change { revision, key, value, more: watched.peek().is_some() });
        }
        upto = revision;
        bytes = bytes.saturating_add(record.value().len());
        if bytes > WATCH_READ_BYTES_MAX {
            break;
        }
    }
    Ok(Changes::Upto(upto, found))
}
