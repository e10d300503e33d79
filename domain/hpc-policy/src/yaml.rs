//! YAML events into a tree of located nodes, refusing everything a policy has no use for.
//!
//! Works on parser events and not on typed deserialization, because only events show quoting, anchors
//! and tags: a quoted `"8"` is a string, a plain `8` is a number, and nobody guesses in between.

use std::collections::BTreeMap;

use serde_saphyr::granit_parser::{Event, Parser, ScalarStyle, options};

use crate::decode::shown;
use crate::error::{Location, PolicyError};
use crate::limits::{DOCUMENT_BYTES_MAX, DOCUMENT_DEPTH_MAX, DOCUMENT_NODES_MAX};

/// A place without a document name; cheap to copy.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Pos {
    pub(crate) line: u32,
    pub(crate) column: u32,
}

impl Pos {
    pub(crate) const START: Self = Self { line: 1, column: 1 };

    pub(crate) fn at(self) -> Location {
        Location::new(self.line, self.column)
    }
}

#[derive(Debug)]
pub(crate) struct Node {
    pub(crate) pos: Pos,
    pub(crate) kind: NodeKind,
}

#[derive(Debug)]
pub(crate) enum NodeKind {
    /// `plain` is true for text without quotes.
    Scalar {
        text: String,
        plain: bool,
    },
    List(Vec<Node>),
    Map(Vec<(Key, Node)>),
}

#[derive(Debug)]
pub(crate) struct Key {
    pub(crate) pos: Pos,
    pub(crate) text: String,
}

/// A collection whose end has not been seen yet.
enum Open {
    List { pos: Pos, items: Vec<Node> },
    Map { pos: Pos, entries: Vec<(Key, Node)>, seen: Option<BTreeMap<String, u32>>, key: Option<Key> },
}

/// The one document in `text`.
pub(crate) fn parse(text: &str) -> Result<Node, PolicyError> {
    if text.len() > DOCUMENT_BYTES_MAX {
        return Err(limit(Pos::START, "the document in bytes", DOCUMENT_BYTES_MAX));
    }
    let mut options = options! {
        disallow_directives: true,
        emit_unresolved_aliases: true,
        flow_nesting_limit: DOCUMENT_DEPTH_MAX + 1,
        block_nesting_limit: DOCUMENT_DEPTH_MAX + 1,
    };
    options.set_emit_comments(false);

    let mut stack: Vec<Open> = Vec::new();
    let mut root: Option<Node> = None;
    let mut nodes = 0_usize;
    let mut documents = 0_usize;
    for event in Parser::new_from_str_with_options(text, options) {
        let (event, span) = event.map_err(|error| {
            let marker = error.marker();
            let pos = pos(marker.line(), marker.col());
            if matches!(error.kind(), serde_saphyr::granit_parser::ErrorKind::RecursionLimitExceeded) {
                return limit(pos, "the nesting depth", DOCUMENT_DEPTH_MAX);
            }
            PolicyError::Syntax { at: pos.at(), problem: error.info().to_string() }
        })?;
        let pos = pos(span.start.line(), span.start.col());
        let closed = match event {
            Event::DocumentStart(..) => {
                documents += 1;
                if documents > 1 {
                    return Err(refused(pos, "a second document is", "put each policy in its own document"));
                }
                continue;
            }
            Event::Alias(_) | Event::UnresolvedAlias(_) => {
                return Err(refused(
                    pos,
                    "aliases are",
                    "write the value out, or quote text that begins with `*`",
                ));
            }
            Event::Anchor(..) => return Err(refused(pos, "anchors are", ANCHOR_ADVICE)),
            Event::Scalar(text, style, anchor, tag) => {
                properties(pos, anchor, tag.is_some())?;
                Node {
                    pos,
                    kind: NodeKind::Scalar { text: text.into_owned(), plain: style == ScalarStyle::Plain },
                }
            }
            Event::SequenceStart(_, anchor, tag) => {
                properties(pos, anchor, tag.is_some())?;
                open(&mut stack, Open::List { pos, items: Vec::new() })?;
                continue;
            }
            Event::MappingStart(_, anchor, tag) => {
                properties(pos, anchor, tag.is_some())?;
                open(&mut stack, Open::Map { pos, entries: Vec::new(), seen: None, key: None })?;
                continue;
            }
            Event::SequenceEnd | Event::MappingEnd => match stack.pop() {
                Some(Open::List { pos, items }) => Node { pos, kind: NodeKind::List(items) },
                Some(Open::Map { pos, entries, .. }) => Node { pos, kind: NodeKind::Map(entries) },
                None => return Err(syntax(pos, "a collection ends that never began")),
            },
            _ => continue,
        };
        nodes += 1;
        if nodes > DOCUMENT_NODES_MAX {
            return Err(limit(closed.pos, "the number of nodes", DOCUMENT_NODES_MAX));
        }
        attach(&mut stack, &mut root, closed)?;
    }
    root.ok_or_else(|| syntax(Pos::START, "the document is empty"))
}

