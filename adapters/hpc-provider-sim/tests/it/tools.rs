//! What the tests share.

use std::sync::Arc;

use hpc_provider::{
    CapacityProvider, ProviderError, ProvisionResult, ProvisionSpec, QuoteRequest, TAG_INTENT, TAG_LEASE,
    TAG_OWNER, Token,
};
use hpc_provider_sim::{Script, SimConfig, SimProvider, SimWorld};
use hpc_resources::{IntentId, LeaseId, Offer, OfferKind, ResourceRequest};
use jiff::Timestamp;

pub fn start() -> Timestamp {
    "2026-11-20T12:00:00Z".parse().unwrap()
}

pub fn config(script: Script) -> SimConfig {
    SimConfig { script, ..SimConfig::new(42, start()) }
}

pub fn world(script: Script) -> SimWorld {
    SimWorld::open(config(script)).unwrap()
}

pub fn cloud(world: &SimWorld, id: &str) -> Arc<SimProvider> {
    world.provider(id).unwrap()
}

pub fn eight_h100() -> ResourceRequest {
    ResourceRequest::new("test").add_gpu_nvidia_h100(8).build().unwrap()
}

pub async fn offers(provider: &dyn CapacityProvider, now: Timestamp) -> Vec<Offer> {
    provider.get_quote(&QuoteRequest { request: eight_h100(), now }).await.unwrap().offers
}

/// The offer of 8 x H100 in one zone.
pub async fn offer(world: &SimWorld, id: &str, zone: &str, kind: OfferKind) -> Offer {
    let offers = offers(cloud(world, id).as_ref(), world.now()).await;
    let found = offers.into_iter().find(|offer| {
        offer.zone.as_str() == zone
            && offer.kind == kind
            && offer.accelerators.is_some_and(|have| have.count == 8)
    });
    found.unwrap_or_else(|| panic!("no {} in {zone}", kind.as_str()))
}

pub fn spec(offer: &Offer, number: u128, instances: u32) -> ProvisionSpec {
    let (intent, lease) = (IntentId::from_bits(number), LeaseId::from_bits(number));
    let tags = [(TAG_OWNER, "tests"), (TAG_INTENT, intent.as_str()), (TAG_LEASE, lease.as_str())];
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
        deadline: Timestamp::MAX,
    }
}

pub async fn create(world: &SimWorld, spec: &ProvisionSpec) -> Result<ProvisionResult, ProviderError> {
    cloud(world, spec.offer.provider.as_str()).provision(spec).await
}
