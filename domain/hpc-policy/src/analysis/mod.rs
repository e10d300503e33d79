//! Questions about policies as a whole: what two sets decide differently, who can do something, what somebody can do.

mod attributes;
mod cover;
mod diff;
mod known;
mod minimise;
mod question_text;
mod report;
mod residual;
mod same;
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
