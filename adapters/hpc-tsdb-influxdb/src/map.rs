//! The server's answers, in the words of the port.

use std::collections::BTreeMap;

use hpc_timeseries::{Aggregation, Sample, Select, Series, SeriesKey, TimeSeriesError, Value, ValueKind};
use serde::Deserialize;
use serde_json::Value as Json;

use crate::error::{form, words};

#[derive(Deserialize)]
struct Answer {
    #[serde(default)]
    results: Vec<Statement>,
    error: Option<String>,
}

/// What one statement gave.
#[derive(Deserialize)]
pub(crate) struct Statement {
    #[serde(default)]
    series: Vec<Rows>,
    error: Option<String>,
    #[serde(default)]
    partial: bool,
}

#[derive(Deserialize)]
struct Rows {
    #[serde(default)]
    tags: BTreeMap<String, String>,
    #[serde(default)]
    values: Vec<Vec<Json>>,
    #[serde(default)]
    partial: bool,
}

/// The results of `statements` statements.
pub(crate) fn statements(body: &[u8], statements: usize) -> Result<Vec<Statement>, TimeSeriesError> {
    let answer: Answer = serde_json::from_slice(body).map_err(form)?;
    let said = answer.error.or_else(|| answer.results.iter().find_map(|result| result.error.clone()));
    if let Some(said) = said {
        return Err(refusal(&said));
    }
    if answer.results.len() != statements {
        return Err(form(format!("{} results to {statements} statements", answer.results.len())));
    }
    Ok(answer.results)
}

/// The server says "database not found" with status 200.
fn refusal(said: &str) -> TimeSeriesError {
    if said.contains("database not found") {
        return TimeSeriesError::Config { setting: "database", why: words(said) };
    }
    if said.contains("timeout") || said.contains("engine is closed") {
        return TimeSeriesError::Unavailable { why: words(said) };
    }
    TimeSeriesError::UnsupportedQuery { why: words(said) }
}

/// Fields and their kinds, in order; fields of other kinds (text, booleans) are not ours and left out.
pub(crate) fn field_kinds(statement: Statement) -> BTreeMap<String, ValueKind> {
    let rows = statement.series.into_iter().flat_map(|rows| rows.values);
    rows.filter_map(|row| match row.as_slice() {
        [Json::String(field), Json::String(kind)] => match kind.as_str() {
            "float" => Some((field.clone(), ValueKind::Float)),
            "integer" => Some((field.clone(), ValueKind::Integer)),
            _ => None,
        },
        _ => None,
    })
    .collect()
}

/// The series of one field. The flag says whether a sample was cut, by the limit or by the server.
pub(crate) fn series(
    statement: Statement,
    select: &Select,
    field: &str,
    stored: ValueKind,
) -> Result<(Vec<Series>, bool), TimeSeriesError> {
    let aggregation = select.aggregate().map(|(aggregation, _)| aggregation);
    let kind = match aggregation {
        Some(Aggregation::Mean) => ValueKind::Float,
        Some(Aggregation::Count) => ValueKind::Integer,
        _ => stored,
    };
    let mut cut = statement.partial;
    let mut out = Vec::new();
    for rows in statement.series {
        cut |= rows.partial;
        let mut samples = Vec::with_capacity(rows.values.len());
        for row in &rows.values {
            samples.push(sample(row, kind)?);
        }
        if samples.len() > select.limit() {
            cut = true;
            samples.truncate(select.limit());
        }
        if aggregation.is_none() {
            samples.retain(|sample| sample.value.is_some());
        }
        // A series that has only empty windows has no sample in the range.
        let nothing = match aggregation {
            Some(Aggregation::Count) => Some(Value::Integer(0)),
            _ => None,
        };
        if samples.iter().all(|sample| sample.value.is_none() || sample.value == nothing) {
            continue;
        }
        let tags = rows.tags.into_iter().filter(|(_, value)| !value.is_empty()).collect();
        out.push(Series {
            measurement: select.measurement().to_owned(),
            tags,
            field: field.to_owned(),
            samples,
        });
    }
    Ok((out, cut))
}

