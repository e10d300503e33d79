use std::fmt;

use figment::value::{Dict, Empty, Num, Tag, Value};
use serde::Deserialize;
use serde::de::{Deserializer, MapAccess, SeqAccess, Visitor};
use serde_saphyr::options::{DuplicateKeyPolicy, MergeKeyPolicy, NonFiniteFloatPolicy};
use serde_saphyr::{Error, Location, Spanned};

use crate::error::{ConfigError, Problem};
use crate::tree::{DEPTH_MAX, Position, Reading, Step, Tree};

/// Room for [`DEPTH_MAX`] levels in an unoptimised build, several times over; only what is used is taken.
const STACK_BYTES: usize = 16 * 1024 * 1024;

/// Reads YAML 1.2 without anchors, aliases, merge keys and tags.
pub(crate) fn read(source: &str, text: &str) -> Result<Tree, ConfigError> {
    let mut reading = Reading::new(source);
    if text.lines().all(|line| line.trim_start().is_empty() || line.trim_start().starts_with('#')) {
        return reading.finish(Value::Empty(Tag::Default, Empty::None));
    }
    // The parser uses tens of kilobytes of stack a level, more than a small thread has for the allowed depth.
    let parsed = std::thread::scope(|scope| {
        let thread = std::thread::Builder::new().name("yaml".to_owned()).stack_size(STACK_BYTES);
        thread.spawn_scoped(scope, || parse(text)).map(std::thread::ScopedJoinHandle::join)
    });
    let node = match parsed {
        Ok(Ok(parsed)) => parsed.map_err(|(at, problem)| reading.error(at, problem))?,
        Ok(Err(_)) => {
            return Err(reading.error(None, Problem::Syntax { detail: "the parser gave up".to_owned() }));
        }
        Err(error) => return Err(reading.error(None, Problem::Unreadable { reason: error.to_string() })),
    };
    let root = value(&mut reading, node)?;
    reading.finish(root)
}

fn parse(text: &str) -> Result<Node, (Option<Position>, Problem)> {
    let options = serde_saphyr::options! {
        budget: serde_saphyr::budget! {
            max_documents: 1,
            max_aliases: 0,
            max_anchors: 0,
            max_depth: DEPTH_MAX + 1, // one more, so that the reader names the key
        },
        duplicate_keys: DuplicateKeyPolicy::Error,
        merge_keys: MergeKeyPolicy::Error,
        strict_booleans: true,
        leading_zero_numbers_as_strings: true,
        underscored_numbers_as_strings: true,
        reject_unsupported_tags: true,
        non_finite_float_policy: NonFiniteFloatPolicy::Reject,
        with_snippet: false,
    };
    let node: Result<Spanned<Node>, Error> = serde_saphyr::from_str_with_options(text, options);
    node.map(|node| node.value).map_err(|error| translate(&error))
}

enum Node {
    Leaf(Value),
    List(Vec<Spanned<Node>>),
    Map(Vec<(Spanned<Node>, Spanned<Node>)>),
}

fn value(reading: &mut Reading<'_>, node: Node) -> Result<Value, ConfigError> {
    match node {
        Node::Leaf(value) => Ok(value),
        Node::List(items) => {
            let mut list = Vec::with_capacity(items.len());
            for (index, item) in items.into_iter().enumerate() {
                let at = position(&item.referenced);
                list.push(reading.inside(Step::Index(index), at, |reading| value(reading, item.value))?);
            }
            Ok(Value::Array(Tag::Default, list))
        }
        Node::Map(pairs) => {
            let mut dict = Dict::new();
            for (key, item) in pairs {
                let at = position(&key.referenced);
                let Node::Leaf(Value::String(_, name)) = key.value else {
                    return Err(reading.error(Some(at), Problem::KeyNotText));
                };
                let child =
                    reading.inside(Step::Key(name.clone()), at, |reading| value(reading, item.value))?;
                dict.insert(name, child);
            }
            Ok(Value::Dict(Tag::Default, dict))
        }
    }
}

fn position(location: &Location) -> Position {
    let fit = |number: u64| u32::try_from(number).unwrap_or(u32::MAX);
    (fit(location.line()), fit(location.column()))
}

