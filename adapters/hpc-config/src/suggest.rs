/// The known name nearest to `given`, if it is near enough to be a typing mistake.
pub(crate) fn suggestion(given: &str, known: &[&str]) -> Option<String> {
    const GIVEN_CHARS_MAX: usize = 64; // the search is quadratic
    if given.chars().count() > GIVEN_CHARS_MAX {
        return None;
    }
    known
        .iter()
        .map(|name| (distance(&fold(given), &fold(name)), *name))
        .filter(|(distance, name)| *distance <= name.chars().count().min(given.chars().count()).div_ceil(3))
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, name)| name.to_owned())
}

/// `maxHourly`, `max-hourly` and `max_hourly` are one name to a person.
fn fold(name: &str) -> Vec<char> {
    name.chars().filter(|c| *c != '_' && *c != '-').flat_map(char::to_lowercase).collect()
}

/// Insertions, deletions and replacements from one to the other.
fn distance(from: &[char], to: &[char]) -> usize {
    let mut row: Vec<usize> = (0..=to.len()).collect();
    for (index, a) in from.iter().enumerate() {
        let mut diagonal = index;
        let mut left = index + 1;
        let mut next = vec![left];
        for (b, above) in to.iter().zip(row.iter().skip(1)) {
            let cost = (diagonal + usize::from(a != b)).min(left + 1).min(above + 1);
            diagonal = *above;
            left = cost;
            next.push(cost);
        }
        row = next;
    }
    row.last().copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn near_names_are_suggested() {
        let known = ["listen_addr", "log_level", "database_url"];
        for (given, expected) in [
            ("listen_adr", Some("listen_addr")),
            ("listenAddr", Some("listen_addr")),
            ("loglevel", Some("log_level")),
            ("lgo_level", Some("log_level")),
            ("colour", None),
            ("", None),
        ] {
            assert_eq!(suggestion(given, &known).as_deref(), expected, "{given}");
        }
        assert_eq!(suggestion(&"x".repeat(10_000), &known), None);
    }
}
