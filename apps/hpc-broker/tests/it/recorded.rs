//! Every decision about what changes something is in the audit log, and can be asked again.

use std::sync::Arc;

use hpc_audit::{AuditLog, Outcome, Recorded, Search};
use hpc_broker::{Silent, decisions_in};
use hpc_memory::ledger::CrashPoint;
use hpc_policy::{LoggedDecision, PolicySet, Verdict, replay};
use hpc_provider_sim::Script;
use hpc_resources::ResourceRequest;

use crate::world::{POLICY, World, eight_h100, lead, you};

async fn entries(world: &World) -> Vec<Recorded> {
    world.audit.entries(0, 1_000).await.unwrap()
}

async fn decisions(world: &World) -> Vec<LoggedDecision> {
    let mut found = Vec::new();
    for recorded in entries(world).await {
        for decision in decisions_in(&recorded.entry.data) {
            found.push(LoggedDecision { index: recorded.index, at: recorded.entry.at, decision });
        }
    }
    found
}

fn set(text: &str) -> PolicySet {
    PolicySet::parse_documents([("test.yaml", text)]).unwrap()
}

fn gpus(count: u32) -> ResourceRequest {
    ResourceRequest::new("job").add_gpu_nvidia_h100(count).with_instances_max(16).build().unwrap()
}

/// A plan and its lease, one denied plan, a refused release of somebody else's, an approval denied and one given.
async fn story(world: &World) {
    let applied = world.apply(eight_h100()).await.unwrap();
    world.broker.plan(&you(), gpus(72)).await.unwrap();
    let stranger = hpc_broker::Caller { name: "user:eve".to_owned(), ..lead() };
    let refused = world.broker.release(&stranger, &applied.lease.id).await.unwrap_err();
    assert_eq!(refused.code_text(), Some("HPC-LSE-0005"));
    let two_days =
        ResourceRequest::new("job").add_gpu_nvidia_h100(8).with_duration_s(48 * 3_600).build().unwrap();
    let (plan, _) = world.broker.plan(&you(), two_days).await.unwrap();
    let (id, hash) = (&plan.plan.id, &plan.hash);
    let approver = hpc_broker::Caller { name: "user:eve".to_owned(), ..you() };
    assert!(world.broker.approve(&approver, id, hash, true, "me").await.is_err());
    world.broker.approve(&lead(), id, hash, true, "yes").await.unwrap();
    world.broker.release(&you(), &applied.lease.id).await.unwrap();
}

#[tokio::test]
async fn allowed_and_denied_alike_leave_the_question_the_verdict_and_the_digest() {
    let world = World::new(Script::default()).await;
    story(&world).await;
    let found = decisions(&world).await;
    let asked: Vec<(String, Verdict)> = found
        .iter()
        .map(|logged| {
            let decision = logged.decision.as_ref().unwrap();
            assert_eq!(decision.digest, world.broker.policies().digest());
            assert!(decision.question.context().now().is_some(), "{decision:?}");
            (decision.question.context().action().to_owned(), decision.verdict)
        })
        .collect();
    let expected = [
        ("capacity.request", Verdict::Allow),
        ("capacity.request", Verdict::Allow),
        ("capacity.provision", Verdict::Allow),
        ("capacity.request", Verdict::Deny),
        ("lease.release", Verdict::Deny),
        ("capacity.request", Verdict::Allow),
        ("approval.decide", Verdict::Allow),
        ("lease.release", Verdict::Allow),
    ];
    assert_eq!(asked, expected.map(|(action, verdict)| (action.to_owned(), verdict)));
    let schema = include_str!("../../../hpcd/policies/schema.yaml");
    let schema = PolicySet::parse_documents([("p.yaml", POLICY), ("schema.yaml", schema)]).unwrap();
    for logged in &found {
        let question = &logged.decision.as_ref().unwrap().question;
        schema.schema().check(question.context()).unwrap();
    }
    // Reading leaves nothing.
    let size = world.audit.size();
    let lease = world.broker.leases(None, 1).await.unwrap().items.remove(0);
    world.broker.may_read(&you(), &lease).unwrap();
    world.broker.cost(&you(), &lease.id).await.unwrap();
    assert!(world.broker.cost(&lead(), &lease.id).await.is_err());
    assert_eq!(world.audit.size(), size);
    world.settle().await;
    world.check().await;
}

#[tokio::test]
async fn a_refusal_is_an_entry_of_its_own_for_each_attempt() {
    let world = World::new(Script::default()).await;
    let lease = world.apply(eight_h100()).await.unwrap().lease;
    for _ in 0..2 {
        world.broker.release(&lead(), &lease.id).await.unwrap_err();
    }
    let search = Search { action: Some("policy.denied".to_owned()), ..Search::default() };
    let hits = world.audit.search(&search).await.unwrap().hits;
    assert_eq!(hits.len(), 2);
    for hit in &hits {
        let entry = &hit.entry;
        assert_eq!((entry.outcome, entry.principal.as_str()), (Outcome::Denied, "user:lead"));
        assert_eq!(entry.subjects["lease"], lease.id.to_string());
        assert_eq!(
            (&entry.data["action"], &entry.data["code"]),
            (&"lease.release".into(), &"HPC-LSE-0005".into())
        );
    }
    // Where the role of an obligation refuses, no policy is asked, and the reason is kept.
    let two_days =
        ResourceRequest::new("job").add_gpu_nvidia_h100(8).with_duration_s(48 * 3_600).build().unwrap();
    let (plan, _) = world.broker.plan(&you(), two_days).await.unwrap();
    let other = hpc_broker::Caller { name: "user:eve".to_owned(), ..you() };
    world.broker.approve(&other, &plan.plan.id, &plan.hash, true, "me").await.unwrap_err();
    let hits = world.audit.search(&search).await.unwrap().hits;
    assert_eq!(hits[2].entry.data["reason"], "this approval is for role:approver");
    assert!(decisions_in(&hits[2].entry.data).is_empty());
}

