//! Which decisions differ between two sets of policies.

use std::collections::{BTreeMap, BTreeSet};

use crate::analysis::attributes::{Attributes, each_leaf};
use crate::analysis::minimise::minimise;
use crate::analysis::question_text;
use crate::analysis::report::{
    Coverage, DiffReport, Direction, Example, FlipGroup, Gap, Outcome, Part, Responsible, RulePlace,
};
use crate::analysis::sides::{Side, can_meet, responsible, with_counterparts};
use crate::analysis::solve::{Goal, Solved, comparable, looks_at_names, solve};
use crate::analysis::space::{Base, Space};
use crate::context::EvaluationContext;
use crate::decision::{Decision, Verdict};
use crate::limits::{DIFF_BASES_MAX, DIFF_GAPS_MAX, DIFF_GROUPS_MAX, DIFF_LOOKS_MAX, DIFF_RULES_NAMED_MAX};
use crate::path::AttributePath;
use crate::record::{QuestionRecord, cut};
use crate::rule::{Effect, Rule};
use crate::set::PolicySet;
use crate::value::Value;

/// How far a comparison is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct DiffProgress {
    /// Changed rules around which the search is over.
    pub done: usize,
    /// All changed rules.
    pub of: usize,
    /// Combinations tried so far.
    pub tried: u64,
}

/// Which decisions `new` makes otherwise than `old`, each with a request that shows it.
///
/// Every flip was confirmed by both sets. Whether there can be others says
/// [`DiffReport::coverage`]; [the module](crate::analysis) says why.
///
/// ```
/// use hpc_policy::{Direction, PolicySet, diff};
///
/// let policy = |hours: u32| format!("
/// apiVersion: policy.horizon.dev/v1
/// kind: Policy
/// metadata: {{name: short}}
/// spec:
///   principals: [{{type: role, value: gpu-user}}]
///   resources: [{{type: gpu, pattern: 'gpu/*'}}]
///   actions: [capacity.request]
///   effect: allow
///   conditions: [{{attribute: context.hours, op: lte, value: {hours}}}]
/// ");
/// let set = |hours| PolicySet::parse_documents([("short.yaml", policy(hours))]).unwrap();
/// let report = diff(&set(8), &set(4));
/// assert!(report.is_complete());
/// assert_eq!(report.flips.len(), 1);
/// assert_eq!(report.flips[0].direction, Direction::AllowToDeny);
/// assert_eq!(report.flips[0].example.new.reasons, [
///     "`short/short` would allow it if context.hours <= 4 (is 8)"
/// ]);
/// ```
#[must_use]
pub fn diff(old: &PolicySet, new: &PolicySet) -> DiffReport {
    diff_with(old, new, &mut |_| ())
}

/// As [`diff`], telling `progress` now and then how far it is.
#[must_use]
pub fn diff_with(old: &PolicySet, new: &PolicySet, progress: &mut dyn FnMut(DiffProgress)) -> DiffReport {
    let (old, new) = if old.digest() == new.digest() {
        // The same documents: nothing to compare, and no need to look at the rules.
        return Comparison::new(Side::empty(old), Side::empty(new)).report(0);
    } else {
        Side::pair(old, new)
    };
    let seeds: Vec<(Place, usize)> = [(Place::Old, &old), (Place::New, &new)]
        .into_iter()
        .flat_map(|(place, side)| side.changed_positions().map(move |position| (place, position)))
        .collect();
    let mut comparison = Comparison::new(old, new);
    for (done, (place, position)) in seeds.iter().enumerate() {
        comparison.around(*place, *position, &mut |tried| {
            progress(DiffProgress { done, of: seeds.len(), tried });
        });
    }
    progress(DiffProgress { done: seeds.len(), of: seeds.len(), tried: comparison.tried });
    comparison.report(seeds.len())
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    Old,
    New,
}

type GroupKey = (Direction, Vec<usize>, Vec<usize>);

/// A flip on its way into its group.
struct Gathered {
    old: Vec<(usize, Part)>,
    new: Vec<(usize, Part)>,
    old_omitted: BTreeSet<usize>,
    new_omitted: BTreeSet<usize>,
    count: u64,
    context: EvaluationContext,
}

struct Comparison<'a> {
    old: Side<'a>,
    new: Side<'a>,
    groups: BTreeMap<GroupKey, Gathered>,
    order: Vec<GroupKey>,
    groups_omitted: BTreeSet<GroupKey>,
    gaps: Vec<Gap>,
    gaps_omitted: usize,
    with_gaps: usize,
    tried: u64,
    looks: u64,
}

