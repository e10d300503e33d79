//! Points: names, tags, fields, and what a valid one looks like.

use std::borrow::Cow;
use std::fmt;

use jiff::Timestamp;

use crate::error::Rejection;

/// Longest measurement, tag or field name, in bytes.
pub const NAME_BYTES_MAX: usize = 64;
/// Longest tag value, in bytes.
pub const TAG_VALUE_BYTES_MAX: usize = 256;
/// Most tags of one point.
pub const TAGS_MAX: usize = 16;
/// Most fields of one point.
pub const FIELDS_MAX: usize = 64;
/// Earliest time of a point: 2000-01-01. Seconds or milliseconds sent as nanoseconds fall before it.
pub const TS_NS_MIN: i64 = 946_684_800_000_000_000;
/// First time that is too late for a point: 2100-01-01.
pub const TS_NS_MAX: i64 = 4_102_444_800_000_000_000;

/// A finite number: a measurement (`Float`) or a count (`Integer`).
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Value {
    /// A 64-bit float; never NaN or infinite in a valid point.
    Float(f64),
    /// A 64-bit signed integer.
    Integer(i64),
}

/// Which of the two kinds of number a field holds; fixed by its first value.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ValueKind {
    /// 64-bit float.
    Float,
    /// 64-bit signed integer.
    Integer,
}

impl fmt::Display for ValueKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Float => "float",
            Self::Integer => "integer",
        })
    }
}

impl Value {
    /// The kind of this value.
    pub fn kind(self) -> ValueKind {
        match self {
            Self::Float(_) => ValueKind::Float,
            Self::Integer(_) => ValueKind::Integer,
        }
    }

    /// The value as a float; integers beyond 2^53 lose their last digits.
    #[expect(
        clippy::cast_precision_loss,
        reason = "documented above; readers who need all digits match on the enum"
    )]
    pub fn as_f64(self) -> f64 {
        match self {
            Self::Float(value) => value,
            Self::Integer(value) => value as f64,
        }
    }

    /// The value if it is an integer.
    pub fn as_i64(self) -> Option<i64> {
        match self {
            Self::Float(_) => None,
            Self::Integer(value) => Some(value),
        }
    }

    /// Whether it may be stored: every integer, and floats which are neither NaN nor infinite.
    pub fn is_storable(self) -> bool {
        match self {
            Self::Float(value) => value.is_finite(),
            Self::Integer(_) => true,
        }
    }
}

impl From<f64> for Value {
    fn from(value: f64) -> Self {
        Self::Float(value)
    }
}

impl From<i64> for Value {
    fn from(value: i64) -> Self {
        Self::Integer(value)
    }
}

impl From<u32> for Value {
    fn from(value: u32) -> Self {
        Self::Integer(i64::from(value))
    }
}

impl From<i32> for Value {
    fn from(value: i32) -> Self {
        Self::Integer(i64::from(value))
    }
}

