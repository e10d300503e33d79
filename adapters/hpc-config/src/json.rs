use std::borrow::Cow;
use std::fmt;

use figment::value::{Dict, Empty, Num, Tag, Value};
use serde::Deserialize;
use serde::de::{Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;

use crate::error::{ConfigError, Problem};
use crate::tree::{Lines, Position, Reading, Step, Tree};

/// Reads JSON level by level: each value is first seen as a slice of the text, which is where its position comes from.
pub(crate) fn read(source: &str, text: &str) -> Result<Tree, ConfigError> {
    let mut reading = Reading::new(source);
    let trimmed = text.trim();
    if trimmed.is_empty() {
        return reading.finish(Value::Empty(Tag::Default, Empty::None));
    }
    let raw: &RawValue = serde_json::from_str(text).map_err(|error| syntax(&reading, (1, 1), &error))?;
    let whole = Text { whole: text, lines: Lines::new(text) };
    let root = value(&mut reading, &whole, raw)?;
    reading.finish(root)
}

/// The text, and where in it a part of it starts.
struct Text<'t> {
    whole: &'t str,
    lines: Lines<'t>,
}

impl Text<'_> {
    fn position(&self, part: &str) -> Position {
        self.lines.position((part.as_ptr() as usize).saturating_sub(self.whole.as_ptr() as usize))
    }
}

fn value(reading: &mut Reading<'_>, whole: &Text<'_>, raw: &RawValue) -> Result<Value, ConfigError> {
    let text = raw.get();
    let tag = Tag::Default;
    let fail =
        |reading: &Reading<'_>, error: &serde_json::Error| syntax(reading, whole.position(text), error);
    match text.as_bytes().first() {
        Some(b'{') => {
            let pairs: Pairs<'_> = serde_json::from_str(text).map_err(|error| fail(reading, &error))?;
            let mut dict = Dict::new();
            for (key, raw) in pairs.0 {
                let at = whole.position(raw.get());
                let child = reading.inside(Step::Key(key.clone().into_owned()), at, |reading| {
                    if dict.contains_key(key.as_ref()) {
                        return Err(reading.error(Some(at), Problem::DuplicateKey));
                    }
                    value(reading, whole, raw)
                })?;
                dict.insert(key.into_owned(), child);
            }
            Ok(Value::Dict(tag, dict))
        }
        Some(b'[') => {
            let items: Vec<&RawValue> = serde_json::from_str(text).map_err(|error| fail(reading, &error))?;
            let mut list = Vec::with_capacity(items.len());
            for (index, raw) in items.into_iter().enumerate() {
                let at = whole.position(raw.get());
                list.push(reading.inside(Step::Index(index), at, |reading| value(reading, whole, raw))?);
            }
            Ok(Value::Array(tag, list))
        }
        Some(b'"') => {
            let text: String = serde_json::from_str(text).map_err(|error| fail(reading, &error))?;
            Ok(Value::String(tag, text))
        }
        Some(b'n') => Ok(Value::Empty(tag, Empty::None)),
        Some(b't') => Ok(Value::Bool(tag, true)),
        Some(b'f') => Ok(Value::Bool(tag, false)),
        _ => {
            if let Ok(number) = text.parse::<u64>() {
                Ok(Value::Num(tag, Num::U64(number)))
            } else if let Ok(number) = text.parse::<i64>() {
                Ok(Value::Num(tag, Num::I64(number)))
            } else {
                let number: f64 = serde_json::from_str(text).map_err(|error| fail(reading, &error))?;
                Ok(Value::Num(tag, Num::F64(number)))
            }
        }
    }
}

/// An object's pairs in order, the same key twice included.
struct Pairs<'t>(Vec<(Cow<'t, str>, &'t RawValue)>);

impl<'de: 't, 't> Deserialize<'de> for Pairs<'t> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct PairsVisitor;

        impl<'de> Visitor<'de> for PairsVisitor {
            type Value = Vec<(Cow<'de, str>, &'de RawValue)>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a map")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut pairs = Vec::new();
                while let Some(Key(key)) = map.next_key()? {
                    pairs.push((key, map.next_value()?));
                }
                Ok(pairs)
            }
        }

        deserializer.deserialize_map(PairsVisitor).map(Self)
    }
}

#[derive(Deserialize)]
struct Key<'t>(#[serde(borrow)] Cow<'t, str>);

/// `start` is where the part begins that the parser was given; its own position is relative to that.
fn syntax(reading: &Reading<'_>, start: Position, error: &serde_json::Error) -> ConfigError {
    let (line, column) = start;
    let error_line = u32::try_from(error.line()).unwrap_or(u32::MAX).max(1);
    let error_column = u32::try_from(error.column()).unwrap_or(u32::MAX).max(1);
    let at = if error_line == 1 {
        (line, column.saturating_add(error_column - 1))
    } else {
        (line.saturating_add(error_line - 1), error_column)
    };
    let message = error.to_string();
    let detail = message.split(" at line ").next().unwrap_or_default().to_owned();
    reading.error(Some(at), Problem::Syntax { detail })
}
