//! A question as a case in a table of cases.

use std::fmt::Write as _;

use crate::context::EvaluationContext;
use crate::decision::Verdict;
use crate::value::Value;

/// The lines of one case below `cases:`, two spaces in; `None` if a value cannot be written in a document.
pub(crate) fn case(name: &str, context: &EvaluationContext, expect: Verdict) -> Option<String> {
    let principal = context.principal();
    let [(_, of_principal), (_, of_resource), (_, of_action), (_, of_context)] = context.attribute_maps();
    let mut out = format!("  - name: {}\n", quoted(name));
    let mut who = format!("{}: {}", principal.kind().as_str(), word(principal.id()));
    for (label, names) in [("roles", principal.roles()), ("teams", principal.teams())] {
        if !names.is_empty() {
            let names: Vec<String> = names.iter().map(|name| word(name)).collect();
            let _ = write!(who, ", {label}: [{}]", names.join(", "));
        }
    }
    if let Some(spiffe_id) = principal.spiffe_id() {
        let _ = write!(who, ", spiffe_id: {}", quoted(spiffe_id));
    }
    let attributes = |map: &crate::context::Attributes| {
        let written: Option<Vec<String>> = map
            .iter()
            .map(|(name, attribute)| {
                (!attribute.secret)
                    .then(|| value(&attribute.value))
                    .flatten()
                    .map(|value| format!("{name}: {value}"))
            })
            .collect();
        written.map(|items| items.join(", "))
    };
    let own = attributes(of_principal)?;
    if !own.is_empty() {
        let _ = write!(who, ", attributes: {{{own}}}");
    }
    let _ = writeln!(out, "    principal: {{{who}}}");
    let _ = writeln!(out, "    action: {}", word(context.action()));
    let own = attributes(of_action)?;
    if !own.is_empty() {
        let _ = writeln!(out, "    action_attributes: {{{own}}}");
    }
    let resource = context.resource();
    let mut what = format!("type: {}, id: {}", word(resource.resource_type()), word(resource.id()));
    let own = attributes(of_resource)?;
    if !own.is_empty() {
        let _ = write!(what, ", attributes: {{{own}}}");
    }
    let _ = writeln!(out, "    resource: {{{what}}}");
    let own = attributes(of_context)?;
    if !own.is_empty() {
        let _ = writeln!(out, "    context: {{{own}}}");
    }
    if let Some(now) = context.now() {
        let _ = writeln!(out, "    now: \"{now}\"");
    }
    let _ = writeln!(out, "    expect: {expect}");
    Some(out)
}

fn value(value: &Value) -> Option<String> {
    Some(match value {
        Value::String(text) => quoted(text),
        Value::Integer(number) => number.to_string(),
        Value::Bool(flag) => flag.to_string(),
        Value::Timestamp(at) => format!("{{timestamp: \"{at}\"}}"),
        Value::Ip(address) => format!("{{ip: \"{address}\"}}"),
        Value::List(items) => {
            let items: Option<Vec<String>> = items.iter().map(self::value).collect();
            format!("[{}]", items?.join(", "))
        }
        Value::Opaque => return None,
    })
}

/// A name as it is, if no reader of YAML could take it for anything else.
fn word(text: &str) -> String {
    let plain = text.starts_with(|c: char| c.is_ascii_alphabetic())
        && text.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '/' | '.' | '-' | '_'))
        && !matches!(
            text.to_ascii_lowercase().as_str(),
            "true" | "false" | "null" | "yes" | "no" | "on" | "off" | "y" | "n"
        );
    if plain { text.to_owned() } else { quoted(text) }
}

fn quoted(text: &str) -> String {
    let mut out = String::from("\"");
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            c if c.is_control() || matches!(c, '\u{2028}' | '\u{2029}' | '\u{feff}') => {
                let _ = write!(out, "\\U{:08X}", u32::from(c));
            }
            c => out.push(c),
        }
    }
    out.push('"');
    out
}
