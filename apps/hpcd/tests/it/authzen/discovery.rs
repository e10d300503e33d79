//! Discovery, transport, and who may ask.

use std::time::Duration;

use hpc_auth::client::create_joining_client_config;
use hpc_auth::join::NodeName;
use serde_json::json;

use super::client::Connection;
use super::scenario::section;
use super::{EVALUATION, EVALUATIONS, Pdp, SEARCH_ACTION, SEARCH_RESOURCE, SEARCH_SUBJECT, without_receipts};

const METADATA: &str = "/.well-known/authzen-configuration";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn c_5_1_and_2_json_in_and_out() {
    let pdp = Pdp::start().await;
    let body = section("c-2-2-1").request().clone();
    for path in [EVALUATION, EVALUATIONS, SEARCH_SUBJECT, SEARCH_RESOURCE, SEARCH_ACTION] {
        let reply = pdp.post(path, &body).await;
        assert_eq!((reply.status, reply.header("content-type")), (200, Some("application/json")), "{path}");
        assert_eq!(reply.header("cache-control"), Some("no-store"));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn c_5_3_missing_required_fields_at_every_endpoint() {
    let pdp = Pdp::start().await;
    for path in [EVALUATION, EVALUATIONS, SEARCH_SUBJECT, SEARCH_RESOURCE, SEARCH_ACTION] {
        pdp.refusal(path, &json!({})).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn c_5_4_x_request_id_at_every_endpoint() {
    let pdp = Pdp::start().await;
    let mut connection = pdp.connect(["user", "you"]).await;
    let body = section("c-2-2-1").request().to_string();
    let headers = [("content-type", "application/json"), ("x-request-id", "r-1")];
    for path in [EVALUATION, EVALUATIONS, SEARCH_SUBJECT, SEARCH_RESOURCE, SEARCH_ACTION] {
        let reply = connection.request("POST", path, &headers, body.as_bytes()).await;
        assert_eq!((reply.status, reply.header("x-request-id")), (200, Some("r-1")), "{path}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn c_5_5_unknown_fields_at_every_endpoint_and_depth() {
    let pdp = Pdp::start().await;
    let plain = section("c-2-2-1").request().clone();
    let mut more = section("c-2-2-9").request().clone();
    more["subject"]["future"] = json!([1]);
    more["action"]["future"] = json!(null);
    more["resource"]["future"] = json!({"nested": true});
    more["options"] = json!({"future": 1});
    for path in [EVALUATION, EVALUATIONS, SEARCH_SUBJECT, SEARCH_RESOURCE, SEARCH_ACTION] {
        let (more, plain) = (pdp.ask(path, &more).await, pdp.ask(path, &plain).await);
        assert_eq!(without_receipts(more), without_receipts(plain), "{path}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn c_6_1_to_5_metadata() {
    let pdp = Pdp::start().await;
    let mut connection = pdp.connect(["user", "you"]).await;
    let reply = connection.request("GET", METADATA, &[], b"").await;
    assert_eq!((reply.status, reply.header("content-type")), (200, Some("application/json")));
    let metadata = reply.json();
    let base = pdp.daemon.endpoint();
    assert!(base.starts_with("https://"));
    let expected = json!({
        "policy_decision_point": base,
        "access_evaluation_endpoint": format!("{base}/access/v1/evaluation"),
        "access_evaluations_endpoint": format!("{base}/access/v1/evaluations"),
        "search_subject_endpoint": format!("{base}/access/v1/search/subject"),
        "search_resource_endpoint": format!("{base}/access/v1/search/resource"),
        "search_action_endpoint": format!("{base}/access/v1/search/action"),
    });
    assert_eq!(metadata, expected);
    // Each endpoint is where the metadata says.
    for (name, url) in metadata.as_object().unwrap() {
        if name.ends_with("_endpoint") {
            let path = url.as_str().unwrap().strip_prefix(&base).unwrap();
            assert_eq!(pdp.post(path, section("c-2-2-1").request()).await.status, 200, "{url}");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn c_6_5_the_base_is_the_one_used_for_discovery() {
    let pdp = Pdp::start().await;
    let mut connection = pdp.connect(["user", "you"]).await;
    let by_name = format!("localhost:{}", pdp.daemon.api.port());
    let head = format!("GET {METADATA} HTTP/1.1\r\nhost: {by_name}\r\n\r\n");
    connection.send(head.as_bytes()).await;
    let metadata = connection.reply().await.unwrap().json();
    assert_eq!(metadata["policy_decision_point"], format!("https://{by_name}"));
    connection.send(head.replace(&by_name, "evil.example").as_bytes()).await;
    let metadata = connection.reply().await.unwrap().json();
    assert_eq!(metadata["policy_decision_point"], pdp.daemon.endpoint(), "a name of others is not repeated");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn c_6_6_metadata_of_a_tenant_that_is_not_there() {
    let pdp = Pdp::start().await;
    let mut connection = pdp.connect(["user", "you"]).await;
    for path in ["/tenant1", "/", "/a/b"] {
        let reply = connection.request("GET", &format!("{METADATA}{path}"), &[], b"").await;
        assert!(reply.refused(404).contains("no tenants"), "{path}");
    }
    assert!(
        !connection.request("GET", &format!("{METADATA}x"), &[], b"").await.refused(404).contains("tenant")
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_wrong_method_is_refused_with_the_right_one() {
    let pdp = Pdp::start().await;
    let mut connection = pdp.connect(["user", "you"]).await;
    for method in ["GET", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "post"] {
        for path in [EVALUATION, EVALUATIONS, SEARCH_SUBJECT, SEARCH_RESOURCE, SEARCH_ACTION] {
            let reply = connection.request(method, path, &[], b"").await;
            reply.refused(405);
            assert_eq!(reply.header("allow"), Some("POST"), "{method} {path}");
        }
    }
    let reply = connection.request("POST", METADATA, &[], b"").await;
    reply.refused(405);
    assert_eq!(reply.header("allow"), Some("GET"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_may_not_ask_is_refused_before_the_body_is_read() {
    let pdp = Pdp::start().await;
    let question = section("c-2-2-1").request().clone();
    // `lead` approves, a node reports, and nobody knows `eve`: none of them enforces decisions.
    for who in [["user", "lead"], ["node", "gpu-1"], ["user", "eve"], ["service", "other"]] {
        let mut connection = pdp.connect(who).await;
        for path in [EVALUATION, EVALUATIONS, SEARCH_SUBJECT, SEARCH_RESOURCE, SEARCH_ACTION] {
            let reply = connection.post(path, &question).await;
            let message = reply.refused(403);
            assert!(reply.json().get("decision").is_none(), "{message}");
        }
        // The answer does not wait for a body that never comes.
        let head = format!("POST {EVALUATION} HTTP/1.1\r\nhost: h\r\ncontent-length: 100\r\n\r\n");
        connection.send(head.as_bytes()).await;
        connection.reply().await.unwrap().refused(403);
    }
    let starter = crate::daemon().await;
    let pdp = Pdp { daemon: starter, _policies: tempfile::tempdir().unwrap() };
    assert!(!pdp.decision(&question).await, "the starter policies know no records, but let operators ask");
    let mut connection = pdp.connect(["user", "lead"]).await;
    assert!(connection.post(EVALUATION, &question).await.refused(403).contains("policy.evaluate"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_a_certificate_nothing_is_answered() {
    let pdp = Pdp::start().await;
    let world = &pdp.daemon.world;
    let you = crate::person(world, "you");
    let name = NodeName::parse("gpu-1").unwrap();
    let token = world.nodes.invite(&you.name, name, Duration::from_secs(300)).await.unwrap().token;
    let config = create_joining_client_config(&token, &[b"http/1.1"]).unwrap();
    let mut connection = Connection::open(pdp.daemon.api, config).await;
    for (method, path) in [("POST", EVALUATION), ("GET", METADATA), ("POST", SEARCH_SUBJECT)] {
        let body = section("c-2-2-1").request().to_string();
        let headers = [("content-type", "application/json")];
        let reply = connection.request(method, path, &headers, body.as_bytes()).await;
        assert_eq!((reply.status, reply.body.len()), (401, 0), "{path}");
    }
}
