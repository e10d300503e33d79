//! Quotes, spot prices and quotas.

use hpc_conformance::provider::Rig;
use hpc_provider::{CapacityProvider, QuoteRequest};
use hpc_resources::{
    AcceleratorModel, Offer, OfferKind, ProviderId, Region, ResourceRequest, ResourceRequestBuilder,
};

use crate::rig::{StubRig, region};

async fn quote(rig: &StubRig, request: ResourceRequestBuilder) -> Vec<Offer> {
    let request = QuoteRequest { request: request.build().unwrap(), now: rig.now() };
    rig.provider.get_quote(&request).await.unwrap().offers
}

fn with(model: &str, count: u32) -> ResourceRequestBuilder {
    ResourceRequest::new("x").add_accelerator(AcceleratorModel::parse(model).unwrap(), count)
}

fn shown(offer: &Offer) -> String {
    let price = offer.price.map_or("unknown".to_owned(), |price| price.0.to_string());
    let quota = offer.quota.as_ref().map(|cost| format!(" {} x {}", cost.units_per_instance, cost.family));
    let devices =
        offer.accelerators.map_or(String::new(), |have| format!(" {}x{}", have.count, have.model.as_str()));
    format!(
        "{} {} {}{devices} {price}{}",
        offer.zone,
        offer.instance_type,
        offer.kind.as_str(),
        quota.unwrap_or_default()
    )
}

async fn shown_all(rig: &StubRig, request: ResourceRequestBuilder) -> Vec<String> {
    let mut all: Vec<String> = quote(rig, request).await.iter().map(shown).collect();
    all.sort_unstable();
    all
}

#[tokio::test]
async fn offers_are_of_whole_devices_with_what_is_known_of_price_and_quota() {
    let rig = StubRig::start(None).await;
    let a100 = with("a100-80gb", 8).with_regions([region("europe-west4")]);
    assert_eq!(
        shown_all(&rig, a100).await,
        [
            // Its price is in no table: unknown, and not zero.
            "europe-west4-b a2-ultragpu-1g on-demand 1xa100-80gb unknown 1 x NVIDIA_A100_80GB_GPUS",
            "europe-west4-b a2-ultragpu-1g spot 1xa100-80gb unknown 1 x PREEMPTIBLE_NVIDIA_A100_80GB_GPUS",
            "europe-west4-b a2-ultragpu-8g on-demand 8xa100-80gb 40.55 USD 8 x NVIDIA_A100_80GB_GPUS",
            "europe-west4-b a2-ultragpu-8g spot 8xa100-80gb 20.27 USD 8 x PREEMPTIBLE_NVIDIA_A100_80GB_GPUS",
        ]
    );
    assert_eq!(
        shown_all(&rig, with("h100", 8).with_regions([region("europe-west4")])).await,
        [
            // A part of an A3 is not sold on demand, and the quota of H100s on demand is not told.
            "europe-west4-b a3-highgpu-1g spot 1xh100 unknown 1 x PREEMPTIBLE_NVIDIA_H100_GPUS",
            "europe-west4-b a3-highgpu-8g on-demand 8xh100 unknown",
            "europe-west4-b a3-highgpu-8g spot 8xh100 unknown 8 x PREEMPTIBLE_NVIDIA_H100_GPUS",
        ]
    );
}

#[tokio::test]
async fn devices_are_added_where_the_zone_has_them() {
    let rig = StubRig::start(None).await;
    assert_eq!(
        shown_all(&rig, with("t4", 2)).await,
        [
            "us-central1-a n1-standard-8.nvidia-tesla-t4.2 on-demand 2xt4 unknown 2 x NVIDIA_T4_GPUS",
            "us-central1-a n1-standard-8.nvidia-tesla-t4.2 spot 2xt4 unknown 2 x PREEMPTIBLE_NVIDIA_T4_GPUS",
        ]
    );
    let plain =
        quote(&rig, ResourceRequest::new("x").add_cpu(2).with_regions([region("europe-west4")])).await;
    let names: Vec<&str> = plain.iter().map(|offer| offer.instance_type.as_str()).collect();
    assert_eq!(names.len(), 4, "{names:?}: by spot and on demand");
    assert!(
        names.iter().all(|name| ["n1-standard-8", "n2-standard-2"].contains(name)),
        "and no share of a CPU: {names:?}"
    );
}

