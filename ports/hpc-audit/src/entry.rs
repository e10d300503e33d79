use std::collections::BTreeMap;
use std::fmt;
use std::io::Write as _;
use std::str::FromStr;

use hpc_crypto::hashing::Hash;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// The version that is written into the field `v` of every entry.
pub const ENTRY_VERSION: u64 = 1;
/// The longest encoded entry, in bytes: what a bundle of tiles can hold.
pub const ENTRY_BYTES_MAX: usize = hpc_crypto::tile::ENTRY_BYTES_MAX;
/// The longest id of an entry or of a subject, in bytes.
pub const ID_BYTES_MAX: usize = 256;
/// The longest principal, in bytes: the longest SPIFFE ID.
pub const PRINCIPAL_BYTES_MAX: usize = 2048;
/// The longest action, subject kind or data key, in bytes.
pub const NAME_BYTES_MAX: usize = 64;
/// The most subjects of one entry.
pub const SUBJECTS_MAX: usize = 16;
/// The most data fields of one entry.
pub const DATA_MAX: usize = 64;

/// How the recorded action ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// It happened.
    Ok,
    /// A rule forbade it.
    Denied,
    /// It was tried and did not happen.
    Failed,
    /// It was tried, and whether it happened is not known.
    Unknown,
}

impl Outcome {
    /// The word in the encoding: `ok`, `denied`, `failed` or `unknown`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Denied => "denied",
            Self::Failed => "failed",
            Self::Unknown => "unknown",
        }
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Outcome {
    type Err = EntryError;

    /// Reads [`Outcome::as_str`].
    fn from_str(text: &str) -> Result<Self, EntryError> {
        [Self::Ok, Self::Denied, Self::Failed, Self::Unknown]
            .into_iter()
            .find(|outcome| outcome.as_str() == text)
            .ok_or(EntryError::Field {
                field: "outcome",
                reason: "is not one of `ok`, `denied`, `failed`, `unknown`",
            })
    }
}

/// One thing that happened: who did what to which subjects, when, and how it ended.
///
/// It holds no secrets and no personal data beyond the principal: what must not be read is committed to by a hash.
/// The fields are checked when the entry is encoded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Idempotency id: appended twice, it is recorded once. 1 to 256 printable bytes.
    pub id: String,
    /// When it happened.
    pub at: Timestamp,
    /// Who did it, such as a SPIFFE ID. 1 to 2,048 bytes without control characters.
    pub principal: String,
    /// What was done, such as `lease.active`: lower-case words, digits, `_` and `-`, joined by dots.
    pub action: String,
    /// How it ended.
    pub outcome: Outcome,
    /// What it was done to: kind to id, such as `lease` to `lse_x`. At most 16.
    pub subjects: BTreeMap<String, String>,
    /// Further facts: integers and strings only. At most 64.
    pub data: BTreeMap<String, Value>,
    /// Whether it happened in a development world.
    pub dev: bool,
    /// Whether the provider behind it was simulated.
    pub simulated: bool,
}

/// Why bytes or fields are no entry.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum EntryError {
    /// A field outside its rule.
    #[error("field `{field}` {reason}")]
    Field {
        /// The field.
        field: &'static str,
        /// The rule it breaks.
        reason: &'static str,
    },
    /// The encoding is too long for the log.
    #[error(
        "the entry is {got} bytes long, at most {ENTRY_BYTES_MAX} are allowed: record the digest of large values"
    )]
    TooLong {
        /// Bytes of the encoding.
        got: usize,
    },
    /// Bytes that are no entry at all.
    #[error("not an entry: {reason}")]
    Malformed {
        /// What the reader found.
        reason: String,
    },
    /// Bytes that mean an entry but are not its one form.
    #[error(
        "the entry is not in canonical form: sort the keys, leave out spaces, write each value the shortest way"
    )]
    NotCanonical,
}

impl Entry {
    /// An entry without subjects and data, of a real world.
    pub fn new(
        id: impl Into<String>,
        at: Timestamp,
        principal: impl Into<String>,
        action: impl Into<String>,
        outcome: Outcome,
    ) -> Self {
        Self {
            id: id.into(),
            at,
            principal: principal.into(),
            action: action.into(),
            outcome,
            subjects: BTreeMap::new(),
            data: BTreeMap::new(),
            dev: false,
            simulated: false,
        }
    }

    /// Names a subject, such as `("lease", "lse_x")`.
    #[must_use]
    pub fn subject(mut self, kind: impl Into<String>, id: impl Into<String>) -> Self {
        self.subjects.insert(kind.into(), id.into());
        self
    }

    /// Adds a fact: an integer or a string.
    #[must_use]
    pub fn with(mut self, key: impl Into<String>, value: impl Into<Value>) -> Self {
        self.data.insert(key.into(), value.into());
        self
    }

    /// Says whether this is a development world.
    #[must_use]
    pub fn dev(mut self, dev: bool) -> Self {
        self.dev = dev;
        self
    }

    /// Says whether the provider was simulated.
    #[must_use]
    pub fn simulated(mut self, simulated: bool) -> Self {
        self.simulated = simulated;
        self
    }

    /// The one form of this entry: JSON with sorted keys, no spaces and no floating point numbers.
    ///
    /// # Errors
    /// [`EntryError::Field`] or [`EntryError::TooLong`].
    pub fn encode(&self) -> Result<Vec<u8>, EntryError> {
        let mut out = Vec::with_capacity(256);
        self.encode_into(&mut out)?;
        Ok(out)
    }

