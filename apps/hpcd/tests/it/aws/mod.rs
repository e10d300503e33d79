//! EC2 through the whole daemon: `HPC_TEST_EC2` names a server on this machine (moto), `HPC_TEST_EC2_FAULTS` a proxy before
//! it (microburst) that loses answers after the commit. `tests/counterparts/moto.sh` starts both.
//!
//! The server launches again on the same client token, so "one instance" is proven of our own looking, not of the token.

mod moto;

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use hpc_auth::join::JoinToken;
use hpc_broker::{LeaseRecord, LeaseState, Silent};
use hpc_error::HpcError;
use hpc_provider::{TAG_INTENT, TAG_LEASE, TAG_OWNER};
use hpc_resources::{OfferKind, RequestDocument};
use hpcd::clock::wall_now;
use hpcd::context::Contexts;
use hpcd::daemon::{Daemon, Listen};
use hpcd::world::{World, WorldOptions};
use serde_json::json;

use crate::{options, person};
use moto::{Eye, Faults, Seen, named};

/// An access key as AWS's own tool prints it.
const KEY: &[u8] = br#"{"Version":1,"AccessKeyId":"AKIDEXAMPLE","SecretAccessKey":"hunter2hunter2"}"#;
/// An image that the server ships with.
const IMAGE: &str = "ami-12c6146b";

/// SkyPilot's columns: a row for each zone, by the name that one account gives it.
const PRICES: &str = "InstanceType,vCPUs,MemoryGiB,AcceleratorName,AcceleratorCount,GpuInfo,Price,SpotPrice,Region,AvailabilityZone\n\
    p5.48xlarge,192,2048,H100,8,\"{'Gpus': [{'MemoryInfo': {'SizeInMiB': 81920}}]}\",55.04,20.1,us-east-1,us-east-1a\n\
    p5.48xlarge,192,2048,H100,8,\"{'Gpus': [{'MemoryInfo': {'SizeInMiB': 81920}}]}\",55.04,19.7,us-east-1,us-east-1b\n";

/// A data directory whose only provider is EC2 at one address.
struct Place {
    folder: tempfile::TempDir,
    eye: Eye,
}

impl Place {
    /// `through` is where the daemon asks, `server` where the truth is.
    async fn new(through: SocketAddr, server: SocketAddr) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let providers = json!({ "providers": [{ "aws": {
            "id": "aws",
            "instance_types": ["p5.48xlarge"],
            "regions": [{ "region": "us-east-1", "image": IMAGE }],
            "secret": "aws/renting",
            "prices": { "catalog": { "file": "prices.csv", "max_age_hours": 24 } },
            "agent": { "daemon": "https://hpcd.internal:7801" },
            "endpoint": format!("http://{through}"),
            "consistency_ms": 1000,
        } }] });
        std::fs::write(folder.path().join("prices.csv"), PRICES).unwrap();
        std::fs::write(folder.path().join("providers.json"), providers.to_string()).unwrap();
        hpcd::secrets::put(
            &folder.path().join("data"),
            hpcd::secrets::Directory::Created,
            "aws/renting",
            KEY,
        )
        .await
        .unwrap();
        let eye = Eye(server);
        // The server reads all of its types at the first question, which takes longer than a daemon waits.
        eye.ask(&[("Action", "DescribeInstanceTypes"), ("InstanceType.1", "p5.48xlarge")]).await;
        Self { folder, eye }
    }

    fn data(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    /// Its time passes when it is told to, and begins now: the server's clock is this machine's.
    async fn open(&self) -> Arc<World> {
        let providers = Some(self.folder.path().join("providers.json"));
        let options =
            WorldOptions { seed: None, providers, start: wall_now(), ..options(Some(&self.data())) };
        World::open(options).await.unwrap()
    }

    /// Every instance that the lease ever had.
    async fn of_lease(&self, lease: &str) -> Vec<Seen> {
        self.eye.tagged(TAG_LEASE, lease).await
    }
}

/// Runs `hpc` with its own runtime, away from this one.
async fn hpc(home: &Path, args: &[&str]) -> String {
    let (home, args) = (home.to_owned(), args.iter().map(|arg| (*arg).to_owned()).collect::<Vec<_>>());
    let shown = args.join(" ");
    let (code, out, err) = tokio::task::spawn_blocking(move || {
        let (mut out, mut err) = (Vec::new(), Vec::new());
        let io = hpc::Io { out: &mut out, err: &mut err, input: None };
        let around = hpc::Surroundings { home: Ok(home), now: hpc::now };
        let code = hpc::run(std::iter::once("hpc".to_owned()).chain(args), &around, io);
        (code, String::from_utf8(out).unwrap(), String::from_utf8(err).unwrap())
    })
    .await
    .unwrap();
    assert_eq!(code, 0, "hpc {shown}: {out} {err}");
    out
}

