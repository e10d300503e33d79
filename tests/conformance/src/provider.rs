//! The contract of the `provider` port, one case per sentence of `CapacityProvider`.
//!
//! An adapter gives a [`Rig`]: a fresh provider, its clock, and ways to bring about what a cloud does on its own.
//! What a rig cannot bring about is skipped with a printed reason.
//!
//! ```text
//! hpc_conformance::capacity_provider!(async { Some(MyRig::new()) });
//! ```
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use hpc_provider::{
    CapacityProvider, Certainty, ErrorKind, INSTANCES_MAX, InstanceHandle, InstancePhase, InstanceState,
    InterruptionKind, Observe, ProviderError, ProvisionSpec, QuoteRequest, TAG_INTENT, TAG_LEASE, TAG_OWNER,
    Token,
};
use hpc_resources::{IntentId, LeaseId, Offer, ResourceRequest, StockHint};
use jiff::{SignedDuration, Timestamp};

/// Something that a cloud does on its own.
#[derive(Clone, Debug)]
pub enum Trouble {
    /// The offer has no stock from now on.
    NoStock(Offer),
    /// The offer's quota is used up from now on.
    NoQuota(Offer),
    /// The next create never arrives, and its answer is lost.
    LoseNextCreate,
    /// The next create is carried out, and its answer is lost.
    LoseNextAnswer,
    /// The instance is taken back, with a notice before, within ten minutes.
    Reclaim(InstanceHandle),
}

/// A fresh provider to judge.
#[async_trait]
pub trait Rig: Send + Sync {
    /// The provider: nothing exists in it.
    fn provider(&self) -> Arc<dyn CapacityProvider>;

    /// The time that the provider's clock shows.
    fn now(&self) -> Timestamp;

    /// Lets time pass: moves a virtual clock, or waits.
    async fn pass(&self, by: Duration);

    /// Something that the provider certainly offers, with stock, a price, and interruptions if it has any.
    fn request(&self) -> ResourceRequest;

    /// Something that is offered in a reservation with room for at least one and at most fifteen; `None` when nothing is.
    fn reserved(&self) -> Option<ResourceRequest> {
        None
    }

    /// How many instances of it may be created in one case, at least 3; more than one page of `list_owned` is best.
    fn instances_max(&self) -> u32;

    /// Brings trouble about; `false` when this rig cannot.
    async fn bring(&self, trouble: Trouble) -> bool;
}

/// Longer than a stop or an announced reclaim takes.
const LONG: Duration = Duration::from_secs(600);

struct Case {
    rig: Box<dyn Rig>,
    provider: Arc<dyn CapacityProvider>,
}

impl Case {
    fn new(rig: impl Rig + 'static) -> Self {
        let provider = rig.provider();
        Self { rig: Box::new(rig), provider }
    }

    async fn offers(&self) -> Vec<Offer> {
        let request = QuoteRequest { request: self.rig.request(), now: self.rig.now() };
        self.provider.get_quote(&request).await.expect("quote").offers
    }

    /// The first offer that can be bought.
    async fn offer(&self) -> Offer {
        let offers = self.offers().await;
        let good = |offer: &Offer| offer.price.is_some() && offer.stock != StockHint::Unlikely;
        offers.into_iter().find(good).expect("the rig's request must have an offer with a price and stock")
    }

    fn spec(&self, offer: &Offer, number: u128, instances: u32) -> ProvisionSpec {
        self.spec_for("suite", offer, number, instances)
    }

