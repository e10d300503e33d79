//! Wire truth: `HPC_TEST_EC2` names an EC2 server on this machine (moto), `HPC_TEST_EC2_FAULTS` a proxy before it
//! (microburst) that answers in EC2's own error words and loses answers after the commit.
//!
//! `tests/counterparts/moto.sh` starts both. What the server does not do is not claimed here: it launches again on the same
//! token, has one spot price, and no quotas.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use hpc_provider::{
    CapacityProvider, Certainty, ErrorKind, InstancePhase, NoBoot, Observe, ProvisionSpec, QuoteRequest,
    Released, TAG_INTENT, TAG_OWNER,
};
use hpc_provider_aws::{AwsConfig, AwsProvider, OnDemandPrice, PriceTable};
use hpc_resources::{Currency, InstanceType, Money, OfferKind, PerInstanceHour};
use jiff::Timestamp;

use crate::rig::{config, eight_h100, region, spec};

static NEXT: AtomicU32 = AtomicU32::new(0);

#[expect(clippy::disallowed_methods, reason = "a real server has a real clock")]
fn now() -> Timestamp {
    Timestamp::now()
}

/// An intent of this run alone.
fn fresh() -> u128 {
    let unique = u128::from(NEXT.fetch_add(1, Ordering::Relaxed));
    (u128::from(now().as_nanosecond().unsigned_abs() as u64) << 32)
        + (u128::from(std::process::id()) << 8)
        + unique
}

fn named(variable: &str) -> Option<String> {
    let url = std::env::var(variable).ok();
    if url.is_none() {
        println!("skipped: {variable} is not set");
    }
    url
}

async fn provider(url: &str) -> AwsProvider {
    // The server reads all of its types at the first question, and this machine may be busy.
    let mut config = AwsConfig { page_instances: 5, call_timeout: Duration::from_secs(120), ..config(url) };
    // An image that moto ships with.
    config.regions[0].image = "ami-12c6146b".to_owned();
    let price = OnDemandPrice {
        price: PerInstanceHour(Money::from_nanos(55_040_000_000, Currency::USD)),
        as_of: now(),
    };
    let prices = PriceTable::default().with(region(), InstanceType::parse("p5.48xlarge").unwrap(), price);
    AwsProvider::connect(config, Arc::new(prices), Arc::new(NoBoot), Arc::new(now)).await.unwrap()
}

async fn intent(provider: &AwsProvider, kind: OfferKind, instances: u32) -> ProvisionSpec {
    let request = QuoteRequest { request: eight_h100(Some(kind)), now: now() };
    let quote = provider.get_quote(&request).await.unwrap();
    let good =
        |offer: &hpc_resources::Offer| offer.price.is_some() && offer.instance_type.as_str() == "p5.48xlarge";
    let offer = quote.offers.into_iter().find(good).expect("p5.48xlarge with a price");
    let mut spec = spec(offer, fresh(), instances, now());
    spec.tags.insert(TAG_OWNER.to_owned(), format!("suite-{}", spec.intent));
    spec
}

fn by_intent(spec: &ProvisionSpec) -> Observe {
    Observe::Tag { key: TAG_INTENT.to_owned(), value: spec.intent.to_string() }
}

/// What is created is ended, whatever a test thinks of it.
async fn clear(provider: &AwsProvider, spec: &ProvisionSpec) {
    for state in provider.observe(&by_intent(spec)).await.unwrap() {
        provider.release(&state.handle).await.unwrap();
    }
}