    /// Appends what [`Entry::encode`] gives; nothing when it fails.
    ///
    /// # Errors
    /// [`EntryError::Field`] or [`EntryError::TooLong`].
    pub fn encode_into(&self, out: &mut Vec<u8>) -> Result<(), EntryError> {
        self.check()?;
        let begin = out.len();
        push(out, "{\"action\":");
        push_string(out, &self.action);
        // A timestamp has nothing that must be escaped.
        push_shown(out, format_args!(",\"at\":\"{}\",\"data\":{{", self.at));
        for (position, (key, value)) in self.data.iter().enumerate() {
            push_key(out, position, key);
            match value {
                Value::String(text) => push_string(out, text),
                // `check` has let only integers pass, and those print without exponent or fraction.
                other => push_shown(out, format_args!("{other}")),
            }
        }
        push(out, if self.dev { "},\"dev\":true,\"id\":" } else { "},\"dev\":false,\"id\":" });
        push_string(out, &self.id);
        push(out, ",\"outcome\":");
        push_string(out, self.outcome.as_str());
        push(out, ",\"principal\":");
        push_string(out, &self.principal);
        push(out, if self.simulated { ",\"simulated\":true" } else { ",\"simulated\":false" });
        push(out, ",\"subjects\":{");
        for (position, (kind, id)) in self.subjects.iter().enumerate() {
            push_key(out, position, kind);
            push_string(out, id);
        }
        push(out, "},\"v\":1}");
        let got = out.len() - begin;
        if got > ENTRY_BYTES_MAX {
            out.truncate(begin);
            return Err(EntryError::TooLong { got });
        }
        Ok(())
    }

    /// Reads an entry in its one form; any other spelling of the same entry is refused.
    ///
    /// # Errors
    /// Any [`EntryError`].
    pub fn decode(bytes: &[u8]) -> Result<Self, EntryError> {
        if bytes.len() > ENTRY_BYTES_MAX {
            return Err(EntryError::TooLong { got: bytes.len() });
        }
        let wire: Wire = serde_json::from_slice(bytes)
            .map_err(|error| EntryError::Malformed { reason: error.to_string() })?;
        if wire.v != ENTRY_VERSION {
            return Err(EntryError::Field {
                field: "v",
                reason: "is a version that this program does not know",
            });
        }
        let entry = Self {
            id: wire.id,
            at: wire
                .at
                .parse()
                .map_err(|_| EntryError::Field { field: "at", reason: "is not a UTC timestamp" })?,
            principal: wire.principal,
            action: wire.action,
            outcome: wire.outcome,
            subjects: wire.subjects,
            data: wire.data,
            dev: wire.dev,
            simulated: wire.simulated,
        };
        if entry.encode()? == bytes { Ok(entry) } else { Err(EntryError::NotCanonical) }
    }

    /// The hash that the log's tree keeps for the encoded entry.
    pub fn leaf_hash(encoded: &[u8]) -> Hash {
        crate::PROFILE.leaf(encoded)
    }

    fn check(&self) -> Result<(), EntryError> {
        let field = |field, reason| Err(EntryError::Field { field, reason });
        if !is_text(&self.id, ID_BYTES_MAX) {
            return field("id", "is not 1 to 256 bytes without control characters");
        }
        if !is_text(&self.principal, PRINCIPAL_BYTES_MAX) {
            return field("principal", "is not 1 to 2,048 bytes without control characters");
        }
        if !is_name(&self.action) {
            return field("action", "is not 1 to 64 of `a-z`, `0-9`, `_`, `-` and `.`");
        }
        if self.subjects.len() > SUBJECTS_MAX {
            return field("subjects", "has more than 16 members");
        }
        if !self.subjects.iter().all(|(kind, id)| is_name(kind) && is_text(id, ID_BYTES_MAX)) {
            return field(
                "subjects",
                "has a kind that is no name, or an id that is not 1 to 256 printable bytes",
            );
        }
        if self.data.len() > DATA_MAX {
            return field("data", "has more than 64 members");
        }
        if !self.data.keys().all(|key| is_name(key)) {
            return field("data", "has a key that is not 1 to 64 of `a-z`, `0-9`, `_`, `-` and `.`");
        }
        let plain = |value: &Value| value.is_string() || value.is_i64() || value.is_u64();
        if !self.data.values().all(plain) {
            return field("data", "has a value that is neither an integer nor a string");
        }
        Ok(())
    }
}

// What is read, before it is known to be canonical. Duplicate keys are refused by the comparison in `decode`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Wire {
    action: String,
    at: String,
    data: BTreeMap<String, Value>,
    dev: bool,
    id: String,
    outcome: Outcome,
    principal: String,
    simulated: bool,
    subjects: BTreeMap<String, String>,
    v: u64,
}

fn push(out: &mut Vec<u8>, text: &str) {
    out.extend_from_slice(text.as_bytes());
}

fn push_shown(out: &mut Vec<u8>, shown: fmt::Arguments<'_>) {
    // Writing into memory does not fail.
    let _ = out.write_fmt(shown);
}

fn push_key(out: &mut Vec<u8>, position: usize, key: &str) {
    if position > 0 {
        out.push(b',');
    }
    push_string(out, key);
    out.push(b':');
}

/// JSON's shortest string form, as in RFC 8785.
fn push_string(out: &mut Vec<u8>, text: &str) {
    // Writing a string into memory does not fail.
    let _ = serde_json::to_writer(out, text);
}

fn is_text(text: &str, bytes_max: usize) -> bool {
    !text.is_empty() && text.len() <= bytes_max && !text.chars().any(char::is_control)
}

fn is_name(name: &str) -> bool {
    let part = |part: &str| {
        !part.is_empty()
            && part
                .bytes()
                .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"_-".contains(&byte))
    };
    name.len() <= NAME_BYTES_MAX && name.split('.').all(part)
}