    fn spec_for(&self, owner: &str, offer: &Offer, number: u128, instances: u32) -> ProvisionSpec {
        let (intent, lease) = (IntentId::from_bits(number), LeaseId::from_bits(number));
        let tags = [(TAG_OWNER, owner), (TAG_INTENT, intent.as_str()), (TAG_LEASE, lease.as_str())];
        ProvisionSpec {
            token: Token::derive(&intent, 1, &offer.provider, &offer.region, &offer.zone),
            tags: tags.into_iter().map(|(key, value)| (key.to_owned(), value.to_owned())).collect(),
            intent,
            lease,
            offer: offer.clone(),
            price: offer.price.expect("price"),
            instances,
            price_ceiling: None,
            user_data_ref: None,
            deadline: self.rig.now().saturating_add(SignedDuration::from_hours(1)).unwrap(),
        }
    }

    /// Lets the consistency bound pass.
    async fn settle(&self) {
        self.rig.pass(Duration::from_millis(self.provider.describe().consistency_ms)).await;
    }

    async fn by_intent(&self, spec: &ProvisionSpec) -> Vec<InstanceState> {
        self.settle().await;
        let what = Observe::Tag { key: TAG_INTENT.to_owned(), value: spec.intent.as_str().to_owned() };
        self.provider.observe(&what).await.expect("observe")
    }

    async fn owned(&self, owner: &str) -> Vec<InstanceState> {
        let mut all = Vec::new();
        let mut page = None;
        loop {
            let answer = self.provider.list_owned(owner, page).await.expect("list_owned");
            assert!(answer.complete, "a list that is not complete finds no orphans");
            all.extend(answer.instances);
            page = answer.next;
            if page.is_none() {
                return all;
            }
            assert!(all.len() < 100_000, "list_owned does not end");
        }
    }

    async fn brings(&self, trouble: Trouble) -> bool {
        let shown = format!("{trouble:?}");
        let can = self.rig.bring(trouble).await;
        if !can {
            let name = shown.split(['(', ' ']).next().unwrap_or_default().to_owned();
            println!("skipped: this rig cannot bring about {name}");
        }
        can
    }
}

fn refused(error: &ProviderError, kind: ErrorKind) {
    assert_eq!((error.kind, error.certainty), (kind, Certainty::NotDone), "{error}");
}

fn ids(handles: &[InstanceHandle]) -> BTreeSet<String> {
    handles.iter().map(|handle| handle.id.clone()).collect()
}

/// 1. A method that `describe` does not list answers `Unsupported` with certainty `NotDone`.
pub async fn unlisted_methods_are_unsupported(rig: impl Rig + 'static) {
    let case = Case::new(rig);
    let (provider, supports) = (&case.provider, case.provider.describe().supports);
    let request = QuoteRequest { request: case.rig.request(), now: case.rig.now() };
    let handle = |offer: &Offer| InstanceHandle {
        provider: provider.describe().provider,
        region: offer.region.clone(),
        id: "none-such".to_owned(),
    };
    let check = |listed: bool, method: &str, error: Option<ProviderError>| match error {
        Some(error) if !listed => {
            assert_eq!(
                (error.kind, error.certainty),
                (ErrorKind::Unsupported, Certainty::NotDone),
                "{method}"
            );
        }
        Some(error) => assert_ne!(error.kind, ErrorKind::Unsupported, "`{method}` is listed"),
        None => assert!(listed, "`{method}` works and is not listed"),
    };
    check(supports.quote, "get_quote", provider.get_quote(&request).await.err());
    check(supports.quotas, "quotas", provider.quotas().await.err());
    check(supports.interruptions, "interruptions", provider.interruptions(None).await.err());
    check(supports.observe, "observe", provider.observe(&Observe::Handles(Vec::new())).await.err());
    check(supports.list_owned, "list_owned", provider.list_owned("nobody", None).await.err());
    if supports.quote {
        let offer = case.offer().await;
        let prices = provider.check_spot_prices(offer.instance_type.as_str(), offer.region.as_str()).await;
        check(supports.spot_prices, "check_spot_prices", prices.err());
        check(supports.release, "release", provider.release(&handle(&offer)).await.err());
        if !supports.provision {
            check(false, "provision", provider.provision(&case.spec(&offer, 1, 1)).await.err());
        }
    }
}

