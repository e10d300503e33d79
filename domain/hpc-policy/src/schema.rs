//! What requests can hold: attributes with their types, actions with the types of their resources; and which obligations
//! are honoured.
//!
//! A schema is about documents, not about requests: it refuses policies that ask for what no request holds. A request that
//! breaks it is decided as ever, by the truth table, which fails closed.

use std::collections::BTreeMap;
use std::fmt;

use crate::value::Value;

/// The type of one value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize), serde(rename_all = "lowercase"))]
#[non_exhaustive]
pub enum ScalarType {
    /// Text.
    String,
    /// A whole number of 64 bits.
    Integer,
    /// `true` or `false`.
    Boolean,
    /// An instant.
    Timestamp,
    /// An IPv4 or IPv6 address.
    Ip,
}

impl ScalarType {
    pub(crate) const ALL: [Self; 5] = [Self::String, Self::Integer, Self::Boolean, Self::Timestamp, Self::Ip];

    /// The word in a schema: `integer`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::String => "string",
            Self::Integer => "integer",
            Self::Boolean => "boolean",
            Self::Timestamp => "timestamp",
            Self::Ip => "ip",
        }
    }

    /// The type of a value that is neither a list nor opaque.
    pub(crate) fn of(value: &Value) -> Option<Self> {
        match value {
            Value::String(_) => Some(Self::String),
            Value::Integer(_) => Some(Self::Integer),
            Value::Bool(_) => Some(Self::Boolean),
            Value::Timestamp(_) => Some(Self::Timestamp),
            Value::Ip(_) => Some(Self::Ip),
            Value::List(_) | Value::Opaque => None,
        }
    }
}

/// What a schema says of one attribute.
#[derive(Debug, Clone, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[non_exhaustive]
pub struct AttributeType {
    /// The type of the value, or of the items of a list.
    pub scalar: ScalarType,
    /// Whether it is a list.
    pub list: bool,
    /// The only values there are, of a list its only items; empty if any is possible.
    pub values: Vec<Value>,
    /// The smallest integer there is.
    pub min: i64,
    /// The largest integer there is.
    pub max: i64,
    /// The actions whose requests can hold it; empty if those of any action can.
    pub actions: Vec<String>,
}

impl AttributeType {
    pub(crate) fn any(scalar: ScalarType, list: bool) -> Self {
        Self { scalar, list, values: Vec::new(), min: i64::MIN, max: i64::MAX, actions: Vec::new() }
    }

    /// Whether a scalar, or an item of a list, can be this.
    pub(crate) fn can_be(&self, value: &Value) -> bool {
        let in_bounds = match value {
            Value::Integer(number) => (self.min..=self.max).contains(number),
            _ => true,
        };
        ScalarType::of(value) == Some(self.scalar)
            && in_bounds
            && (self.values.is_empty() || self.values.iter().any(|known| same(known, value)))
    }

    /// Whether the attribute can have this value.
    pub(crate) fn can_hold(&self, value: &Value) -> bool {
        match value {
            Value::List(items) => self.list && items.iter().all(|item| self.can_be(item)),
            scalar => !self.list && self.can_be(scalar),
        }
    }
}

/// Whether conditions take the two for one: an IPv4 address is itself in IPv6 form too.
fn same(left: &Value, right: &Value) -> bool {
    match (left, right) {
        (Value::Ip(left), Value::Ip(right)) => left.to_canonical() == right.to_canonical(),
        _ => left == right,
    }
}

impl fmt::Display for AttributeType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.list, self.scalar) {
            (false, ScalarType::String) => f.write_str("a string"),
            (false, ScalarType::Integer) => f.write_str("an integer"),
            (false, ScalarType::Boolean) => f.write_str("a boolean"),
            (false, ScalarType::Timestamp) => f.write_str("a timestamp"),
            (false, ScalarType::Ip) => f.write_str("an address"),
            (true, scalar) => write!(f, "a list of type `{}`", scalar.as_str()),
        }?;
        if !self.values.is_empty() {
            let names: Vec<String> = self.values.iter().take(8).map(ToString::to_string).collect();
            let more = if self.values.len() > names.len() { ", .." } else { "" };
            write!(f, " out of {}{more}", names.join(", "))?;
        }
        match (self.min, self.max) {
            (i64::MIN, i64::MAX) => Ok(()),
            (min, i64::MAX) => write!(f, " of at least {min}"),
            (i64::MIN, max) => write!(f, " of at most {max}"),
            (min, max) => write!(f, " from {min} to {max}"),
        }
    }
}

