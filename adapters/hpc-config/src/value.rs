//! Values into the caller's types, with errors that know the place and keep the value to themselves.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::fmt;

use figment::Figment;
use figment::value::{Dict, Num, Tag, Value};
use serde::de::value::{StrDeserializer, StringDeserializer};
use serde::de::{
    DeserializeOwned, DeserializeSeed, Deserializer, EnumAccess, Error as _, Expected, IntoDeserializer,
    MapAccess, SeqAccess, Unexpected, VariantAccess, Visitor,
};
use serde::forward_to_deserialize_any;

use crate::env;
use crate::error::{ConfigError, Place, Problem};
use crate::suggest::suggestion;
use crate::tree::{Positions, Step, render};

/// Where the values of one layer come from.
#[derive(Clone, Default)]
pub(crate) struct Origin {
    pub(crate) label: String,
    /// The values are texts that become what their field asks for.
    pub(crate) text: bool,
    pub(crate) positions: Positions,
    /// Environment variables by key.
    pub(crate) names: BTreeMap<Vec<Step>, String>,
}

impl Origin {
    pub(crate) fn of_document(label: &str, positions: Positions) -> Self {
        Self { label: label.to_owned(), positions, ..Self::default() }
    }

    /// The place of a key of this layer.
    pub(crate) fn place(&self, path: &[Step]) -> Place {
        let name = (0..=path.len()).rev().find_map(|length| self.names.get(path.get(..length)?));
        let label = name.map_or_else(|| self.label.clone(), |name| env::label(name));
        let position = self.positions.find(path);
        Place {
            source: label,
            key: render(path),
            line: position.map(|(line, _)| line),
            column: position.map(|(_, column)| column),
        }
    }
}

pub(crate) struct Context<'c> {
    origins: &'c [Origin],
    /// Knows which layer a tag means; without one there is a single layer.
    figment: Option<&'c Figment>,
    /// Whether messages of the caller's types are passed on as they are.
    show_messages: bool,
    ignored: RefCell<Vec<Vec<Step>>>,
}

impl<'c> Context<'c> {
    pub(crate) fn new(origins: &'c [Origin], show_messages: bool) -> Self {
        Self { origins, figment: None, show_messages, ignored: RefCell::new(Vec::new()) }
    }

    pub(crate) fn layered(origins: &'c [Origin], figment: &'c Figment) -> Self {
        Self { figment: Some(figment), ..Self::new(origins, false) }
    }

    pub(crate) fn origin(&self, tag: Tag) -> Option<&'c Origin> {
        match self.figment {
            None => self.origins.first(),
            Some(figment) => self.origins.get(figment.get_metadata(tag)?.name.parse::<usize>().ok()?),
        }
    }

    pub(crate) fn deserialize<T: DeserializeOwned>(&self, root: &Value) -> Result<T, ConfigError> {
        T::deserialize(ValueReader { value: root, path: None, context: self })
            .map_err(|fault| self.error(root, fault))
    }

    /// Keys that nothing wanted.
    pub(crate) fn into_ignored(self) -> Vec<Vec<Step>> {
        self.ignored.into_inner()
    }

    pub(crate) fn place(&self, root: &Value, path: &[Step]) -> Place {
        let bare = || Place { key: render(path), ..Place::default() };
        self.origin(tag_at(root, path)).map_or_else(bare, |origin| origin.place(path))
    }

    fn error(&self, root: &Value, fault: Fault) -> ConfigError {
        ConfigError::new(self.place(root, &fault.path.unwrap_or_default()), fault.problem)
    }

    fn is_text(&self, value: &Value) -> bool {
        self.origin(value.tag()).is_some_and(|origin| origin.text)
    }

    fn ignore(&self, path: Vec<Step>) {
        const IGNORED_MAX: usize = 256;
        let mut ignored = self.ignored.borrow_mut();
        if ignored.len() < IGNORED_MAX {
            ignored.push(path);
        }
    }
}

/// The tag of the innermost value on the way.
fn tag_at(root: &Value, path: &[Step]) -> Tag {
    let mut value = root;
    for step in path {
        let next = match (value, step) {
            (Value::Dict(_, dict), Step::Key(key)) => dict.get(key),
            (Value::Array(_, list), Step::Index(index)) => list.get(*index),
            _ => None,
        };
        match next {
            Some(next) => value = next,
            None => break,
        }
    }
    value.tag()
}