/// 2. A quote has no side effect: quoting twice at one instant gives the same offers.
pub async fn quoting_twice_gives_the_same_offers(rig: impl Rig + 'static) {
    let case = Case::new(rig);
    let (first, second) = (case.offers().await, case.offers().await);
    assert_eq!(first, second);
    assert!(case.owned("suite").await.is_empty(), "a quote created something");
}

/// 3. An offer's price is per instance; an unknown price is `None`, never zero. Zero is what is paid for already: the offer
///    names the reservation.
pub async fn prices_are_per_instance_and_never_zero(rig: impl Rig + 'static) {
    let case = Case::new(rig);
    let description = case.provider.describe();
    for offer in case.offers().await {
        assert_eq!(offer.provider, description.provider);
        assert_eq!(offer.simulated, description.simulated, "{}", offer.key());
        assert!(!offer.snapshot.is_empty(), "{}: no snapshot", offer.key());
        let skew = SignedDuration::from_millis(i64::try_from(description.clock_skew_ms).unwrap());
        assert!(offer.as_of <= case.rig.now().saturating_add(skew).unwrap(), "a price of the future");
        if let Some(price) = offer.price {
            assert!(price.0.nanos() > 0 || offer.is_paid(), "{}: zero is not a price", offer.key());
            assert_eq!(offer.rate(), offer.price, "{}: not to be believed", offer.key());
            if let (Some(per_gpu), Some(have)) = (offer.per_gpu(), offer.accelerators) {
                let all = per_gpu.0.checked_mul(u64::from(have.count)).unwrap();
                assert!(all.nanos() >= price.0.nanos(), "{}: the price is of one device", offer.key());
            }
        }
        assert!(offer.accelerators.is_none_or(|have| have.count > 0), "{}: no whole device", offer.key());
    }
}

/// 4. Provisioning twice with one token gives the same handles, and one set of instances.
pub async fn one_token_creates_once(rig: impl Rig + 'static) {
    let case = Case::new(rig);
    let spec = case.spec(&case.offer().await, 4, 2);
    let first = case.provider.provision(&spec).await.expect("first");
    let second = case.provider.provision(&spec).await.expect("second");
    assert_eq!(ids(&first.handles), ids(&second.handles));
    case.rig.pass(LONG).await;
    let later = ProvisionSpec { deadline: case.rig.now(), ..spec.clone() };
    let third = case.provider.provision(&later).await.expect("the deadline is no parameter");
    assert_eq!(ids(&first.handles), ids(&third.handles));
    assert_eq!(case.by_intent(&spec).await.len(), 2);
}

/// 5. The second answer says that it is a replay.
pub async fn a_replay_says_so(rig: impl Rig + 'static) {
    let case = Case::new(rig);
    let spec = case.spec(&case.offer().await, 5, 1);
    let answers =
        [case.provider.provision(&spec).await.unwrap(), case.provider.provision(&spec).await.unwrap()];
    assert_eq!(answers.each_ref().map(|answer| answer.replayed), [false, true]);
    let simulated = case.provider.describe().simulated;
    assert!(answers.iter().all(|answer| answer.simulated == simulated));
}

/// 6. One token with other parameters is a `Conflict`, and nothing is created.
pub async fn a_token_with_other_parameters_is_a_conflict(rig: impl Rig + 'static) {
    let case = Case::new(rig);
    let spec = case.spec(&case.offer().await, 6, 1);
    case.provider.provision(&spec).await.expect("first");
    let mut tags = spec.tags.clone();
    tags.insert("other".to_owned(), "tag".to_owned());
    for other in [ProvisionSpec { instances: 2, ..spec.clone() }, ProvisionSpec { tags, ..spec.clone() }] {
        let error = case.provider.provision(&other).await.expect_err("other parameters");
        refused(&error, ErrorKind::Conflict);
    }
    assert_eq!(case.by_intent(&spec).await.len(), 1);
}

