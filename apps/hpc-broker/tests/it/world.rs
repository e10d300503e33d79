//! A broker over fakes, and the questions every story asks at its end.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use hpc_audit::AuditLog;
use hpc_broker::{Broker, Caller, Callers, Environment, IntentState, Settings, Silent};
use hpc_crypto::signing::KeyPair;
use hpc_ledger::Ledger;
use hpc_memory::audit::MemoryAuditLog;
use hpc_memory::ledger::MemoryLedger;
use hpc_policy::{PolicySet, Principal};
use hpc_provider::CapacityProvider;
use hpc_provider_sim::{Script, SimConfig, SimWorld};
use hpc_resources::{Money, ResourceRequest, TeamId};
use jiff::{SignedDuration, Timestamp};

use crate::storm::{Later, step_back};

pub const POLICY: &str = r#"
apiVersion: policy.horizon.dev/v1
kind: Policy
metadata: {name: test}
spec:
  rules:
    - name: users
      effect: allow
      principals: [{type: role, value: gpu-user}]
      resources: [{type: gpu, pattern: "gpu/*"}, {type: offer, pattern: "**"}]
      actions: [capacity.request, capacity.provision]
    - name: large
      effect: allow
      principals: [{type: role, value: gpu-user}]
      resources: [{type: gpu, pattern: "gpu/*"}]
      actions: [capacity.request]
      conditions: [{attribute: context.hours, op: gt, value: 24}]
      obligations: {require_approval: "role:approver"}
    - name: cap
      effect: deny
      principals: [{type: any}]
      resources: [{type: gpu, pattern: "**"}]
      actions: [capacity.request]
      conditions: [{attribute: context.gpus, op: gt, value: 64}]
      message: at most 64 accelerators
    - name: own
      effect: allow
      principals: [{type: any}]
      resources: [{type: lease, pattern: "lease/*"}]
      actions: [lease.read, lease.release, lease.renew, lease.drain, cost.read]
      conditions: [{attribute: resource.own, op: eq, value: true}]
    - name: budgets
      effect: allow
      principals: [{type: role, value: approver}]
      resources: [{type: budget, pattern: "budget/*"}]
      actions: [budget.write]
    - name: reapers
      effect: allow
      principals: [{type: user, value: you}]
      resources: [{type: orphan, pattern: "orphan/*"}]
      actions: [orphan.read, orphan.reap]
    - name: approvers
      effect: allow
      principals: [{type: role, value: approver}, {type: role, value: may-decide}]
      resources: [{type: plan, pattern: "plan/*"}]
      actions: [approval.decide]
"#;

pub struct Env {
    sim: Arc<SimWorld>,
    drawn: AtomicU64,
    run: u64,
}

impl Environment for Env {
    fn now(&self) -> Timestamp {
        self.sim.now()
    }
    fn draw(&self) -> u128 {
        let count = self.drawn.fetch_add(1, Ordering::Relaxed);
        let hash = hpc_crypto::hashing::hash(format!("{}:{count}", self.run).as_bytes());
        u128::from_le_bytes(hash.as_bytes()[..16].try_into().unwrap())
    }
    fn wait(&self, seconds: u64) -> Later<'_, ()> {
        passes(&self.sim, seconds)
    }
}

/// Ends when so much time has passed in the simulated clouds.
pub fn passes(sim: &SimWorld, seconds: u64) -> Later<'_, ()> {
    let until = sim.now() + SignedDuration::from_secs(i64::try_from(seconds).unwrap());
    Box::pin(async move {
        while sim.now() < until {
            step_back(1).await;
        }
    })
}

pub struct World {
    pub sim: Arc<SimWorld>,
    pub ledger: Arc<MemoryLedger>,
    pub audit: Arc<MemoryAuditLog>,
    pub broker: Arc<Broker>,
    pub runs: u64,
}

pub fn start() -> Timestamp {
    "2026-11-01T00:00:00Z".parse().unwrap()
}

impl World {
    pub async fn new(script: Script) -> Self {
        open(SimConfig { script, ..SimConfig::new(7, start()) }).await
    }

    /// Forgets the process and starts another over the same ledger, log and clouds.
    pub async fn restart(&mut self) {
        self.ledger.faults().restart();
        self.runs += 1;
        self.broker = broker(&self.sim, &self.ledger, &self.audit, self.runs).await;
    }

    pub fn advance_s(&self, seconds: u64) {
        self.sim.advance(Duration::from_secs(seconds)).unwrap();
    }

    /// Reconciles until nothing is pending, as the daemon's loop does.
    pub async fn settle(&self) {
        for _ in 0..20 {
            let report = self.broker.reconcile().await.unwrap();
            if report.pending == 0
                && report.adopted == 0
                && report.closed == 0
                && report.ended == 0
                && report.reaped == 0
            {
                return;
            }
            self.advance_s(31);
        }
        panic!("did not settle: {:?}", self.broker.reconcile().await);
    }

    pub async fn apply(&self, request: ResourceRequest) -> Result<hpc_broker::Applied, hpc_error::HpcError> {
        let (plan, _) = self.broker.plan(&you(), request).await?;
        self.broker.apply(&you(), &plan.plan.id, &Silent).await
    }

