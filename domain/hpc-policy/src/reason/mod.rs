//! What can be true of a request at all: exact reasoning over rules, without trying requests.
//!
//! [`Facts`] describe a set of requests by what each attribute may be: missing, without a type, or of a type and in a set
//! of values. Scopes and conditions narrow them. Every description holds **at least** the requests it stands for, so only one
//! answer is a proof: that nothing is left. "Maybe" means a request, or that the work ran out, or that this module knows no
//! better.

mod budget;
mod cases;
mod domain;
mod facts;
mod members;
mod pattern;
mod ranges;
mod schema;
mod scope;
mod versions;
mod week;
mod witness;
mod words;

pub(crate) use budget::Budget;
pub(crate) use cases::{Goal, cases, possible};
pub(crate) use facts::{Facts, Knowledge, OnlyBuiltIn};
pub(crate) use scope::{in_scope, may_be_outside};
pub(crate) use witness::witness;

use crate::condition::Truth;
use crate::rule::Effect;

/// A set of truth values.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Truths(u8);

impl Truths {
    pub(crate) const NONE: Self = Self(0);
    pub(crate) const TRUE: Self = Self(1);
    pub(crate) const FALSE: Self = Self(2);
    pub(crate) const UNKNOWN: Self = Self(4);
    pub(crate) const ALL: Self = Self(7);

    /// With which truth values of its conditions a rule in scope has its effect.
    pub(crate) fn applying(effect: Effect) -> Self {
        match effect {
            Effect::Allow => Self::TRUE,
            Effect::Deny => Self::TRUE.or(Self::UNKNOWN),
        }
    }

    pub(crate) fn or(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    pub(crate) fn and(self, other: Self) -> Self {
        Self(self.0 & other.0)
    }

    pub(crate) fn others(self) -> Self {
        Self(!self.0 & Self::ALL.0)
    }

    pub(crate) fn has(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }

    pub(crate) fn includes(self, truth: Truth) -> bool {
        self.has(match truth {
            Truth::True => Self::TRUE,
            Truth::False => Self::FALSE,
            Truth::Unknown => Self::UNKNOWN,
        })
    }

    /// What `not` makes of them.
    pub(crate) fn negated(self) -> Self {
        let mut swapped = self.and(Self::UNKNOWN);
        if self.has(Self::TRUE) {
            swapped = swapped.or(Self::FALSE);
        }
        if self.has(Self::FALSE) {
            swapped = swapped.or(Self::TRUE);
        }
        swapped
    }
}
