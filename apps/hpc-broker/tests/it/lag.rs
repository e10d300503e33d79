//! A cloud that does not show at once what it created: price and start are taken over as soon as it does.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use hpc_broker::{Broker, Environment, IntentRecord, IntentState, Settings, Silent};
use hpc_crypto::signing::KeyPair;
use hpc_ledger::{Key, Ledger, Range, Revision, Transaction, Versioned};
use hpc_memory::audit::MemoryAuditLog;
use hpc_memory::ledger::MemoryLedger;
use hpc_policy::PolicySet;
use hpc_provider::CapacityProvider;
use hpc_provider_sim::{Call, Effect, Notice, ReclaimRule, Rule, Script, SimConfig, SimWorld, Where};
use hpc_resources::{OfferKind, ResourceRequest, TeamId};
use jiff::{SignedDuration, Timestamp};

use crate::lost::cancelled;
use crate::world::{POLICY, World, eight_h100, start, you};

/// Two seconds ahead of the clouds, as if that long had passed between a create and its record.
struct Ahead(Arc<SimWorld>, AtomicU64);

impl Environment for Ahead {
    fn now(&self) -> Timestamp {
        self.0.now() + SignedDuration::from_secs(2)
    }
    fn draw(&self) -> u128 {
        u128::from(self.1.fetch_add(1, Ordering::Relaxed)) << 64 | 7
    }
}

async fn world(script: Script) -> World {
    let clouds = SimConfig { consistency_ms: 10_000, script, ..SimConfig::new(7, start()) };
    let sim = Arc::new(SimWorld::open(clouds).unwrap());
    let ledger = Arc::new(MemoryLedger::new());
    let audit = Arc::new(MemoryAuditLog::new("test.log", KeyPair::from_seed([7; 32])).unwrap());
    let policies = Arc::new(PolicySet::parse_documents([("test.yaml", POLICY)]).unwrap());
    let clock = Arc::new(Ahead(sim.clone(), AtomicU64::new(1)));
    let shared: Arc<dyn Ledger> = ledger.clone();
    let broker = Broker::builder(shared, audit.clone(), policies, clock)
        .providers(sim.providers())
        .settings(Settings { owner: "test".to_owned(), ..Settings::default() })
        .build()
        .await
        .unwrap();
    broker.set_budget(&TeamId::parse("ml").unwrap(), "100000 USD".parse().unwrap()).await.unwrap();
    World { sim, ledger, audit, broker: Arc::new(broker), runs: 0 }
}

#[tokio::test]
async fn a_start_that_was_only_assumed_is_put_right_while_the_lease_runs() {
    let world = world(Script::default()).await;
    let intent = || async { world.broker.intents(None, 10).await.unwrap().items.remove(0) };
    let plan = world.broker.plan(&you(), eight_h100()).await.unwrap().0.plan.id;
    world.broker.apply(&you(), &plan, &Silent).await.unwrap();
    let assumed = intent().await;
    assert!(assumed.instances[0].unseen, "the cloud shows nothing yet");
    // Nobody looked while it was hidden; the first look is when it shows.
    world.sim.advance(Duration::from_secs(11)).unwrap();
    world.broker.reconcile().await.unwrap();
    let seen = intent().await;
    assert!(!seen.instances[0].unseen && seen.instances[0].from < assumed.instances[0].from);
    world.check().await;
    // From then on there is nothing to write about it.
    world.broker.reconcile().await.unwrap();
    assert_eq!(intent().await, seen);
}

#[tokio::test]
async fn what_shows_in_one_round_is_taken_over_in_few_commits_and_no_calls() {
    let world = world(Script { no_quotas: true, ..Script::default() }).await;
    let request = || ResourceRequest::new("job").add_gpu_nvidia_h100(8).build().unwrap();
    let leases = 130;
    for _ in 0..leases {
        let plan = world.broker.plan(&you(), request()).await.unwrap().0.plan.id;
        world.broker.apply(&you(), &plan, &Silent).await.unwrap();
    }
    let intents = || async {
        let page = world.ledger.range(&Range::prefix("intent/").limit(1_000)).await.unwrap();
        let read = |(_, found): (Key, Versioned)| {
            (serde_json::from_slice::<IntentRecord>(&found.value).unwrap(), found.version)
        };
        page.entries.into_iter().map(read).collect::<Vec<_>>()
    };
    let assumed = intents().await;
    assert_eq!(assumed.len(), leases);
    assert!(assumed.iter().all(|(intent, _)| intent.instances[0].unseen));
    // While the clouds may hide them nobody misses them.
    world.broker.reconcile().await.unwrap();
    assert_eq!(intents().await, assumed);
    let refused =
        Rule { call: Call::Observe, at: Where::default(), effect: Effect::Internal, skip: 0, times: None };
    world.sim.add_rule(refused).unwrap();
    world.sim.advance(Duration::from_secs(11)).unwrap();
    let report = world.broker.reconcile().await.unwrap();
    assert_eq!(report.problems, Vec::<String>::new());
    let seen = intents().await;
    assert!(seen.iter().all(|(intent, _)| !intent.instances[0].unseen));
    let commits: BTreeSet<Revision> = seen.iter().map(|(_, revision)| *revision).collect();
    assert_eq!(commits.len(), 2, "128 and 2");
    world.check().await;
}

