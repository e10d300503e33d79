//! Kept offers: how old, asked for how often, and outdated by what. Time comes with the request; nothing waits.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use hpc_layers::{Answered, Cached, CatalogMeter, Keep};
use hpc_provider::{
    CapacityProvider, Certainty, Description, ErrorKind, Offered, PriceSource, ProviderError,
    ProvisionResult, ProvisionSpec, Quote, QuoteRequest, Released, Result, Scope, SpotPrices,
};
use hpc_resources::{InstanceType, Offer, ResourceRequest, StockHint};
use jiff::Timestamp;
use tokio::sync::Semaphore;

use crate::wrappers::{handle, request, spec};

/// Offers one machine, as many as it was asked; each answer needs a permit.
struct Shop {
    asked: Mutex<u32>,
    fails: Mutex<VecDeque<ErrorKind>>,
    permits: Semaphore,
}

impl Shop {
    fn open() -> Arc<Self> {
        Self::with_permits(Semaphore::MAX_PERMITS)
    }

    fn with_permits(permits: usize) -> Arc<Self> {
        Arc::new(Self { asked: Mutex::default(), fails: Mutex::default(), permits: Semaphore::new(permits) })
    }

    fn asked(&self) -> u32 {
        *self.asked.lock().unwrap()
    }

    fn fail_next(&self, kind: ErrorKind) {
        self.fails.lock().unwrap().push_back(kind);
    }

    fn answer<T>(&self, good: T) -> Result<T> {
        match self.fails.lock().unwrap().pop_front() {
            Some(kind) => Err(ProviderError::new(kind, Scope::Zone, Certainty::NotDone, "code", "message")),
            None => Ok(good),
        }
    }
}

fn offer() -> Offer {
    Offer { stock: StockHint::Likely, ..spec().offer }
}

#[async_trait]
impl CapacityProvider for Shop {
    async fn get_quote(&self, request: &QuoteRequest) -> Result<Quote> {
        *self.asked.lock().unwrap() += 1;
        let number = self.asked();
        self.permits.acquire().await.unwrap().forget();
        self.answer(Quote {
            provider: offer().provider,
            snapshot: format!("{number}"),
            as_of: request.now,
            offers: vec![offer(); 2],
            truncated: false,
        })
    }
    async fn provision(&self, _: &ProvisionSpec) -> Result<ProvisionResult> {
        self.answer(ProvisionResult { handles: vec![], replayed: false, simulated: true })
    }
    async fn check_spot_prices(&self, _: &str, _: &str) -> Result<SpotPrices> {
        Err(ProviderError::unsupported("check_spot_prices"))
    }
    async fn release(&self, _: &hpc_provider::InstanceHandle) -> Result<Released> {
        Ok(Released::InProgress)
    }
    fn describe(&self) -> Description {
        Description {
            provider: offer().provider,
            supports: hpc_provider::Supports::default(),
            consistency_ms: 7,
            clock_skew_ms: 0,
            simulated: true,
        }
    }
    fn price_sources(&self) -> Vec<PriceSource> {
        let (as_of, name, hash) = (Timestamp::UNIX_EPOCH, "list".to_owned(), "h".to_owned());
        vec![PriceSource { name, hash, as_of, unknown_from: None, priced: 1, refused: 0, trouble: None }]
    }
}

/// Keeps what it is told.
#[derive(Default)]
struct Told(Mutex<Vec<(Answered, Option<u64>)>>);

impl CatalogMeter for Told {
    fn answered(&self, how: Answered, age: Option<Duration>) {
        self.0.lock().unwrap().push((how, age.map(|age| age.as_secs())));
    }
}

struct Rig {
    shop: Arc<Shop>,
    told: Arc<Told>,
    cached: Cached<Arc<Shop>, Arc<Told>>,
}

impl Rig {
    fn new(shop: Arc<Shop>, keep: Keep) -> Self {
        let told = Arc::new(Told::default());
        Self { cached: Cached::new(Arc::clone(&shop), keep, Arc::clone(&told)), shop, told }
    }

    fn usual() -> Self {
        Self::new(Shop::open(), Keep::default())
    }

    /// What is offered at this second: which answer it is.
    async fn at(&self, second: i64) -> Result<String> {
        self.cached.offers(&at(second)).await.map(|offered| offered.quote.snapshot)
    }

    /// Lets what was begun in the background end.
    async fn settle(&self) {
        for _ in 0..16 {
            tokio::task::yield_now().await;
        }
    }

    fn told(&self) -> Vec<(Answered, Option<u64>)> {
        std::mem::take(&mut self.told.0.lock().unwrap())
    }
}

fn at(second: i64) -> QuoteRequest {
    QuoteRequest { now: Timestamp::from_second(1_000_000 + second).unwrap(), ..request() }
}