fn translate(error: &Error) -> (Option<Position>, Problem) {
    let at = error.location().map(|location| position(&location)).filter(|at| at.0 > 0);
    let syntax = |detail: &str| Problem::Syntax { detail: detail.to_owned() };
    let problem = match error.without_snippet() {
        Error::DuplicateMappingKey { .. } => Problem::DuplicateKey,
        Error::Eof { .. } => syntax("the document ends too early"),
        Error::MultipleDocuments { .. } => syntax("more than one document in a file"),
        Error::MergeKeyNotAllowed { .. } | Error::MergeValueNotMapOrSeqOfMaps { .. } => {
            Problem::NotAllowed { what: "a merge key" }
        }
        Error::NonFiniteFloat { .. } => Problem::Invalid { rule: Some("number must be finite".to_owned()) },
        Error::InvalidUtf8Input => Problem::NotText,
        Error::UnknownAnchor { .. } | Error::AliasError { .. } => Problem::NotAllowed { what: "an alias" },
        Error::Budget { breach, .. } => {
            use serde_saphyr::budget::BudgetBreach;
            match breach {
                BudgetBreach::Depth { .. } => Problem::TooDeep,
                BudgetBreach::Aliases { .. } | BudgetBreach::Anchors { .. } => {
                    Problem::NotAllowed { what: "an anchor or alias" }
                }
                BudgetBreach::Documents { .. } => syntax("more than one document in a file"),
                _ => Problem::TooMany,
            }
        }
        Error::ExternalMessage { msg, .. } if msg.contains("recursion limit") => Problem::TooDeep,
        // Only the parser itself speaks here, and it names structure, not values.
        Error::ExternalMessage { msg, .. } | Error::Message { msg, .. } => {
            syntax(msg.lines().next().unwrap_or_default())
        }
        _ => syntax("not valid YAML"),
    };
    (at, problem)
}

impl<'de> Deserialize<'de> for Node {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct NodeVisitor;

        impl<'de> Visitor<'de> for NodeVisitor {
            type Value = Node;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a value")
            }

            fn visit_bool<E>(self, value: bool) -> Result<Node, E> {
                Ok(Node::Leaf(Value::Bool(Tag::Default, value)))
            }

            fn visit_u64<E>(self, value: u64) -> Result<Node, E> {
                Ok(Node::Leaf(Value::Num(Tag::Default, Num::U64(value))))
            }

            fn visit_i64<E>(self, value: i64) -> Result<Node, E> {
                let number = u64::try_from(value).map_or(Num::I64(value), Num::U64);
                Ok(Node::Leaf(Value::Num(Tag::Default, number)))
            }

            fn visit_u128<E>(self, value: u128) -> Result<Node, E> {
                Ok(Node::Leaf(Value::Num(Tag::Default, Num::U128(value))))
            }

            fn visit_i128<E>(self, value: i128) -> Result<Node, E> {
                Ok(Node::Leaf(Value::Num(Tag::Default, Num::I128(value))))
            }

            fn visit_f64<E>(self, value: f64) -> Result<Node, E> {
                Ok(Node::Leaf(Value::Num(Tag::Default, Num::F64(value))))
            }

            fn visit_str<E>(self, value: &str) -> Result<Node, E> {
                Ok(Node::Leaf(Value::String(Tag::Default, value.to_owned())))
            }

            fn visit_unit<E>(self) -> Result<Node, E> {
                Ok(Node::Leaf(Value::Empty(Tag::Default, Empty::None)))
            }

            fn visit_none<E>(self) -> Result<Node, E> {
                Ok(Node::Leaf(Value::Empty(Tag::Default, Empty::None)))
            }

            fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<Node, D::Error> {
                Node::deserialize(deserializer)
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Node, A::Error> {
                let mut list = Vec::new();
                while let Some(item) = items.next_element()? {
                    list.push(item);
                }
                Ok(Node::List(list))
            }

            fn visit_map<A: MapAccess<'de>>(self, mut pairs: A) -> Result<Node, A::Error> {
                let mut map = Vec::new();
                while let Some(pair) = pairs.next_entry()? {
                    map.push(pair);
                }
                Ok(Node::Map(map))
            }
        }

        deserializer.deserialize_any(NodeVisitor)
    }
}
