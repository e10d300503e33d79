//! Their words to ours: AuthZEN entities become principals, resources and attributes.
//!
//! The rule for what is known of an entity twice: what the request states of an attribute (or of all roles, or all
//! teams) stands in for what the set's entities list of the same; what it leaves out is taken from there. The caller is
//! an authenticated enforcement point that may ask about any state of affairs, so stating one grants nothing by itself.
//!
//! Nothing that is stated is dropped where a rule could see that it is gone: what has no type becomes
//! [`Value::Opaque`], and what has no reading makes the whole question one that is denied.

use std::sync::Arc;

use hpc_policy::limits::{ATTRIBUTES_MAX, MEMBERSHIPS_MAX, REQUEST_BYTES_MAX};
use hpc_policy::{Entities, EvaluationContext, Principal, PrincipalKind, Resource, Value};
use jiff::Timestamp;
use serde_json::Value as Json;

use super::wire::{Object, Problem, shown};

/// What is stated; or why the question has no single reading, and so is denied.
type Stated<T> = Result<T, String>;
/// Attributes by name.
type Attributes = Vec<(String, Value)>;

/// A subject as a request names it. What is stated is shared, for a search states it of many.
pub(super) struct Subject {
    /// Its type as it was sent.
    pub(super) type_name: String,
    id: String,
    stated: Arc<Stated<OfSubject>>,
}

struct OfSubject {
    roles: Option<Vec<String>>,
    teams: Option<Vec<String>>,
    spiffe_id: Option<String>,
    attributes: Attributes,
}

/// A resource as a request names it.
pub(super) struct Thing {
    pub(super) type_name: String,
    id: String,
    stated: Arc<Stated<Attributes>>,
}

/// An action as a request names it.
pub(super) struct Action {
    name: String,
    stated: Stated<Attributes>,
}

/// The context of a request.
pub(super) struct Surroundings {
    stated: Stated<Attributes>,
}

/// Whether an entity must have an id: the one that a search looks for has none yet.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Role {
    Named,
    SearchedFor,
}

impl Subject {
    /// The field `subject`, if it is there.
    pub(super) fn read(root: &Object, role: Role) -> Result<Option<Self>, Problem> {
        let Some(object) = object(root, "subject")? else { return Ok(None) };
        let (type_name, id) = type_and_id(object, "subject", role)?;
        let mut properties = properties(object, "subject")?;
        let mut list = |name: &str| properties.remove(name).map(|value| (name.to_owned(), value));
        let (roles, teams, spiffe_id) = (list("roles"), list("teams"), list("spiffe_id"));
        let stated = (|| {
            let roles = roles.map(texts).transpose()?;
            let teams = teams.map(texts).transpose()?;
            let spiffe_id = match spiffe_id {
                None => None,
                Some((_, Json::String(id))) => Some(id),
                Some(_) => {
                    return Err(
                        "subject.properties.spiffe_id is not a string; send the whole SPIFFE ID".into()
                    );
                }
            };
            same(&mut properties, "subject", [("type", &type_name), ("id", &id)])?;
            let attributes = attributes("subject.properties", &properties)?;
            Ok(OfSubject { roles, teams, spiffe_id, attributes })
        })();
        Ok(Some(Self { type_name, id, stated: Arc::new(stated) }))
    }

    /// Its kind; `None` for a type that is no kind of principal here.
    pub(super) fn kind(&self) -> Option<PrincipalKind> {
        [PrincipalKind::User, PrincipalKind::Service, PrincipalKind::Agent]
            .into_iter()
            .find(|kind| kind.as_str() == self.type_name)
    }

    /// The same statements about another subject.
    pub(super) fn with_id(&self, id: &str) -> Self {
        Self { type_name: self.type_name.clone(), id: id.to_owned(), stated: Arc::clone(&self.stated) }
    }

