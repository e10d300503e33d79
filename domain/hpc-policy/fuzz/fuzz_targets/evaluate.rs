//! A document and a request from the same bytes: both entrances give one verdict, and every way out works.
#![no_main]

use hpc_policy::{EvaluationContext, PolicySet, Principal, Resource};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: (&str, &str, &str, &str, &str, i64)| {
    let (text, role, kind, id, action, number) = input;
    let Ok(set) = PolicySet::parse_documents([("p", text)]) else { return };
    let principal = Principal::user("u").with_role(role);
    let context = EvaluationContext::new(principal, Resource::new(kind, id), action)
        .with_attribute("n", number)
        .with_attribute("text", role);
    let decision = set.evaluate(&context);
    assert_eq!(decision.verdict, set.decide(&context));
    assert!(!decision.reasons().is_empty());
    for way in decision.allowed_if() {
        let mut changed = context.clone();
        for change in &way.changes {
            let Some(name) = change.attribute.strip_prefix("context.") else { return };
            changed = changed.with_attribute(name, change.value.clone());
        }
        assert!(set.decide(&changed).is_allowed());
    }
});
