//! Questions about policies as a whole: what two sets decide differently, who can do something, what somebody can do.

mod attributes;
mod diff;
mod minimise;
mod question_text;
mod report;
mod residual;
mod same;
mod solve;
mod space;
mod values;
mod words;

pub use diff::{DiffProgress, diff, diff_with};
pub use report::{
    Coverage, DiffReport, Direction, Example, FlipGroup, Gap, Outcome, Part, Responsible, RulePlace,
};
