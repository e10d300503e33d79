//! Search certification: subjects, resources and actions.

use serde_json::{Value, json};

use super::scenario::section;
use super::{EVALUATION, Pdp, SEARCH_ACTION, SEARCH_RESOURCE, SEARCH_SUBJECT};

/// Checks the shape of an answer and returns its results.
fn results(answer: &Value, of_type: Option<&str>) -> Vec<Value> {
    let results = answer["results"].as_array().unwrap_or_else(|| panic!("{answer}"));
    for result in results {
        match of_type {
            Some(of_type) => assert!(result["type"] == of_type && result["id"].is_string(), "{result}"),
            None => assert!(result["name"].is_string(), "{result}"),
        }
    }
    if let Some(page) = answer.get("page") {
        assert!(page["next_token"].is_string(), "{page}");
    }
    results.clone()
}

/// The answer but for the receipt, which is in its context and nothing else is.
fn without_receipt(mut answer: Value) -> Value {
    let context = answer.as_object_mut().unwrap().remove("context").unwrap();
    assert_eq!(context.as_object().unwrap().keys().collect::<Vec<_>>(), ["receipt"]);
    answer
}

async fn search(pdp: &Pdp, path: &str, body: &Value) -> Vec<Value> {
    let of_type = match path {
        SEARCH_SUBJECT => body["subject"]["type"].as_str(),
        SEARCH_RESOURCE => body["resource"]["type"].as_str(),
        _ => None,
    };
    results(&pdp.ask(path, body).await, of_type)
}

