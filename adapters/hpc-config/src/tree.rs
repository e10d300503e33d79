//! What the three readers have in common: a tree of values with the position of each.

use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hash, Hasher};

use figment::value::{Dict, Value};

use crate::error::{ConfigError, Place, Problem};

/// Most levels of lists and maps.
pub const DEPTH_MAX: usize = 64;

/// One step from a value to one inside it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Step {
    Key(String),
    Index(usize),
}

/// `spec.rules[3].effect`.
pub(crate) fn render(path: &[Step]) -> String {
    let mut text = String::new();
    for step in path {
        match step {
            Step::Key(key) => {
                if !text.is_empty() {
                    text.push('.');
                }
                text.push_str(key);
            }
            Step::Index(index) => text.push_str(&format!("[{index}]")),
        }
    }
    text
}

/// Line and column, from 1.
pub(crate) type Position = (u32, u32);

/// Positions by path. A path is kept as a hash: a deep document would otherwise repeat its upper keys at every leaf.
/// Two paths of one hash cost a wrong line number and nothing else.
#[derive(Clone, Default)]
pub(crate) struct Positions(BTreeMap<u64, Position>);

const ROOT: u64 = 0;

fn hash(parent: u64, step: &Step) -> u64 {
    let mut hasher = DefaultHasher::new();
    (parent, step).hash(&mut hasher);
    hasher.finish()
}

impl Positions {
    /// Position of the value, or of the innermost value around it that has one.
    pub(crate) fn find(&self, path: &[Step]) -> Option<Position> {
        let mut at = ROOT;
        let mut found = None;
        for step in path {
            at = hash(at, step);
            found = self.0.get(&at).copied().or(found);
        }
        found
    }
}

/// A document that has been read.
#[derive(Clone)]
pub(crate) struct Tree {
    pub(crate) root: Dict,
    pub(crate) positions: Positions,
}

/// Collects positions and the path of the value being read.
pub(crate) struct Reading<'t> {
    source: &'t str,
    path: Vec<Step>,
    hash: u64,
    positions: Positions,
}

impl<'t> Reading<'t> {
    pub(crate) fn new(source: &'t str) -> Self {
        Self { source, path: Vec::new(), hash: ROOT, positions: Positions::default() }
    }

    pub(crate) fn error(&self, position: Option<Position>, problem: Problem) -> ConfigError {
        let place = Place {
            source: self.source.to_owned(),
            key: render(&self.path),
            line: position.map(|(line, _)| line),
            column: position.map(|(_, column)| column),
        };
        ConfigError::new(place, problem)
    }

    /// Reads a value one step further in. Every container goes through here, so the depth is checked here.
    pub(crate) fn inside<T>(
        &mut self,
        step: Step,
        position: Position,
        read: impl FnOnce(&mut Self) -> Result<T, ConfigError>,
    ) -> Result<T, ConfigError> {
        if self.path.len() >= DEPTH_MAX {
            return Err(self.error(Some(position), Problem::TooDeep));
        }
        let outer = self.hash;
        self.hash = hash(outer, &step);
        self.path.push(step);
        self.positions.0.insert(self.hash, position);
        let value = read(self)?;
        self.path.pop();
        self.hash = outer;
        Ok(value)
    }

    pub(crate) fn finish(self, root: Value) -> Result<Tree, ConfigError> {
        match root {
            Value::Dict(_, root) => Ok(Tree { root, positions: self.positions }),
            // An empty document has no keys.
            Value::Empty(..) => Ok(Tree { root: Dict::new(), positions: self.positions }),
            other => Err(self.error(
                Some((1, 1)),
                Problem::WrongType { found: found(&other).to_owned(), expected: "a map of keys".to_owned() },
            )),
        }
    }
}

/// The type of a value, in words.
pub(crate) fn found(value: &Value) -> &'static str {
    match value {
        Value::String(..) | Value::Char(..) => "text",
        Value::Bool(..) => "a boolean",
        Value::Num(..) => "a number",
        Value::Empty(..) => "nothing",
        Value::Dict(..) => "a map",
        Value::Array(..) => "a list",
    }
}

/// A text and where its lines start, so that a position costs a binary search.
pub(crate) struct Lines<'t> {
    text: &'t str,
    starts: Vec<usize>,
}

impl<'t> Lines<'t> {
    pub(crate) fn new(text: &'t str) -> Self {
        let starts = std::iter::once(0).chain(text.match_indices('\n').map(|(index, _)| index + 1)).collect();
        Self { text, starts }
    }

    /// Position of a byte; a column counts characters, on very long lines bytes.
    pub(crate) fn position(&self, offset: usize) -> Position {
        const COUNTED_BYTES_MAX: usize = 4096;
        let line = self.starts.partition_point(|start| *start <= offset);
        let start = self.starts.get(line.saturating_sub(1)).copied().unwrap_or_default();
        let before = match self.text.get(start..offset) {
            Some(before) if before.len() <= COUNTED_BYTES_MAX => before.chars().count(),
            _ => offset.saturating_sub(start),
        };
        (u32::try_from(line).unwrap_or(u32::MAX), u32::try_from(before + 1).unwrap_or(u32::MAX))
    }
}
