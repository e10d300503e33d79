//! Tables of test cases beside the policies: requests and the decisions they must get.

use std::collections::BTreeSet;

use crate::context::EvaluationContext;
use crate::decision::{Decision, Verdict};
use crate::decode::{Field, Fields, shown};
use crate::document;
use crate::error::PolicyError;
use crate::limits::CASES_MAX;
use crate::parties::{attributes, principal, resource};
use crate::rule::Effect;
use crate::set::PolicySet;
use crate::value::Value;

/// A parsed table of cases.
#[derive(Debug, Clone)]
pub struct Cases {
    cases: Vec<Case>,
}

/// One request and what must come of it.
#[derive(Debug, Clone)]
pub struct Case {
    name: String,
    line: u32,
    context: EvaluationContext,
    expected: Verdict,
    rule: Option<String>,
    obligations: Option<Vec<(String, Value)>>,
}

/// What came of one case.
#[derive(Debug, Clone, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[non_exhaustive]
pub struct CaseResult {
    /// The case's name.
    pub name: String,
    /// Line of the table where it begins.
    pub line: u32,
    /// What was expected.
    pub expected: Verdict,
    /// What did not come out as expected, in words; `None` if the case passes.
    pub failure: Option<String>,
    /// The decision.
    pub decision: Decision,
}

impl CaseResult {
    /// Whether everything came out as expected.
    #[must_use]
    pub fn passed(&self) -> bool {
        self.failure.is_none()
    }
}

impl Cases {
    /// The cases, in the order of the document.
    #[must_use]
    pub fn cases(&self) -> &[Case] {
        &self.cases
    }
}

impl Case {
    /// Its name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The request.
    #[must_use]
    pub fn context(&self) -> &EvaluationContext {
        &self.context
    }

    /// The verdict it must get.
    #[must_use]
    pub fn expected(&self) -> Verdict {
        self.expected
    }
}

/// Parses a table of cases: `kind: PolicyTest`, with `cases`, each with `name`, `principal`, `action`, `resource`,
/// `expect` and optionally `context`, `action_attributes`, `now`, `rule` (which must have decided) and
/// `obligations` (which must be exactly these).
///
/// # Errors
/// As [`parse_policy`](crate::parse_policy); also [`PolicyError::InvalidRequest`] never: a case may hold a
/// request that cannot be judged, to show that it is denied.
pub fn parse_cases(text: &str) -> Result<Cases, PolicyError> {
    let (mut root, _kind) = document::open(text, &["PolicyTest"])?;
    if let Some(metadata) = root.take("metadata") {
        let mut metadata = Fields::of(metadata.node, "metadata", &["name", "description"])?;
        metadata.text("name")?;
        metadata.text("description")?;
    }
    let list = root.require("cases", "list at least one case")?.list(CASES_MAX, "the number of cases")?;
    let mut names = BTreeSet::new();
    let mut cases = Vec::with_capacity(list.len());
    for item in list {
        let at = item.pos().at();
        let case = case(item)?;
        if !names.insert(case.name.clone()) {
            return Err(PolicyError::DuplicateName { at, what: "case", name: case.name });
        }
        cases.push(case);
    }
    Ok(Cases { cases })
}

/// Evaluates every case against `set`. A case fails also when its request holds an attribute that the set's
/// [`Schema`](crate::Schema) does not declare.
#[must_use]
pub fn run_cases(set: &PolicySet, cases: &Cases) -> Vec<CaseResult> {
    cases.cases.iter().map(|case| run(set, case)).collect()
}

fn run(set: &PolicySet, case: &Case) -> CaseResult {
    let decision = set.evaluate(&case.context);
    let failure = if let Some(path) = set.schema().undeclared(&case.context) {
        // A misspelt attribute would make the case pass for a request that nobody sends.
        Some(format!("the request holds `{path}`, which the schema does not declare; correct the name"))
    } else if decision.verdict != case.expected {
        let reasons: Vec<String> = decision.reasons().iter().map(ToString::to_string).collect();
        Some(format!("expected {}, got {}: {}", case.expected, decision.verdict, reasons.join("; ")))
    } else {
        wrong_rule(case, &decision).or_else(|| wrong_obligations(case, &decision))
    };
    CaseResult { name: case.name.clone(), line: case.line, expected: case.expected, failure, decision }
}