/// The way to a value, while it is being read.
#[derive(Clone, Copy)]
struct Path<'p> {
    parent: Option<&'p Path<'p>>,
    step: &'p Step,
}

fn steps(mut path: Option<&Path<'_>>) -> Vec<Step> {
    let mut steps = Vec::new();
    while let Some(inner) = path {
        steps.push(inner.step.clone());
        path = inner.parent;
    }
    steps.reverse();
    steps
}

/// An error on its way out.
#[derive(Debug)]
struct Fault {
    path: Option<Vec<Step>>,
    problem: Problem,
}

impl Fault {
    fn of(problem: Problem) -> Self {
        Self { path: None, problem }
    }

    /// The innermost value that sees the fault is the one that is wrong.
    fn at(mut self, reader: &ValueReader<'_>) -> Self {
        if self.path.is_none() {
            self.path = Some(steps(reader.path));
            if let Problem::Invalid { rule: Some(rule) } = &self.problem
                && !reader.context.show_messages
                && repeats(&rule.to_lowercase(), reader.value)
            {
                self.problem = Problem::Invalid { rule: None };
            }
        }
        self
    }
}

/// Whether a message holds a value, or one inside it.
fn repeats(message: &str, value: &Value) -> bool {
    match value {
        Value::String(_, text) => !text.is_empty() && message.contains(&text.to_lowercase()),
        Value::Char(_, text) => message.contains(text.to_ascii_lowercase()),
        Value::Num(_, number) => message.contains(&number_text(number)),
        Value::Bool(..) | Value::Empty(..) => false,
        Value::Dict(_, dict) => dict.values().any(|value| repeats(message, value)),
        Value::Array(_, list) => list.iter().any(|value| repeats(message, value)),
    }
}

fn number_text(number: &Num) -> String {
    match number {
        Num::F32(number) => number.to_string(),
        Num::F64(number) => number.to_string(),
        other => match (other.to_u128(), other.to_i128()) {
            (Some(number), _) => number.to_string(),
            (None, Some(number)) => number.to_string(),
            (None, None) => String::new(),
        },
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.problem.fmt(f)
    }
}

impl std::error::Error for Fault {}

impl serde::de::Error for Fault {
    fn custom<M: fmt::Display>(message: M) -> Self {
        Self::of(Problem::Invalid { rule: Some(message.to_string()) })
    }

    fn invalid_type(unexpected: Unexpected<'_>, expected: &dyn Expected) -> Self {
        Self::of(Problem::WrongType {
            found: found(unexpected).to_owned(),
            expected: wanted(&expected.to_string()),
        })
    }

    fn invalid_value(_: Unexpected<'_>, expected: &dyn Expected) -> Self {
        Self::of(Problem::Invalid { rule: Some(format!("expected {}", wanted(&expected.to_string()))) })
    }

    fn invalid_length(_: usize, expected: &dyn Expected) -> Self {
        Self::of(Problem::Invalid { rule: Some(format!("expected {}", wanted(&expected.to_string()))) })
    }

    fn unknown_variant(variant: &str, expected: &'static [&'static str]) -> Self {
        Self::of(Problem::UnknownName { suggestion: suggestion(variant, expected), known: owned(expected) })
    }

    fn unknown_field(field: &str, expected: &'static [&'static str]) -> Self {
        Self::of(Problem::UnknownField { suggestion: suggestion(field, expected), known: owned(expected) })
    }

    fn missing_field(field: &'static str) -> Self {
        Self::of(Problem::MissingField { field: field.to_owned() })
    }

    fn duplicate_field(_: &'static str) -> Self {
        Self::of(Problem::DuplicateKey)
    }
}

fn owned(names: &[&str]) -> Vec<String> {
    names.iter().map(|name| (*name).to_owned()).collect()
}