/// 7. A provision is all or nothing: as many handles as instances, or an error that leaves none.
pub async fn a_provision_is_all_or_nothing(rig: impl Rig + 'static) {
    let case = Case::new(rig);
    let offer = case.offer().await;
    let whole = case.spec(&offer, 7, 3);
    let answer = case.provider.provision(&whole).await.expect("three");
    assert_eq!(ids(&answer.handles).len(), 3, "{:?}", answer.handles);
    for (number, instances) in [(71, 0), (72, INSTANCES_MAX + 1), (73, u32::MAX)] {
        let spec = case.spec(&offer, number, instances);
        let error = case.provider.provision(&spec).await.expect_err("too few or too many");
        assert_eq!(error.certainty, Certainty::NotDone, "{error}");
        assert!(case.by_intent(&spec).await.is_empty());
    }
    if case.brings(Trouble::NoStock(offer.clone())).await {
        let spec = case.spec(&offer, 74, 2);
        case.provider.provision(&spec).await.expect_err("no stock");
        assert!(case.by_intent(&spec).await.is_empty(), "a part was created and kept");
    }
}

/// 8. Tags are on an instance as soon as it exists.
pub async fn tags_are_there_from_the_start(rig: impl Rig + 'static) {
    let case = Case::new(rig);
    let mut spec = case.spec(&case.offer().await, 8, 1);
    spec.tags.insert("purpose".to_owned(), "a suite".to_owned());
    let handles = case.provider.provision(&spec).await.expect("create").handles;
    let bound = Duration::from_millis(case.provider.describe().consistency_ms);
    // Looks as early and as often as it can: an instance is never seen without its tags.
    for _ in 0..4 {
        for state in case.provider.observe(&Observe::Handles(handles.clone())).await.unwrap() {
            assert_eq!(state.tags, spec.tags);
        }
        case.rig.pass(bound / 4 + Duration::from_millis(1)).await;
    }
    for (key, value) in &spec.tags {
        let what = Observe::Tag { key: key.clone(), value: value.clone() };
        assert_eq!(case.provider.observe(&what).await.unwrap().len(), 1, "{key}");
    }
}

/// 9. An instance is seen by `observe` and `list_owned` once the consistency bound has passed after `provision` returned.
pub async fn an_instance_is_seen_after_the_bound(rig: impl Rig + 'static) {
    let case = Case::new(rig);
    let spec = case.spec(&case.offer().await, 9, 1);
    let handles = case.provider.provision(&spec).await.expect("create").handles;
    case.settle().await;
    let seen = case.provider.observe(&Observe::Handles(handles.clone())).await.unwrap();
    assert_eq!(seen.len(), 1);
    let state = &seen[0];
    assert_eq!(state.handle, handles[0]);
    assert!(state.phase.is_live());
    assert_eq!(
        (&state.zone, &state.instance_type, state.kind),
        (&spec.offer.zone, &spec.offer.instance_type, spec.offer.kind)
    );
    assert_eq!(state.ended_at, None);
    assert_eq!(case.owned("suite").await.len(), 1);
    let unknown = InstanceHandle { id: "none-such".to_owned(), ..handles[0].clone() };
    assert!(case.provider.observe(&Observe::Handles(vec![unknown])).await.unwrap().is_empty());
}

/// 10. No stock is `Capacity` with certainty `NotDone`.
pub async fn no_stock_is_a_capacity_error(rig: impl Rig + 'static) {
    let case = Case::new(rig);
    let offer = case.offer().await;
    if !case.brings(Trouble::NoStock(offer.clone())).await {
        return;
    }
    let spec = case.spec(&offer, 10, 1);
    refused(&case.provider.provision(&spec).await.expect_err("no stock"), ErrorKind::Capacity);
    assert!(case.by_intent(&spec).await.is_empty());
}

