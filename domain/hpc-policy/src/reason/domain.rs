//! What one attribute may be: missing, without a type, or of a type with a set of values.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::rc::Rc;

use jiff::Timestamp;

use super::Truths;
use super::budget::Budget;
use super::members::{TextItems, ValueItems};
use super::pattern::{Form, Found, Pattern};
use super::ranges::Ranges;
use super::versions;
use super::week;
use super::words::{Language, Words};
use crate::cidr::{Cidr, widen};
use crate::condition::{Operand, Order, Test};
use crate::schema::{AttributeType, ScalarType};
use crate::value::{Value, View};

/// A set of states of an attribute. Narrowing never takes out a state that the narrowed set should hold.
#[derive(Debug, Clone)]
pub(crate) struct Domain<'a> {
    missing: bool,
    opaque: bool,
    bools: Ranges,
    ints: Ranges,
    times: Ranges,
    /// Minutes of the week in which the instants are.
    minutes: Ranges,
    v4: Ranges,
    v6: Ranges,
    text: Option<Texts<'a>>,
    lists: Lists<'a>,
}

/// Texts, and what they are read as addresses and as versions.
#[derive(Debug, Clone)]
struct Texts<'a> {
    words: Language<'a>,
    no_address: bool,
    v4: Ranges,
    v6: Ranges,
    no_version: bool,
    pre_releases: bool,
    releases: Ranges,
}

#[derive(Debug, Clone)]
struct Lists<'a> {
    /// A list without items has no type of its own.
    empty: bool,
    opaque: bool,
    texts: Option<TextItems<'a>>,
    ints: Option<ValueItems<'a>>,
    bools: Option<ValueItems<'a>>,
    times: Option<ValueItems<'a>>,
    addresses: Option<ValueItems<'a>>,
    /// The roles and teams of a principal: texts even where there are none.
    names: Option<TextItems<'a>>,
}

fn whole_numbers() -> Ranges {
    Ranges::between(i128::from(i64::MIN), i128::from(i64::MAX))
}

/// Keeps the order of unsigned numbers.
fn signed(bits: u128) -> i128 {
    (bits ^ (1 << 127)).cast_signed()
}

fn unsigned(number: i128) -> u128 {
    number.cast_unsigned() ^ (1 << 127)
}

fn all_addresses() -> Ranges {
    Ranges::between(i128::MIN, i128::MAX)
}

fn address(address: IpAddr) -> (Ranges, Ranges) {
    let (bits, width) = widen(address.to_canonical());
    let one = Ranges::between(signed(bits), signed(bits));
    if width == 32 { (one, Ranges::EMPTY) } else { (Ranges::EMPTY, one) }
}

fn networks(networks: &[Cidr]) -> (Ranges, Ranges) {
    let of = |wanted: bool| {
        let ranges = networks.iter().map(Cidr::range).filter(move |(.., v4)| *v4 == wanted);
        Ranges::union(ranges.map(|(first, last, _)| (signed(first), signed(last))))
    };
    (of(true), of(false))
}

/// Which of two answers may stand: the narrowed set keeps values that give it.
#[derive(Debug, Clone, Copy)]
struct Answers {
    yes: bool,
    no: bool,
}

impl Answers {
    fn of(wanted: Truths, negated: bool) -> Self {
        let (yes, no) = (wanted.has(Truths::TRUE), wanted.has(Truths::FALSE));
        if negated { Self { yes: no, no: yes } } else { Self { yes, no } }
    }

    fn keep(self, from: &mut Ranges, matching: &Ranges) {
        match (self.yes, self.no) {
            (true, true) => {}
            (true, false) => from.intersect(matching),
            (false, true) => from.subtract(matching),
            (false, false) => *from = Ranges::EMPTY,
        }
    }

    fn none(self) -> bool {
        !self.yes && !self.no
    }
}

impl<'a> Domain<'a> {
    /// Nothing is known.
    pub(crate) fn anything() -> Self {
        Self {
            missing: true,
            opaque: true,
            bools: Ranges::between(0, 1),
            ints: whole_numbers(),
            times: week::all_time(),
            minutes: week::whole(),
            v4: all_addresses(),
            v6: all_addresses(),
            text: Some(Texts::all(Form::Free)),
            lists: Lists {
                empty: true,
                opaque: true,
                texts: Some(TextItems::all(Form::Free)),
                ints: Some(ValueItems::default()),
                bools: Some(ValueItems::default()),
                times: Some(ValueItems::default()),
                addresses: Some(ValueItems::default()),
                names: None,
            },
        }
    }

