//! A live account: one `t3.nano` is quoted, created, found by its tags, created again by the same intent, and ended.
//!
//! Costs about a US cent, so it runs only with `HPC_LIVE_AWS=1`; `AWS_REGION` and `HPC_LIVE_AWS_IMAGE` say where and of what,
//! the credential comes from the SDK's chain. The gate never sets them. See the README for the rights it needs.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use hpc_provider::{
    CapacityProvider, InstancePhase, NoBoot, Observe, ProvisionSpec, QuoteRequest, TAG_INTENT, TAG_OWNER,
};
use hpc_provider_aws::{AwsConfig, AwsPrices, AwsProvider, RegionConfig, ReservationConfig};
use hpc_resources::{InstanceType, OfferKind, ProviderId, Region, ResourceRequest};
use jiff::Timestamp;

use crate::rig::spec;

/// What is rented: the cheapest there is.
const TYPE: &str = "t3.nano";
/// How often the end is looked for, every [`LOOK`].
const LOOKS_MAX: u32 = 60;
/// How often it is looked for after an error: for two minutes, as long as EC2 may hide what was created.
const LOOKS_AFTER_ERROR: u32 = 24;
/// How long between two looks: EC2 takes about a minute to end an instance.
const LOOK: Duration = Duration::from_secs(5);

#[expect(clippy::disallowed_methods, reason = "a real cloud has a real clock")]
fn now() -> Timestamp {
    Timestamp::now()
}

#[tokio::test]
async fn one_small_instance_comes_and_goes() {
    if std::env::var("HPC_LIVE_AWS").as_deref() != Ok("1") {
        println!("skipped: HPC_LIVE_AWS is not set");
        return;
    }
    let told = |name: &str| std::env::var(name).unwrap_or_else(|_| panic!("{name} must be set"));
    let region = Region::parse(told("AWS_REGION")).unwrap();
    let mut config = AwsConfig::new(
        ProviderId::parse("aws").unwrap(),
        vec![RegionConfig::new(region, told("HPC_LIVE_AWS_IMAGE"))],
        BTreeSet::from([InstanceType::parse(TYPE).unwrap()]),
    );
    // With an account: in a reservation that it owns and that the README says how to make.
    config.reservations =
        std::env::var("HPC_LIVE_AWS_ACCOUNT").ok().map(|account| ReservationConfig { account });
    let kind = if config.reservations.is_some() { OfferKind::Reserved } else { OfferKind::OnDemand };
    let prices = AwsPrices::connect(&config, &Region::parse("us-east-1").unwrap()).await;
    let provider = AwsProvider::connect(config, Arc::new(prices), Arc::new(NoBoot), Arc::new(now));
    let provider = provider.await.unwrap();

    let request = ResourceRequest::new("live").add_cpu(1).with_kinds([kind]).build().unwrap();
    let quote = provider.get_quote(&QuoteRequest { request, now: now() }).await.unwrap();
    let offer = quote.offers.into_iter().find(|offer| offer.price.is_some()).expect("a price for t3.nano");
    println!("{} at {:?} an hour", offer.key(), offer.price);
    let number = now().as_nanosecond().unsigned_abs();
    let mut spec = spec(offer, number, 1, now());
    let owner = format!("hpcd-live-{}", spec.intent);
    spec.tags.insert(TAG_OWNER.to_owned(), owner.clone());

    // Whatever was created is ended before anything is judged. EC2 may not show it at once: after an error it is looked for
    // as long as it may take to appear.
    let said = there_and_again(&provider, &spec).await;
    let (expected, looks_min) = said.as_ref().map_or((0, LOOKS_AFTER_ERROR), |created| (*created, 0));
    let mut left = Vec::new();
    for look in 0..LOOKS_MAX {
        left = by_intent(&provider, &spec).await;
        for state in left.iter().filter(|state| state.phase.is_live()) {
            println!("{}: {:?}, {:?}", state.handle.id, state.phase, provider.release(&state.handle).await);
        }
        let all_ended = left.iter().all(|state| state.phase == InstancePhase::Terminated);
        if look >= looks_min && left.len() >= expected && all_ended {
            break;
        }
        tokio::time::sleep(LOOK).await;
    }
    assert!(left.len() >= expected, "NOT SEEN, LOOK BY HAND for the tag hpc-owner={owner}");
    assert!(left.iter().all(|state| state.phase == InstancePhase::Terminated), "END THIS BY HAND: {left:?}");
    assert_eq!(provider.list_owned(&owner, None).await.unwrap().instances, []);
    assert_eq!(provider.unknown_codes(), [].into());
    said.unwrap();
}

/// Creates, twice by one intent, and answers how many instances there are.
async fn there_and_again(provider: &AwsProvider, spec: &ProvisionSpec) -> Result<usize, String> {
    let first = provider.provision(spec).await.map_err(|error| format!("create: {error}"))?;
    let again = provider.provision(spec).await.map_err(|error| format!("create again: {error}"))?;
    if first.handles != again.handles {
        return Err(format!("two creates of one intent: {first:?}, {again:?}"));
    }
    Ok(first.handles.len())
}

async fn by_intent(provider: &AwsProvider, spec: &ProvisionSpec) -> Vec<hpc_provider::InstanceState> {
    let what = Observe::Tag { key: TAG_INTENT.to_owned(), value: spec.intent.to_string() };
    provider.observe(&what).await.unwrap()
}
