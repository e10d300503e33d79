//! Every no explains itself, and costs nothing.

use hpc_broker::PlanState;
use hpc_provider_sim::Script;
use hpc_resources::{Money, ResourceRequest, TeamId};

use crate::world::{World, eight_h100, lead, you};

#[tokio::test]
async fn policy_denies_with_the_rule_and_the_way_out() {
    let world = World::new(Script::default()).await;
    let request = ResourceRequest::new("job").add_gpu_nvidia_h100(65).with_instances_max(9).build().unwrap();
    let (plan, _) = world.broker.plan(&you(), request).await.unwrap();
    assert_eq!(plan.state, PlanState::Denied);
    assert!(plan.decision.reasons.iter().any(|reason| reason.contains("at most 64")), "{:?}", plan.decision);
    let error = world.broker.apply(&you(), &plan.plan.id, &hpc_broker::Silent).await.unwrap_err();
    assert_eq!((error.code_text(), error.exit_code()), (Some("HPC-PLN-0004"), 3));
    world.check().await;
}

#[tokio::test]
async fn nothing_to_offer_says_why_for_each() {
    let world = World::new(Script::default()).await;
    let request = ResourceRequest::new("job")
        .add_gpu_nvidia_h100(8)
        .with_max_hourly("0.01 USD".parse().unwrap())
        .build()
        .unwrap();
    let (plan, _) = world.broker.plan(&you(), request).await.unwrap();
    assert_eq!(plan.state, PlanState::NoOffer);
    assert!(plan.plan.excluded_counts["price"] > 0);
    assert!(plan.plan.excluded.iter().all(|excluded| !excluded.included_by.is_empty()));
    let error = world.broker.apply(&you(), &plan.plan.id, &hpc_broker::Silent).await.unwrap_err();
    assert_eq!(error.exit_code(), 5);
}

#[tokio::test]
async fn a_budget_is_never_overdrawn_by_open_leases() {
    let world = World::new(Script::default()).await;
    let team = TeamId::parse("ml").unwrap();
    let (plan, _) = world.broker.plan(&you(), eight_h100()).await.unwrap();
    let (twin, _) = world.broker.plan(&you(), eight_h100()).await.unwrap();
    let enough_for_one =
        plan.plan.worst_case.unwrap().checked_add("3 USD".parse::<Money>().unwrap()).unwrap();
    world.broker.set_budget(&team, enough_for_one).await.unwrap();
    world.broker.apply(&you(), &plan.plan.id, &hpc_broker::Silent).await.unwrap();
    let error = world.broker.apply(&you(), &twin.plan.id, &hpc_broker::Silent).await.unwrap_err();
    assert_eq!((error.code_text(), error.exit_code()), (Some("HPC-BUD-0001"), 3));
    world.check().await;
}

#[tokio::test]
async fn an_idempotency_key_means_one_plan() {
    let world = World::new(Script::default()).await;
    let (first, _) = world.broker.plan_once(&you(), eight_h100(), "k1").await.unwrap();
    let (again, _) = world.broker.plan_once(&you(), eight_h100(), "k1").await.unwrap();
    assert_eq!(first.plan.id, again.plan.id);
    let (theirs, _) = world.broker.plan_once(&lead(), eight_h100(), "k1").await.unwrap();
    assert_ne!(first.plan.id, theirs.plan.id, "a key belongs to its caller");
    let other = ResourceRequest::new("other").add_gpu_nvidia_h100(1).build().unwrap();
    let error = world.broker.plan_once(&you(), other, "k1").await.unwrap_err();
    assert_eq!(error.code_text(), Some("HPC-USG-0016"));
}

#[tokio::test]
async fn an_expired_plan_is_refused() {
    let world = World::new(Script::default()).await;
    let (plan, _) = world.broker.plan(&you(), eight_h100()).await.unwrap();
    world.advance_s(301);
    let error = world.broker.apply(&you(), &plan.plan.id, &hpc_broker::Silent).await.unwrap_err();
    assert_eq!(error.exit_code(), 9);
}

#[tokio::test]
async fn a_plan_and_a_lease_belong_to_their_owner() {
    let world = World::new(Script::default()).await;
    let (plan, _) = world.broker.plan(&you(), eight_h100()).await.unwrap();
    assert!(world.broker.apply(&lead(), &plan.plan.id, &hpc_broker::Silent).await.is_err());
    let applied = world.broker.apply(&you(), &plan.plan.id, &hpc_broker::Silent).await.unwrap();
    let error = world.broker.release(&lead(), &applied.lease.id).await.unwrap_err();
    assert_eq!(error.code_text(), Some("HPC-LSE-0005"));
    world.check().await;
}

#[tokio::test]
async fn without_an_audit_log_nothing_is_created_but_releases_go_on() {
    let world = World::new(Script::default()).await;
    let applied = world.apply(eight_h100()).await.unwrap();
    let (plan, _) = world.broker.plan(&you(), eight_h100()).await.unwrap();
    world.audit.set_writable(false);
    let error = world.broker.apply(&you(), &plan.plan.id, &hpc_broker::Silent).await.unwrap_err();
    assert_eq!(error.code_text(), Some("HPC-AUD-0001"));
    assert_eq!(world.sim.live_instances().len(), 1);
    world.broker.release(&you(), &applied.lease.id).await.unwrap();
    assert!(world.sim.live_instances().is_empty());
    world.audit.set_writable(true);
    world.settle().await;
    world.check().await;
    let search = hpc_audit::Search { subject: Some(applied.lease.id.to_string()), ..Default::default() };
    let hits = hpc_audit::AuditLog::search(world.audit.as_ref(), &search).await.unwrap().hits;
    assert!(hits.iter().any(|hit| hit.entry.action == "lease.released"), "the outbox kept the entry");
}