fn found(unexpected: Unexpected<'_>) -> &'static str {
    match unexpected {
        Unexpected::Bool(_) => "a boolean",
        Unexpected::Unsigned(_) | Unexpected::Signed(_) | Unexpected::Float(_) => "a number",
        Unexpected::Char(_) | Unexpected::Str(_) | Unexpected::Bytes(_) => "text",
        Unexpected::Unit | Unexpected::Option => "nothing",
        Unexpected::Seq => "a list",
        Unexpected::Map | Unexpected::StructVariant => "a map",
        _ => "something else",
    }
}

/// What serde says it wants, in words for somebody who does not know Rust.
fn wanted(expected: &str) -> String {
    match expected {
        "u8" => format!("a whole number from 0 to {}", u8::MAX),
        "u16" => format!("a whole number from 0 to {}", u16::MAX),
        "u32" => format!("a whole number from 0 to {}", u32::MAX),
        "u64" | "usize" => format!("a whole number from 0 to {}", u64::MAX),
        "i8" => format!("a whole number from {} to {}", i8::MIN, i8::MAX),
        "i16" => format!("a whole number from {} to {}", i16::MIN, i16::MAX),
        "i32" => format!("a whole number from {} to {}", i32::MIN, i32::MAX),
        "i64" | "isize" => format!("a whole number from {} to {}", i64::MIN, i64::MAX),
        "f32" | "f64" => "a number".to_owned(),
        "a string" | "a borrowed string" | "string" => "text".to_owned(),
        "a sequence" => "a list".to_owned(),
        other if other.starts_with("struct ") => "a map of keys".to_owned(),
        other if other.starts_with("enum ") || other.starts_with("variant ") => {
            "one of the known names".to_owned()
        }
        other => other.to_owned(),
    }
}

/// One value, and how it was reached.
#[derive(Clone, Copy)]
struct ValueReader<'v> {
    value: &'v Value,
    path: Option<&'v Path<'v>>,
    context: &'v Context<'v>,
}

impl<'v> ValueReader<'v> {
    /// The text of a value that came as text and shall become something else.
    fn loose_text(&self) -> Option<&'v str> {
        match self.value {
            Value::String(_, text) if self.context.is_text(self.value) => Some(text.trim()),
            _ => None,
        }
    }

    fn any<'de, V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        match self.value {
            Value::String(_, text) => visitor.visit_str(text),
            Value::Char(_, c) => visitor.visit_char(*c),
            Value::Bool(_, value) => visitor.visit_bool(*value),
            Value::Empty(..) => visitor.visit_unit(),
            Value::Num(_, number) => visit_number(*number, visitor),
            Value::Array(_, list) => self.list(list, visitor),
            Value::Dict(_, dict) => self.map(dict.iter().collect(), visitor),
        }
    }

    fn number<'de, V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        let Some(text) = self.loose_text() else { return self.any(visitor) };
        if let Ok(number) = text.parse::<u64>() {
            visitor.visit_u64(number)
        } else if let Ok(number) = text.parse::<i64>() {
            visitor.visit_i64(number)
        } else {
            Err(Fault::invalid_type(Unexpected::Str(text), &visitor))
        }
    }

    fn float<'de, V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        let Some(text) = self.loose_text() else { return self.any(visitor) };
        match text.parse::<f64>() {
            Ok(number) if number.is_finite() => visitor.visit_f64(number),
            _ => Err(Fault::invalid_type(Unexpected::Str(text), &visitor)),
        }
    }

    fn list<'de, V: Visitor<'de>>(self, list: &[Value], visitor: V) -> Result<V::Value, Fault> {
        let mut items = Items { parent: self, list: list.iter(), index: 0 };
        let value = visitor.visit_seq(&mut items)?;
        if items.list.len() == 0 { Ok(value) } else { Err(Fault::custom("too many entries")) }
    }

    fn map<'de, V: Visitor<'de>>(self, pairs: Vec<(&String, &Value)>, visitor: V) -> Result<V::Value, Fault> {
        visitor.visit_map(Pairs { parent: self, pairs: pairs.into_iter(), next: None })
    }

    /// True when everything in a value came from the environment.
    fn is_all_text(&self, value: &Value) -> bool {
        match value {
            Value::Dict(_, dict) => dict.values().all(|value| self.is_all_text(value)),
            other => self.context.is_text(other),
        }
    }
}