fn sample(row: &[Json], kind: ValueKind) -> Result<Sample, TimeSeriesError> {
    let (Some(ts_ns), Some(value)) = (row.first().and_then(Json::as_i64), row.get(1)) else {
        return Err(form("a row without a time and a value"));
    };
    let value = match (value, kind) {
        (Json::Null, _) => None,
        // The text of a float may look like an integer, so only the kind of the field decides.
        (value, ValueKind::Float) => {
            Some(value.as_f64().map(Value::Float).ok_or_else(|| form("not a number"))?)
        }
        (value, ValueKind::Integer) => {
            Some(value.as_i64().map(Value::Integer).ok_or_else(|| form("not an integer"))?)
        }
    };
    Ok(Sample { ts_ns, value })
}

/// The keys of `SHOW SERIES`.
pub(crate) fn series_keys(statement: Statement) -> Result<(Vec<SeriesKey>, bool), TimeSeriesError> {
    let mut cut = statement.partial;
    let mut keys = Vec::new();
    for rows in statement.series {
        cut |= rows.partial;
        for row in rows.values {
            let key = row.first().and_then(Json::as_str).and_then(series_key);
            keys.push(key.ok_or_else(|| form("a series key that does not read"))?);
        }
    }
    keys.sort();
    Ok((keys, cut))
}

/// `gpu,host=a\ b,zone=c`: a backslash before comma, equals or space escapes it; any other stands for itself.
fn series_key(text: &str) -> Option<SeriesKey> {
    let mut parts = vec![String::new()];
    let mut characters = text.chars().peekable();
    let mut in_value = false;
    while let Some(character) = characters.next() {
        match character {
            '\\' if characters.peek().is_some_and(|next| matches!(next, ',' | '=' | ' ')) => {
                parts.last_mut()?.extend(characters.next());
            }
            ',' => {
                parts.push(String::new());
                in_value = false;
            }
            '=' if parts.len() > 1 && !in_value => {
                parts.push(String::new());
                in_value = true;
            }
            other => parts.last_mut()?.push(other),
        }
    }
    let mut parts = parts.into_iter();
    let measurement = parts.next()?;
    let mut tags = Vec::new();
    while let Some(name) = parts.next() {
        tags.push((name, parts.next()?));
    }
    tags.sort();
    Some(SeriesKey { measurement, tags })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn series_keys_are_unescaped() {
        let key = series_key("gpu,host=a\\ b\\,c\\=d,zone=x\\y").unwrap();
        assert_eq!(key.measurement, "gpu");
        assert_eq!(key.tags, [("host".into(), "a b,c=d".into()), ("zone".into(), "x\\y".into())]);
        assert_eq!(series_key("gpu").unwrap().tags, []);
        assert_eq!(series_key("gpu,host"), None);
    }

    #[test]
    fn odd_answers_are_refused() {
        for body in ["", "[]", "{", "null", "{\"results\":[]}", "{\"results\":[{},{}]}", "<html>"] {
            assert!(
                matches!(statements(body.as_bytes(), 1), Err(TimeSeriesError::Unavailable { .. })),
                "{body}"
            );
        }
        let unknown = statements(br#"{"results":[{"error":"database not found: hpc"}]}"#, 1);
        assert!(matches!(unknown, Err(TimeSeriesError::Config { setting: "database", .. })));
        let syntax = statements(br#"{"error":"error parsing query\nx"}"#, 1);
        assert!(matches!(syntax, Err(TimeSeriesError::UnsupportedQuery { why }) if !why.contains('\n')));
    }

    #[test]
    fn rows_need_a_time_and_a_number() {
        let number = |text: &str| serde_json::from_str::<Vec<Json>>(text).unwrap();
        assert!(sample(&number("[]"), ValueKind::Float).is_err());
        assert!(sample(&number("[1]"), ValueKind::Float).is_err());
        assert!(sample(&number("[1,\"x\"]"), ValueKind::Float).is_err());
        assert!(sample(&number("[1,2.5]"), ValueKind::Integer).is_err());
        assert_eq!(sample(&number("[1,5]"), ValueKind::Float).unwrap().value, Some(Value::Float(5.0)));
        assert_eq!(sample(&number("[1,null]"), ValueKind::Float).unwrap().value, None);
    }
}
