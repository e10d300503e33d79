//! What requests can hold: attributes with their types, actions with the types of their resources.
//!
//! A schema is about documents, not about requests: it refuses policies that ask for what no request holds. A request that
//! breaks it is decided as ever, by the truth table, which fails closed.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::fmt;
use std::sync::Arc;

use crate::decode::{Field, Fields, invalid, shown};
use crate::document;
use crate::error::PolicyError;
use crate::identifier::name_problem;
use crate::limits::{SCHEMA_ACTIONS_MAX, SCHEMA_ATTRIBUTES_MAX, SCHEMA_VALUES_MAX, SCOPE_ITEMS_MAX};
use crate::path::{AttributePath, Source};
use crate::value::Value;
use crate::yaml::Pos;

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
    const ALL: [Self; 5] = [Self::String, Self::Integer, Self::Boolean, Self::Timestamp, Self::Ip];

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
    fn any(scalar: ScalarType, list: bool) -> Self {
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
            && (self.values.is_empty() || self.values.contains(value))
    }

    /// Whether the attribute can have this value.
    pub(crate) fn can_hold(&self, value: &Value) -> bool {
        match value {
            Value::List(items) => self.list && items.iter().all(|item| self.can_be(item)),
            scalar => !self.list && self.can_be(scalar),
        }
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
    attributes: BTreeMap<String, AttributeType>,
    /// Actions, and the types of their resources; none stands for any type.
    actions: BTreeMap<String, Vec<String>>,
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
        self.attributes.is_empty() && self.actions.is_empty()
    }
}

/// One document.
pub(crate) struct SchemaDocument {
    attributes: Vec<(Pos, String, AttributeType)>,
    actions: Vec<(Pos, String, Vec<String>)>,
}

/// The schemas of several documents on their way into one.
#[derive(Default)]
pub(crate) struct Declared {
    schema: Schema,
    /// Actions that attributes name, where they do.
    named: Vec<(Arc<str>, Pos, String)>,
}

impl Declared {
    /// Adds a document.
    ///
    /// # Errors
    /// [`PolicyError::DuplicateName`] and [`PolicyError::Limit`], at what is one too many.
    pub(crate) fn add(&mut self, document: &Arc<str>, read: SchemaDocument) -> Result<(), PolicyError> {
        for (pos, name, kind) in read.attributes {
            if self.schema.attributes.len() >= SCHEMA_ATTRIBUTES_MAX {
                return Err(limit(pos, ATTRIBUTES, SCHEMA_ATTRIBUTES_MAX));
            }
            self.named.extend(kind.actions.iter().map(|action| (Arc::clone(document), pos, action.clone())));
            insert(&mut self.schema.attributes, pos, "attribute", name, kind)?;
        }
        for (pos, name, types) in read.actions {
            if self.schema.actions.len() >= SCHEMA_ACTIONS_MAX {
                return Err(limit(pos, ACTIONS, SCHEMA_ACTIONS_MAX));
            }
            insert(&mut self.schema.actions, pos, "action", name, types)?;
        }
        Ok(())
    }

    /// The whole, with the built-in attributes.
    ///
    /// # Errors
    /// An attribute of an action that no document declares.
    pub(crate) fn into_schema(self) -> Result<Schema, PolicyError> {
        let mut schema = self.schema;
        for (document, pos, action) in self.named {
            if !schema.knows_action(&action) {
                let found = format!("the action `{}`, which the schema does not declare", shown(&action));
                let expected = "an action below `spec.actions` of a schema of the set".to_owned();
                return Err(invalid(pos, "actions", found, expected).in_document(&document));
            }
        }
        if !schema.attributes.is_empty() {
            let built_in = built_in(&schema);
            schema.attributes.extend(built_in);
        }
        Ok(schema)
    }
}

const ATTRIBUTES: &str = "the number of attributes";
const ACTIONS: &str = "the number of actions";

fn limit(pos: Pos, what: &'static str, max: usize) -> PolicyError {
    PolicyError::Limit { at: pos.at(), what, max }
}

fn insert<T>(
    known: &mut BTreeMap<String, T>,
    pos: Pos,
    what: &'static str,
    name: String,
    item: T,
) -> Result<(), PolicyError> {
    match known.entry(name) {
        Entry::Occupied(entry) => {
            Err(PolicyError::DuplicateName { at: pos.at(), what, name: entry.key().clone() })
        }
        Entry::Vacant(free) => {
            free.insert(item);
            Ok(())
        }
    }
}

/// The attributes that every request has or may have.
fn built_in(schema: &Schema) -> Vec<(String, AttributeType)> {
    let texts = |words: Vec<&str>| AttributeType {
        values: words.into_iter().map(Value::from).collect(),
        ..AttributeType::any(ScalarType::String, false)
    };
    let string = || AttributeType::any(ScalarType::String, false);
    let names = || AttributeType::any(ScalarType::String, true);
    let typed = schema.actions.values().all(|types| !types.is_empty());
    let mut types: Vec<&str> =
        schema.actions.values().flatten().filter(|_| typed).map(String::as_str).collect();
    types.sort_unstable();
    types.dedup();
    vec![
        ("principal.id".to_owned(), string()),
        ("principal.type".to_owned(), texts(vec!["user", "service", "agent"])),
        ("principal.roles".to_owned(), names()),
        ("principal.teams".to_owned(), names()),
        ("principal.spiffe_id".to_owned(), string()),
        ("resource.id".to_owned(), string()),
        ("resource.type".to_owned(), texts(types)),
        ("action".to_owned(), texts(schema.actions.keys().map(String::as_str).collect())),
        ("context.now".to_owned(), AttributeType::any(ScalarType::Timestamp, false)),
    ]
}

