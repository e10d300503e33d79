//! The contract of the port, on a real cluster. `HPC_TEST_SLURM` names its `slurm.conf`; it has eight GPUs of type h100 and
//! the partitions `gpu`, `short` (ten minutes) and `off` (down), and is used by nobody else.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use hpc_conformance::provider::{Rig, Trouble};
use hpc_provider::{CapacityProvider, Certainty, ErrorKind, InterruptionKind, Observe, Released};
use hpc_provider_slurm::{Call, Commands, Output, Program, SlurmProvider, SystemCommands};
use hpc_resources::ResourceRequest;
use jiff::Timestamp;
use tokio::sync::{Mutex, MutexGuard};

use crate::rig::{Fault, Faulty, cluster, one_h100, provider_id};

/// The cluster is one, and each case wants it empty.
static TURN: Mutex<()> = Mutex::const_new(());
/// Each case is a provider of its own, so that jobs of earlier cases are not its jobs.
static CASES: AtomicU64 = AtomicU64::new(0);
/// How long the cluster may take for what it does on its own.
const PATIENCE: Duration = Duration::from_secs(40);

struct RealRig {
    commands: Arc<Faulty>,
    provider: Arc<SlurmProvider>,
    /// What the suite is told of the time: it stands still within one step.
    now: std::sync::Mutex<Timestamp>,
    _turn: MutexGuard<'static, ()>,
}

#[expect(clippy::disallowed_methods, reason = "a real cluster has the real time")]
fn wall_now() -> Timestamp {
    Timestamp::now()
}

async fn rig() -> Option<RealRig> {
    let Some(configuration) = std::env::var_os("HPC_TEST_SLURM").map(PathBuf::from) else {
        eprintln!("skipped: HPC_TEST_SLURM is not set");
        return None;
    };
    let turn = TURN.lock().await;
    let commands = Faulty::new(Arc::new(SystemCommands::new("/usr/bin", Some(configuration))));
    let case = CASES.fetch_add(1, Ordering::Relaxed);
    let id = provider_id(&format!("hall-{}-{case}", std::process::id()));
    let provider = SlurmProvider::new(id, cluster(5), commands.clone(), Arc::new(wall_now));
    let rig = RealRig { commands, provider: Arc::new(provider), now: wall_now().into(), _turn: turn };
    rig.say(Program::Scancel, &["--me"]).await;
    rig.quiet(|states| states.is_empty()).await;
    rig.idle().await;
    Some(rig)
}

impl RealRig {
    async fn say(&self, program: Program, arguments: &[&str]) -> String {
        self.say_with(program, arguments, "").await
    }

    async fn say_with(&self, program: Program, arguments: &[&str], input: &str) -> String {
        let arguments = arguments.iter().map(ToString::to_string).collect();
        let Output { status, stdout, stderr } =
            self.commands.run(&Call { program, arguments, input: input.to_owned() }).await.unwrap();
        assert_eq!(status, 0, "{stderr}");
        stdout
    }

