//! The same rules for `cedar-policy`.

use std::fmt::Write as _;
use std::time::Duration;

use cedar_policy::{Authorizer, Context, Decision, Entities, EntityUid, PolicySet, Request};

use crate::Result;
use crate::fixtures::{Spread, scope};
use crate::harness::{Samples, sample, timed};

/// How long parsing `rules` policies takes.
pub(super) fn load(rules: usize) -> Result<Duration> {
    let text = text(rules)?;
    let (set, time) = timed(|| text.parse::<PolicySet>().map_err(Box::new));
    set?;
    Ok(time)
}

/// Times single decisions among `rules` policies of which one allows.
pub(super) fn decisions(rules: usize, calls: usize) -> Result<Samples> {
    let set: PolicySet = text(rules)?.parse()?;
    let (kind, action, role) = scope(rules / 2, Spread::Indexed);
    let entities = Entities::from_json_str(
        &format!(
            r#"[{{"uid":{{"type":"User","id":"alice"}},"attrs":{{}},"parents":[{{"type":"Role","id":"{role}"}}]}}]"#
        ),
        None,
    )?;
    let asked = Request::new(
        uid("User::\"alice\"")?,
        uid(&format!("Action::\"{action}\""))?,
        uid(&format!("{}::\"{kind}/h100\"", type_name(&kind)))?,
        Context::from_json_str(r#"{"hours": 8}"#, None)?,
        None,
    )?;
    let authorizer = Authorizer::new();
    if authorizer.is_authorized(&asked, &set, &entities).decision() != Decision::Allow {
        return Err("cedar denied what a policy allows".into());
    }
    Ok(sample(calls, |_| authorizer.is_authorized(&asked, &set, &entities)))
}

fn uid(text: &str) -> Result<EntityUid> {
    Ok(text.parse()?)
}

/// Cedar's type names have no dashes.
fn type_name(kind: &str) -> String {
    kind.replace('-', "_")
}

fn text(rules: usize) -> Result<String> {
    let mut text = String::new();
    for rule in 0..rules {
        let (kind, action, role) = scope(rule, Spread::Indexed);
        writeln!(
            text,
            "permit(principal in Role::\"{role}\", action == Action::\"{action}\", resource is {}) \
             when {{ context.hours <= 24 }};",
            type_name(&kind)
        )?;
    }
    Ok(text)
}
