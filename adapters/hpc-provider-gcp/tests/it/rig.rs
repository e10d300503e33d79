//! A provider on a stub, as the suite and the other tests want it.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use hpc_conformance::provider::{Rig, Trouble};
use hpc_provider::{
    BootSource, CapacityProvider, NoBoot, ProvisionSpec, QuoteRequest, TAG_INTENT, TAG_LEASE, TAG_OWNER,
    Token,
};
use hpc_provider_gcp::{Credentials, GcpConfig, GcpProvider, KnownPrice, PriceTable, RegionConfig};
use hpc_resources::{
    AcceleratorModel, Currency, InstanceType, IntentId, LeaseId, Money, Offer, OfferKind, PerInstanceHour,
    ProviderId, Region, ResourceRequest,
};
use jiff::{SignedDuration, Timestamp};

use crate::stub::cloud::{PROJECT, Reserved};
use crate::stub::{Fault, Stub};

pub fn region(name: &str) -> Region {
    Region::parse(name).unwrap()
}

pub fn config(url: &str) -> GcpConfig {
    let types = [
        "a2-ultragpu-8g",
        "a2-ultragpu-1g",
        "a3-highgpu-8g",
        "a3-highgpu-1g",
        "n1-standard-8",
        "n1-standard-8.nvidia-tesla-t4.2",
        "n2-standard-2",
        "e2-micro",
    ];
    let types: BTreeSet<_> = types.map(|name| InstanceType::parse(name).unwrap()).into();
    let regions = ["us-central1", "europe-west4"].map(|name| RegionConfig::new(region(name))).to_vec();
    let provider = ProviderId::parse("gcp").unwrap();
    GcpConfig {
        endpoint: Some(url.to_owned()),
        credentials: Credentials::Anonymous,
        // Whoever tests a limit sets a short one; this machine may be busy.
        call_timeout: Duration::from_mins(2),
        consistency_ms: 10_000,
        clock_skew_ms: 0,
        page_entries: 5,
        poll_interval: Duration::from_millis(1),
        ..GcpConfig::new(provider, PROJECT, "projects/p/global/images/family/gpu", regions, types)
    }
}

pub fn prices(as_of: Timestamp) -> PriceTable {
    let price = |nanos| KnownPrice { price: PerInstanceHour(Money::from_nanos(nanos, Currency::USD)), as_of };
    let name = || InstanceType::parse("a2-ultragpu-8g").unwrap();
    ["us-central1", "europe-west4"].into_iter().fold(PriceTable::default(), |table, place| {
        let prices = [
            (OfferKind::OnDemand, 40_550_000_000),
            (OfferKind::Spot, 20_270_000_000),
            (OfferKind::Flex, 19_100_000_000),
        ];
        prices
            .into_iter()
            .fold(table, |table, (kind, nanos)| table.with(region(place), name(), kind, price(nanos)))
    })
}

pub async fn connect(stub: &Stub, config: GcpConfig, scripts: Arc<dyn BootSource>) -> GcpProvider {
    let clock = stub.clone();
    let prices = Arc::new(prices(stub.cloud().now));
    GcpProvider::connect(config, prices, scripts, Arc::new(move || clock.cloud().now)).await.unwrap()
}

pub fn eight_a100(kind: Option<OfferKind>) -> ResourceRequest {
    let model = AcceleratorModel::parse("a100-80gb").unwrap();
    let request = ResourceRequest::new("suite").add_accelerator(model, 8);
    match kind {
        Some(kind) => request.with_kinds([kind]).build().unwrap(),
        None => request.build().unwrap(),
    }
}

pub fn reserved(name: &'static str) -> Reserved {
    Reserved {
        name,
        zone: "us-central1-a",
        machine_type: "a2-ultragpu-8g",
        status: "READY",
        count: 15,
        hidden: 0,
        by_name: true,
        platform: None,
        ends_at: None,
    }
}

/// A stub, a provider on it, and a way to buy.
pub struct StubRig {
    pub stub: Stub,
    pub provider: Arc<GcpProvider>,
    kind: Option<OfferKind>,
}

impl StubRig {
    pub async fn start(kind: Option<OfferKind>) -> Self {
        let stub = Stub::start("127.0.0.1:0").await;
        let provider = connect(&stub, config(&stub.url), Arc::new(NoBoot)).await;
        Self { stub, provider: Arc::new(provider), kind }
    }

    /// With a reservation of 15 x a2-ultragpu-8g, and flex-start for a day at most.
    pub async fn set_aside(kind: Option<OfferKind>) -> Self {
        let stub = Stub::start("127.0.0.1:0").await;
        let config = GcpConfig { reservations: true, flex_run_max_s: Some(86_400), ..config(&stub.url) };
        let provider = connect(&stub, config, Arc::new(NoBoot)).await;
        stub.cloud().reservations = vec![reserved("training")];
        Self { stub, provider: Arc::new(provider), kind }
    }

    pub async fn offers(&self) -> Vec<Offer> {
        let request = QuoteRequest { request: eight_a100(self.kind), now: self.now() };
        self.provider.get_quote(&request).await.unwrap().offers
    }

    pub async fn spec(&self, number: u128, instances: u32) -> ProvisionSpec {
        let offers = self.offers().await;
        let offer = offers.into_iter().find(|offer| offer.price.is_some()).unwrap();
        spec(offer, number, instances, self.now())
    }
}

pub fn spec(offer: Offer, number: u128, instances: u32, now: Timestamp) -> ProvisionSpec {
    let (intent, lease) = (IntentId::from_bits(number), LeaseId::from_bits(number));
    let tags = [(TAG_OWNER, "suite"), (TAG_INTENT, intent.as_str()), (TAG_LEASE, lease.as_str())];
    ProvisionSpec {
        token: Token::derive(&intent, 1, &offer.provider, &offer.region, &offer.zone),
        tags: tags.into_iter().map(|(key, value)| (key.to_owned(), value.to_owned())).collect(),
        intent,
        lease,
        price: offer.price.unwrap_or(PerInstanceHour(Money::from_nanos(1, Currency::USD))),
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
        eight_a100(self.kind)
    }
    fn reserved(&self) -> Option<ResourceRequest> {
        self.kind.filter(|kind| *kind == OfferKind::Reserved).map(|kind| eight_a100(Some(kind)))
    }
    fn instances_max(&self) -> u32 {
        14
    }
    async fn bring(&self, trouble: Trouble) -> bool {
        let mut cloud = self.stub.cloud();
        match trouble {
            Trouble::NoStock(offer) if offer.reservation.is_some() => {
                for have in &mut cloud.reservations {
                    have.hidden = have.count;
                }
            }
            Trouble::NoStock(offer) => {
                cloud.sold_out.insert((offer.zone.to_string(), offer.kind != OfferKind::OnDemand));
                // One of a create is made and taken back.
                cloud.made_before_failure = 1;
            }
            Trouble::NoQuota(offer) => {
                let Some(cost) = offer.quota else { return false };
                cloud.limits.insert(cost.family.to_string(), 0);
            }
            Trouble::LoseNextCreate => cloud.fail_next("instances.bulkInsert", Fault::DropBefore),
            Trouble::LoseNextAnswer => cloud.fail_next("instances.bulkInsert", Fault::DropAfter),
            // Compute Engine announces nothing that can be read from outside the instance. What can be seen is tested in
            // `story.rs`.
            Trouble::Reclaim(_) => return false,
        }
        true
    }
}
