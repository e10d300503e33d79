//! Conditions out of YAML.

use crate::cidr::Cidr;
use crate::condition::{Condition, Leaf, LeafAt, Operand, Order, Test};
use crate::decode::{Field, Fields, shown};
use crate::error::PolicyError;
use crate::glob::Glob;
use crate::limits::{CONDITION_DEPTH_MAX, CONDITIONS_MAX};
use crate::path::AttributePath;
use crate::time_window::{self, TimeWindow};
use crate::value::Value;
use crate::yaml::NodeKind;

const OPERATORS: &str = "one of `eq`, `ne`, `gt`, `gte`, `lt`, `lte`, `in`, `not_in`, `contains`, `starts_with`, \
                         `ends_with`, `glob`, `exists`, `cidr`, `time_window`, `semver`, `range`";

/// The `conditions` list of a rule.
pub(crate) fn conditions(field: Option<Field>) -> Result<Vec<Condition>, PolicyError> {
    let Some(field) = field else { return Ok(Vec::new()) };
    // An empty list would read as "no restriction", so it must be left out on purpose.
    let mut leaves = 0;
    list(field, 1, &mut leaves)
}

fn list(field: Field, depth: usize, leaves: &mut usize) -> Result<Vec<Condition>, PolicyError> {
    if depth > CONDITION_DEPTH_MAX {
        return Err(PolicyError::Limit {
            at: field.pos().at(),
            what: "the nesting of conditions",
            max: CONDITION_DEPTH_MAX,
        });
    }
    let items = field.list(CONDITIONS_MAX, "the number of conditions in a rule")?;
    items.into_iter().map(|item| condition(item, depth, leaves)).collect()
}

fn condition(field: Field, depth: usize, leaves: &mut usize) -> Result<Condition, PolicyError> {
    let nested = match &field.node.kind {
        NodeKind::Map(entries) => {
            entries.iter().any(|(key, _)| matches!(key.text.as_str(), "all" | "any" | "not"))
        }
        _ => false,
    };
    if !nested {
        *leaves += 1;
        if *leaves > CONDITIONS_MAX {
            return Err(PolicyError::Limit {
                at: field.pos().at(),
                what: "the number of conditions in a rule",
                max: CONDITIONS_MAX,
            });
        }
        return leaf(field).map(Condition::Leaf);
    }
    let mut fields = Fields::of(field.node, "a nested condition", &["all", "any", "not"])?;
    let found = [fields.take("all"), fields.take("any"), fields.take("not")];
    let mut found = found.into_iter().flatten();
    match (found.next(), found.next()) {
        (Some(one), None) if one.name == "all" => Ok(Condition::All(list(one, depth + 1, leaves)?)),
        (Some(one), None) if one.name == "any" => Ok(Condition::Any(list(one, depth + 1, leaves)?)),
        (Some(one), None) => {
            if depth >= CONDITION_DEPTH_MAX {
                return Err(PolicyError::Limit {
                    at: one.pos().at(),
                    what: "the nesting of conditions",
                    max: CONDITION_DEPTH_MAX,
                });
            }
            Ok(Condition::Not(Box::new(condition(one, depth + 1, leaves)?)))
        }
        (_, second) => {
            let second = second.map_or("more", |field| field.name);
            Err(crate::decode::invalid(
                fields.pos,
                "a nested condition",
                format!("given `{second}` as well"),
                "exactly one of `all`, `any`, `not`; nest them instead".to_owned(),
            ))
        }
    }
}