/// Every `kind: PolicySchema` of a [`PolicySet`](crate::PolicySet), as one.
///
/// ```
/// use hpc_policy::PolicySet;
///
/// let schema = "
/// apiVersion: policy.horizon.dev/v1
/// kind: PolicySchema
/// metadata: {name: capacity}
/// spec:
///   attributes: [{name: context.hours, type: integer, min: 1, max: 720}]
///   actions: [{name: capacity.request, resources: [gpu]}]
/// ";
/// let policy = "
/// apiVersion: policy.horizon.dev/v1
/// kind: Policy
/// metadata: {name: short}
/// spec:
///   principals: [{type: any}]
///   resources: [{type: gpu, pattern: '**'}]
///   actions: [capacity.request]
///   effect: allow
///   conditions: [{attribute: context.huors, op: lte, value: 8}]
/// ";
/// let errors = PolicySet::parse_documents([("schema.yaml", schema), ("short.yaml", policy)]).unwrap_err();
/// assert_eq!(
///     errors[0].to_string(),
///     "short.yaml:10:28: the attribute `context.huors` is not in the schema; did you mean `context.hours`?"
/// );
/// ```
#[derive(Debug, Clone, Default)]
pub struct Schema {
    pub(crate) attributes: BTreeMap<String, AttributeType>,
    /// Actions, and the types of their resources; none stands for any type.
    pub(crate) actions: BTreeMap<String, Vec<String>>,
    pub(crate) obligations: BTreeMap<String, AttributeType>,
}

impl Schema {
    /// What is known of an attribute, such as `context.hours`. `None` if the schema does not declare it; built-in
    /// attributes are known as soon as there is a schema.
    #[must_use]
    pub fn attribute(&self, path: &str) -> Option<&AttributeType> {
        self.attributes.get(path)
    }

    /// All attributes, ordered, the built-in ones among them. Empty if no document declares attributes: then policies may
    /// use any.
    pub fn attributes(&self) -> impl Iterator<Item = (&str, &AttributeType)> {
        self.attributes.iter().map(|(name, kind)| (name.as_str(), kind))
    }

    /// All actions, ordered, with the types of their resources, none standing for any type. Empty if no document declares
    /// actions: then policies may use any.
    pub fn actions(&self) -> impl Iterator<Item = (&str, &[String])> {
        self.actions.iter().map(|(name, types)| (name.as_str(), types.as_slice()))
    }

    /// All obligations that whoever enforces decisions honours, ordered; one that is a list may be given as one text. Empty if no document declares obligations: then
    /// policies may give any.
    pub fn obligations(&self) -> impl Iterator<Item = (&str, &AttributeType)> {
        self.obligations.iter().map(|(name, kind)| (name.as_str(), kind))
    }

    /// What an obligation can be; `None` if it is not declared.
    pub(crate) fn obligation(&self, name: &str) -> Option<&AttributeType> {
        self.obligations.get(name)
    }

    /// Whether an attribute of this path may be used: declared, built in, or nothing is declared.
    pub(crate) fn knows(&self, path: &str) -> bool {
        self.attributes.is_empty() || self.attributes.contains_key(path)
    }

    /// Whether an action may be used.
    pub(crate) fn knows_action(&self, action: &str) -> bool {
        self.actions.is_empty() || self.actions.contains_key(action)
    }

    /// Whether `action` is ever asked about a resource of this type.
    pub(crate) fn pairs(&self, action: &str, resource_type: &str) -> bool {
        match self.actions.get(action) {
            Some(types) => types.is_empty() || types.iter().any(|known| known == resource_type),
            None => self.actions.is_empty(),
        }
    }

    /// Whether there is anything to check policies against.
    pub(crate) fn is_empty(&self) -> bool {
        self.attributes.is_empty() && self.actions.is_empty() && self.obligations.is_empty()
    }
}
