//! Deadlines and retries, on a paused clock.

use std::collections::VecDeque;
use std::future::pending;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use hpc_layers::{Deadline, Limits, RetryPolicy, Retrying};
use hpc_provider::{
    CapacityProvider, Certainty, Description, ErrorKind, InstanceHandle, Observe, OwnedPage, ProviderError,
    ProvisionResult, ProvisionSpec, Quote, QuoteRequest, Released, Result, Scope, SpotPrices, Supports,
    Token,
};
use hpc_resources::{
    Bytes, InstanceType, IntentId, LeaseId, MilliCpu, Money, Offer, OfferKind, PerInstanceHour, ProviderId,
    Region, ResourceRequest, StockHint, ZoneId,
};
use jiff::Timestamp;
use tokio::time::Instant;

/// What one call does.
#[derive(Clone, Debug)]
pub(crate) enum Answer {
    Works,
    Hangs,
    Fails(ErrorKind, Certainty, Option<u64>),
}
use Answer::{Fails, Hangs, Works};

/// Plays answers in order, then works; counts the calls.
pub(crate) struct Scripted {
    answers: Mutex<VecDeque<Answer>>,
    calls: Mutex<u32>,
    idempotent: bool,
}

impl Scripted {
    pub(crate) fn new(answers: &[Answer]) -> Arc<Self> {
        let answers = Mutex::new(answers.iter().cloned().collect());
        Arc::new(Self { answers, calls: Mutex::new(0), idempotent: true })
    }

    pub(crate) fn calls(&self) -> u32 {
        *self.calls.lock().unwrap()
    }

    async fn next<T>(&self, good: T) -> Result<T> {
        *self.calls.lock().unwrap() += 1;
        let answer = self.answers.lock().unwrap().pop_front();
        match answer.unwrap_or(Works) {
            Works => Ok(good),
            Hangs => pending().await,
            Fails(kind, certainty, wait) => {
                let error = ProviderError::new(kind, Scope::Zone, certainty, "code", "message");
                Err(wait.map_or(error.clone(), |wait| error.retry_after_ms(wait)))
            }
        }
    }
}

#[async_trait]
impl CapacityProvider for Scripted {
    async fn get_quote(&self, request: &QuoteRequest) -> Result<Quote> {
        let provider = self.describe().provider;
        self.next(Quote {
            provider,
            snapshot: String::new(),
            as_of: request.now,
            offers: vec![],
            truncated: false,
        })
        .await
    }
    async fn provision(&self, _: &ProvisionSpec) -> Result<ProvisionResult> {
        self.next(ProvisionResult { handles: vec![], replayed: false, simulated: true }).await
    }
    async fn check_spot_prices(&self, _: &str, _: &str) -> Result<SpotPrices> {
        self.next(()).await.and(Err(ProviderError::unsupported("check_spot_prices")))
    }
    fn describe(&self) -> Description {
        Description {
            provider: ProviderId::parse("scripted").unwrap(),
            supports: Supports { idempotent_create: self.idempotent, ..Supports::default() },
            consistency_ms: 0,
            clock_skew_ms: 0,
            simulated: true,
        }
    }
    async fn observe(&self, _: &Observe) -> Result<Vec<hpc_provider::InstanceState>> {
        self.next(vec![]).await
    }
    async fn release(&self, _: &InstanceHandle) -> Result<Released> {
        self.next(Released::Released).await
    }
    async fn list_owned(&self, _: &str, _: Option<String>) -> Result<OwnedPage> {
        self.next(OwnedPage { instances: vec![], next: None, complete: true }).await
    }
    async fn quotas(&self) -> Result<Vec<hpc_provider::QuotaStatus>> {
        self.next(vec![]).await
    }
    async fn interruptions(&self, _: Option<String>) -> Result<hpc_provider::InterruptionPage> {
        self.next(hpc_provider::InterruptionPage { events: vec![], cursor: String::new() }).await
    }
}

