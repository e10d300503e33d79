//! The index in memory: which series exist, their columns, and the kind of each field.

use std::collections::HashMap;
use std::sync::Arc;

use hpc_timeseries::{Point, Rejection, Select, SeriesKey, Value, ValueKind};

use crate::heads::Raw3;

/// One field of one series.
#[derive(Debug, Clone)]
pub(crate) struct Column {
    pub(crate) id: u32,
    pub(crate) field: Arc<str>,
    pub(crate) kind: ValueKind,
}

/// One series.
#[derive(Debug)]
pub(crate) struct Entry {
    measurement: Arc<str>,
    /// In order of their names.
    tags: Vec<(Arc<str>, Arc<str>)>,
    pub(crate) columns: Vec<Column>,
}

impl Entry {
    fn tag(&self, name: &str) -> Option<&str> {
        self.tags.iter().find(|(tag, _)| &**tag == name).map(|(_, value)| &**value)
    }

    pub(crate) fn key(&self) -> SeriesKey {
        let tags = self.tags.iter().map(|(name, value)| (name.to_string(), value.to_string())).collect();
        SeriesKey { measurement: self.measurement.to_string(), tags }
    }
}

#[derive(Default)]
struct Measurement {
    series: Vec<u32>,
    kinds: HashMap<Arc<str>, ValueKind>,
}

/// All series. Columns are numbered from 0 without gaps, in the order in which they came.
#[derive(Default)]
pub(crate) struct Index {
    series: Vec<Entry>,
    /// The series of each column.
    columns: Vec<u32>,
    by_key: HashMap<Box<[u8]>, u32>,
    by_measurement: HashMap<Arc<str>, Measurement>,
    /// Tag names and values repeat all the time; each text is kept once.
    texts: HashMap<Arc<str>, ()>,
    scratch: Vec<u8>,
}

impl Index {
    /// Adds the samples of a valid point to `out`, and its new columns to the index.
    ///
    /// On a rejection nothing has changed.
    pub(crate) fn resolve(
        &mut self,
        point: &Point,
        columns_max: usize,
        out: &mut Vec<Raw3>,
    ) -> Result<(), Rejection> {
        if let Some(measurement) = self.by_measurement.get(point.measurement.as_ref()) {
            for (field, value) in &point.fields {
                if let Some(have) =
                    measurement.kinds.get(field.as_ref()).filter(|have| **have != value.kind())
                {
                    return Err(Rejection::KindConflict {
                        field: field.to_string(),
                        have: *have,
                        got: value.kind(),
                    });
                }
            }
        }
        self.write_key(point);
        let known = self.by_key.get(self.scratch.as_slice()).copied();
        let entry = known.and_then(|series| self.series.get(series as usize));
        let column_of = |field: &str| entry.and_then(|e| e.columns.iter().find(|c| &*c.field == field));
        let new = point.fields.iter().filter(|(field, _)| column_of(field).is_none()).count();
        if self.columns.len() + new > columns_max {
            return Err(Rejection::CardinalityExceeded { limit: columns_max });
        }
        let series = match known {
            Some(series) => series,
            None => {
                let mut tags: Vec<(&str, &str)> =
                    point.tags.iter().map(|(name, value)| (name.as_ref(), value.as_str())).collect();
                tags.sort_unstable();
                self.add_series(&point.measurement, &tags)
            }
        };
        for (field, value) in &point.fields {
            let id = self.column(series, field, value.kind());
            out.push((id, point.ts_ns, to_bits(*value)));
        }
        Ok(())
    }

    /// Takes in a column read from the file; columns come in the order of their numbers.
    pub(crate) fn restore(&mut self, row: &[u8]) -> Option<()> {
        let (kind, mut texts) = decode_row(row)?;
        let (measurement, field) = (texts.next()?, texts.next()?);
        let mut tags = Vec::new();
        while let Some(name) = texts.next() {
            tags.push((name, texts.next()?));
        }
        encode_key(&mut self.scratch, measurement, tags.iter().copied());
        let series = match self.by_key.get(self.scratch.as_slice()) {
            Some(series) => *series,
            None => self.add_series(measurement, &tags),
        };
        self.column(series, field, kind);
        Some(())
    }

    /// How many columns there are.
    pub(crate) fn columns(&self) -> usize {
        self.columns.len()
    }

    /// The row of a column for the file.
    pub(crate) fn row(&self, id: u32) -> Option<Vec<u8>> {
        let entry = self.series.get(*self.columns.get(id as usize)? as usize)?;
        let column = entry.columns.iter().find(|column| column.id == id)?;
        let mut row = vec![if column.kind == ValueKind::Integer { 1 } else { 0 }];
        let tags = entry.tags.iter().flat_map(|(name, value)| [name, value]);
        for text in [&entry.measurement, &column.field].into_iter().chain(tags) {
            row.extend(text.as_bytes());
            row.push(0);
        }
        Some(row)
    }

    /// The kind of a column.
    pub(crate) fn kind(&self, id: u32) -> Option<ValueKind> {
        let entry = self.series.get(*self.columns.get(id as usize)? as usize)?;
        entry.columns.iter().find(|column| column.id == id).map(|column| column.kind)
    }

    /// The series that match, in no order.
    pub(crate) fn matching<'a>(&'a self, select: &'a Select) -> impl Iterator<Item = &'a Entry> {
        let series = self.by_measurement.get(select.measurement()).map(|m| m.series.as_slice());
        series
            .unwrap_or_default()
            .iter()
            .filter_map(|series| self.series.get(*series as usize))
            .filter(|entry| select.matches(|tag| entry.tag(tag)))
    }