#[tokio::test]
async fn a_fresh_answer_is_kept_and_an_old_one_given_while_a_newer_one_is_asked_for() {
    let rig = Rig::usual();
    assert_eq!(rig.at(0).await.unwrap(), "1");
    assert_eq!(rig.at(59).await.unwrap(), "1");
    assert_eq!(rig.shop.asked(), 1);
    assert_eq!(rig.at(60).await.unwrap(), "1", "the old one, at once");
    rig.settle().await;
    assert_eq!(rig.shop.asked(), 2);
    let offered = rig.cached.offers(&at(61)).await.unwrap();
    assert_eq!((offered.quote.snapshot.as_str(), offered.asked_at), ("2", at(60).now));
    assert_eq!(rig.at(60 + 900).await.unwrap(), "3", "too old to be given");
    use Answered::{Asked, Fresh, Stale};
    let told = [(Asked, 0), (Fresh, 59), (Stale, 60), (Fresh, 1), (Asked, 0)];
    assert_eq!(rig.told(), told.map(|(how, age)| (how, Some(age))));
}

#[tokio::test]
async fn however_many_ask_the_provider_is_asked_once() {
    let rig = Rig::new(Shop::with_permits(0), Keep::default());
    let ask = |second| {
        let cached = rig.cached.clone();
        tokio::spawn(async move { cached.offers(&at(second)).await.unwrap().quote.snapshot })
    };
    let callers: Vec<_> = (0..50).map(|_| ask(0)).collect();
    rig.settle().await;
    assert_eq!(rig.shop.asked(), 1);
    rig.shop.permits.add_permits(1);
    for caller in callers {
        assert_eq!(caller.await.unwrap(), "1");
    }
    // The same for an old answer, which nobody waits behind.
    for _ in 0..50 {
        assert_eq!(rig.at(100).await.unwrap(), "1");
    }
    rig.settle().await;
    assert_eq!(rig.shop.asked(), 2);
    rig.shop.permits.add_permits(1);
    rig.settle().await;
    assert_eq!(rig.at(101).await.unwrap(), "2");
}

#[tokio::test]
async fn a_caller_that_goes_away_takes_nothing_with_it() {
    let rig = Rig::new(Shop::with_permits(0), Keep::default());
    let cached = rig.cached.clone();
    let gone = tokio::spawn(async move { cached.offers(&at(0)).await });
    rig.settle().await;
    gone.abort();
    assert!(gone.await.unwrap_err().is_cancelled());
    rig.shop.permits.add_permits(1);
    rig.settle().await;
    assert_eq!((rig.at(1).await.unwrap(), rig.shop.asked()), ("1".to_owned(), 1));
}

#[tokio::test]
async fn a_provider_that_fails_leaves_its_last_answer_and_is_left_alone_for_a_while() {
    let rig = Rig::usual();
    assert_eq!(rig.at(0).await.unwrap(), "1");
    rig.shop.fail_next(ErrorKind::Throttled);
    assert_eq!(rig.at(100).await.unwrap(), "1");
    rig.settle().await;
    let offered = rig.cached.offers(&at(101)).await.unwrap();
    assert_eq!((offered.quote.snapshot.as_str(), offered.asked_at), ("1", at(0).now));
    assert_eq!(offered.trouble.map(|error| error.kind), Some(ErrorKind::Throttled));
    assert_eq!(rig.shop.asked(), 2, "it rests");
    assert_eq!(rig.at(110).await.unwrap(), "1");
    rig.settle().await;
    let offered = rig.cached.offers(&at(111)).await.unwrap();
    assert_eq!((offered.quote.snapshot.as_str(), offered.trouble), ("3", None));
    // Beyond the limit a failure is a failure.
    rig.shop.fail_next(ErrorKind::Auth);
    assert_eq!(rig.at(110 + 900).await.unwrap_err().kind, ErrorKind::Auth);
    assert_eq!(rig.told().last(), Some(&(Answered::Failed, None)));
}

#[tokio::test]
async fn a_quote_is_asked_for_every_time_and_is_the_newest_answer() {
    let rig = Rig::usual();
    for number in ["1", "2", "3"] {
        assert_eq!(rig.cached.get_quote(&at(0)).await.unwrap().snapshot, number);
    }
    assert_eq!((rig.at(1).await.unwrap(), rig.shop.asked()), ("3".to_owned(), 3));
    rig.shop.fail_next(ErrorKind::Throttled);
    let error = rig.cached.get_quote(&at(2)).await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::Throttled, "never an old price where something is bought");
}

#[tokio::test]
async fn creates_and_releases_outdate_what_is_kept() {
    let rig = Rig::usual();
    assert_eq!(rig.at(0).await.unwrap(), "1");
    rig.cached.provision(&spec()).await.unwrap();
    assert_eq!(rig.at(1).await.unwrap(), "2");
    rig.cached.release(&handle()).await.unwrap();
    assert_eq!(rig.at(2).await.unwrap(), "3");
}

