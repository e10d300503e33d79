//! What is in the file: four tables.

use hpc_timeseries::{TimeSeriesError, ValueKind};
use redb::{Database, ReadableDatabase, ReadableTable, Table, TableDefinition, WriteTransaction};

use crate::chunk::{self, CHUNK_SAMPLES_MAX, Raw};
use crate::error::Place;
use crate::heads::Heads;
use crate::index::Index;
use crate::log;

/// Column number to its measurement, field, kind and tags.
const COLUMNS: TableDefinition<u32, &[u8]> = TableDefinition::new("columns");
/// Column number and first time to a chunk; chunks of one column do not overlap.
pub(crate) const CHUNKS: TableDefinition<(u32, i64), &[u8]> = TableDefinition::new("chunks");
/// Commit number to the samples that are not in chunks yet.
const LOG: TableDefinition<u64, &[u8]> = TableDefinition::new("log");
/// Format and retention.
const META: TableDefinition<&str, i64> = TableDefinition::new("meta");

const FORMAT_KEY: &str = "format";
const FORMAT: i64 = 1;
const RETENTION_KEY: &str = "retention_ns";
const FLOOR_KEY: &str = "floor_ns";

/// How long points are kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Retention {
    /// Length in nanoseconds, if limited.
    pub(crate) keep_ns: Option<i64>,
    /// No point before this is ever shown again, whatever the length becomes later.
    pub(crate) floor_ns: i64,
}

impl Retention {
    /// The first time that is shown.
    pub(crate) fn start_ns(self, now_ns: i64) -> i64 {
        self.floor_ns.max(self.keep_ns.map_or(i64::MIN, |keep_ns| now_ns.saturating_sub(keep_ns)))
    }
}

/// What is in memory after the file was read.
pub(crate) struct Loaded {
    pub(crate) index: Index,
    pub(crate) heads: Heads,
    pub(crate) next_log: u64,
    pub(crate) retention: Retention,
}

/// Makes missing tables, checks the format, and reads the index and the log.
pub(crate) fn load(db: &Database, place: &Place) -> Result<Loaded, TimeSeriesError> {
    let fail = |error: redb::Error| place.redb(error);
    let txn = db.begin_write().map_err(|e| fail(e.into()))?;
    {
        txn.open_table(COLUMNS).map_err(|e| fail(e.into()))?;
        txn.open_table(CHUNKS).map_err(|e| fail(e.into()))?;
        txn.open_table(LOG).map_err(|e| fail(e.into()))?;
        let mut meta = txn.open_table(META).map_err(|e| fail(e.into()))?;
        let format = meta.get(FORMAT_KEY).map_err(|e| fail(e.into()))?.map(|format| format.value());
        match format {
            None => drop(meta.insert(FORMAT_KEY, FORMAT).map_err(|e| fail(e.into()))?),
            Some(FORMAT) => {}
            Some(other) => return Err(place.corrupt(format!("format {other} is not {FORMAT}"))),
        }
    }
    txn.commit().map_err(|e| fail(e.into()))?;

    let txn = db.begin_read().map_err(|e| fail(e.into()))?;
    let mut index = Index::default();
    let columns = txn.open_table(COLUMNS).map_err(|e| fail(e.into()))?;
    for row in columns.iter().map_err(|e| fail(e.into()))? {
        let (id, row) = row.map_err(|e| fail(e.into()))?;
        let right = id.value() as usize == index.columns() && index.restore(row.value()).is_some();
        if !right || index.columns() != id.value() as usize + 1 {
            return Err(place.corrupt(format!("column {} does not read back", id.value())));
        }
    }
    let mut heads = Heads::default();
    let mut next_log = 0;
    let records = txn.open_table(LOG).map_err(|e| fail(e.into()))?;
    for record in records.iter().map_err(|e| fail(e.into()))? {
        let (number, record) = record.map_err(|e| fail(e.into()))?;
        let samples = log::decode(record.value())
            .filter(|samples| samples.iter().all(|(column, ..)| (*column as usize) < index.columns()))
            .ok_or_else(|| place.corrupt(format!("log record {} does not read back", number.value())))?;
        heads.insert(&samples);
        next_log = number.value() + 1;
    }
    let meta = txn.open_table(META).map_err(|e| fail(e.into()))?;
    let read = |key| meta.get(key).map(|value| value.map(|value| value.value())).map_err(|e| fail(e.into()));
    let retention =
        Retention { keep_ns: read(RETENTION_KEY)?, floor_ns: read(FLOOR_KEY)?.unwrap_or(i64::MIN) };
    Ok(Loaded { index, heads, next_log, retention })
}

/// Writes the rows of columns `from..to`.
pub(crate) fn save_columns(
    txn: &WriteTransaction,
    index: &Index,
    from: u32,
    to: u32,
) -> Result<(), redb::Error> {
    let mut table = txn.open_table(COLUMNS)?;
    for id in from..to {
        if let Some(row) = index.row(id) {
            table.insert(id, row.as_slice())?;
        }
    }
    Ok(())
}

/// Adds a log record.
pub(crate) fn save_log(txn: &WriteTransaction, number: u64, record: &[u8]) -> Result<(), redb::Error> {
    txn.open_table(LOG)?.insert(number, record)?;
    Ok(())
}

/// Empties the log.
pub(crate) fn clear_log(txn: &WriteTransaction) -> Result<(), redb::Error> {
    txn.delete_table(LOG)?;
    txn.open_table(LOG)?;
    Ok(())
}