/// Most reasons of one side of an example.
const REASONS_MAX: usize = 4;
const BASES: &str = "more combinations of principal, resource and action than were tried";
const UNASKED: &str = "the values that would show a difference are too large for one request";
const LOOKS: &str = "the work allowed for one comparison was used up";

impl<'a> Comparison<'a> {
    fn new(old: Side<'a>, new: Side<'a>) -> Self {
        Self {
            old,
            new,
            groups: BTreeMap::new(),
            order: Vec::new(),
            groups_omitted: BTreeSet::new(),
            gaps: Vec::new(),
            gaps_omitted: 0,
            with_gaps: 0,
            tried: 0,
            looks: 0,
        }
    }

    fn sides(&self, place: Place) -> (&Side<'a>, &Side<'a>) {
        match place {
            Place::Old => (&self.old, &self.new),
            Place::New => (&self.new, &self.old),
        }
    }

    /// Looks for flips in which the changed rule at `position` takes part.
    fn around(&mut self, place: Place, position: usize, progress: &mut dyn FnMut(u64)) {
        let (here, there) = self.sides(place);
        let Some(seed) = here.rules.get(position).copied() else { return };
        let seed_place = RulePlace::of(seed);
        if self.looks >= DIFF_LOOKS_MAX {
            return self.note_gaps(&seed_place, &BTreeSet::from([LOOKS]));
        }
        progress(self.tried);
        // Rules that both sets have say the same twice.
        let others =
            there.rules.iter().zip(&there.changed).filter(|(_, changed)| **changed).map(|(rule, _)| *rule);
        let all = here.rules.len() + there.rules.len();
        let around: Vec<&Rule> =
            here.rules.iter().copied().chain(others).filter(|rule| can_meet(seed, rule)).collect();
        let partners: Vec<&Rule> = there
            .rules
            .iter()
            .copied()
            .filter(|rule| rule.effect == Effect::Allow && can_meet(seed, rule))
            .collect();
        let mut leaves = Vec::new();
        around.iter().for_each(|rule| each_leaf(&rule.conditions, &mut |leaf| leaves.push(leaf)));
        let space = Space::new(seed, &around, Attributes::of(&leaves, None));
        self.looks += (all as u64) / 8 + 8 * around.len() as u64;
        let goals: &[Goal] = match seed.effect {
            Effect::Deny => &[Goal::Denies],
            // Whatever has no obligations can only lift those of others, which is the change of another rule.
            Effect::Allow if seed.obligations.is_empty() => &[Goal::Allows],
            Effect::Allow => &[Goal::Allows, Goal::Obliges],
        };
        let mut gaps = BTreeSet::new();
        for goal in goals {
            let mut bases: BTreeMap<Base, usize> = BTreeMap::new();
            if *goal == Goal::Allows {
                if !space.bases(None, &mut bases, DIFF_BASES_MAX) {
                    gaps.insert(BASES);
                }
            } else {
                for partner in &partners {
                    if !space.bases(Some(partner), &mut bases, DIFF_BASES_MAX) {
                        gaps.insert(BASES);
                        break;
                    }
                }
            }
            let mut in_order: Vec<(usize, &Base)> =
                bases.iter().map(|(base, number)| (*number, base)).collect();
            in_order.sort_unstable_by_key(|(number, _)| *number);
            self.try_all(*goal, place, seed, &in_order, &mut gaps, progress);
        }
        gaps.extend(space.gaps());
        if !gaps.is_empty() {
            self.note_gaps(&seed_place, &gaps);
        }
    }

    fn note_gaps(&mut self, rule: &RulePlace, reasons: &BTreeSet<&'static str>) {
        self.with_gaps += 1;
        for reason in reasons {
            if self.gaps.len() < DIFF_GAPS_MAX {
                self.gaps.push(Gap { rule: rule.clone(), reason: (*reason).to_owned() });
            } else {
                self.gaps_omitted += 1;
            }
        }
    }

