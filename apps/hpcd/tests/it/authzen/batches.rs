//! Batch certification: many evaluations in one request.

use serde_json::{Value, json};

use super::scenario::section;
use super::{EVALUATIONS, Pdp};

/// Checks each answer of a batch and returns the decisions.
fn decisions(answer: &Value) -> Vec<bool> {
    assert!(answer.get("decision").is_none(), "{answer}");
    let evaluations = answer["evaluations"].as_array().unwrap_or_else(|| panic!("{answer}"));
    evaluations
        .iter()
        .map(|evaluation| {
            super::scenario::conforms("evaluation-response", evaluation).unwrap();
            evaluation["decision"].as_bool().unwrap()
        })
        .collect()
}

/// The section's batch gets these decisions.
async fn decides(anchor: &str, expected: &[bool]) {
    let section = section(anchor);
    if let Some(shown) = &section.expected {
        assert_eq!(decisions(shown), expected, "the scenario itself");
    }
    let answer = Pdp::start().await.ask(EVALUATIONS, section.request()).await;
    assert_eq!(decisions(&answer), expected, "{answer}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn c_3_1_the_endpoint_is_there() {
    let reply = Pdp::start().await.post(EVALUATIONS, section("c-3-2-1").request()).await;
    assert_eq!(reply.status, 200);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn c_3_2_1_evaluations_array() {
    // The fixture leaves the second decision open; ours lets alice read every record.
    decides("c-3-2-1", &[true, true]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn c_3_2_2_fixture_decisions() {
    decides("c-3-2-2", &[true, false]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn c_3_2_3_properties() {
    decides("c-3-2-3", &[true, false]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn c_3_2_4_subject_properties() {
    decides("c-3-2-4", &[false, true]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn c_3_2_5_no_defaults() {
    decides("c-3-2-5", &[true, false]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn c_3_2_6_context_inheritance() {
    decides("c-3-2-6", &[true, true]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn c_3_2_7_top_level_defaults_are_replaced_whole() {
    decides("c-3-2-7", &[true, false]).await;
    // No part of a default gets into an entity that replaces it.
    let batch = json!({
        "subject": {"type": "user", "id": "eve", "properties": {"role": "admin"}},
        "action": {"name": "write"},
        "resource": {"type": "record", "id": "record-9", "properties": {"status": "archived"}},
        "context": {"source": "default"},
        "evaluations": [
            {},
            {"subject": {"type": "user", "id": "eve"}},
            {"resource": {"type": "record", "id": "record-9"}},
            {"resource": {"id": "record-9"}},
        ],
    });
    let answer = Pdp::start().await.ask(EVALUATIONS, &batch).await;
    assert_eq!(decisions(&answer), [true, false, false, false], "{answer}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn c_3_3_1_as_many_answers_as_evaluations() {
    let pdp = Pdp::start().await;
    for count in [1, 2, 9, 1_000] {
        let mut batch = section("c-2-2-1").request().clone();
        batch["evaluations"] = vec![json!({}); count].into();
        let answer = pdp.ask(EVALUATIONS, &batch).await;
        assert_eq!(decisions(&answer), vec![true; count]);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn c_3_3_2_answers_are_in_the_order_of_the_evaluations() {
    let actions: Vec<&str> = (0..40).map(|number| if number % 3 == 0 { "read" } else { "write" }).collect();
    let items: Vec<Value> = actions.iter().map(|name| json!({"action": {"name": name}})).collect();
    let batch = json!({
        "subject": {"type": "user", "id": "bob"},
        "resource": {"type": "record", "id": "record-1"},
        "evaluations": items,
    });
    let expected: Vec<bool> = actions.iter().map(|name| *name == "read").collect();
    assert_eq!(decisions(&Pdp::start().await.ask(EVALUATIONS, &batch).await), expected);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn c_3_3_3_each_answer_has_a_decision() {
    let answer = Pdp::start().await.ask(EVALUATIONS, section("c-3-2-5").request()).await;
    for evaluation in answer["evaluations"].as_array().unwrap() {
        assert!(evaluation["decision"].is_boolean() && evaluation["context"].is_object(), "{evaluation}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn c_3_3_4_there_is_no_decision_beside_the_evaluations() {
    let answer = Pdp::start().await.ask(EVALUATIONS, section("c-3-2-1").request()).await;
    let names: Vec<&String> = answer.as_object().unwrap().keys().collect();
    assert_eq!(names, ["evaluations"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn c_3_4_1_an_evaluation_that_fails_is_denied_among_the_others() {
    decides("c-3-4-1", &[true, false]).await;
    let pdp = Pdp::start().await;
    let mut batch = section("c-3-4-1").request().clone();
    let answer = pdp.ask(EVALUATIONS, &batch).await;
    let error = &answer["evaluations"][1]["context"]["error"];
    assert_eq!(error["status"], 400);
    assert!(error["message"].as_str().unwrap().starts_with("`resource` is missing; send"), "{error}");
    // Whatever is wrong with one item, the others are answered.
    let good = json!({"resource": {"type": "record", "id": "record-1"}});
    batch["evaluations"] =
        json!([1, null, {"resource": "record-1"}, {"resource": {"id": "x"}}, {"subject": {}}, good]);
    assert_eq!(decisions(&pdp.ask(EVALUATIONS, &batch).await), [false, false, false, false, false, true]);
    // What is wrong with all of them is an error.
    for (field, wrong) in [
        ("subject", json!("alice")),
        ("subject", json!({"type": "user"})),
        ("context", json!([])),
        ("options", json!(1)),
        ("options", json!({"evaluations_semantic": "all"})),
        ("options", json!({"evaluations_semantic": 1})),
        ("evaluations", json!({})),
        ("evaluations", json!(null)),
    ] {
        let mut batch = section("c-3-4-1").request().clone();
        batch[field] = wrong;
        pdp.refusal(EVALUATIONS, &batch).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn c_3_4_2_without_evaluations_it_is_one() {
    let section = section("c-3-4-2");
    let answer = Pdp::start().await.ask(EVALUATIONS, section.request()).await;
    assert_eq!(answer["decision"], section.expected.unwrap()["decision"]);
    assert!(answer.get("evaluations").is_none());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn c_3_4_3_with_no_evaluations_it_is_one() {
    let section = section("c-3-4-3");
    let pdp = Pdp::start().await;
    let answer = pdp.ask(EVALUATIONS, section.request()).await;
    assert_eq!(answer["decision"], section.expected.as_ref().unwrap()["decision"]);
    assert!(answer.get("evaluations").is_none());
    let mut incomplete = section.request().clone();
    incomplete.as_object_mut().unwrap().remove("subject");
    pdp.refusal(EVALUATIONS, &incomplete).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn semantics_end_a_batch_at_the_first_deny_or_permit() {
    let pdp = Pdp::start().await;
    let item = |action: &str| json!({"action": {"name": action}});
    for (semantic, actions, expected) in [
        ("execute_all", &["read", "write", "read"][..], &[true, false, true][..]),
        ("deny_on_first_deny", &["read", "read", "write", "read"], &[true, true, false]),
        ("deny_on_first_deny", &["read", "read"], &[true, true]),
        ("permit_on_first_permit", &["write", "write", "read", "write"], &[false, false, true]),
        ("permit_on_first_permit", &["write", "write"], &[false, false]),
    ] {
        let batch = json!({
            "subject": {"type": "user", "id": "bob"},
            "resource": {"type": "record", "id": "record-1"},
            "options": {"evaluations_semantic": semantic, "another": 1},
            "evaluations": actions.iter().map(|action| item(action)).collect::<Vec<_>>(),
        });
        assert_eq!(decisions(&pdp.ask(EVALUATIONS, &batch).await), expected, "{semantic} {actions:?}");
    }
    // An evaluation that fails is a deny.
    let batch = json!({
        "subject": {"type": "user", "id": "bob"},
        "resource": {"type": "record", "id": "record-1"},
        "options": {"evaluations_semantic": "deny_on_first_deny"},
        "evaluations": [{}, item("read")],
    });
    assert_eq!(decisions(&pdp.ask(EVALUATIONS, &batch).await), [false]);
}
