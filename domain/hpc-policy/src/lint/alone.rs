//! What can be said of a rule without the others.

use super::finding::{Finding, FindingKind};
use crate::condition::Condition;
use crate::reason::{Budget, Facts, Goal, Knowledge, Truths, cases, in_scope, possible};
use crate::rule::{Effect, Rule};

/// A rule, the requests it is about, and what is wrong with it.
pub(super) struct Alone<'a> {
    rule: &'a Rule,
    /// The parts of the conjunction, nested ones taken apart.
    parts: Vec<&'a Condition>,
    scope: Vec<Facts<'a>>,
    /// Requests to which the rule applies, conditions included.
    applies: Vec<Facts<'a>>,
    dead: bool,
    findings: Vec<Finding>,
}

impl<'a> Alone<'a> {
    pub(super) fn look(rule: &'a Rule, knowledge: &'a dyn Knowledge, budget: &Budget) -> Self {
        let nothing = Facts::new(knowledge);
        let scope = in_scope(&nothing, rule, budget);
        let mut parts = Vec::new();
        rule.conditions.iter().for_each(|condition| flatten(condition, &mut parts));
        let mut alone = Self { rule, parts, scope, applies: Vec::new(), dead: false, findings: Vec::new() };
        alone.whether_it_lives(&nothing, budget);
        if !alone.dead && alone.whether_it_can_be_true(budget) {
            alone.what_makes_no_difference(budget);
        }
        alone
    }

    /// Whether it never has its effect.
    pub(super) fn is_dead(&self) -> bool {
        self.dead
    }

    /// The requests it is about, its conditions aside.
    pub(super) fn scope(&self) -> &[Facts<'a>] {
        &self.scope
    }

    /// Cases that hold every request on which it has its effect, and perhaps others.
    pub(super) fn applies(&self) -> &[Facts<'a>] {
        &self.applies
    }

