//! The vocabulary of the port, and what a provider with the least it must have answers.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

use std::collections::BTreeSet;
use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use async_trait::async_trait;
use hpc_provider::*;
use hpc_resources::{IntentId, ProviderId, Region, ZoneId};

/// The specification's `AwsProvider`: three methods, and nothing else.
struct AwsProvider;

#[async_trait]
impl CapacityProvider for AwsProvider {
    async fn get_quote(&self, request: &QuoteRequest) -> Result<Quote> {
        let _ = request;
        Err(ProviderError::unsupported("get_quote"))
    }

    async fn provision(&self, spec: &ProvisionSpec) -> Result<ProvisionResult> {
        let _ = spec;
        Err(ProviderError::unsupported("provision"))
    }

    async fn check_spot_prices(&self, instance_type: &str, region: &str) -> Result<SpotPrices> {
        let _ = (instance_type, region);
        Err(ProviderError::unsupported("check_spot_prices"))
    }
}

/// Runs a future that never waits.
fn now<T>(future: impl Future<Output = T>) -> T {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(value) => value,
        Poll::Pending => panic!("a default method waits for nothing"),
    }
}

fn token(intent: u128, attempt: u32, place: [&str; 3]) -> Token {
    let [provider, region, zone] = place;
    Token::derive(
        &IntentId::from_bits(intent),
        attempt,
        &ProviderId::parse(provider).unwrap(),
        &Region::parse(region).unwrap(),
        &ZoneId::parse(zone).unwrap(),
    )
}

#[test]
fn three_methods_are_enough_and_the_rest_says_unsupported() {
    let provider: Arc<dyn CapacityProvider> = Arc::new(AwsProvider);
    let handle = InstanceHandle {
        provider: ProviderId::parse("aws").unwrap(),
        region: Region::parse("us-east-1").unwrap(),
        id: "i-1".to_owned(),
    };
    let errors = [
        now(provider.check_spot_prices("p5.48xlarge", "us-east-1")).err(),
        now(provider.observe(&Observe::Handles(vec![]))).err(),
        now(provider.release(&handle)).err(),
        now(provider.list_owned("me", None)).err(),
        now(provider.quotas()).err(),
        now(provider.interruptions(None)).err(),
    ];
    for error in errors {
        let error = error.expect("unsupported");
        assert_eq!((error.kind, error.certainty), (ErrorKind::Unsupported, Certainty::NotDone));
        assert!(!error.is_retriable());
    }
    let description = provider.describe();
    assert_eq!(description.supports, Supports::default());
    assert_eq!(
        description.supports.missing_to_create(),
        ["provision", "idempotent_create", "observe", "release", "list_owned"]
    );
}

#[test]
fn a_create_is_safe_only_with_all_five() {
    let all = Supports {
        provision: true,
        idempotent_create: true,
        observe: true,
        release: true,
        list_owned: true,
        ..Supports::default()
    };
    assert!(all.safe_to_create());
    for (without, missing) in [
        (Supports { provision: false, ..all.clone() }, "provision"),
        (Supports { idempotent_create: false, ..all.clone() }, "idempotent_create"),
        (Supports { observe: false, ..all.clone() }, "observe"),
        (Supports { release: false, ..all.clone() }, "release"),
        (Supports { list_owned: false, ..all.clone() }, "list_owned"),
    ] {
        assert!(!without.safe_to_create());
        assert_eq!(without.missing_to_create(), [missing]);
    }
}

#[test]
fn a_token_depends_on_every_part_and_on_where_parts_end() {
    let base = token(1, 1, ["p", "r", "z"]);
    assert_eq!(base, token(1, 1, ["p", "r", "z"]));
    let all = [
        base,
        token(2, 1, ["p", "r", "z"]),
        token(1, 2, ["p", "r", "z"]),
        token(1, 1, ["q", "r", "z"]),
        token(1, 1, ["p", "s", "z"]),
        token(1, 1, ["p", "r", "y"]),
        token(1, 1, ["pr", "r", "z"]),
        token(1, 1, ["p", "rr", "z"]),
        token(1, 1, ["p", "r", "rz"]),
        token(1, 11, ["p", "r", "z"]),
    ];
    let tokens: BTreeSet<&str> = all.iter().map(Token::as_str).collect();
    let uuids: BTreeSet<String> = all.iter().map(Token::as_uuid).collect();
    assert_eq!((tokens.len(), uuids.len()), (all.len(), all.len()));
    for (token, uuid) in all.iter().map(|token| (token.as_str(), token.as_uuid())) {
        assert!(token.len() == 64 && token.bytes().all(|byte| byte.is_ascii_hexdigit()), "{token}");
        let parts: Vec<usize> = uuid.split('-').map(str::len).collect();
        assert_eq!(parts, [8, 4, 4, 4, 12], "{uuid}");
        assert_eq!((uuid.as_bytes()[14], uuid.as_bytes()[19]), (b'8', b'a'), "version 8, variant 1: {uuid}");
    }
}

#[test]
fn what_a_provider_says_is_cut_and_cleaned() {
    let hostile = format!("\u{1b}[31mno\r\n{}", "ü".repeat(1_000));
    let error = ProviderError::new(ErrorKind::Quota, Scope::Region, Certainty::NotDone, &hostile, &hostile);
    for text in [&error.code, &error.message] {
        assert!(text.len() <= PROVIDER_TEXT_BYTES_MAX && !text.chars().any(char::is_control));
        assert!(text.starts_with("[31mno"));
    }
    assert!(error.to_string().starts_with("quota exceeded (`[31mno"));
    assert!(error.to_string().ends_with("nothing was done"));
}

#[test]
fn only_what_may_pass_is_retriable() {
    use Certainty::{Done, NotDone, Unknown};
    for (kind, certainty, retriable) in [
        (ErrorKind::Throttled, NotDone, true),
        (ErrorKind::Deadline, NotDone, true),
        (ErrorKind::Internal, Unknown, true),
        (ErrorKind::Internal, NotDone, false),
        (ErrorKind::Internal, Done, false),
        (ErrorKind::Capacity, NotDone, false),
        (ErrorKind::Conflict, NotDone, false),
    ] {
        let error = ProviderError::new(kind, Scope::Zone, certainty, "c", "m").retry_after_ms(5);
        assert_eq!(error.is_retriable(), retriable, "{kind:?} {certainty:?}");
        let text = serde_json::to_string(&error).unwrap();
        assert_eq!(serde_json::from_str::<ProviderError>(&text).unwrap(), error);
    }
}

#[test]
fn only_terminated_costs_nothing() {
    use InstancePhase::{Pending, Running, Stopping, Terminated};
    assert_eq!(
        [Pending, Running, Stopping, Terminated].map(InstancePhase::is_live),
        [true, true, true, false]
    );
}