    /// Not a single state.
    fn nothing() -> Self {
        let mut domain = Self::anything();
        domain.missing = false;
        domain.clear_values();
        domain
    }

    /// A text of this form, which may be missing or not.
    pub(crate) fn text(form: Form, missing: bool) -> Self {
        Self { missing, text: Some(Texts::all(form)), ..Self::nothing() }
    }

    /// An instant, which may be missing.
    pub(crate) fn instant() -> Self {
        Self { missing: true, times: week::all_time(), ..Self::nothing() }
    }

    /// The roles or teams of a principal.
    pub(crate) fn names() -> Self {
        let mut domain = Self::nothing();
        domain.lists.names = Some(TextItems::all(Form::Name));
        domain
    }

    /// Missing, or of this type.
    pub(crate) fn typed(kind: &'a AttributeType) -> Self {
        let (all, mut domain) = (Self::anything(), Self::nothing());
        domain.missing = true;
        domain.lists.empty = kind.list;
        match (kind.scalar, kind.list) {
            (ScalarType::String, false) => domain.text = all.text,
            (ScalarType::Integer, false) => {
                domain.ints = Ranges::between(i128::from(kind.min), i128::from(kind.max));
            }
            (ScalarType::Boolean, false) => domain.bools = all.bools,
            (ScalarType::Timestamp, false) => domain.times = all.times,
            (ScalarType::Ip, false) => (domain.v4, domain.v6) = (all.v4, all.v6),
            (ScalarType::String, true) => domain.lists.texts = all.lists.texts,
            (ScalarType::Integer, true) => domain.lists.ints = all.lists.ints,
            (ScalarType::Boolean, true) => domain.lists.bools = all.lists.bools,
            (ScalarType::Timestamp, true) => domain.lists.times = all.lists.times,
            (ScalarType::Ip, true) => domain.lists.addresses = all.lists.addresses,
        }
        if !kind.values.is_empty() && !kind.list {
            domain.among(&kind.values, Answers { yes: true, no: false });
        }
        domain
    }

    /// Only texts that are (not) in `words`.
    pub(crate) fn keep_text(&mut self, words: &Rc<Words<'a>>, inside: bool) {
        if let Some(text) = &mut self.text {
            text.words.keep(words, inside);
        }
    }

    /// Not missing.
    pub(crate) fn require(&mut self) {
        self.missing = false;
    }

    /// Neither missing nor without a type.
    pub(crate) fn require_typed(&mut self) {
        self.missing = false;
        self.opaque = false;
    }

    /// Of a principal's roles or teams, some are (none is) in `words`.
    pub(crate) fn keep_names(&mut self, words: &Rc<Words<'a>>, inside: bool) {
        if let Some(names) = &mut self.lists.names {
            names.keep(words, inside);
        }
    }