/// Writes the retention.
pub(crate) fn save_retention(txn: &WriteTransaction, retention: Retention) -> Result<(), redb::Error> {
    let mut meta = txn.open_table(META)?;
    match retention.keep_ns {
        Some(keep_ns) => meta.insert(RETENTION_KEY, keep_ns)?,
        None => meta.remove(RETENTION_KEY)?,
    };
    meta.insert(FLOOR_KEY, retention.floor_ns)?;
    Ok(())
}

/// Removes the chunks which end before `start_ns`.
pub(crate) fn drop_chunks_before(txn: &WriteTransaction, start_ns: i64) -> Result<(), redb::Error> {
    txn.open_table(CHUNKS)?
        .retain(|_, chunk| chunk::header(chunk).is_none_or(|header| header.last_ns >= start_ns))?;
    Ok(())
}

/// Merges a sorted head into the chunks of its column; of two samples at one time the head's wins.
pub(crate) fn merge_head(
    txn: &WriteTransaction,
    place: &Place,
    column: u32,
    kind: ValueKind,
    head: &[Raw],
) -> Result<(), TimeSeriesError> {
    let mut chunks = txn.open_table(CHUNKS).map_err(|e| place.redb(e))?;
    let (Some((head_first, _)), Some((head_last, _))) = (head.first(), head.last()) else { return Ok(()) };
    let mut old_keys = Vec::new();
    let mut parts = Vec::new();
    let mut gathered = head.len();
    for row in chunks.range((column, i64::MIN)..=(column, *head_last)).map_err(|e| place.redb(e))?.rev() {
        let (key, bytes) = row.map_err(|e| place.redb(e))?;
        let damaged = || place.corrupt(format!("chunk {:?} does not read back", key.value()));
        let header = chunk::header(bytes.value()).ok_or_else(damaged)?;
        // A chunk that ends before the head takes part only if it has room and is no larger than what it is merged with.
        // So a sample is written again as often as its chunk doubles, not at every seal.
        let apart = header.last_ns < *head_first;
        if apart && (header.count == CHUNK_SAMPLES_MAX || header.count > gathered) {
            break;
        }
        gathered += header.count;
        old_keys.push(key.value());
        parts.push(chunk::decode(bytes.value()).ok_or_else(damaged)?);
    }
    let stored: Vec<Raw> = parts.into_iter().rev().flatten().collect();
    for key in old_keys {
        chunks.remove(key).map_err(|e| place.redb(e))?;
    }
    for part in merge(&stored, head).chunks(CHUNK_SAMPLES_MAX) {
        if let Some((first_ns, _)) = part.first() {
            insert(&mut chunks, (column, *first_ns), &chunk::encode(kind, part))
                .map_err(|e| place.redb(e))?;
        }
    }
    Ok(())
}

fn insert(
    chunks: &mut Table<'_, (u32, i64), &'static [u8]>,
    key: (u32, i64),
    bytes: &[u8],
) -> Result<(), redb::StorageError> {
    chunks.insert(key, bytes).map(drop)
}

/// Both inputs are sorted; on equal times the right one remains.
fn merge(left: &[Raw], right: &[Raw]) -> Vec<Raw> {
    let mut out = Vec::with_capacity(left.len() + right.len());
    let (mut left, mut right) = (left.iter().peekable(), right.iter().peekable());
    loop {
        match (left.peek(), right.peek()) {
            (Some(l), Some(r)) if l.0 < r.0 => out.extend(left.next()),
            (Some(l), Some(r)) => {
                if l.0 == r.0 {
                    left.next();
                }
                out.extend(right.next());
            }
            (Some(_), None) => out.extend(left.by_ref()),
            (None, Some(_)) => out.extend(right.by_ref()),
            (None, None) => return out,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn merging_keeps_the_newer_value() {
        assert_eq!(merge(&[(1, 1), (2, 2), (4, 4)], &[(2, 9), (3, 3)]), [(1, 1), (2, 9), (3, 3), (4, 4)]);
        assert_eq!(merge(&[], &[(1, 1)]), [(1, 1)]);
        assert_eq!(merge(&[(1, 1)], &[]), [(1, 1)]);
    }

    #[test]
    fn chunks_double_and_are_not_rewritten_at_every_seal() {
        let backend = redb::backends::InMemoryBackend::new();
        let db = redb::Builder::new().create_with_backend(backend).unwrap();
        let txn = db.begin_write().unwrap();
        let place = Place("memory".to_owned());
        let counts = || -> Vec<usize> {
            let chunks = txn.open_table(CHUNKS).unwrap();
            chunks
                .range::<(u32, i64)>(..)
                .unwrap()
                .map(|row| chunk::header(row.unwrap().1.value()).unwrap().count)
                .collect()
        };
        for seal in 0..200_i64 {
            let head: Vec<Raw> = (0..16).map(|n| (seal * 16 + n, 0)).collect();
            merge_head(&txn, &place, 7, ValueKind::Float, &head).unwrap();
            if seal == 62 {
                assert_eq!(counts(), [512, 256, 128, 64, 32, 16]);
            }
        }
        assert_eq!(counts(), [1_024, 1_024, 1_024, 128]);
        // Late samples still go where they belong.
        merge_head(&txn, &place, 7, ValueKind::Float, &[(5, 1), (6_000, 1)]).unwrap();
        assert_eq!(counts().iter().sum::<usize>(), 3_201);
    }

    #[test]
    fn retention_never_shows_again_what_it_hid() {
        let retention = Retention { keep_ns: Some(10), floor_ns: 50 };
        assert_eq!(retention.start_ns(55), 50);
        assert_eq!(retention.start_ns(100), 90);
        assert_eq!(Retention { keep_ns: None, floor_ns: i64::MIN }.start_ns(100), i64::MIN);
    }
}
