//! InfluxQL, the way out: text made from a checked [`Select`] and from nothing else.

use hpc_timeseries::{Aggregation, Fill, Filter, Grouping, Order, Select};

/// The kinds of the fields of a measurement.
pub(crate) fn field_keys(select: &Select) -> String {
    format!("SHOW FIELD KEYS FROM {}", identifier(select.measurement()))
}

/// One field, as stored or folded. Asks for one sample more than the limit, to know whether there are more.
pub(crate) fn field(select: &Select, field: &str) -> String {
    let value = identifier(field);
    let (value, window, fill) = match select.aggregate() {
        None => (value, String::new(), ""),
        Some((aggregation, window_ns)) => {
            let fill = match select.fill() {
                Fill::None => " fill(none)",
                Fill::Null => " fill(null)",
            };
            (format!("{}({value})", function(aggregation)), format!("time({window_ns}ns)"), fill)
        }
    };
    let mut groups: Vec<String> = match select.grouping() {
        Grouping::EachSeries => vec!["*".to_owned()],
        Grouping::ByTags(tags) => tags.iter().map(|tag| identifier(tag)).collect(),
    };
    if !window.is_empty() {
        groups.insert(0, window);
    }
    let order = match select.order() {
        Order::OldestFirst => "ASC",
        Order::NewestFirst => "DESC",
    };
    format!(
        "SELECT {value} FROM {}{}{}{fill} ORDER BY time {order} LIMIT {}",
        identifier(select.measurement()),
        conditions(select, true),
        if groups.is_empty() { String::new() } else { format!(" GROUP BY {}", groups.join(",")) },
        select.limit().saturating_add(1),
    )
}

/// The newest sample of one field of each series.
pub(crate) fn last(select: &Select, field: &str) -> String {
    let measurement = identifier(select.measurement());
    format!("SELECT last({}) FROM {measurement}{} GROUP BY *", identifier(field), conditions(select, true))
}

/// The series, one more than asked for.
pub(crate) fn series(select: &Select, limit: usize) -> String {
    let measurement = identifier(select.measurement());
    format!("SHOW SERIES FROM {measurement}{} LIMIT {}", conditions(select, false), limit.saturating_add(1))
}

/// Makes a database; the name has been checked.
pub(crate) fn create_database(database: &str) -> String {
    format!("CREATE DATABASE {}", identifier(database))
}

fn conditions(select: &Select, with_time: bool) -> String {
    let mut all: Vec<String> = select.filters().iter().map(condition).collect();
    if with_time {
        match select.range().back_ns() {
            // The server's clock says what "now" is.
            Some(back_ns) => {
                all.push(format!("time >= now() - {back_ns}ns"));
                all.push("time < now()".to_owned());
            }
            None => {
                let (start_ns, end_ns) = select.range().resolve(0);
                all.push(format!("time >= {start_ns}"));
                all.push(format!("time < {end_ns}"));
            }
        }
    }
    if all.is_empty() { String::new() } else { format!(" WHERE {}", all.join(" AND ")) }
}

fn condition(filter: &Filter) -> String {
    match filter {
        Filter::Is { tag, value } => format!("{} = {}", identifier(tag), literal(value)),
        Filter::IsNot { tag, value } => format!("{} != {}", identifier(tag), literal(value)),
        Filter::In { tag, values } => {
            let any: Vec<String> =
                values.iter().map(|value| format!("{} = {}", identifier(tag), literal(value))).collect();
            format!("({})", any.join(" OR "))
        }
    }
}

fn function(aggregation: Aggregation) -> &'static str {
    match aggregation {
        Aggregation::Sum => "sum",
        Aggregation::Min => "min",
        Aggregation::Max => "max",
        Aggregation::Count => "count",
        Aggregation::First => "first",
        Aggregation::Last => "last",
        Aggregation::Mean => "mean",
        // The port may grow. The server knows no such function and says so, instead of answering something else.
        _ => "unsupported",
    }
}

/// Names hold only `[a-z0-9_]`; quoting keeps words such as `from` apart. The filter is a second lock on the door.
fn identifier(name: &str) -> String {
    let safe: String = name.chars().filter(|c| c.is_ascii_alphanumeric() || *c == '_').collect();
    format!("\"{safe}\"")
}

/// Tag values hold no control character.
fn literal(value: &str) -> String {
    let mut out = String::with_capacity(value.len() + 2);
    out.push('\'');
    for character in value.chars() {
        if matches!(character, '\'' | '\\') {
            out.push('\\');
        }
        out.push(character);
    }
    out.push('\'');
    out
}

#[cfg(test)]
mod tests {
    use hpc_timeseries::{QueryBuilder, TimeRange};
    use proptest::prelude::*;

    use super::*;

    fn text(builder: QueryBuilder, name: &str) -> String {
        field(builder.build().select().unwrap(), name)
    }

    #[test]
    fn queries_become_text() {
        let query = QueryBuilder::new("gpu_metrics")
            .filter("host", "server-01")
            .range(TimeRange::last_hour())
            .aggregate(Aggregation::Mean, "1m");
        assert_eq!(
            text(query, "power_watts"),
            "SELECT mean(\"power_watts\") FROM \"gpu_metrics\" WHERE \"host\" = 'server-01' \
             AND time >= now() - 3600000000000ns AND time < now() \
             GROUP BY time(60000000000ns),* fill(none) ORDER BY time ASC LIMIT 1000001"
        );
        let query = QueryBuilder::new("gpu")
            .filter_not("host", "it's \\ 'x")
            .filter_in("zone", ["a", "b"])
            .range(TimeRange::between_ns(5, 9))
            .order(Order::NewestFirst)
            .limit(3);
        assert_eq!(
            text(query, "v"),
            "SELECT \"v\" FROM \"gpu\" WHERE \"host\" != 'it\\'s \\\\ \\'x' AND (\"zone\" = 'a' OR \"zone\" = 'b') \
             AND time >= 5 AND time < 9 GROUP BY * ORDER BY time DESC LIMIT 4"
        );
    }

    proptest! {
        /// A literal ends where it should, whatever the value.
        #[test]
        fn literals_cannot_be_left(value in "[^\\p{Cc}]{0,40}") {
            let quoted = literal(&value);
            let inside = quoted.strip_prefix('\'').unwrap();
            let mut back = String::new();
            let mut characters = inside.chars();
            loop {
                match characters.next().unwrap() {
                    '\'' => break,
                    '\\' => back.push(characters.next().unwrap()),
                    other => back.push(other),
                }
            }
            prop_assert_eq!(back, value);
            prop_assert_eq!(characters.next(), None);
        }
    }
}