/// The section's request finds all that the scenario lists, and exactly `ids` of our fixture.
async fn finds(path: &str, anchor: &str, ids: &[&str]) {
    let section = section(anchor);
    let found = search(&Pdp::start().await, path, section.request()).await;
    for expected in section.expected.iter().flat_map(|expected| expected["results"].as_array().unwrap()) {
        assert!(found.contains(expected), "{expected} is not among {found:?}");
    }
    let name = if path == SEARCH_ACTION { "name" } else { "id" };
    assert_eq!(found.iter().map(|result| result[name].as_str().unwrap()).collect::<Vec<_>>(), ids);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn c_1_5_search_answers_what_an_evaluation_of_each_would() {
    let pdp = Pdp::start().await;
    for who in ["alice", "bob", "eve"] {
        for what in ["record-1", "record-2", "record-3"] {
            let (subject, resource) =
                (json!({"type": "user", "id": who}), json!({"type": "record", "id": what}));
            let actions =
                search(&pdp, SEARCH_ACTION, &json!({"subject": subject, "resource": resource})).await;
            for action in ["read", "write", "delete"] {
                let action = json!({"name": action});
                let question = json!({"subject": subject, "action": action, "resource": resource});
                let allowed = pdp.decision(&question).await;
                assert_eq!(actions.contains(&action), allowed, "{question}");
                if who != "eve" {
                    let found = search(&pdp, SEARCH_SUBJECT, &question).await;
                    assert_eq!(found.contains(&subject), allowed, "{question}");
                }
                if what != "record-3" {
                    let found = search(&pdp, SEARCH_RESOURCE, &question).await;
                    assert_eq!(found.contains(&resource), allowed, "{question}");
                }
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn c_4_1_the_endpoints_are_there() {
    let pdp = Pdp::start().await;
    for path in [SEARCH_SUBJECT, SEARCH_RESOURCE, SEARCH_ACTION] {
        assert_eq!(pdp.post(path, section("c-2-2-1").request()).await.status, 200, "{path}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn c_4_2_1_subject_search() {
    finds(SEARCH_SUBJECT, "c-4-2-1", &["alice", "bob"]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn c_4_2_2_subject_search_with_context() {
    finds(SEARCH_SUBJECT, "c-4-2-2", &["alice", "bob"]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn c_4_2_3_subject_search_ignores_the_id() {
    finds(SEARCH_SUBJECT, "c-4-2-3", &["alice", "bob"]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn c_4_2_4_subject_search_with_resource_properties() {
    finds(SEARCH_SUBJECT, "c-4-2-4", &["bob"]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn c_4_3_1_resource_search() {
    finds(SEARCH_RESOURCE, "c-4-3-1", &["record-1", "record-2"]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn c_4_3_2_resource_search_with_context() {
    finds(SEARCH_RESOURCE, "c-4-3-2", &["record-1", "record-2"]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn c_4_3_3_resource_search_ignores_the_id() {
    finds(SEARCH_RESOURCE, "c-4-3-3", &["record-1", "record-2"]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn c_4_3_4_resource_search_with_subject_properties() {
    finds(SEARCH_RESOURCE, "c-4-3-4", &["record-2"]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn c_4_4_1_action_search() {
    finds(SEARCH_ACTION, "c-4-4-1", &["read", "write"]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn c_4_4_2_action_search_with_context() {
    finds(SEARCH_ACTION, "c-4-4-2", &["read", "write"]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn c_4_4_3_action_search_with_properties() {
    finds(SEARCH_ACTION, "c-4-4-3", &["read", "write"]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn c_4_5_1_page_limit() {
    let answer = Pdp::start().await.ask(SEARCH_SUBJECT, section("c-4-5-1").request()).await;
    assert_eq!(results(&answer, Some("user")), [json!({"type": "user", "id": "alice"})]);
    assert!(!answer["page"]["next_token"].as_str().unwrap().is_empty(), "{answer}");
    assert_eq!(answer["page"]["count"], 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn c_4_5_2_page_token() {
    let pdp = Pdp::start().await;
    let first = pdp.ask(SEARCH_SUBJECT, section("c-4-5-1").request()).await;
    let mut follow_up = section("c-4-5-2").request().clone();
    follow_up["page"]["token"] = first["page"]["next_token"].clone();
    let second = pdp.ask(SEARCH_SUBJECT, &follow_up).await;
    assert_eq!(results(&second, Some("user")), [json!({"type": "user", "id": "bob"})]);
    assert_eq!(second["page"]["next_token"], "", "no more results");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn c_4_5_3_pages_together_hold_every_result_once() {
    let people: Vec<String> =
        (0..25).map(|number| format!("{{user: p{number:02}, attributes: {{role: admin}}}}")).collect();
    let more = format!(
        "apiVersion: policy.horizon.dev/v1\nkind: PolicyEntities\nmetadata: {{name: more}}\nspec: {{subjects: [{}]}}\n",
        people.join(", ")
    );
    let pdp = Pdp::with(&[("more.yaml", &more)]).await;
    let query = section("c-4-2-4").request().clone();
    let all = search(&pdp, SEARCH_SUBJECT, &query).await;
    assert_eq!(all.len(), 26);
    for limit in [1, 7, 26, 27] {
        let (mut seen, mut token) = (Vec::new(), String::new());
        loop {
            let mut query = query.clone();
            query["page"] = json!({"limit": limit, "token": token});
            let answer = pdp.ask(SEARCH_SUBJECT, &query).await;
            let page = results(&answer, Some("user"));
            assert_eq!(answer["page"]["count"], page.len());
            seen.extend(page.clone());
            token = answer["page"]["next_token"].as_str().unwrap().to_owned();
            if token.is_empty() {
                break;
            }
            assert_eq!(page.len(), limit, "only the last page is short");
        }
        assert_eq!(seen, all, "{limit}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn c_4_5_4_without_a_page_all_results_come_at_once() {
    let answer = Pdp::start().await.ask(SEARCH_SUBJECT, section("c-4-2-1").request()).await;
    assert_eq!(without_receipt(answer).as_object().unwrap().keys().collect::<Vec<_>>(), ["results"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn c_4_6_1_unknown_entity_identifier() {
    let pdp = Pdp::start().await;
    let section = section("c-4-6-1");
    assert_eq!(without_receipt(pdp.ask(SEARCH_ACTION, section.request()).await), section.expected.unwrap());
    let nobody = json!({"type": "user", "id": "nonexistent-user"});
    let nothing = json!({"type": "record", "id": "nonexistent-record"});
    let write = json!({"name": "write"});
    let by_nobody = json!({"subject": nobody, "action": write, "resource": {"type": "record"}});
    assert_eq!(without_receipt(pdp.ask(SEARCH_RESOURCE, &by_nobody).await), json!({"results": []}));
    let of_nothing = json!({"subject": {"type": "user"}, "action": write, "resource": nothing});
    assert_eq!(without_receipt(pdp.ask(SEARCH_SUBJECT, &of_nothing).await), json!({"results": []}));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn c_4_6_2_unknown_entity_type() {
    let pdp = Pdp::start().await;
    let section = section("c-4-6-2");
    assert_eq!(without_receipt(pdp.ask(SEARCH_SUBJECT, section.request()).await), section.expected.unwrap());
    let (ship, alice) = (json!({"type": "spaceship", "id": "x"}), json!({"type": "user", "id": "alice"}));
    let read = json!({"name": "read"});
    for (path, query) in [
        (SEARCH_SUBJECT, json!({"subject": {"type": "user"}, "action": read, "resource": ship})),
        (SEARCH_RESOURCE, json!({"subject": ship, "action": read, "resource": {"type": "record"}})),
        (SEARCH_RESOURCE, json!({"subject": alice, "action": read, "resource": {"type": "spaceship"}})),
        (SEARCH_ACTION, json!({"subject": ship, "resource": {"type": "record", "id": "record-1"}})),
        (SEARCH_ACTION, json!({"subject": alice, "resource": ship})),
        (SEARCH_SUBJECT, json!({"subject": {"type": "user"}, "action": {"name": "fly"}, "resource": ship})),
    ] {
        assert_eq!(without_receipt(pdp.ask(path, &query).await), json!({"results": []}), "{query}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn c_4_7_1_missing_required_fields() {
    let pdp = Pdp::start().await;
    let requests = section("c-4-7-1").requests;
    let missing = ["`action` is missing", "`subject` is missing", "`resource` is missing"];
    for ((path, request), expected) in
        [SEARCH_SUBJECT, SEARCH_RESOURCE, SEARCH_ACTION].iter().zip(&requests).zip(missing)
    {
        let message = pdp.refusal(path, request).await;
        assert!(message.starts_with(expected), "{message}");
    }
    let whole = section("c-2-2-1").request().clone();
    for path in [SEARCH_SUBJECT, SEARCH_RESOURCE, SEARCH_ACTION] {
        for field in ["subject", "action", "resource"] {
            let mut request = whole.clone();
            request.as_object_mut().unwrap().remove(field);
            let expected = if path == SEARCH_ACTION && field == "action" { 200 } else { 400 };
            assert_eq!(pdp.post(path, &request).await.status, expected, "{path} without {field}");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn c_4_7_2_missing_required_sub_fields() {
    let pdp = Pdp::start().await;
    let requests = section("c-4-7-2").requests;
    let missing = ["`resource.id` is missing", "`subject.id` is missing", "`subject.id` is missing"];
    for ((path, request), expected) in
        [SEARCH_SUBJECT, SEARCH_RESOURCE, SEARCH_ACTION].iter().zip(&requests).zip(missing)
    {
        let message = pdp.refusal(path, request).await;
        assert!(message.starts_with(expected), "{message}");
    }
    // The searched-for entity needs a type, and the action a name.
    for (path, field, part) in [
        (SEARCH_SUBJECT, "subject", "type"),
        (SEARCH_RESOURCE, "resource", "type"),
        (SEARCH_SUBJECT, "action", "name"),
        (SEARCH_RESOURCE, "action", "name"),
        (SEARCH_ACTION, "resource", "id"),
    ] {
        let mut request = section("c-2-2-1").request().clone();
        request[field].as_object_mut().unwrap().remove(part);
        let message = pdp.refusal(path, &request).await;
        assert!(message.starts_with(&format!("`{field}.{part}` is missing")), "{message}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_token_is_for_one_query_of_one_caller_under_one_set_of_policies() {
    let pdp = Pdp::start().await;
    let query = section("c-4-5-1").request().clone();
    let token = pdp.ask(SEARCH_SUBJECT, &query).await["page"]["next_token"].clone();
    let with_token = |query: &Value| {
        let mut query = query.clone();
        query["page"] = json!({"token": token});
        query
    };
    // The id is ignored, the limit may change, and unknown fields decide nothing.
    let mut same = query.clone();
    same["subject"]["id"] = json!("bob");
    same["other"] = json!(1);
    assert_eq!(pdp.post(SEARCH_SUBJECT, &with_token(&same)).await.status, 200);
    for (pointer, value) in [
        ("/action/name", json!("write")),
        ("/resource/id", json!("record-2")),
        ("/resource/properties", json!({"status": "archived"})),
        ("/subject/properties", json!({"role": "admin"})),
        ("/context", json!({})),
    ] {
        let mut other = query.clone();
        let (place, name) = pointer.rsplit_once('/').unwrap();
        other.pointer_mut(place).unwrap()[name] = value;
        let message = pdp.refusal(SEARCH_SUBJECT, &with_token(&other)).await;
        assert!(message.starts_with("`page.token` is not for this query"), "{message}");
    }
    let mut elsewhere = with_token(&query);
    elsewhere["subject"]["id"] = json!("alice");
    for path in [SEARCH_RESOURCE, SEARCH_ACTION] {
        pdp.refusal(path, &elsewhere).await;
    }
    assert_eq!(pdp.post(EVALUATION, &elsewhere).await.status, 200, "a page is an unknown field there");
    for wrong in [json!("x"), json!("\u{e4}".repeat(40)), json!(1), json!([])] {
        let mut query = query.clone();
        query["page"] = json!({"token": wrong});
        pdp.refusal(SEARCH_SUBJECT, &query).await;
    }
    // Other policies, other entities: the place in the list means nothing any more.
    let policies = hpcd::policies::load(Some(&super::root().join("examples/authzen"))).unwrap();
    let changed = policies.documents.into_iter().chain([(
        "more.yaml".to_owned(),
        "apiVersion: policy.horizon.dev/v1\nkind: PolicyEntities\nmetadata: {name: more}\nspec: {subjects: [{user: aaron}]}\n"
            .to_owned(),
    )]);
    pdp.daemon.world.broker.set_policies(hpc_policy::PolicySet::parse_documents(changed).unwrap().into());
    pdp.refusal(SEARCH_SUBJECT, &with_token(&query)).await;
}