    /// Instances = leases, every intent explained, ledger = bill, audit log whole.
    pub async fn check(&self) {
        let leases = self.broker.leases(None, 1_000).await.unwrap().items;
        let intents = self.broker.intents(None, 1_000).await.unwrap().items;
        let orphans = self.broker.orphans(None, 1_000).await.unwrap().items;
        let live = self.sim.live_instances();
        for instance in &live {
            let owner = intents
                .iter()
                .find(|intent| intent.instances.iter().any(|have| have.handle == instance.handle));
            let owner = owner.unwrap_or_else(|| panic!("orphan {instance:?}"));
            assert_eq!(owner.state, IntentState::Acknowledged, "{owner:?}");
            let lease = leases.iter().find(|lease| lease.id == owner.spec.lease).unwrap();
            assert!(lease.state.is_running(), "{lease:?}");
        }
        for lease in leases.iter().filter(|lease| lease.state.is_running()) {
            let of_lease = live
                .iter()
                .filter(|instance| instance.tags.get("hpc-lease") == Some(&lease.id.to_string()))
                .count();
            assert_eq!(u32::try_from(of_lease).unwrap(), lease.instances, "{lease:?}");
        }
        for lease in &leases {
            assert!(lease.state.is_final() || lease.state.is_running(), "{lease:?}");
        }
        for intent in &intents {
            assert!(intent.state.is_final() || intent.state == IntentState::Acknowledged, "{intent:?}");
        }
        let now = self.sim.now();
        let mut ours = Money::ZERO_USD;
        let instances =
            intents.iter().flat_map(|intent| &intent.instances).chain(orphans.iter().map(|o| &o.instance));
        for instance in instances {
            ours = ours.checked_add(instance.cost(now).unwrap()).unwrap();
        }
        let mut theirs = Money::ZERO_USD;
        for line in self.sim.bill() {
            theirs = theirs.checked_add(line.amount).unwrap();
        }
        assert_eq!(ours, theirs, "the ledger is the bill");
        // Every lease the ledger has is in the audit log.
        for lease in &leases {
            let search = hpc_audit::Search { subject: Some(lease.id.to_string()), ..Default::default() };
            assert!(!self.audit.search(&search).await.unwrap().hits.is_empty(), "{lease:?} left no trace");
        }
    }
}

/// A world over simulated clouds, with a budget for the team.
pub async fn open(clouds: SimConfig) -> World {
    let sim = Arc::new(SimWorld::open(clouds).unwrap());
    let ledger = Arc::new(MemoryLedger::new());
    let audit = Arc::new(MemoryAuditLog::new("test.log", KeyPair::from_seed([7; 32])).unwrap());
    let broker = broker(&sim, &ledger, &audit, 0).await;
    broker.set_budget(&TeamId::parse("ml").unwrap(), "100000 USD".parse().unwrap()).await.unwrap();
    World { sim, ledger, audit, broker, runs: 0 }
}

async fn broker(
    sim: &Arc<SimWorld>,
    ledger: &Arc<MemoryLedger>,
    audit: &Arc<MemoryAuditLog>,
    run: u64,
) -> Arc<Broker> {
    broker_over(sim.providers(), sim, ledger, audit, run).await
}

/// A broker over other providers, on the same clock.
pub async fn broker_over(
    providers: Vec<Arc<dyn CapacityProvider>>,
    sim: &Arc<SimWorld>,
    ledger: &Arc<MemoryLedger>,
    audit: &Arc<MemoryAuditLog>,
    run: u64,
) -> Arc<Broker> {
    let policies = PolicySet::parse_documents([("test.yaml", POLICY)]).unwrap();
    let env = Arc::new(Env { sim: sim.clone(), drawn: AtomicU64::new(0), run });
    let ledger: Arc<dyn Ledger> = ledger.clone();
    let audit: Arc<dyn AuditLog> = audit.clone();
    let broker = Broker::builder(ledger, audit, Arc::new(policies), env)
        .providers(providers)
        .callers(Arc::new(Directory))
        .settings(Settings { owner: "test".to_owned(), ..Settings::default() })
        .build()
        .await
        .unwrap();
    Arc::new(broker)
}

/// Who is behind a name, as a daemon knows it: here `you` and `bot` alone.
pub struct Directory;

impl Callers for Directory {
    fn caller(&self, name: &str) -> Option<Caller> {
        [you(), bot()].into_iter().find(|caller| caller.name == name)
    }
}

pub fn you() -> Caller {
    let principal = Principal::user("you").with_role("gpu-user").with_team("ml");
    Caller { name: "user:you".to_owned(), principal, team: TeamId::parse("ml").unwrap() }
}

/// An agent that acts for `you`.
pub fn bot() -> Caller {
    let principal = Principal::agent("bot").with_role("gpu-user").with_team("ml");
    let principal = principal.with_attribute(hpc_broker::ON_BEHALF_OF, "you");
    Caller { name: "agent:bot".to_owned(), principal, team: TeamId::parse("ml").unwrap() }
}

pub fn lead() -> Caller {
    let principal = Principal::user("lead").with_role("gpu-user").with_role("approver").with_team("ml");
    Caller { name: "user:lead".to_owned(), principal, team: TeamId::parse("ml").unwrap() }
}

pub fn eight_h100() -> ResourceRequest {
    ResourceRequest::new("job").add_gpu_nvidia_h100(8).with_duration_s(7_200).build().unwrap()
}
