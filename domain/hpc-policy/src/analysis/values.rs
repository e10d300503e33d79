//! The values of an attribute that can make a difference.
//!
//! Comparisons with literals divide all values of an attribute into classes in which every comparison has one truth: the
//! integers between two literals, the times between two ends of a window, the texts that match the same patterns. One value
//! of each class stands for all of it. Where attributes are compared with each other, each class gives as many values as
//! there are such attributes, so that they can be equal, different, and in any order.

use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use jiff::{SignedDuration, Timestamp};

use crate::analysis::words::{Pattern, Shape, explore, variants};
use crate::cidr::Cidr;
use crate::condition::{Leaf, Operand, Test};
use crate::time_window::TimeWindow;
use crate::value::Value;

/// Monday, 2026-11-02, 00:00 UTC: a week for examples that no literal ties to another.
const WEEK_SECONDS: i64 = 1_793_577_600;
/// Most items of a list of which every selection is tried.
const LIST_ITEMS_MAX: usize = 5;

/// Everything that an attribute, and those it is compared with, are compared with.
#[derive(Debug, Default)]
pub(crate) struct Compared {
    integers: Vec<i64>,
    known_integers: BTreeSet<i64>,
    booleans: bool,
    times: Vec<Timestamp>,
    windows: Vec<TimeWindow>,
    texts: Vec<String>,
    /// The same, to find one again.
    known_texts: BTreeSet<String>,
    patterns: Vec<Pattern>,
    versions: Vec<semver::VersionReq>,
    networks: Vec<Cidr>,
    addresses: Vec<IpAddr>,
    items: Vec<Value>,
    /// Compared with another attribute: in order, for equality.
    ordered: bool,
    equated: bool,
    /// One of those it is compared with is the time itself.
    timed: bool,
    /// Compared in a way for which no list of values is known to be enough.
    gap: Option<&'static str>,
}

/// Values to try, and why they may not be all, if they may not.
#[derive(Debug, Clone)]
pub(crate) struct Domain {
    pub(crate) values: Vec<Value>,
    pub(crate) gap: Option<&'static str>,
}

impl Compared {
    /// Adds what a comparison compares with.
    pub(crate) fn add(&mut self, leaf: &Leaf) {
        match &leaf.test {
            Test::Equal { operand, .. } => match operand {
                Operand::Literal(value) => self.value(value),
                Operand::Attribute(_) => self.equated = true,
            },
            Test::Order { operand, .. } => match operand {
                Operand::Literal(value) => self.value(value),
                Operand::Attribute(_) => self.ordered = true,
            },
            Test::In { operand: Operand::Literal(value), .. } => match value {
                Value::List(items) => items.iter().for_each(|item| self.value(item)),
                other => self.value(other),
            },
            Test::In { operand: Operand::Attribute(_), .. } => {
                self.equated = true;
                self.gap = Some("an attribute is looked for in a list that is another attribute");
            }
            Test::Contains(Operand::Literal(value)) => {
                if let Value::String(part) = value {
                    self.patterns.push(Pattern::around(true, part, true));
                }
                if !self.items.contains(value) {
                    self.items.push(value.clone());
                }
            }
            Test::StartsWith(Operand::Literal(Value::String(part))) => {
                self.patterns.push(Pattern::around(false, part, true));
            }
            Test::EndsWith(Operand::Literal(Value::String(part))) => {
                self.patterns.push(Pattern::around(true, part, false));
            }
            Test::Contains(Operand::Attribute(_)) | Test::StartsWith(_) | Test::EndsWith(_) => {
                self.equated = true;
                self.gap = Some("a part of an attribute is compared with another attribute");
            }
            Test::Glob(glob) => self.patterns.push(Pattern::glob(glob.source(), b'/')),
            Test::Exists(_) => {}
            Test::Cidr(networks) => self.networks.extend(networks),
            Test::TimeWindow(window) => {
                if !self.windows.contains(window) {
                    self.windows.push(window.clone());
                }
            }
            Test::Semver(requirement) => self.versions.push(requirement.clone()),
            Test::Range { min, max } => {
                self.integer(*min);
                self.integer(*max);
            }
        }
    }

