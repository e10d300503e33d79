//! Tells somebody of every call: which, how it ended, how long it took.

use std::future::Future;
use std::time::Duration;

use async_trait::async_trait;
use hpc_provider::{
    CapacityProvider, Certainty, Description, ErrorKind, InstanceHandle, InstanceState, InterruptionPage,
    Observe, Offered, OwnedPage, PriceSource, ProvisionResult, ProvisionSpec, QuotaStatus, Quote,
    QuoteRequest, Released, Result, SpotPrices,
};
use tokio::time::Instant;

/// Which call it was.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Verb {
    /// `get_quote`.
    Quote,
    /// `provision`.
    Provision,
    /// `check_spot_prices`.
    SpotPrices,
    /// `observe`.
    Observe,
    /// `release`.
    Release,
    /// `list_owned`.
    ListOwned,
    /// `quotas`.
    Quotas,
    /// `interruptions`.
    Interruptions,
}

impl Verb {
    /// The names of all of them, as metrics have them.
    pub const NAMES: [&str; 8] = [
        "get_quote",
        "provision",
        "check_spot_prices",
        "observe",
        "release",
        "list_owned",
        "quotas",
        "interruptions",
    ];

    /// Its name: that of the port's method.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Quote => "get_quote",
            Self::Provision => "provision",
            Self::SpotPrices => "check_spot_prices",
            Self::Observe => "observe",
            Self::Release => "release",
            Self::ListOwned => "list_owned",
            Self::Quotas => "quotas",
            Self::Interruptions => "interruptions",
        }
    }
}

/// How a call ended: `None` when it worked.
pub type Failure = Option<(ErrorKind, Certainty)>;

/// Who is told. Called on the caller's task: it must not wait.
pub trait Meter: Send + Sync {
    /// One call has ended.
    fn called(&self, verb: Verb, failure: Failure, took: Duration);
}

impl<M: Meter + ?Sized> Meter for std::sync::Arc<M> {
    fn called(&self, verb: Verb, failure: Failure, took: Duration) {
        (**self).called(verb, failure, took);
    }
}

/// Tells a [`Meter`] of every call that ends. It belongs outside [`crate::Deadline`], so that it sees calls that took too long,
/// and inside [`crate::Paced`], so that it does not count the waiting for a turn.
#[derive(Clone, Debug)]
pub struct Metered<P, M> {
    inner: P,
    meter: M,
}

impl<P, M: Meter> Metered<P, M> {
    /// Wraps a provider.
    pub const fn new(inner: P, meter: M) -> Self {
        Self { inner, meter }
    }

    async fn told<T>(&self, verb: Verb, call: impl Future<Output = Result<T>>) -> Result<T> {
        let begun = Instant::now();
        let answer = call.await;
        let failure = answer.as_ref().err().map(|error| (error.kind, error.certainty));
        self.meter.called(verb, failure, begun.elapsed());
        answer
    }
}

#[async_trait]
impl<P: CapacityProvider, M: Meter> CapacityProvider for Metered<P, M> {
    async fn get_quote(&self, request: &QuoteRequest) -> Result<Quote> {
        self.told(Verb::Quote, self.inner.get_quote(request)).await
    }
    async fn offers(&self, request: &QuoteRequest) -> Result<Offered> {
        self.told(Verb::Quote, self.inner.offers(request)).await
    }
    async fn provision(&self, spec: &ProvisionSpec) -> Result<ProvisionResult> {
        self.told(Verb::Provision, self.inner.provision(spec)).await
    }
    async fn check_spot_prices(&self, instance_type: &str, region: &str) -> Result<SpotPrices> {
        self.told(Verb::SpotPrices, self.inner.check_spot_prices(instance_type, region)).await
    }
    fn describe(&self) -> Description {
        self.inner.describe()
    }
    fn price_sources(&self) -> Vec<PriceSource> {
        self.inner.price_sources()
    }
    async fn observe(&self, what: &Observe) -> Result<Vec<InstanceState>> {
        self.told(Verb::Observe, self.inner.observe(what)).await
    }
    async fn release(&self, handle: &InstanceHandle) -> Result<Released> {
        self.told(Verb::Release, self.inner.release(handle)).await
    }
    async fn list_owned(&self, owner: &str, page: Option<String>) -> Result<OwnedPage> {
        self.told(Verb::ListOwned, self.inner.list_owned(owner, page)).await
    }
    async fn quotas(&self) -> Result<Vec<QuotaStatus>> {
        self.told(Verb::Quotas, self.inner.quotas()).await
    }
    async fn interruptions(&self, cursor: Option<String>) -> Result<InterruptionPage> {
        self.told(Verb::Interruptions, self.inner.interruptions(cursor)).await
    }
}