    /// Waits until the states of all live jobs are as they should be.
    async fn quiet(&self, good: impl Fn(&[&str]) -> bool) {
        let begun = std::time::Instant::now();
        loop {
            let states = self.say(Program::Squeue, &["--noheader", "--me", "--format=%T"]).await;
            if good(&states.lines().collect::<Vec<_>>()) {
                return;
            }
            assert!(begun.elapsed() < PATIENCE, "{states}");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }
}

impl RealRig {
    /// Waits until the node takes jobs: one that failed comes back after a while.
    async fn idle(&self) {
        let begun = std::time::Instant::now();
        let arguments = ["--noheader", "--Node", "--partition=gpu", "--format=%t"];
        while self.say(Program::Sinfo, &arguments).await.trim() != "idle" {
            assert!(begun.elapsed() < PATIENCE, "the node does not come back");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }
}

#[async_trait]
impl Rig for RealRig {
    fn provider(&self) -> Arc<dyn CapacityProvider> {
        self.provider.clone()
    }
    fn now(&self) -> Timestamp {
        *self.now.lock().unwrap()
    }
    /// Time passes by itself; what was being ended has ended afterwards.
    async fn pass(&self, by: Duration) {
        if by > Duration::from_secs(60) {
            self.quiet(|states| !states.contains(&"COMPLETING")).await;
        }
        *self.now.lock().unwrap() = wall_now();
    }
    fn request(&self) -> ResourceRequest {
        one_h100()
    }
    fn instances_max(&self) -> u32 {
        8
    }
    async fn bring(&self, trouble: Trouble) -> bool {
        match trouble {
            // Somebody else takes all that is left.
            Trouble::NoStock(_) => {
                let used =
                    self.say(Program::Sinfo, &["--noheader", "--Format=GresUsed:|", "--partition=gpu"]).await;
                let used: u32 = used.trim().split([':', '(']).nth(2).unwrap().parse().unwrap();
                let gpus = format!("--gpus={}", 8 - used);
                let arguments = ["--job-name=theirs", gpus.as_str(), "--output=/dev/null", "--chdir=/"];
                self.say_with(Program::Sbatch, &arguments, "#!/bin/sh\nexec sleep infinity\n").await;
                self.quiet(|states| !states.contains(&"PENDING")).await;
            }
            Trouble::LoseNextCreate => self.commands.next(Program::Sbatch, Fault::LostBefore),
            Trouble::LoseNextAnswer => self.commands.next(Program::Sbatch, Fault::LostAfter),
            // No accounting on this cluster, and a time limit is no shorter than a minute.
            Trouble::NoQuota(_) | Trouble::Reclaim(_) => return false,
        }
        true
    }
}

hpc_conformance::capacity_provider!(rig());

/// A failed node takes all jobs on it, without a notice.
#[tokio::test]
async fn a_failed_node_is_an_interruption() {
    let Some(rig) = rig().await else { return };
    let provider = rig.provider.clone();
    let request = crate::rig::quote(one_h100(), wall_now());
    let offer = provider.get_quote(&request).await.unwrap().offers.remove(0);
    let handles = provider.provision(&crate::rig::spec(&offer, 1, 2, wall_now())).await.unwrap().handles;
    // Of two the owner gives one back; the job goes on.
    assert_eq!(provider.release(&handles[0]).await.unwrap(), Released::InProgress);
    let cursor = provider.interruptions(None).await.unwrap().cursor;
    let node = rig.say(Program::Sinfo, &["--noheader", "--Node", "--format=%N"]).await;
    let node = format!("NodeName={}", node.lines().next().unwrap());
    rig.say(Program::Scontrol, &["update", &node, "State=down", "Reason=test"]).await;
    let page = provider.interruptions(Some(cursor)).await.unwrap();
    let states = provider.observe(&Observe::Handles(handles.clone())).await.unwrap();
    // It may have come back by itself (`ReturnToService`), and is then not resumed.
    let arguments = ["update", &node, "State=resume"].map(str::to_owned).to_vec();
    rig.commands.run(&Call { program: Program::Scontrol, arguments, input: String::new() }).await.unwrap();
    let seen: Vec<_> = page.events.iter().map(|event| (&event.handle, event.kind)).collect();
    assert_eq!(seen, [(&handles[1], InterruptionKind::Reclaimed)]);
    assert_eq!(states.iter().map(|state| state.reclaimed).collect::<Vec<_>>(), [false, true]);
    assert!(states.iter().all(|state| state.ended_at.is_some()));
    rig.quiet(|states| states.is_empty()).await;
}

/// A partition that is down takes jobs and never starts them: it is not offered, and a create there fails at once.
#[tokio::test]
async fn a_partition_that_is_down_is_neither_offered_nor_waited_for() {
    let Some(rig) = rig().await else { return };
    let provider = rig.provider.clone();
    let request = crate::rig::quote(crate::rig::one_h100_for(300), wall_now());
    let offers = provider.get_quote(&request).await.unwrap().offers;
    let zones: Vec<&str> = offers.iter().map(|offer| offer.zone.as_str()).collect();
    assert_eq!(zones, ["gpu", "short"], "the one that is down is left out");
    let mut offer = offers[0].clone();
    offer.zone = hpc_resources::ZoneId::parse("off").unwrap();
    let spec = crate::rig::spec(&offer, 1, 1, wall_now());
    let error = provider.provision(&spec).await.unwrap_err();
    assert_eq!(
        (error.kind, error.code.as_str(), error.certainty),
        (ErrorKind::Config, "PartitionDown", Certainty::NotDone)
    );
    assert!(provider.list_owned("suite", None).await.unwrap().instances.is_empty());
}

/// Two processes submit one token at the same moment.
#[tokio::test]
async fn one_token_of_two_processes_creates_once() {
    let Some(rig) = rig().await else { return };
    let offer = {
        let request = crate::rig::quote(one_h100(), wall_now());
        rig.provider.get_quote(&request).await.unwrap().offers.remove(0)
    };
    let spec = crate::rig::spec(&offer, 1, 2, wall_now());
    let (first, second) = tokio::join!(rig.provider.provision(&spec), rig.provider.provision(&spec));
    let (first, second) = (first.unwrap(), second.unwrap());
    assert_eq!(first.handles, second.handles);
    assert_eq!(rig.provider.list_owned("suite", None).await.unwrap().instances.len(), 2);
}

/// The longest comment and the most instances that are sent are taken by Slurm, or refused without a trace.
#[tokio::test]
async fn what_slurm_refuses_leaves_nothing() {
    let Some(rig) = rig().await else { return };
    let offer = {
        let request = crate::rig::quote(one_h100(), wall_now());
        rig.provider.get_quote(&request).await.unwrap().offers.remove(0)
    };
    let mut spec = crate::rig::spec(&offer, 1, 1, wall_now());
    spec.tags.insert("note".to_owned(), "x".repeat(700));
    let made = rig.provider.provision(&spec).await.unwrap();
    let states = rig.provider.observe(&Observe::Handles(made.handles.clone())).await.unwrap();
    assert_eq!(states[0].tags, spec.tags);
    rig.provider.release(&made.handles[0]).await.unwrap();
    rig.quiet(|states| states.is_empty()).await;
    // More than the node has: it waits, and is given up.
    let many = crate::rig::spec(&offer, 2, 256, wall_now());
    let error = rig.provider.provision(&many).await.unwrap_err();
    assert_eq!(error.certainty, Certainty::NotDone, "{error}");
    assert!(rig.provider.list_owned("suite", None).await.unwrap().instances.is_empty());
}

/// The daemon that signs for us is not there: nothing was sent, so nothing was done.
#[tokio::test]
async fn without_munge_nothing_is_sent() {
    let Some(rig) = rig().await else { return };
    let offer = {
        let request = crate::rig::quote(one_h100(), wall_now());
        rig.provider.get_quote(&request).await.unwrap().offers.remove(0)
    };
    let good = std::fs::read_to_string(std::env::var_os("HPC_TEST_SLURM").unwrap()).unwrap();
    let without = good.replace("/munge.socket", "/no-such.socket");
    assert_ne!(without, good);
    let folder = tempfile::tempdir().unwrap();
    let configuration = folder.path().join("slurm.conf");
    std::fs::write(&configuration, without).unwrap();
    let commands = SystemCommands::new("/usr/bin", Some(configuration));
    let arguments = ["--wrap=true", "--output=/dev/null"].map(str::to_owned).to_vec();
    let call = Call { program: Program::Sbatch, arguments, input: String::new() };
    let said = commands.run(&call).await.unwrap();
    assert!(said.status != 0 && said.stderr.contains("Munge encode failed"), "{said:?}");
    let provider =
        SlurmProvider::new(offer.provider.clone(), cluster(5), Arc::new(commands), Arc::new(wall_now));
    let error = provider.list_owned("suite", None).await.unwrap_err();
    assert_eq!((error.code.as_str(), error.certainty), ("MungeDown", Certainty::NotDone));
}
