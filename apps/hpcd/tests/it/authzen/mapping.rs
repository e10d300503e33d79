//! How their entities become ours, seen from outside: nothing that is stated is lost where a rule could see it.

use serde_json::{Value, json};

use super::{EVALUATION, EVALUATIONS, Pdp, SEARCH_SUBJECT};

/// One rule a line: name, effect, and conditions over things of type `thing`.
const RULES: &str = r#"
apiVersion: policy.horizon.dev/v1
kind: Policy
metadata: {name: mapping}
spec:
  rules:
    - {name: all, effect: allow, principals: [{type: any}], resources: [{type: thing, pattern: "**"}], actions: [use]}
    - name: exists
      effect: deny
      principals: [{type: any}]
      resources: [{type: thing, pattern: "**"}]
      actions: [use]
      conditions: [{any: [{attribute: resource.hold, op: exists}, {attribute: context.hold, op: exists}, {attribute: action.hold, op: exists}, {attribute: principal.hold, op: exists}]}]
    - name: level
      effect: deny
      principals: [{type: any}]
      resources: [{type: thing, pattern: "**"}]
      actions: [use]
      conditions: [{attribute: resource.level, op: exists}, {attribute: resource.level, op: gt, value: 3}]
    - name: disk
      effect: deny
      principals: [{type: any}]
      resources: [{type: thing, pattern: "**"}]
      actions: [use]
      conditions: [{attribute: resource.disk.size, op: exists}, {attribute: resource.disk.size, op: gt, value: 10}]
    - {name: editors, effect: allow, principals: [{type: role, value: editor}], resources: [{type: page, pattern: "**"}], actions: [edit]}
    - {name: team, effect: allow, principals: [{type: team, value: ml}], resources: [{type: page, pattern: "**"}], actions: [edit]}
    - {name: trainer, effect: allow, principals: [{type: spiffe, pattern: "spiffe://example.org/agent/*"}], resources: [{type: page, pattern: "**"}], actions: [edit]}
    - name: kinds
      effect: allow
      principals: [{type: any}]
      resources: [{type: kind, pattern: "**"}]
      actions: [edit]
      conditions: [{attribute: principal.type, op: in, value: [user, service, agent]}]
    - name: hours
      effect: allow
      principals: [{type: any}]
      resources: [{type: clock, pattern: "**"}]
      actions: [read]
      conditions: [{attribute: context.now, op: gt, value: {timestamp: "2100-01-01T00:00:00Z"}}]
    - name: obliged
      effect: allow
      principals: [{type: any}]
      resources: [{type: duty, pattern: "**"}]
      actions: [use]
      obligations: {require_mfa: true, max_gpus: 4}
      advice: {notify: "team:ml"}
    - name: few
      effect: allow
      principals: [{type: any}]
      resources: [{type: gpu, pattern: "**"}]
      actions: [use]
      conditions: [{attribute: context.gpus, op: lte, value: 8}]
"#;

const ENTITIES: &str = r#"
apiVersion: policy.horizon.dev/v1
kind: PolicyEntities
metadata: {name: mapping}
spec:
  subjects:
    - {user: ed, roles: [editor]}
    - {user: tim, teams: [ml]}
    - {agent: trainer, spiffe_id: "spiffe://example.org/agent/trainer"}
  resources:
    - {type: thing, id: things/held, attributes: {hold: true}}
    - {type: thing, id: things/high, attributes: {level: 9}}
"#;

async fn pdp() -> Pdp {
    Pdp::with(&[("mapping.yaml", RULES), ("mapping-entities.yaml", ENTITIES)]).await
}

fn using(thing: Value) -> Value {
    json!({"subject": {"type": "user", "id": "u"}, "action": {"name": "use"}, "resource": thing})
}

fn thing(properties: Value) -> Value {
    using(json!({"type": "thing", "id": "things/a", "properties": properties}))
}