    /// What sets those on which it has its effect apart from the others.
    pub(super) fn goals(&self) -> Vec<Goal<'a>> {
        goals(&self.parts, self.wanted())
    }

    pub(super) fn into_findings(self) -> Vec<Finding> {
        self.findings
    }

    fn wanted(&self) -> Truths {
        Truths::applying(self.rule.effect)
    }

    fn never(&self) -> &'static str {
        match self.rule.effect {
            Effect::Allow => "so it never allows",
            Effect::Deny => "so it never denies",
        }
    }

    fn whether_it_lives(&mut self, nothing: &Facts<'a>, budget: &Budget) {
        let wanted = self.wanted();
        let never = self.never();
        if self.scope.is_empty() {
            self.dead = true;
            let problem =
                format!("no name can be what its principals, resources and actions ask for, {never}");
            self.report(
                FindingKind::NeverApplies,
                problem,
                "correct the names and patterns, or remove the rule",
            );
            return;
        }
        let parts: Vec<Goal<'a>> = goals(&self.parts, wanted);
        if !possible(nothing, &parts, budget) {
            self.dead = true;
            let core = self.core(std::slice::from_ref(nothing), wanted, budget);
            let problem = format!("{}, {never}", exclusive(&core, wanted));
            self.report_at(
                FindingKind::Contradictory,
                &core,
                problem,
                "correct one of them, or remove the rule",
            );
            return;
        }
        if !self.scope.iter().any(|facts| possible(facts, &parts, budget)) {
            self.dead = true;
            let core = self.core(&self.scope, wanted, budget);
            let problem = format!("{} on what the rule is about, {never}", exclusive(&core, wanted));
            let advice =
                "make the conditions fit the rule's principals, resources and actions, or remove the rule";
            self.report_at(FindingKind::NeverApplies, &core, problem, advice);
            return;
        }
        self.applies = self.scope.iter().flat_map(|facts| cases(facts, &parts, budget)).collect();
    }

    /// A deny rule that is never true denies all the same where its conditions are unknown.
    fn whether_it_can_be_true(&mut self, budget: &Budget) -> bool {
        let parts = goals(&self.parts, Truths::TRUE);
        if self.rule.effect == Effect::Allow || self.scope.iter().any(|facts| possible(facts, &parts, budget))
        {
            return true;
        }
        let core = self.core(&self.scope, Truths::TRUE, budget);
        let problem = format!(
            "{}, so it denies only where an attribute is missing or has another type",
            exclusive(&core, Truths::TRUE)
        );
        let advice = "correct the conditions; if it is meant so, say it with `op: exists`, `value: false`";
        self.report_at(FindingKind::DeniesOnlyUnknown, &core, problem, advice);
        false
    }

    fn what_makes_no_difference(&mut self, budget: &Budget) {
        let wanted = self.wanted();
        let never = |goals: &[Goal<'a>]| !self.scope.iter().any(|facts| possible(facts, goals, budget));
        let mut found = Vec::new();
        let mut needed = self.parts.clone();
        // Later ones first, so that of two equal conditions the later one is reported.
        for index in (0..needed.len()).rev() {
            let mut others = needed.clone();
            let part = others.remove(index);
            let mut goals: Vec<Goal<'a>> = goals(&others, wanted);
            goals.push(Goal::One(part, wanted.others()));
            if never(&goals) {
                needed = others;
                found.push((FindingKind::NeedlessCondition, part));
                continue;
            }
            goals.pop();
            let Condition::Any(alternatives) = part else { continue };
            let mut lost = Vec::new();
            for alternative in alternatives {
                goals.push(Goal::One(alternative, wanted));
                if never(&goals) {
                    lost.push((FindingKind::DeadAlternative, alternative));
                }
                goals.pop();
            }
            if lost.len() == alternatives.len() {
                // Each by itself, where all at once were too many to see through: then nothing is left of the rule.
                self.dead = true;
                let problem = format!(
                    "{} has no alternative that fits the rest of the rule, {}",
                    described(part),
                    self.never()
                );
                let advice = "correct the alternatives, or remove the rule";
                return self.report_at(FindingKind::NeverApplies, &[part], problem, advice);
            }
            found.extend(lost);
        }
        for (kind, condition) in found {
            let (says, advice) = match (kind, self.rule.effect) {
                (FindingKind::NeedlessCondition, Effect::Allow) => (
                    "is true whenever the rest of the rule holds, so it changes nothing",
                    "remove it, or correct it if it was meant to restrict",
                ),
                (FindingKind::NeedlessCondition, Effect::Deny) => (
                    "is never false where the rest of the rule holds, so it changes nothing",
                    "remove it, or correct it if it was meant to restrict",
                ),
                (_, Effect::Allow) => (
                    "is never true where the rest of the rule holds, so it changes nothing",
                    "remove or correct it",
                ),
                (_, Effect::Deny) => (
                    "is always false where the rest of the rule holds, so it changes nothing",
                    "remove or correct it",
                ),
            };
            self.report_at(kind, &[condition], format!("{} {says}", described(condition)), advice);
        }
    }

    /// Few conditions that already exclude each other.
    fn core(&self, scope: &[Facts<'a>], wanted: Truths, budget: &Budget) -> Vec<&'a Condition> {
        let mut core = self.parts.clone();
        for index in (0..core.len()).rev() {
            let mut fewer = core.clone();
            fewer.remove(index);
            if !fewer.is_empty() && !scope.iter().any(|facts| possible(facts, &goals(&fewer, wanted), budget))
            {
                core = fewer;
            }
        }
        core
    }

    fn report(&mut self, kind: FindingKind, problem: String, advice: &'static str) {
        self.findings.push(Finding::new(kind, self.rule, problem, advice));
    }

    fn report_at(&mut self, kind: FindingKind, at: &[&Condition], problem: String, advice: &'static str) {
        let mut finding = Finding::new(kind, self.rule, problem, advice);
        finding.line = at.first().and_then(|condition| line(condition)).unwrap_or(finding.line);
        self.findings.push(finding);
    }
}

fn flatten<'a>(condition: &'a Condition, parts: &mut Vec<&'a Condition>) {
    match condition {
        Condition::All(inner) => inner.iter().for_each(|condition| flatten(condition, parts)),
        other => parts.push(other),
    }
}

fn goals<'a>(parts: &[&'a Condition], wanted: Truths) -> Vec<Goal<'a>> {
    parts.iter().map(|part| Goal::One(part, wanted)).collect()
}

/// "`a` and `b` are never true together".
fn exclusive(core: &[&Condition], wanted: Truths) -> String {
    let truth = match (wanted == Truths::TRUE, core.len()) {
        (true, 1) => "is never true",
        (true, _) => "are never true together",
        (false, 1) => "is always false",
        (false, _) => "are never other than false together",
    };
    let texts: Vec<String> = core.iter().map(|condition| described(condition)).collect();
    match texts.split_last() {
        Some((last, [])) => format!("{last} {truth}"),
        Some((last, before)) => format!("{} and {last} {truth}", before.join(", ")),
        None => format!("the rule without conditions {truth}"),
    }
}

/// A comparison in its words; a nested condition by its place.
fn described(condition: &Condition) -> String {
    match condition {
        Condition::Leaf(leaf) => format!("`{}` (line {})", leaf.text, leaf.at.line),
        Condition::Not(inner) => match &**inner {
            Condition::Leaf(leaf) => format!("`not {}` (line {})", leaf.text, leaf.at.line),
            nested => format!("the `not` with {}", described(nested)),
        },
        Condition::All(_) => nested("all", condition),
        Condition::Any(_) => nested("any", condition),
    }
}

fn nested(word: &str, condition: &Condition) -> String {
    match line(condition) {
        Some(line) => format!("the `{word}` that begins on line {line}"),
        None => format!("an `{word}`"),
    }
}

/// Line of the first comparison.
fn line(condition: &Condition) -> Option<u32> {
    match condition {
        Condition::Leaf(leaf) => Some(leaf.at.line),
        Condition::All(inner) | Condition::Any(inner) => inner.iter().find_map(line),
        Condition::Not(inner) => line(inner),
    }
}
