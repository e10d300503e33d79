//! The contract of the port, on the stub.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use hpc_conformance::provider::{Rig, Trouble};
use hpc_provider::CapacityProvider;
use hpc_provider_slurm::{Program, SlurmProvider};
use hpc_resources::ResourceRequest;
use jiff::Timestamp;

use crate::rig::{Fault, Faulty, cluster, one_h100, provider_id};
use crate::stub::{GPUS, StubSlurm};

struct StubRig {
    slurm: Arc<StubSlurm>,
    commands: Arc<Faulty>,
    provider: Arc<SlurmProvider>,
}

fn rig() -> StubRig {
    let slurm = StubSlurm::new();
    let commands = Faulty::new(slurm.clone());
    let told = Arc::clone(&slurm);
    let clock = Arc::new(move || told.now());
    let provider = SlurmProvider::new(provider_id("hall"), cluster(0), commands.clone(), clock);
    StubRig { slurm, commands, provider: Arc::new(provider) }
}

#[async_trait]
impl Rig for StubRig {
    fn provider(&self) -> Arc<dyn CapacityProvider> {
        self.provider.clone()
    }
    fn now(&self) -> Timestamp {
        self.slurm.now()
    }
    async fn pass(&self, by: Duration) {
        self.slurm.pass(i64::try_from(by.as_millis().div_ceil(1_000)).unwrap());
    }
    fn request(&self) -> ResourceRequest {
        one_h100()
    }
    fn instances_max(&self) -> u32 {
        GPUS
    }
    async fn bring(&self, trouble: Trouble) -> bool {
        match trouble {
            Trouble::NoStock(_) => self.slurm.with(|state| state.held_for = Some("Resources")),
            Trouble::NoQuota(_) => self.slurm.with(|state| state.held_for = Some("QOSMaxGRESPerUser")),
            Trouble::LoseNextCreate => self.commands.next(Program::Sbatch, Fault::LostBefore),
            Trouble::LoseNextAnswer => self.commands.next(Program::Sbatch, Fault::LostAfter),
            // Somebody in charge sets a time limit; both instances of a job end with it.
            Trouble::Reclaim(handle) => {
                let number: u64 = handle.id.split('.').next().unwrap().parse().unwrap();
                self.slurm.with(|state| {
                    let now = state.now;
                    let job = state.jobs.iter_mut().find(|job| job.number == number).unwrap();
                    job.limit_s.get_or_insert(now + 300 - job.started.unwrap());
                });
            }
        }
        true
    }
}

hpc_conformance::capacity_provider!(async { Some(rig()) });
