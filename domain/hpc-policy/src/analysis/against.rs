//! The deny rules that stand in a way.

use crate::analysis::report::RulePlace;
use crate::analysis::residual::{Facts, Truths, residual};
use crate::analysis::ways::Denial;
use crate::limits::WAY_DENIALS_MAX;
use crate::rule::Rule;

/// What a deny rule covers of what a way is for.
pub(super) enum Cover {
    /// All of it.
    All,
    /// Maybe not all of it: whom or what, in words.
    Part(Vec<String>),
}

/// What stands in one way.
pub(super) struct Against {
    /// The denials; only the one that closes the way, if one does.
    pub(super) unless: Vec<Denial>,
    /// How many more there are.
    pub(super) omitted: usize,
    /// Whether the way is closed, whatever else is true of the request.
    pub(super) closed: bool,
}

/// The denials against a way about which `facts` are known. `covers` is `None` for a rule that is about something else.
pub(super) fn against(
    denies: &[&Rule],
    facts: &Facts<'_>,
    covers: impl Fn(&Rule) -> Option<Cover>,
) -> Against {
    let applies = Truths::TRUE.or(Truths::UNKNOWN);
    let mut against = Against { unless: Vec::new(), omitted: 0, closed: false };
    for deny in denies {
        let Some(cover) = covers(deny) else { continue };
        let conditions = residual(&deny.conditions, facts);
        let possible = conditions.possible();
        if !possible.any_of(applies) {
            continue;
        }
        // Where it is known that it cannot be judged it denies, as where it holds.
        let always = possible.within(applies);
        let (all, over) = match cover {
            Cover::All => (true, Vec::new()),
            Cover::Part(over) => (false, over),
        };
        let denial = || {
            let conditions = if always { Vec::new() } else { conditions.words(facts) };
            Denial { rule: RulePlace::of(deny), over, conditions }
        };
        if all && always {
            return Against { unless: vec![denial()], omitted: 0, closed: true };
        }
        if against.unless.len() >= WAY_DENIALS_MAX {
            against.omitted += 1;
        } else {
            against.unless.push(denial());
        }
    }
    against
}
