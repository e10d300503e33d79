//! Nodes into typed fields, with an error that points at the place and says what to write.

use crate::error::PolicyError;
use crate::limits::TEXT_BYTES_MAX;
use crate::value::Value;
use crate::yaml::{Key, Node, NodeKind, Pos};

/// The fields of one mapping; unknown ones are refused before anything is read.
pub(crate) struct Fields {
    pub(crate) pos: Pos,
    entries: Vec<(Key, Option<Node>)>,
}

/// A field's node together with the field's name.
pub(crate) struct Field {
    pub(crate) name: &'static str,
    pub(crate) node: Node,
}

impl Fields {
    pub(crate) fn of(node: Node, what: &str, known: &[&'static str]) -> Result<Self, PolicyError> {
        let pos = node.pos;
        let NodeKind::Map(entries) = node.kind else {
            return Err(invalid(
                pos,
                what,
                describe(&node.kind),
                format!("a mapping with {}", listed(known)),
            ));
        };
        for (key, _) in &entries {
            if !known.contains(&key.text.as_str()) {
                let mut expected = listed(known);
                if let Some(near) = known.iter().find(|name| distance(name, &key.text) <= 2) {
                    expected.push_str(&format!("; did you mean `{near}`?"));
                }
                return Err(PolicyError::UnknownField {
                    at: key.pos.at(),
                    field: shown(&key.text),
                    expected,
                });
            }
        }
        Ok(Self { pos, entries: entries.into_iter().map(|(key, node)| (key, Some(node))).collect() })
    }

    pub(crate) fn has(&self, name: &str) -> bool {
        self.entries.iter().any(|(key, node)| key.text == name && node.is_some())
    }

    pub(crate) fn position(&self, name: &str) -> Pos {
        self.entries.iter().find(|(key, _)| key.text == name).map_or(self.pos, |(key, _)| key.pos)
    }

    pub(crate) fn take(&mut self, name: &'static str) -> Option<Field> {
        let entry = self.entries.iter_mut().find(|(key, _)| key.text == name)?;
        entry.1.take().map(|node| Field { name, node })
    }

    pub(crate) fn require(&mut self, name: &'static str, advice: &'static str) -> Result<Field, PolicyError> {
        let at = self.pos.at();
        self.take(name).ok_or(PolicyError::MissingField { at, field: name, advice })
    }

    /// Free text, which people will read on their terminals.
    pub(crate) fn text(&mut self, name: &'static str) -> Result<Option<String>, PolicyError> {
        let Some(field) = self.take(name) else { return Ok(None) };
        let text = field.text()?;
        match text.chars().find(|c| c.is_control() && !matches!(c, '\n' | '\t') || turns(*c)) {
            Some(odd) => Err(field.invalid(
                format!("text with the character U+{:04X}", u32::from(odd)),
                "text without control characters and turns of direction; line breaks and tabs are fine",
            )),
            None => Ok(Some(text)),
        }
    }
}

impl Field {
    pub(crate) fn pos(&self) -> Pos {
        self.node.pos
    }

    pub(crate) fn invalid(&self, found: impl Into<String>, expected: impl Into<String>) -> PolicyError {
        invalid(self.node.pos, self.name, found.into(), expected.into())
    }

    /// Text where text is expected: `no`, `on`, `012` and `1e3` are just letters here.
    pub(crate) fn text(&self) -> Result<String, PolicyError> {
        match &self.node.kind {
            NodeKind::Scalar { text, plain } if *plain && is_null(text) => {
                Err(self.invalid("empty or null", "text; quote it if the word is meant"))
            }
            NodeKind::Scalar { text, .. } if text.len() > TEXT_BYTES_MAX => Err(PolicyError::Limit {
                at: self.node.pos.at(),
                what: "a text in bytes",
                max: TEXT_BYTES_MAX,
            }),
            NodeKind::Scalar { text, .. } => Ok(text.clone()),
            other => Err(self.invalid(describe(other), "text")),
        }
    }

    /// Text that passes `problem`.
    pub(crate) fn checked(&self, problem: fn(&str) -> Option<&'static str>) -> Result<String, PolicyError> {
        let text = self.text()?;
        match problem(&text) {
            Some(problem) => {
                Err(self.invalid(format!("`{}`, which {problem}", shown(&text)), "a name without that"))
            }
            None => Ok(text),
        }
    }

    /// The items of a list, at least one and at most `max`.
    pub(crate) fn list(self, max: usize, what: &'static str) -> Result<Vec<Field>, PolicyError> {
        let name = self.name;
        let at = self.node.pos.at();
        match self.node.kind {
            NodeKind::List(items) if items.is_empty() => {
                Err(invalid(self.node.pos, name, "an empty list".to_owned(), "at least one item".to_owned()))
            }
            NodeKind::List(items) if items.len() > max => Err(PolicyError::Limit { at, what, max }),
            NodeKind::List(items) => Ok(items.into_iter().map(|node| Field { name, node }).collect()),
            other => Err(invalid(self.node.pos, name, describe(&other), "a list".to_owned())),
        }
    }