#[tokio::test]
async fn types_zones_and_prices_are_read_from_real_data() {
    let Some(url) = named("HPC_TEST_EC2") else { return };
    let provider = provider(&url).await;
    let request = QuoteRequest { request: eight_h100(None), now: now() };
    let quote = provider.get_quote(&request).await.unwrap();
    let p5 = quote.offers.iter().find(|offer| offer.instance_type.as_str() == "p5.48xlarge").unwrap();
    let have = p5.accelerators.unwrap();
    assert_eq!(
        (have.model.as_str(), have.count, have.memory_each.to_string().as_str()),
        ("h100", 8, "80 GiB")
    );
    assert_eq!((p5.cpu.0, p5.memory.to_string().as_str()), (192_000, "2 TiB"));
    assert!(quote.offers.iter().all(|offer| offer.zone.as_str().starts_with("use1-az")), "zones are ids");
    assert!(quote.offers.iter().all(|offer| offer.accelerators.unwrap().count > 0));
    let prices = provider.check_spot_prices("p5.48xlarge", "us-east-1").await.unwrap();
    // The server's one price, of 2006: an answer that the format allows, and no truth about prices.
    assert!(prices.prices.iter().all(|point| point.price.0.to_string() == "0.00001 USD"), "{prices:?}");
}

#[tokio::test]
async fn instances_go_their_whole_way_with_their_tags() {
    let Some(url) = named("HPC_TEST_EC2") else { return };
    let provider = provider(&url).await;
    for kind in [OfferKind::OnDemand, OfferKind::Spot] {
        let spec = intent(&provider, kind, 7).await;
        let handles = provider.provision(&spec).await.unwrap().handles;
        assert_eq!(handles.len(), 7);
        let states = provider.observe(&Observe::Handles(handles.clone())).await.unwrap();
        assert_eq!(states.len(), 7);
        for state in &states {
            assert_eq!((&state.tags, &state.zone, state.kind), (&spec.tags, &spec.offer.zone, kind));
            assert!(state.phase.is_live() && state.ended_at.is_none());
        }
        // The server's page is of five reservations: this one and five more are two pages.
        let owner = &spec.tags[TAG_OWNER];
        let mut others = Vec::new();
        for _ in 0..5 {
            let mut other = intent(&provider, kind, 1).await;
            other.tags.insert(TAG_OWNER.to_owned(), owner.clone());
            provider.provision(&other).await.unwrap();
            others.push(other);
        }
        let first = provider.list_owned(owner, None).await.unwrap();
        assert!(first.next.is_some() && first.complete);
        let second = provider.list_owned(owner, first.next).await.unwrap();
        assert_eq!((first.instances.len() + second.instances.len(), second.next), (12, None));
        for other in &others {
            clear(&provider, other).await;
        }
        // Found by looking, on a server that launches again on the same token.
        let again = provider.provision(&spec).await.unwrap();
        assert!(again.replayed && again.handles.len() == 7);
        for handle in &handles {
            assert_ne!(provider.release(handle).await.unwrap(), Released::AlreadyGone);
            provider.release(handle).await.unwrap();
        }
        for state in provider.observe(&by_intent(&spec)).await.unwrap() {
            assert_eq!(state.phase, InstancePhase::Terminated);
            assert!(state.ended_at.unwrap() >= state.launched_at && !state.reclaimed);
        }
        assert_eq!(provider.list_owned(owner, None).await.unwrap().instances, []);
    }
    let mut gone = intent(&provider, OfferKind::OnDemand, 1).await.offer;
    gone.region = region();
    let handle = hpc_provider::InstanceHandle {
        provider: gone.provider,
        region: gone.region,
        id: "i-00000000000000000".to_owned(),
    };
    assert_eq!(provider.release(&handle).await, Ok(Released::AlreadyGone));
}

#[tokio::test]
async fn an_image_that_is_not_there_is_refused_before_anything_exists() {
    let Some(url) = named("HPC_TEST_EC2") else { return };
    let good = provider(&url).await;
    let spec = intent(&good, OfferKind::OnDemand, 1).await;
    let mut wrong = config(&url);
    wrong.regions[0].image = "ami-0ffffffffffffffff".to_owned();
    let provider =
        AwsProvider::connect(wrong, Arc::new(PriceTable::default()), Arc::new(NoBoot), Arc::new(now))
            .await
            .unwrap();
    let error = provider.provision(&spec).await.unwrap_err();
    assert_eq!((error.kind, error.certainty), (ErrorKind::Config, Certainty::NotDone), "{error}");
    assert_eq!(good.observe(&by_intent(&spec)).await.unwrap(), []);
}