#[tokio::test]
async fn what_the_request_narrows_is_not_even_asked_for() {
    let rig = StubRig::start(None).await;
    assert_eq!(quote(&rig, with("h100", 8).with_regions([Region::parse("asia-east1").unwrap()])).await, []);
    assert_eq!(quote(&rig, with("h100", 8).with_providers([ProviderId::parse("aws").unwrap()])).await, []);
    assert_eq!(rig.stub.cloud().calls.len(), 0);
    let spot = quote(&rig, with("h100", 8).with_kinds([OfferKind::Spot])).await;
    assert!(!spot.is_empty() && spot.iter().all(|offer| offer.kind == OfferKind::Spot));
}

#[tokio::test]
async fn types_are_asked_for_by_name_and_pages_are_read_to_the_end() {
    let rig = StubRig::start(None).await;
    rig.offers().await;
    let cloud = rig.stub.cloud();
    let call = cloud.calls.iter().find(|call| call.action == "machineTypes.aggregatedList").unwrap();
    assert_eq!(call.asked("filter").matches("name = ").count(), 7, "{}", call.asked("filter"));
    assert_eq!(cloud.count("machineTypes.aggregatedList"), 5, "21 entries, 5 on a page");
}

#[tokio::test]
async fn a_spot_price_is_what_the_source_says_in_each_zone() {
    let rig = StubRig::start(None).await;
    let answer = rig.provider.check_spot_prices("a2-ultragpu-8g", "us-central1").await.unwrap();
    let shown: Vec<String> =
        answer.prices.iter().map(|point| format!("{} {}", point.zone, point.price.0)).collect();
    assert_eq!(shown, ["us-central1-a 20.27 USD", "us-central1-c 20.27 USD"]);
    assert_eq!(rig.provider.check_spot_prices("a3-highgpu-8g", "us-central1").await.unwrap().prices, []);
    for (instance_type, place) in
        [("a3 x", "us-central1"), ("a3.x", "us-central1"), ("a3-highgpu-8g", "asia-east1"), ("", "")]
    {
        assert!(
            rig.provider.check_spot_prices(instance_type, place).await.is_err(),
            "{instance_type} {place}"
        );
    }
}

#[tokio::test]
async fn quotas_are_devices_by_model_and_region_and_one_for_all_regions() {
    let rig = StubRig::start(Some(OfferKind::Spot)).await;
    rig.stub.cloud().limits.insert("PREEMPTIBLE_NVIDIA_A100_80GB_GPUS".to_owned(), 16);
    rig.stub.cloud().limits.insert("GPUS_ALL_REGIONS".to_owned(), 64);
    let mut spec = rig.spec(1, 2).await;
    rig.provider.provision(&spec).await.unwrap();
    let quotas = rig.provider.quotas().await.unwrap();
    let of = |place: &str| -> Vec<String> {
        let here = quotas.iter().filter(|quota| quota.region.as_str() == place);
        here.map(|quota| format!("{} {} of {}", quota.family, quota.used, quota.limit)).collect()
    };
    let used = spec.offer.region.to_string();
    assert!(of(&used).contains(&"PREEMPTIBLE_NVIDIA_A100_80GB_GPUS 16 of 16".to_owned()), "{:?}", of(&used));
    assert_eq!(of("global"), ["GPUS_ALL_REGIONS 16 of 64"]);
    assert_eq!(of(&used).len(), 5, "gigabytes of disks are no machines: {:?}", of(&used));
    assert!(of("us-east1").is_empty(), "a region that is not rented in");
    // The region has room, the project has not: no other region is left to try.
    rig.stub.cloud().limits.insert("GPUS_ALL_REGIONS".to_owned(), 16);
    rig.stub.cloud().limits.remove("PREEMPTIBLE_NVIDIA_A100_80GB_GPUS");
    spec = rig.spec(2, 1).await;
    let error = rig.provider.provision(&spec).await.unwrap_err();
    assert_eq!(
        (error.kind, error.scope),
        (hpc_provider::ErrorKind::Quota, hpc_provider::Scope::Account),
        "{error}"
    );
}
