use figment::value::{Dict, Num, Tag, Value};
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use crate::error::{ConfigError, Problem};
use crate::tree::{Lines, Reading, Step, Tree};

pub(crate) fn read(source: &str, text: &str) -> Result<Tree, ConfigError> {
    let mut reading = Reading::new(source);
    let lines = Lines::new(text);
    let table = DeTable::parse(text).map_err(|error| {
        let at = error.span().map(|span| lines.position(span.start));
        let message = error.message();
        let problem = if message.starts_with("duplicate key") {
            Problem::DuplicateKey
        } else if message.contains("recursion depth") {
            Problem::TooDeep
        } else {
            // The parser's later lines repeat the text.
            Problem::Syntax { detail: message.lines().next().unwrap_or_default().to_owned() }
        };
        reading.error(at, problem)
    })?;
    let root = map(&mut reading, &lines, table.get_ref())?;
    reading.finish(root)
}

fn map(reading: &mut Reading<'_>, lines: &Lines<'_>, table: &DeTable<'_>) -> Result<Value, ConfigError> {
    let mut dict = Dict::new();
    for (key, item) in table {
        let at = lines.position(key.span().start);
        let name = key.get_ref().to_string();
        let child = reading.inside(Step::Key(name.clone()), at, |reading| value(reading, lines, item))?;
        dict.insert(name, child);
    }
    Ok(Value::Dict(Tag::Default, dict))
}

fn value(
    reading: &mut Reading<'_>,
    lines: &Lines<'_>,
    item: &Spanned<DeValue<'_>>,
) -> Result<Value, ConfigError> {
    let tag = Tag::Default;
    let invalid = |reading: &Reading<'_>, rule: &str| {
        let at = lines.position(item.span().start);
        reading.error(Some(at), Problem::Invalid { rule: Some(rule.to_owned()) })
    };
    Ok(match item.get_ref() {
        DeValue::String(text) => Value::String(tag, text.to_string()),
        DeValue::Boolean(value) => Value::Bool(tag, *value),
        DeValue::Datetime(time) => Value::String(tag, time.to_string()),
        DeValue::Integer(number) => match i64::from_str_radix(number.as_str(), number.radix()) {
            Ok(number) => match u64::try_from(number) {
                Ok(number) => Value::Num(tag, Num::U64(number)),
                Err(_) => Value::Num(tag, Num::I64(number)),
            },
            Err(_) => return Err(invalid(reading, "integer does not fit into 64 bits")),
        },
        DeValue::Float(number) => match number.as_str().parse::<f64>() {
            Ok(number) if number.is_finite() => Value::Num(tag, Num::F64(number)),
            _ => return Err(invalid(reading, "number must be finite")),
        },
        DeValue::Array(items) => {
            let mut list = Vec::with_capacity(items.len());
            for (index, item) in items.iter().enumerate() {
                let at = lines.position(item.span().start);
                list.push(reading.inside(Step::Index(index), at, |reading| value(reading, lines, item))?);
            }
            Value::Array(tag, list)
        }
        DeValue::Table(table) => map(reading, lines, table)?,
    })
}