    fn principal(&self, entities: &Entities) -> Result<Principal, String> {
        let Some(kind) = self.kind() else {
            return Err(format!(
                "a subject of type `{}` is not known here; send `user`, `service` or `agent`",
                shown(&self.type_name)
            ));
        };
        let stated = self.stated.as_ref().as_ref().map_err(Clone::clone)?;
        let known = entities.subject(kind, &self.id).cloned();
        let mut principal = known.unwrap_or_else(|| Principal::new(kind, &self.id));
        if let Some(roles) = &stated.roles {
            principal = principal.with_roles(roles.iter().cloned());
        }
        if let Some(teams) = &stated.teams {
            principal = principal.with_teams(teams.iter().cloned());
        }
        if let Some(spiffe_id) = &stated.spiffe_id {
            principal = principal.with_spiffe_id(spiffe_id);
        }
        for (name, value) in &stated.attributes {
            principal = principal.with_attribute(format!("principal.{name}"), value.clone());
        }
        Ok(principal)
    }
}

impl Thing {
    /// The field `resource`, if it is there.
    pub(super) fn read(root: &Object, role: Role) -> Result<Option<Self>, Problem> {
        let Some(object) = object(root, "resource")? else { return Ok(None) };
        let (type_name, id) = type_and_id(object, "resource", role)?;
        let mut properties = properties(object, "resource")?;
        let stated = same(&mut properties, "resource", [("type", &type_name), ("id", &id)])
            .and_then(|()| attributes("resource.properties", &properties));
        Ok(Some(Self { type_name, id, stated: Arc::new(stated) }))
    }

    /// The same statements about another resource.
    pub(super) fn with_id(&self, id: &str) -> Self {
        Self { type_name: self.type_name.clone(), id: id.to_owned(), stated: Arc::clone(&self.stated) }
    }

    fn resource(&self, entities: &Entities) -> Result<Resource, String> {
        let stated = self.stated.as_ref().as_ref().map_err(Clone::clone)?;
        let known = entities.resource(&self.type_name, &self.id).cloned();
        let mut resource = known.unwrap_or_else(|| Resource::new(&self.type_name, &self.id));
        for (name, value) in stated {
            resource = resource.with_attribute(format!("resource.{name}"), value.clone());
        }
        Ok(resource)
    }
}

impl Action {
    /// The field `action`, if it is there.
    pub(super) fn read(root: &Object) -> Result<Option<Self>, Problem> {
        let Some(object) = object(root, "action")? else { return Ok(None) };
        let name = text(object, "action", "name")?;
        let properties = properties(object, "action")?;
        Ok(Some(Self { name, stated: attributes("action.properties", &properties) }))
    }

    /// An action of which nothing but the name is stated.
    pub(super) fn named(name: &str) -> Self {
        Self { name: name.to_owned(), stated: Ok(Attributes::new()) }
    }
}

impl Surroundings {
    /// The field `context`, if it is there.
    pub(super) fn read(root: &Object) -> Result<Option<Self>, Problem> {
        let Some(object) = object(root, "context")? else { return Ok(None) };
        Ok(Some(Self { stated: attributes("context", object) }))
    }

    pub(super) fn none() -> Self {
        Self { stated: Ok(Attributes::new()) }
    }
}

/// One question in our words. `Err` says why it has no single reading.
pub(super) fn question(
    entities: &Entities,
    (subject, action, resource): (&Subject, &Action, &Thing),
    context: &Surroundings,
    now: Timestamp,
) -> Result<EvaluationContext, String> {
    let (principal, resource) = (subject.principal(entities)?, resource.resource(entities)?);
    let mut asked = EvaluationContext::new(principal, resource, &action.name).with_now(now);
    for (name, value) in action.stated.as_ref().map_err(Clone::clone)? {
        asked = asked.with_action_attribute(format!("action.{name}"), value.clone());
    }
    for (name, value) in context.stated.as_ref().map_err(Clone::clone)? {
        asked = asked.with_attribute(format!("context.{name}"), value.clone());
    }
    Ok(asked)
}

/// 400 for a field that must be there.
pub(super) fn required<T>(found: Option<T>, field: &str) -> Result<T, Problem> {
    found.ok_or_else(|| Problem::bad(format!("`{field}` is missing; send {}", example(field))))
}

fn example(field: &str) -> &'static str {
    match field {
        "subject" => "`\"subject\": {\"type\": \"user\", \"id\": \"alice\"}`",
        "action" => "`\"action\": {\"name\": \"read\"}`",
        "resource" => "`\"resource\": {\"type\": \"record\", \"id\": \"record-1\"}`",
        _ => "a JSON object",
    }
}

