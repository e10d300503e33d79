//! Conditions and their three-valued truth.

use std::net::IpAddr;

use crate::cidr::Cidr;
use crate::context::EvaluationContext;
use crate::glob::Glob;
use crate::path::AttributePath;
use crate::time_window::TimeWindow;
use crate::value::{Value, View};
use crate::yaml::Pos;

/// Kleene's three values. `Unknown` comes from a missing attribute or a comparison that has no meaning.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Truth {
    True,
    False,
    Unknown,
}

impl Truth {
    pub(crate) fn negated(self) -> Self {
        match self {
            Self::True => Self::False,
            Self::False => Self::True,
            Self::Unknown => Self::Unknown,
        }
    }
}

#[derive(Debug)]
pub(crate) enum Condition {
    Leaf(Leaf),
    All(Vec<Condition>),
    Any(Vec<Condition>),
    Not(Box<Condition>),
}

/// One comparison.
#[derive(Debug)]
pub(crate) struct Leaf {
    pub(crate) path: AttributePath,
    pub(crate) test: Test,
    pub(crate) at: LeafAt,
    /// The word in the policy, such as `lte`.
    pub(crate) operator: &'static str,
    /// The right-hand side as a reader sees it.
    pub(crate) want: Box<str>,
    /// The whole comparison as a reader sees it: `context.hours <= 8`.
    pub(crate) text: Box<str>,
}

/// Where the parts of a comparison stand in its document.
#[derive(Debug, Clone, Copy)]
pub(crate) struct LeafAt {
    pub(crate) line: u32,
    pub(crate) attribute: Pos,
    pub(crate) operator: Pos,
    /// `value` or `value_from`; the whole condition where neither is given.
    pub(crate) operand: Pos,
}