/// A page of HTML with status 500 is what this server answers for what it does not have.
#[tokio::test]
async fn what_the_server_does_not_have_is_an_error_and_no_panic() {
    let Some(url) = named("HPC_TEST_EC2") else { return };
    let provider = provider(&url).await;
    if let Err(error) = provider.quotas().await {
        assert_eq!(error.certainty, Certainty::NotDone, "{error}");
    }
    let page = provider.interruptions(None).await.unwrap();
    assert!(page.events.is_empty());
}

/// One rule of the proxy, which must have fired when the call returns.
async fn rule(proxy: &str, rule: &str) {
    let reply = http(proxy, "PATCH", "/_microburst/rules", &format!("[{rule}]")).await;
    assert!(reply.starts_with("HTTP/1.1 2"), "{reply}");
}

async fn http(proxy: &str, method: &str, path: &str, body: &str) -> String {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let address = proxy.strip_prefix("http://").unwrap();
    let mut stream = tokio::net::TcpStream::connect(address).await.unwrap();
    let head = format!(
        "{method} {path} HTTP/1.1\r\nhost: {address}\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\
         connection: close\r\n\r\n{body}",
        body.len()
    );
    stream.write_all(head.as_bytes()).await.unwrap();
    let mut reply = String::new();
    stream.read_to_string(&mut reply).await.unwrap();
    reply
}

/// One test, because the proxy's rules are shared by whoever talks through it.
#[tokio::test]
async fn faults_in_ec2s_own_words_and_an_answer_lost_after_the_commit() {
    let Some(proxy) = named("HPC_TEST_EC2_FAULTS") else { return };
    let provider = provider(&proxy).await;
    let spec = intent(&provider, OfferKind::OnDemand, 1).await;
    // An empty list means all of them.
    let cleared = http(&proxy, "DELETE", "/_microburst/rules", "[]").await;
    assert!(cleared.starts_with("HTTP/1.1 2"), "{cleared}");
    for (code, status, kind) in [
        ("InsufficientInstanceCapacity", 500, ErrorKind::Capacity),
        ("RequestLimitExceeded", 503, ErrorKind::Throttled),
    ] {
        let text = format!(
            r#"{{"service":"ec2","operation":"RunInstances","times":1,"error":{{"code":"{code}","status":{status}}}}}"#
        );
        rule(&proxy, &text).await;
        let error = provider.provision(&spec).await.unwrap_err();
        assert_eq!((error.kind, error.certainty, error.code.as_str()), (kind, Certainty::NotDone, code));
        assert_eq!(provider.observe(&by_intent(&spec)).await.unwrap(), [], "{code}: nothing was done");
    }
    let lost = r#"{"service":"ec2","operation":"RunInstances","times":1,"response":{"abort_frac":0.3}}"#;
    rule(&proxy, lost).await;
    let error = provider.provision(&spec).await.unwrap_err();
    assert_eq!(error.certainty, Certainty::Unknown, "{error}");
    let found = provider.observe(&by_intent(&spec)).await.unwrap();
    assert_eq!(found.len(), 1, "it was created, and is found by its tag");
    let again = provider.provision(&spec).await.unwrap();
    assert!(again.replayed);
    assert_eq!(again.handles, [found[0].handle.clone()]);
    let lost =
        r#"{"service":"ec2","operation":"TerminateInstances","times":1,"response":{"abort_frac":0.3}}"#;
    rule(&proxy, lost).await;
    let error = provider.release(&again.handles[0]).await.unwrap_err();
    assert_eq!(error.certainty, Certainty::Unknown, "{error}");
    assert_eq!(provider.observe(&by_intent(&spec)).await.unwrap()[0].phase, InstancePhase::Terminated);
    let fired = http(&proxy, "GET", "/_microburst/fired", "").await;
    for operation in ["RunInstances", "TerminateInstances"] {
        assert!(fired.contains(operation), "a fault that did not fire tests nothing: {fired}");
    }
    clear(&provider, &spec).await;
}
