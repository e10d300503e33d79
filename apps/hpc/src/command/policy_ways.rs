//! `hpc policy who-can` and `hpc policy what-can`. Need no daemon if policies are named.

use std::path::PathBuf;

use hpc_error::{HpcError, codes};
use hpc_policy::{
    Known, PolicyError, PolicySet, Principal, PrincipalKind, Resource, Value, what_can, who_can,
};
use hpc_types::control::v1;
use jiff::Timestamp;

use super::policy::{invalid, load};
use crate::args::Global;
use crate::output::Screen;
use crate::render::policy::Shown;
use crate::render::policy_ways::{what as what_text, who as who_text};
use crate::session::{Session, Surroundings, failure, read_with};
use crate::text;

/// The policies at the paths, or those in force.
pub(super) async fn policies(
    paths: &[PathBuf],
    global: &Global,
    around: &Surroundings,
) -> Result<PolicySet, HpcError> {
    let documents = if paths.is_empty() {
        let session = Session::open(around, global).await?;
        let message = session.call(v1::ShowPolicyRequest::default());
        let document = session.policy().show(message).await.map_err(failure)?.into_inner();
        let shown: Shown = read_with(&document, "hpc.policy/v1", |text| text.to_owned())?;
        shown.documents.into_iter().map(|document| (document.name, document.text)).collect()
    } else {
        load(paths)?
    };
    PolicySet::parse_documents(documents).map_err(|mistakes| invalid(&mistakes))
}

pub(super) fn who(
    set: &PolicySet,
    action: &str,
    resource_type: &str,
    resource_id: &str,
    attributes: &[String],
    screen: &mut Screen<'_>,
) -> Result<u8, HpcError> {
    let known = known(attributes)?;
    let resource = Resource::new(resource_type, resource_id);
    let answer = who_can(set, action, &resource, &known).map_err(|error| refused(&error))?;
    if screen.format.is_json() {
        screen.value(&answer)?;
    } else {
        screen.text(&who_text(&answer))?;
    }
    let ways = text::count((answer.ways.len() + answer.ways_omitted) as u64, "way", "ways");
    let closed = answer.closed.len() + answer.closed_omitted;
    screen.say(&format!("{ways}, {closed} closed, {} rules", set.rule_count()));
    Ok(0)
}

pub(super) fn what(
    set: &PolicySet,
    principal: &Principal,
    attributes: &[String],
    screen: &mut Screen<'_>,
) -> Result<u8, HpcError> {
    let known = known(attributes)?;
    let answer = what_can(set, principal, &known).map_err(|error| refused(&error))?;
    if screen.format.is_json() {
        screen.value(&answer)?;
    } else {
        screen.text(&what_text(&answer))?;
    }
    let ways = text::count((answer.ways.len() + answer.ways_omitted) as u64, "way", "ways");
    let closed = answer.closed.len() + answer.closed_omitted;
    screen.say(&format!("{ways}, {closed} closed, {} rules", set.rule_count()));
    Ok(0)
}

/// `user:alice` with what else is said of it.
pub(super) fn principal(
    text: &str,
    roles: Vec<String>,
    teams: Vec<String>,
    spiffe_id: Option<String>,
) -> Result<Principal, HpcError> {
    let kinds = [PrincipalKind::User, PrincipalKind::Service, PrincipalKind::Agent];
    let (kind, id) = text.split_once(':').unwrap_or((text, ""));
    let Some(kind) = kinds.into_iter().find(|known| known.as_str() == kind).filter(|_| !id.is_empty()) else {
        let message =
            format!("`{}` is no principal; write `user:ID`, `service:ID` or `agent:ID`", text::line(text));
        return Err(HpcError::coded(&codes::USG_UNKNOWN_VALUE, message));
    };
    let principal = Principal::new(kind, id).with_roles(roles).with_teams(teams);
    Ok(match spiffe_id {
        Some(spiffe_id) => principal.with_spiffe_id(spiffe_id),
        None => principal,
    })
}

fn known(attributes: &[String]) -> Result<Known, HpcError> {
    let mut known = Known::new();
    for attribute in attributes {
        let wrong = |problem: &str| {
            let message = format!("--attribute `{}`: {problem}", text::line(attribute));
            HpcError::coded(&codes::USG_UNKNOWN_VALUE, message)
        };
        let (path, value) = attribute.split_once('=').ok_or_else(|| wrong("write PATH=VALUE"))?;
        let value = match path {
            "context.now" => value.parse::<Timestamp>().map(Value::Timestamp).map_err(|_| {
                wrong("write a time such as 2026-11-02T10:00:00Z")
            })?,
            _ => parsed(value).ok_or_else(|| {
                wrong("write a whole number, true, false, text, a list of these, {\"timestamp\": ..} or {\"ip\": ..}")
            })?,
        };
        known = known.with(path, value).map_err(|error| refused(&error))?;
    }
    Ok(known)
}

/// JSON where it is JSON, text where it is not.
fn parsed(text: &str) -> Option<Value> {
    match serde_json::from_str::<serde_json::Value>(text) {
        Ok(json) => of_json(&json),
        Err(_) if text.starts_with(['{', '[', '"']) => None,
        Err(_) => Some(Value::from(text)),
    }
}

fn of_json(json: &serde_json::Value) -> Option<Value> {
    Some(match json {
        serde_json::Value::Bool(flag) => Value::Bool(*flag),
        serde_json::Value::Number(number) => Value::Integer(number.as_i64()?),
        serde_json::Value::String(text) => Value::from(text.as_str()),
        serde_json::Value::Array(items) => Value::List(items.iter().map(of_json).collect::<Option<_>>()?),
        serde_json::Value::Object(fields) => {
            let mut fields = fields.iter();
            match (fields.next(), fields.next()) {
                (Some((name, serde_json::Value::String(text))), None) => match name.as_str() {
                    "timestamp" => Value::Timestamp(text.parse().ok()?),
                    "ip" => Value::Ip(text.parse().ok()?),
                    _ => return None,
                },
                _ => return None,
            }
        }
        serde_json::Value::Null => return None,
    })
}

fn refused(error: &PolicyError) -> HpcError {
    HpcError::coded(&codes::USG_UNKNOWN_VALUE, text::line(&error.to_string()))
}