    fn write_key(&mut self, point: &Point) {
        let mut tags: [(&str, &str); hpc_timeseries::TAGS_MAX] = Default::default();
        let count = point.tags.len().min(tags.len());
        for (slot, (name, value)) in tags.iter_mut().zip(&point.tags) {
            *slot = (name.as_ref(), value.as_str());
        }
        let tags = tags.get_mut(..count).unwrap_or_default();
        tags.sort_unstable();
        encode_key(&mut self.scratch, &point.measurement, tags.iter().copied());
    }

    /// Adds the series whose key is in `scratch`.
    fn add_series(&mut self, measurement: &str, tags: &[(&str, &str)]) -> u32 {
        let series = self.series.len() as u32;
        let measurement = self.text(measurement);
        let tags = tags.iter().map(|(name, value)| (self.text(name), self.text(value))).collect();
        self.by_key.insert(self.scratch.as_slice().into(), series);
        self.by_measurement.entry(Arc::clone(&measurement)).or_default().series.push(series);
        self.series.push(Entry { measurement, tags, columns: Vec::new() });
        series
    }

    fn column(&mut self, series: u32, field: &str, kind: ValueKind) -> u32 {
        let found =
            self.series.get(series as usize).and_then(|e| e.columns.iter().find(|c| &*c.field == field));
        if let Some(column) = found {
            return column.id;
        }
        let field = self.text(field);
        let id = self.columns.len() as u32;
        self.columns.push(series);
        if let Some(entry) = self.series.get_mut(series as usize) {
            let measurement = self.by_measurement.entry(Arc::clone(&entry.measurement)).or_default();
            measurement.kinds.entry(Arc::clone(&field)).or_insert(kind);
            entry.columns.push(Column { id, field, kind });
        }
        id
    }

    fn text(&mut self, text: &str) -> Arc<str> {
        if let Some((text, ())) = self.texts.get_key_value(text) {
            return Arc::clone(text);
        }
        let text: Arc<str> = text.into();
        self.texts.insert(Arc::clone(&text), ());
        text
    }
}

/// Names and tag values hold no control characters, so zero bytes separate them safely.
fn encode_key<'a>(out: &mut Vec<u8>, measurement: &str, tags: impl Iterator<Item = (&'a str, &'a str)>) {
    out.clear();
    out.extend(measurement.as_bytes());
    for text in tags.flat_map(|(name, value)| [name, value]) {
        out.push(0);
        out.extend(text.as_bytes());
    }
}

fn decode_row(row: &[u8]) -> Option<(ValueKind, impl Iterator<Item = &str>)> {
    let (kind, texts) = row.split_first()?;
    let kind = match kind {
        0 => ValueKind::Float,
        1 => ValueKind::Integer,
        _ => return None,
    };
    let texts = std::str::from_utf8(texts).ok()?;
    Some((kind, texts.strip_suffix('\0')?.split('\0')))
}

pub(crate) fn to_bits(value: Value) -> u64 {
    match value {
        Value::Float(value) => value.to_bits(),
        Value::Integer(value) => value as u64,
    }
}

pub(crate) fn from_bits(kind: ValueKind, bits: u64) -> Value {
    match kind {
        ValueKind::Float => Value::Float(f64::from_bits(bits)),
        ValueKind::Integer => Value::Integer(bits as i64),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_index_is_rebuilt_from_its_rows() {
        let mut index = Index::default();
        let mut out = Vec::new();
        let point = Point::new("gpu", 1).tag("host", "a").tag("gpu", "0").field("power_watts", 1.5);
        index.resolve(&point, 10, &mut out).unwrap();
        index.resolve(&Point::new("gpu", 2).field("errors", 3), 10, &mut out).unwrap();
        assert_eq!(out, [(0, 1, 1.5_f64.to_bits()), (1, 2, 3)]);
        let mut again = Index::default();
        for id in 0..2 {
            again.restore(&index.row(id).unwrap()).unwrap();
        }
        assert_eq!(again.columns(), 2);
        assert_eq!(again.row(0), index.row(0));
        assert_eq!(again.row(1), index.row(1));
        let mut out_again = Vec::new();
        again.resolve(&point, 2, &mut out_again).unwrap();
        assert_eq!(out_again[0].0, 0);
    }

    #[test]
    fn rejections_change_nothing() {
        let mut index = Index::default();
        let mut out = Vec::new();
        index.resolve(&Point::new("gpu", 1).field("a", 1.0), 2, &mut out).unwrap();
        let wide = Point::new("gpu", 1).tag("host", "x").field("a", 1.0).field("b", 1.0);
        assert_eq!(index.resolve(&wide, 2, &mut out), Err(Rejection::CardinalityExceeded { limit: 2 }));
        let kind = Point::new("gpu", 1).field("a", 1).field("b", 1.0);
        assert!(matches!(index.resolve(&kind, 9, &mut out), Err(Rejection::KindConflict { .. })));
        assert_eq!((index.columns(), out.len()), (1, 1));
    }

    #[test]
    fn damaged_rows_are_refused() {
        let mut index = Index::default();
        for row in
            [&b""[..], b"\x02gpu\0f\0", b"\x00gpu\0", b"\x00gpu\0f\0name\0", b"\x00gpu\0f", b"\x00\xff\0f\0"]
        {
            assert!(index.restore(row).is_none(), "{row:?}");
        }
    }
}
