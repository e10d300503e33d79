//! What happens in a demo, step by step. Every step uses the same parts as the serving daemon.

use std::sync::Arc;
use std::time::Duration;

use hpc_agent::{Collector, SimulatedGpus, Stream};
use hpc_audit::{Search, Selection, export, verify_bundle};
use hpc_auth::join::NodeName;
use hpc_broker::{Applied, Caller, LeaseRecord, PlanRecord, PlanState, Progress};
use hpc_error::codes::ErrorCode;
use hpc_error::{HpcError, codes};
use hpc_resources::{Money, Payer, RequestDocument, ResourceRequest};
use hpc_rpc::grpc::GrpcClientBuilder;
use hpc_rpc::grpc::control::v1::system_service_client::SystemServiceClient;
use hpc_timeseries::{QueryBuilder, TimeRange};
use hpc_types::control::v1::InfoRequest;

use crate::clock::{Pace, wall_now};
use crate::daemon::{Daemon, Listen};
use crate::demo::show::{AuditTold, CostTold, Told, Voice};
use crate::demo::{DemoOptions, built_in_request, start};
use crate::people::{self, PEOPLE};
use crate::world::{World, WorldOptions};

/// Batches of telemetry that the demo waits for.
const BATCHES: u32 = 4;
/// Time between two batches.
const BETWEEN_BATCHES: Duration = Duration::from_millis(150);
/// How much virtual time passes while the lease is held: longer than the reclaimed instance of one story lives.
const HELD: Duration = Duration::from_secs(660);
/// Life of the node's invitation.
const INVITATION: Duration = Duration::from_secs(300);

