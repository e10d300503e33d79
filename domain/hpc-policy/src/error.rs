//! What can go wrong, and where.

use std::fmt;
use std::sync::Arc;

/// A place in a document: 1-based line and column.
#[derive(Debug, Clone, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
pub struct Location {
    /// The name the document was given to [`PolicySet::parse_documents`](crate::PolicySet::parse_documents), if any.
    pub document: Option<Arc<str>>,
    /// Line, starting at 1.
    pub line: u32,
    /// Column in characters, starting at 1.
    pub column: u32,
}

impl Location {
    pub(crate) fn new(line: u32, column: u32) -> Self {
        Self { document: None, line, column }
    }
}

impl fmt::Display for Location {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.document {
            Some(document) => write!(f, "{document}:{}:{}", self.line, self.column),
            None => write!(f, "line {}, column {}", self.line, self.column),
        }
    }
}

/// Why a document or a request was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PolicyError {
    /// The text is not YAML.
    #[error("{at}: not valid YAML: {problem}")]
    Syntax {
        /// Where.
        at: Location,
        /// What the parser said.
        problem: String,
    },
    /// A YAML feature that policies may not use: anchors, aliases, merge keys, tags, a second document.
    #[error("{at}: {feature} not allowed in a policy; {advice}")]
    Refused {
        /// Where.
        at: Location,
        /// The feature, with its verb: `anchors are`.
        feature: &'static str,
        /// What to write in its place.
        advice: &'static str,
    },
    /// A limit of [`limits`](crate::limits) was passed.
    #[error("{at}: {what} exceeds the limit of {max}; make it smaller or split the document")]
    Limit {
        /// Where; line 1, column 1 for the document as a whole.
        at: Location,
        /// What was too large, with its unit.
        what: &'static str,
        /// The limit.
        max: usize,
    },
    /// A key stands twice in one mapping.
    #[error("{at}: key `{key}` is given twice, first on line {first_line}; keep one")]
    DuplicateKey {
        /// Where the second one is.
        at: Location,
        /// The key.
        key: String,
        /// Line of the first one.
        first_line: u32,
    },
    /// A field that does not exist here.
    #[error("{at}: unknown field `{field}`; expected {expected}")]
    UnknownField {
        /// Where the field's name is.
        at: Location,
        /// The name.
        field: String,
        /// The fields that exist here, and the likely intent if there is one.
        expected: String,
    },
    /// A field that must be given.
    #[error("{at}: missing field `{field}`; {advice}")]
    MissingField {
        /// Where the mapping that lacks it begins.
        at: Location,
        /// The name.
        field: &'static str,
        /// What to write.
        advice: &'static str,
    },
    /// A value of the wrong type or form.
    #[error("{at}: `{field}` is {found}; expected {expected}")]
    Invalid {
        /// Where the value is.
        at: Location,
        /// The field.
        field: String,
        /// What was found, in words.
        found: String,
        /// What is expected, in words.
        expected: String,
    },
    /// Two documents, policies, rules, cases or entities of one type share a name.
    #[error("{at}: {what} `{name}` is already used; give each its own name")]
    DuplicateName {
        /// Where the second one is.
        at: Location,
        /// `document`, `policy`, `rule`, `case`, `subject`, `resource` or `action`.
        what: &'static str,
        /// The name.
        name: String,
    },
    /// Two rules give one obligation values of different types, so they cannot be combined.
    #[error("{at}: obligation `{name}` is {found} here and {other} in {elsewhere}; use one type everywhere")]
    ObligationConflict {
        /// Where the second one is.
        at: Location,
        /// The obligation.
        name: String,
        /// Its type here.
        found: &'static str,
        /// Its type in the other rule.
        other: &'static str,
        /// The other rule, `policy/rule`.
        elsewhere: String,
    },
    /// A name that the schema of the set does not declare.
    #[error("{at}: the {what} `{name}` is not in the schema; {advice}")]
    Undeclared {
        /// Where the name is.
        at: Location,
        /// `attribute`, `action`, `resource type` or `obligation`.
        what: &'static str,
        /// The name.
        name: String,
        /// The likely intent, or what to do.
        advice: String,
    },
    /// A comparison or a scope that no request which keeps to the schema can meet.
    #[error("{at}: {condition} can never hold: {problem}; correct it, or the schema")]
    Impossible {
        /// Where the part at fault is.
        at: Location,
        /// The comparison or the scope, as a reader sees it.
        condition: String,
        /// Why.
        problem: String,
    },
    /// No document was given. A set that refuses everything must be asked for by
    /// [`PolicySet::deny_all`](crate::PolicySet::deny_all).
    #[error("no policy documents were given; name at least one")]
    NoDocuments,
    /// The request itself cannot be judged.
    #[error("the request cannot be judged: {field} {problem}")]
    InvalidRequest {
        /// Which part, such as `resource.id`.
        field: String,
        /// What is wrong with it, and what to send.
        problem: String,
    },
}

impl PolicyError {
    /// Where in a document, if the error is about one.
    #[must_use]
    pub fn location(&self) -> Option<&Location> {
        match self {
            Self::Syntax { at, .. }
            | Self::Refused { at, .. }
            | Self::Limit { at, .. }
            | Self::DuplicateKey { at, .. }
            | Self::UnknownField { at, .. }
            | Self::MissingField { at, .. }
            | Self::Invalid { at, .. }
            | Self::DuplicateName { at, .. }
            | Self::ObligationConflict { at, .. }
            | Self::Undeclared { at, .. }
            | Self::Impossible { at, .. } => Some(at),
            Self::NoDocuments | Self::InvalidRequest { .. } => None,
        }
    }

    /// The same error, naming the document it is in.
    pub(crate) fn in_document(mut self, name: &Arc<str>) -> Self {
        match &mut self {
            Self::Syntax { at, .. }
            | Self::Refused { at, .. }
            | Self::Limit { at, .. }
            | Self::DuplicateKey { at, .. }
            | Self::UnknownField { at, .. }
            | Self::MissingField { at, .. }
            | Self::Invalid { at, .. }
            | Self::DuplicateName { at, .. }
            | Self::ObligationConflict { at, .. }
            | Self::Undeclared { at, .. }
            | Self::Impossible { at, .. } => at.document = Some(Arc::clone(name)),
            Self::NoDocuments | Self::InvalidRequest { .. } => {}
        }
        self
    }
}
