//! A broker over the embedded ledger and audit log on disk, and simulated clouds in memory.

use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use hpc_audit_file::{Config, FileAuditLog};
use hpc_broker::{Broker, Caller, Environment, Settings, Silent};
use hpc_crypto::signing::KeyPair;
use hpc_ledger_redb::{Options, RedbLedger};
use hpc_policy::{PolicySet, Principal};
use hpc_provider_sim::{Script, SimConfig, SimWorld};
use hpc_resources::{LeaseId, PlanId, TeamId};
use jiff::Timestamp;

use crate::harness::Samples;
use crate::{Result, fixtures};

const POLICY: &str = r#"
apiVersion: policy.horizon.dev/v1
kind: Policy
metadata: {name: bench}
spec:
  rules:
    - name: users
      effect: allow
      principals: [{type: role, value: gpu-user}]
      resources: [{type: gpu, pattern: "gpu/*"}, {type: offer, pattern: "**"}]
      actions: [capacity.request, capacity.provision]
    - name: own
      effect: allow
      principals: [{type: any}]
      resources: [{type: lease, pattern: "lease/*"}]
      actions: [lease.read, lease.release, cost.read]
      conditions: [{attribute: resource.own, op: eq, value: true}]
"#;

struct Env {
    sim: Arc<SimWorld>,
    drawn: AtomicU64,
}

impl Environment for Env {
    fn now(&self) -> Timestamp {
        self.sim.now()
    }

    fn draw(&self) -> u128 {
        let count = self.drawn.fetch_add(1, Ordering::Relaxed);
        let hash = blake3::hash(&count.to_le_bytes());
        hash.as_bytes().first_chunk().map_or(0, |bytes| u128::from_le_bytes(*bytes))
    }
}

/// A composed broker and the clouds behind it.
pub struct World {
    /// The broker.
    pub broker: Arc<Broker>,
    /// The simulated clouds.
    pub sim: Arc<SimWorld>,
}

impl World {
    /// Composes one in `folder`; the clouds follow `script`.
    ///
    /// # Errors
    /// Whatever cannot be opened.
    pub async fn open(folder: &Path, script: Script) -> Result<Self> {
        let start = fixtures::start()?;
        let sim = Arc::new(SimWorld::open(SimConfig { script, ..SimConfig::new(7, start) })?);
        let ledger = RedbLedger::open(folder.join("ledger.redb"), Options::default())?;
        let keys = KeyPair::from_seed([7; 32]);
        let audit = FileAuditLog::open(&folder.join("audit"), keys, Config::new("bench.audit"))?;
        let policies = PolicySet::parse_documents([("bench.yaml", POLICY)])
            .map_err(|errors| errors.first().map_or_else(String::new, ToString::to_string))?;
        let env = Env { sim: Arc::clone(&sim), drawn: AtomicU64::new(0) };
        let broker = Broker::builder(Arc::new(ledger), Arc::new(audit), Arc::new(policies), Arc::new(env))
            .providers(sim.providers())
            .settings(Settings { owner: "bench".to_owned(), ..Settings::default() })
            .build()
            .await?;
        broker.set_budget(&TeamId::parse("ml")?, "1000000000 USD".parse()?).await?;
        Ok(Self { broker: Arc::new(broker), sim })
    }

    /// Makes `count` plans for eight H100, `at_once` at a time.
    ///
    /// # Errors
    /// The first failure.
    pub async fn plans(&self, count: usize, at_once: usize) -> Result<Vec<PlanId>> {
        let request = fixtures::eight_h100()?;
        let broker = Arc::clone(&self.broker);
        let (plans, ..) = each((0..count).collect(), at_once, move |_| {
            let (broker, request) = (Arc::clone(&broker), request.clone());
            async move { Ok(broker.plan(&you()?, request).await?.0.plan.id) }
        })
        .await?;
        Ok(plans)
    }

    /// Applies the plans, `at_once` at a time: the leases, how long each took, and how long all took.
    ///
    /// # Errors
    /// The first failure.
    pub async fn apply(
        &self,
        plans: Vec<PlanId>,
        at_once: usize,
    ) -> Result<(Vec<LeaseId>, Samples, Duration)> {
        let broker = Arc::clone(&self.broker);
        each(plans, at_once, move |plan| {
            let broker = Arc::clone(&broker);
            async move { Ok(broker.apply(&you()?, &plan, &Silent).await?.lease.id) }
        })
        .await
    }