    pub(crate) fn boolean(&self) -> Result<bool, PolicyError> {
        match self.value()? {
            Value::Bool(flag) => Ok(flag),
            other => Err(self.invalid(other.type_name(), "`true` or `false`")),
        }
    }

    pub(crate) fn integer(&self) -> Result<i64, PolicyError> {
        match self.value()? {
            Value::Integer(number) => Ok(number),
            other => Err(self.invalid(other.type_name(), "a whole number")),
        }
    }

    /// A literal whose type its spelling decides: quoted text is a string, `8` an integer, `true` a boolean,
    /// `{timestamp: ..}` and `{ip: ..}` what they say. A spelling with two readings is refused.
    pub(crate) fn value(&self) -> Result<Value, PolicyError> {
        let value = value(self.name, &self.node)?;
        match value.problem() {
            Some(problem) => {
                Err(self.invalid(format!("a value that {problem}"), "a smaller or more uniform value"))
            }
            None => Ok(value),
        }
    }
}

fn value(name: &str, node: &Node) -> Result<Value, PolicyError> {
    let wrong = |found: String, expected: &str| Err(invalid(node.pos, name, found, expected.to_owned()));
    match &node.kind {
        NodeKind::Scalar { text, plain: false } => Ok(Value::String(text.clone())),
        NodeKind::Scalar { text, .. } if is_null(text) => wrong("empty or null".to_owned(), "a value"),
        NodeKind::Scalar { text, .. } => match text.as_str() {
            "true" => Ok(Value::Bool(true)),
            "false" => Ok(Value::Bool(false)),
            "True" | "TRUE" | "False" | "FALSE" => {
                wrong(format!("`{text}`"), "`true` or `false` in small letters, or quotes around a string")
            }
            _ if is_integer(text) => match text.parse() {
                Ok(number) => Ok(Value::Integer(number)),
                Err(_) => wrong(format!("`{}`", shown(text)), "an integer of at most 64 bits"),
            },
            _ if looks_numeric(text) => wrong(
                format!("`{}`, which readers of YAML take for different numbers", shown(text)),
                "a plain whole number such as `12`, or quotes around a string",
            ),
            _ => Ok(Value::String(text.clone())),
        },
        NodeKind::List(items) => {
            let items: Result<Vec<Value>, PolicyError> = items.iter().map(|item| value(name, item)).collect();
            Ok(Value::List(items?))
        }
        NodeKind::Map(entries) => match entries.as_slice() {
            [(key, Node { kind: NodeKind::Scalar { text, .. }, .. })] => match key.text.as_str() {
                "timestamp" => match text.parse() {
                    Ok(at) => Ok(Value::Timestamp(at)),
                    Err(_) => {
                        wrong(format!("`{}`", shown(text)), "an RFC 3339 time such as `2026-11-02T10:00:00Z`")
                    }
                },
                "ip" => match text.parse() {
                    Ok(address) => Ok(Value::Ip(address)),
                    Err(_) => wrong(format!("`{}`", shown(text)), "an IPv4 or IPv6 address"),
                },
                _ => wrong("a mapping".to_owned(), "a scalar, a list, `{timestamp: ..}` or `{ip: ..}`"),
            },
            _ => wrong("a mapping".to_owned(), "a scalar, a list, `{timestamp: ..}` or `{ip: ..}`"),
        },
    }
}

/// Attributes or obligations: names to values.
pub(crate) fn values(field: Field, max: usize, what: &'static str) -> Result<Vec<(Key, Value)>, PolicyError> {
    let name = field.name;
    let pos = field.node.pos;
    match field.node.kind {
        NodeKind::Map(entries) if entries.len() > max => Err(PolicyError::Limit { at: pos.at(), what, max }),
        NodeKind::Map(entries) => entries
            .into_iter()
            .map(|(key, node)| {
                if let Some(problem) = crate::identifier::attribute_problem(&key.text) {
                    let found = format!("given the name `{}`, which {problem}", shown(&key.text));
                    return Err(invalid(key.pos, name, found, "an attribute name".to_owned()));
                }
                let value = Field { name, node }.value()?;
                Ok((key, value))
            })
            .collect(),
        other => Err(invalid(pos, name, describe(&other), "a mapping of names to values".to_owned())),
    }
}

pub(crate) fn invalid(pos: Pos, field: &str, found: String, expected: String) -> PolicyError {
    PolicyError::Invalid { at: pos.at(), field: field.to_owned(), found, expected }
}

/// User text for a message: cut, and without characters that act on a terminal or cannot be seen.
pub(crate) fn shown(text: &str) -> String {
    const CHARACTERS: usize = 80;
    let mut out: String =
        text.chars().take(CHARACTERS).map(|c| if is_unseen(c) { '\u{fffd}' } else { c }).collect();
    if text.chars().nth(CHARACTERS).is_some() {
        out.push_str("...");
    }
    out
}

/// Control characters, marks without width, and those that turn the direction of what follows.
fn is_unseen(c: char) -> bool {
    c.is_control()
        || turns(c)
        || matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}' | '\u{2029}' | '\u{2060}'..='\u{2064}' | '\u{feff}')
}

