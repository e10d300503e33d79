//! What is known of a request, attribute by attribute.

use std::collections::BTreeMap;
use std::rc::Rc;

use super::Truths;
use super::budget::Budget;
use super::domain::Domain;
use super::pattern::Form;
use super::words::Words;
use crate::condition::{Leaf, Operand, Order, Test};
use crate::context::PrincipalKind;
use crate::path::Source;

/// What a principal can be.
pub(super) const KINDS: [PrincipalKind; 3] =
    [PrincipalKind::User, PrincipalKind::Service, PrincipalKind::Agent];

/// What is known of attributes before any rule is read, such as the types that a schema gives them.
pub(crate) trait Knowledge {
    /// Keeps of a domain what the attribute can be.
    fn narrow<'a>(&'a self, source: &Source, domain: &mut Domain<'a>);
}

/// Nothing is known but what holds for every request that can be judged.
#[derive(Debug)]
pub(crate) struct OnlyBuiltIn;

impl Knowledge for OnlyBuiltIn {
    fn narrow<'a>(&'a self, _: &Source, _: &mut Domain<'a>) {}
}

/// A set of requests: each attribute is in its domain, and each pair that is compared stands as it should.
#[derive(Clone)]
pub(crate) struct Facts<'a> {
    knowledge: &'a dyn Knowledge,
    domains: BTreeMap<&'a Source, Domain<'a>>,
    relations: BTreeMap<Relation<'a>, u8>,
}

/// Two attributes and how they are compared; symmetric comparisons have their attributes in order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Relation<'a> {
    how: How,
    left: &'a Source,
    right: &'a Source,
}

/// What the left one of a pair must be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Need {
    Same,
    Less,
    Greater,
    /// An item of the right one.
    Item,
    /// A list that holds the right one.
    Holder,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum How {
    Equal,
    Order,
    In,
    Contains,
    StartsWith,
    EndsWith,
}

// Ways in which a pair can stand to each other.
const LESS: u8 = 1;
const SAME: u8 = 2;
const GREATER: u8 = 4;
/// Not the same, or not in the list, or not a part.
const NOT: u8 = LESS | GREATER;
const NO_TRUTH: u8 = 8;

impl<'a> Facts<'a> {
    pub(crate) fn new(knowledge: &'a dyn Knowledge) -> Self {
        Self { knowledge, domains: BTreeMap::new(), relations: BTreeMap::new() }
    }