    fn try_all(
        &mut self,
        goal: Goal,
        place: Place,
        seed: &'a Rule,
        bases: &[(usize, &Base)],
        gaps: &mut BTreeSet<&'static str>,
        progress: &mut dyn FnMut(u64),
    ) {
        // What came of the same rules in scope, where no condition can tell the names apart.
        let mut known: BTreeMap<(Vec<usize>, Vec<usize>), Option<GroupKey>> = BTreeMap::new();
        let (old_set, new_set) = (self.old.set, self.new.set);
        let usual = |path: &AttributePath, value: &Value| keeps_to_schema(old_set, new_set, path, value);
        for (number, base) in bases {
            if self.looks >= DIFF_LOOKS_MAX {
                gaps.insert(LOOKS);
                return;
            }
            if number % 1_024 == 1_023 {
                progress(self.tried);
            }
            self.tried += 1;
            let context = base.context();
            let (here, there) = self.sides(place);
            let (here_places, here_rules) = here.in_scope(&context);
            let (there_places, there_rules) = there.in_scope(&context);
            self.looks += 4 + (here_rules.len() + there_rules.len()) as u64;
            let names_matter =
                here_rules.iter().chain(&there_rules).any(|rule| looks_at_names(&rule.conditions));
            let key = (here_places, there_places);
            if !names_matter && let Some(result) = known.get(&key) {
                if let Some(group) = result.as_ref().and_then(|group| self.groups.get_mut(group)) {
                    group.count += 1;
                }
                continue;
            }
            let result = match solve(goal, seed, &here_rules, &there_rules, context, &usual, &mut self.looks)
            {
                Solved::Found(context) => {
                    let group = self.keep(goal, place, seed, *context);
                    if group.is_none() {
                        gaps.insert(UNASKED);
                    }
                    group
                }
                Solved::Nothing => None,
                Solved::Unsure(gap) => {
                    gaps.insert(gap);
                    None
                }
            };
            if !names_matter {
                known.insert(key, result);
            }
        }
    }

    /// Confirms a flip, makes its request small and puts it into its group.
    fn keep(
        &mut self,
        goal: Goal,
        place: Place,
        seed: &Rule,
        context: EvaluationContext,
    ) -> Option<GroupKey> {
        let (here, there) = self.sides(place);
        let context = minimise(goal, seed, here.set, there.set, context);
        let [before, after] = [&self.old, &self.new].map(|side| side.set.decide(&context));
        let direction = match (before, after) {
            (Verdict::Deny, Verdict::Allow) => Direction::DenyToAllow,
            (Verdict::Allow, Verdict::Deny) => Direction::AllowToDeny,
            (Verdict::Allow, Verdict::Allow) => Direction::Obligations,
            (Verdict::Deny, Verdict::Deny) => return None,
        };
        if direction == Direction::Obligations {
            let [before, after] =
                [&self.old, &self.new].map(|side| comparable(side.set.evaluate(&context).obligations));
            if before == after {
                return None;
            }
        }
        let [old, new] = [(&self.old, before), (&self.new, after)]
            .map(|(side, verdict)| responsible(side, verdict, &context));
        let old = with_counterparts(&self.old, &self.new, old, &new);
        let new = with_counterparts(&self.new, &self.old, new, &old);
        let changed = |side: &Side<'_>, rules: &[(usize, Part)]| -> Vec<usize> {
            rules.iter().map(|(place, _)| *place).filter(|place| side.is_changed(*place)).collect()
        };
        let key = (direction, changed(&self.old, &old), changed(&self.new, &new));
        if let Some(group) = self.groups.get_mut(&key) {
            group.count += 1;
            add(&mut group.old, &mut group.old_omitted, &old);
            add(&mut group.new, &mut group.new_omitted, &new);
        } else if self.groups.len() >= DIFF_GROUPS_MAX {
            self.groups_omitted.insert(key.clone());
        } else {
            let mut group = Gathered {
                old: Vec::new(),
                new: Vec::new(),
                old_omitted: BTreeSet::new(),
                new_omitted: BTreeSet::new(),
                count: 1,
                context,
            };
            // The changed rules first: they are what the group is about.
            for only_changed in [true, false] {
                let part = |side: &Side<'_>, rules: &[(usize, Part)]| -> Vec<(usize, Part)> {
                    let fits = |place: usize| side.is_changed(place) == only_changed;
                    rules.iter().copied().filter(|(place, _)| fits(*place)).collect()
                };
                add(&mut group.old, &mut group.old_omitted, &part(&self.old, &old));
                add(&mut group.new, &mut group.new_omitted, &part(&self.new, &new));
            }
            self.groups.insert(key.clone(), group);
            self.order.push(key.clone());
        }
        Some(key)
    }

    fn report(self, seeds: usize) -> DiffReport {
        let mut order = self.order;
        order.sort_by_key(|(direction, ..)| *direction);
        let flips = order
            .iter()
            .enumerate()
            .filter_map(|(number, key)| {
                let group = self.groups.get(key)?;
                let list = |side: &Side<'_>, rules: &[(usize, Part)]| -> Vec<Responsible> {
                    let one = |(place, part): &(usize, Part)| {
                        let rule = side.rules.get(*place)?;
                        Some(Responsible {
                            place: RulePlace::of(rule),
                            part: *part,
                            changed: side.is_changed(*place),
                        })
                    };
                    rules.iter().filter_map(one).collect()
                };
                let (old, new) = (list(&self.old, &group.old), list(&self.new, &group.new));
                let names = |rules: &[Responsible]| -> BTreeSet<String> {
                    rules.iter().map(|rule| format!("{}/{}", rule.place.policy, rule.place.rule)).collect()
                };
                let (of_old, of_new) = ((self.old.set, &names(&old)), (self.new.set, &names(&new)));
                let example = example(number + 1, of_old, of_new, key.0, &group.context)?;
                Some(FlipGroup {
                    direction: key.0,
                    old,
                    old_omitted: group.old_omitted.len(),
                    new,
                    new_omitted: group.new_omitted.len(),
                    count: group.count,
                    example,
                })
            })
            .collect();
        let coverage = if self.with_gaps == 0 {
            Coverage::Complete { tried: self.tried }
        } else {
            Coverage::Sampled {
                tried: self.tried,
                whole: seeds.saturating_sub(self.with_gaps),
                of: seeds,
                gaps: self.gaps,
                gaps_omitted: self.gaps_omitted,
            }
        };
        DiffReport {
            old: self.old.set.digest().into(),
            new: self.new.set.digest().into(),
            only_old: self.old.only(),
            only_new: self.new.only(),
            flips,
            flips_omitted: self.groups_omitted.len(),
            coverage,
        }
    }
}

