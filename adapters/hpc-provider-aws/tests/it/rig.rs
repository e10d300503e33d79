//! A provider on a stub, as the suite and the other tests want it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use hpc_conformance::provider::{Rig, Trouble};
use hpc_provider::{
    BootSource, CapacityProvider, NoBoot, ProvisionSpec, QuoteRequest, TAG_INTENT, TAG_LEASE, TAG_OWNER,
    Token,
};
use hpc_provider_aws::{AwsConfig, AwsPrices, AwsProvider, Credentials, RegionConfig, ReservationConfig};
use hpc_resources::{InstanceType, IntentId, LeaseId, Offer, OfferKind, ProviderId, Region, ResourceRequest};
use jiff::{SignedDuration, Timestamp};

use crate::stub::cloud::Reserved;
use crate::stub::{Fault, Stub};

pub(crate) fn region() -> Region {
    Region::parse("us-east-1").unwrap()
}

pub(crate) fn config(url: &str) -> AwsConfig {
    let types = ["p5.48xlarge", "p5.4xlarge", "p4d.24xlarge", "g6f.large", "p5e.48xlarge", "m5.large"];
    let types = types.map(|name| InstanceType::parse(name).unwrap());
    AwsConfig {
        endpoint: Some(url.to_owned()),
        credentials: Credentials::Key {
            id: "AKIDEXAMPLE".to_owned(),
            secret: "secret".to_owned().into(),
            session: None,
        },
        consistency_ms: 10_000,
        clock_skew_ms: 0,
        page_instances: 5,
        ..AwsConfig::new(
            ProviderId::parse("aws").unwrap(),
            vec![RegionConfig::new(region(), "ami-0123456789abcdef0")],
            BTreeSet::from(types),
        )
    }
}

pub(crate) async fn connect(stub: &Stub, config: AwsConfig, boots: Arc<dyn BootSource>) -> AwsProvider {
    let prices = Arc::new(AwsPrices::connect(&config, &region()).await);
    let clock = stub.clone();
    AwsProvider::connect(config, prices, boots, Arc::new(move || clock.cloud().now)).await.unwrap()
}

pub(crate) fn eight_h100(kind: Option<OfferKind>) -> ResourceRequest {
    let request = ResourceRequest::new("suite").add_gpu_nvidia_h100(8);
    match kind {
        Some(kind) => request.with_kinds([kind]).build().unwrap(),
        None => request.build().unwrap(),
    }
}

/// The account that rents.
pub(crate) const ACCOUNT: &str = "123456789012";

pub(crate) fn reserved(id: &'static str, block: bool) -> Reserved {
    let at = |text: &str| text.parse().unwrap();
    Reserved {
        id,
        owner: ACCOUNT,
        block,
        open: false,
        instance_type: "p5.48xlarge",
        zone: "us-east-1c",
        platform: "Linux/UNIX",
        state: "active",
        total: 15,
        hidden: 0,
        starts_at: at("2026-11-26T11:30:00Z"),
        ends_at: block.then(|| at("2026-11-28T11:30:00Z")),
    }
}

/// A stub, a provider on it, and a way to buy.
pub(crate) struct StubRig {
    pub(crate) stub: Stub,
    pub(crate) provider: Arc<AwsProvider>,
    kind: Option<OfferKind>,
}

impl StubRig {
    pub(crate) async fn start(kind: Option<OfferKind>) -> Self {
        let stub = Stub::start().await;
        let provider = connect(&stub, config(&stub.url), Arc::new(NoBoot)).await;
        Self { stub, provider: Arc::new(provider), kind }
    }

    /// With a reservation and a block of 15 x p5.48xlarge each, both paid for.
    pub(crate) async fn with_reservations(kind: Option<OfferKind>) -> Self {
        let stub = Stub::start().await;
        let account = ACCOUNT.to_owned();
        let config = AwsConfig { reservations: Some(ReservationConfig { account }), ..config(&stub.url) };
        let provider = connect(&stub, config, Arc::new(NoBoot)).await;
        stub.cloud().reservations = vec![reserved("cr-1", false), reserved("cr-2", true)];
        Self { stub, provider: Arc::new(provider), kind }
    }

    pub(crate) async fn offers(&self) -> Vec<Offer> {
        let request = QuoteRequest { request: eight_h100(self.kind), now: self.now() };
        self.provider.get_quote(&request).await.unwrap().offers
    }

    pub(crate) async fn spec(&self, number: u128, instances: u32) -> ProvisionSpec {
        let offers = self.offers().await;
        let offer = offers.into_iter().find(|offer| offer.price.is_some()).unwrap();
        spec(offer, number, instances, self.now())
    }
}

pub(crate) fn spec(offer: Offer, number: u128, instances: u32, now: Timestamp) -> ProvisionSpec {
    let (intent, lease) = (IntentId::from_bits(number), LeaseId::from_bits(number));
    let tags = [(TAG_OWNER, "suite"), (TAG_INTENT, intent.as_str()), (TAG_LEASE, lease.as_str())];
    ProvisionSpec {
        token: Token::derive(&intent, 1, &offer.provider, &offer.region, &offer.zone),
        tags: tags
            .map(|(key, value)| (key.to_owned(), value.to_owned()))
            .into_iter()
            .collect::<BTreeMap<_, _>>(),
        intent,
        lease,
        price: offer.price.unwrap(),
        offer,
        instances,
        price_ceiling: None,
        user_data_ref: None,
        deadline: now.saturating_add(SignedDuration::from_hours(1)).unwrap(),
    }
}

#[async_trait]
impl Rig for StubRig {
    fn provider(&self) -> Arc<dyn CapacityProvider> {
        Arc::clone(&self.provider) as _
    }
    fn now(&self) -> Timestamp {
        self.stub.cloud().now
    }
    async fn pass(&self, by: Duration) {
        self.stub.pass(by);
    }
    fn request(&self) -> ResourceRequest {
        eight_h100(self.kind)
    }
    fn reserved(&self) -> Option<ResourceRequest> {
        let reserved = self.kind.filter(|kind| matches!(kind, OfferKind::Reserved | OfferKind::Block));
        reserved.map(|kind| eight_h100(Some(kind)))
    }
    fn instances_max(&self) -> u32 {
        14
    }
    async fn bring(&self, trouble: Trouble) -> bool {
        let mut cloud = self.stub.cloud();
        match trouble {
            Trouble::NoStock(offer) if offer.reservation.is_some() => {
                for have in &mut cloud.reservations {
                    have.hidden = have.total;
                }
            }
            Trouble::NoStock(offer) => {
                cloud.sold_out.insert((offer.zone.to_string(), offer.kind == OfferKind::Spot));
            }
            Trouble::NoQuota(offer) => {
                let Some(cost) = offer.quota else { return false };
                cloud.limits.insert(cost.family.to_string(), 0);
            }
            Trouble::LoseNextCreate => cloud.fail_next("RunInstances", Fault::DropBefore),
            Trouble::LoseNextAnswer => cloud.fail_next("RunInstances", Fault::DropAfter),
            // EC2 shows the last status of a spot request and no history: a notice that came and passed between two
            // looks is never seen. What can be seen is tested in `story.rs`.
            Trouble::Reclaim(_) => return false,
        }
        true
    }
}
