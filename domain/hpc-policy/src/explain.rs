//! Deciding over a list of candidate rules: once bare and fast, once with every reason.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::condition::{Condition, Leaf, NoTruth, Truth};
use crate::context::EvaluationContext;
use crate::counterfactual;
use crate::decision::{
    ConditionReport, Decision, EvaluationError, NearMiss, RuleOutcome, Seen, TraceLine, TraceResult, Verdict,
};
use crate::error::PolicyError;
use crate::limits::{CONDITION_REPORTS_MAX, NEAR_MISSES_MAX, TRACE_LINES_MAX};
use crate::obligation;
use crate::rule::{Effect, Rule};

/// The verdict alone; allocates nothing. The context has been checked.
pub(crate) fn decide<'a>(rules: impl Iterator<Item = &'a Rule>, context: &EvaluationContext) -> Verdict {
    let mut verdict = Verdict::Deny;
    for rule in rules {
        // An allow cannot change anything once another has matched.
        if rule.effect == Effect::Allow && verdict == Verdict::Allow || !rule.is_in_scope(context) {
            continue;
        }
        match (rule.effect, rule.truth(context)) {
            (Effect::Allow, Truth::True) => verdict = Verdict::Allow,
            (Effect::Allow, Truth::False | Truth::Unknown) | (Effect::Deny, Truth::False) => {}
            (Effect::Deny, Truth::True | Truth::Unknown) => return Verdict::Deny,
        }
    }
    verdict
}

/// The verdict with its reasons. The context has been checked.
pub(crate) fn explain(rules: &[&Rule], context: &EvaluationContext, digest: &Arc<str>) -> Decision {
    let mut decision = empty(context, digest);
    let mut allows: Vec<&Rule> = Vec::new();
    let mut missed: Vec<&Rule> = Vec::new();
    let mut denies: Vec<&Rule> = Vec::new();
    let mut budget = Budget { matched: CONDITION_REPORTS_MAX, trace: CONDITION_REPORTS_MAX };
    for rule in rules.iter().filter(|rule| rule.is_about(context)) {
        let room = decision.trace.len() < TRACE_LINES_MAX && budget.trace > 0;
        let result = if !rule.covers_principal(context) {
            room.then(|| TraceResult::NotApplicable { covers: listed(&rule.principals) })
        } else if !rule.covers_resource(context) {
            room.then(|| TraceResult::NotApplicable { covers: listed(&rule.resources) })
        } else {
            let truth = rule.truth(context);
            match (rule.effect, truth) {
                (Effect::Allow, Truth::True) => allows.push(rule),
                (Effect::Allow, _) => missed.push(rule),
                (Effect::Deny, Truth::True | Truth::Unknown) => denies.push(rule),
                (Effect::Deny, Truth::False) => {}
            }
            let result = in_scope(&mut decision, &mut budget, rule, truth, context);
            room.then_some(result)
        };
        match result {
            None => decision.trace_omitted += 1,
            Some(result) => decision.trace.push(TraceLine {
                document: rule.document.clone(),
                policy: Arc::clone(&rule.policy),
                rule: Arc::clone(&rule.name),
                line: rule.line,
                effect: rule.effect,
                result,
            }),
        }
    }
    let (verdict, effect) = if denies.is_empty() && !allows.is_empty() {
        (Verdict::Allow, Effect::Allow)
    } else {
        (Verdict::Deny, Effect::Deny)
    };
    decision.verdict = verdict;
    let winners = if effect == Effect::Allow { &allows } else { &denies };
    for rule in winners {
        obligation::merge(&mut decision.obligations, &rule.obligations);
        obligation::merge(&mut decision.advice, &rule.advice);
    }
    if verdict == Verdict::Deny {
        decision.allowed_if = counterfactual::find(rules, &allows, &missed, &denies, context);
    }
    decision
}

/// A refusal of a request that cannot be judged.
pub(crate) fn refuse(error: &PolicyError, context: &EvaluationContext, digest: &Arc<str>) -> Decision {
    let mut decision = empty(context, digest);
    // The request is malformed, so its words are not repeated.
    decision.question = "this request".to_owned();
    let detail = error.to_string();
    decision.errors.push(EvaluationError { rule: None, document: None, line: None, denies: true, detail });
    decision
}

fn empty(context: &EvaluationContext, digest: &Arc<str>) -> Decision {
    let (principal, resource) = (context.principal(), context.resource());
    Decision {
        verdict: Verdict::Deny,
        matched: Vec::new(),
        near_misses: Vec::new(),
        errors: Vec::new(),
        obligations: BTreeMap::new(),
        advice: BTreeMap::new(),
        digest: Arc::clone(digest),
        question: format!(
            "{} `{}` to `{}` on {} `{}`",
            principal.kind().as_str(),
            principal.id(),
            context.action(),
            resource.resource_type(),
            resource.id()
        ),
        allowed_if: Vec::new(),
        trace: Vec::new(),
        trace_omitted: 0,
    }
}

/// How many more condition reports may be kept, so that large policies do not make large decisions.
struct Budget {
    matched: usize,
    trace: usize,
}