    /// What the attribute may be.
    pub(crate) fn domain(&mut self, source: &'a Source) -> &mut Domain<'a> {
        let knowledge = self.knowledge;
        self.domains.entry(source).or_insert_with(|| {
            let mut domain = every(source);
            knowledge.narrow(source, &mut domain);
            domain
        })
    }

    pub(crate) fn domains(&self) -> impl Iterator<Item = (&'a Source, &Domain<'a>)> {
        self.domains.iter().map(|(source, domain)| (*source, domain))
    }

    /// How pairs of attributes must stand to each other, where a single way is left.
    pub(crate) fn pairs(&self) -> impl Iterator<Item = (&'a Source, Need, &'a Source)> {
        self.relations.iter().filter_map(|(relation, ways)| {
            let need = match (relation.how, *ways & !NO_TRUTH) {
                (How::Equal | How::StartsWith | How::EndsWith, SAME) => Need::Same,
                (How::Order, ways) if ways & SAME != 0 => Need::Same,
                (How::Order, LESS) => Need::Less,
                (How::Order, GREATER) => Need::Greater,
                (How::In, SAME) => Need::Item,
                (How::Contains, SAME) => Need::Holder,
                _ => return None,
            };
            Some((relation.left, need, relation.right))
        })
    }

    /// Whether the attribute may be anything that its domain holds.
    pub(crate) fn is_possible(&mut self, source: &'a Source, budget: &Budget) -> bool {
        self.domain(source).is_possible(budget)
    }

    /// Keeps the requests for which `leaf` comes out as one of `wanted`; false if there are none.
    pub(crate) fn narrow(&mut self, leaf: &'a Leaf, wanted: Truths, budget: &Budget) -> bool {
        if wanted == Truths::ALL {
            return true;
        }
        let source = leaf.path.source();
        self.domain(source).narrow(&leaf.test, wanted);
        if !self.is_possible(source, budget) {
            return false;
        }
        let Some(other) = leaf.operand_path() else { return wanted != Truths::NONE };
        let other = other.source();
        if !wanted.has(Truths::UNKNOWN) {
            self.domain(other).require_typed();
            if !self.is_possible(other, budget) {
                return false;
            }
        }
        self.relate(&leaf.test, source, other, wanted)
    }

    /// Whether `leaf` alone may come out as one of `wanted`, the other attribute of a pair aside.
    pub(crate) fn admits(&mut self, leaf: &'a Leaf, wanted: Truths, budget: &Budget) -> bool {
        let mut domain = self.domain(leaf.path.source()).clone();
        domain.narrow(&leaf.test, wanted);
        domain.is_possible(budget)
    }

    fn relate(&mut self, test: &Test, left: &'a Source, right: &'a Source, wanted: Truths) -> bool {
        let (how, yes) = match test {
            Test::Equal { negated, .. } => (How::Equal, if *negated { NOT } else { SAME }),
            Test::In { negated, .. } => (How::In, if *negated { NOT } else { SAME }),
            Test::Order { order, .. } => (
                How::Order,
                match order {
                    Order::Less => LESS,
                    Order::LessOrEqual => LESS | SAME,
                    Order::Greater => GREATER,
                    Order::GreaterOrEqual => GREATER | SAME,
                },
            ),
            Test::Contains(Operand::Attribute(_)) => (How::Contains, SAME),
            Test::StartsWith(Operand::Attribute(_)) => (How::StartsWith, SAME),
            Test::EndsWith(Operand::Attribute(_)) => (How::EndsWith, SAME),
            _ => return true,
        };
        let mut ways = 0;
        for (truth, of) in [
            (Truths::TRUE, yes),
            (Truths::FALSE, (LESS | SAME | GREATER) & !yes),
            (Truths::UNKNOWN, NO_TRUTH),
        ] {
            if wanted.has(truth) {
                ways |= of;
            }
        }
        let (mut left, mut right) = (left, right);
        if matches!(how, How::Equal | How::Order) {
            if left == right {
                // Whatever compares with itself is the same.
                ways &= SAME | NO_TRUTH;
            } else if left > right {
                (left, right) = (right, left);
                ways = ways & (SAME | NO_TRUTH) | mirrored(ways);
            }
        }
        let known = self.relations.entry(Relation { how, left, right }).or_insert(u8::MAX);
        *known &= ways;
        *known != 0
    }
}

/// What the attribute can be in any request that can be judged.
fn every<'a>(source: &Source) -> Domain<'a> {
    match source {
        Source::PrincipalId | Source::ResourceType | Source::Action => Domain::text(Form::Name, false),
        Source::PrincipalType => {
            let mut domain = Domain::text(Form::Name, false);
            let mut kinds = Words::default();
            KINDS.iter().for_each(|kind| kinds.add_name(kind.as_str()));
            domain.keep_text(&Rc::new(kinds), true);
            domain
        }
        Source::ResourceId => Domain::text(Form::Path, false),
        Source::PrincipalSpiffeId => Domain::text(Form::Spiffe, true),
        Source::PrincipalRoles | Source::PrincipalTeams => Domain::names(),
        Source::Now => Domain::instant(),
        Source::Principal(_) | Source::Resource(_) | Source::ActionAttribute(_) | Source::Context(_) => {
            Domain::anything()
        }
    }
}

/// Less for greater and the other way round.
fn mirrored(ways: u8) -> u8 {
    let less = if ways & GREATER != 0 { LESS } else { 0 };
    let greater = if ways & LESS != 0 { GREATER } else { 0 };
    less | greater
}
