//! The slow, obvious evaluator: the language's definition, written a second time.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use super::model::{Comparator, Condition, Datum, Name, Request, Right, Rule, Test, Who, Window, World};

/// What must come of a request.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Expected {
    pub(crate) allowed: bool,
    /// Rules that match in full.
    pub(crate) matched: BTreeSet<String>,
    /// Deny rules in scope whose conditions have no truth value.
    pub(crate) denied_by_unknown: BTreeSet<String>,
    /// Whether an allow rule was in scope and did not match.
    pub(crate) near_miss: bool,
    pub(crate) obligations: BTreeMap<String, Datum>,
}

pub(crate) fn expected(world: &World, request: &Request) -> Expected {
    let in_scope: Vec<&Rule> = world.rules.iter().filter(|rule| in_scope(world, rule, request)).collect();
    let truth = |rule: &Rule| all(rule.conditions.iter().map(|one| truth(one, request)));
    let allows: Vec<&Rule> =
        in_scope.iter().copied().filter(|rule| rule.allow && truth(rule) == Some(true)).collect();
    let denies: Vec<&Rule> =
        in_scope.iter().copied().filter(|rule| !rule.allow && truth(rule) != Some(false)).collect();
    let allowed = denies.is_empty() && !allows.is_empty();
    let names = |rules: &[&Rule]| rules.iter().map(|rule| rule.name.clone()).collect::<BTreeSet<_>>();
    let mut matched = in_scope.clone();
    matched.retain(|rule| truth(rule) == Some(true));
    let mut unknown = denies.clone();
    unknown.retain(|rule| truth(rule).is_none());
    Expected {
        allowed,
        matched: names(&matched),
        denied_by_unknown: names(&unknown),
        near_miss: in_scope.iter().any(|rule| rule.allow && truth(rule) != Some(true)),
        obligations: combined(if allowed { &allows } else { &denies }),
    }
}

fn in_scope(world: &World, rule: &Rule, request: &Request) -> bool {
    rule.actions.iter().any(|action| is(action, &request.action, b'.'))
        && rule.principals.iter().any(|who| matches(world, who, request))
        && rule.resources.iter().any(|(kind, id)| {
            (kind == "*" || *kind == request.resource_type) && is(id, &request.resource_id, b'/')
        })
}

fn matches(world: &World, who: &Who, request: &Request) -> bool {
    match who {
        Who::Any => true,
        Who::Id(kind, name) => *kind == request.kind && is(name, &request.id, b'/'),
        Who::Role(name) => request.roles.iter().any(|role| role_counts_as(world, role, name)),
        Who::Team(name) => request.teams.iter().any(|team| is(name, team, b'/')),
        Who::Spiffe(name) => request.spiffe_id.iter().any(|id| is(name, id, b'/')),
        Who::Group(group) => world
            .groups
            .iter()
            .any(|(name, members)| name == group && members.iter().any(|who| matches(world, who, request))),
    }
}

/// A role counts as itself and as every role that it includes.
fn role_counts_as(world: &World, role: &str, name: &Name) -> bool {
    is(name, role, b'/')
        || world.roles.iter().any(|(including, included)| {
            including == role && included.iter().any(|one| role_counts_as(world, one, name))
        })
}

fn is(name: &Name, text: &str, separator: u8) -> bool {
    match name {
        Name::Exact(exact) => exact == text,
        Name::Pattern(pattern) => glob(pattern.as_bytes(), text.as_bytes(), separator),
    }
}

fn glob(pattern: &[u8], text: &[u8], separator: u8) -> bool {
    match pattern {
        [] => text.is_empty(),
        [b'*', b'*', rest @ ..] => (0..=text.len()).any(|skip| glob(rest, &text[skip..], separator)),
        [b'*', rest @ ..] => (0..=text.len())
            .filter(|&skip| !text[..skip].contains(&separator))
            .any(|skip| glob(rest, &text[skip..], separator)),
        [byte, rest @ ..] => text.first() == Some(byte) && glob(rest, &text[1..], separator),
    }
}

/// Of integers the smaller, or the larger if the name begins with `min_`; of flags the or; of texts all of them.
fn combined(rules: &[&Rule]) -> BTreeMap<String, Datum> {
    let mut given: BTreeMap<String, Vec<Datum>> = BTreeMap::new();
    for (name, value) in rules.iter().flat_map(|rule| &rule.obligations) {
        given.entry(name.clone()).or_default().push(value.clone());
    }
    let one = |name: &str, values: Vec<Datum>| {
        let numbers =
            values.iter().filter_map(|value| if let Datum::Number(n) = value { Some(*n) } else { None });
        match &values[0] {
            first if values.iter().all(|value| value == first) => first.clone(),
            Datum::Number(_) if name.starts_with("min_") => Datum::Number(numbers.max().unwrap()),
            Datum::Number(_) => Datum::Number(numbers.min().unwrap()),
            Datum::Flag(_) => Datum::Flag(values.contains(&Datum::Flag(true))),
            _ => {
                let texts: BTreeSet<Datum> = values
                    .into_iter()
                    .flat_map(|value| if let Datum::List(items) = value { items } else { vec![value] })
                    .collect();
                Datum::List(texts.into_iter().collect())
            }
        }
    };
    given.into_iter().map(|(name, values)| (name.clone(), one(&name, values))).collect()
}