#[tokio::test]
async fn what_policy_denies_between_plan_and_apply_is_recorded() {
    let world = World::new(Script::default()).await;
    let (plan, _) = world.broker.plan(&you(), eight_h100()).await.unwrap();
    let strict = set(&POLICY.replace("context.gpus, op: gt, value: 64", "context.gpus, op: gt, value: 4"));
    world.broker.set_policies(Arc::new(strict.clone()));
    world.broker.apply(&you(), &plan.plan.id, &Silent).await.unwrap_err();
    let last = decisions(&world).await.pop().unwrap().decision.unwrap();
    assert_eq!((last.verdict, last.digest.as_str()), (Verdict::Deny, strict.digest()));
    let entry = entries(&world).await.pop().unwrap().entry;
    assert_eq!((entry.subjects["plan"].clone(), entry.outcome), (plan.plan.id.to_string(), Outcome::Denied));
    world.settle().await;
    world.check().await;
}

#[tokio::test]
async fn an_offer_that_policy_denies_now_is_recorded_and_not_bought() {
    let world = World::new(Script::default()).await;
    let (plan, _) = world.broker.plan(&you(), eight_h100()).await.unwrap();
    world.broker.set_policies(Arc::new(set(&POLICY.replace(", {type: offer, pattern: \"**\"}", ""))));
    world.broker.apply(&you(), &plan.plan.id, &Silent).await.unwrap_err();
    let denied: Vec<_> = decisions(&world)
        .await
        .into_iter()
        .filter_map(|logged| logged.decision.ok())
        .filter(|decision| decision.question.context().action() == "capacity.provision")
        .collect();
    assert_eq!(denied.len(), plan.plan.attempts.len());
    assert!(denied.iter().all(|decision| !decision.verdict.is_allowed()));
    world.settle().await;
    world.check().await;
}

#[tokio::test]
async fn a_replay_lists_exactly_the_flips() {
    let world = World::new(Script::default()).await;
    story(&world).await;
    let found = decisions(&world).await;
    let same = replay(found.clone(), &world.broker.policies());
    assert!(same.has_no_flips() && same.obligations.is_empty() && same.same == same.decisions, "{same:?}");
    // A larger cap lets the 72 through; without the approvers the approval falls.
    let candidate =
        POLICY.replace("context.gpus, op: gt, value: 64", "context.gpus, op: gt, value: 128").replace(
            "[{type: role, value: approver}, {type: role, value: may-decide}]",
            "[{type: role, value: nobody}]",
        );
    let report = replay(found, &set(&candidate));
    let flips: Vec<_> = report.flips.iter().map(|flip| (flip.action.as_str(), flip.from)).collect();
    assert_eq!(flips, [("capacity.request", Verdict::Deny), ("approval.decide", Verdict::Allow)]);
    assert!(report.flips[0].reasons_then[0].contains("at most 64"), "{:?}", report.flips[0]);
}

#[tokio::test]
async fn a_refusal_survives_a_log_that_cannot_be_written_and_a_crash() {
    let mut world = World::new(Script::default()).await;
    let lease = world.apply(eight_h100()).await.unwrap().lease;
    world.audit.set_writable(false);
    let error = world.broker.release(&lead(), &lease.id).await.unwrap_err();
    assert_eq!(error.code_text(), Some("HPC-LSE-0005"), "{error}");
    world.audit.set_writable(true);
    let nth = 1;
    world.ledger.faults().crash_at(nth, CrashPoint::AfterCommit);
    world.broker.release(&lead(), &lease.id).await.unwrap_err();
    world.restart().await;
    world.settle().await;
    let search = Search { action: Some("policy.denied".to_owned()), ..Search::default() };
    assert_eq!(world.audit.search(&search).await.unwrap().hits.len(), 2, "both, each once");
    world.settle().await;
    world.check().await;
}

#[test]
fn what_cannot_be_read_is_said_and_not_skipped() {
    use serde_json::json;
    let data = |field: &str, value: serde_json::Value| [(field.to_owned(), value)].into_iter().collect();
    assert!(decisions_in(&data("policy_digest", json!("x"))).is_empty());
    for (field, value, why) in [
        ("policy_decision", json!("{}"), "missing field"),
        ("policy_decision", json!(7), "not text"),
        ("policy_decision.budget", json!("x"), "expected value"),
        ("policy_decision", json!("x".repeat(hpc_broker::DECISION_BYTES_MAX + 1)), "at most 16384"),
        (
            "policy_decision_omitted",
            json!("it has 20000 bytes"),
            "left out when it was recorded: it has 20000 bytes",
        ),
    ] {
        let found = decisions_in(&data(field, value));
        let error = found[0].as_ref().unwrap_err();
        assert!(error.contains(why), "{error}");
    }
}

#[tokio::test]
async fn a_question_too_long_for_an_entry_is_left_out_by_name() {
    let world = World::new(Script::default()).await;
    let mut principal = you().principal;
    for number in 0..200 {
        principal = principal.with_team(format!("{}-{number}", "t".repeat(200)));
    }
    let caller = hpc_broker::Caller { principal, ..you() };
    world.broker.plan(&caller, eight_h100()).await.unwrap();
    let found = decisions(&world).await;
    assert_eq!(found.len(), 1);
    assert!(found[0].decision.as_ref().unwrap_err().contains("at most 16384 are kept"), "{found:?}");
}