fn object<'a>(root: &'a Object, field: &str) -> Result<Option<&'a Object>, Problem> {
    match root.get(field) {
        None => Ok(None),
        Some(Json::Object(object)) => Ok(Some(object)),
        Some(_) => Err(Problem::bad(format!("`{field}` is not an object; send {}", example(field)))),
    }
}

fn text(object: &Object, field: &str, part: &str) -> Result<String, Problem> {
    match object.get(part) {
        Some(Json::String(text)) => Ok(text.clone()),
        Some(_) => Err(Problem::bad(format!("`{field}.{part}` is not a string; send {}", example(field)))),
        None => Err(Problem::bad(format!("`{field}.{part}` is missing; send {}", example(field)))),
    }
}

fn type_and_id(object: &Object, field: &str, role: Role) -> Result<(String, String), Problem> {
    let type_name = text(object, field, "type")?;
    let id = match role {
        Role::Named => text(object, field, "id")?,
        Role::SearchedFor => String::new(),
    };
    Ok((type_name, id))
}

fn properties(object: &Object, field: &str) -> Result<Object, Problem> {
    match object.get("properties") {
        None => Ok(Object::new()),
        Some(Json::Object(properties)) => Ok(properties.clone()),
        Some(_) => Err(Problem::bad(format!("`{field}.properties` is not an object; send names and values"))),
    }
}

/// Takes out what repeats the type and the id; what contradicts them has two readings.
fn same(properties: &mut Object, field: &str, own: [(&str, &String); 2]) -> Result<(), String> {
    for (name, value) in own {
        match properties.remove(name) {
            None => {}
            Some(Json::String(stated)) if stated == *value => {}
            Some(_) => {
                return Err(format!("{field}.properties.{name} is not the {field}'s {name}; leave it out"));
            }
        }
    }
    Ok(())
}

fn texts((name, value): (String, Json)) -> Result<Vec<String>, String> {
    let wrong =
        || format!("subject.properties.{name} is not a list of strings; send one, such as `[\"editor\"]`");
    let Json::Array(items) = value else { return Err(wrong()) };
    if items.len() > MEMBERSHIPS_MAX {
        return Err(format!("subject.properties.{name} has more than {MEMBERSHIPS_MAX} items; send fewer"));
    }
    items
        .into_iter()
        .map(|item| match item {
            Json::String(text) => Ok(text),
            _ => Err(wrong()),
        })
        .collect()
}

/// Properties as attributes: parts of nested objects get names with dots.
fn attributes(place: &str, properties: &Object) -> Stated<Attributes> {
    let mut found = Attributes::new();
    flatten(place, "", properties, &mut found)?;
    // The engine has the same limit; here it is met before a search repeats the values for each entity.
    if found.iter().map(|(name, value)| name.len() + text_bytes(value)).sum::<usize>() > REQUEST_BYTES_MAX {
        return Err(format!("{place} has more than 256 KiB of names and values; send less"));
    }
    let mut names: Vec<&str> = found.iter().map(|(name, _)| name.as_str()).collect();
    names.sort_unstable();
    let twice = names.windows(2).find_map(|pair| match pair {
        [one, other] if one == other => Some(*one),
        _ => None,
    });
    match twice {
        Some(name) => Err(format!("{place}.{} is given in two spellings; keep one", shown(name))),
        None => Ok(found),
    }
}

fn text_bytes(value: &Value) -> usize {
    match value {
        Value::String(text) => text.len(),
        Value::List(items) => items.iter().map(text_bytes).sum(),
        _ => size_of::<Value>(),
    }
}

fn flatten(place: &str, prefix: &str, object: &Object, found: &mut Attributes) -> Result<(), String> {
    for (key, json) in object {
        let name = if prefix.is_empty() { key.clone() } else { format!("{prefix}.{key}") };
        if found.len() == ATTRIBUTES_MAX {
            return Err(format!("{place} has more than {ATTRIBUTES_MAX} parts; send fewer"));
        }
        found.push((name.clone(), value(json)));
        if let Json::Object(parts) = json {
            flatten(place, &name, parts, found)?;
        }
    }
    Ok(())
}