/// `None` is unknown.
pub(crate) fn truth(condition: &Condition, request: &Request) -> Option<bool> {
    match condition {
        Condition::Leaf(attribute, test) => leaf(attribute, test, request),
        Condition::Not(inner) => truth(inner, request).map(|truth| !truth),
        Condition::All(inner) => all(inner.iter().map(|one| truth(one, request))),
        // By De Morgan.
        Condition::Any(inner) => {
            all(inner.iter().map(|one| truth(one, request).map(|truth| !truth))).map(|truth| !truth)
        }
    }
}

fn all(truths: impl Iterator<Item = Option<bool>>) -> Option<bool> {
    let truths: Vec<Option<bool>> = truths.collect();
    if truths.contains(&Some(false)) {
        return Some(false);
    }
    if truths.contains(&None) { None } else { Some(true) }
}

fn leaf(attribute: &str, test: &Test, request: &Request) -> Option<bool> {
    let found = lookup(attribute, request);
    if let Test::Exists(wanted) = test {
        return Some(found.is_some() == *wanted);
    }
    let have = found?;
    match test {
        Test::With(operator, Right::Value(value)) => with(operator, &have, value),
        Test::With(operator, Right::Attribute(path)) => {
            let value = lookup(path, request)?;
            // Empty text of somebody else's choosing is part of every text.
            let searches = matches!(*operator, "contains" | "starts_with" | "ends_with");
            if searches && matches!(have, Datum::Text(_)) && value == Datum::Text(String::new()) {
                return None;
            }
            with(operator, &have, &value)
        }
        Test::Glob(pattern) => text(&have).map(|text| glob(pattern.as_bytes(), text.as_bytes(), b'/')),
        Test::Exists(_) => unreachable!("answered above"),
        Test::Cidr(networks) => {
            let bits = match &have {
                Datum::Address(address) | Datum::Text(address) => address_bits(address)?,
                _ => return None,
            };
            Some(networks.iter().any(|network| {
                let (address, prefix) = network.split_once('/').unwrap();
                let (network, prefix) = (address_bits(address).unwrap(), prefix.parse::<usize>().unwrap());
                network.len() == bits.len() && network[..prefix] == bits[..prefix]
            }))
        }
        Test::TimeWindow(window) => match have {
            Datum::Time(seconds) => Some(within(window, seconds)),
            _ => None,
        },
        Test::Semver(comparators) => version(text(&have)?).map(|have| satisfies(&have, comparators)),
        Test::Range(min, max) => match have {
            Datum::Number(number) => Some(*min <= number && number <= *max),
            _ => None,
        },
    }
}

fn lookup(path: &str, request: &Request) -> Option<Datum> {
    match path {
        "action" => Some(Datum::Text(request.action.clone())),
        "principal.id" => Some(Datum::Text(request.id.clone())),
        "principal.type" => Some(Datum::Text(request.kind.to_owned())),
        "principal.roles" => Some(Datum::Texts(request.roles.clone())),
        "principal.teams" => Some(Datum::Texts(request.teams.clone())),
        "principal.spiffe_id" => request.spiffe_id.clone().map(Datum::Text),
        "resource.id" => Some(Datum::Text(request.resource_id.clone())),
        "resource.type" => Some(Datum::Text(request.resource_type.clone())),
        "context.now" => request.now.map(Datum::Time),
        other => request.attributes.get(other).cloned(),
    }
}

fn text(datum: &Datum) -> Option<&str> {
    if let Datum::Text(text) = datum { Some(text) } else { None }
}

fn with(operator: &str, left: &Datum, right: &Datum) -> Option<bool> {
    match operator {
        "eq" => equal(left, right),
        "ne" => equal(left, right).map(|equal| !equal),
        "gt" => less(right, left),
        "lt" => less(left, right),
        "gte" => less(left, right).map(|less| !less),
        "lte" => less(right, left).map(|less| !less),
        "in" => member(left, right),
        "not_in" => member(left, right).map(|member| !member),
        "contains" => match (left, right) {
            (Datum::Text(text), Datum::Text(part)) => {
                let starts = (0..=text.len()).filter(|&at| text.is_char_boundary(at));
                Some(starts.into_iter().any(|at| text[at..].starts_with(part.as_str())))
            }
            _ => member(right, left),
        },
        "starts_with" => Some(text(left)?.strip_prefix(text(right)?).is_some()),
        "ends_with" => Some(text(left)?.strip_suffix(text(right)?).is_some()),
        other => unreachable!("{other}"),
    }
}

