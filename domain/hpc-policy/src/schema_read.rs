//! `kind: PolicySchema` documents into one [`Schema`].

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::sync::Arc;

use crate::decode::{Field, Fields, invalid, shown};
use crate::document;
use crate::error::PolicyError;
use crate::identifier::{attribute_problem, name_problem};
use crate::limits::{
    SCHEMA_ACTIONS_MAX, SCHEMA_ATTRIBUTES_MAX, SCHEMA_OBLIGATIONS_MAX, SCHEMA_VALUES_MAX, SCOPE_ITEMS_MAX,
};
use crate::path::{AttributePath, Source};
use crate::schema::{AttributeType, ScalarType, Schema};
use crate::value::Value;
use crate::yaml::Pos;

/// One document.
pub(crate) struct SchemaDocument {
    attributes: Vec<(Pos, String, AttributeType)>,
    actions: Vec<(Pos, String, Vec<String>)>,
    obligations: Vec<(Pos, String, AttributeType)>,
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
        for (pos, name, kind) in read.obligations {
            if self.schema.obligations.len() >= SCHEMA_OBLIGATIONS_MAX {
                return Err(limit(pos, OBLIGATIONS, SCHEMA_OBLIGATIONS_MAX));
            }
            insert(&mut self.schema.obligations, pos, "obligation", name, kind)?;
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
const OBLIGATIONS: &str = "the number of obligations";

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
    const LISTS: [&str; 3] = ["attributes", "actions", "obligations"];
    let spec = root.require("spec", "add `spec:` with `attributes:`, `actions:` or `obligations:`")?;
    let mut spec = Fields::of(spec.node, "spec", &LISTS)?;
    if !LISTS.iter().any(|list| spec.has(list)) {
        return Err(PolicyError::MissingField {
            at: spec.pos.at(),
            field: "attributes",
            advice: "declare at least one of `attributes`, `actions` and `obligations`",
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
    let mut obligations = Vec::new();
    if let Some(list) = spec.take("obligations") {
        for item in list.list(SCHEMA_OBLIGATIONS_MAX, OBLIGATIONS)? {
            obligations.push(obligation(item)?);
        }
    }
    Ok(SchemaDocument { attributes, actions, obligations })
}

fn obligation(item: Field) -> Result<(Pos, String, AttributeType), PolicyError> {
    const KNOWN: [&str; 7] = ["name", "type", "items", "values", "min", "max", "description"];
    let mut fields = Fields::of(item.node, "an obligation", &KNOWN)?;
    let name = fields.require("name", "name the obligation, such as `max_lease_hours`")?;
    let text = name.checked(attribute_problem)?;
    let type_at = fields.position("type");
    let kind = kind(&mut fields)?;
    let usable = match kind.scalar {
        ScalarType::String => true,
        ScalarType::Integer | ScalarType::Boolean => !kind.list,
        ScalarType::Timestamp | ScalarType::Ip => false,
    };
    if !usable {
        let expected = "`string`, `integer`, `boolean`, or a list of strings".to_owned();
        return Err(invalid(type_at, "type", kind.to_string(), expected));
    }
    fields.text("description")?;
    Ok((name.pos(), text, kind))
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
    let mut kind = kind(&mut fields)?;
    kind.actions = names(fields.take("actions"), "the number of actions")?;
    fields.text("description")?;
    Ok((name.pos(), text, kind))
}

/// `type`, `items`, `min`, `max` and `values`.
fn kind(fields: &mut Fields) -> Result<AttributeType, PolicyError> {
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
    Ok(kind)
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