    /// The texts, if it can be nothing else and they are known to be few.
    pub(crate) fn listed_texts(&self) -> Option<Vec<&'a str>> {
        self.text.as_ref()?.words.listed()
    }

    /// Keeps the states in which `test` comes out as one of `wanted`.
    pub(crate) fn narrow(&mut self, test: &'a Test, wanted: Truths) {
        if let Test::Exists(expected) = test {
            let (present, absent) =
                if *expected { (Truths::TRUE, Truths::FALSE) } else { (Truths::FALSE, Truths::TRUE) };
            if !wanted.has(present) {
                self.clear_values();
            }
            self.missing &= wanted.has(absent);
            return;
        }
        if let Some(kinds) = Comparable::of(test) {
            self.narrow_typed(test, wanted, kinds);
        } else if !wanted.has(Truths::UNKNOWN) {
            // Another attribute's value is compared: all that is known is that there is something to compare.
            self.require_typed();
        }
    }

    fn narrow_typed(&mut self, test: &'a Test, wanted: Truths, comparable: Comparable) {
        if !wanted.has(Truths::UNKNOWN) {
            self.keep_only(&comparable);
        }
        let negated = matches!(test, Test::Equal { negated: true, .. } | Test::In { negated: true, .. });
        let answers = Answers::of(wanted, negated);
        match test {
            Test::Equal { operand: Operand::Literal(value), .. } => {
                self.among(std::slice::from_ref(value), answers)
            }
            Test::In { operand: Operand::Literal(Value::List(values)), .. } => self.among(values, answers),
            Test::Order { order, operand: Operand::Literal(value) } => match value {
                Value::Integer(number) => {
                    answers.keep(&mut self.ints, &ordered(*order, i128::from(*number), &whole_numbers()));
                }
                Value::Timestamp(at) => {
                    answers.keep(&mut self.times, &ordered(*order, at.as_nanosecond(), &week::all_time()));
                }
                _ => {}
            },
            Test::Range { min, max } => {
                answers.keep(&mut self.ints, &Ranges::between(i128::from(*min), i128::from(*max)));
            }
            Test::TimeWindow(window) => {
                answers.keep(&mut self.minutes, &week::minutes(window));
            }
            Test::Cidr(list) => {
                let (v4, v6) = networks(list);
                answers.keep(&mut self.v4, &v4);
                answers.keep(&mut self.v6, &v6);
                if let Some(text) = &mut self.text {
                    answers.keep(&mut text.v4, &v4);
                    answers.keep(&mut text.v6, &v6);
                    text.no_address &= wanted.has(Truths::UNKNOWN);
                }
            }
            Test::Semver(requirement) => {
                if let Some(text) = &mut self.text {
                    text.no_version &= wanted.has(Truths::UNKNOWN);
                    match (versions::satisfying(requirement), answers.none()) {
                        (_, true) => (text.pre_releases, text.releases) = (false, Ranges::EMPTY),
                        (None, false) => {}
                        (Some(releases), false) => {
                            answers.keep(&mut text.releases, &releases);
                            // No pre-release satisfies it.
                            text.pre_releases &= answers.no;
                        }
                    }
                }
            }
            Test::Contains(Operand::Literal(value)) => {
                if let Value::String(text) = value {
                    self.texts(&Rc::new(Words::pattern(Pattern::part(text))), answers);
                }
                self.lists.narrow(value, wanted, answers);
            }
            Test::StartsWith(Operand::Literal(Value::String(text))) => {
                self.texts(&Rc::new(Words::pattern(Pattern::prefix(text))), answers);
            }
            Test::EndsWith(Operand::Literal(Value::String(text))) => {
                self.texts(&Rc::new(Words::pattern(Pattern::suffix(text))), answers);
            }
            Test::Glob(glob) => self.texts(&Rc::new(Words::pattern(Pattern::glob(glob))), answers),
            _ => {}
        }
    }

    /// Values of one type, of which the attribute is (not) one.
    fn among(&mut self, values: &'a [Value], answers: Answers) {
        let numbers = |number: fn(&Value) -> Option<i128>| {
            Ranges::union(values.iter().filter_map(number).map(|number| (number, number)))
        };
        match values.first() {
            Some(Value::String(_)) => {
                let mut words = Words::default();
                for value in values {
                    if let Value::String(text) = value {
                        words.add_name(text);
                    }
                }
                self.texts(&Rc::new(words), answers);
            }
            Some(Value::Integer(_)) => answers.keep(
                &mut self.ints,
                &numbers(|value| match value {
                    Value::Integer(number) => Some(i128::from(*number)),
                    _ => None,
                }),
            ),
            Some(Value::Bool(_)) => answers.keep(
                &mut self.bools,
                &numbers(|value| match value {
                    Value::Bool(flag) => Some(i128::from(*flag)),
                    _ => None,
                }),
            ),
            Some(Value::Timestamp(_)) => answers.keep(
                &mut self.times,
                &numbers(|value| match value {
                    Value::Timestamp(at) => Some(at.as_nanosecond()),
                    _ => None,
                }),
            ),
            Some(Value::Ip(_)) => {
                let each: Vec<(Ranges, Ranges)> = values
                    .iter()
                    .filter_map(|value| match value {
                        Value::Ip(ip) => Some(address(*ip)),
                        _ => None,
                    })
                    .collect();
                answers.keep(&mut self.v4, &Ranges::union(each.iter().flat_map(|(v4, _)| v4.iter())));
                answers.keep(&mut self.v6, &Ranges::union(each.iter().flat_map(|(_, v6)| v6.iter())));
            }
            _ => {}
        }
    }

    fn texts(&mut self, words: &Rc<Words<'a>>, answers: Answers) {
        match (answers.yes, answers.no) {
            (true, true) => {}
            (false, false) => self.text = None,
            (inside, _) => self.keep_text(words, inside),
        }
    }

    /// Takes out every state with which a comparison has no truth value.
    fn keep_only(&mut self, comparable: &Comparable) {
        let nothing = Self::nothing();
        self.require_typed();
        if !comparable.bools {
            self.bools = Ranges::EMPTY;
        }
        if !comparable.ints {
            self.ints = Ranges::EMPTY;
        }
        if !comparable.times {
            self.times = Ranges::EMPTY;
        }
        if !comparable.addresses {
            (self.v4, self.v6) = (Ranges::EMPTY, Ranges::EMPTY);
        }
        if !comparable.texts {
            self.text = None;
        }
        if !comparable.lists {
            self.lists = nothing.lists;
        }
    }

    fn clear_values(&mut self) {
        self.opaque = false;
        self.bools = Ranges::EMPTY;
        self.ints = Ranges::EMPTY;
        self.times = Ranges::EMPTY;
        (self.v4, self.v6) = (Ranges::EMPTY, Ranges::EMPTY);
        self.text = None;
        self.lists = Lists {
            empty: false,
            opaque: false,
            texts: None,
            ints: None,
            bools: None,
            times: None,
            addresses: None,
            names: None,
        };
    }

    /// Whether a state may be left.
    pub(crate) fn is_possible(&self, budget: &Budget) -> bool {
        self.missing
            || self.opaque
            || !self.bools.is_empty()
            || !self.ints.is_empty()
            || !self.v4.is_empty()
            || !self.v6.is_empty()
            || week::sample(&self.times, &self.minutes).is_some()
            || self.lists.is_possible(budget)
            || self.text.as_ref().is_some_and(|text| !text.find(budget).is_nothing())
    }

    /// A state, as far as one is known: `Some(None)` is missing.
    pub(crate) fn sample(&self, budget: &Budget) -> Option<Option<Value>> {
        let small = |number: i128| i64::try_from(number).ok();
        if let Some(number) = self.ints.sample().and_then(small) {
            return Some(Some(Value::Integer(number)));
        }
        if let Some(Found::Maybe(Some(text))) = self.text.as_ref().map(|text| text.find(budget)) {
            return Some(Some(Value::String(text)));
        }
        if let Some(flag) = self.bools.sample() {
            return Some(Some(Value::Bool(flag == 1)));
        }
        if let Some(at) = week::sample(&self.times, &self.minutes) {
            return Timestamp::from_nanosecond(at).ok().map(|at| Some(Value::Timestamp(at)));
        }
        if let Some(bits) = self.v4.sample() {
            return Some(Some(Value::Ip(IpAddr::V4(Ipv4Addr::from_bits((unsigned(bits) >> 96) as u32)))));
        }
        if let Some(bits) = self.v6.sample() {
            return Some(Some(Value::Ip(IpAddr::V6(Ipv6Addr::from_bits(unsigned(bits))))));
        }
        if let Some(items) = self.lists.sample(budget) {
            return Some(Some(Value::List(items)));
        }
        if self.opaque {
            return Some(Some(Value::Opaque));
        }
        self.missing.then_some(None)
    }

    /// A text, or the names of a list of names.
    pub(crate) fn sample_texts(&self, budget: &Budget) -> Option<Vec<String>> {
        if let Some(names) = &self.lists.names {
            return names.sample(budget);
        }
        match self.text.as_ref()?.find(budget) {
            Found::Maybe(Some(text)) => Some(vec![text]),
            _ => None,
        }
    }
}