#[derive(Debug)]
pub(crate) enum Test {
    Equal { operand: Operand, negated: bool },
    Order { order: Order, operand: Operand },
    In { operand: Operand, negated: bool },
    Contains(Operand),
    StartsWith(Operand),
    EndsWith(Operand),
    Glob(Glob),
    Exists(bool),
    Cidr(Vec<Cidr>),
    TimeWindow(TimeWindow),
    Semver(semver::VersionReq),
    Range { min: i64, max: i64 },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Order {
    Greater,
    GreaterOrEqual,
    Less,
    LessOrEqual,
}

/// The right-hand side: a literal, or another attribute's value taken literally.
#[derive(Debug)]
pub(crate) enum Operand {
    Literal(Value),
    Attribute(AttributePath),
}

/// Why a comparison has no truth value.
#[derive(Debug, Clone, Copy)]
pub(crate) enum NoTruth<'a> {
    Missing(&'a AttributePath),
    /// The left side's type and what the operator needs.
    Type {
        have: &'static str,
        need: &'static str,
    },
    /// An empty string from another attribute would match everything.
    EmptyOperand(&'a AttributePath),
    /// Text that does not parse as the operator needs.
    Malformed {
        need: &'static str,
    },
}

impl Condition {
    pub(crate) fn truth(&self, context: &EvaluationContext) -> Truth {
        match self {
            Self::Leaf(leaf) => leaf.truth(context),
            Self::All(conditions) => all(conditions, context),
            Self::Any(conditions) => {
                let mut truth = Truth::False;
                for condition in conditions {
                    match condition.truth(context) {
                        Truth::True => return Truth::True,
                        Truth::Unknown => truth = Truth::Unknown,
                        Truth::False => {}
                    }
                }
                truth
            }
            Self::Not(condition) => condition.truth(context).negated(),
        }
    }
}

/// True if every condition is; an empty list is true.
pub(crate) fn all(conditions: &[Condition], context: &EvaluationContext) -> Truth {
    let mut truth = Truth::True;
    for condition in conditions {
        match condition.truth(context) {
            Truth::False => return Truth::False,
            Truth::Unknown => truth = Truth::Unknown,
            Truth::True => {}
        }
    }
    truth
}

impl Leaf {
    pub(crate) fn truth(&self, context: &EvaluationContext) -> Truth {
        match self.check(context) {
            Ok(true) => Truth::True,
            Ok(false) => Truth::False,
            Err(_) => Truth::Unknown,
        }
    }

    pub(crate) fn check<'a>(&'a self, context: &'a EvaluationContext) -> Result<bool, NoTruth<'a>> {
        let found = context.lookup(&self.path);
        if let Test::Exists(expected) = self.test {
            return Ok(found.is_some() == expected);
        }
        let (have, _) = found.ok_or(NoTruth::Missing(&self.path))?;
        self.compare(have, context)
    }

    /// The comparison for an attribute that is there and is `have`, whatever `context` holds at its path.
    pub(crate) fn compare<'a>(
        &'a self,
        have: View<'a>,
        context: &'a EvaluationContext,
    ) -> Result<bool, NoTruth<'a>> {
        let have = typed(have)?;
        match &self.test {
            Test::Equal { operand, negated } => Ok(equal(have, operand.resolve(context)?)? != *negated),
            Test::Order { order, operand } => compare(have, operand.resolve(context)?, *order),
            Test::In { operand, negated } => Ok(member(have, operand.resolve(context)?)? != *negated),
            Test::Contains(operand) => match (have, operand.resolve(context)?) {
                (View::Str(text), View::Str(part)) => operand.not_empty(part).map(|part| text.contains(part)),
                (View::Str(_), other) => {
                    Err(NoTruth::Type { have: other.type_name(), need: "a string to look for" })
                }
                (list, item) => member(item, list),
            },
            Test::StartsWith(operand) => {
                let (text, part) = strings(have, operand, context)?;
                Ok(text.starts_with(part))
            }
            Test::EndsWith(operand) => {
                let (text, part) = strings(have, operand, context)?;
                Ok(text.ends_with(part))
            }
            Test::Glob(glob) => match have {
                View::Str(text) => Ok(glob.matches(text)),
                other => Err(NoTruth::Type { have: other.type_name(), need: "a string" }),
            },
            Test::Exists(expected) => Ok(*expected),
            Test::Cidr(networks) => {
                let address = match have {
                    View::Ip(address) => address,
                    View::Str(text) => text
                        .parse::<IpAddr>()
                        .map_err(|_| NoTruth::Malformed { need: "an IPv4 or IPv6 address" })?,
                    other => return Err(NoTruth::Type { have: other.type_name(), need: "an address" }),
                };
                Ok(networks.iter().any(|network| network.contains(address)))
            }
            Test::TimeWindow(window) => match have {
                View::Time(at) => Ok(window.contains(at)),
                other => Err(NoTruth::Type { have: other.type_name(), need: "a timestamp" }),
            },
            Test::Semver(requirement) => match have {
                View::Str(text) => semver::Version::parse(text)
                    .map(|version| requirement.matches(&version))
                    .map_err(|_| NoTruth::Malformed { need: "a version such as `1.4.2`" }),
                other => Err(NoTruth::Type { have: other.type_name(), need: "a version in a string" }),
            },
            Test::Range { min, max } => match have {
                View::Int(number) => Ok((*min..=*max).contains(&number)),
                other => Err(NoTruth::Type { have: other.type_name(), need: "an integer" }),
            },
        }
    }

    /// The other attribute that this compares with, if any.
    pub(crate) fn operand_path(&self) -> Option<&AttributePath> {
        match self.test.operand() {
            Some(Operand::Attribute(path)) => Some(path),
            Some(Operand::Literal(_)) | None => None,
        }
    }
}

impl Test {
    /// The right-hand side that may be another attribute; `None` for tests that take a literal only.
    pub(crate) fn operand(&self) -> Option<&Operand> {
        match self {
            Self::Equal { operand, .. }
            | Self::Order { operand, .. }
            | Self::In { operand, .. }
            | Self::Contains(operand)
            | Self::StartsWith(operand)
            | Self::EndsWith(operand) => Some(operand),
            _ => None,
        }
    }
}

