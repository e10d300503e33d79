//! Principals and resources as documents write them: in tables of cases and in lists of entities.

use crate::context::{Principal, PrincipalKind, Resource};
use crate::decode::{self, Field, Fields};
use crate::error::PolicyError;
use crate::limits::{ATTRIBUTES_MAX, MEMBERSHIPS_MAX};
use crate::value::Value;
use crate::yaml::Key;

/// `{user: alice, roles: [..], teams: [..], spiffe_id: .., attributes: {..}}`, or `service` or `agent` for `user`.
pub(crate) fn principal(field: Field) -> Result<Principal, PolicyError> {
    const KNOWN: [&str; 7] = ["user", "service", "agent", "roles", "teams", "spiffe_id", "attributes"];
    let mut fields = Fields::of(field.node, "principal", &KNOWN)?;
    let kinds = [PrincipalKind::User, PrincipalKind::Service, PrincipalKind::Agent];
    let mut given =
        kinds.into_iter().filter_map(|kind| fields.take(kind.as_str()).map(|field| (kind, field)));
    let mut principal = match (given.next(), given.next()) {
        (Some((kind, field)), None) => Principal::new(kind, field.text()?),
        (Some(_), Some((_, second))) => {
            return Err(second.invalid("given as well", "exactly one of `user`, `service`, `agent`"));
        }
        (None, _) => {
            return Err(PolicyError::MissingField {
                at: fields.pos.at(),
                field: "user",
                advice: "give exactly one of `user`, `service`, `agent`",
            });
        }
    };
    if let Some(list) = fields.take("roles") {
        for item in list.list(MEMBERSHIPS_MAX, "the number of roles")? {
            principal = principal.with_role(item.text()?);
        }
    }
    if let Some(list) = fields.take("teams") {
        for item in list.list(MEMBERSHIPS_MAX, "the number of teams")? {
            principal = principal.with_team(item.text()?);
        }
    }
    if let Some(spiffe_id) = fields.text("spiffe_id")? {
        principal = principal.with_spiffe_id(spiffe_id);
    }
    for (key, value) in attributes(&mut fields, "attributes")? {
        principal = principal.with_attribute(key.text, value);
    }
    Ok(principal)
}

/// `{type: gpu, id: gpu/h100, attributes: {..}}`.
pub(crate) fn resource(field: Field) -> Result<Resource, PolicyError> {
    let mut fields = Fields::of(field.node, "resource", &["type", "id", "attributes"])?;
    let kind = fields.require("type", "name the resource type")?.text()?;
    let id = fields.require("id", "name the resource")?.text()?;
    let mut resource = Resource::new(kind, id);
    for (key, value) in attributes(&mut fields, "attributes")? {
        resource = resource.with_attribute(key.text, value);
    }
    Ok(resource)
}

/// The field `name` as names and values; none if it is not there.
pub(crate) fn attributes(fields: &mut Fields, name: &'static str) -> Result<Vec<(Key, Value)>, PolicyError> {
    match fields.take(name) {
        Some(field) => decode::values(field, ATTRIBUTES_MAX, "the number of attributes"),
        None => Ok(Vec::new()),
    }
}
