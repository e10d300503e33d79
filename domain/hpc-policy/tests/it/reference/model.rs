//! Policies and requests as plain data, without a word of the engine's.

use std::collections::BTreeMap;

/// Everything that one set of documents says.
#[derive(Debug, Clone)]
pub(crate) struct World {
    pub(crate) rules: Vec<Rule>,
    /// Groups and their members; a group has only later groups as members.
    pub(crate) groups: Vec<(String, Vec<Who>)>,
    /// Roles and the roles they include; a role includes only later roles.
    pub(crate) roles: Vec<(String, Vec<String>)>,
}

#[derive(Debug, Clone)]
pub(crate) struct Rule {
    pub(crate) name: String,
    pub(crate) allow: bool,
    pub(crate) principals: Vec<Who>,
    /// Type (`*` is every type) and id.
    pub(crate) resources: Vec<(String, Name)>,
    pub(crate) actions: Vec<Name>,
    pub(crate) conditions: Vec<Condition>,
    pub(crate) obligations: BTreeMap<String, Datum>,
}

#[derive(Debug, Clone)]
pub(crate) enum Name {
    Exact(String),
    Pattern(String),
}

#[derive(Debug, Clone)]
pub(crate) enum Who {
    Any,
    /// `user`, `service` or `agent`, and the id.
    Id(&'static str, Name),
    Role(Name),
    Team(Name),
    Spiffe(Name),
    Group(String),
}

#[derive(Debug, Clone)]
pub(crate) enum Condition {
    /// An attribute and what is asked of it.
    Leaf(String, Test),
    All(Vec<Condition>),
    Any(Vec<Condition>),
    Not(Box<Condition>),
}

#[derive(Debug, Clone)]
pub(crate) enum Test {
    /// `eq` to `ends_with`: an operator and its right-hand side.
    With(&'static str, Right),
    Glob(String),
    Exists(bool),
    Cidr(Vec<String>),
    TimeWindow(Window),
    Semver(Vec<Comparator>),
    Range(i64, i64),
}

impl Test {
    pub(crate) fn operator(&self) -> &'static str {
        match self {
            Self::With(operator, _) => operator,
            Self::Glob(_) => "glob",
            Self::Exists(_) => "exists",
            Self::Cidr(_) => "cidr",
            Self::TimeWindow(_) => "time_window",
            Self::Semver(_) => "semver",
            Self::Range(..) => "range",
        }
    }
}

#[derive(Debug, Clone)]
pub(crate) enum Right {
    Value(Datum),
    Attribute(String),
}

/// Minutes since midnight; no days are all days.
#[derive(Debug, Clone)]
pub(crate) struct Window {
    pub(crate) days: Vec<&'static str>,
    pub(crate) from: i64,
    pub(crate) to: i64,
    pub(crate) offset_minutes: i64,
}

/// `=`, `>`, `>=`, `<`, `<=`, `^` or `~` and a full version: the part of Cargo's language that is compared.
#[derive(Debug, Clone)]
pub(crate) struct Comparator {
    pub(crate) sign: &'static str,
    pub(crate) version: String,
}

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Datum {
    Text(String),
    Number(i64),
    Flag(bool),
    /// Seconds since 1970.
    Time(i64),
    /// As text.
    Address(String),
    List(Vec<Datum>),
    /// Roles and teams: a list of texts even when it is empty.
    Texts(Vec<String>),
    Opaque,
}

#[derive(Debug, Clone)]
pub(crate) struct Request {
    /// `user`, `service` or `agent`.
    pub(crate) kind: &'static str,
    pub(crate) id: String,
    pub(crate) roles: Vec<String>,
    pub(crate) teams: Vec<String>,
    pub(crate) spiffe_id: Option<String>,
    pub(crate) resource_type: String,
    pub(crate) resource_id: String,
    pub(crate) action: String,
    /// By full path, such as `context.hours`.
    pub(crate) attributes: BTreeMap<String, Datum>,
    pub(crate) now: Option<i64>,
}
