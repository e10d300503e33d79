//! What a provider takes back is replaced, for whoever the request is of, over the whole daemon.

use std::path::Path;
use std::time::Duration;

use hpc_audit::{AuditLog as _, Entry};
use hpc_broker::{Callers, EndReason, LeaseRecord, LeaseState, ReplacementState, Silent};
use hpc_resources::{OfferKind, OnInterruption, RequestDocument};
use hpcd::people::Directory;
use hpcd::world::World;

use crate::entries::conform;
use crate::{options, person};

async fn opened(data: &Path, trouble: &Path) -> std::sync::Arc<World> {
    let mut options = options(Some(data));
    options.story = trouble.display().to_string();
    World::open(options).await.unwrap()
}

async fn round(world: &World, seconds: u64) {
    world.pass(Duration::from_secs(seconds)).unwrap();
    world.reconcile().await.unwrap();
    assert_eq!(world.replace().await.unwrap().problems, Vec::<String>::new());
}

#[tokio::test]
async fn a_lease_is_replaced_although_the_daemon_stopped_in_between() {
    let folder = tempfile::tempdir().unwrap();
    let (data, trouble) = (folder.path().join("data"), folder.path().join("trouble.yaml"));
    let text = "script: { reclaims: [{ at: { kind: spot }, after_s: 600, notice: twice, times: 1 }] }\n";
    std::fs::write(&trouble, text).unwrap();
    let old: LeaseRecord = {
        let world = opened(&data, &trouble).await;
        let you = person(&world, "you");
        let request = RequestDocument {
            kinds: vec![OfferKind::Spot],
            on_interruption: OnInterruption::Replace,
            ..hpcd::demo::built_in_request()
        };
        let (plan, _) = world.broker.plan(&you, request.into_request().unwrap()).await.unwrap();
        let lease = world.broker.apply(&you, &plan.plan.id, &Silent).await.unwrap().lease;
        world.pass(Duration::from_secs(485)).unwrap();
        world.reconcile().await.unwrap();
        let drained = world.broker.lease_by_id(&lease.id).await.unwrap();
        assert_eq!(drained.state, LeaseState::Draining, "{drained:#?}");
        assert_eq!(drained.replacement.as_ref().unwrap().state, ReplacementState::Wanted);
        world.audit.close().await.unwrap();
        drained
    };
    let world = opened(&data, &trouble).await;
    for _ in 0..8 {
        round(&world, 31).await;
    }
    let ended = world.broker.lease_by_id(&old.id).await.unwrap();
    assert_eq!((ended.state, ended.end_reason), (LeaseState::Released, Some(EndReason::Reclaimed)));
    let record = ended.replacement.unwrap();
    assert_eq!(record.state, ReplacementState::Replaced, "{record:#?}");
    let new = world.broker.lease_by_id(&record.by.unwrap()).await.unwrap();
    assert_eq!(
        (new.state, &new.replaces, &new.principal),
        (LeaseState::Active, &Some(old.id), &old.principal)
    );
    assert_eq!(world.sim.live_instances().len(), 1);
    let size = usize::try_from(world.audit.size()).unwrap();
    let entries = world.audit.entries(0, size).await.unwrap();
    let entries: Vec<Entry> = entries.into_iter().map(|recorded| recorded.entry).collect();
    let seen = conform(&entries);
    for action in ["instance.notice", "lease.draining", "lease.replacement"] {
        assert!(seen.contains(action), "{action}: {seen:?}");
    }
}

#[tokio::test]
async fn only_people_of_this_trust_domain_are_known() {
    let world = World::open(options(None)).await.unwrap();
    let domain = world.identity.trust_domain();
    let directory = Directory(domain.clone());
    let you = person(&world, "you");
    assert_eq!(directory.caller(&you.name).unwrap().name, you.name);
    let elsewhere = you.name.replace(&domain.to_string(), "elsewhere.example");
    assert_ne!(elsewhere, you.name);
    for nobody in [
        elsewhere,
        you.name.replace("/you", "/eve"),
        you.name.replace("user/you", "node/gpu-1"),
        String::new(),
    ] {
        assert!(directory.caller(&nobody).is_none(), "{nobody}");
    }
}
