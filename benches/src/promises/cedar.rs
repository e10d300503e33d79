//! The same rules for `cedar-policy`, and the same questions.

use std::fmt::Write as _;
use std::time::Duration;

use cedar_policy::{Authorizer, Context, Decision, Entities, EntityUid, PolicySet, Request};

use crate::Result;
use crate::fixtures::{Scope, Spread, asked_rules, scope};
use crate::harness::{Samples, sample, timed};

/// How long parsing `rules` policies takes.
pub(super) fn load(rules: usize) -> Result<Duration> {
    let text = text(rules, Spread::OwnAction)?;
    let (set, time) = timed(|| text.parse::<PolicySet>().map_err(Box::new));
    set?;
    Ok(time)
}

/// Times single decisions among `rules` policies, each question allowed by one.
pub(super) fn decisions(rules: usize, spread: Spread, calls: usize) -> Result<Samples> {
    let set: PolicySet = text(rules, spread)?.parse()?;
    let rules = asked_rules(rules);
    let asked: Vec<(Request, Entities)> =
        rules.iter().map(|rule| question(*rule, spread)).collect::<Result<_>>()?;
    let authorizer = Authorizer::new();
    for (request, entities) in asked.iter().take(2) {
        if authorizer.is_authorized(request, &set, entities).decision() != Decision::Allow {
            return Err("cedar denied what a policy allows".into());
        }
    }
    Ok(sample(calls, |call| {
        let (request, entities) = asked.get(call % asked.len())?;
        Some(authorizer.is_authorized(request, &set, entities).decision())
    }))
}

fn question(rule: usize, spread: Spread) -> Result<(Request, Entities)> {
    let Scope { kind, action, role, pool, project, image } = scope(rule, spread);
    let kind = type_name(&kind);
    let entities = Entities::from_json_str(
        &format!(
            r#"[{{"uid":{{"type":"User","id":"alice"}},"attrs":{{}},"parents":[{{"type":"Role","id":"{role}"}}]}},
                {{"uid":{{"type":"{kind}","id":"h100"}},"attrs":{{"path":"{pool}/h100"}},"parents":[]}}]"#
        ),
        None,
    )?;
    let mut context = r#"{"hours": 8"#.to_owned();
    if let Some(project) = project {
        write!(context, r#", "project": "{project}""#)?;
    }
    if let Some(image) = image {
        write!(context, r#", "image": "{image}/train""#)?;
    }
    context.push('}');
    let request = Request::new(
        uid("User::\"alice\"")?,
        uid(&format!("Action::\"{action}\""))?,
        uid(&format!("{kind}::\"h100\""))?,
        Context::from_json_str(&context, None)?,
        None,
    )?;
    Ok((request, entities))
}

fn uid(text: &str) -> Result<EntityUid> {
    Ok(text.parse()?)
}

/// Cedar's type names have no dashes.
fn type_name(kind: &str) -> String {
    kind.replace('-', "_")
}

fn text(rules: usize, spread: Spread) -> Result<String> {
    let mut text = String::new();
    for rule in 0..rules {
        let Scope { kind, action, role, pool, project, image } = scope(rule, spread);
        write!(
            text,
            "permit(principal in Role::\"{role}\", action == Action::\"{action}\", resource is {}) \
             when {{ context.hours <= 24 && resource.path like \"{pool}/*\"",
            type_name(&kind)
        )?;
        if let Some(project) = project {
            write!(text, " && context.project == \"{project}\"")?;
        }
        if let Some(image) = image {
            write!(text, " && context.image like \"{image}/*\"")?;
        }
        writeln!(text, " }};")?;
    }
    Ok(text)
}
