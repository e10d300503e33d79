//! One world as sets of the engine, which must agree with the reference in everything the reference knows.

use std::collections::{BTreeMap, BTreeSet};

use hpc_policy::{Effect, Policy, PolicySet, Verdict, evaluate, parse_policy};

use super::model::{Datum, Request, World};
use super::{ask, evaluate as reference, write};

pub(crate) struct Sets {
    text: String,
    /// Only without groups and included roles, which only a set knows.
    alone: Option<Policy>,
    whole: PolicySet,
    split: PolicySet,
}

impl Sets {
    /// The world in one document and in two.
    pub(crate) fn of(world: &World) -> Result<Self, String> {
        let text = write::policy("p", &world.rules);
        let groups = write::groups(world);
        let parse = |mut documents: Vec<(&str, String)>| {
            documents.extend(groups.clone().map(|text| ("g", text)));
            PolicySet::parse_documents(documents).map_err(|errors| format!("{errors:?}\n{text}\n{groups:?}"))
        };
        let (left, right) = world.rules.split_at(world.rules.len() / 2);
        let mut halves = vec![("right", write::policy("right", right))];
        if !left.is_empty() {
            halves.push(("left", write::policy("left", left)));
        }
        let alone = match groups {
            None => Some(parse_policy(&text).map_err(|error| format!("{error}\n{text}"))?),
            Some(_) => None,
        };
        Ok(Self { alone, whole: parse(vec![("p", text.clone())])?, split: parse(halves)?, text })
    }

    /// What the reference expects, if the engine agrees.
    pub(crate) fn check(&self, world: &World, request: &Request) -> Result<reference::Expected, String> {
        let expected = reference::expected(world, request);
        let context = ask::context(request);
        let verdict = if expected.allowed { Verdict::Allow } else { Verdict::Deny };
        let mut decisions =
            vec![("whole", self.whole.evaluate(&context)), ("split", self.split.evaluate(&context))];
        if let Some(policy) = &self.alone {
            decisions.push(("alone", evaluate(policy, &context).map_err(|error| error.to_string())?));
        }
        let mut wrong = Vec::new();
        for (name, set) in [("whole", &self.whole), ("split", &self.split)] {
            if set.decide(&context) != verdict {
                wrong.push(format!("{name}: decide is not {verdict}"));
            }
        }
        for (name, decision) in &decisions {
            let matched: BTreeSet<String> =
                decision.matched.iter().map(|rule| rule.rule.to_string()).collect();
            let errors = decision.errors.iter().filter(|error| error.denies);
            let unknown: BTreeSet<String> = errors
                .filter_map(|error| error.rule.as_ref()?.split('/').nth(1).map(str::to_owned))
                .collect();
            let obligations: BTreeMap<String, Datum> =
                decision.obligations.iter().map(|(name, value)| (name.clone(), ask::datum(value))).collect();
            let effects_hold = decision.matched.iter().all(|matched| {
                world
                    .rules
                    .iter()
                    .any(|rule| rule.name == *matched.rule && rule.allow == (matched.effect == Effect::Allow))
            });
            for (what, holds) in [
                ("verdict", decision.verdict == verdict),
                ("matched rules", matched == expected.matched),
                ("effects of matched rules", effects_hold),
                ("rules without a truth value", unknown == expected.denied_by_unknown),
                ("obligations", obligations == expected.obligations),
                ("reasons", !decision.reasons().is_empty()),
                ("trace", decision.trace().len() + decision.trace_omitted() <= world.rules.len()),
            ] {
                if !holds {
                    wrong.push(format!("{name}: the {what} differ: {decision:#?}"));
                }
            }
            // Every way out that is offered works, by the reference's own judgement.
            for way in decision.allowed_if() {
                let changed = way.changes.iter().fold(request.clone(), |request, change| {
                    ask::changed(&request, &change.attribute, &change.value)
                });
                if !reference::expected(world, &changed).allowed {
                    wrong.push(format!("{name}: `{way}` does not lead to an allow"));
                }
            }
        }
        if wrong.is_empty() {
            return Ok(expected);
        }
        Err(format!(
            "{}\n{expected:#?}\n{request:?}\n{}\n{:?}",
            wrong.join("\n"),
            self.text,
            write::groups(world)
        ))
    }
}