/// Embeddings, overrides and isolates: text after one reads otherwise than it is.
fn turns(c: char) -> bool {
    matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

fn describe(kind: &NodeKind) -> String {
    match kind {
        NodeKind::Scalar { text, plain } if *plain && is_null(text) => "empty or null".to_owned(),
        NodeKind::Scalar { text, .. } => format!("the text `{}`", shown(text)),
        NodeKind::List(_) => "a list".to_owned(),
        NodeKind::Map(_) => "a mapping".to_owned(),
    }
}

fn listed(names: &[&str]) -> String {
    let quoted: Vec<String> = names.iter().map(|name| format!("`{name}`")).collect();
    quoted.join(", ")
}

fn is_null(text: &str) -> bool {
    matches!(text, "" | "~" | "null" | "Null" | "NULL")
}

/// `0`, or digits without a leading zero, with an optional minus.
fn is_integer(text: &str) -> bool {
    let digits = text.strip_prefix('-').unwrap_or(text);
    let canonical = digits == "0" && digits.len() == text.len() || !digits.starts_with('0');
    !digits.is_empty() && canonical && digits.bytes().all(|byte| byte.is_ascii_digit())
}

/// Whether some reader of YAML 1.1 or 1.2 takes this for a number: `012`, `1e3`, `1_000`, `1.5`, `0x1f`, `.inf`.
fn looks_numeric(text: &str) -> bool {
    let body = text.strip_prefix(['-', '+']).unwrap_or(text);
    if matches!(body.to_ascii_lowercase().as_str(), ".inf" | ".nan") {
        return true;
    }
    for (prefix, radix) in [("0x", 16), ("0o", 8), ("0b", 2)] {
        if let Some(digits) = body.strip_prefix(prefix) {
            return !digits.is_empty() && digits.chars().all(|c| c == '_' || c.is_digit(radix));
        }
    }
    let (mut digits, mut dot, mut exponent) = (false, false, false);
    let mut previous = ' ';
    for c in body.chars() {
        match c {
            '0'..='9' => digits = true,
            '_' => {}
            '.' if !dot && !exponent => dot = true,
            'e' | 'E' if digits && !exponent => exponent = true,
            '+' | '-' if matches!(previous, 'e' | 'E') => {}
            _ => return false,
        }
        previous = c;
    }
    digits && body.starts_with(|c: char| c.is_ascii_digit() || c == '.')
}

/// Edit distance, for names of a few dozen letters; long ones count as far apart. Above two it is only known to be above two.
pub(crate) fn distance(left: &str, right: &str) -> usize {
    if left.len() > 32 || right.len() > 32 {
        return usize::MAX;
    }
    // Paths mostly begin alike, and what is alike at the start costs no edits.
    let alike = left.bytes().zip(right.bytes()).take_while(|(a, b)| a == b && a.is_ascii()).count();
    let (left, right) = (left.get(alike..).unwrap_or(left), right.get(alike..).unwrap_or(right));
    let right: Vec<char> = right.chars().collect();
    let mut row: Vec<usize> = (0..=right.len()).collect();
    for (line, a) in left.chars().enumerate() {
        let mut diagonal = line;
        let mut before = line + 1;
        let mut cells = row.iter_mut();
        if let Some(first) = cells.next() {
            *first = before;
        }
        for (b, above) in right.iter().zip(cells) {
            let cost = diagonal + usize::from(a != *b);
            diagonal = *above;
            before = cost.min(*above + 1).min(before + 1);
            *above = before;
        }
        // Rows never get nearer than their nearest cell.
        if row.iter().all(|edits| *edits > 2) {
            break;
        }
    }
    row.last().copied().unwrap_or(usize::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_with_two_readings_are_found() {
        for text in [
            "012", "1e3", "1_000", "1.5", "0x1f", "0o17", "+5", "-0", ".inf", "-.NaN", "1.", ".5", "1E-3",
            "00",
        ] {
            assert!(!is_integer(text) && looks_numeric(text), "{text}");
        }
        for text in ["1.2.3", "10.0.0.0/8", "80gb", "09:00", "2026-11-02", "no", "e3", "_", "-", "."] {
            assert!(!is_integer(text) && !looks_numeric(text), "{text}");
        }
        for text in ["0", "8", "-8", "9223372036854775807"] {
            assert!(is_integer(text), "{text}");
        }
    }

    #[test]
    fn distance_counts_edits() {
        assert_eq!(distance("pattern", "patern"), 1);
        assert_eq!(distance("effect", "efect"), 1);
        assert_eq!(distance("value", "values"), 1);
        assert_eq!(distance("context.huors", "context.hours"), 2);
        assert_eq!(distance("context.hour", "context.hours"), 1);
        assert_eq!(distance("fäb", "fäbe"), 1);
        assert_eq!(distance("same", "same"), 0);
        assert!(distance("abc", "") > 2 && distance("abcdef", "uvwxyz") > 2);
    }
}