    /// Notes that it is compared with another attribute for equality.
    pub(crate) fn equate(&mut self) {
        self.equated = true;
    }

    /// Notes that it is compared with the time of the request.
    pub(crate) fn time(&mut self) {
        self.timed = true;
    }

    /// Adds a value that it is compared with.
    pub(crate) fn value(&mut self, value: &Value) {
        match value {
            Value::String(text) => {
                if self.known_texts.insert(text.clone()) {
                    self.texts.push(text.clone());
                }
            }
            Value::Integer(number) => self.integer(*number),
            Value::Bool(_) => self.booleans = true,
            Value::Timestamp(at) => {
                if !self.times.contains(at) {
                    self.times.push(*at);
                }
            }
            Value::Ip(address) => self.addresses.push(address.to_canonical()),
            Value::List(items) => {
                for item in items {
                    self.value(item);
                    if !self.items.contains(item) {
                        self.items.push(item.clone());
                    }
                }
            }
            Value::Opaque => {}
        }
    }

    fn integer(&mut self, number: i64) {
        if self.known_integers.insert(number) {
            self.integers.push(number);
        }
    }

    /// Texts and patterns, for the words of a name that is compared with this.
    pub(crate) fn words(&self) -> (&[String], &[Pattern]) {
        (&self.texts, &self.patterns)
    }