fn leaf(field: Field) -> Result<Leaf, PolicyError> {
    let whole = field.pos();
    let mut fields = Fields::of(field.node, "a condition", &["attribute", "op", "value", "value_from"])?;
    let attribute = fields.require("attribute", "name what to look at, such as `context.hours`")?;
    let path = path(&attribute)?;
    let op = fields.require("op", "name the comparison, such as `lte`")?;
    let value = fields.take("value");
    let from = fields.take("value_from");
    let at = LeafAt {
        line: whole.line,
        attribute: attribute.pos(),
        operator: op.pos(),
        operand: value.as_ref().or(from.as_ref()).map_or(whole, Field::pos),
    };
    let name = op.text()?;
    let (operator, symbol) = match name.as_str() {
        "eq" => ("eq", "=="),
        "ne" => ("ne", "!="),
        "gt" => ("gt", ">"),
        "gte" => ("gte", ">="),
        "lt" => ("lt", "<"),
        "lte" => ("lte", "<="),
        "in" => ("in", "in"),
        "not_in" => ("not_in", "not in"),
        "contains" => ("contains", "contains"),
        "starts_with" => ("starts_with", "starts with"),
        "ends_with" => ("ends_with", "ends with"),
        "glob" => ("glob", "matches"),
        "exists" => ("exists", "exists"),
        "cidr" => ("cidr", "in network"),
        "time_window" => ("time_window", "within"),
        "semver" => ("semver", "satisfies"),
        "range" => ("range", "in"),
        other => return Err(op.invalid(format!("`{}`", shown(other)), OPERATORS)),
    };
    let (test, want) = match operator {
        "glob" | "exists" | "cidr" | "time_window" | "semver" | "range" => {
            if let Some(from) = from {
                return Err(from.invalid(
                    format!("used with `{operator}`"),
                    "`value`: only literals may be patterns or ranges",
                ));
            }
            literal_only(operator, value, fields.pos)?
        }
        _ => {
            let (operand, want) = operand(operator, value, from, &fields)?;
            (with_operand(operator, operand), want)
        }
    };
    let text = match (operator, want.as_str()) {
        ("exists", "true") => format!("{path} exists"),
        ("exists", _) => format!("{path} is absent"),
        _ => format!("{path} {symbol} {want}"),
    };
    Ok(Leaf { path, test, at, operator, want: want.into(), text: text.into() })
}

fn path(field: &Field) -> Result<AttributePath, PolicyError> {
    let text = field.text()?;
    AttributePath::parse(&text).map_err(|expected| field.invalid(format!("`{}`", shown(&text)), expected))
}

fn operand(
    operator: &str,
    value: Option<Field>,
    from: Option<Field>,
    fields: &Fields,
) -> Result<(Operand, String), PolicyError> {
    let field = match (value, from) {
        (Some(_), Some(from)) => return Err(from.invalid("given beside `value`", "one of the two")),
        (None, None) => {
            return Err(PolicyError::MissingField {
                at: fields.pos.at(),
                field: "value",
                advice: "give `value` or `value_from`",
            });
        }
        (None, Some(from)) => {
            let path = path(&from)?;
            let want = path.to_string();
            return Ok((Operand::Attribute(path), want));
        }
        (Some(value), None) => value,
    };
    let value = field.value()?;
    let is_list = matches!(value, Value::List(_));
    match (operator, &value) {
        ("in" | "not_in", Value::List(items)) if items.is_empty() => {
            return Err(field.invalid("an empty list", "at least one item"));
        }
        ("in" | "not_in", Value::List(_)) => {}
        ("in" | "not_in", other) => return Err(field.invalid(other.type_name(), "a list")),
        (_, _) if is_list => return Err(field.invalid("a list", "a single value, or `op: in`")),
        ("gt" | "gte" | "lt" | "lte", Value::Integer(_) | Value::Timestamp(_)) => {}
        ("gt" | "gte" | "lt" | "lte", other) => {
            return Err(field.invalid(other.type_name(), "an integer or `{timestamp: ..}`"));
        }
        ("starts_with" | "ends_with" | "contains", Value::String(text)) if text.is_empty() => {
            return Err(field.invalid("empty", "at least one character, because empty text is in every text"));
        }
        ("starts_with" | "ends_with", Value::String(_)) => {}
        ("starts_with" | "ends_with", other) => return Err(field.invalid(other.type_name(), "a string")),
        _ => {}
    }
    let want = value.to_string();
    Ok((Operand::Literal(value), want))
}

fn with_operand(operator: &str, operand: Operand) -> Test {
    match operator {
        "eq" => Test::Equal { operand, negated: false },
        "ne" => Test::Equal { operand, negated: true },
        "gt" => Test::Order { order: Order::Greater, operand },
        "gte" => Test::Order { order: Order::GreaterOrEqual, operand },
        "lt" => Test::Order { order: Order::Less, operand },
        "lte" => Test::Order { order: Order::LessOrEqual, operand },
        "in" => Test::In { operand, negated: false },
        "not_in" => Test::In { operand, negated: true },
        "contains" => Test::Contains(operand),
        "starts_with" => Test::StartsWith(operand),
        _ => Test::EndsWith(operand),
    }
}

