//! Quotes, spot prices and quotas.

use hpc_conformance::provider::Rig;
use hpc_provider::{CapacityProvider, QuoteRequest};
use hpc_resources::{
    AcceleratorModel, Offer, OfferKind, ProviderId, Region, ResourceRequest, ResourceRequestBuilder,
};

use crate::rig::StubRig;
use crate::stub::cloud::QUOTAS;

async fn quote(rig: &StubRig, request: ResourceRequestBuilder) -> Vec<Offer> {
    let request = QuoteRequest { request: request.build().unwrap(), now: rig.now() };
    rig.provider.get_quote(&request).await.unwrap().offers
}

fn shown(offer: &Offer) -> String {
    let price = offer.price.map_or("unknown".to_owned(), |price| price.0.to_string());
    let quota = offer.quota.as_ref().map(|cost| format!("{} x {}", cost.units_per_instance, cost.family));
    format!(
        "{} {} {} {price} {}",
        offer.instance_type,
        offer.zone,
        offer.kind.as_str(),
        quota.unwrap_or_default()
    )
}

#[tokio::test]
async fn offers_are_of_whole_devices_by_zone_id_with_price_and_quota() {
    let rig = StubRig::start(None).await;
    let offers = quote(&rig, ResourceRequest::new("x").add_gpu_nvidia_h100(8)).await;
    let shown: Vec<String> = offers.iter().map(shown).collect();
    assert_eq!(
        shown,
        [
            "p5.48xlarge use1-az1 spot 18.25 USD 192 x L-C4BD4855",
            "p5.48xlarge use1-az1 on-demand 55.04 USD 192 x L-417A185B",
            // The price list of the stub has no p5.4xlarge: unknown, and not zero.
            "p5.4xlarge use1-az1 on-demand unknown 16 x L-417A185B",
            "p5.48xlarge use1-az4 spot 18.25 USD 192 x L-C4BD4855",
            "p5.48xlarge use1-az4 on-demand 55.04 USD 192 x L-417A185B",
            "p5.4xlarge use1-az4 on-demand unknown 16 x L-417A185B",
        ]
    );
    let spot = offers.iter().find(|offer| offer.kind == OfferKind::Spot).unwrap();
    assert_eq!((spot.reclaim_bp_per_hour, spot.start_delay_s, spot.simulated), (100, 120, false));
    assert_eq!(
        offers.iter().map(|offer| &offer.snapshot).collect::<std::collections::BTreeSet<_>>().len(),
        1
    );
}

#[tokio::test]
async fn a_share_of_a_device_and_a_capacity_block_are_not_offered() {
    let rig = StubRig::start(None).await;
    let model = |name: &str| AcceleratorModel::parse(name).unwrap();
    assert_eq!(quote(&rig, ResourceRequest::new("x").add_accelerator(model("l4"), 1)).await, []);
    assert_eq!(quote(&rig, ResourceRequest::new("x").add_accelerator(model("h200"), 8)).await, []);
    let a100 = quote(&rig, ResourceRequest::new("x").add_accelerator(model("a100-40gb"), 8)).await;
    assert_eq!(a100.len(), 4, "two zones, two ways to buy");
    let plain = quote(&rig, ResourceRequest::new("x").add_cpu(2)).await;
    assert!(
        plain.iter().all(|offer| offer.instance_type.as_str() == "m5.large") && plain.len() == 4,
        "{plain:?}"
    );
}

#[tokio::test]
async fn what_the_request_narrows_is_not_even_asked_for() {
    let rig = StubRig::start(None).await;
    let request = || ResourceRequest::new("x").add_gpu_nvidia_h100(8);
    assert_eq!(quote(&rig, request().with_regions([Region::parse("eu-west-1").unwrap()])).await, []);
    assert_eq!(quote(&rig, request().with_providers([ProviderId::parse("gcp").unwrap()])).await, []);
    assert_eq!(rig.stub.cloud().calls.len(), 0);
    let spot = quote(&rig, request().with_kinds([OfferKind::Spot])).await;
    assert!(!spot.is_empty() && spot.iter().all(|offer| offer.kind == OfferKind::Spot));
}

#[tokio::test]
async fn types_are_asked_for_by_name() {
    let rig = StubRig::start(None).await;
    rig.offers().await;
    let cloud = rig.stub.cloud();
    let (_, query) = cloud.calls.iter().find(|(action, _)| action == "DescribeInstanceTypes").unwrap();
    assert_eq!(query.list("InstanceType").len(), 6);
    assert_eq!(cloud.count("DescribeAvailabilityZones"), 1);
}

#[tokio::test]
async fn a_spot_price_of_zero_is_unknown() {
    let rig = StubRig::start(Some(OfferKind::Spot)).await;
    rig.stub.cloud().spot_price = "0.0000000";
    let prices: Vec<_> = rig.offers().await.into_iter().map(|offer| offer.price).collect();
    // In one zone an older price above zero is left: the newest that can be one.
    assert!(prices.contains(&None), "{prices:?}");
}

#[tokio::test]
async fn spot_history_comes_page_by_page_oldest_first() {
    let rig = StubRig::start(None).await;
    let answer = rig.provider.check_spot_prices("p5.48xlarge", "us-east-1").await.unwrap();
    let shown: Vec<String> =
        answer.prices.iter().map(|point| format!("{} {} {}", point.at, point.zone, point.price.0)).collect();
    assert_eq!(
        shown,
        [
            "2026-11-26T09:30:00Z use1-az1 99.00 USD",
            "2026-11-26T11:51:40Z use1-az1 18.25 USD",
            "2026-11-26T11:53:20Z use1-az4 18.25 USD",
        ]
    );
    assert_eq!(rig.stub.cloud().count("DescribeSpotPriceHistory"), 2);
    let asked = |(action, _): &&(String, _)| action == "DescribeSpotPriceHistory";
    let (_, query) = rig.stub.cloud().calls.iter().rfind(asked).cloned().unwrap();
    assert_eq!(query.list("ProductDescription"), ["Linux/UNIX", "Linux/UNIX (Amazon VPC)"]);
    for (instance_type, region) in [("p5 48xlarge", "us-east-1"), ("p5.48xlarge", "eu-west-1"), ("", "")] {
        assert!(
            rig.provider.check_spot_prices(instance_type, region).await.is_err(),
            "{instance_type} {region}"
        );
    }
}

#[tokio::test]
async fn quotas_are_vcpus_by_family_and_use_is_counted() {
    let rig = StubRig::start(Some(OfferKind::Spot)).await;
    rig.stub.cloud().limits.insert("L-C4BD4855".to_owned(), 400);
    let spec = rig.spec(1, 2).await;
    rig.provider.provision(&spec).await.unwrap();
    rig.stub.pass(std::time::Duration::from_secs(60));
    let quotas = rig.provider.quotas().await.unwrap();
    let shown: Vec<String> =
        quotas.iter().map(|quota| format!("{} {} of {}", quota.family, quota.used, quota.limit)).collect();
    assert_eq!(
        shown,
        [
            "L-417A185B 0 of 100000",
            // The stub tells no CPUs of instances, so the type's are counted: 192 each.
            "L-C4BD4855 384 of 400",
            "L-7212CCBC 0 of 100000",
            "L-DB2E81BA 0 of 100000",
        ]
    );
    assert_eq!(quotas.len() + 1, QUOTAS.len(), "public images are no vCPUs");
}
