//! What the tests share: settings, requests, specs, and faults between the adapter and any commands.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use hpc_provider::{ProvisionSpec, QuoteRequest, TAG_INTENT, TAG_LEASE, TAG_OWNER, Token};
use hpc_provider_slurm::{Call, Cluster, ClusterDocument, CommandFailure, Commands, Output, Program};
use hpc_resources::{IntentId, LeaseId, Offer, ProviderId, RequestPriority, ResourceRequest, ResourceUnit};
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

/// Three partitions as in the real cluster of `tests/counterparts/slurm.sh`: one without limit, one of ten minutes, one down.
pub(crate) fn document(start_within_s: u32) -> Value {
    let shape = |count: u32| {
        json!({
            "gpus": { "model": "h100", "count": count, "memory_each": "80 GiB" }, "gres_type": "h100",
            "cpu": 1, "memory": "100 MiB", "price": "2.00 USD"
        })
    };
    json!({
        "region": "berlin-1",
        "start_within_s": start_within_s,
        "partitions": {
            "gpu": { "shapes": { "h100-1": shape(1) } },
            "off": { "shapes": { "h100-1": shape(1) } },
            "short": { "shapes": { "h100-2": shape(2) } }
        }
    })
}

pub(crate) fn cluster(start_within_s: u32) -> Cluster {
    let document: ClusterDocument = serde_json::from_value(document(start_within_s)).unwrap();
    Cluster::check(document).unwrap()
}

pub(crate) fn provider_id(name: &str) -> ProviderId {
    ProviderId::parse(name).unwrap()
}

/// One H100 for an hour.
pub(crate) fn one_h100() -> ResourceRequest {
    ResourceRequest::new("slurm")
        .add_gpu_nvidia_h100(1)
        .with_priority(RequestPriority::Normal)
        .build()
        .unwrap()
}

/// One H100 for five minutes, with little memory.
pub(crate) fn one_h100_for(seconds: u64) -> ResourceRequest {
    ResourceRequest::new("slurm")
        .add_gpu_nvidia_h100(1)
        .add_memory(1, ResourceUnit::MB)
        .with_duration_s(seconds)
        .build()
        .unwrap()
}

pub(crate) fn quote(request: ResourceRequest, now: Timestamp) -> QuoteRequest {
    QuoteRequest { request, now }
}

pub(crate) fn spec(offer: &Offer, number: u128, instances: u32, now: Timestamp) -> ProvisionSpec {
    let (intent, lease) = (IntentId::from_bits(number), LeaseId::from_bits(number));
    let tags = [(TAG_OWNER, "suite"), (TAG_INTENT, intent.as_str()), (TAG_LEASE, lease.as_str())];
    ProvisionSpec {
        token: Token::derive(&intent, 1, &offer.provider, &offer.region, &offer.zone),
        tags: tags.into_iter().map(|(key, value)| (key.to_owned(), value.to_owned())).collect(),
        intent,
        lease,
        offer: offer.clone(),
        price: offer.price.unwrap(),
        instances,
        price_ceiling: None,
        user_data_ref: None,
        deadline: now.saturating_add(SignedDuration::from_hours(1)).unwrap(),
    }
}

/// What happens to the next call of a program.
#[derive(Clone, Debug)]
pub(crate) enum Fault {
    /// It never arrives, and its answer is lost.
    LostBefore,
    /// It is carried out, and its answer is lost.
    LostAfter,
    /// It answers this, and nothing is carried out.
    Says(Output),
}

/// Faults between the adapter and any commands, and a record of the calls.
pub(crate) struct Faulty {
    inner: Arc<dyn Commands>,
    faults: Mutex<VecDeque<(Program, Fault)>>,
    calls: Mutex<Vec<Call>>,
}

impl Faulty {
    pub(crate) fn new(inner: Arc<dyn Commands>) -> Arc<Self> {
        Arc::new(Self { inner, faults: Mutex::default(), calls: Mutex::default() })
    }

    pub(crate) fn next(&self, program: Program, fault: Fault) {
        self.faults.lock().unwrap().push_back((program, fault));
    }

    pub(crate) fn says(&self, program: Program, stderr: &str) {
        let output = Output { status: 1, stdout: String::new(), stderr: stderr.to_owned() };
        self.next(program, Fault::Says(output));
    }

    pub(crate) fn calls(&self, program: Program) -> Vec<Call> {
        self.calls.lock().unwrap().iter().filter(|call| call.program == program).cloned().collect()
    }
}

#[async_trait]
impl Commands for Faulty {
    async fn run(&self, call: &Call) -> Result<Output, CommandFailure> {
        self.calls.lock().unwrap().push(call.clone());
        let fault = {
            let mut faults = self.faults.lock().unwrap();
            let place = faults.iter().position(|(program, _)| *program == call.program);
            place.and_then(|place| faults.remove(place)).map(|(_, fault)| fault)
        };
        let lost = CommandFailure::TooSlow { program: call.program.as_str() };
        match fault {
            None => self.inner.run(call).await,
            Some(Fault::Says(output)) => Ok(output),
            Some(Fault::LostBefore) => Err(lost),
            Some(Fault::LostAfter) => {
                self.inner.run(call).await?;
                Err(lost)
            }
        }
    }
}