/// 11. A quota that would be exceeded is `Quota` with certainty `NotDone`.
pub async fn an_exceeded_quota_is_a_quota_error(rig: impl Rig + 'static) {
    let case = Case::new(rig);
    let offer = case.offer().await;
    if !case.brings(Trouble::NoQuota(offer.clone())).await {
        return;
    }
    let spec = case.spec(&offer, 11, 1);
    refused(&case.provider.provision(&spec).await.expect_err("no quota"), ErrorKind::Quota);
    assert!(case.by_intent(&spec).await.is_empty());
    if case.provider.describe().supports.quotas {
        let family = offer.quota.expect("an offer under a quota names it").family;
        let quotas = case.provider.quotas().await.unwrap();
        let quota = quotas.iter().find(|quota| quota.family == family && quota.region == offer.region);
        let quota = quota.expect("the quota that refuses is listed");
        assert!(quota.used >= quota.limit, "{quota:?}");
    }
}

/// 12. Releasing an instance twice succeeds the second time.
pub async fn releasing_twice_succeeds(rig: impl Rig + 'static) {
    let case = Case::new(rig);
    let spec = case.spec(&case.offer().await, 12, 1);
    let handle = case.provider.provision(&spec).await.expect("create").handles.remove(0);
    case.provider.release(&handle).await.expect("first, before it is even visible");
    case.provider.release(&handle).await.expect("second");
    case.rig.pass(LONG).await;
    case.provider.release(&handle).await.expect("third, after its end");
}

/// 13. Releasing an unknown instance is `AlreadyGone`, not an error.
pub async fn releasing_the_unknown_is_already_gone(rig: impl Rig + 'static) {
    let case = Case::new(rig);
    let offer = case.offer().await;
    let handle =
        InstanceHandle { provider: offer.provider, region: offer.region, id: "none-such".to_owned() };
    assert_eq!(case.provider.release(&handle).await, Ok(hpc_provider::Released::AlreadyGone));
}

/// 14. A released instance is `Terminated` or gone from `list_owned` in the end, and its end is recorded.
pub async fn a_released_instance_ends(rig: impl Rig + 'static) {
    let case = Case::new(rig);
    let spec = case.spec(&case.offer().await, 14, 1);
    let handle = case.provider.provision(&spec).await.expect("create").handles.remove(0);
    case.rig.pass(LONG).await;
    case.provider.release(&handle).await.expect("release");
    case.rig.pass(LONG).await;
    assert!(case.owned("suite").await.iter().all(|state| !state.phase.is_live()));
    for state in case.provider.observe(&Observe::Handles(vec![handle])).await.unwrap() {
        assert_eq!(state.phase, InstancePhase::Terminated);
        let ended_at = state.ended_at.expect("the end is recorded");
        assert!(state.launched_at <= ended_at && ended_at <= case.rig.now());
        assert!(!state.reclaimed, "the owner ended it");
    }
}

/// 15. `list_owned` shows only instances with the owner's tag, page by page, each once.
pub async fn the_list_is_the_owners_and_each_once(rig: impl Rig + 'static) {
    let case = Case::new(rig);
    let offer = case.offer().await;
    let most = case.rig.instances_max();
    let (ours, theirs) = (most - 1, 1);
    let mine = case.provider.provision(&case.spec_for("me", &offer, 151, ours)).await.expect("mine");
    let other = case.provider.provision(&case.spec_for("them", &offer, 152, theirs)).await.expect("theirs");
    case.settle().await;
    let listed: Vec<String> = case.owned("me").await.into_iter().map(|state| state.handle.id).collect();
    assert_eq!(listed.len(), mine.handles.len(), "one of them twice, or missing");
    assert_eq!(listed.into_iter().collect::<BTreeSet<_>>(), ids(&mine.handles));
    let listed: BTreeSet<String> = case.owned("them").await.into_iter().map(|s| s.handle.id).collect();
    assert_eq!(listed, ids(&other.handles));
    assert!(case.owned("nobody").await.is_empty());
}

