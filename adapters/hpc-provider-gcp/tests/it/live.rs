//! A live project: one `n1-standard-1` is quoted, created, created again by the same intent, found by its labels, and ended.
//!
//! Costs about a US cent, so it runs only with `HPC_LIVE_GCP=1`; `HPC_LIVE_GCP_PROJECT` and `HPC_LIVE_GCP_REGION` say where,
//! `HPC_LIVE_GCP_IMAGE` of what, and the credential comes from the SDK's chain. The gate never sets them. See the README for
//! the rights it needs.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use hpc_provider::{
    CapacityProvider, InstanceState, NoBoot, Observe, ProvisionSpec, QuoteRequest, TAG_INTENT, TAG_OWNER,
};
use hpc_provider_gcp::{GcpConfig, GcpProvider, PriceTable, RegionConfig};
use hpc_resources::{InstanceType, OfferKind, ProviderId, ResourceRequest};
use jiff::Timestamp;

use crate::rig::{region, spec};

/// What is rented: small, and with whole CPUs.
const TYPE: &str = "n1-standard-1";
/// How often the end is looked for, every [`LOOK`].
const LOOKS_MAX: u32 = 60;
/// How often it is looked for after an error: for two minutes, as long as a list may hide what was created.
const LOOKS_AFTER_ERROR: u32 = 24;
/// How long between two looks: it takes about a minute to end an instance.
const LOOK: Duration = Duration::from_secs(5);

#[expect(clippy::disallowed_methods, reason = "a real cloud has a real clock")]
fn now() -> Timestamp {
    Timestamp::now()
}

#[tokio::test]
async fn one_small_instance_comes_and_goes() {
    if std::env::var("HPC_LIVE_GCP").as_deref() != Ok("1") {
        println!("skipped: HPC_LIVE_GCP is not set");
        return;
    }
    let told = |name: &str| std::env::var(name).unwrap_or_else(|_| panic!("{name} must be set"));
    // In a reservation that the README says how to make, if it is told so.
    let reservations = std::env::var("HPC_LIVE_GCP_RESERVATIONS").as_deref() == Ok("1");
    let kind = if reservations { OfferKind::Reserved } else { OfferKind::OnDemand };
    let config = GcpConfig::new(
        ProviderId::parse("gcp").unwrap(),
        told("HPC_LIVE_GCP_PROJECT"),
        told("HPC_LIVE_GCP_IMAGE"),
        vec![RegionConfig::new(region(&told("HPC_LIVE_GCP_REGION")))],
        BTreeSet::from([InstanceType::parse(TYPE).unwrap()]),
    );
    let config = GcpConfig { reservations, ..config };
    // No price is needed to try the create: the broker is what never buys without one.
    let prices = Arc::new(PriceTable::default());
    let provider = GcpProvider::connect(config, prices, Arc::new(NoBoot), Arc::new(now)).await.unwrap();

    let request = ResourceRequest::new("live").add_cpu(1).with_kinds([kind]).build().unwrap();
    let quote = provider.get_quote(&QuoteRequest { request, now: now() }).await.unwrap();
    let offer = quote.offers.into_iter().next().expect("an offer of n1-standard-1");
    let mut spec = spec(offer, now().as_nanosecond().unsigned_abs(), 1, now());
    let owner = format!("hpcd-live-{}", spec.intent);
    spec.tags.insert(TAG_OWNER.to_owned(), owner.clone());

    // Whatever was created is ended before anything is judged.
    let said = there_and_again(&provider, &spec).await;
    let looks_min = if said.is_ok() { 0 } else { LOOKS_AFTER_ERROR };
    let (mut seen, mut left) = (false, Vec::new());
    for look in 0..LOOKS_MAX {
        left = by_intent(&provider, &spec).await;
        seen |= !left.is_empty();
        for state in &left {
            println!("{}: {:?}, {:?}", state.handle.id, state.phase, provider.release(&state.handle).await);
        }
        if left.is_empty() && look >= looks_min && (seen || said.is_err()) {
            break;
        }
        tokio::time::sleep(LOOK).await;
    }
    assert!(left.is_empty(), "END THIS BY HAND: {left:?}");
    assert!(seen || said.is_err(), "NOT SEEN, LOOK BY HAND for the label hpc-owner={owner}");
    assert_eq!(provider.list_owned(&owner, None).await.unwrap().instances, []);
    assert_eq!(provider.unknown_codes(), [].into());
    said.unwrap();
}

/// Creates, twice by one intent.
async fn there_and_again(provider: &GcpProvider, spec: &ProvisionSpec) -> Result<(), String> {
    let first = provider.provision(spec).await.map_err(|error| format!("create: {error}"))?;
    let again = provider.provision(spec).await.map_err(|error| format!("create again: {error}"))?;
    if first.handles != again.handles || !again.replayed {
        return Err(format!("two creates of one intent: {first:?}, {again:?}"));
    }
    Ok(())
}

async fn by_intent(provider: &GcpProvider, spec: &ProvisionSpec) -> Vec<InstanceState> {
    let what = Observe::Tag { key: TAG_INTENT.to_owned(), value: spec.intent.to_string() };
    provider.observe(&what).await.unwrap()
}
