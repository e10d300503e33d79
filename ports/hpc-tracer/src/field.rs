/// Most fields of one span; further ones are dropped.
pub const FIELDS_MAX: usize = 32;
/// Longest text of a field or a failure; the rest is cut off.
pub const TEXT_BYTES_MAX: usize = 1024;

/// A named value of a span. The names are the program's own, never input.
#[derive(Debug, Clone, PartialEq)]
pub struct Field {
    /// Name in snake case.
    pub key: &'static str,
    /// Value. Never a secret.
    pub value: FieldValue,
}

/// The value of a field.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum FieldValue {
    /// Text.
    Text(String),
    /// A whole number, 0 or more.
    Unsigned(u64),
    /// A whole number.
    Signed(i64),
    /// A number.
    Float(f64),
    /// True or false.
    Flag(bool),
}

/// A field. Text over [`TEXT_BYTES_MAX`] is cut at a character.
pub fn field(key: &'static str, value: impl Into<FieldValue>) -> Field {
    let value = match value.into() {
        FieldValue::Text(text) => FieldValue::Text(cut(text)),
        other => other,
    };
    Field { key, value }
}

pub(crate) fn cut(mut text: String) -> String {
    if text.len() > TEXT_BYTES_MAX {
        let mut end = TEXT_BYTES_MAX;
        while !text.is_char_boundary(end) {
            end -= 1;
        }
        text.truncate(end);
    }
    text
}

impl std::fmt::Display for FieldValue {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Text(text) => f.write_str(text),
            Self::Unsigned(number) => number.fmt(f),
            Self::Signed(number) => number.fmt(f),
            Self::Float(number) => number.fmt(f),
            Self::Flag(flag) => flag.fmt(f),
        }
    }
}

impl From<&str> for FieldValue {
    fn from(text: &str) -> Self {
        Self::Text(text.to_owned())
    }
}

impl From<String> for FieldValue {
    fn from(text: String) -> Self {
        Self::Text(text)
    }
}

impl From<u64> for FieldValue {
    fn from(number: u64) -> Self {
        Self::Unsigned(number)
    }
}

impl From<u32> for FieldValue {
    fn from(number: u32) -> Self {
        Self::Unsigned(number.into())
    }
}

impl From<i64> for FieldValue {
    fn from(number: i64) -> Self {
        Self::Signed(number)
    }
}

impl From<f64> for FieldValue {
    fn from(number: f64) -> Self {
        Self::Float(number)
    }
}

impl From<bool> for FieldValue {
    fn from(flag: bool) -> Self {
        Self::Flag(flag)
    }
}
