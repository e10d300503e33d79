//! What we send and what the stub answers, held against Google's own description of the API.
//!
//! `tests/data/compute-v1-excerpt.json` is cut from the discovery document; `tests/counterparts/gce.sh` cuts it again and
//! compares. Here no network and no Python is needed.

use std::collections::BTreeSet;
use std::time::Duration;

use hpc_conformance::provider::Rig;
use hpc_provider::CapacityProvider;
use hpc_resources::{OfferKind, ResourceRequest};
use serde_json::Value;

use crate::rig::StubRig;
use crate::stub::Call;

fn document() -> Value {
    serde_json::from_str(include_str!("../data/compute-v1-excerpt.json")).unwrap()
}

/// What of a value is not as its schema says.
fn wrong(document: &Value, schema: &Value, value: &Value, at: &str) -> Vec<String> {
    if let Some(name) = schema["$ref"].as_str() {
        let schema = &document["schemas"][name];
        return if schema.is_null() {
            vec![format!("{at}: no schema `{name}`")]
        } else {
            wrong(document, schema, value, at)
        };
    }
    let whole = |text: &str, signed: bool| {
        if signed { text.parse::<i64>().is_ok() } else { text.parse::<u64>().is_ok() }
    };
    let fine = match (schema["type"].as_str(), schema["format"].as_str()) {
        (Some("object"), _) => {
            let Some(fields) = value.as_object() else {
                return vec![format!("{at}: not an object: {value}")];
            };
            let each = fields.iter().flat_map(|(key, value)| {
                let at = format!("{at}.{key}");
                let known = &schema["properties"][key];
                let schema = if known.is_null() { &schema["additionalProperties"] } else { known };
                if schema.is_null() {
                    vec![format!("{at}: no such field")]
                } else {
                    wrong(document, schema, value, &at)
                }
            });
            return each.collect();
        }
        (Some("array"), _) => {
            let Some(items) = value.as_array() else { return vec![format!("{at}: not an array: {value}")] };
            return items.iter().flat_map(|item| wrong(document, &schema["items"], item, at)).collect();
        }
        (Some("string"), Some(format @ ("uint64" | "int64"))) => {
            value.as_str().is_some_and(|text| whole(text, format == "int64"))
        }
        (Some("string"), _) => match schema["enum"].as_array() {
            Some(known) => known.contains(value),
            None => value.is_string(),
        },
        (Some("integer"), Some("int32")) => value.as_i64().is_some_and(|value| i32::try_from(value).is_ok()),
        (Some("number"), _) => value.is_number(),
        (Some("boolean"), _) => value.is_boolean(),
        other => return vec![format!("{at}: a kind that is not known: {other:?}")],
    };
    if fine { Vec::new() } else { vec![format!("{at}: {value} is not {schema}")] }
}

/// What of a call is not as the document says: its path, its parameters, its body.
fn wrong_call(document: &Value, call: &Call) -> Vec<String> {
    let method = &document["methods"][&call.action];
    let Some(path) = method["path"].as_str() else { return vec![format!("no method `{}`", call.action)] };
    let base = document["servicePath"].as_str().unwrap();
    let parts: Vec<String> = format!("{base}{path}").split('/').map(str::to_owned).collect();
    let as_said = parts.len() == call.path.len()
        && parts
            .iter()
            .zip(&call.path)
            .all(|(said, sent)| said.starts_with('{') && !sent.is_empty() || said == sent);
    let mut found = Vec::new();
    if !as_said {
        found.push(format!("{}: {:?} is not {path}", call.action, call.path));
    }
    let known: Vec<&str> =
        method["parameters"].as_array().unwrap().iter().filter_map(Value::as_str).collect();
    // `$alt` and `$apiVersion` belong to every method.
    let odd = call.query.keys().filter(|key| !known.contains(&key.as_str()) && !key.starts_with('$'));
    found.extend(odd.map(|key| format!("{}: no parameter `{key}`", call.action)));
    if !call.body.is_null() {
        found.extend(wrong(document, &method["request"], &call.body, &call.action));
    }
    found
}

#[tokio::test]
async fn every_call_and_every_answer_is_as_google_describes_it() {
    let document = document();
    let rig = StubRig::start(Some(OfferKind::Spot)).await;
    let spec = rig.spec(1, 2).await;
    let made = rig.provider.provision(&spec).await.unwrap();
    rig.stub.pass(Duration::from_secs(60));
    rig.provider.list_owned("suite", None).await.unwrap();
    rig.provider.quotas().await.unwrap();
    rig.provider.interruptions(None).await.unwrap();
    rig.provider.release(&made.handles[0]).await.unwrap();
    let plain = ResourceRequest::new("x").add_cpu(1).build().unwrap();
    rig.provider.get_quote(&hpc_provider::QuoteRequest { request: plain, now: rig.now() }).await.unwrap();
    rig.stub.cloud().sold_out.insert((spec.offer.zone.to_string(), true));
    rig.provider.provision(&rig.spec(2, 2).await).await.unwrap_err();
    // What is set aside, and flex-start, beside.
    let (mut calls, mut answers) = (Vec::new(), Vec::new());
    for kind in [OfferKind::Reserved, OfferKind::Flex] {
        let other = StubRig::set_aside(Some(kind)).await;
        other.stub.cloud().reservations[0].ends_at = Some("2026-12-01T00:00:00Z".parse().unwrap());
        other.provider.provision(&other.spec(1, 1).await).await.unwrap();
        other.stub.pass(Duration::from_secs(60));
        other.provider.list_owned("suite", None).await.unwrap();
        let cloud = other.stub.cloud();
        calls.extend(cloud.calls.clone());
        answers.extend(cloud.answers.clone());
    }

    let cloud = rig.stub.cloud();
    calls.extend(cloud.calls.clone());
    answers.extend(cloud.answers.clone());
    let mut found: Vec<String> = calls.iter().flat_map(|call| wrong_call(&document, call)).collect();
    for (action, (status, answer)) in answers.iter().filter(|(_, (status, _))| *status == 200) {
        let schema = &document["methods"][action]["response"];
        found.extend(wrong(&document, schema, answer, &format!("{action} {status}")));
    }
    assert!(found.is_empty(), "{found:#?}");
    let tried: BTreeSet<&str> = calls.iter().map(|call| call.action.as_str()).collect();
    let all: BTreeSet<&str> = document["methods"].as_object().unwrap().keys().map(String::as_str).collect();
    assert_eq!(tried, all, "a method of the excerpt that nothing called");
}

/// The judge itself: it finds what is wrong.
#[test]
fn a_value_that_is_not_as_described_is_found() {
    let document = document();
    let operation = &document["methods"]["zoneOperations.get"]["response"];
    for (text, fine) in [
        (r#"{ "id": "18446744073709551615", "status": "DONE" }"#, true),
        (r#"{ "id": 7 }"#, false),
        (r#"{ "id": "operation-7" }"#, false),
        (r#"{ "status": "done" }"#, false),
        (r#"{ "made_up": 1 }"#, false),
        (r#"{ "error": { "errors": [{ "code": "X" }] } }"#, true),
        (r#"{ "error": { "errors": [{ "reason": "X" }] } }"#, false),
        (r#"{ "httpErrorStatusCode": "403" }"#, false),
    ] {
        let value: Value = serde_json::from_str(text).unwrap();
        assert_eq!(wrong(&document, operation, &value, "x").is_empty(), fine, "{text}");
    }
}
