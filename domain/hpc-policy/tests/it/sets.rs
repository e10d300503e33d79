//! Many documents as one.

use std::sync::Arc;

use hpc_policy::{Effect, PolicyError, PolicySet, Value};

use super::{asked, policy, policy_of, rule};

fn named(name: &str, text: String) -> String {
    text.replace("metadata: {name: p}", &format!("metadata: {{name: {name}}}"))
}

#[test]
fn all_or_nothing_and_every_error_names_its_document() {
    let good = policy("allow", &[]);
    let bad = named("q", policy("alow", &[]));
    let worse = "kind: [".to_owned();
    let errors =
        PolicySet::parse_documents([("a.yaml", &good), ("b.yaml", &bad), ("c.yaml", &worse)]).unwrap_err();
    let texts: Vec<String> = errors.iter().map(ToString::to_string).collect();
    assert_eq!(texts.len(), 2);
    assert_eq!(texts[0], "b.yaml:7:15: `effect` is `alow`; expected `allow` or `deny`");
    assert!(texts[1].starts_with("c.yaml:"), "{}", texts[1]);
}

#[test]
fn names_are_unique() {
    let text = policy("allow", &[]);
    let errors = PolicySet::parse_documents([("a", &text), ("b", &text)]).unwrap_err();
    assert_eq!(errors[0].to_string(), "b:3:18: policy `p` is already used; give each its own name");
    let errors = PolicySet::parse_documents([("a", &text), ("a", &text)]).unwrap_err();
    assert!(matches!(&errors[0], PolicyError::DuplicateName { what: "document", .. }));
    let errors =
        PolicySet::parse_documents([("a", policy_of(&[rule("r", "allow", &[]), rule("r", "deny", &[])]))])
            .unwrap_err();
    assert!(matches!(&errors[0], PolicyError::DuplicateName { what: "rule", .. }));
}

#[test]
fn no_documents_is_an_error_and_deny_all_is_asked_for() {
    let errors = PolicySet::parse_documents(std::iter::empty::<(&str, &str)>()).unwrap_err();
    assert_eq!(errors, [PolicyError::NoDocuments]);
    let set = PolicySet::deny_all();
    assert!(!set.evaluate(&asked()).is_allowed());
    assert_eq!(
        set.evaluate(&asked()).reasons()[0].text,
        "no rule allows user `alice` to `use` on thing `things/a`"
    );
    assert_eq!(set.rule_count(), 0);
}

#[test]
fn the_digest_is_of_the_content() {
    let (a, b) = (named("a", policy("allow", &[])), named("b", policy("deny", &[])));
    let digest = |documents: &[(&str, &str)]| {
        PolicySet::parse_documents(documents.to_vec()).unwrap().digest().to_owned()
    };
    let both = digest(&[("a", &a), ("b", &b)]);
    assert_eq!(both, digest(&[("b", &b), ("a", &a)]));
    assert_ne!(both, digest(&[("a", &a)]));
    assert_ne!(both, digest(&[("a", &b), ("b", &a)]));
    assert_ne!(both, digest(&[("a", &format!("{a}\n")), ("b", &b)]));
    assert!(both.len() == 64 && both.bytes().all(|byte| byte.is_ascii_hexdigit()));
    let set = PolicySet::parse_documents([("a", &a)]).unwrap();
    assert_eq!(&*set.evaluate(&asked()).digest, set.digest());
}

#[test]
fn a_deny_in_one_document_stops_an_allow_in_another() {
    let set = PolicySet::parse_documents([
        ("a", named("a", policy("allow", &[]))),
        ("b", named("b", policy("deny", &[]))),
    ])
    .unwrap();
    let decision = set.evaluate(&asked());
    assert!(!decision.is_allowed());
    assert_eq!(decision.matched.len(), 2);
    assert_eq!(
        set.rules().map(|rule| (rule.policy(), rule.effect())).collect::<Vec<_>>(),
        [("a", Effect::Allow), ("b", Effect::Deny)]
    );
}

