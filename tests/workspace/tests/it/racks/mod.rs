//! Machines of one's own over a ledger: the provider suite, a crash at every commit, a process that is killed.
//!
//! Here and not in `hpc-provider-static`, because siblings do not meet in an adapter's tests.

mod contract;
mod crash;
mod stories;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use hpc_ledger::Ledger;
use hpc_provider::{CapacityProvider, ProvisionSpec, QuoteRequest, TAG_INTENT, TAG_LEASE, TAG_OWNER, Token};
use hpc_provider_static::{Clock, Inventory, InventoryDocument, StaticProvider};
use hpc_resources::{IntentId, LeaseId, Offer, ProviderId, ResourceRequest};
use jiff::{SignedDuration, Timestamp};

/// Machines of 8 x H100 in the first rack.
pub const MACHINES: usize = 260;

/// A clock that is told what time it is.
#[derive(Clone)]
pub struct Told(Arc<Mutex<Timestamp>>);

impl Told {
    pub fn new() -> Self {
        Self(Arc::new(Mutex::new("2026-11-20T12:00:00.25Z".parse().unwrap())))
    }
    pub fn now(&self) -> Timestamp {
        *self.0.lock().unwrap()
    }
    pub fn pass(&self, by: std::time::Duration) {
        let mut now = self.0.lock().unwrap();
        *now = now.saturating_add(SignedDuration::try_from(by).unwrap()).unwrap();
    }
    pub fn clock(&self) -> Clock {
        let told = self.clone();
        Arc::new(move || told.now())
    }
}

/// An inventory in YAML, as people write it: `machines` big ones in `rack-a`, two in `rack-b`, and one that costs nothing.
pub fn yaml(machines: usize) -> String {
    let mut text = String::from(
        "region: berlin-1
types:
  dgx-h100:
    gpus: { model: H100 SXM, count: 8, memory_each: 80 GiB }
    cpu: 192
    memory: 2 TiB
    price: 20.00 USD
  old-v100:
    gpus: { model: v100, count: 8, memory_each: 32 GiB }
    cpu: 96
    memory: 768 GiB
    price: free
machines:
  - { name: old-1, type: old-v100, zone: rack-b, tags: { asset: A-4711 } }
  - { name: b-1, type: dgx-h100, zone: rack-b }
  - { name: b-2, type: dgx-h100, zone: rack-b, out_of_service: a fan is broken }
",
    );
    for number in 0..machines {
        text.push_str(&format!("  - {{ name: a-{number:03}, type: dgx-h100, zone: rack-a }}\n"));
    }
    text
}

pub fn inventory(text: &str) -> Inventory {
    let document: InventoryDocument =
        hpc_config::parse_document(text, hpc_config::Format::Yaml).expect("an inventory");
    Inventory::check(document).expect("a good inventory")
}

pub fn provider(ledger: Arc<dyn Ledger>, clock: &Told, machines: usize) -> StaticProvider {
    let id = ProviderId::parse("racks").unwrap();
    StaticProvider::new(id, inventory(&yaml(machines)), ledger, clock.clock())
}

pub fn request() -> ResourceRequest {
    ResourceRequest::new("suite").add_gpu_nvidia_h100(8).build().unwrap()
}

pub async fn offer(provider: &dyn CapacityProvider, now: Timestamp, zone: &str) -> Offer {
    let offers = provider.get_quote(&QuoteRequest { request: request(), now }).await.unwrap().offers;
    offers.into_iter().find(|offer| offer.zone.as_str() == zone).expect("an offer in the rack")
}

pub fn spec(offer: &Offer, number: u128, instances: u32) -> ProvisionSpec {
    let (intent, lease) = (IntentId::from_bits(number), LeaseId::from_bits(number));
    let tags = [(TAG_OWNER, "tests"), (TAG_INTENT, intent.as_str()), (TAG_LEASE, lease.as_str())];
    let tags: BTreeMap<_, _> =
        tags.into_iter().map(|(key, value)| (key.to_owned(), value.to_owned())).collect();
    ProvisionSpec {
        token: Token::derive(&intent, 1, &offer.provider, &offer.region, &offer.zone),
        tags,
        intent,
        lease,
        offer: offer.clone(),
        price: offer.price.unwrap(),
        instances,
        price_ceiling: None,
        user_data_ref: None,
        deadline: Timestamp::MAX,
    }
}
