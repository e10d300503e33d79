//! Attribute values: typed, without floats.

use std::fmt;
use std::net::IpAddr;

use jiff::Timestamp;

use crate::limits::{SEEN_CHARACTERS_MAX, SEEN_ITEMS_MAX, VALUE_BYTES_MAX, VALUE_ITEMS_MAX};

/// The value of an attribute, a literal in a condition, or an obligation.
///
/// There are no floating-point values: money and capacity are integers in their smallest unit.
/// Values of different types never compare: `"8"` is not `8`, and asking is an error, not `false`.
#[derive(Debug, Clone, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize), serde(untagged))]
#[non_exhaustive]
pub enum Value {
    /// Text, compared byte for byte.
    String(String),
    /// A whole number.
    Integer(i64),
    /// `true` or `false`.
    Bool(bool),
    /// An instant, UTC.
    Timestamp(Timestamp),
    /// An address. An IPv4 address written as IPv6 (`::ffff:10.0.0.1`) counts as the IPv4 address.
    Ip(IpAddr),
    /// Values of one scalar type.
    List(Vec<Value>),
    /// A value this language has no type for: a fraction, null, a nested or mixed list.
    ///
    /// It is there (`exists` holds), but every comparison with it is unknown: a deny rule that looks at it
    /// denies, an allow rule does not apply. Only callers make one; no policy can write it.
    Opaque,
}

impl Value {
    pub(crate) fn view(&self) -> View<'_> {
        match self {
            Self::String(text) => View::Str(text),
            Self::Integer(number) => View::Int(*number),
            Self::Bool(flag) => View::Bool(*flag),
            Self::Timestamp(at) => View::Time(*at),
            Self::Ip(address) => View::Ip(address.to_canonical()),
            Self::List(items) => View::List(items),
            Self::Opaque => View::Opaque,
        }
    }

    /// The type in words, as error messages use it: `a string`, `an integer`.
    #[must_use]
    pub fn type_name(&self) -> &'static str {
        self.view().type_name()
    }

    /// Bytes of text in it; every other scalar counts as eight.
    pub(crate) fn bytes(&self) -> usize {
        match self {
            Self::String(text) => text.len(),
            Self::List(items) => items.iter().map(Self::bytes).fold(0, usize::saturating_add),
            _ => 8,
        }
    }

    /// What keeps this value from being used, if anything.
    pub(crate) fn problem(&self) -> Option<&'static str> {
        match self {
            Self::String(text) if text.len() > VALUE_BYTES_MAX => Some("is longer than 16 KiB; shorten it"),
            Self::List(items) => {
                if items.len() > VALUE_ITEMS_MAX {
                    return Some("has more than 1024 items; shorten it");
                }
                if items.iter().any(|item| matches!(item, Self::List(_))) {
                    return Some("is a list of lists; use one flat list");
                }
                let mut types = items.iter().map(Self::type_name);
                let first = types.next();
                if types.any(|name| Some(name) != first) {
                    return Some("mixes types; use one type in a list");
                }
                (self.bytes() > VALUE_BYTES_MAX).then_some("is larger than 16 KiB; shorten it")
            }
            _ => None,
        }
    }
}

impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.view().fmt(f)
    }
}

impl From<&str> for Value {
    fn from(text: &str) -> Self {
        Self::String(text.to_owned())
    }
}
impl From<String> for Value {
    fn from(text: String) -> Self {
        Self::String(text)
    }
}
impl From<i64> for Value {
    fn from(number: i64) -> Self {
        Self::Integer(number)
    }
}
impl From<i32> for Value {
    fn from(number: i32) -> Self {
        Self::Integer(i64::from(number))
    }
}
impl From<u32> for Value {
    fn from(number: u32) -> Self {
        Self::Integer(i64::from(number))
    }
}
impl From<bool> for Value {
    fn from(flag: bool) -> Self {
        Self::Bool(flag)
    }
}
impl From<Timestamp> for Value {
    fn from(at: Timestamp) -> Self {
        Self::Timestamp(at)
    }
}
impl From<IpAddr> for Value {
    fn from(address: IpAddr) -> Self {
        Self::Ip(address)
    }
}
impl<T: Into<Value>> From<Vec<T>> for Value {
    fn from(items: Vec<T>) -> Self {
        Self::List(items.into_iter().map(Into::into).collect())
    }
}

