//! Keeps what a provider offered, for people who look around. Money is never decided on what is kept.

mod answers;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use hpc_provider::{
    CapacityProvider, Certainty, Description, ErrorKind, InstanceHandle, InstanceState, InterruptionPage,
    Observe, Offered, OwnedPage, PriceSource, ProviderError, ProvisionResult, ProvisionSpec, QuotaStatus,
    Quote, QuoteRequest, Released, Result, Scope, SpotPrices,
};
use hpc_resources::ResourceRequest;
use jiff::Timestamp;
use tokio::sync::watch;

use answers::{Answers, Found};

pub use answers::Keep;

/// Where an answer came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Answered {
    /// It was kept, and is fresh.
    Fresh,
    /// It was kept and is old: the provider is being asked for a newer one.
    Stale,
    /// The provider gave it now.
    Asked,
    /// The provider failed: the answer is an old one, or there is none.
    Failed,
}

impl Answered {
    /// The names of all of them, as metrics have them.
    pub const NAMES: [&str; 4] = ["fresh", "stale", "asked", "failed"];

    /// Its name.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Fresh => "fresh",
            Self::Stale => "stale",
            Self::Asked => "asked",
            Self::Failed => "failed",
        }
    }
}

/// Who is told of every answer to `offers`. Called on the caller's task: it must not wait.
pub trait CatalogMeter: Send + Sync {
    /// An answer was given, so long after the provider had been asked for it; a failure without an answer has no age.
    fn answered(&self, how: Answered, age: Option<Duration>);
}

impl<M: CatalogMeter + ?Sized> CatalogMeter for Arc<M> {
    fn answered(&self, how: Answered, age: Option<Duration>) {
        (**self).answered(how, age);
    }
}

/// Keeps the answers to [`CapacityProvider::offers`], by request: a fresh one is given at once, an old one while the provider
/// is asked for a newer one, and one that is too old ([`Keep::stale_for`]) never. However many ask, the provider is asked once
/// at a time for one request. When it fails, what is kept is given, as old as it is, and says why it is not newer.
///
/// `get_quote` and `provision` go through: a price at which something is bought is never an old one. What they tell is kept
/// in mind: a quote is the newest answer, a create and a release outdate all answers, and an offer without stock has none in any.
///
/// It belongs outermost, so that only what is asked for waits for its turn and is counted as a call. Newer answers are asked for
/// on tasks of their own: a caller that goes away takes nothing with it.
#[derive(Clone)]
pub struct Cached<P, M> {
    shared: Arc<Shared<P, M>>,
}

struct Shared<P, M> {
    inner: P,
    meter: M,
    keep: Keep,
    state: Mutex<State>,
}

/// What is asked for, and after how many changes.
type Flight = (String, u64);
/// What became of it; `None` until then.
type Landed = watch::Receiver<Option<Result<Offered>>>;

struct State {
    answers: Answers,
    flights: BTreeMap<Flight, Landed>,
}

impl<P, M> Shared<P, M> {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Outdates all answers when a create or a release ends, also when its caller went away.
struct Changes<'a, P, M>(&'a Shared<P, M>);

impl<P, M> Drop for Changes<'_, P, M> {
    fn drop(&mut self) {
        self.0.lock().answers.changed();
    }
}

impl<P: CapacityProvider + 'static, M: CatalogMeter + 'static> Cached<P, M> {
    /// Wraps a provider.
    pub fn new(inner: P, keep: Keep, meter: M) -> Self {
        let state = Mutex::new(State { answers: Answers::new(keep), flights: BTreeMap::new() });
        Self { shared: Arc::new(Shared { inner, meter, keep, state }) }
    }

    fn told(&self, how: Answered, now: Timestamp, offered: Offered) -> Result<Offered> {
        let age = Duration::try_from(now.duration_since(offered.asked_at)).unwrap_or_default();
        self.shared.meter.answered(how, Some(age));
        Ok(offered)
    }

    /// What is kept, and the flight to wait for or to leave alone. A flight is begun where the answer is not fresh.
    fn look(&self, wish: &str, request: &QuoteRequest) -> (Found, Option<Landed>) {
        let mut state = self.shared.lock();
        let found = state.answers.find(wish, request.now);
        if matches!(found, Found::Fresh(_) | Found::Resting(_)) {
            return (found, None);
        }
        // One whose task is gone would be waited for without end.
        state.flights.retain(|_, landed| landed.has_changed().is_ok());
        let flight = (wish.to_owned(), state.answers.changes());
        if let Some(landed) = state.flights.get(&flight) {
            return (found, Some(landed.clone()));
        }
        if state.flights.len() >= self.shared.keep.answers_max {
            return (found, None);
        }
        let (land, landed) = watch::channel(None);
        state.flights.insert(flight.clone(), landed.clone());
        drop(state);
        let (shared, request) = (Arc::clone(&self.shared), request.clone());
        tokio::spawn(async move {
            let answer = shared.inner.offers(&request).await;
            shared.landed(&flight, &answer, request.now);
            land.send_replace(Some(answer));
        });
        (found, Some(landed))
    }
}