fn equal(left: &Datum, right: &Datum) -> Option<bool> {
    match (left, right) {
        (Datum::Text(left), Datum::Text(right)) => Some(left == right),
        (Datum::Number(left), Datum::Number(right)) | (Datum::Time(left), Datum::Time(right)) => {
            Some(left == right)
        }
        (Datum::Flag(left), Datum::Flag(right)) => Some(left == right),
        (Datum::Address(left), Datum::Address(right)) => Some(address_bits(left) == address_bits(right)),
        _ => None,
    }
}

fn less(left: &Datum, right: &Datum) -> Option<bool> {
    match (left, right) {
        (Datum::Number(left), Datum::Number(right)) | (Datum::Time(left), Datum::Time(right)) => {
            Some(left < right)
        }
        _ => None,
    }
}

/// A scalar with a type is in a list or is not; nothing of one type can be looked for among another.
fn member(item: &Datum, list: &Datum) -> Option<bool> {
    if matches!(item, Datum::List(_) | Datum::Texts(_) | Datum::Opaque) {
        return None;
    }
    let items = match list {
        Datum::List(items) => items,
        Datum::Texts(items) => return text(item).map(|text| items.iter().any(|other| other == text)),
        _ => return None,
    };
    let answers: Vec<Option<bool>> = items.iter().map(|other| equal(item, other)).collect();
    if answers.contains(&None) { None } else { Some(answers.contains(&Some(true))) }
}

/// 32 or 128 bits; an IPv4 address written as IPv6 counts as IPv4.
fn address_bits(text: &str) -> Option<Vec<bool>> {
    let bytes = match text.parse::<IpAddr>().ok()? {
        IpAddr::V4(address) => address.octets().to_vec(),
        IpAddr::V6(address) => address.octets().to_vec(),
    };
    let bytes = match bytes.as_slice() {
        [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 255, 255, rest @ ..] => rest.to_vec(),
        _ => bytes,
    };
    Some(bytes.iter().flat_map(|byte| (0..8).rev().map(move |bit| byte >> bit & 1 == 1)).collect())
}

/// Some day's window, today's or yesterday's, holds this minute.
fn within(window: &Window, seconds: i64) -> bool {
    const DAY: i64 = 24 * 60;
    let minute = seconds.div_euclid(60) + window.offset_minutes;
    let today = minute.div_euclid(DAY);
    let length =
        if window.to > window.from { window.to - window.from } else { window.to + DAY - window.from };
    [today - 1, today].into_iter().any(|day| {
        // 1970-01-01 was a Thursday.
        let name =
            ["thu", "fri", "sat", "sun", "mon", "tue", "wed"][usize::try_from(day.rem_euclid(7)).unwrap()];
        let begin = day * DAY + window.from;
        (window.days.is_empty() || window.days.contains(&name)) && begin <= minute && minute < begin + length
    })
}

/// Major, minor, patch; and whether it is a release, before its pre-release word: a release is the greater.
type Version = (u64, u64, u64, bool, String);

fn version(text: &str) -> Option<Version> {
    let (numbers, pre) = text.split_once('-').unwrap_or((text, ""));
    let number = |text: &str| {
        let canonical = text == "0" || !text.starts_with('0');
        (canonical && text.bytes().all(|byte| byte.is_ascii_digit())).then(|| text.parse().ok()).flatten()
    };
    let parts: Vec<&str> = numbers.split('.').collect();
    let [major, minor, patch] = parts.as_slice() else { return None };
    Some((number(major)?, number(minor)?, number(patch)?, pre.is_empty(), pre.to_owned()))
}

fn satisfies(have: &Version, comparators: &[Comparator]) -> bool {
    let wanted = |comparator: &Comparator| version(&comparator.version).unwrap();
    // A pre-release is meant only where one of the same version is named.
    let named = |comparator: &Comparator| {
        let want = wanted(comparator);
        !want.3 && (want.0, want.1, want.2) == (have.0, have.1, have.2)
    };
    if !have.3 && !comparators.iter().any(named) {
        return false;
    }
    comparators.iter().all(|comparator| {
        let want = wanted(comparator);
        match comparator.sign {
            "=" => *have == want,
            ">" => *have > want,
            ">=" => *have >= want,
            "<" => *have < want,
            "<=" => *have <= want,
            "~" => *have >= want && (have.0, have.1) == (want.0, want.1),
            // `^`: the leftmost number that is not zero stays.
            _ => {
                let same = match want {
                    (0, 0, ..) => (have.0, have.1, have.2) == (want.0, want.1, want.2),
                    (0, ..) => (have.0, have.1) == (want.0, want.1),
                    _ => have.0 == want.0,
                };
                *have >= want && same
            }
        }
    })
}