fn visit_number<'de, V: Visitor<'de>>(number: Num, visitor: V) -> Result<V::Value, Fault> {
    match number {
        Num::U8(number) => visitor.visit_u8(number),
        Num::U16(number) => visitor.visit_u16(number),
        Num::U32(number) => visitor.visit_u32(number),
        Num::U64(number) => visitor.visit_u64(number),
        Num::U128(number) => visitor.visit_u128(number),
        Num::USize(number) => visitor.visit_u64(number as u64),
        Num::I8(number) => visitor.visit_i8(number),
        Num::I16(number) => visitor.visit_i16(number),
        Num::I32(number) => visitor.visit_i32(number),
        Num::I64(number) => visitor.visit_i64(number),
        Num::I128(number) => visitor.visit_i128(number),
        Num::ISize(number) => visitor.visit_i64(number as i64),
        Num::F32(number) => visitor.visit_f32(number),
        Num::F64(number) => visitor.visit_f64(number),
    }
}

macro_rules! numbers {
    ($($method:ident => $through:ident)*) => {
        $(fn $method<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
            self.$through(visitor).map_err(|fault| fault.at(&self))
        })*
    };
}

impl<'de> Deserializer<'de> for ValueReader<'_> {
    type Error = Fault;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        self.any(visitor).map_err(|fault| fault.at(&self))
    }

    numbers! {
        deserialize_u8 => number deserialize_u16 => number deserialize_u32 => number deserialize_u64 => number
        deserialize_i8 => number deserialize_i16 => number deserialize_i32 => number deserialize_i64 => number
        deserialize_u128 => number deserialize_i128 => number
        deserialize_f32 => float deserialize_f64 => float
    }

    fn deserialize_bool<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        let value = match self.loose_text() {
            Some("true") => visitor.visit_bool(true),
            Some("false") => visitor.visit_bool(false),
            _ => self.any(visitor),
        };
        value.map_err(|fault| fault.at(&self))
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        match self.value {
            Value::Empty(..) => visitor.visit_none(),
            _ => visitor.visit_some(self),
        }
        .map_err(|fault: Fault| fault.at(&self))
    }

    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        let Some(text) = self.loose_text() else { return self.deserialize_any(visitor) };
        let tag = self.value.tag();
        let list: Vec<Value> = if text.is_empty() {
            Vec::new()
        } else {
            text.split(',').map(|part| Value::String(tag, part.trim().to_owned())).collect()
        };
        self.list(&list, visitor).map_err(|fault| fault.at(&self))
    }

    fn deserialize_tuple<V: Visitor<'de>>(self, _: usize, visitor: V) -> Result<V::Value, Fault> {
        self.deserialize_seq(visitor)
    }

    fn deserialize_tuple_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: usize,
        visitor: V,
    ) -> Result<V::Value, Fault> {
        self.deserialize_seq(visitor)
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Fault> {
        let Value::Dict(_, dict) = self.value else { return self.deserialize_any(visitor) };
        // A stray variable must not stop a program; in a file the same key is a mistake.
        let (wanted, stray): (Vec<_>, Vec<_>) =
            dict.iter().partition(|(key, value)| fields.contains(&key.as_str()) || !self.is_all_text(value));
        for (key, _) in stray {
            let mut path = steps(self.path);
            path.push(Step::Key(key.clone()));
            self.context.ignore(path);
        }
        self.map(wanted, visitor).map_err(|fault| fault.at(&self))
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Fault> {
        let read = match self.value {
            Value::String(_, name) => visitor.visit_enum(name.as_str().into_deserializer()),
            Value::Dict(_, dict) if dict.len() == 1 => match dict.iter().next() {
                Some((name, value)) => {
                    let step = Step::Key(name.clone());
                    let path = Path { parent: self.path, step: &step };
                    visitor
                        .visit_enum(Variant { name, value: ValueReader { value, path: Some(&path), ..self } })
                }
                None => Err(Fault::invalid_type(Unexpected::Map, &visitor)),
            },
            Value::Dict(..) => Err(Fault::custom("expected a map with one key, the name of the variant")),
            _ => self.any(visitor),
        };
        read.map_err(|fault| fault.at(&self))
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        visitor: V,
    ) -> Result<V::Value, Fault> {
        visitor.visit_newtype_struct(self).map_err(|fault| fault.at(&self))
    }

    fn deserialize_ignored_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        self.context.ignore(steps(self.path));
        visitor.visit_unit()
    }

    forward_to_deserialize_any! { char str string bytes byte_buf unit unit_struct map identifier }
}