fn attach(stack: &mut [Open], root: &mut Option<Node>, node: Node) -> Result<(), PolicyError> {
    match stack.last_mut() {
        None => *root = Some(node),
        Some(Open::List { items, .. }) => items.push(node),
        Some(Open::Map { entries, seen, key, .. }) => match key.take() {
            Some(key) => entries.push((key, node)),
            None => {
                let NodeKind::Scalar { text, plain } = node.kind else {
                    return Err(syntax(node.pos, "a key must be text"));
                };
                if plain && text == "<<" {
                    return Err(refused(node.pos, "merge keys are", "write the fields out"));
                }
                if let Some(first_line) = first_line(entries, seen, &text, node.pos.line) {
                    return Err(PolicyError::DuplicateKey {
                        at: node.pos.at(),
                        key: shown(&text),
                        first_line,
                    });
                }
                *key = Some(Key { pos: node.pos, text });
            }
        },
    }
    Ok(())
}

/// The line of an earlier entry with this key. Mappings with few entries are read through, larger ones get a table.
fn first_line(
    entries: &[(Key, Node)],
    seen: &mut Option<BTreeMap<String, u32>>,
    text: &str,
    line: u32,
) -> Option<u32> {
    if entries.len() < FEW_ENTRIES {
        return entries.iter().find(|(key, _)| key.text == text).map(|(key, _)| key.pos.line);
    }
    let all = || entries.iter().map(|(key, _)| (key.text.clone(), key.pos.line)).collect();
    seen.get_or_insert_with(all).insert(text.to_owned(), line)
}

/// Mappings of fewer entries are searched one by one for a key.
const FEW_ENTRIES: usize = 16;

const ANCHOR_ADVICE: &str = "write the value out, or quote text that begins with `&`";

fn properties(pos: Pos, anchor: usize, tagged: bool) -> Result<(), PolicyError> {
    if anchor != 0 {
        return Err(refused(pos, "anchors are", ANCHOR_ADVICE));
    }
    if tagged {
        return Err(refused(pos, "tags are", "leave the tag away, or quote text that begins with `!`"));
    }
    Ok(())
}

fn open(stack: &mut Vec<Open>, collection: Open) -> Result<(), PolicyError> {
    if stack.len() >= DOCUMENT_DEPTH_MAX {
        let (Open::List { pos, .. } | Open::Map { pos, .. }) = collection;
        return Err(limit(pos, "the nesting depth", DOCUMENT_DEPTH_MAX));
    }
    stack.push(collection);
    Ok(())
}

fn pos(line: usize, column_from_zero: usize) -> Pos {
    Pos {
        line: u32::try_from(line.max(1)).unwrap_or(u32::MAX),
        column: u32::try_from(column_from_zero).unwrap_or(u32::MAX).saturating_add(1),
    }
}

fn limit(pos: Pos, what: &'static str, max: usize) -> PolicyError {
    PolicyError::Limit { at: pos.at(), what, max }
}

fn refused(pos: Pos, feature: &'static str, advice: &'static str) -> PolicyError {
    PolicyError::Refused { at: pos.at(), feature, advice }
}

fn syntax(pos: Pos, problem: &str) -> PolicyError {
    PolicyError::Syntax { at: pos.at(), problem: problem.to_owned() }
}