/// 16. `interruptions` resumes from its cursor: nothing is lost between two calls.
pub async fn interruptions_resume_from_the_cursor(rig: impl Rig + 'static) {
    let case = Case::new(rig);
    if !case.provider.describe().supports.interruptions {
        println!("skipped: the provider has no interruptions");
        return;
    }
    let spec = case.spec(&case.offer().await, 16, 2);
    let handles = case.provider.provision(&spec).await.expect("create").handles;
    let start = case.provider.interruptions(None).await.unwrap();
    assert!(start.events.is_empty());
    if !case.brings(Trouble::Reclaim(handles[0].clone())).await {
        return;
    }
    case.rig.pass(LONG).await;
    let first = case.provider.interruptions(Some(start.cursor.clone())).await.unwrap();
    let notice = first.events.iter().find(|event| event.kind == InterruptionKind::Notice).expect("a notice");
    assert_eq!(notice.handle, handles[0]);
    assert!(notice.seen_at <= notice.deadline);
    let quiet = case.provider.interruptions(Some(first.cursor.clone())).await.unwrap();
    assert!(quiet.events.is_empty(), "read once, read again: {:?}", quiet.events);
    assert!(case.brings(Trouble::Reclaim(handles[1].clone())).await);
    case.rig.pass(LONG).await;
    let second = case.provider.interruptions(Some(quiet.cursor)).await.unwrap();
    assert!(second.events.iter().all(|event| event.handle == handles[1]), "{:?}", second.events);
    // Whoever lost the cursor reads all of it again.
    let all = case.provider.interruptions(None).await.unwrap();
    let both: Vec<_> = first.events.iter().chain(&second.events).cloned().collect();
    assert_eq!(all.events, both);
    let taken = case.by_intent(&spec).await;
    assert!(taken.iter().all(|state| state.reclaimed && state.ended_at.is_some()), "{taken:?}");
}

/// 17. A lost answer has certainty `Unknown`, and the same token then finds what was created.
pub async fn a_lost_answer_is_unknown_and_found_again(rig: impl Rig + 'static) {
    let case = Case::new(rig);
    let offer = case.offer().await;
    for (number, trouble, made) in [(171, Trouble::LoseNextAnswer, 1), (172, Trouble::LoseNextCreate, 0)] {
        if !case.brings(trouble).await {
            return;
        }
        let spec = case.spec(&offer, number, 1);
        let error = case.provider.provision(&spec).await.expect_err("the answer is lost");
        assert_eq!(error.certainty, Certainty::Unknown, "{error}");
        assert!(error.is_retriable());
        let found = case.by_intent(&spec).await;
        assert_eq!(found.len(), made, "{found:?}");
        let again = case.provider.provision(&spec).await.expect("the same token");
        assert_eq!(again.replayed, made == 1);
        let known: BTreeMap<String, InstanceHandle> =
            case.by_intent(&spec).await.into_iter().map(|s| (s.handle.id.clone(), s.handle)).collect();
        assert_eq!(known.into_keys().collect::<BTreeSet<_>>(), ids(&again.handles));
        assert_eq!(again.handles.len(), 1);
    }
}

/// 18. What `offers` answers was a quote for this request, not later than now, and says when the provider was asked for it.
pub async fn offers_say_when_they_were_asked_for(rig: impl Rig + 'static) {
    let case = Case::new(rig);
    let mut quotes = Vec::new();
    for _ in 0..3 {
        let request = QuoteRequest { request: case.rig.request(), now: case.rig.now() };
        let quote = case.provider.get_quote(&request).await.expect("quote");
        quotes.push((request.now, quote));
        // Asked right after a quote, in between, and long after.
        let offered = case.provider.offers(&request).await.expect("offers");
        assert!(offered.asked_at <= request.now, "an answer of the future");
        assert_eq!(offered.trouble, None);
        let then = quotes.iter().find(|(asked_at, _)| *asked_at == offered.asked_at);
        assert_eq!(
            then.map(|(_, quote)| &quote.offers),
            Some(&offered.quote.offers),
            "nobody ever quoted that"
        );
        case.rig.pass(LONG).await;
    }
    let late = QuoteRequest { request: case.rig.request(), now: case.rig.now() };
    let offered = case.provider.offers(&late).await.expect("offers");
    assert!(offered.asked_at <= late.now && offered.quote.provider == case.provider.describe().provider);
}