impl<'a> Texts<'a> {
    fn all(form: Form) -> Self {
        Self {
            words: Language::all(form),
            no_address: true,
            v4: all_addresses(),
            v6: all_addresses(),
            no_version: true,
            pre_releases: true,
            releases: versions::all(),
        }
    }

    fn find(&self, budget: &Budget) -> Found {
        let address = self.no_address || !self.v4.is_empty() || !self.v6.is_empty();
        let version = self.no_version || self.pre_releases || !self.releases.is_empty();
        if !address || !version {
            return Found::Nothing;
        }
        self.words.find(|text| self.reads_as_needed(text), budget)
    }

    fn reads_as_needed(&self, text: &str) -> bool {
        let address = text.parse::<IpAddr>().map_or(self.no_address, |ip| {
            let (bits, width) = widen(ip.to_canonical());
            if width == 32 { &self.v4 } else { &self.v6 }.contains(signed(bits))
        });
        let version = semver::Version::parse(text).map_or(self.no_version, |version| {
            if version.pre.is_empty() {
                self.releases.contains(versions::of(&version))
            } else {
                self.pre_releases
            }
        });
        address && version
    }
}

impl<'a> Lists<'a> {
    fn narrow(&mut self, value: &'a Value, wanted: Truths, answers: Answers) {
        // Roles and teams know their type without items; any other empty list holds nothing of any type.
        let unknown = wanted.has(Truths::UNKNOWN);
        self.empty &= answers.no;
        self.opaque &= unknown;
        let none = answers.none();
        if let Value::String(text) = value {
            let words = Rc::new(Words::one(text));
            for items in [&mut self.texts, &mut self.names] {
                match items {
                    Some(_) if none => *items = None,
                    Some(items) if answers.yes != answers.no => items.keep(&words, answers.yes),
                    _ => {}
                }
            }
        } else if !unknown {
            (self.texts, self.names) = (None, None);
        }
        let kinds = [
            (matches!(value, Value::Integer(_)), &mut self.ints),
            (matches!(value, Value::Bool(_)), &mut self.bools),
            (matches!(value, Value::Timestamp(_)), &mut self.times),
            (matches!(value, Value::Ip(_)), &mut self.addresses),
        ];
        for (same_type, items) in kinds {
            if (same_type && none) || (!same_type && !unknown) {
                *items = None;
            } else if same_type
                && answers.yes != answers.no
                && let Some(items) = items
            {
                items.keep(value, answers.yes);
            }
        }
    }