#[test]
fn obligations_of_all_matching_allows_are_combined() {
    let with = |name: &str, obligations: &str| {
        format!("{}      obligations: {obligations}\n", rule(name, "allow", &[]))
    };
    let text = policy_of(&[
        with("a", "{max_lease_hours: 8, idle_release_minutes: 30, require_approval: role:a}"),
        with("b", "{max_lease_hours: 24, idle_release_minutes: 15, require_mfa: true}"),
        with("c", "{require_approval: role:b, require_mfa: false}"),
        format!(
            "{}      obligations: {{max_lease_hours: 1}}\n",
            rule("d", "deny", &["{attribute: context.x, op: exists}"])
        ),
    ]);
    let set = PolicySet::parse_documents([("p", &text)]).unwrap();
    let decision = set.evaluate(&asked());
    let expected: Vec<(String, Value)> = vec![
        ("idle_release_minutes".into(), 15.into()),
        ("max_lease_hours".into(), 8.into()),
        ("require_approval".into(), vec!["role:a", "role:b"].into()),
        ("require_mfa".into(), true.into()),
    ];
    assert_eq!(decision.obligations.clone().into_iter().collect::<Vec<_>>(), expected);

    let denied = set.evaluate(&asked().with_attribute("x", 1));
    assert_eq!(
        denied.obligations.into_iter().collect::<Vec<_>>(),
        [("max_lease_hours".to_owned(), 1.into())]
    );

    let known = ["idle_release_minutes", "max_lease_hours", "require_approval", "require_mfa"];
    assert!(decision.clone().deny_unless_understood(&known).is_allowed());
    let refused = decision.deny_unless_understood(&known[..3]);
    assert!(!refused.is_allowed() && refused.obligations.is_empty());
    assert_eq!(
        refused.reasons()[0].text,
        "the obligation `require_mfa` is not understood here; drop it from the policy or upgrade"
    );
}

#[test]
fn obligations_of_two_types_are_refused_even_across_documents() {
    let with = |name: &str, value: &str| {
        named(name, format!("{}      obligations: {{limit: {value}}}\n", policy("allow", &[])))
    };
    let errors = PolicySet::parse_documents([("a", with("a", "8")), ("b", with("b", "eight"))]).unwrap_err();
    assert_eq!(
        errors[0].to_string(),
        "b:6:1: obligation `limit` is text here and an integer in a/r; use one type everywhere"
    );
}

#[test]
fn a_set_is_shared_between_threads() {
    fn shareable<T: Send + Sync + Clone + 'static>(_: &T) {}
    let set = Arc::new(PolicySet::parse_documents([("p", policy("allow", &[]))]).unwrap());
    shareable(&*set);
    let threads: Vec<_> = (0..4)
        .map(|_| {
            let set = Arc::clone(&set);
            std::thread::spawn(move || set.evaluate(&asked()).is_allowed())
        })
        .collect();
    assert!(threads.into_iter().all(|thread| thread.join().unwrap()));
}

#[test]
fn action_patterns_and_type_wildcards_are_found_by_the_index() {
    let shape = |actions: &str, resources: &str| {
        rule("r", "allow", &[])
            .replace("[\"**\"]", actions)
            .replace("[{type: thing, pattern: \"**\"}]", resources)
    };
    for (actions, resources, action, expected) in [
        ("[use, \"u*\"]", "[{type: thing, pattern: \"**\"}, {type: \"*\", pattern: \"**\"}]", "use", true),
        ("[\"capacity.*\"]", "[{type: thing, id: things/a}]", "capacity.request", true),
        ("[\"capacity.*\"]", "[{type: thing, id: things/a}]", "capacity.request.force", false),
        ("[\"capacity.**\"]", "[{type: \"*\", id: things/a}]", "capacity.request.force", true),
        ("[\"**.read\"]", "[{type: \"*\", id: things/a}]", "audit.read", true),
        ("[\"*.read\"]", "[{type: \"*\", id: things/b}]", "audit.read", false),
        ("[use]", "[{type: other, id: things/a}]", "use", false),
    ] {
        let set = PolicySet::parse_documents([("p", policy_of(&[shape(actions, resources)]))]).unwrap();
        let context = hpc_policy::EvaluationContext::new(
            asked().principal().clone(),
            asked().resource().clone(),
            action,
        );
        let decision = set.evaluate(&context);
        assert_eq!(decision.is_allowed(), expected, "{actions} {resources} {action}");
        assert!(decision.matched.len() <= 1, "a rule counts once");
    }
}

#[test]
fn whatever_names_a_rule_names_its_document() {
    let deny = named("d", policy("deny", &["{attribute: context.n, op: gt, value: 1}"]));
    let allow = named("a", policy("allow", &["{attribute: context.n, op: gt, value: 1}"]));
    let set = PolicySet::parse_documents([("deny.yaml", &deny), ("allow.yaml", &allow)]).unwrap();
    let documents: Vec<_> = set.rules().map(|rule| rule.document().unwrap()).collect();
    assert_eq!(documents, ["allow.yaml", "deny.yaml"]);
    let known = |document: &Option<Arc<str>>| document.as_deref().unwrap().to_owned();

    let decision = set.evaluate(&asked().with_attribute("context.n", 2));
    let matched: Vec<_> = decision.matched.iter().map(|outcome| known(&outcome.document)).collect();
    assert_eq!(matched, ["allow.yaml", "deny.yaml"]);
    let trace: Vec<_> = decision.trace().iter().map(|line| known(&line.document)).collect();
    assert_eq!(trace, ["allow.yaml", "deny.yaml"]);

    let decision = set.evaluate(&asked());
    assert_eq!(known(&decision.near_misses[0].document), "allow.yaml");
    assert_eq!(known(&decision.errors[0].document), "deny.yaml");
}