/// 19. A create with the offer of a reservation takes from that reservation, and nothing outside of it: the offer then says
///     how many are left, one that is too small is `Capacity` with certainty `NotDone`, and a release gives back.
pub async fn a_reservation_is_counted_and_never_left(rig: impl Rig + 'static) {
    let case = Case::new(rig);
    let Some(request) = case.rig.reserved() else {
        println!("skipped: this rig has no reservation");
        return;
    };
    let offers = async || {
        let request = QuoteRequest { request: request.clone(), now: case.rig.now() };
        case.provider.get_quote(&request).await.expect("quote").offers
    };
    let mut all = offers().await;
    all.retain(|offer| offer.is_paid());
    let offer = all.into_iter().next().expect("an offer that is paid for");
    assert_eq!(offer.price.map(|price| price.0.nanos()), Some(0), "{}: it costs nothing more", offer.key());
    let left_now = async || {
        let key = offer.key();
        let again = offers().await.into_iter().find(|have| have.key() == key);
        again.and_then(|offer| offer.reservation).map_or(0, |reservation| reservation.left)
    };
    let left = left_now().await;
    assert!((1..=15).contains(&left), "{left} left");
    let spec = case.spec(&offer, 191, 1);
    let made = case.provider.provision(&spec).await.expect("there is room for one");
    assert_eq!(case.by_intent(&spec).await.len(), 1);
    assert_eq!(left_now().await, left - 1);
    let again = case.provider.provision(&spec).await.expect("the same token");
    assert_eq!((ids(&again.handles), again.replayed), (ids(&made.handles), true));
    let too_many = case.spec(&offer, 192, left);
    let error = case.provider.provision(&too_many).await.expect_err("more than is left");
    refused(&error, ErrorKind::Capacity);
    assert_eq!(case.by_intent(&too_many).await, [], "outside of the reservation");
    for handle in &made.handles {
        case.provider.release(handle).await.expect("release");
    }
    case.rig.pass(LONG).await;
    assert_eq!(left_now().await, left, "given back");
}

/// Every case of the port, each as one test on a rig made by the expression, a future of `Option<impl Rig>`.
///
/// `None` skips the case; say why on the standard error output before.
#[macro_export]
macro_rules! capacity_provider {
    ($make:expr) => {
        $crate::capacity_provider!(@cases $make;
            unlisted_methods_are_unsupported
            quoting_twice_gives_the_same_offers
            prices_are_per_instance_and_never_zero
            one_token_creates_once
            a_replay_says_so
            a_token_with_other_parameters_is_a_conflict
            a_provision_is_all_or_nothing
            tags_are_there_from_the_start
            an_instance_is_seen_after_the_bound
            no_stock_is_a_capacity_error
            an_exceeded_quota_is_a_quota_error
            releasing_twice_succeeds
            releasing_the_unknown_is_already_gone
            a_released_instance_ends
            the_list_is_the_owners_and_each_once
            interruptions_resume_from_the_cursor
            a_lost_answer_is_unknown_and_found_again
            offers_say_when_they_were_asked_for
            a_reservation_is_counted_and_never_left
        );
    };
    (@cases $make:expr; $($case:ident)+) => {
        $(
            #[tokio::test]
            async fn $case() {
                let rig = $make.await;
                if let Some(rig) = rig {
                    $crate::provider::$case(rig).await;
                }
            }
        )+
    };
}
