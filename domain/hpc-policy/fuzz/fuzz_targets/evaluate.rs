//! Policies and requests: every entrance gives one verdict, and every way out works.
//!
//! Input that begins with `?` is text: a line `? ROLE TYPE ID ACTION NUMBER WORD`, then documents with `====` lines between.
//! Any other input is choices: a world and requests made of them, on which engine and reference must agree.
#![no_main]
#![allow(dead_code, reason = "the reference belongs to the tests, which use all of it")]

#[path = "../../tests/it/reference/agree.rs"]
mod agree;
#[path = "../../tests/it/reference/ask.rs"]
mod ask;
#[path = "../../tests/it/reference/evaluate.rs"]
mod evaluate;
#[path = "../../tests/it/reference/generate.rs"]
mod generate;
#[path = "../../tests/it/reference/model.rs"]
mod model;
#[path = "../../tests/it/reference/write.rs"]
mod write;

use hpc_policy::{Decision, EvaluationContext, PolicySet, Principal, Resource, parse_policy};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    match data.strip_prefix(b"?") {
        Some(text) => {
            let Ok(text) = std::str::from_utf8(text) else { return };
            written(text);
        }
        None => {
            let mut choices = generate::Choices(data);
            let world = generate::world(&mut choices, 8);
            let sets = agree::Sets::of(&world).unwrap_or_else(|error| panic!("{error}"));
            for _ in 0..4 {
                let request = generate::request(&mut choices);
                sets.check(&world, &request).unwrap_or_else(|error| panic!("{error}"));
            }
        }
    }
});

fn written(text: &str) {
    let Some((line, documents)) = text.split_once('\n') else { return };
    let words: Vec<&str> = line.split_whitespace().collect();
    let [role, kind, id, action, number, word] = words.as_slice() else { return };
    let documents: Vec<(String, &str)> =
        (0..).map(|n: u8| n.to_string()).zip(documents.split("\n====\n")).collect();
    let Ok(set) = PolicySet::parse_documents(documents.iter().map(|(name, text)| (name.as_str(), *text)))
    else {
        return;
    };
    let principal = Principal::user(*word).with_role(*role).with_team("ml").with_attribute("level", 3);
    let resource =
        Resource::new(*kind, *id).with_attribute("owner", *word).with_attribute("tags", vec!["a", "b"]);
    let mut context = EvaluationContext::new(principal, resource, *action)
        .with_attribute("text", *word)
        .with_attribute("ip", std::net::IpAddr::from([10, 1, 2, 3]))
        .with_secret_attribute("token", *word)
        .with_now(jiff::Timestamp::UNIX_EPOCH);
    if let Ok(number) = number.parse::<i64>() {
        context = context.with_attribute("n", number);
    }
    let decision = set.evaluate(&context);
    assert_eq!(decision.verdict, set.decide(&context));
    assert!(!decision.reasons().is_empty());
    if let [(_, only)] = documents.as_slice()
        && let Ok(policy) = parse_policy(only)
        && let Ok(alone) = hpc_policy::evaluate(&policy, &context)
    {
        assert_eq!((alone.verdict, names(&alone)), (decision.verdict, names(&decision)));
    }
    for way in decision.allowed_if() {
        let mut changed = context.clone();
        for change in &way.changes {
            // Other roots have other setters; the reference tries those.
            let Some(name) = change.attribute.strip_prefix("context.") else { return };
            changed = changed.with_attribute(name, change.value.clone());
        }
        assert!(set.decide(&changed).is_allowed(), "{way}");
    }
}

/// The rules that matched; a policy alone does not know the document it is from.
fn names(decision: &Decision) -> Vec<&str> {
    decision.matched.iter().map(|outcome| &*outcome.rule).collect()
}