/// How a demo ended.
#[derive(Debug)]
pub enum Ending {
    /// The whole journey, and the audit log verified.
    Whole,
    /// A well-explained no; the audit log verified.
    Refused(&'static ErrorCode),
}

/// Tells the story.
///
/// # Errors
/// Anything that kept the story from being told; a denied request is an [`Ending`], not an error.
pub async fn run(options: DemoOptions, voice: &Voice) -> Result<Ending, HpcError> {
    let request = request(&options)?;
    let world = World::open(WorldOptions {
        data: options.data.clone(),
        seed: options.seed,
        policies: options.policies.clone(),
        policy_key: options.policy_key.clone(),
        catalog: options.catalog.clone(),
        providers: None,
        story: options.story.clone(),
        pace: Pace::Told,
        start: start()?,
    })
    .await?;
    voice.tell(&Told::Opening {
        version: env!("CARGO_PKG_VERSION"),
        seed: world.data.seed(),
        run: world.data.run(),
        story: &options.story,
        catalog: &world.catalog,
        now: world.now(),
    });
    let daemon = Daemon::start(Arc::clone(&world), Listen::free()).await?;
    let outcome = journey(&daemon, request, voice).await;
    let told = audit(daemon, voice, outcome.as_ref().ok().and_then(|(lease, _)| lease.as_ref())).await;
    let (_, ending) = outcome?;
    told?;
    Ok(ending)
}

fn request(options: &DemoOptions) -> Result<ResourceRequest, HpcError> {
    let document: RequestDocument = match &options.request {
        Some(path) => hpc_config::read_document(path)?,
        None => built_in_request(),
    };
    document.into_request().map_err(|error| {
        let place =
            options.request.as_ref().map(|path| format!("`{}`: ", path.display())).unwrap_or_default();
        HpcError::coded(&codes::USG_OUT_OF_RANGE, format!("{place}{error}"))
    })
}

async fn journey(
    daemon: &Daemon,
    request: ResourceRequest,
    voice: &Voice,
) -> Result<(Option<LeaseRecord>, Ending), HpcError> {
    let world = &daemon.world;
    let you = identity(daemon, voice).await?;
    voice.tell(&Told::Request { request: &request });
    let before = std::time::Instant::now();
    let (plan, _) = world.broker.plan(&you, request).await?;
    voice.tell(&Told::Policy { decision: &plan.decision });
    voice.tell(&Told::Quotes { plan: &plan, took: before.elapsed() });
    match &plan.state {
        PlanState::Open => {}
        PlanState::AwaitingApproval { by } => {
            approve(world, &plan, by, voice).await?;
        }
        PlanState::NoOffer => return Ok((None, Ending::Refused(&codes::CAP_ALL_EXCLUDED))),
        _ => return Ok((None, Ending::Refused(&codes::POL_DENIED))),
    }
    let sink = |progress: Progress| voice.tell(&Told::Provision { progress: &progress });
    let applied: Applied = world.broker.apply(&you, &plan.plan.id, &sink).await?;
    voice.tell(&Told::Lease { lease: &applied.lease });
    telemetry(daemon, &you, &applied.lease, voice).await?;
    let lease = cost(world, &you, &applied.lease, voice).await?;
    Ok((Some(lease), Ending::Whole))
}

/// The lead of the development world approves what policy wants approved.
async fn approve(world: &World, plan: &PlanRecord, by: &str, voice: &Voice) -> Result<(), HpcError> {
    let [_, lead] = PEOPLE;
    let lead = people::caller(&lead.spiffe_id(world.identity.trust_domain())?)?;
    world.broker.approve(&lead, &plan.plan.id, &plan.hash, true, "approved in the demo").await?;
    voice.tell(&Told::Approval { by, who: &lead.name, hash: &plan.hash });
    Ok(())
}

/// Shows who asks: a certificate, and what the daemon makes of it at the other end of mutual TLS.
async fn identity(daemon: &Daemon, voice: &Voice) -> Result<Caller, HpcError> {
    let identity = &daemon.world.identity;
    let [you, _] = PEOPLE;
    let id = you.spiffe_id(identity.trust_domain())?;
    let channel = GrpcClientBuilder::new(daemon.endpoint())
        .with_server_ca(identity.bundle())
        .with_server_id(identity.server_id().clone())
        .with_client_cert(identity.issue(&id, wall_now())?)
        .connect()
        .await
        .map_err(|error| HpcError::coded(&codes::NET_TLS, format!("mutual TLS failed: {error}")))?;
    let info =
        SystemServiceClient::new(channel).info(InfoRequest {}).await.map_err(HpcError::from)?.into_inner();
    let info: serde_json::Value = serde_json::from_slice(&info.json)
        .map_err(|error| HpcError::coded(&codes::INT_BUG, error.to_string()))?;
    let seen = info.get("you").and_then(serde_json::Value::as_str).unwrap_or_default().to_owned();
    voice.tell(&Told::Identity {
        you: &seen,
        team: you.team,
        roles: you.roles,
        endpoint: &daemon.endpoint(),
    });
    people::caller(&id)
}

/// A node joins with a one-time token and streams over QUIC; the daemon answers from its store.
async fn telemetry(
    daemon: &Daemon,
    you: &Caller,
    lease: &LeaseRecord,
    voice: &Voice,
) -> Result<(), HpcError> {
    let world = &daemon.world;
    let name = NodeName::parse(&format!("node-{}", &lease.id.as_str().replace('_', "-")))
        .map_err(|error| HpcError::coded(&codes::INT_BUG, error.to_string()))?;
    let token = world.nodes.invite(&you.name, name.clone(), INVITATION).await?.token;
    let joined = hpc_agent::join(&daemon.endpoint(), &token).await?;
    let gpus = usize::try_from(lease.accelerators()).unwrap_or(0);
    let mut collector = Collector::new(name.as_str())
        .with_devices(SimulatedGpus::new(world.data.seed(), gpus))
        .with_lease(lease.id.as_str());
    let mut stream = Stream::open(&joined).await?;
    let (begun, mut first) = (std::time::Instant::now(), None);
    let (mut accepted, mut rejected) = (0, 0);
    let mut ticks = tokio::time::interval(BETWEEN_BATCHES);
    for _ in 0..BATCHES {
        ticks.tick().await;
        let ack = stream.send(&collector.collect(wall_now())).await?;
        first.get_or_insert_with(|| begun.elapsed());
        accepted += ack.accepted_count;
        rejected += ack.rejected_count;
    }
    stream.close().await;
    let stored = |measurement: &str| {
        let query = QueryBuilder::new(measurement)
            .filter("node", name.as_str())
            .range(TimeRange::last_hour())
            .build();
        let store = Arc::clone(&world.telemetry);
        async move {
            store.latest(query).await.map_err(|error| HpcError::coded(&codes::INT_STORE, error.to_string()))
        }
    };
    let (gpu, host) = (stored(hpc_agent::GPU).await?, stored(hpc_agent::HOST).await?);
    let who = joined.id.to_string();
    voice.tell(&Told::Telemetry {
        who: &who,
        batches: BATCHES,
        accepted,
        rejected,
        first,
        gpu: &gpu,
        host: &host,
    });
    Ok(())
}

/// Time passes, the lease is released, and the cost is settled against what the simulated cloud charges.
async fn cost(
    world: &World,
    you: &Caller,
    lease: &LeaseRecord,
    voice: &Voice,
) -> Result<LeaseRecord, HpcError> {
    world.pass(HELD)?;
    let running = world.broker.cost(you, &lease.id).await?;
    // What the daemon's loop does every two seconds: by now the provider may have taken the instances back.
    let looked = world.reconcile().await?;
    let released = world.broker.release(you, &lease.id).await?.lease;
    let mut billed = Money::from_nanos(0, lease.hold.currency());
    for line in world.sim.bill() {
        if line.tags.get(hpc_provider::TAG_LEASE).is_some_and(|tag| tag == lease.id.as_str()) {
            billed = billed
                .checked_add(line.amount)
                .map_err(|error| HpcError::coded(&codes::USG_BAD_AMOUNT, error.to_string()))?;
        }
    }
    let budget = world.broker.budgets_of(&Payer::team(&lease.team)).into_iter().next();
    voice.tell(&Told::Cost(CostTold {
        running: &running,
        interruptions: looked.interruptions,
        lease: &released,
        billed,
        budget: budget.as_ref(),
    }));
    if released.cost != Some(billed) {
        let message = format!("the ledger says {:?}, the simulated cloud bills {billed}", released.cost);
        return Err(HpcError::coded(&codes::INT_BUG, message));
    }
    Ok(released)
}

/// Takes a proof away, closes the log, and checks every byte of it.
async fn audit(daemon: Daemon, voice: &Voice, lease: Option<&LeaseRecord>) -> Result<(), HpcError> {
    let failed = |error: String| HpcError::coded(&codes::AUD_VERIFICATION_FAILED, error);
    let world = Arc::clone(&daemon.world);
    let subject = lease.map(|lease| lease.id.to_string());
    let search = Search { subject, limit: hpc_audit::SEARCH_LIMIT_MAX, ..Search::default() };
    let page = hpc_audit::AuditLog::search(world.audit.as_ref(), &search)
        .await
        .map_err(|e| failed(e.to_string()))?;
    let indices: Vec<u64> = page.hits.iter().map(|hit| hit.index).collect();
    let bundle =
        export(world.audit.as_ref(), Selection::Indices(indices)).await.map_err(|e| failed(e.to_string()))?;
    let key = hpc_audit::AuditLog::verifier_key(world.audit.as_ref());
    let proven = verify_bundle(&bundle, Some(&key)).map_err(|error| failed(error.to_string()))?;
    daemon.stop().await?;
    let folder = world.data.at("audit");
    let report =
        hpc_audit_file::verify_dir(&folder, Some(&key.to_string())).map_err(|e| failed(e.to_string()))?;
    voice.tell(&Told::Audit(AuditTold {
        entries: report.entries,
        proven: proven.entries,
        key: &key.to_string(),
        folder: (!world.data.is_temporary()).then_some(folder.as_path()),
        trail: &page.hits,
    }));
    Ok(())
}
