//! Basic certification: single evaluations, errors and headers.

use serde_json::{Value, json};

use super::scenario::section;
use super::{EVALUATION, Pdp, without_receipts};

/// The section's request gets this decision.
async fn decides(anchor: &str, decision: bool) {
    let section = section(anchor);
    if let Some(expected) = &section.expected {
        assert_eq!(*expected, json!({"decision": decision}), "the scenario itself");
    }
    assert_eq!(Pdp::start().await.decision(section.request()).await, decision);
}

/// Every request of the section gets 400.
async fn all_refused(anchor: &str, count: usize) {
    let pdp = Pdp::start().await;
    let requests = section(anchor).requests;
    assert_eq!(requests.len(), count);
    for request in requests {
        let message = pdp.refusal(EVALUATION, &request).await;
        assert!(message.contains("send"), "says what to do: {message}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn c_1_4_the_eight_decisions_with_and_without_context() {
    let pdp = Pdp::start().await;
    let (alice, bob) = (json!({"type": "user", "id": "alice"}), json!({"type": "user", "id": "bob"}));
    let admin = json!({"type": "user", "id": "bob", "properties": {"role": "admin"}});
    let one = json!({"type": "record", "id": "record-1"});
    let archived = json!({"type": "record", "id": "record-2", "properties": {"status": "archived"}});
    let delete = |soft: bool| json!({"name": "delete", "properties": {"soft": soft}});
    let (read, write) = (json!({"name": "read"}), json!({"name": "write"}));
    for (rule, subject, action, resource, expected) in [
        (1, &alice, &read, &one, true),
        (2, &alice, &write, &one, true),
        (3, &bob, &read, &one, true),
        (4, &bob, &write, &one, false),
        (5, &alice, &write, &archived, false),
        (6, &admin, &write, &archived, true),
        (7, &alice, &delete(true), &one, true),
        (8, &alice, &delete(false), &one, false),
    ] {
        let mut request = json!({"subject": subject, "action": action, "resource": resource});
        assert_eq!(pdp.decision(&request).await, expected, "rule {rule}");
        request["context"] = json!({"time": "2025-06-27T18:03-07:00", "ip": "192.168.1.1"});
        assert_eq!(pdp.decision(&request).await, expected, "rule {rule} with a context");
    }
    // The properties decide, not the names: what is archived is archived whatever it is called.
    for (id, status, expected) in [("record-1", "archived", false), ("record-2", "active", true)] {
        let resource = json!({"type": "record", "id": id, "properties": {"status": status}});
        let request = json!({"subject": alice, "action": write, "resource": resource});
        assert_eq!(pdp.decision(&request).await, expected, "{id} {status}");
    }
    let anybody = json!({"type": "user", "id": "eve", "properties": {"role": "admin"}});
    assert!(pdp.decision(&json!({"subject": anybody, "action": write, "resource": archived})).await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn c_2_1_the_endpoint_is_there() {
    let pdp = Pdp::start().await;
    let reply = pdp.post(EVALUATION, section("c-2-2-1").request()).await;
    assert_eq!(reply.status, 200);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn c_2_2_1_permit_decision() {
    decides("c-2-2-1", true).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn c_2_2_2_deny_decision() {
    decides("c-2-2-2", false).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn c_2_2_3_optional_context() {
    decides("c-2-2-3", true).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn c_2_2_4_deny_based_on_properties() {
    decides("c-2-2-4", false).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn c_2_2_5_permit_based_on_subject_properties() {
    decides("c-2-2-5", true).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn c_2_2_6_permit_based_on_action_properties() {
    decides("c-2-2-6", true).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn c_2_2_7_deny_based_on_properties_of_the_action() {
    decides("c-2-2-7", false).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn c_2_2_8_additional_properties() {
    decides("c-2-2-8", true).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn c_2_2_9_unknown_fields() {
    decides("c-2-2-9", true).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn c_2_3_1_the_decision_is_there_and_boolean() {
    let pdp = Pdp::start().await;
    for anchor in ["c-2-2-1", "c-2-2-2"] {
        let answer = pdp.post(EVALUATION, section(anchor).request()).await.json();
        assert!(answer["decision"].is_boolean(), "{answer}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn c_2_3_2_the_context_is_an_object() {
    let pdp = Pdp::start().await;
    let digest = pdp.daemon.world.broker.policies().digest().to_owned();
    for (anchor, code) in [("c-2-2-1", "allowed_by_rule"), ("c-2-2-2", "condition_not_met")] {
        let answer = pdp.ask(EVALUATION, section(anchor).request()).await;
        assert!(answer["context"].is_object(), "{answer}");
        assert_eq!(answer["context"]["policy_digest"], digest);
        assert_eq!(answer["context"]["reasons"][0]["code"], code, "{answer}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn c_2_4_1_missing_required_fields() {
    all_refused("c-2-4-1", 3).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn c_2_4_2_missing_required_sub_fields() {
    all_refused("c-2-4-2", 5).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn c_2_4_3_invalid_content_type() {
    let pdp = Pdp::start().await;
    let body = section("c-2-2-1").request().to_string();
    let mut connection = pdp.connect(["user", "you"]).await;
    for wrong in [
        &[("content-type", "text/plain")][..],
        &[("content-type", "application/jsonp")],
        &[("content-type", "application/json-patch+json")],
        &[("content-type", "application/x-www-form-urlencoded")],
        &[("content-type", "")],
        &[],
        &[("content-type", "application/json"), ("content-type", "text/plain")],
    ] {
        let reply = connection.request("POST", EVALUATION, wrong, body.as_bytes()).await;
        assert!(reply.refused(400).contains("`Content-Type: application/json`"), "{wrong:?}");
    }
    for right in ["application/json", "application/json; charset=utf-8", "Application/JSON"] {
        let reply = connection.request("POST", EVALUATION, &[("content-type", right)], body.as_bytes()).await;
        assert_eq!(reply.status, 200, "{right}");
    }
}

const JSON: [(&str, &str); 1] = [("content-type", "application/json")];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn c_2_4_4_malformed_json() {
    let pdp = Pdp::start().await;
    let mut connection = pdp.connect(["user", "you"]).await;
    let good = section("c-2-2-1").request().to_string();
    for body in [
        &good[..good.len() - 1],
        &format!("{good}}}"),
        &good.replace(':', "="),
        "{'subject': 1}",
        "[]",
        "null",
        "\"text\"",
        "{\"subject\": NaN}",
        "\u{feff}{}",
    ] {
        connection.request("POST", EVALUATION, &JSON, body.as_bytes()).await.refused(400);
    }
    connection.request("POST", EVALUATION, &JSON, b"{\"subject\": \"\xff\"}").await.refused(400);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn c_2_4_5_empty_request_body() {
    let pdp = Pdp::start().await;
    let mut connection = pdp.connect(["user", "you"]).await;
    let message = connection.request("POST", EVALUATION, &JSON, b"").await.refused(400);
    assert_eq!(message, "the body is empty; send a JSON object");
    connection.request("POST", EVALUATION, &JSON, b" ").await.refused(400);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn c_2_4_6_invalid_field_types() {
    all_refused("c-2-4-6", 2).await;
    let pdp = Pdp::start().await;
    for (pointer, wrong) in [
        ("/subject/id", json!(1)),
        ("/subject/type", json!(null)),
        ("/resource", json!([])),
        ("/resource/id", json!({})),
        ("/action", json!(null)),
    ] {
        let mut request = section("c-2-2-1").request().clone();
        *request.pointer_mut(pointer).unwrap() = wrong;
        pdp.refusal(EVALUATION, &request).await;
    }
    for (place, wrong) in [("subject", json!([])), ("resource", json!(null)), ("action", json!("x"))] {
        let mut request = section("c-2-2-1").request().clone();
        request[place]["properties"] = wrong;
        let message = pdp.refusal(EVALUATION, &request).await;
        assert_eq!(message, format!("`{place}.properties` is not an object; send names and values"));
    }
    let mut request = section("c-2-2-1").request().clone();
    request["context"] = json!("now");
    assert_eq!(pdp.refusal(EVALUATION, &request).await, "`context` is not an object; send a JSON object");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn c_2_5_1_x_request_id_is_echoed() {
    let pdp = Pdp::start().await;
    let mut connection = pdp.connect(["user", "you"]).await;
    let id = "bfe9eb29-ab87-4ca3-be83-a1d5d8305716";
    let headers = [("content-type", "application/json"), ("X-Request-ID", id)];
    let good = section("c-2-2-1").request().to_string();
    for (method, path, body, status) in [
        ("POST", EVALUATION, good.as_str(), 200),
        ("POST", EVALUATION, "{", 400),
        ("POST", EVALUATION, "", 400),
        ("GET", EVALUATION, "", 405),
        ("POST", "/nothing", &good, 404),
        ("GET", "/.well-known/authzen-configuration", "", 200),
        ("POST", super::EVALUATIONS, &good, 200),
        ("POST", super::SEARCH_SUBJECT, &good, 200),
    ] {
        let reply = connection.request(method, path, &headers, body.as_bytes()).await;
        assert_eq!(
            (reply.status, reply.header("x-request-id")),
            (status, Some(id)),
            "{method} {path} {body}"
        );
    }
    let mut node = pdp.connect(["node", "gpu-1"]).await;
    let reply = node.request("POST", EVALUATION, &headers, good.as_bytes()).await;
    assert_eq!((reply.status, reply.header("x-request-id")), (403, Some(id)));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn c_2_5_2_x_request_id_may_be_absent() {
    let reply = Pdp::start().await.post(EVALUATION, section("c-2-2-1").request()).await;
    assert_eq!((reply.status, reply.header("x-request-id")), (200, None));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn c_2_6_the_same_request_gets_the_same_answer() {
    let pdp = Pdp::start().await;
    let mut connection = pdp.connect(["user", "you"]).await;
    for anchor in ["c-2-2-1", "c-2-2-2"] {
        let mut answers: Vec<Value> = Vec::new();
        for _ in 0..10 {
            let answer = connection.post(EVALUATION, section(anchor).request()).await.json();
            answers.push(without_receipts(answer));
        }
        assert!(answers.iter().all(|answer| *answer == answers[0]), "{answers:?}");
    }
}
