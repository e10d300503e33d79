//! Lists of entities beside the policies of a set.

use hpc_policy::{EvaluationContext, PolicyError, PolicySet, PrincipalKind, Resource, limits};

use super::policy;

const ENTITIES: &str = "apiVersion: policy.horizon.dev/v1
kind: PolicyEntities
metadata: {name: records, description: who and what there is, owner: \"team:records\"}
spec:
  subjects:
    - {user: bob, attributes: {role: admin}}
    - {user: alice, roles: [editor], teams: [ml], spiffe_id: \"spiffe://example.org/user/alice\"}
    - {agent: alice}
  resources:
    - {type: thing, id: things/b}
    - {type: thing, id: things/a, attributes: {status: active, tags: [x, y]}}
  actions:
    - {name: write}
    - {name: read}
";

fn set(documents: &[(&str, &str)]) -> Result<PolicySet, Vec<PolicyError>> {
    let allow = policy("allow", &["{attribute: principal.role, op: eq, value: admin}"]);
    PolicySet::parse_documents(
        documents.iter().map(|(name, text)| (*name, (*text).to_owned())).chain([("policy.yaml", allow)]),
    )
}

fn refused(text: &str) -> String {
    let errors = set(&[("e.yaml", text)]).unwrap_err();
    assert_eq!(errors.len(), 1, "{errors:?}");
    errors[0].to_string()
}

#[test]
fn entities_of_all_documents_are_listed_by_type_and_id() {
    let more = "apiVersion: policy.horizon.dev/v1\nkind: PolicyEntities\nmetadata: {name: more}\nspec:\n  subjects: [{user: ann}]\n";
    let set = set(&[("z.yaml", ENTITIES), ("a.yaml", more)]).unwrap();
    let entities = set.entities();
    let ids = |kind| entities.subjects_of(kind).iter().map(|one| one.id()).collect::<Vec<_>>();
    assert_eq!(ids(PrincipalKind::User), ["alice", "ann", "bob"]);
    assert_eq!((ids(PrincipalKind::Agent), ids(PrincipalKind::Service)), (vec!["alice"], vec![]));
    let alice = entities.subject(PrincipalKind::User, "alice").unwrap();
    assert_eq!((alice.roles(), alice.teams()), (&["editor".to_owned()][..], &["ml".to_owned()][..]));
    assert_eq!(alice.spiffe_id(), Some("spiffe://example.org/user/alice"));
    assert!(entities.subject(PrincipalKind::User, "eve").is_none());
    let things: Vec<&str> = entities.resources_of("thing").iter().map(Resource::id).collect();
    assert_eq!(things, ["things/a", "things/b"]);
    assert!(
        entities.resource("thing", "things/a").is_some() && entities.resource("gpu", "things/a").is_none()
    );
    assert_eq!(entities.actions(), ["read", "write"]);
    // What is known decides; being known does not.
    let bob = entities.subject(PrincipalKind::User, "bob").unwrap().clone();
    let thing = entities.resource("thing", "things/a").unwrap().clone();
    assert!(set.evaluate(&EvaluationContext::new(bob, thing.clone(), "read")).is_allowed());
    assert!(!set.evaluate(&EvaluationContext::new(alice.clone(), thing, "read")).is_allowed());
}

#[test]
fn the_digest_covers_entities_and_they_are_no_policies() {
    let with = set(&[("e.yaml", ENTITIES)]).unwrap();
    let other = set(&[("e.yaml", &ENTITIES.replace("role: admin", "role: guest"))]).unwrap();
    let without = set(&[]).unwrap();
    assert!(with.digest() != without.digest() && with.digest() != other.digest());
    assert_eq!((with.policies().len(), with.rule_count()), (1, 1));
    assert!(without.entities().actions().is_empty());
    assert_eq!(
        PolicySet::parse_documents([("e.yaml", ENTITIES)]).unwrap_err(),
        [PolicyError::NoDocuments],
        "entities alone are not a set that refuses everything in silence"
    );
}

#[test]
fn an_entity_has_one_place() {
    for (line, expected) in [
        ("    - {user: alice}", "e.yaml:9:7: subject `user:alice` is already used; give each its own name"),
        (
            "    - {user: \"a b\"}",
            "e.yaml:9:7: `principal.id` is not usable: it contains a character outside printable ASCII; use letters, digits and punctuation; expected a name or value that a request can hold",
        ),
        (
            "    - {user: a, attributes: {id: x}}",
            "e.yaml:9:7: `principal.id` is not usable: it is built in; use its own setter, or another name; expected a name or value that a request can hold",
        ),
        (
            "    - {user: a, attributes: {f: 1.5}}",
            "e.yaml:9:33: `attributes` is `1.5`, which readers of YAML take for different numbers; expected a plain whole number such as `12`, or quotes around a string",
        ),
        (
            "    - {user: a, rolls: [x]}",
            "e.yaml:9:17: unknown field `rolls`; expected `user`, `service`, `agent`, `roles`, `teams`, `spiffe_id`, `attributes`; did you mean `roles`?",
        ),
        (
            "    - {user: a, service: b}",
            "e.yaml:9:26: `service` is given as well; expected exactly one of `user`, `service`, `agent`",
        ),
    ] {
        let text = ENTITIES.replace("  resources:", &format!("{line}\n  resources:"));
        assert_eq!(refused(&text), expected);
    }
    let twice = set(&[("e.yaml", ENTITIES), ("f.yaml", ENTITIES)]).unwrap_err();
    assert_eq!(
        twice[0].to_string(),
        "f.yaml:6:7: subject `user:bob` is already used; give each its own name"
    );
    let resource = ENTITIES.replace("things/b", "things/a");
    assert_eq!(
        refused(&resource),
        "e.yaml:11:7: resource `thing:things/a` is already used; give each its own name"
    );
    assert!(refused(&ENTITIES.replace("things/b", "things/../b")).contains("`.` or `..` segment"));
    assert!(
        refused(&ENTITIES.replace("name: write", "name: read")).contains("action `read` is already used")
    );
    assert!(refused(&ENTITIES.replace("name: write", "name: \"%72ead\"")).contains("contains `%`"));
    let empty = ENTITIES.split("spec:").next().unwrap().to_owned() + "spec: {}\n";
    assert!(refused(&empty).contains("list at least one of `subjects`, `resources` and `actions`"));
    assert!(
        refused(&ENTITIES.replace("kind: PolicyEntities", "kind: PolicyEntity"))
            .contains("`Policy` or `PolicyEntities`")
    );
}

/// Documents with so many actions or subjects in all.
fn many(count: usize, list: &str, item: impl Fn(usize) -> String) -> Vec<(String, String)> {
    let numbers: Vec<usize> = (0..count).collect();
    numbers
        .chunks(40_000)
        .enumerate()
        .map(|(part, numbers)| {
            let items: Vec<String> = numbers.iter().map(|number| item(*number)).collect();
            let head = "apiVersion: policy.horizon.dev/v1\nkind: PolicyEntities\nmetadata: {name: many}\n";
            (format!("{part}.yaml"), format!("{head}spec: {{{list}: [{}]}}\n", items.join(",")))
        })
        .chain([("policy.yaml".to_owned(), policy("allow", &[]))])
        .collect()
}

#[test]
fn limits_hold_over_all_documents() {
    let action = |number: usize| format!("{{name: a{number}}}");
    let subject = |number: usize| format!("{{user: u{number}}}");
    let set = PolicySet::parse_documents(many(limits::ENTITY_ACTIONS_MAX, "actions", action)).unwrap();
    assert_eq!(set.entities().actions().len(), limits::ENTITY_ACTIONS_MAX);
    let set = PolicySet::parse_documents(many(limits::ENTITIES_MAX, "subjects", subject)).unwrap();
    assert_eq!(set.entities().subjects_of(PrincipalKind::User).len(), limits::ENTITIES_MAX);
    for (max, documents) in [
        (limits::ENTITY_ACTIONS_MAX, many(limits::ENTITY_ACTIONS_MAX + 1, "actions", action)),
        (limits::ENTITIES_MAX, many(limits::ENTITIES_MAX + 1, "subjects", subject)),
    ] {
        let errors = PolicySet::parse_documents(documents).unwrap_err();
        assert!(matches!(errors[..], [PolicyError::Limit { max: found, .. }] if found == max), "{errors:?}");
    }
}