    /// Why the values may not be all.
    pub(crate) fn gap(&self) -> Option<&'static str> {
        self.gap
    }

    /// Values of every class, `each` of every class that has so many; the last one has a type that nothing compares with.
    pub(crate) fn domain(&self, each: usize) -> Domain {
        let mut out = Values::default();
        let each = each.max(1);
        let mut gap = self.gap;
        self.add_integers(each, &mut out);
        if self.booleans {
            out.push(Value::Bool(true));
            out.push(Value::Bool(false));
        }
        self.add_times(each, &mut out);
        self.add_texts(each, &mut out, &mut gap);
        self.add_addresses(each, &mut out);
        self.add_lists(&mut out, &mut gap);
        out.push(self.mistyped());
        Domain { values: out.list, gap }
    }

    fn numbers(&self) -> bool {
        !self.integers.is_empty() || self.ordered && self.times.is_empty() && self.windows.is_empty()
    }

    fn add_integers(&self, each: usize, out: &mut Values) {
        if !self.numbers() {
            return;
        }
        let each = i64::try_from(each).unwrap_or(i64::MAX);
        for number in &self.integers {
            out.push(Value::Integer(*number));
            for step in 1..=each {
                out.extend(number.checked_sub(step).map(Value::Integer));
                out.extend(number.checked_add(step).map(Value::Integer));
            }
        }
        if self.integers.is_empty() {
            (0..=each).for_each(|number| out.push(Value::Integer(number)));
        }
    }

    fn add_times(&self, each: usize, out: &mut Values) {
        let each = i64::try_from(each).unwrap_or(i64::MAX);
        let mut times = Vec::new();
        for at in &self.times {
            times.push(*at);
            for step in 1..=each {
                // A second aside reads better than a nanosecond; the nanosecond is for times that lie closer together.
                for aside in [SignedDuration::from_secs(step), SignedDuration::from_nanos(step)] {
                    times.extend(at.checked_add(aside).ok());
                    times.extend(at.checked_sub(aside).ok());
                }
            }
        }
        if self.timed && self.times.is_empty() && self.windows.is_empty() {
            let start = WEEK_SECONDS + 10 * 3_600;
            times.extend((0..=each).filter_map(|step| Timestamp::from_second(start + step).ok()));
        }
        let mut ends = BTreeSet::new();
        for window in &self.windows {
            for day in 0..7_i64 {
                for minute in [window.from_minute, window.to_minute] {
                    let local = day * 86_400 + i64::from(minute) * 60;
                    ends.insert((local - i64::from(window.offset.seconds())).rem_euclid(7 * 86_400));
                }
            }
        }
        // The week for examples, and the weeks before and after each literal: between two literals every class of the
        // windows begins within a week of one of them, or not at all.
        let mut weeks = if self.times.is_empty() { vec![WEEK_SECONDS] } else { Vec::new() };
        for at in &self.times {
            let week = WEEK_SECONDS + (at.as_second() - WEEK_SECONDS).div_euclid(7 * 86_400) * 7 * 86_400;
            weeks.extend([week, week + 7 * 86_400, week - 7 * 86_400]);
        }
        weeks.dedup();
        for week in weeks {
            for end in &ends {
                for step in 0..each {
                    times.extend(Timestamp::from_second(week + end + step).ok());
                }
            }
        }
        times.into_iter().for_each(|at| out.push(Value::Timestamp(at)));
    }

    fn has_texts(&self) -> bool {
        !self.texts.is_empty() || !self.patterns.is_empty() || self.equated
    }

    fn add_texts(&self, each: usize, out: &mut Values, gap: &mut Option<&'static str>) {
        let literals = &self.known_texts;
        for text in &self.texts {
            out.push(Value::from(text.as_str()));
        }
        for version in versions(&self.versions) {
            out.push(Value::from(version.as_str()));
            // A version that a rule names is that rule's; its class has others, told apart by their build.
            let others = each - 1 + usize::from(literals.contains(&version));
            for step in 1..=others {
                out.push(Value::from(format!("{version}+{}", "x".repeat(step))));
            }
        }
        if !self.versions.is_empty() && (!self.patterns.is_empty() || !self.networks.is_empty())
            || !self.networks.is_empty() && !self.patterns.is_empty()
        {
            *gap = Some("one attribute is compared as text and as a version or an address");
        }
        if each > 2 && !self.networks.is_empty() {
            *gap = Some("several attributes are compared with each other and with networks");
        }
        if self.has_texts() || !self.versions.is_empty() {
            let found = explore(&self.patterns, &[], literals, Shape::Any);
            if !found.complete {
                *gap = Some("the patterns of one attribute are too many to combine");
            }
            for (text, _) in &found.words {
                // Text in examples should be readable; none at all says little.
                out.push(Value::from(text.as_str()));
                let more = variants(text, found.fresh, each.saturating_sub(1));
                more.into_iter().for_each(|text| out.push(Value::from(text)));
            }
        }
    }

    fn add_addresses(&self, each: usize, out: &mut Values) {
        let mut found: Vec<IpAddr> = self.addresses.clone();
        for network in &self.networks {
            let (first, after) = network.ends();
            found.push(first);
            found.extend(after);
        }
        if !self.networks.is_empty() || !self.addresses.is_empty() {
            found.extend([IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1)), IpAddr::V4(Ipv4Addr::UNSPECIFIED)]);
            found.push(IpAddr::V6(Ipv6Addr::UNSPECIFIED));
        }
        for address in found.clone() {
            // Neighbours, for literals that are compared for equality.
            if !self.addresses.is_empty() || self.has_texts() || each > 1 {
                let next = match address {
                    IpAddr::V4(v4) => IpAddr::V4(Ipv4Addr::from_bits(v4.to_bits().wrapping_add(1))),
                    IpAddr::V6(v6) => IpAddr::V6(Ipv6Addr::from_bits(v6.to_bits().wrapping_add(1))),
                };
                found.push(next);
            }
        }
        for address in found {
            out.push(Value::Ip(address));
            if self.addresses.is_empty() && !self.has_texts() {
                continue;
            }
            // As text it is in the same networks, equal to no address, and comparable with texts.
            out.push(Value::from(address.to_string()));
        }
    }

    fn add_lists(&self, out: &mut Values, gap: &mut Option<&'static str>) {
        if self.items.is_empty() {
            return;
        }
        let mut types: Vec<&'static str> = self.items.iter().map(Value::type_name).collect();
        types.sort_unstable();
        types.dedup();
        for kind in types {
            let items: Vec<&Value> = self.items.iter().filter(|item| item.type_name() == kind).collect();
            let list = |picked: Vec<&Value>| Value::List(picked.into_iter().cloned().collect());
            if items.len() > LIST_ITEMS_MAX {
                *gap = Some("a list is asked for so many items that not every selection of them was tried");
                items.iter().for_each(|item| out.push(list(vec![item])));
                out.push(list(items.clone()));
                // All but one: the other end of "contains each of these".
                for left_out in &items {
                    out.push(list(items.iter().copied().filter(|item| item != left_out).collect()));
                }
            } else {
                for selection in 1_u32..1 << items.len() {
                    let picked = items.iter().enumerate().filter(|(place, _)| selection & (1 << place) != 0);
                    out.push(list(picked.map(|(_, item)| *item).collect()));
                }
            }
            // A list of this type that has none of them.
            let strange = match items.first() {
                Some(Value::String(_)) => unlike(&items, |n| Value::from("x".repeat(n + 1))),
                Some(Value::Integer(_)) => {
                    unlike(&items, |n| Value::Integer(i64::try_from(n).unwrap_or(i64::MAX)))
                }
                Some(Value::Bool(_)) => unlike(&items, |n| Value::Bool(n % 2 == 0)),
                Some(Value::Timestamp(_)) => unlike(&items, |n| {
                    let seconds = WEEK_SECONDS + i64::try_from(n).unwrap_or(0);
                    Timestamp::from_second(seconds).map_or(Value::Opaque, Value::Timestamp)
                }),
                Some(Value::Ip(_)) => unlike(&items, |n| {
                    let n = u32::try_from(n).unwrap_or(u32::MAX);
                    Value::Ip(IpAddr::V4(Ipv4Addr::from_bits(0xc000_0200_u32.wrapping_add(n))))
                }),
                _ => None,
            };
            out.extend(strange.map(|item| Value::List(vec![item])));
        }
        out.push(Value::List(Vec::new()));
        // A list of another type than any item has.
        out.push(Value::List(vec![Value::Opaque]));
    }

    /// A value that every comparison but `exists` cannot compare, as an opaque one; of a type that can be written if
    /// there is one.
    fn mistyped(&self) -> Value {
        if !self.has_texts() && self.versions.is_empty() && self.networks.is_empty() {
            return Value::from("text");
        }
        if !self.numbers() && !self.equated {
            return Value::Integer(0);
        }
        if !self.booleans && !self.equated {
            return Value::Bool(true);
        }
        Value::Opaque
    }
}