pub(crate) fn spec() -> ProvisionSpec {
    let (intent, lease) = (IntentId::from_bits(1), LeaseId::from_bits(1));
    let price = PerInstanceHour(Money::ZERO_USD);
    let offer = Offer {
        provider: ProviderId::parse("scripted").unwrap(),
        region: Region::parse("r").unwrap(),
        zone: ZoneId::parse("z").unwrap(),
        instance_type: InstanceType::parse("t").unwrap(),
        kind: OfferKind::Spot,
        accelerators: None,
        cpu: MilliCpu(1_000),
        memory: Bytes(1),
        price: Some(price),
        as_of: Timestamp::UNIX_EPOCH,
        snapshot: String::new(),
        stock: StockHint::Unknown,
        quota: None,
        start_delay_s: 0,
        reclaim_bp_per_hour: 0,
        simulated: true,
        reservation: None,
        run_max_s: None,
    };
    ProvisionSpec {
        token: Token::derive(&intent, 1, &offer.provider, &offer.region, &offer.zone),
        intent,
        lease,
        offer,
        price,
        instances: 1,
        tags: std::collections::BTreeMap::new(),
        price_ceiling: None,
        user_data_ref: None,
        deadline: Timestamp::MAX,
    }
}

pub(crate) fn handle() -> InstanceHandle {
    InstanceHandle {
        provider: ProviderId::parse("scripted").unwrap(),
        region: Region::parse("r").unwrap(),
        id: "i".to_owned(),
    }
}

pub(crate) fn request() -> QuoteRequest {
    QuoteRequest {
        request: ResourceRequest::new("t").add_cpu(1).build().unwrap(),
        now: Timestamp::UNIX_EPOCH,
    }
}

fn retrying(inner: Arc<Scripted>) -> Retrying<Arc<Scripted>> {
    Retrying::new(inner, RetryPolicy::default(), 7)
}

#[tokio::test(start_paused = true)]
async fn a_hung_call_ends_and_says_what_is_known() {
    let inner = Scripted::new(&[Hangs, Hangs, Hangs, Hangs, Hangs, Hangs, Hangs, Hangs]);
    let limits = Limits::default();
    let wrapped = Deadline::new(Arc::clone(&inner), limits);
    let begin = Instant::now();
    let errors = [
        (wrapped.provision(&spec()).await.err(), Certainty::Unknown),
        (wrapped.release(&handle()).await.err(), Certainty::Unknown),
        (wrapped.get_quote(&request()).await.err(), Certainty::NotDone),
        (wrapped.observe(&Observe::Handles(vec![])).await.err(), Certainty::NotDone),
        (wrapped.list_owned("o", None).await.err(), Certainty::NotDone),
        (wrapped.quotas().await.err(), Certainty::NotDone),
        (wrapped.interruptions(None).await.err(), Certainty::NotDone),
        (wrapped.check_spot_prices("t", "r").await.err(), Certainty::NotDone),
    ];
    for (error, certainty) in errors {
        let error = error.expect("ended");
        assert_eq!((error.kind, error.certainty), (ErrorKind::Deadline, certainty));
    }
    assert_eq!(begin.elapsed(), limits.create + limits.release + limits.read * 6);
    assert!(wrapped.provision(&spec()).await.is_ok(), "what answers in time is let through");
}

#[tokio::test(start_paused = true)]
async fn what_may_pass_is_tried_again_and_what_may_not_is_not() {
    use Certainty::{Done, NotDone, Unknown};
    use ErrorKind as K;
    // (failure, read again, create again, release again)
    for (kind, certainty, read, create, release) in [
        (K::Throttled, NotDone, true, true, true),
        (K::Deadline, Unknown, true, true, true),
        (K::Internal, Unknown, true, true, true),
        (K::Internal, NotDone, true, false, true),
        (K::Deadline, NotDone, true, false, true),
        (K::Internal, Done, true, false, true),
        (K::Capacity, NotDone, false, false, false),
        (K::Quota, NotDone, false, false, false),
        (K::Config, NotDone, false, false, false),
        (K::Auth, NotDone, false, false, false),
        (K::NotFound, NotDone, false, false, false),
        (K::Conflict, NotDone, false, false, false),
        (K::Unsupported, NotDone, false, false, false),
    ] {
        let fails = [Fails(kind, certainty, None)];
        let tried = |again: bool| if again { 2 } else { 1 };
        let inner = Scripted::new(&fails);
        assert_eq!(retrying(Arc::clone(&inner)).get_quote(&request()).await.is_ok(), read, "{kind:?}");
        assert_eq!(inner.calls(), tried(read));
        let inner = Scripted::new(&fails);
        assert_eq!(
            retrying(Arc::clone(&inner)).provision(&spec()).await.is_ok(),
            create,
            "{kind:?} {certainty:?}"
        );
        assert_eq!(inner.calls(), tried(create));
        let inner = Scripted::new(&fails);
        assert_eq!(retrying(Arc::clone(&inner)).release(&handle()).await.is_ok(), release, "{kind:?}");
        assert_eq!(inner.calls(), tried(release));
    }
}