    /// Releases the leases.
    ///
    /// # Errors
    /// The first failure.
    pub async fn release(&self, leases: Vec<LeaseId>, at_once: usize) -> Result<()> {
        let broker = Arc::clone(&self.broker);
        each(leases, at_once, move |lease| {
            let broker = Arc::clone(&broker);
            async move { Ok(broker.release(&you()?, &lease).await?.repeated) }
        })
        .await?;
        Ok(())
    }
}

/// The one who asks.
///
/// # Errors
/// Never: the names are valid.
pub fn you() -> Result<Caller> {
    let principal = Principal::user("you").with_role("gpu-user").with_team("ml");
    Ok(Caller { name: "user:you".to_owned(), principal, team: TeamId::parse("ml")? })
}

/// Runs `work` for every item, `at_once` at a time: the answers in any order, how long each took, and how long all took.
///
/// # Errors
/// The first failure.
pub async fn each<I, T, F>(
    items: Vec<I>,
    at_once: usize,
    work: impl Fn(I) -> F + Send + Sync + 'static,
) -> Result<(Vec<T>, Samples, Duration)>
where
    I: Send + 'static,
    T: Send + 'static,
    F: Future<Output = Result<T>> + Send,
{
    let shared = Arc::new((Mutex::new(items.into_iter()), work));
    let start = Instant::now();
    let tasks: Vec<_> = (0..at_once.max(1))
        .map(|_| {
            let shared = Arc::clone(&shared);
            tokio::spawn(async move {
                let (items, work) = &*shared;
                let next = || items.lock().unwrap_or_else(PoisonError::into_inner).next();
                let (mut answers, mut samples) = (Vec::new(), Samples::default());
                while let Some(item) = next() {
                    let begun = Instant::now();
                    answers.push(work(item).await?);
                    samples.push(begun.elapsed());
                }
                Result::Ok((answers, samples))
            })
        })
        .collect();
    let (mut answers, mut samples) = (Vec::new(), Samples::default());
    for task in tasks {
        let (more, took) = task.await??;
        answers.extend(more);
        samples.extend(took);
    }
    Ok((answers, samples, start.elapsed()))
}

/// Gives `work` one item every `every`, at most `at_once` at a time, and measures each from the moment it was due: a
/// slow answer makes the ones behind it late as well. `make` makes the items of 0 to `count`, each before it is due.
///
/// A thread of its own keeps the time: a timer of the runtime would be late by up to a millisecond.
///
/// # Errors
/// The first failure.
pub async fn paced<I, T, F>(
    count: usize,
    at_once: usize,
    every: Duration,
    make: impl Fn(usize) -> Result<I> + Send + Sync + 'static,
    work: impl Fn(I) -> F + Send + Sync + 'static,
) -> Result<(Vec<T>, Samples, Duration)>
where
    I: Send + 'static,
    T: Send + 'static,
    F: Future<Output = Result<T>> + Send,
{
    let runtime = tokio::runtime::Handle::current();
    let (work, room) = (Arc::new(work), Arc::new(tokio::sync::Semaphore::new(at_once)));
    let start = Instant::now();
    let pacer = std::thread::spawn(move || {
        let mut calls = Vec::with_capacity(count);
        for (number, place) in (0..count).zip(0_u32..) {
            let item = make(number)?;
            let due = start + every * place;
            #[expect(clippy::disallowed_methods, reason = "what is waited for is that time passes")]
            std::thread::sleep(due.saturating_duration_since(Instant::now()));
            let (work, room) = (Arc::clone(&work), Arc::clone(&room));
            calls.push(runtime.spawn(async move {
                let _room = room.acquire().await?;
                Result::Ok((work(item).await?, due.elapsed()))
            }));
        }
        Result::Ok(calls)
    });
    let calls = tokio::task::spawn_blocking(|| pacer.join()).await?.map_err(|_| "the pacer panicked")??;
    let (mut answers, mut samples) = (Vec::with_capacity(count), Samples::default());
    for call in calls {
        let (answer, took) = call.await??;
        answers.push(answer);
        samples.push(took);
    }
    Ok((answers, samples, start.elapsed()))
}