/// The first of the values that `make` gives that is not among `items`.
fn unlike(items: &[&Value], make: impl Fn(usize) -> Value) -> Option<Value> {
    (0..=items.len()).map(make).find(|value| !items.contains(&value))
}

/// Values, each once, in the order in which they came.
#[derive(Default)]
struct Values {
    list: Vec<Value>,
    keys: BTreeSet<String>,
}

impl Values {
    fn push(&mut self, value: Value) {
        if self.keys.insert(format!("{value:?}")) {
            self.list.push(value);
        }
    }

    fn extend(&mut self, value: Option<Value>) {
        value.into_iter().for_each(|value| self.push(value));
    }
}

/// The versions at which a requirement can change, the next one after each, and their pre-releases.
fn versions(requirements: &[semver::VersionReq]) -> Vec<String> {
    if requirements.is_empty() {
        return Vec::new();
    }
    let mut ends = vec![(0, 0, 0)];
    let mut before = vec!["0.0.0-0".to_owned()];
    for comparator in requirements.iter().flat_map(|requirement| &requirement.comparators) {
        let (major, minor, patch) =
            (comparator.major, comparator.minor.unwrap_or(0), comparator.patch.unwrap_or(0));
        ends.push((major, minor, patch));
        ends.push((major, minor, patch.saturating_add(1)));
        ends.push((major, minor.saturating_add(1), 0));
        ends.push((major.saturating_add(1), 0, 0));
        if !comparator.pre.is_empty() {
            let named = format!("{major}.{minor}.{patch}-{}", comparator.pre);
            before.extend([format!("{named}.0"), named, format!("{major}.{minor}.{patch}-0")]);
        }
    }
    let next = ends.clone().into_iter().map(|(major, minor, patch)| (major, minor, patch.saturating_add(1)));
    let all = ends.clone().into_iter().chain(next);
    all.map(|(major, minor, patch)| format!("{major}.{minor}.{patch}")).chain(before).collect()
}
