//! `who_can` and `what_can`: no way is left out, and what is said to hold holds.

use hpc_policy::{
    Effect, EvaluationContext, Known, PolicyError, PolicySet, Principal, Resource, TraceResult, Value,
    Verdict, what_can, who_can,
};
use proptest::prelude::*;

use crate::random::{self, requests, rules};

/// Some of the attributes of a request, as known ones.
fn known(context: &EvaluationContext, attributes: &[(&'static str, Value)], chosen: u16) -> Known {
    let mut known = Known::new();
    for (place, (name, value)) in attributes.iter().enumerate() {
        if chosen & (1 << place) != 0 {
            known = known.with(name, value.clone()).unwrap();
        }
    }
    match context.now() {
        Some(now) if chosen & (1 << 12) != 0 => known.with("context.now", now).unwrap(),
        _ => known,
    }
}

/// A rule, whether it is an unconditional way, and whether it is closed.
type Said = (String, bool, bool);

/// What the request makes of each rule must fit what was said before it was made.
fn fits(set: &PolicySet, context: &EvaluationContext, said: &[Said]) -> Result<(), TestCaseError> {
    let decision = set.evaluate(context);
    for line in decision.trace().iter().filter(|line| line.effect == Effect::Allow) {
        let of_rule: Vec<&Said> = said.iter().filter(|(rule, ..)| **rule == *line.rule).collect();
        let open = of_rule.iter().filter(|(_, _, closed)| !closed);
        match &line.result {
            TraceResult::NotApplicable { .. } => {}
            result => {
                let matched = matches!(result, TraceResult::Matched { .. });
                prop_assert!(!matched || !of_rule.is_empty(), "{} matched and is no way", line.rule);
                if matched && decision.is_allowed() {
                    prop_assert!(open.clone().count() > 0, "{} allowed and is closed", line.rule);
                }
                if !of_rule.is_empty() && of_rule.iter().all(|(_, unconditional, _)| *unconditional) {
                    prop_assert!(matched, "{} is unconditional and does not match", line.rule);
                    prop_assert!(decision.is_allowed(), "{} is unconditional and was denied", line.rule);
                }
            }
        }
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn every_way_is_named_and_none_holds_too_much(
        rules in rules(1..6),
        requests in prop::collection::vec((requests(), any::<u16>()), 8),
    ) {
        let set = random::set(&rules);
        for (request, chosen) in &requests {
            let context = request.context();
            let known = known(&context, &request.attributes, *chosen);
            let resource = Resource::new(context.resource().resource_type(), context.resource().id());
            let who = who_can(&set, context.action(), &resource, &known).unwrap();
            let mut said: Vec<Said> = Vec::new();
            for (way, closed) in who.ways.iter().map(|way| (way, false)).chain(who.closed.iter().map(|way| (way, true))) {
                said.push((way.rule.rule.to_string(), way.is_unconditional() && !closed, closed));
            }
            fits(&set, &context, &said)?;
            let what = what_can(&set, &request.principal(), &known).unwrap();
            let mut said: Vec<Said> = Vec::new();
            for (way, closed) in what.ways.iter().map(|way| (way, false)).chain(what.closed.iter().map(|way| (way, true))) {
                said.push((way.rule.rule.to_string(), way.is_unconditional() && !closed, closed));
            }
            fits(&set, &context, &said)?;
        }
    }
}

const PEOPLE: &str = "
apiVersion: policy.horizon.dev/v1
kind: PolicyEntities
metadata: {name: people}
spec:
  subjects: [{user: alice, roles: [gpu-user]}, {user: bob, roles: [gpu-user, suspended]}, {service: hpcd}]
  resources: [{type: gpu, id: gpu/h100, attributes: {pool: shared}}, {type: gpu, id: gpu/a100, attributes: {pool: own}}]
  actions: [{name: capacity.request}, {name: capacity.release}]
";

const POLICY: &str = "
apiVersion: policy.horizon.dev/v1
kind: Policy
metadata: {name: p}
spec:
  rules:
    - name: short
      effect: allow
      principals: [{type: role, value: gpu-user}, {type: user, value: eve}]
      resources: [{type: gpu, pattern: 'gpu/*'}]
      actions: [capacity.request]
      conditions:
        - {attribute: context.hours, op: lte, value: 8}
        - {attribute: resource.pool, op: eq, value: shared}
    - name: own
      effect: allow
      principals: [{type: any}]
      resources: [{type: gpu, pattern: '**'}]
      actions: ['capacity.*']
      conditions: [{attribute: resource.owner, op: eq, value_from: principal.id}]
    - name: suspended
      effect: deny
      principals: [{type: role, value: suspended}]
      resources: [{type: '*', pattern: '**'}]
      actions: ['**']
    - name: no-eve
      effect: deny
      principals: [{type: user, pattern: 'e*'}]
      resources: [{type: gpu, pattern: '**'}]
      actions: [capacity.request]
      conditions: [{attribute: context.approved, op: eq, value: false}]
    - name: no-services
      effect: deny
      principals: [{type: service, pattern: '**'}]
      resources: [{type: gpu, pattern: '**'}]
      actions: ['**']
";

fn set() -> PolicySet {
    PolicySet::parse_documents([("p.yaml", POLICY), ("people.yaml", PEOPLE)]).unwrap()
}

#[test]
fn a_way_says_whom_it_means_what_it_asks_and_what_stands_against_it() {
    let gpu = Resource::new("gpu", "gpu/h100");
    let known = Known::new().with("context.hours", 4).unwrap().with("resource.pool", "shared").unwrap();
    let answer = who_can(&set(), "capacity.request", &gpu, &known).unwrap();
    let lines: Vec<String> = answer
        .ways
        .iter()
        .map(|way| {
            let unless: Vec<String> = way
                .unless
                .iter()
                .map(|denial| {
                    format!("{} over {:?} if {:?}", denial.rule.rule, denial.over, denial.conditions)
                })
                .collect();
            format!("{} by {}: {:?} unless {}", way.who, way.rule, way.conditions, unless.join(" and "))
        })
        .collect();
    assert_eq!(
        lines,
        [
            "role `gpu-user` by p/short (p.yaml:7): [] unless suspended over [\"role `suspended`\"] if [] and no-eve over \
             [\"user `e*`\"] if [\"context.approved == false\"] and no-services over [\"service `**`\"] if []",
            "user `eve` by p/short (p.yaml:7): [] unless suspended over [\"role `suspended`\"] if [] and no-eve over [] if \
             [\"context.approved == false\"]",
            "any principal by p/own (p.yaml:15): [\"resource.owner == principal.id\"] unless suspended over [\"role \
             `suspended`\"] if [] and no-eve over [\"user `e*`\"] if [\"context.approved == false\"] and no-services over \
             [\"service `**`\"] if []",
        ]
    );
    let subjects: Vec<(&str, Verdict)> =
        answer.subjects.iter().map(|subject| (subject.principal.as_str(), subject.verdict)).collect();
    assert_eq!(
        subjects,
        [("user:alice", Verdict::Allow), ("user:bob", Verdict::Deny), ("service:hpcd", Verdict::Deny)]
    );
    // What is known to fail is no way; what is known to be missing on a deny closes the ways that it covers.
    let long = Known::new().with("context.hours", 9).unwrap();
    let answer = who_can(&set(), "capacity.request", &gpu, &long).unwrap();
    assert_eq!(answer.ways.iter().map(|way| &*way.rule.rule).collect::<Vec<_>>(), ["own"]);
    let refused = known.with("context.approved", false).unwrap();
    let answer = who_can(&set(), "capacity.request", &gpu, &refused).unwrap();
    let closed: Vec<&str> = answer.closed.iter().map(|way| way.who.as_str()).collect();
    assert_eq!(closed, ["user `eve`"]);
    assert_eq!(&*answer.closed[0].unless[0].rule.rule, "no-eve");
}

#[test]
fn a_principal_sees_what_it_can_do() {
    let alice = Principal::user("alice").with_role("gpu-user");
    let known = Known::new().with("context.hours", 4).unwrap();
    let answer = what_can(&set(), &alice, &known).unwrap();
    let lines: Vec<String> = answer
        .ways
        .iter()
        .map(|way| {
            format!(
                "{:?} on {} if {:?} {}",
                way.actions,
                way.resource,
                way.conditions,
                way.is_unconditional()
            )
        })
        .collect();
    assert_eq!(
        lines,
        [
            "[\"capacity.request\"] on gpu `gpu/*` if [\"resource.pool == \\\"shared\\\"\"] false",
            "[\"capacity.*\"] on gpu `**` if [\"resource.owner == \\\"alice\\\"\"] false",
        ]
    );
    assert!(answer.ways.iter().all(|way| way.unless.is_empty()));
    let exact: Vec<(&str, &[String])> =
        answer.resources.iter().map(|one| (one.resource.as_str(), one.actions.as_slice())).collect();
    assert_eq!(exact, [("gpu:gpu/h100", &["capacity.request".to_owned()][..])]);
    assert_eq!((answer.asked, answer.asked_omitted), (4, 0));
    // A suspended user has no way left, and each closed one says why.
    let answer = what_can(&set(), &alice.clone().with_role("suspended"), &known).unwrap();
    assert!(answer.ways.is_empty() && answer.resources.is_empty());
    assert!(answer.closed.iter().all(|way| &*way.unless[0].rule.rule == "suspended"));
    assert_eq!(answer.closed.len(), 2);
}

#[test]
fn roles_that_include_the_role_are_named() {
    let groups = "apiVersion: policy.horizon.dev/v1\nkind: PolicyGroups\nmetadata: {name: g}\nspec:\n  roles: [{name: lead, includes: [gpu-user]}]\n";
    let set = PolicySet::parse_documents([("p.yaml", POLICY), ("g.yaml", groups)]).unwrap();
    let answer = who_can(&set, "capacity.request", &Resource::new("gpu", "gpu/h100"), &Known::new()).unwrap();
    assert_eq!(answer.ways[0].included, ["lead"]);
}

#[test]
fn questions_that_no_request_can_ask_are_refused() {
    let wrong = |result: Result<Known, PolicyError>| result.unwrap_err().to_string();
    assert_eq!(
        wrong(Known::new().with("hours", 4)),
        "the request cannot be judged: hours is no attribute; name one below `principal.`, `resource.`, `action.` or `context.`"
    );
    assert!(wrong(Known::new().with("principal.id", "eve")).contains("belongs to the question itself"));
    assert!(wrong(Known::new().with("context.now", 4)).contains("is not a time"));
    assert!(wrong(Known::new().with("context.a", "x".repeat(20_000))).contains("longer than 16 KiB"));
    let many = (0..256).fold(Known::new(), |known, n| known.with(&format!("context.a{n}"), n).unwrap());
    let many = many.with("context.a0", 7).unwrap();
    assert!(wrong(many.with("context.a256", 1)).contains("one attribute too many"));
    let odd = who_can(&set(), "a b", &Resource::new("gpu", "gpu/h100"), &Known::new()).unwrap_err();
    assert!(matches!(odd, PolicyError::InvalidRequest { field, .. } if field == "action"));
    let odd = what_can(&set(), &Principal::user(""), &Known::new()).unwrap_err();
    assert!(matches!(odd, PolicyError::InvalidRequest { field, .. } if field == "principal.id"));
}
