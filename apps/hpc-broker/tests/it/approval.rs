//! Approval: another person, bound to the hash.

use hpc_broker::PlanState;
use hpc_provider_sim::Script;
use hpc_resources::ResourceRequest;

use crate::world::{World, lead, you};

fn two_days() -> ResourceRequest {
    ResourceRequest::new("job").add_gpu_nvidia_h100(8).with_duration_s(48 * 3_600).build().unwrap()
}

#[tokio::test]
async fn a_large_plan_waits_for_another_person() {
    let world = World::new(Script::default()).await;
    let (plan, _) = world.broker.plan(&you(), two_days()).await.unwrap();
    assert!(matches!(plan.state, PlanState::AwaitingApproval { .. }), "{:?}", plan.state);
    let id = &plan.plan.id;
    let waiting = world.broker.apply(&you(), id, &hpc_broker::Silent).await.unwrap_err();
    assert_eq!(waiting.exit_code(), 4);
    let own = world.broker.approve(&you(), id, &plan.hash, true, "me").await.unwrap_err();
    assert_eq!(own.code_text(), Some("HPC-POL-0003"));
    let stranger = hpc_policy::Principal::user("stranger").with_role("gpu-user").with_role("may-decide");
    let stranger = hpc_broker::Caller { name: "user:stranger".to_owned(), principal: stranger, ..lead() };
    let no_role = world.broker.approve(&stranger, id, &plan.hash, true, "yes").await.unwrap_err();
    assert_eq!(
        no_role.code_text(),
        Some("HPC-POL-0001"),
        "the policy lets them decide, but the plan wants another role"
    );
    let other_hash = world.broker.approve(&lead(), id, &"0".repeat(64), true, "yes").await.unwrap_err();
    assert_eq!(other_hash.code_text(), Some("HPC-POL-0005"));
    world.broker.approve(&lead(), id, &plan.hash, true, "agreed in planning").await.unwrap();
    world.broker.apply(&you(), id, &hpc_broker::Silent).await.unwrap();
    world.check().await;
}

#[tokio::test]
async fn a_refused_plan_stays_refused() {
    let world = World::new(Script::default()).await;
    let (plan, _) = world.broker.plan(&you(), two_days()).await.unwrap();
    world.broker.approve(&lead(), &plan.plan.id, &plan.hash, false, "no").await.unwrap();
    let error = world.broker.apply(&you(), &plan.plan.id, &hpc_broker::Silent).await.unwrap_err();
    assert_eq!(error.code_text(), Some("HPC-POL-0008"));
    assert!(world.broker.approve(&lead(), &plan.plan.id, &plan.hash, true, "yes").await.is_err());
}