#[tokio::test]
async fn one_that_cannot_be_read_whole_keeps_no_neighbour_from_being_taken_over() {
    let world = world(Script::default()).await;
    let request = || ResourceRequest::new("job").add_gpu_nvidia_h100(8).build().unwrap();
    for _ in 0..2 {
        let plan = world.broker.plan(&you(), request()).await.unwrap().0.plan.id;
        world.broker.apply(&you(), &plan, &Silent).await.unwrap();
    }
    let page = world.ledger.range(&Range::prefix("intent/")).await.unwrap();
    let (damaged, found) = page.entries.into_iter().next().unwrap();
    // As a newer version may write it. A round that looks at what it needs alone sees nothing wrong.
    let mut record: serde_json::Value = serde_json::from_slice(&found.value).unwrap();
    record["spec"]["offer"]["kind"] = "of-tomorrow".into();
    let change = Transaction::new().put(damaged.clone(), serde_json::to_vec(&record).unwrap());
    world.ledger.commit(change).await.unwrap();
    world.sim.advance(Duration::from_secs(11)).unwrap();
    let report = world.broker.reconcile().await.unwrap();
    let told = |problem: &String| problem.starts_with(damaged.name()) && problem.contains("cannot be read");
    assert!(report.problems.iter().any(told), "{report:#?}");
    let page = world.ledger.range(&Range::prefix("intent/")).await.unwrap();
    let (_, other) = page.entries.into_iter().find(|(key, _)| *key != damaged).unwrap();
    let other: IntentRecord = serde_json::from_slice(&other.value).unwrap();
    assert!(!other.instances[0].unseen);
}

/// A process that stood still between its journal and its call, sends, and dies: the next one begins in that moment, when
/// the intent is old and the cloud shows nothing yet.
#[tokio::test]
async fn what_a_dead_process_sent_late_is_waited_for_from_the_start_of_the_next() {
    let at = Where { kind: Some(OfferKind::Spot), ..Where::default() };
    let reclaim = ReclaimRule { at, after_s: 45, notice: Notice::Late, times: None };
    let never = Rule {
        call: Call::Provision,
        at: Where::default(),
        effect: Effect::HangBefore,
        skip: 0,
        times: Some(1),
    };
    let script = Script { rules: vec![never], reclaims: vec![reclaim], ..Script::default() };
    let clouds = SimConfig { consistency_ms: 10_000, script, ..SimConfig::new(7, start()) };
    let mut world = crate::world::open(clouds).await;
    let request =
        ResourceRequest::new("job").add_gpu_nvidia_h100(8).with_kinds([OfferKind::Spot]).build().unwrap();
    let plan = world.broker.plan(&you(), request).await.unwrap().0.plan.id;
    assert!(!cancelled(world.broker.apply(&you(), &plan, &Silent), 200).await);
    let intent = world.broker.intents(None, 10).await.unwrap().items.remove(0);
    assert_eq!(intent.state, IntentState::Recorded);
    world.advance_s(72);
    let port = world.sim.provider(intent.spec.offer.provider.as_str()).unwrap();
    port.provision(&intent.spec).await.unwrap();
    world.restart().await;
    world.broker.reconcile().await.unwrap();
    let waits = world.broker.intent_by_id(&intent.spec.intent).await.unwrap().unwrap();
    assert!(!waits.state.is_final(), "too early to say that nothing was created: {waits:#?}");
    // It is taken back before anything could list it, and costs all the same.
    world.advance_s(46);
    world.settle().await;
    world.check().await;
    assert_eq!(world.sim.bill().len(), 1);
}