/// Records what came of a rule whose action, resource and principal match.
fn in_scope(
    decision: &mut Decision,
    budget: &mut Budget,
    rule: &Rule,
    truth: Truth,
    context: &EvaluationContext,
) -> TraceResult {
    if truth == Truth::True {
        let mut because = Vec::new();
        for condition in &rule.conditions {
            obstacles(condition, false, Show::Holding, context, &mut because);
        }
        budget.trace = budget.trace.saturating_sub(because.len());
        let kept = if because.len() <= budget.matched { because.clone() } else { Vec::new() };
        budget.matched -= kept.len();
        decision.matched.push(RuleOutcome {
            document: rule.document.clone(),
            policy: Arc::clone(&rule.policy),
            rule: Arc::clone(&rule.name),
            line: rule.line,
            effect: rule.effect,
            owner: rule.owner.clone(),
            message: rule.message.clone(),
            obligations: rule.obligations.clone(),
            because: kept,
        });
        return TraceResult::Matched { because };
    }
    let mut failed = Vec::new();
    for condition in &rule.conditions {
        obstacles(condition, true, Show::Needed, context, &mut failed);
    }
    budget.trace = budget.trace.saturating_sub(failed.len());
    let denies = rule.effect == Effect::Deny && truth == Truth::Unknown;
    // A missing attribute is everyday for an allow rule, and fatal for a deny rule; a wrong type is never everyday.
    let details: Vec<String> = failed
        .iter()
        .filter(|report| denies || report.have != Seen::Missing)
        .filter_map(|report| report.error.clone())
        .collect();
    if rule.effect == Effect::Allow && decision.near_misses.len() < NEAR_MISSES_MAX {
        decision.near_misses.push(NearMiss {
            document: rule.document.clone(),
            policy: Arc::clone(&rule.policy),
            rule: Arc::clone(&rule.name),
            line: rule.line,
            owner: rule.owner.clone(),
            message: rule.message.clone(),
            failed: failed.clone(),
        });
    }
    if truth == Truth::False || details.is_empty() {
        return TraceResult::ConditionFailed { failed };
    }
    let detail = details.join("; ");
    decision.errors.push(EvaluationError {
        rule: Some(format!("{}/{}", rule.policy, rule.name)),
        document: rule.document.clone(),
        line: Some(rule.line),
        denies,
        detail: detail.clone(),
    });
    TraceResult::Error { detail }
}

/// Whether a report shows what must hold or what does hold.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Show {
    Needed,
    Holding,
}

/// The comparisons that keep `condition` from being `target`.
fn obstacles(
    condition: &Condition,
    target: bool,
    show: Show,
    context: &EvaluationContext,
    out: &mut Vec<ConditionReport>,
) {
    let goal = if target { Truth::True } else { Truth::False };
    if condition.truth(context) == goal {
        return;
    }
    match condition {
        Condition::Leaf(leaf) => out.push(report(leaf, target == (show == Show::Needed), context)),
        Condition::All(inner) | Condition::Any(inner) => {
            for condition in inner {
                obstacles(condition, target, show, context, out);
            }
        }
        Condition::Not(inner) => obstacles(inner, !target, show, context, out),
    }
}

fn report(leaf: &Leaf, as_written: bool, context: &EvaluationContext) -> ConditionReport {
    let found = context.lookup(&leaf.path);
    let operand_secret =
        leaf.operand_path().and_then(|path| context.lookup(path)).is_some_and(|(_, secret)| secret);
    let secret = operand_secret || found.is_some_and(|(_, secret)| secret);
    let have = match found {
        None => Seen::Missing,
        Some(_) if secret => Seen::Redacted,
        Some((view, _)) => Seen::Value(view.to_seen()),
    };
    // A literal compared with a secret can give the secret away as well.
    let (want, text) = if secret {
        ("[redacted]".to_owned(), format!("{} {} [redacted]", leaf.path, leaf.operator))
    } else {
        (leaf.want.to_string(), leaf.text.to_string())
    };
    ConditionReport {
        attribute: leaf.path.to_string(),
        operator: leaf.operator,
        want,
        have,
        text: if as_written { text } else { format!("not ({text})") },
        error: leaf.check(context).err().map(|problem| describe(leaf, problem)),
        line: leaf.at.line,
    }
}

fn describe(leaf: &Leaf, problem: NoTruth<'_>) -> String {
    match problem {
        NoTruth::Missing(path) => format!("the attribute `{path}` is missing"),
        NoTruth::Type { have, need } => format!("`{}`: {have} where {need} is needed", leaf.path),
        NoTruth::EmptyOperand(path) => format!("the attribute `{path}` is empty and would match everything"),
        NoTruth::Malformed { need } => format!("`{}` is not {need}", leaf.path),
    }
}

pub(crate) fn listed<T: ToString>(items: &[T]) -> String {
    let mut texts: Vec<String> = items.iter().take(8).map(ToString::to_string).collect();
    if items.len() > texts.len() {
        texts.push(format!("{} more", items.len() - texts.len()));
    }
    texts.join(", ")
}