fn literal_only(
    operator: &str,
    value: Option<Field>,
    pos: crate::yaml::Pos,
) -> Result<(Test, String), PolicyError> {
    let field = match value {
        Some(value) => value,
        None if operator == "exists" => return Ok((Test::Exists(true), "true".to_owned())),
        None => {
            return Err(PolicyError::MissingField {
                at: pos.at(),
                field: "value",
                advice: "say what to compare with",
            });
        }
    };
    match operator {
        "glob" => {
            let text = field.text()?;
            let glob = Glob::compile(&text, b'/').map_err(|problem| field.invalid(problem, "a glob"))?;
            Ok((Test::Glob(glob), text))
        }
        "exists" => field.boolean().map(|expected| (Test::Exists(expected), expected.to_string())),
        "cidr" => cidr(field),
        "semver" => {
            let text = field.text()?;
            let requirement = semver::VersionReq::parse(&text).map_err(|_| {
                field
                    .invalid(format!("`{}`", shown(&text)), "a version requirement such as `>=1.2.0, <2.0.0`")
            })?;
            Ok((Test::Semver(requirement), text))
        }
        "range" => {
            let mut fields = Fields::of(field.node, "range", &["min", "max"])?;
            let min = fields.require("min", "give the smallest value allowed")?.integer()?;
            let max = fields.require("max", "give the largest value allowed")?;
            let (field, max) = (&max, max.integer()?);
            if min > max {
                return Err(
                    field.invalid(format!("{max}, below `min` {min}"), "a maximum of at least the minimum")
                );
            }
            Ok((Test::Range { min, max }, format!("{min} to {max}")))
        }
        _ => window(field),
    }
}

fn cidr(field: Field) -> Result<(Test, String), PolicyError> {
    let items = match &field.node.kind {
        NodeKind::List(_) => field.list(CONDITIONS_MAX, "the number of networks")?,
        _ => vec![field],
    };
    let mut networks = Vec::with_capacity(items.len());
    let mut texts = Vec::with_capacity(items.len());
    for item in &items {
        let text = item.text()?;
        networks.push(
            Cidr::parse(&text).map_err(|expected| item.invalid(format!("`{}`", shown(&text)), expected))?,
        );
        texts.push(text);
    }
    Ok((Test::Cidr(networks), texts.join(" or ")))
}

fn window(field: Field) -> Result<(Test, String), PolicyError> {
    let mut fields = Fields::of(field.node, "time_window", &["days", "from", "to", "offset"])?;
    let mut days = 0b111_1111;
    let mut want = Vec::new();
    if let Some(list) = fields.take("days") {
        days = 0;
        for item in list.list(7, "the number of days")? {
            let text = item.text()?;
            let bit = time_window::day(&text).ok_or_else(|| {
                item.invalid(
                    format!("`{}`", shown(&text)),
                    "`mon`, `tue`, `wed`, `thu`, `fri`, `sat` or `sun`",
                )
            })?;
            days |= bit;
            want.push(text);
        }
    }
    let days_text = if want.is_empty() { String::new() } else { format!("{} ", want.join(",")) };
    let from = fields.require("from", "give a time such as \"09:00\"")?;
    let to = fields.require("to", "give a time such as \"17:00\"")?;
    let minute = |field: &Field| {
        let text = field.text()?;
        time_window::minute(&text)
            .map(|minute| (minute, text.clone()))
            .ok_or_else(|| field.invalid(format!("`{}`", shown(&text)), "a time from `00:00` to `24:00`"))
    };
    let (from_minute, from_text) = minute(&from)?;
    let (to_minute, to_text) = minute(&to)?;
    if from_minute == to_minute || from_minute == 24 * 60 {
        return Err(to.invalid("an empty window", "a different end; `00:00` to `24:00` is the whole day"));
    }
    let (offset, offset_text) = match fields.take("offset") {
        None => (jiff::tz::Offset::UTC, "Z".to_owned()),
        Some(field) => {
            let text = field.text()?;
            let offset = time_window::offset(&text).ok_or_else(|| {
                field.invalid(format!("`{}`", shown(&text)), "`Z` or an offset such as `+02:00`")
            })?;
            (offset, text)
        }
    };
    let want = format!("{days_text}{from_text}-{to_text} {offset_text}");
    Ok((Test::TimeWindow(TimeWindow { days, from_minute, to_minute, offset }), want))
}