/// Reads the fields below `kind: PolicySchema`.
pub(crate) fn read(root: &mut Fields) -> Result<SchemaDocument, PolicyError> {
    document::read_name(root)?;
    let spec = root.require("spec", "add `spec:` with `attributes:` or `actions:`")?;
    let mut spec = Fields::of(spec.node, "spec", &["attributes", "actions"])?;
    if !spec.has("attributes") && !spec.has("actions") {
        return Err(PolicyError::MissingField {
            at: spec.pos.at(),
            field: "attributes",
            advice: "declare at least one of `attributes` and `actions`",
        });
    }
    let mut attributes = Vec::new();
    if let Some(list) = spec.take("attributes") {
        for item in list.list(SCHEMA_ATTRIBUTES_MAX, ATTRIBUTES)? {
            attributes.push(attribute(item)?);
        }
    }
    let mut actions = Vec::new();
    if let Some(list) = spec.take("actions") {
        for item in list.list(SCHEMA_ACTIONS_MAX, ACTIONS)? {
            let mut fields = Fields::of(item.node, "an action", &["name", "resources", "description"])?;
            let name = fields.require("name", "name the action")?;
            let types = names(fields.take("resources"), "the number of resource types")?;
            fields.text("description")?;
            actions.push((name.pos(), literal(&name)?, types));
        }
    }
    Ok(SchemaDocument { attributes, actions })
}

fn attribute(item: Field) -> Result<(Pos, String, AttributeType), PolicyError> {
    const KNOWN: [&str; 8] = ["name", "type", "items", "values", "min", "max", "actions", "description"];
    let mut fields = Fields::of(item.node, "an attribute", &KNOWN)?;
    let name = fields.require("name", "name the attribute, such as `context.hours`")?;
    let text = name.text()?;
    match AttributePath::parse(&text) {
        Err(expected) => return Err(name.invalid(format!("`{}`", shown(&text)), expected)),
        Ok(path) => match path.source() {
            Source::Principal(_) | Source::Resource(_) | Source::ActionAttribute(_) | Source::Context(_) => {}
            _ => {
                let found = format!("`{}`, which is built in", shown(&text));
                return Err(name.invalid(found, "an attribute of your own; the built-in ones are known"));
            }
        },
    }
    let kind = fields.require("type", "one of `string`, `integer`, `boolean`, `timestamp`, `ip`, `list`")?;
    let items = fields.take("items");
    let word = kind.text()?;
    let (scalar, list) = match (word.as_str(), items) {
        ("list", Some(items)) => (scalar(&items, "")?, true),
        ("list", None) => {
            let at = fields.pos.at();
            return Err(PolicyError::MissingField { at, field: "items", advice: "say of what it is a list" });
        }
        (_, Some(items)) => {
            return Err(items.invalid("given for a single value", "no `items`, or `type: list`"));
        }
        (_, None) => (scalar(&kind, ", `list`")?, false),
    };
    let mut kind = AttributeType::any(scalar, list);
    let integer = |field: Field| match scalar {
        ScalarType::Integer => field.integer(),
        _ => Err(field.invalid("given for another type than `integer`", "no bounds")),
    };
    if let Some(field) = fields.take("min") {
        kind.min = integer(field)?;
    }
    if let Some(field) = fields.take("max") {
        let wrong = field.invalid("below `min`", "a maximum of at least the minimum");
        kind.max = integer(field)?;
        if kind.max < kind.min {
            return Err(wrong);
        }
    }
    let mut values = Vec::new();
    if let Some(list) = fields.take("values") {
        for item in list.list(SCHEMA_VALUES_MAX, "the number of values")? {
            let value = item.value()?;
            // `kind` has no values yet, so it says what any of them may be.
            if !kind.can_be(&value) {
                return Err(item.invalid(value.to_string(), format!("a value for {kind}")));
            }
            values.push(value);
        }
    }
    kind.values = values;
    kind.actions = names(fields.take("actions"), "the number of actions")?;
    fields.text("description")?;
    Ok((name.pos(), text, kind))
}

fn scalar(field: &Field, more: &str) -> Result<ScalarType, PolicyError> {
    let text = field.text()?;
    ScalarType::ALL.into_iter().find(|kind| kind.as_str() == text).ok_or_else(|| {
        let expected = format!("one of `string`, `integer`, `boolean`, `timestamp`, `ip`{more}");
        field.invalid(format!("`{}`", shown(&text)), expected)
    })
}

fn names(field: Option<Field>, what: &'static str) -> Result<Vec<String>, PolicyError> {
    let Some(field) = field else { return Ok(Vec::new()) };
    field.list(SCOPE_ITEMS_MAX, what)?.iter().map(literal).collect()
}

fn literal(field: &Field) -> Result<String, PolicyError> {
    let text = field.checked(name_problem)?;
    if text.contains('*') {
        return Err(field.invalid(format!("`{}`", shown(&text)), "a name without `*`"));
    }
    Ok(text)
}