fn add(into: &mut Vec<(usize, Part)>, omitted: &mut BTreeSet<usize>, rules: &[(usize, Part)]) {
    for (place, part) in rules {
        if into.iter().any(|(known, _)| known == place) {
            continue;
        }
        if into.len() < DIFF_RULES_NAMED_MAX {
            into.push((*place, *part));
        } else {
            omitted.insert(*place);
        }
    }
}

fn example(
    number: usize,
    (old, old_names): (&PolicySet, &BTreeSet<String>),
    (new, new_names): (&PolicySet, &BTreeSet<String>),
    direction: Direction,
    context: &EvaluationContext,
) -> Option<Example> {
    let (before, after) =
        (outcome(old.evaluate(context), old_names), outcome(new.evaluate(context), new_names));
    let mut usual = true;
    for (root, attributes) in context.attribute_maps() {
        for (name, attribute) in attributes {
            let path = AttributePath::parse(&format!("{root}.{name}")).ok()?;
            usual &= keeps_to_schema(old, new, &path, &attribute.value);
        }
    }
    Some(Example {
        question: QuestionRecord::of(context).ok()?,
        case: question_text::case(&format!("{number}: {direction}"), context, after.verdict),
        old: before,
        new: after,
        keeps_to_schema: usual,
    })
}

/// What a set decides, the reasons of the rules called `names` first.
fn outcome(decision: Decision, names: &BTreeSet<String>) -> Outcome {
    let named = |name: &Option<String>| name.as_ref().is_some_and(|name| names.contains(name));
    let (mut reasons, others): (Vec<_>, Vec<_>) =
        decision.reasons().into_iter().partition(|reason| named(&reason.rule));
    reasons.extend(others);
    Outcome {
        verdict: decision.verdict,
        reasons: reasons.into_iter().take(REASONS_MAX).map(|reason| cut(reason.text)).collect(),
        obligations: if decision.is_allowed() { decision.obligations } else { BTreeMap::new() },
    }
}

/// Whether the schemas of both sets let the attribute have the value. They do not bind requests, so this only says which
/// requests are the better examples.
fn keeps_to_schema(old: &PolicySet, new: &PolicySet, path: &AttributePath, value: &Value) -> bool {
    let path = path.to_string();
    [old, new].iter().all(|set| set.schema().attribute(&path).is_none_or(|declared| declared.can_hold(value)))
}

#[cfg(test)]
mod tests {
    use super::*;

    const POLICY: &str = "
apiVersion: policy.horizon.dev/v1
kind: Policy
metadata: {name: p}
spec:
  principals: [{type: any}]
  resources: [{type: thing, pattern: '**'}]
  actions: [use]
  effect: allow
";

    #[test]
    fn work_beyond_the_limit_is_not_done_and_admitted() {
        let (old, new) = (PolicySet::deny_all(), PolicySet::parse_documents([("p.yaml", POLICY)]).unwrap());
        for (looks, complete) in [(DIFF_LOOKS_MAX - 1, false), (DIFF_LOOKS_MAX, false), (0, true)] {
            let (old, new) = Side::pair(&old, &new);
            let mut comparison = Comparison::new(old, new);
            comparison.looks = looks;
            comparison.around(Place::New, 0, &mut |_| ());
            let report = comparison.report(1);
            assert_eq!(
                (report.is_complete(), report.flips.len()),
                (complete, usize::from(complete)),
                "{looks}"
            );
            if let Coverage::Sampled { gaps, whole, of, .. } = report.coverage {
                assert_eq!((gaps[0].reason.as_str(), whole, of), (LOOKS, 0, 1));
            }
        }
    }
}