/// The first id of this kind in a text.
fn id<'a>(text: &'a str, prefix: &str) -> &'a str {
    let found = &text[text.find(prefix).unwrap_or_else(|| panic!("no {prefix} in {text}"))..];
    found.split(|c: char| !c.is_ascii_alphanumeric() && c != '_').next().unwrap()
}

/// A lease of eight H100 of this kind.
async fn rent(world: &World, kind: OfferKind) -> Result<LeaseRecord, HpcError> {
    let you = person(world, "you");
    let document = RequestDocument { kinds: vec![kind], ..hpcd::demo::built_in_request() };
    let (plan, _) = world.broker.plan(&you, document.into_request().unwrap()).await?;
    assert!(!plan.plan.simulated && !plan.plan.attempts.is_empty(), "{plan:#?}");
    let priced: Vec<&str> = plan.price_sources.iter().map(|priced| priced.source.name.as_str()).collect();
    assert_eq!(priced, ["prices.csv"], "the plan says where its prices come from");
    Ok(world.broker.apply(&you, &plan.plan.id, &Silent).await?.lease)
}

/// Releases, and reconciles as the daemon's loop does, until the lease has ended.
async fn release(world: &World, lease: &LeaseRecord) {
    world.broker.release(&person(world, "you"), &lease.id).await.unwrap();
    for _ in 0..5 {
        if world.broker.lease_by_id(&lease.id).await.unwrap().state.is_final() {
            return;
        }
        world.pass(Duration::from_secs(60)).unwrap();
        world.reconcile().await.unwrap();
    }
    panic!("{:#?}", world.broker.lease_by_id(&lease.id).await);
}