#[tokio::test]
async fn an_answer_that_was_on_its_way_when_something_was_created_is_not_kept_as_new() {
    let rig = Rig::new(Shop::with_permits(0), Keep::default());
    let cached = rig.cached.clone();
    let early = tokio::spawn(async move { cached.offers(&at(0)).await.unwrap().quote.snapshot });
    rig.settle().await;
    rig.cached.provision(&spec()).await.unwrap();
    let cached = rig.cached.clone();
    let late = tokio::spawn(async move { cached.offers(&at(0)).await.unwrap().quote.snapshot });
    rig.settle().await;
    assert_eq!(rig.shop.asked(), 2, "who asks afterwards does not wait for an answer from before");
    rig.shop.permits.add_permits(2);
    assert_eq!((early.await.unwrap().as_str(), late.await.unwrap().as_str()), ("1", "2"));
    assert_eq!((rig.at(1).await.unwrap(), rig.shop.asked()), ("2".to_owned(), 2));
}

#[tokio::test]
async fn no_kept_answer_hides_a_stock_out() {
    let rig = Rig::usual();
    let stock = |offered: &Offered| offered.quote.offers.iter().map(|offer| offer.stock).collect::<Vec<_>>();
    assert_eq!(stock(&rig.cached.offers(&at(0)).await.unwrap()), [StockHint::Likely; 2]);
    rig.shop.fail_next(ErrorKind::Capacity);
    rig.cached.provision(&spec()).await.unwrap_err();
    // The provider is asked again; even when it fails, the old answer says what happened.
    rig.shop.fail_next(ErrorKind::Internal);
    let offered = rig.cached.offers(&at(1)).await.unwrap();
    assert_eq!(stock(&offered), [StockHint::Unlikely; 2]);
    assert!(offered.trouble.is_some());
    rig.shop.fail_next(ErrorKind::Quota);
    let other = ProvisionSpec {
        offer: Offer { instance_type: InstanceType::parse("u").unwrap(), ..offer() },
        ..spec()
    };
    rig.cached.provision(&other).await.unwrap_err();
    assert_eq!(stock(&rig.cached.offers(&at(20)).await.unwrap()), [StockHint::Likely; 2], "asked anew");
}

#[tokio::test]
async fn answers_are_kept_by_what_is_asked_for_and_bounded() {
    let rig = Rig::new(Shop::open(), Keep { answers_max: 2, offers_max: 4, ..Keep::default() });
    let named = |name: &str, cpus: u32, second: i64| QuoteRequest {
        request: ResourceRequest::new(name).add_cpu(cpus).with_purpose(name).build().unwrap(),
        ..at(second)
    };
    let ask = |request: QuoteRequest| {
        let cached = rig.cached.clone();
        async move { cached.offers(&request).await.unwrap().quote.snapshot }
    };
    assert_eq!(ask(named("a", 1, 0)).await, "1");
    assert_eq!(ask(named("b", 1, 1)).await, "1", "what a person wrote makes no difference");
    assert_eq!(ask(named("a", 2, 2)).await, "2");
    assert_eq!(ask(named("a", 3, 3)).await, "3");
    assert_eq!(ask(named("a", 3, 4)).await, "3");
    assert_eq!(ask(named("a", 2, 5)).await, "2");
    assert_eq!(ask(named("a", 1, 6)).await, "4", "the one that was not used for longest made room");
    // Two offers an answer: with room for three of them there is room for one answer, and without any for none.
    for (offers_max, asked) in [(3, 3), (1, 4)] {
        let rig = Rig::new(Shop::open(), Keep { offers_max, ..Keep::default() });
        for request in [named("a", 1, 0), named("a", 2, 1), named("a", 2, 2), named("a", 1, 3)] {
            rig.cached.offers(&request).await.unwrap();
        }
        assert_eq!(rig.shop.asked(), asked, "{offers_max}");
    }
}

#[tokio::test]
async fn with_too_many_questions_on_their_way_one_is_asked_beside_them() {
    let rig = Rig::new(Shop::with_permits(0), Keep { answers_max: 1, ..Keep::default() });
    let other = QuoteRequest { request: ResourceRequest::new("t").add_cpu(2).build().unwrap(), ..at(0) };
    let calls: Vec<_> = [at(0), other.clone(), other]
        .into_iter()
        .map(|request| {
            let cached = rig.cached.clone();
            tokio::spawn(async move { cached.offers(&request).await.unwrap().quote.snapshot })
        })
        .collect();
    rig.settle().await;
    assert_eq!(rig.shop.asked(), 3);
    rig.shop.permits.add_permits(3);
    let mut answers = Vec::new();
    for call in calls {
        answers.push(call.await.unwrap());
    }
    assert_eq!((&rig.at(1).await.unwrap(), rig.shop.asked()), (&answers[0], 3), "the first one is kept");
}

#[tokio::test]
async fn the_rest_goes_through() {
    let rig = Rig::usual();
    assert_eq!(rig.cached.describe(), rig.shop.describe());
    assert_eq!(rig.cached.price_sources(), rig.shop.price_sources());
    let kinds = [
        rig.cached.check_spot_prices("t", "r").await.unwrap_err().kind,
        rig.cached.quotas().await.unwrap_err().kind,
        rig.cached.interruptions(None).await.unwrap_err().kind,
        rig.cached.list_owned("o", None).await.unwrap_err().kind,
        rig.cached.observe(&hpc_provider::Observe::Handles(vec![])).await.unwrap_err().kind,
    ];
    assert_eq!(kinds, [ErrorKind::Unsupported; 5]);
}