#[tokio::test]
async fn while_the_log_is_behind_mutations_are_refused_before_anything_is_done_and_reads_go_on() {
    use hpc_audit::AuditLog as _;
    let world = World::new(Script::default()).await;
    let (plan, _) = world.broker.plan(&you(), eight_h100()).await.unwrap();
    world.audit.set_writable(false);
    // The first one finds out: what it stored is told, and its entry follows.
    let first = world.broker.plan(&you(), eight_h100()).await.unwrap_err();
    assert_eq!(first.code_text(), Some("HPC-AUD-0001"));
    assert!(format!("{first:?}").contains("look before you repeat"), "{first:?}");
    let before = (world.broker.requests(None, 100).await.unwrap().items.len(), world.audit.size());
    for _ in 0..3 {
        let error = world.broker.plan(&you(), eight_h100()).await.unwrap_err();
        assert_eq!(error.code_text(), Some("HPC-AUD-0001"));
        assert!(!format!("{error:?}").contains("look before you repeat"), "{error:?}");
        let error = world.broker.apply(&you(), &plan.plan.id, &hpc_broker::Silent).await.unwrap_err();
        assert_eq!(error.code_text(), Some("HPC-AUD-0001"));
    }
    let after = (world.broker.requests(None, 100).await.unwrap().items.len(), world.audit.size());
    assert_eq!(after, before, "nothing was done");
    assert_eq!(world.broker.plan_by_id(&plan.plan.id).await.unwrap().state, PlanState::Open);
    assert_eq!(world.audit.head().await.unwrap().checkpoint().size, world.audit.size());
    assert!(world.sim.live_instances().is_empty());
    // The next mutation brings the log up to date by itself.
    world.audit.set_writable(true);
    let applied = world.broker.apply(&you(), &plan.plan.id, &hpc_broker::Silent).await.unwrap();
    let key = world.audit.verifier_key();
    let indices: Vec<u64> = applied.receipts.iter().map(|receipt| receipt.index).collect();
    let proofs = hpc_audit::prove(world.audit.as_ref(), &indices).await.unwrap();
    for (receipt, proof) in applied.receipts.iter().zip(&proofs) {
        receipt.check(proof, &key).unwrap();
    }
    let ids: Vec<&str> = applied.receipts.iter().map(|receipt| receipt.id.as_str()).collect();
    for step in ["accepted", "recorded", "acknowledged", "active"] {
        assert_eq!(ids.iter().filter(|id| id.ends_with(&format!(".{step}"))).count(), 1, "{step}: {ids:?}");
    }
    let search = hpc_audit::Search { action: Some("request.planned".to_owned()), ..Default::default() };
    assert_eq!(world.audit.search(&search).await.unwrap().hits.len(), 2, "the outbox kept the entry");
    world.check().await;
}

#[tokio::test]
async fn a_caller_who_is_refused_for_ever_does_not_fill_the_log() {
    use hpc_audit::AuditLog;
    use hpc_broker::{REFUSALS_AT_ONCE, decisions_in};
    use hpc_policy::Resource;
    let world = World::new(Script::default()).await;
    let burst = u64::from(REFUSALS_AT_ONCE);
    let ask = |caller: hpc_broker::Caller| {
        let broker = world.broker.clone();
        async move { broker.permit(&caller, Resource::new("node", "node/x"), "node.forbid").await.unwrap_err() }
    };
    let before = world.audit.size();
    for _ in 0..burst {
        let refused = format!("{:?}", ask(you()).await);
        assert!(!refused.contains("unrecorded"), "{refused}");
        let index = world.audit.size() - 1;
        let recorded = world.audit.entries(index, 1).await.unwrap().remove(0);
        assert!(refused.contains(&recorded.leaf_hash.to_base64()), "the refusal names its entry: {refused}");
        assert_eq!(recorded.entry.action, "policy.denied");
    }
    for _ in 0..10 {
        let error = ask(you()).await;
        assert_eq!(error.code_text(), Some("HPC-POL-0001"), "refused all the same");
        assert!(format!("{error:?}").contains("unrecorded"), "{error:?}");
    }
    assert_eq!((world.audit.size() - before, world.broker.refusals_suppressed()), (burst, 10));
    // Another caller is not silenced by it, and what is allowed is recorded whatever was refused.
    ask(lead()).await;
    let (plan, _) = world.broker.plan(&you(), eight_h100()).await.unwrap();
    assert_eq!(world.audit.size() - before, burst + 2);
    assert!(plan.decision.allowed);
    world.advance_s(2);
    ask(you()).await;
    let search =
        hpc_audit::Search { action: Some("policy.denied".to_owned()), limit: 1_000, ..Default::default() };
    let last = world.audit.search(&search).await.unwrap().hits.pop().unwrap().entry;
    assert_eq!(last.data["unrecorded_before"], 10);
    assert_eq!(decisions_in(&last.data).len(), 1);
}