/// A value with a type of ours, or one without: fractions, null, nested and mixed lists, and objects as a whole.
fn value(json: &Json) -> Value {
    match json {
        Json::String(text) => Value::String(text.clone()),
        Json::Bool(flag) => Value::Bool(*flag),
        Json::Number(number) => number.as_i64().map_or(Value::Opaque, Value::Integer),
        Json::Array(items) => {
            let values: Vec<Value> = items.iter().map(value).collect();
            let first = values.first().map(Value::type_name);
            let uniform = values.iter().all(|value| {
                !matches!(value, Value::Opaque | Value::List(_)) && Some(value.type_name()) == first
            });
            if uniform { Value::List(values) } else { Value::Opaque }
        }
        Json::Null | Json::Object(_) => Value::Opaque,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn stated(properties: Json) -> Stated<Attributes> {
        let Json::Object(properties) = properties else { panic!("an object") };
        attributes("resource.properties", &properties)
    }

    #[test]
    fn values_keep_their_type_or_have_none() {
        for (json, expected) in [
            (json!("8"), Value::from("8")),
            (json!(8), Value::from(8)),
            (json!(-8), Value::from(-8)),
            (json!(true), Value::from(true)),
            (json!(["a", "b"]), Value::from(vec!["a", "b"])),
            (json!([1, 2]), Value::from(vec![1, 2])),
            (json!([]), Value::List(Vec::new())),
            (json!(1.0), Value::Opaque),
            (json!(1.5), Value::Opaque),
            (json!(u64::MAX), Value::Opaque),
            (json!(null), Value::Opaque),
            (json!([1, "a"]), Value::Opaque),
            (json!([1, 1.5]), Value::Opaque),
            (json!([null]), Value::Opaque),
            (json!([["a"]]), Value::Opaque),
            (json!([{}]), Value::Opaque),
            (json!({}), Value::Opaque),
        ] {
            assert_eq!(value(&json), expected, "{json}");
        }
    }

    #[test]
    fn nested_objects_are_there_as_a_whole_and_in_parts() {
        let found = stated(json!({"disk": {"size": 1, "kind": {"name": "ssd"}}, "empty": {}})).unwrap();
        let found: std::collections::BTreeMap<String, Value> = found.into_iter().collect();
        let expected = [
            ("disk", Value::Opaque),
            ("disk.kind", Value::Opaque),
            ("disk.kind.name", Value::from("ssd")),
            ("disk.size", Value::from(1)),
            ("empty", Value::Opaque),
        ];
        assert_eq!(found, expected.into_iter().map(|(name, value)| (name.to_owned(), value)).collect());
    }

    #[test]
    fn what_has_two_readings_has_none() {
        let problem = stated(json!({"disk": {"size": 1}, "disk.size": 2})).unwrap_err();
        assert_eq!(problem, "resource.properties.disk.size is given in two spellings; keep one");
        let many =
            |count: usize| (0..count).map(|number| (format!("a{number}"), json!(1))).collect::<Object>();
        assert_eq!(stated(Json::Object(many(ATTRIBUTES_MAX))).unwrap().len(), ATTRIBUTES_MAX);
        let problem = stated(Json::Object(many(ATTRIBUTES_MAX + 1))).unwrap_err();
        assert_eq!(problem, "resource.properties has more than 256 parts; send fewer");
        let large = |bytes: usize| stated(json!({"a": "x".repeat(bytes - 2), "b": ""}));
        assert!(large(REQUEST_BYTES_MAX).is_ok());
        let problem = large(REQUEST_BYTES_MAX + 1).unwrap_err();
        assert_eq!(problem, "resource.properties has more than 256 KiB of names and values; send less");
        let roles = |count: usize| texts(("roles".to_owned(), json!(vec!["r"; count])));
        assert_eq!(roles(MEMBERSHIPS_MAX).unwrap().len(), MEMBERSHIPS_MAX);
        assert_eq!(
            roles(MEMBERSHIPS_MAX + 1).unwrap_err(),
            "subject.properties.roles has more than 256 items; send fewer"
        );
    }
}
