//! The provider suite.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use hpc_conformance::provider::{Rig, Trouble};
use hpc_ledger::LedgerError;
use hpc_memory::ledger::{FaultPlan, MemoryLedger};
use hpc_provider::CapacityProvider;
use hpc_provider_static::StaticProvider;
use hpc_resources::ResourceRequest;
use jiff::Timestamp;

use super::{MACHINES, Told, inventory, provider, request, yaml};

struct RackRig {
    provider: Arc<StaticProvider>,
    faults: FaultPlan,
    clock: Told,
}

fn rig() -> Option<RackRig> {
    let (faults, clock) = (FaultPlan::none(), Told::new());
    let ledger = Arc::new(MemoryLedger::with_faults(faults.clone()));
    Some(RackRig { provider: Arc::new(provider(ledger, &clock, MACHINES)), faults, clock })
}

#[async_trait]
impl Rig for RackRig {
    fn provider(&self) -> Arc<dyn CapacityProvider> {
        Arc::clone(&self.provider) as Arc<dyn CapacityProvider>
    }
    fn now(&self) -> Timestamp {
        self.clock.now()
    }
    async fn pass(&self, by: Duration) {
        self.clock.pass(by);
    }
    fn request(&self) -> ResourceRequest {
        request()
    }
    fn instances_max(&self) -> u32 {
        250
    }
    async fn bring(&self, trouble: Trouble) -> bool {
        match trouble {
            // Every machine of the rack is taken out of service.
            Trouble::NoStock(offer) => {
                let zone = format!("zone: {}", offer.zone);
                let text = yaml(MACHINES).replace(", out_of_service: a fan is broken", "");
                let text = text.replace(&zone, &format!("{zone}, out_of_service: the rack has no power"));
                self.provider.reload(inventory(&text)).await.unwrap();
                true
            }
            Trouble::LoseNextCreate => {
                // The look for the token fails: nothing was asked for.
                self.faults.fail_next(LedgerError::Unavailable { reason: "told to fail".to_owned() });
                true
            }
            Trouble::LoseNextAnswer => {
                self.faults.lose_answer_after_commit();
                true
            }
            // The quota is the number of machines: there is none to use up beside the stock. Nobody takes machines back.
            Trouble::NoQuota(_) | Trouble::Reclaim(_) => false,
        }
    }
}

hpc_conformance::capacity_provider!(async { rig() });