fn editing(subject: Value) -> Value {
    json!({"subject": subject, "action": {"name": "edit"}, "resource": {"type": "page", "id": "pages/a"}})
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_value_of_any_type_is_there() {
    let pdp = pdp().await;
    assert!(pdp.decision(&thing(json!({}))).await);
    for value in [
        json!(1.5),
        json!(null),
        json!({}),
        json!({"a": 1}),
        json!([]),
        json!([1, "a"]),
        json!([[1]]),
        json!(false),
        json!(""),
    ] {
        assert!(!pdp.decision(&thing(json!({"hold": value}))).await, "resource {value}");
        let mut request = thing(json!({}));
        request["context"] = json!({"hold": value});
        assert!(!pdp.decision(&request).await, "context {value}");
        for place in ["subject", "action"] {
            let mut request = thing(json!({}));
            request[place]["properties"] = json!({"hold": value});
            assert!(!pdp.decision(&request).await, "{place} {value}");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_value_without_a_type_compares_with_nothing() {
    let pdp = pdp().await;
    for (level, allowed) in [
        (json!(3), true),
        (json!(4), false),
        (json!(3.0), false),
        (json!(2.5), false),
        (json!(null), false),
        (json!("3"), false),
        (json!([1]), false),
        (json!(u64::MAX), false),
    ] {
        assert_eq!(pdp.decision(&thing(json!({"level": level}))).await, allowed, "{level}");
    }
    // An allow that looks at it does not apply.
    for (gpus, allowed) in [(json!(8), true), (json!(9), false), (json!(7.5), false), (json!("8"), false)] {
        let mut request = using(json!({"type": "gpu", "id": "gpu/a"}));
        request["context"] = json!({"gpus": gpus});
        assert_eq!(pdp.decision(&request).await, allowed, "{gpus}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn parts_of_objects_have_names_with_dots() {
    let pdp = pdp().await;
    for (properties, allowed) in [
        (json!({"disk": {"size": 10}}), true),
        (json!({"disk": {"size": 11}}), false),
        (json!({"disk.size": 11}), false),
        (json!({"disk": {"size": 1}, "disk.size": 1}), false),
        (json!({"disk": {"size": {"gib": 1}}}), false),
        (json!({"disk": 11}), true),
    ] {
        assert_eq!(pdp.decision(&thing(properties.clone())).await, allowed, "{properties}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_has_no_single_reading_is_denied_and_says_so() {
    let pdp = pdp().await;
    let mut with_now = thing(json!({}));
    with_now["context"] = json!({"now": "2100-01-02T00:00:00Z"});
    let mut wrong_role = thing(json!({}));
    wrong_role["subject"]["properties"] = json!({"roles": "editor"});
    let mut wrong_team = thing(json!({}));
    wrong_team["subject"]["properties"] = json!({"teams": ["a", 1]});
    let mut wrong_spiffe = thing(json!({}));
    wrong_spiffe["subject"]["properties"] = json!({"spiffe_id": 1});
    let mut ship = thing(json!({}));
    ship["subject"]["type"] = json!("spaceship");
    let mut escaped = thing(json!({}));
    escaped["resource"]["id"] = json!("things/%2e%2e/a");
    let mut climbing = thing(json!({}));
    climbing["resource"]["id"] = json!("things/../a");
    let mut odd_action = thing(json!({}));
    odd_action["action"]["name"] = json!("u\u{455}e");
    let mut empty = thing(json!({}));
    empty["subject"]["id"] = json!("");
    let many: serde_json::Map<String, Value> =
        (0..257).map(|number| (format!("a{number}"), json!(1))).collect();
    for (request, said) in [
        (thing(json!({"a b": 1})), "is not an attribute name"),
        (thing(json!({"": 1})), "is not an attribute name"),
        (thing(json!({"id": "other"})), "resource.properties.id is not the resource's id"),
        (thing(json!({"type": 1})), "resource.properties.type is not the resource's type"),
        (thing(json!({"text": "x".repeat(16 * 1024 + 1)})), "is longer than 16 KiB"),
        (thing(Value::Object(many)), "has more than 256 parts"),
        (with_now, "context.now is built in"),
        (wrong_role, "subject.properties.roles is not a list of strings"),
        (wrong_team, "subject.properties.teams is not a list of strings"),
        (wrong_spiffe, "subject.properties.spiffe_id is not a string"),
        (ship, "a subject of type `spaceship` is not known here"),
        (escaped, "contains `%`"),
        (climbing, "`.` or `..` segment"),
        (odd_action, "outside printable ASCII"),
        (empty, "principal.id is empty"),
    ] {
        let answer = pdp.ask(EVALUATION, &request).await;
        assert_eq!(answer["decision"], false, "{request}");
        let reason = &answer["context"]["reasons"][0];
        assert_eq!(reason["code"], "invalid_request", "{answer}");
        assert!(reason["text"].as_str().unwrap().contains(said), "{answer}");
        assert_eq!(answer["context"]["reason_user"]["en"], reason["text"]);
    }
    // To repeat the id and the type is to say nothing new.
    assert!(pdp.decision(&thing(json!({"id": "things/a", "type": "thing"}))).await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_time_is_the_daemons() {
    let pdp = pdp().await;
    let mut request = json!({"subject": {"type": "user", "id": "u"}, "action": {"name": "read"}, "resource": {"type": "clock", "id": "c"}});
    assert!(!pdp.decision(&request).await);
    for context in [
        json!({"now": "2100-01-02T00:00:00Z"}),
        json!({"context": {"now": "2100-01-02T00:00:00Z"}}),
        json!({"context.now": "2100-01-02T00:00:00Z"}),
        json!({"time": "2100-01-02T00:00:00Z"}),
    ] {
        request["context"] = context.clone();
        assert!(!pdp.decision(&request).await, "{context}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn subjects_are_users_services_and_agents_with_roles_teams_and_a_spiffe_id() {
    let pdp = pdp().await;
    for (subject, allowed) in [
        (json!({"type": "user", "id": "u", "properties": {"roles": ["editor"]}}), true),
        (json!({"type": "user", "id": "u", "properties": {"roles": ["reader"]}}), false),
        (json!({"type": "user", "id": "u", "properties": {"teams": ["x", "ml"]}}), true),
        (
            json!({"type": "agent", "id": "u", "properties": {"spiffe_id": "spiffe://example.org/agent/a"}}),
            true,
        ),
        (
            json!({"type": "agent", "id": "u", "properties": {"spiffe_id": "spiffe://example.com/agent/a"}}),
            false,
        ),
        // What is known stands in for what is not stated, and what is stated for what is known.
        (json!({"type": "user", "id": "ed"}), true),
        (json!({"type": "user", "id": "ed", "properties": {"roles": []}}), false),
        (json!({"type": "user", "id": "ed", "properties": {"roles": ["reader"]}}), false),
        (json!({"type": "user", "id": "ed", "properties": {"teams": []}}), true),
        (json!({"type": "user", "id": "tim"}), true),
        (json!({"type": "user", "id": "tim", "properties": {"teams": []}}), false),
        (json!({"type": "agent", "id": "trainer"}), true),
        // Another kind of the same name is somebody else.
        (json!({"type": "service", "id": "ed"}), false),
        (json!({"type": "User", "id": "ed"}), false),
    ] {
        assert_eq!(pdp.decision(&editing(subject.clone())).await, allowed, "{subject}");
    }
    for kind in ["user", "service", "agent"] {
        let mut request = editing(json!({"type": kind, "id": "u"}));
        request["resource"]["type"] = json!("kind");
        assert!(pdp.decision(&request).await, "{kind}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn known_attributes_stand_in_for_those_that_are_not_stated() {
    let pdp = pdp().await;
    let named =
        |id: &str, properties: Value| using(json!({"type": "thing", "id": id, "properties": properties}));
    assert!(!pdp.decision(&named("things/held", json!({}))).await);
    assert!(!pdp.decision(&named("things/held", json!({"level": 1}))).await);
    assert!(!pdp.decision(&named("things/high", json!({}))).await);
    assert!(pdp.decision(&named("things/high", json!({"level": 1}))).await, "the stated level stands");
    assert!(
        !pdp.decision(&named("things/high", json!({"level": null}))).await,
        "null is no way to take it away"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn obligations_advice_and_ways_out_are_in_the_context() {
    let pdp = pdp().await;
    let answer = pdp.ask(EVALUATION, &using(json!({"type": "duty", "id": "d"}))).await;
    let context = &answer["context"];
    assert_eq!(answer["decision"], true);
    assert_eq!(context["obligations"], json!({"max_gpus": 4, "require_mfa": true}));
    assert_eq!(context["advice"], json!({"notify": "team:ml"}));
    assert!(context.get("reason_user").is_none() && context.get("trace").is_none(), "{answer}");
    let mut request = using(json!({"type": "gpu", "id": "gpu/a"}));
    request["context"] = json!({"gpus": 12});
    let batch = json!({"evaluations": [request]});
    let answer = pdp.ask(EVALUATIONS, &batch).await["evaluations"][0].clone();
    assert_eq!(answer["context"]["allowed_if"], json!(["context.gpus <= 8"]));
    assert_eq!(
        answer["context"]["reason_user"]["en"],
        "`mapping/few` would allow it if context.gpus <= 8 (is 12)"
    );
    let plain = using(json!({"type": "nothing", "id": "n"}));
    let answer = pdp.ask(EVALUATION, &plain).await;
    assert_eq!(answer["context"]["reasons"][0]["code"], "no_rule_allows");
    assert!(answer["context"].get("obligations").is_none(), "{answer}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn properties_of_what_is_searched_for_are_stated_of_each() {
    let pdp = pdp().await;
    let mut query = editing(json!({"type": "user"}));
    let ids = |answer: &Value| {
        answer["results"].as_array().unwrap().iter().map(|one| one["id"].clone()).collect::<Vec<_>>()
    };
    assert_eq!(ids(&pdp.ask(SEARCH_SUBJECT, &query).await), ["ed", "tim"]);
    query["subject"]["properties"] = json!({"roles": []});
    assert_eq!(ids(&pdp.ask(SEARCH_SUBJECT, &query).await), ["tim"]);
    query["subject"]["properties"] = json!({"roles": ["editor"]});
    assert_eq!(ids(&pdp.ask(SEARCH_SUBJECT, &query).await), ["alice", "bob", "ed", "tim"]);
    query["subject"]["properties"] = json!({"roles": "editor"});
    assert!(ids(&pdp.ask(SEARCH_SUBJECT, &query).await).is_empty());
}