impl<P, M> Shared<P, M> {
    fn landed(&self, flight: &Flight, answer: &Result<Offered>, now: Timestamp) {
        let mut state = self.lock();
        state.flights.remove(flight);
        match answer {
            Ok(offered) => state.answers.store(&flight.0, offered, flight.1),
            Err(error) => drop(state.answers.failed(&flight.0, error, now)),
        }
    }
}

/// What makes two requests ask a provider for the same: everything but what a person wrote, and who pays.
fn wish(request: &ResourceRequest) -> Option<String> {
    let Ok(serde_json::Value::Object(mut wish)) = serde_json::to_value(request) else { return None };
    wish.retain(|field, _| !["name", "purpose", "labels", "team"].contains(&field.as_str()));
    Some(serde_json::Value::Object(wish).to_string())
}

fn no_answer() -> ProviderError {
    let message = "the question for offers ended without an answer";
    ProviderError::new(ErrorKind::Internal, Scope::Provider, Certainty::NotDone, "NoAnswer", message)
}

#[async_trait]
impl<P: CapacityProvider + 'static, M: CatalogMeter + 'static> CapacityProvider for Cached<P, M> {
    async fn get_quote(&self, request: &QuoteRequest) -> Result<Quote> {
        let changes = self.shared.lock().answers.changes();
        let answer = self.shared.inner.get_quote(request).await;
        if let Some(wish) = wish(&request.request) {
            let answers = &mut self.shared.lock().answers;
            match &answer {
                Ok(quote) => {
                    let offered = Offered { quote: quote.clone(), asked_at: request.now, trouble: None };
                    answers.store(&wish, &offered, changes);
                }
                Err(error) => drop(answers.failed(&wish, error, request.now)),
            }
        }
        answer
    }

    async fn offers(&self, request: &QuoteRequest) -> Result<Offered> {
        let now = request.now;
        let (found, landed) = match wish(&request.request) {
            Some(wish) => {
                let (found, landed) = self.look(&wish, request);
                (found, landed.map(|landed| (wish, landed)))
            }
            None => (Found::Nothing, None),
        };
        match found {
            Found::Fresh(offered) => return self.told(Answered::Fresh, now, offered),
            Found::Stale(offered) => return self.told(Answered::Stale, now, offered),
            Found::Resting(offered) => return self.told(Answered::Failed, now, offered),
            Found::Nothing => {}
        }
        let (answer, kept) = match landed {
            Some((wish, mut landed)) => {
                let answer = match landed.wait_for(Option::is_some).await {
                    Ok(answer) => answer.clone().unwrap_or_else(|| Err(no_answer())),
                    Err(_) => Err(no_answer()),
                };
                let kept = answer
                    .as_ref()
                    .err()
                    .and_then(|error| self.shared.lock().answers.failed(&wish, error, now));
                (answer, kept)
            }
            // Too many questions are on their way: this one is asked beside them, and its answer is not kept.
            None => (self.shared.inner.offers(request).await, None),
        };
        match (answer, kept) {
            (Ok(offered), _) => self.told(Answered::Asked, now, offered),
            (Err(_), Some(kept)) => self.told(Answered::Failed, now, kept),
            (Err(error), None) => {
                self.shared.meter.answered(Answered::Failed, None);
                Err(error)
            }
        }
    }

    async fn provision(&self, spec: &ProvisionSpec) -> Result<ProvisionResult> {
        let changes = Changes(&self.shared);
        let answer = self.shared.inner.provision(spec).await;
        drop(changes);
        if answer.as_ref().is_err_and(|error| error.kind == ErrorKind::Capacity) {
            self.shared.lock().answers.sold_out(&spec.offer.key());
        }
        answer
    }

    async fn check_spot_prices(&self, instance_type: &str, region: &str) -> Result<SpotPrices> {
        self.shared.inner.check_spot_prices(instance_type, region).await
    }

    fn describe(&self) -> Description {
        self.shared.inner.describe()
    }

    fn price_sources(&self) -> Vec<PriceSource> {
        self.shared.inner.price_sources()
    }

    async fn observe(&self, what: &Observe) -> Result<Vec<InstanceState>> {
        self.shared.inner.observe(what).await
    }

    async fn release(&self, handle: &InstanceHandle) -> Result<Released> {
        let _changes = Changes(&self.shared);
        self.shared.inner.release(handle).await
    }

    async fn list_owned(&self, owner: &str, page: Option<String>) -> Result<OwnedPage> {
        self.shared.inner.list_owned(owner, page).await
    }

    async fn quotas(&self) -> Result<Vec<QuotaStatus>> {
        self.shared.inner.quotas().await
    }

    async fn interruptions(&self, cursor: Option<String>) -> Result<InterruptionPage> {
        self.shared.inner.interruptions(cursor).await
    }
}