/// Has the log of a daemon that has ended checked from its first byte.
async fn verified(place: &Place) {
    let audit = place.data().join("audit").display().to_string();
    let out = hpc(place.folder.path(), &["audit", "verify", &audit]).await;
    assert!(out.contains("every byte checked"), "{out}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_request_goes_the_whole_way_and_leaves_nothing() {
    let Some(server) = named("HPC_TEST_EC2") else { return };
    let place = Place::new(server, server).await;
    let daemon = Daemon::start(place.open().await, Listen::free()).await.unwrap();
    let (world, home) = (Arc::clone(&daemon.world), place.folder.path().join("home"));
    let contexts = Contexts::write(&daemon, &home).unwrap();
    assert!(!world.info("you").simulated);

    let plan = ["request", "plan", "--gpu", "h100:8", "--on-demand", "--for", "2h", "--max-hourly", "60"];
    let plan = hpc(&home, &[&plan[..], &["-o", "json"]].concat()).await;
    let owner = world.broker.settings().owner.clone();
    assert!(place.eye.tagged(TAG_OWNER, &owner).await.is_empty(), "a plan creates nothing");
    let applied = hpc(&home, &["request", "apply", id(&plan, "pln_"), "--yes", "-o", "json"]).await;
    let lease = id(&applied, "lse_").to_owned();
    assert!(hpc(&home, &["lease", "list"]).await.contains(&lease));

    let seen = place.of_lease(&lease).await;
    let [instance] = seen.as_slice() else { panic!("{seen:?}") };
    let held = world.broker.leases(None, 10).await.unwrap().items.remove(0);
    assert_eq!((instance.state.as_str(), instance.spot, instance.token.len()), ("running", false, 64));
    let intent = held.intents[0].to_string();
    let tags = [(TAG_OWNER, &owner), (TAG_INTENT, &intent), (TAG_LEASE, &lease)];
    for (key, value) in tags {
        assert_eq!(instance.tags.get(key), Some(value), "{instance:?}");
    }

    // What the first boot would run: the agent, for this lease, with a token that is good once.
    let script = place.eye.user_data(&instance.id).await;
    assert!(script.contains(&format!("--daemon 'https://hpcd.internal:7801' --lease '{lease}'")));
    let token = JoinToken::parse(moto::between(&script, "token='", "'")).unwrap();
    let joined = hpc_agent::join(&daemon.endpoint(), &token).await.unwrap();
    assert!(joined.id.to_string().ends_with(&format!("/node-{}", lease.replace('_', "-"))));
    assert!(hpc_agent::join(&daemon.endpoint(), &token).await.is_err(), "good once");

    // Another installation in the same account, of the same seed, finds nothing of its own: it ends nothing.
    let other = Place::new(server, server).await;
    let stranger = other.open().await;
    assert_eq!(stranger.data.seed(), world.data.seed());
    stranger.pass(Duration::from_mins(30)).unwrap();
    let round = stranger.reconcile().await.unwrap();
    assert_eq!((round.reaped, round.problems.as_slice()), (0, &[][..]));
    assert!(stranger.broker.orphans(None, 10).await.unwrap().items.is_empty());
    assert_eq!(place.of_lease(&lease).await[0].state, "running");

    hpc(&home, &["lease", "release", &lease]).await;
    release(&world, &held).await;
    let ended = world.broker.lease_by_id(&held.id).await.unwrap();
    assert_eq!(ended.state, LeaseState::Released);
    assert!(ended.cost.is_some());
    let left = place.eye.tagged(TAG_OWNER, &owner).await;
    assert!(left.len() == 1 && left[0].state == "terminated", "{left:?}");
    assert!(hpc_agent::join(&daemon.endpoint(), &token).await.is_err());
    drop(contexts);
    daemon.stop().await.unwrap();
    drop(world);
    verified(&place).await;
}

/// One test, because the proxy's rules are shared by whoever talks through it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn lost_answers_and_stock_outs_leave_one_instance_or_none() {
    let (Some(server), Some(proxy)) = (named("HPC_TEST_EC2"), named("HPC_TEST_EC2_FAULTS")) else { return };
    let faults = Faults(proxy);
    faults.none().await;
    let place = Place::new(proxy, server).await;
    let world = place.open().await;
    let owner = world.broker.settings().owner.clone();
    let on = |operation: &str, times: u32, what: (&str, serde_json::Value)| json!({ "service": "ec2", "operation": operation, "times": times, what.0: what.1 });

    // Created, and the answer lost: the repetition finds it by its intent, and creates no second one.
    for kind in [OfferKind::OnDemand, OfferKind::Spot] {
        let before = faults.fired("RunInstances").await;
        faults.only(on("RunInstances", 1, ("response", json!({ "abort_frac": 0.3 })))).await;
        let lease = rent(&world, kind).await.unwrap();
        assert_eq!(faults.fired("RunInstances").await, before + 1, "a fault that did not fire tests nothing");
        assert_eq!((lease.state, lease.failures.as_slice()), (LeaseState::Active, &[][..]));
        let seen = place.of_lease(lease.id.as_str()).await;
        assert!(seen.len() == 1 && seen[0].state == "running", "{seen:?}");
        assert_eq!(seen[0].spot, kind == OfferKind::Spot);
        release(&world, &lease).await;
        let seen = place.of_lease(lease.id.as_str()).await;
        assert!(seen.len() == 1 && seen[0].state == "terminated", "{seen:?}");
    }

    // No stock in the first zone: the next one, and nothing in the first.
    let before = faults.fired("RunInstances").await;
    let ice = json!({ "code": "InsufficientInstanceCapacity", "status": 500 });
    faults.only(on("RunInstances", 1, ("error", ice))).await;
    let lease = rent(&world, OfferKind::OnDemand).await.unwrap();
    assert_eq!(faults.fired("RunInstances").await, before + 1);
    let [failure] = lease.failures.as_slice() else { panic!("{:?}", lease.failures) };
    assert!(failure.contains("InsufficientInstanceCapacity"), "{failure}");
    assert_eq!(lease.intents.len(), 2);
    let seen = place.of_lease(lease.id.as_str()).await;
    assert!(seen.len() == 1 && seen[0].state == "running", "{seen:?}");
    assert_eq!(seen[0].tags[TAG_INTENT], lease.intents[1].as_str());
    release(&world, &lease).await;

    // Created, the answer lost, and no look succeeds any more: the apply gives up, and the next start ends what there is.
    let you = person(&world, "you");
    let document = RequestDocument { kinds: vec![OfferKind::OnDemand], ..hpcd::demo::built_in_request() };
    let (plan, _) = world.broker.plan(&you, document.into_request().unwrap()).await.unwrap();
    let broken = json!({ "code": "InternalError", "status": 500 });
    faults
        .only_these(json!([
            on("DescribeInstances", 1, ("latency", json!(1))),
            on("DescribeInstances", 1_000, ("error", broken)),
            on("RunInstances", 1, ("response", json!({ "abort_frac": 0.3 }))),
        ]))
        .await;
    let error = world.broker.apply(&you, &plan.plan.id, &Silent).await.unwrap_err();
    assert_eq!(error.code_text(), Some("HPC-CAP-0001"), "{error}");
    let lease = world.broker.open_leases().await.unwrap().remove(0);
    let seen = place.of_lease(lease.id.as_str()).await;
    assert!(seen.len() == 1 && seen[0].state == "running", "{seen:?}");
    world.audit.close().await.unwrap();
    drop(world);
    faults.none().await;
    let world = place.open().await;
    release(&world, &lease).await;
    let seen = place.of_lease(lease.id.as_str()).await;
    assert!(seen.len() == 1 && seen[0].state == "terminated", "{seen:?}");
    let left = place.eye.tagged(TAG_OWNER, &owner).await;
    assert!(left.iter().all(|instance| instance.state == "terminated"), "{left:?}");
    world.audit.close().await.unwrap();
    drop(world);
    verified(&place).await;
}