/// A rule has decided when it matched, or could not be evaluated, and has the verdict's effect.
fn wrong_rule(case: &Case, decision: &Decision) -> Option<String> {
    let wanted = case.rule.as_deref()?;
    let effect = if decision.is_allowed() { Effect::Allow } else { Effect::Deny };
    let matched = decision.matched.iter().filter(|outcome| outcome.effect == effect);
    let mut decided: Vec<String> =
        matched.map(|outcome| format!("{}/{}", outcome.policy, outcome.rule)).collect();
    decided
        .extend(decision.errors.iter().filter(|error| error.denies).filter_map(|error| error.rule.clone()));
    let named =
        |full: &String| full == wanted || full.split_once('/').is_some_and(|(_, rule)| rule == wanted);
    if decided.iter().any(named) {
        return None;
    }
    let by = if decided.is_empty() { "no rule".to_owned() } else { decided.join(", ") };
    Some(format!("expected `{wanted}` to decide, but it was decided by {by}"))
}

fn wrong_obligations(case: &Case, decision: &Decision) -> Option<String> {
    let wanted = case.obligations.as_ref()?;
    let same = wanted.len() == decision.obligations.len()
        && wanted.iter().all(|(name, value)| decision.obligations.get(name) == Some(value));
    let show = |name: &str, value: &Value| format!("{name}: {value}");
    (!same).then(|| {
        let got: Vec<String> = decision.obligations.iter().map(|(name, value)| show(name, value)).collect();
        let wanted: Vec<String> = wanted.iter().map(|(name, value)| show(name, value)).collect();
        format!("expected obligations [{}], got [{}]", wanted.join(", "), got.join(", "))
    })
}

fn case(item: Field) -> Result<Case, PolicyError> {
    const KNOWN: [&str; 10] = [
        "name",
        "principal",
        "action",
        "action_attributes",
        "resource",
        "context",
        "now",
        "expect",
        "rule",
        "obligations",
    ];
    let line = item.pos().line;
    let mut fields = Fields::of(item.node, "a case", &KNOWN)?;
    let name = fields.require("name", "name the case")?.text()?;
    let principal = principal(fields.require("principal", "say who asks, such as `{user: alice}`")?)?;
    let resource =
        resource(fields.require("resource", "say what for, such as `{type: gpu, id: gpu/h100}`")?)?;
    let action = fields.require("action", "say what they want to do")?.text()?;
    let mut context = EvaluationContext::new(principal, resource, action);
    for (key, value) in attributes(&mut fields, "context")? {
        context = context.with_attribute(key.text, value);
    }
    for (key, value) in attributes(&mut fields, "action_attributes")? {
        context = context.with_action_attribute(key.text, value);
    }
    if let Some(field) = fields.take("now") {
        let text = field.text()?;
        let now = text.parse().map_err(|_| {
            field.invalid(format!("`{}`", shown(&text)), "a time such as `2026-11-02T10:00:00Z`")
        })?;
        context = context.with_now(now);
    }
    let expect = fields.require("expect", "write `expect: allow` or `expect: deny`")?;
    let expected = match expect.text()?.as_str() {
        "allow" => Verdict::Allow,
        "deny" => Verdict::Deny,
        other => return Err(expect.invalid(format!("`{}`", shown(other)), "`allow` or `deny`")),
    };
    let obligations = match fields.has("obligations") {
        true => {
            let values = attributes(&mut fields, "obligations")?;
            Some(values.into_iter().map(|(key, value)| (key.text, value)).collect())
        }
        false => None,
    };
    Ok(Case { name, line, context, expected, rule: fields.text("rule")?, obligations })
}
