//! A candidate beside the policies in force.

use std::sync::Arc;

use hpc_broker::{DIFFERENCES_MAX, Silent};
use hpc_policy::{PolicySet, Principal, Resource, Verdict};
use hpc_provider_sim::Script;

use crate::world::{POLICY, World, eight_h100, you};

fn set(text: &str) -> Arc<PolicySet> {
    Arc::new(PolicySet::parse_documents([("test.yaml", text)]).unwrap())
}

#[tokio::test]
async fn a_candidate_is_asked_as_well_and_changes_no_answer() {
    let world = World::new(Script::default()).await;
    world.broker.set_candidate(Some(Arc::new(PolicySet::deny_all())));
    let lease = world.apply(eight_h100()).await.unwrap().lease;
    world.broker.release(&you(), &lease.id).await.unwrap();
    let report = world.broker.candidate().unwrap();
    assert!(report.decisions >= 4 && report.allow_to_deny == report.decisions, "{report:?}");
    assert_eq!((report.deny_to_allow, report.obligations, report.failures), (0, 0, 0));
    let last = report.recent.last().unwrap();
    assert_eq!((last.principal.as_str(), last.action.as_str()), ("user:you", "lease.release"));
    assert_eq!((last.active.verdict, last.candidate.verdict), (Verdict::Allow, Verdict::Deny));
    assert_eq!(last.active.reasons, ["allowed by `test/own`"]);
    assert!(last.question.as_ref().unwrap().is_complete());
    world.settle().await;
    world.check().await;
}

#[tokio::test]
async fn other_obligations_are_a_difference_of_their_own() {
    let world = World::new(Script::default()).await;
    world.broker.set_candidate(Some(set(&POLICY.replace("op: gt, value: 24", "op: gt, value: 1"))));
    let (plan, _) = world.broker.plan(&you(), eight_h100()).await.unwrap();
    assert!(plan.decision.obligations.is_empty());
    let report = world.broker.candidate().unwrap();
    assert_eq!((report.obligations, report.allow_to_deny, report.deny_to_allow), (1, 0, 0));
    assert!(report.recent[0].candidate.obligations.contains_key("require_approval"), "{report:?}");
}

#[tokio::test]
async fn only_the_candidate_that_was_tried_is_promoted() {
    let world = World::new(Script::default()).await;
    let before = world.broker.policies().digest().to_owned();
    let candidate = set(&POLICY.replace("op: gt, value: 64", "op: gt, value: 4"));
    let digest = candidate.digest().to_owned();
    let none = world.broker.promote(&digest).unwrap_err();
    assert_eq!(none.code_text(), Some("HPC-POL-0009"));
    world.broker.set_candidate(Some(candidate));
    let other = world.broker.promote(&before).unwrap_err();
    assert_eq!(other.code_text(), Some("HPC-POL-0009"));
    assert!(other.to_string().contains(&digest), "{other}");
    assert_eq!(world.broker.policies().digest(), before, "nothing was swapped");
    assert_eq!(world.broker.promote(&digest).unwrap(), before);
    assert_eq!(world.broker.policies().digest(), digest);
    assert!(world.broker.candidate().is_none());
    let (plan, _) = world.broker.plan(&you(), eight_h100()).await.unwrap();
    assert!(world.broker.apply(&you(), &plan.plan.id, &Silent).await.is_err());
}

#[tokio::test]
async fn the_newest_differences_are_kept_without_secrets() {
    let world = World::new(Script::default()).await;
    world.broker.set_candidate(Some(set(&POLICY.replace(
        "[{type: any}]\n      resources: [{type: lease",
        "[{type: user, value: root}]\n      resources: [{type: lease",
    ))));
    for number in 0..DIFFERENCES_MAX + 3 {
        let principal = Principal::user(format!("u{number}")).with_secret_attribute("pin", "s3cret-pin");
        let caller = hpc_broker::Caller { principal, ..you() };
        let lease = Resource::new("lease", "lease/1").with_attribute("own", true);
        world.broker.may(&caller, lease, "lease.read").unwrap();
    }
    let report = world.broker.candidate().unwrap();
    assert_eq!((report.recent.len(), report.allow_to_deny), (DIFFERENCES_MAX, DIFFERENCES_MAX as u64 + 3));
    assert_eq!(report.recent[0].principal, "user:u3");
    let json = serde_json::to_string(&report).unwrap();
    assert!(!json.contains("s3cret-pin") && json.contains("principal.pin"));
}