    fn is_possible(&self, budget: &Budget) -> bool {
        let texts = |items: &Option<TextItems<'a>>| {
            items.as_ref().is_some_and(|items| items.sample(budget).is_some())
        };
        let values =
            |items: &Option<ValueItems<'a>>| items.as_ref().is_some_and(|items| items.sample().is_some());
        self.empty
            || self.opaque
            || [&self.ints, &self.bools, &self.times, &self.addresses].into_iter().any(values)
            || texts(&self.texts)
            || texts(&self.names)
    }

    /// Items of a list, but for roles and teams.
    fn sample(&self, budget: &Budget) -> Option<Vec<Value>> {
        let texts =
            self.texts.as_ref().and_then(|items| items.sample(budget)).filter(|items| !items.is_empty());
        if let Some(texts) = texts {
            return Some(texts.into_iter().map(Value::String).collect());
        }
        for items in [&self.ints, &self.bools, &self.times, &self.addresses].into_iter().flatten() {
            if let Some(items) = items.sample().filter(|items| !items.is_empty()) {
                return Some(items);
            }
        }
        self.empty.then(Vec::new)
    }
}

/// With which types a comparison has a truth value.
#[derive(Debug, Clone, Copy, Default)]
struct Comparable {
    texts: bool,
    ints: bool,
    bools: bool,
    times: bool,
    addresses: bool,
    lists: bool,
}

impl Comparable {
    /// `None` where the other side is another attribute.
    fn of(test: &Test) -> Option<Self> {
        let literal = |operand: &Operand| match operand {
            Operand::Literal(value) => Some(Self::with(value)),
            Operand::Attribute(_) => None,
        };
        match test {
            Test::Equal { operand, .. } | Test::Order { operand, .. } | Test::In { operand, .. } => {
                literal(operand)
            }
            Test::StartsWith(operand) | Test::EndsWith(operand) => literal(operand),
            Test::Contains(Operand::Literal(value)) => {
                Some(Self { lists: true, texts: matches!(value, Value::String(_)), ..Self::default() })
            }
            Test::Contains(Operand::Attribute(_)) => None,
            Test::Glob(_) | Test::Semver(_) => Some(Self { texts: true, ..Self::default() }),
            Test::Cidr(_) => Some(Self { texts: true, addresses: true, ..Self::default() }),
            Test::TimeWindow(_) => Some(Self { times: true, ..Self::default() }),
            Test::Range { .. } => Some(Self { ints: true, ..Self::default() }),
            Test::Exists(_) => None,
        }
    }

    fn with(value: &Value) -> Self {
        match value.view() {
            View::Str(_) => Self { texts: true, ..Self::default() },
            View::Int(_) => Self { ints: true, ..Self::default() },
            View::Bool(_) => Self { bools: true, ..Self::default() },
            View::Time(_) => Self { times: true, ..Self::default() },
            View::Ip(_) => Self { addresses: true, ..Self::default() },
            View::List(items) => items.first().map_or_else(Self::default, Self::with),
            View::Strs(_) | View::Opaque => Self::default(),
        }
    }
}

fn ordered(order: Order, number: i128, all: &Ranges) -> Ranges {
    let mut ranges = match order {
        Order::Greater => Ranges::between(number + 1, i128::MAX),
        Order::GreaterOrEqual => Ranges::between(number, i128::MAX),
        Order::Less => Ranges::between(i128::MIN, number - 1),
        Order::LessOrEqual => Ranges::between(i128::MIN, number),
    };
    ranges.intersect(all);
    ranges
}

#[cfg(test)]
mod tests;
