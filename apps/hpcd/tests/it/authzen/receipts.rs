//! Every answer is recorded, and proves it.

use hpc_audit::{AuditLog as _, Commitment, Entry, Hash, Outcome, Search, verify_receipt};
use serde_json::{Value, json};

use super::scenario::section;
use super::{EVALUATION, EVALUATIONS, Pdp, SEARCH_SUBJECT};

/// Checks a receipt as its holder would: with the log's key, and nothing else from the daemon. Returns the entry.
fn proved(pdp: &Pdp, receipt: &Value) -> Entry {
    let key = pdp.daemon.world.audit.verifier_key();
    let text = receipt["entry"].as_str().unwrap();
    let leaf_hash = Entry::leaf_hash(text.as_bytes());
    assert_eq!(receipt["leaf_hash"], leaf_hash.to_base64());
    let (index, _) = verify_receipt(&leaf_hash, receipt["proof"].as_str().unwrap(), &key).unwrap();
    assert_eq!((&receipt["index"], &receipt["log"]), (&json!(index), &json!(key.name())));
    Entry::decode(text.as_bytes()).unwrap()
}

/// Whether the entry is about a request of this body.
fn is_about(entry: &Entry, receipt: &Value, body: &str) -> bool {
    let commitment: Commitment = entry.data["request"].as_str().unwrap().parse().unwrap();
    let salt = Hash::from_base64(receipt["salt"].as_str().unwrap()).unwrap();
    commitment.opens("request", body, salt.as_bytes())
}

async fn entries(pdp: &Pdp) -> usize {
    let search = Search { action: Some("access.*".to_owned()), limit: 1_000, ..Search::default() };
    pdp.daemon.world.audit.search(&search).await.unwrap().hits.len()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_decision_is_recorded_and_proved_to_whoever_asked() {
    let pdp = Pdp::start().await;
    for (anchor, outcome, decisions) in [("c-2-2-1", Outcome::Ok, "a"), ("c-2-2-2", Outcome::Denied, "d")] {
        let body = section(anchor).request().clone();
        let receipt = pdp.ask(EVALUATION, &body).await["context"]["receipt"].clone();
        let entry = proved(&pdp, &receipt);
        assert_eq!((entry.action.as_str(), entry.outcome), ("access.evaluated", outcome));
        assert!(entry.principal.ends_with("/user/you"), "{}", entry.principal);
        assert_eq!(entry.data["decisions"], decisions);
        assert_eq!(entry.data["policy_digest"], pdp.daemon.world.broker.policies().digest());
        assert!(is_about(&entry, &receipt, &body.to_string()));
        assert!(!is_about(&entry, &receipt, &format!("{body} ")));
        assert_eq!(pdp.daemon.world.audit.entries(entry_index(&receipt), 1).await.unwrap()[0].entry, entry);
    }
}

fn entry_index(receipt: &Value) -> u64 {
    receipt["index"].as_u64().unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_same_request_twice_is_two_entries_and_one_decision() {
    let pdp = Pdp::start().await;
    let body = section("c-2-2-1").request().clone();
    let (mut first, mut second) = (pdp.ask(EVALUATION, &body).await, pdp.ask(EVALUATION, &body).await);
    let take = |answer: &mut Value| answer["context"].as_object_mut().unwrap().remove("receipt").unwrap();
    let (one, two) = (take(&mut first), take(&mut second));
    assert_ne!(entry_index(&one), entry_index(&two));
    assert_ne!((&one["leaf_hash"], &one["salt"]), (&two["leaf_hash"], &two["salt"]));
    assert_eq!(first, second);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_batch_is_one_entry_and_a_search_is_one_entry() {
    let pdp = Pdp::start().await;
    for count in [1, 2, 1_000] {
        let before = entries(&pdp).await;
        let mut batch = section("c-2-2-1").request().clone();
        let items: Vec<Value> =
            (0..count).map(|n| if n % 2 == 1 { json!({"resource": 1}) } else { json!({}) }).collect();
        batch["evaluations"] = items.into();
        let answer = pdp.ask(EVALUATIONS, &batch).await;
        let evaluations = answer["evaluations"].as_array().unwrap();
        let receipt = &evaluations[0]["context"]["receipt"];
        let entry = proved(&pdp, receipt);
        let decisions: String = (0..count).map(|n| if n % 2 == 1 { 'd' } else { 'a' }).collect();
        assert_eq!(entry.data["decisions"], decisions);
        assert_eq!(entry.outcome, if count == 1 { Outcome::Ok } else { Outcome::Denied });
        assert!(is_about(&entry, receipt, &batch.to_string()));
        for evaluation in &evaluations[1..] {
            let short = &evaluation["context"]["receipt"];
            assert_eq!(short["index"], receipt["index"]);
            assert!(short.get("proof").is_none() && short.get("salt").is_none(), "{short}");
        }
        assert_eq!(entries(&pdp).await, before + 1);
    }
    let before = entries(&pdp).await;
    let answer = pdp.ask(SEARCH_SUBJECT, section("c-4-2-1").request()).await;
    let entry = proved(&pdp, &answer["context"]["receipt"]);
    assert_eq!((entry.action.as_str(), entry.outcome), ("access.searched", Outcome::Ok));
    assert_eq!(entry.data["results"], answer["results"].as_array().unwrap().len());
    assert_eq!(entries(&pdp).await, before + 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_refused_before_a_decision_is_no_entry() {
    let pdp = Pdp::start().await;
    let before = entries(&pdp).await;
    pdp.refusal(EVALUATION, &json!({})).await;
    pdp.refusal(EVALUATIONS, &json!({"evaluations": {}})).await;
    let reply = pdp.connect(["user", "stranger"]).await.post(EVALUATION, &json!({})).await;
    assert_eq!(reply.status, 403);
    assert_eq!(entries(&pdp).await, before);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_request_says_is_in_no_file_of_the_log() {
    let canary = "canary-4711@example.org";
    let pdp = Pdp::start().await;
    let body = json!({
        "subject": {"type": "user", "id": canary, "properties": {"mail": canary}},
        "action": {"name": "read", "properties": {"why": canary}},
        "resource": {"type": "record", "id": canary},
        "context": {"ip": canary},
    });
    pdp.ask(EVALUATION, &body).await;
    pdp.ask(SEARCH_SUBJECT, &body).await;
    let audit = &pdp.daemon.world.audit;
    audit.checkpoint().await.unwrap();
    for recorded in audit.entries(0, 1_000).await.unwrap() {
        let text = String::from_utf8(recorded.entry.encode().unwrap()).unwrap();
        assert!(!text.contains("canary"), "{text}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_cannot_be_recorded_is_not_decided() {
    let pdp = Pdp::start().await;
    let allowed = section("c-2-2-1").request().clone();
    pdp.ask(EVALUATION, &allowed).await;
    // A log that is closed takes nothing more, and is read as before.
    pdp.daemon.world.audit.close().await.unwrap();
    let search = section("c-4-2-1").request().clone();
    let mut batch = allowed.clone();
    batch["evaluations"] = json!([{}, {}]);
    for (path, body) in [(EVALUATION, &allowed), (EVALUATIONS, &batch), (SEARCH_SUBJECT, &search)] {
        let reply = pdp.post(path, body).await;
        assert_eq!((reply.status, reply.header("retry-after")), (503, Some("1")), "{path}");
        let answer = reply.json();
        assert!(answer.get("decision").is_none() && answer.get("results").is_none(), "{answer}");
        assert!(answer["message"].as_str().unwrap().contains("HPC-AUD-0001"), "{answer}");
    }
    assert_eq!(entries(&pdp).await, 1, "reads go on");
}
