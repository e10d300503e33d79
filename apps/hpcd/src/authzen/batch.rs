//! Evaluations: one, or many with shared defaults.

use hpc_policy::{Decision, PolicySet};
use jiff::Timestamp;
use serde_json::{Value, json};

use super::limits::{EVALUATIONS_MAX, REASONS_MAX};
use super::map::{self, Action, Role, Subject, Surroundings, Thing, required};
use super::wire::{Object, Problem};

/// When a batch ends before its last item.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Semantic {
    ExecuteAll,
    DenyOnFirstDeny,
    PermitOnFirstPermit,
}

/// The parts of a question that are there.
#[derive(Default)]
struct Parts {
    subject: Option<Subject>,
    action: Option<Action>,
    resource: Option<Thing>,
    context: Option<Surroundings>,
}

impl Parts {
    fn read(object: &Object) -> Result<Self, Problem> {
        Ok(Self {
            subject: Subject::read(object, Role::Named)?,
            action: Action::read(object)?,
            resource: Thing::read(object, Role::Named)?,
            context: Surroundings::read(object)?,
        })
    }

    /// The answer to the question that these parts make, each taken whole from `defaults` if it is not here.
    fn decide(&self, defaults: &Self, policies: &PolicySet, now: Timestamp) -> Result<Value, Problem> {
        let subject = required(self.subject.as_ref().or(defaults.subject.as_ref()), "subject")?;
        let action = required(self.action.as_ref().or(defaults.action.as_ref()), "action")?;
        let resource = required(self.resource.as_ref().or(defaults.resource.as_ref()), "resource")?;
        let none = Surroundings::none();
        let context = self.context.as_ref().or(defaults.context.as_ref()).unwrap_or(&none);
        Ok(match map::question(policies.entities(), (subject, action, resource), context, now) {
            Ok(asked) => answer(&policies.evaluate(&asked)),
            Err(problem) => unreadable(&problem, policies.digest()),
        })
    }
}

/// Answers `POST /access/v1/evaluation`.
pub(super) fn one(body: &Object, policies: &PolicySet, now: Timestamp) -> Result<Value, Problem> {
    Parts::read(body)?.decide(&Parts::default(), policies, now)
}

/// How many items a body for [`many`] holds.
pub(super) fn count(body: &Object) -> usize {
    body.get("evaluations").and_then(Value::as_array).map_or(0, Vec::len)
}

/// Answers `POST /access/v1/evaluations`. Without items it is a single evaluation.
pub(super) fn many(body: &Object, policies: &PolicySet, now: Timestamp) -> Result<Value, Problem> {
    let semantic = semantic(body)?;
    let items = match body.get("evaluations") {
        None => return one(body, policies, now),
        Some(Value::Array(items)) if items.is_empty() => return one(body, policies, now),
        Some(Value::Array(items)) if items.len() > EVALUATIONS_MAX => {
            let message = format!("`evaluations` has {} items; send at most {EVALUATIONS_MAX}", items.len());
            return Err(Problem::bad(message));
        }
        Some(Value::Array(items)) => items,
        Some(_) => return Err(Problem::bad("`evaluations` is not a list; send a list of objects")),
    };
    let defaults = Parts::read(body)?;
    let mut answers = Vec::with_capacity(items.len());
    for item in items {
        let outcome = match item {
            Value::Object(item) => Parts::read(item).and_then(|parts| parts.decide(&defaults, policies, now)),
            _ => Err(Problem::bad("an evaluation is not an object; send `{}` to use the defaults")),
        };
        // An item that fails is denied; the others go on.
        let answer = outcome.unwrap_or_else(|problem| failed(&problem, policies.digest()));
        let permitted = answer.get("decision") == Some(&Value::Bool(true));
        answers.push(answer);
        match semantic {
            Semantic::DenyOnFirstDeny if !permitted => break,
            Semantic::PermitOnFirstPermit if permitted => break,
            _ => {}
        }
    }
    Ok(json!({"evaluations": answers}))
}

fn semantic(body: &Object) -> Result<Semantic, Problem> {
    let options = match body.get("options") {
        None => return Ok(Semantic::ExecuteAll),
        Some(Value::Object(options)) => options,
        Some(_) => return Err(Problem::bad("`options` is not an object; leave it out")),
    };
    match options.get("evaluations_semantic") {
        None => Ok(Semantic::ExecuteAll),
        Some(Value::String(word)) if word == "execute_all" => Ok(Semantic::ExecuteAll),
        Some(Value::String(word)) if word == "deny_on_first_deny" => Ok(Semantic::DenyOnFirstDeny),
        Some(Value::String(word)) if word == "permit_on_first_permit" => Ok(Semantic::PermitOnFirstPermit),
        Some(_) => Err(Problem::bad(
            "`options.evaluations_semantic` is not known; send `execute_all`, `deny_on_first_deny` or \
             `permit_on_first_permit`",
        )),
    }
}

/// A decision as they say it: short reasons, never the trace, which is for those who may read the policies.
fn answer(decision: &Decision) -> Value {
    let reasons = decision.reasons();
    let mut context = Object::new();
    context.insert("policy_digest".to_owned(), decision.digest.as_ref().into());
    if let (false, Some(first)) = (decision.is_allowed(), reasons.first()) {
        context.insert("reason_user".to_owned(), json!({"en": first.text}));
    }
    let listed: Vec<Value> = reasons
        .iter()
        .take(REASONS_MAX)
        .map(|reason| json!({"code": reason.code.as_str(), "rule": reason.rule, "text": reason.text}))
        .collect();
    context.insert("reasons".to_owned(), listed.into());
    let ways: Vec<String> = decision.allowed_if().iter().take(REASONS_MAX).map(ToString::to_string).collect();
    if !ways.is_empty() {
        context.insert("allowed_if".to_owned(), ways.into());
    }
    for (name, values) in [("obligations", &decision.obligations), ("advice", &decision.advice)] {
        if !values.is_empty() {
            // An obligation that could not be written must not get lost: the answer would then be a refusal.
            match serde_json::to_value(values) {
                Ok(values) => context.insert(name.to_owned(), values),
                Err(error) => {
                    let problem = format!("the {name} cannot be written as JSON: {error}");
                    return unreadable(&problem, &decision.digest);
                }
            };
        }
    }
    json!({"decision": decision.is_allowed(), "context": context})
}

/// The refusal of a question that has no single reading.
fn unreadable(problem: &str, digest: &str) -> Value {
    let text = format!("the request cannot be judged: {problem}");
    json!({"decision": false, "context": {
        "policy_digest": digest,
        "reason_user": {"en": text},
        "reasons": [{"code": "invalid_request", "rule": null, "text": text}],
    }})
}

/// The refusal of an item of a batch that is not a question at all.
fn failed(problem: &Problem, digest: &str) -> Value {
    json!({"decision": false, "context": {"policy_digest": digest, "error": problem.to_json()}})
}