/// A borrowed value; also the shape of the built-in attributes, which are not stored as [`Value`].
#[derive(Clone, Copy)]
pub(crate) enum View<'a> {
    Str(&'a str),
    Int(i64),
    Bool(bool),
    Time(Timestamp),
    Ip(IpAddr),
    List(&'a [Value]),
    Strs(&'a [String]),
    Opaque,
}

impl View<'_> {
    pub(crate) fn type_name(self) -> &'static str {
        match self {
            Self::Str(_) => "a string",
            Self::Int(_) => "an integer",
            Self::Bool(_) => "a boolean",
            Self::Time(_) => "a timestamp",
            Self::Ip(_) => "an address",
            Self::List(_) | Self::Strs(_) => "a list",
            Self::Opaque => "a value without a type",
        }
    }

    /// A copy for an explanation: long text is cut, and so are long lists.
    pub(crate) fn to_seen(self) -> Value {
        match self {
            Self::Str(text) => Value::String(cut(text)),
            Self::List(items) => {
                Value::List(items.iter().take(SEEN_ITEMS_MAX).map(|item| item.view().to_seen()).collect())
            }
            Self::Strs(items) => {
                Value::List(items.iter().take(SEEN_ITEMS_MAX).map(|text| Value::String(cut(text))).collect())
            }
            scalar => scalar.to_value(),
        }
    }

    pub(crate) fn to_value(self) -> Value {
        match self {
            Self::Str(text) => Value::String(text.to_owned()),
            Self::Int(number) => Value::Integer(number),
            Self::Bool(flag) => Value::Bool(flag),
            Self::Time(at) => Value::Timestamp(at),
            Self::Ip(address) => Value::Ip(address),
            Self::List(items) => Value::List(items.to_vec()),
            Self::Strs(items) => Value::List(items.iter().cloned().map(Value::String).collect()),
            Self::Opaque => Value::Opaque,
        }
    }
}

impl fmt::Display for View<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fn list<T>(f: &mut fmt::Formatter<'_>, items: &[T], show: impl Fn(&T) -> String) -> fmt::Result {
            let shown: Vec<String> = items.iter().take(SEEN_ITEMS_MAX).map(show).collect();
            let more = if items.len() > SEEN_ITEMS_MAX { ", ..." } else { "" };
            write!(f, "[{}{more}]", shown.join(", "))
        }
        match self {
            Self::Str(text) => write!(f, "{:?}", cut(text)),
            Self::Int(number) => write!(f, "{number}"),
            Self::Bool(flag) => write!(f, "{flag}"),
            Self::Time(at) => write!(f, "{at}"),
            Self::Ip(address) => write!(f, "{address}"),
            Self::List(items) => list(f, items, ToString::to_string),
            Self::Strs(items) => list(f, items, |text| format!("{:?}", cut(text))),
            Self::Opaque => f.write_str("a value without a type"),
        }
    }
}

fn cut(text: &str) -> String {
    match text.char_indices().nth(SEEN_CHARACTERS_MAX) {
        Some((end, _)) => format!("{}...", text.get(..end).unwrap_or_default()),
        None => text.to_owned(),
    }
}

/// A value with a mark that keeps it out of explanations, logs and `Debug` output.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Attribute {
    pub(crate) value: Value,
    pub(crate) secret: bool,
}

impl fmt::Debug for Attribute {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.secret { f.write_str("[redacted]") } else { self.value.fmt(f) }
    }
}