#[tokio::test(start_paused = true)]
async fn without_idempotent_creates_a_create_is_made_once() {
    let answers = Mutex::new([Fails(ErrorKind::Throttled, Certainty::NotDone, None)].into());
    let inner = Arc::new(Scripted { answers, calls: Mutex::new(0), idempotent: false });
    retrying(Arc::clone(&inner)).provision(&spec()).await.unwrap_err();
    assert_eq!(inner.calls(), 1);
}

/// The first attempt may still have arrived: a stock-out of the second does not prove that nothing exists.
#[tokio::test(start_paused = true)]
async fn an_unknown_attempt_is_never_explained_away() {
    let inner = Scripted::new(&[
        Fails(ErrorKind::Deadline, Certainty::Unknown, None),
        Fails(ErrorKind::Capacity, Certainty::NotDone, None),
    ]);
    let error = retrying(inner).provision(&spec()).await.unwrap_err();
    assert_eq!((error.kind, error.certainty), (ErrorKind::Capacity, Certainty::Unknown));
    let inner = Scripted::new(&[
        Fails(ErrorKind::Deadline, Certainty::Unknown, None),
        Fails(ErrorKind::Config, Certainty::Done, None),
    ]);
    assert_eq!(retrying(inner).provision(&spec()).await.unwrap_err().certainty, Certainty::Done);
}

#[tokio::test(start_paused = true)]
async fn attempts_and_waits_are_bounded() {
    let always: Vec<Answer> = vec![Fails(ErrorKind::Throttled, Certainty::NotDone, None); 100];
    let inner = Scripted::new(&always);
    let begin = Instant::now();
    retrying(Arc::clone(&inner)).quotas().await.unwrap_err();
    assert_eq!(inner.calls(), 4);
    assert!(begin.elapsed() <= Duration::from_millis(200 + 400 + 800 + 3), "{:?}", begin.elapsed());
    for (attempts, made) in [(0, 1), (1, 1), (1_000_000, 16)] {
        let inner = Scripted::new(&always);
        let policy = RetryPolicy { attempts, ..RetryPolicy::default() };
        Retrying::new(Arc::clone(&inner), policy, 1).quotas().await.unwrap_err();
        assert_eq!(inner.calls(), made);
    }
}

#[tokio::test(start_paused = true)]
async fn retry_after_is_honoured_up_to_a_limit() {
    let wait = |ms| Scripted::new(&[Fails(ErrorKind::Throttled, Certainty::NotDone, Some(ms))]);
    let begin = Instant::now();
    retrying(wait(9_000)).quotas().await.unwrap();
    assert!(begin.elapsed() >= Duration::from_secs(9));
    let inner = wait(11_000);
    retrying(Arc::clone(&inner)).quotas().await.unwrap_err();
    assert_eq!(inner.calls(), 1, "who asks for more than is allowed is not asked again");
}

#[tokio::test(start_paused = true)]
async fn the_waits_come_from_the_seed() {
    let elapsed = async |seed| {
        let inner = Scripted::new(&vec![Fails(ErrorKind::Throttled, Certainty::NotDone, None); 3]);
        let begin = Instant::now();
        Retrying::new(inner, RetryPolicy::default(), seed).quotas().await.unwrap();
        begin.elapsed()
    };
    assert_eq!(elapsed(7).await, elapsed(7).await);
    assert_ne!(elapsed(7).await, elapsed(8).await);
}

#[tokio::test(start_paused = true)]
async fn a_hung_create_is_found_again_by_its_token() {
    let inner = Scripted::new(&[Hangs]);
    let wrapped =
        Retrying::new(Deadline::new(Arc::clone(&inner), Limits::default()), RetryPolicy::default(), 7);
    wrapped.provision(&spec()).await.unwrap();
    assert_eq!(inner.calls(), 2);
    assert_eq!(wrapped.describe(), inner.describe());
}
