//! A request in the engine's words, and its answers back in ours.

use hpc_policy::{EvaluationContext, Principal, Resource, Value};

use super::model::{Datum, Request};

pub(crate) fn context(request: &Request) -> EvaluationContext {
    let mut principal = match request.kind {
        "user" => Principal::user(&request.id),
        "service" => Principal::service(&request.id),
        _ => Principal::agent(&request.id),
    };
    for role in &request.roles {
        principal = principal.with_role(role);
    }
    for team in &request.teams {
        principal = principal.with_team(team);
    }
    if let Some(id) = &request.spiffe_id {
        principal = principal.with_spiffe_id(id);
    }
    let mut resource = Resource::new(&request.resource_type, &request.resource_id);
    for (path, datum) in &request.attributes {
        match path.split_once('.').unwrap() {
            ("principal", name) => principal = principal.with_attribute(name, value(datum)),
            ("resource", name) => resource = resource.with_attribute(name, value(datum)),
            _ => {}
        }
    }
    let mut context = EvaluationContext::new(principal, resource, &request.action);
    for (path, datum) in &request.attributes {
        match path.split_once('.').unwrap() {
            ("context", name) => context = context.with_attribute(name, value(datum)),
            ("action", name) => context = context.with_action_attribute(name, value(datum)),
            _ => {}
        }
    }
    match request.now {
        Some(seconds) => context.with_now(jiff::Timestamp::from_second(seconds).unwrap()),
        None => context,
    }
}

fn value(datum: &Datum) -> Value {
    match datum {
        Datum::Text(text) => Value::String(text.clone()),
        Datum::Number(number) => Value::Integer(*number),
        Datum::Flag(flag) => Value::Bool(*flag),
        Datum::Time(seconds) => Value::Timestamp(jiff::Timestamp::from_second(*seconds).unwrap()),
        Datum::Address(text) => Value::Ip(text.parse().unwrap()),
        Datum::List(items) => Value::List(items.iter().map(value).collect()),
        Datum::Texts(items) => Value::from(items.clone()),
        Datum::Opaque => Value::Opaque,
    }
}

pub(crate) fn datum(value: &Value) -> Datum {
    match value {
        Value::String(text) => Datum::Text(text.clone()),
        Value::Integer(number) => Datum::Number(*number),
        Value::Bool(flag) => Datum::Flag(*flag),
        Value::Timestamp(at) => Datum::Time(at.as_second()),
        Value::Ip(address) => Datum::Address(address.to_string()),
        Value::List(items) => Datum::List(items.iter().map(datum).collect()),
        _ => Datum::Opaque,
    }
}

/// `request` with an attribute changed, as [`hpc_policy::Change`] names it.
pub(crate) fn changed(request: &Request, path: &str, value: &Value) -> Request {
    let mut request = request.clone();
    request.attributes.insert(path.to_owned(), datum(value));
    request
}