/// One moment of one series: any value may be written into it, [`Point::validate`] says whether a store takes it.
#[derive(Debug, Clone, PartialEq)]
pub struct Point {
    /// What is measured, such as `gpu`.
    pub measurement: Cow<'static, str>,
    /// Who it is about: name and value. Order does not matter.
    pub tags: Vec<(Cow<'static, str>, String)>,
    /// The numbers: name and value. Order does not matter.
    pub fields: Vec<(Cow<'static, str>, Value)>,
    /// When, in nanoseconds since 1970, UTC.
    pub ts_ns: i64,
}

impl Point {
    /// A point without tags and fields at `ts_ns` nanoseconds since 1970, UTC.
    pub fn new(measurement: impl Into<Cow<'static, str>>, ts_ns: i64) -> Self {
        Self { measurement: measurement.into(), tags: Vec::new(), fields: Vec::new(), ts_ns }
    }

    /// A point without tags and fields at `at`; a time no `i64` of nanoseconds can hold becomes one that is rejected.
    pub fn at(measurement: impl Into<Cow<'static, str>>, at: Timestamp) -> Self {
        Self::new(measurement, i64::try_from(at.as_nanosecond()).unwrap_or(i64::MAX))
    }

    /// Adds a tag.
    #[must_use]
    pub fn tag(mut self, name: impl Into<Cow<'static, str>>, value: impl Into<String>) -> Self {
        self.tags.push((name.into(), value.into()));
        self
    }

    /// Adds a field.
    #[must_use]
    pub fn field(mut self, name: impl Into<Cow<'static, str>>, value: impl Into<Value>) -> Self {
        self.fields.push((name.into(), value.into()));
        self
    }

    /// Adds a field if there is a value: unknown is left out, never zero.
    #[must_use]
    pub fn field_if(self, name: impl Into<Cow<'static, str>>, value: Option<impl Into<Value>>) -> Self {
        match value {
            Some(value) => self.field(name, value),
            None => self,
        }
    }

    /// Checks everything that does not depend on a store.
    ///
    /// # Errors
    /// [`Rejection::Name`], [`Rejection::TagValue`], [`Rejection::TooManyTags`], [`Rejection::FieldCount`],
    /// [`Rejection::DuplicateName`], [`Rejection::NotFinite`] or [`Rejection::Time`]; the first one found.
    pub fn validate(&self) -> Result<(), Rejection> {
        check_name(&self.measurement)?;
        if self.tags.len() > TAGS_MAX {
            return Err(Rejection::TooManyTags { count: self.tags.len() });
        }
        if self.fields.is_empty() || self.fields.len() > FIELDS_MAX {
            return Err(Rejection::FieldCount { count: self.fields.len() });
        }
        for (name, value) in &self.tags {
            check_name(name)?;
            check_tag_value(name, value)?;
        }
        for (name, value) in &self.fields {
            check_name(name)?;
            if !value.is_storable() {
                return Err(Rejection::NotFinite { field: name.to_string() });
            }
        }
        self.check_names_distinct()?;
        if (TS_NS_MIN..TS_NS_MAX).contains(&self.ts_ns) {
            Ok(())
        } else {
            Err(Rejection::Time { ts_ns: self.ts_ns })
        }
    }

    /// At most 80 names, so comparing all pairs costs less than building a set.
    fn check_names_distinct(&self) -> Result<(), Rejection> {
        let names = || self.tags.iter().map(|(name, _)| name).chain(self.fields.iter().map(|(name, _)| name));
        for (index, name) in names().enumerate() {
            if names().take(index).any(|earlier| earlier == name) {
                return Err(Rejection::DuplicateName { name: name.to_string() });
            }
        }
        Ok(())
    }
}

/// Checks the name of a measurement, tag or field: `[a-z][a-z0-9_]*`, at most [`NAME_BYTES_MAX`] bytes, not `time`.
///
/// So narrow because every backend keeps such names as they are.
///
/// # Errors
/// Only [`Rejection::Name`].
pub fn check_name(name: &str) -> Result<(), Rejection> {
    let mut bytes = name.bytes();
    let valid = bytes.next().is_some_and(|first| first.is_ascii_lowercase())
        && bytes.all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_')
        && name.len() <= NAME_BYTES_MAX
        && name != "time";
    if valid { Ok(()) } else { Err(Rejection::Name { name: shown(name) }) }
}

/// Checks a tag value: 1 to [`TAG_VALUE_BYTES_MAX`] bytes, no control character, no backslash at the end.
///
/// Line protocol has no way to write a newline or a final backslash, so they are refused, not escaped.
///
/// # Errors
/// Only [`Rejection::TagValue`].
pub fn check_tag_value(tag: &str, value: &str) -> Result<(), Rejection> {
    let valid = !value.is_empty()
        && value.len() <= TAG_VALUE_BYTES_MAX
        && !value.ends_with('\\')
        && !value.chars().any(char::is_control);
    if valid { Ok(()) } else { Err(Rejection::TagValue { tag: shown(tag) }) }
}

/// At most 80 bytes of `text` without control characters, for messages.
pub(crate) fn shown(text: &str) -> String {
    let mut out = String::new();
    for character in text.chars() {
        if out.len() + character.len_utf8() > 80 {
            break;
        }
        out.push(if character.is_control() { '?' } else { character });
    }
    out
}