impl Operand {
    pub(crate) fn resolve<'a>(&'a self, context: &'a EvaluationContext) -> Result<View<'a>, NoTruth<'a>> {
        match self {
            Self::Literal(value) => Ok(value.view()),
            Self::Attribute(path) => {
                let (view, _) = context.lookup(path).ok_or(NoTruth::Missing(path))?;
                typed(view)
            }
        }
    }

    fn not_empty<'a>(&'a self, part: &'a str) -> Result<&'a str, NoTruth<'a>> {
        match self {
            Self::Attribute(path) if part.is_empty() => Err(NoTruth::EmptyOperand(path)),
            _ => Ok(part),
        }
    }
}

/// Nothing compares with a value without a type, not even an empty list, which otherwise holds nothing.
fn typed(view: View<'_>) -> Result<View<'_>, NoTruth<'static>> {
    match view {
        View::Opaque => Err(NoTruth::Type { have: view.type_name(), need: "a value with a type" }),
        view => Ok(view),
    }
}

fn strings<'a>(
    have: View<'a>,
    operand: &'a Operand,
    context: &'a EvaluationContext,
) -> Result<(&'a str, &'a str), NoTruth<'a>> {
    match (have, operand.resolve(context)?) {
        (View::Str(text), View::Str(part)) => Ok((text, operand.not_empty(part)?)),
        (View::Str(_), other) | (other, _) => {
            Err(NoTruth::Type { have: other.type_name(), need: "a string" })
        }
    }
}

fn equal(left: View<'_>, right: View<'_>) -> Result<bool, NoTruth<'static>> {
    match (left, right) {
        (View::Str(left), View::Str(right)) => Ok(left == right),
        (View::Int(left), View::Int(right)) => Ok(left == right),
        (View::Bool(left), View::Bool(right)) => Ok(left == right),
        (View::Time(left), View::Time(right)) => Ok(left == right),
        (View::Ip(left), View::Ip(right)) => Ok(left == right),
        (View::List(_) | View::Strs(_), _) => Err(NoTruth::Type { have: "a list", need: "a single value" }),
        (left, right) => Err(NoTruth::Type { have: left.type_name(), need: right.type_name() }),
    }
}

fn compare(left: View<'_>, right: View<'_>, order: Order) -> Result<bool, NoTruth<'static>> {
    let ordering = match (left, right) {
        (View::Int(left), View::Int(right)) => left.cmp(&right),
        (View::Time(left), View::Time(right)) => left.cmp(&right),
        (left @ (View::Int(_) | View::Time(_)), right) => {
            return Err(NoTruth::Type { have: left.type_name(), need: right.type_name() });
        }
        (left, _) => return Err(NoTruth::Type { have: left.type_name(), need: "an integer or a timestamp" }),
    };
    Ok(match order {
        Order::Greater => ordering.is_gt(),
        Order::GreaterOrEqual => ordering.is_ge(),
        Order::Less => ordering.is_lt(),
        Order::LessOrEqual => ordering.is_le(),
    })
}

/// Whether `item` is in `list`. Lists hold one type, so the first item's type is that of all.
fn member(item: View<'_>, list: View<'_>) -> Result<bool, NoTruth<'static>> {
    if matches!(item, View::List(_) | View::Strs(_)) {
        return Err(NoTruth::Type { have: "a list", need: "a single value" });
    }
    match (item, list) {
        (View::Str(text), View::Strs(items)) => Ok(items.iter().any(|other| other == text)),
        (other, View::Strs(_)) => Err(NoTruth::Type { have: other.type_name(), need: "a string" }),
        (item, View::List(items)) => {
            for other in items {
                if equal(item, other.view())? {
                    return Ok(true);
                }
            }
            Ok(false)
        }
        (_, other) => Err(NoTruth::Type { have: other.type_name(), need: "a list" }),
    }
}
