//! Questions about policies as a whole: what two sets decide differently, who can do something, what somebody can do.
//!
//! # Why a comparison that says `Complete` is complete
//!
//! [`diff`] does not try every request, and yet a report whose coverage is [`Coverage::Complete`] has a group for every
//! direction in which any request flips, with a changed rule that is responsible. A rule is *changed* if the other set has
//! none that says the same, groups and included roles closed. The argument has three steps.
//!
//! **A flip needs a changed rule, and little else.** Let a request be denied on one side and allowed on the other. If a
//! changed rule denies it, it is enough that this rule and any one allow of the other side apply and that no deny of the other
//! side does. If none does, what denies it, if anything, denies on both sides, which cannot be as the other side allows; so
//! nothing denies it, and it is enough that a changed allow applies, and that no allow of the other side and no deny does.
//! Where both sides allow with other obligations, some changed allow asks for something that the other side's obligations do
//! not: it is enough that it and one allow of the other side apply, because further rules can only add to obligations.
//!
//! **Names: fewer matches are better.** In each case the other rules are only in the way. So of all requests that flip there
//! is one whose principal is meant by one entry of each of the one or two rules that are needed, by at most one role, team,
//! SPIFFE ID or its id for each, and in which no name could be replaced by one that matches fewer entries. All combinations of
//! matches that names can have are found by following the patterns of the entries side by side as one automaton; only
//! combinations that are minimal are kept. Where conditions look at a name, it is only replaced by one that they cannot
//! tell from it. What is left are finitely many questions without attributes, around each changed rule.
//!
//! **Attributes: one value of each class is enough.** For one such question the rules in scope are known. Their comparisons
//! with literals divide the values of each attribute into finitely many classes in which every comparison has one truth: at,
//! between and beside numbers and times, at the ends of windows and networks, at the versions where requirements change, the
//! words of each combination of patterns, the selections of listed items, a value of a type that nothing compares with, and
//! none. Attributes that are compared with each other get as many values of each class as there are of them. All
//! assignments are searched; a branch is cut only where the conditions' possible truths rule the flip out.
//!
//! Where a step cannot be carried out, the coverage is [`Coverage::Sampled`] and says around which rule, and why: a limit was
//! reached (too many patterns to combine, combinations to try or values to assign), or an attribute is compared in a way for
//! which no finite list of values is known to be enough, such as `starts_with` with another attribute.
//! Nothing is random: the same two sets give the same report.
//!
//! A schema does not make classes impossible, because requests are not checked against it; values that it declares are tried
//! first, and [`Example::keeps_to_schema`] says if an example needs others. Advice is not compared, nor are the obligations of
//! denials.
//!
//! # What `who_can` and `what_can` leave open
//!
//! Both evaluate the conditions of every rule as far as the known attributes go, with three truth values, and leave the rest
//! standing. An allow that can still come true is a way; a deny that can still apply to somebody who is meant is listed with
//! it. Only a deny that surely covers all who are meant, and surely applies, closes a way.

mod against;
mod attributes;
mod cover;
mod diff;
mod known;
mod minimise;
mod names;
mod question_text;
mod report;
mod residual;
mod same;
mod sides;
mod solve;
mod space;
mod values;
mod ways;
mod what;
mod who;
mod words;

pub use diff::{DiffProgress, diff, diff_with};
pub use known::Known;
pub use report::{
    Coverage, DiffReport, Direction, Example, FlipGroup, Gap, Outcome, Part, Responsible, RulePlace,
};
pub use ways::{Denial, ResourceAnswer, SubjectAnswer, WayIn, WayTo, WhatCan, WhoCan};
pub use what::what_can;
pub use who::who_can;