struct Items<'v> {
    parent: ValueReader<'v>,
    list: std::slice::Iter<'v, Value>,
    index: usize,
}

impl<'de> SeqAccess<'de> for &mut Items<'_> {
    type Error = Fault;

    fn next_element_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<Option<S::Value>, Fault> {
        let Some(value) = self.list.next() else { return Ok(None) };
        let step = Step::Index(self.index);
        self.index += 1;
        let path = Path { parent: self.parent.path, step: &step };
        let reader = ValueReader { value, path: Some(&path), context: self.parent.context };
        seed.deserialize(reader).map_err(|fault| fault.at(&reader)).map(Some)
    }

    fn size_hint(&self) -> Option<usize> {
        Some(self.list.len())
    }
}

struct Pairs<'v> {
    parent: ValueReader<'v>,
    pairs: std::vec::IntoIter<(&'v String, &'v Value)>,
    next: Option<(&'v String, &'v Value)>,
}

impl Pairs<'_> {
    fn at_value<T>(
        &self,
        key: &str,
        value: &Value,
        read: impl FnOnce(ValueReader<'_>) -> Result<T, Fault>,
    ) -> Result<T, Fault> {
        let step = Step::Key(key.to_owned());
        let path = Path { parent: self.parent.path, step: &step };
        let reader = ValueReader { value, path: Some(&path), context: self.parent.context };
        read(reader).map_err(|fault| fault.at(&reader))
    }
}

impl<'de> MapAccess<'de> for Pairs<'_> {
    type Error = Fault;

    fn next_key_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<Option<S::Value>, Fault> {
        self.next = self.pairs.next();
        let Some((key, value)) = self.next else { return Ok(None) };
        self.at_value(key, value, |_| seed.deserialize(StringDeserializer::new(key.clone()))).map(Some)
    }

    fn next_value_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<S::Value, Fault> {
        let Some((key, value)) = self.next.take() else {
            return Err(Fault::custom("value asked for before its key"));
        };
        self.at_value(key, value, |reader| seed.deserialize(reader))
    }

    fn size_hint(&self) -> Option<usize> {
        Some(self.pairs.len())
    }
}

struct Variant<'v> {
    name: &'v str,
    value: ValueReader<'v>,
}

impl<'de, 'v> EnumAccess<'de> for Variant<'v> {
    type Error = Fault;
    type Variant = Content<'v>;

    fn variant_seed<S: DeserializeSeed<'de>>(self, seed: S) -> Result<(S::Value, Content<'v>), Fault> {
        let name: StrDeserializer<'_, Fault> = self.name.into_deserializer();
        let name = seed.deserialize(name).map_err(|fault| fault.at(&self.value))?;
        Ok((name, Content(self.value)))
    }
}

/// What stands below the name of a variant.
struct Content<'v>(ValueReader<'v>);

impl<'de> VariantAccess<'de> for Content<'_> {
    type Error = Fault;

    fn unit_variant(self) -> Result<(), Fault> {
        serde::Deserialize::deserialize(self.0)
    }

    fn newtype_variant_seed<S: DeserializeSeed<'de>>(self, seed: S) -> Result<S::Value, Fault> {
        seed.deserialize(self.0).map_err(|fault| fault.at(&self.0))
    }

    fn tuple_variant<V: Visitor<'de>>(self, length: usize, visitor: V) -> Result<V::Value, Fault> {
        self.0.deserialize_tuple(length, visitor)
    }

    fn struct_variant<V: Visitor<'de>>(
        self,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Fault> {
        self.0.deserialize_struct("", fields, visitor)
    }
}

/// Every leaf of a tree with its path, in order.
pub(crate) fn leaves(dict: &Dict) -> Vec<Vec<Step>> {
    fn walk(value: &Value, path: &mut Vec<Step>, out: &mut Vec<Vec<Step>>) {
        match value {
            Value::Dict(_, dict) if !dict.is_empty() => {
                for (key, value) in dict {
                    path.push(Step::Key(key.clone()));
                    walk(value, path, out);
                    path.pop();
                }
            }
            _ => out.push(path.clone()),
        }
    }
    let mut out = Vec::new();
    let mut path = Vec::new();
    for (key, value) in dict {
        path.push(Step::Key(key.clone()));
        walk(value, &mut path, &mut out);
        path.pop();
    }
    out
}
