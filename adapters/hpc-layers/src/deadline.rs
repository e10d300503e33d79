//! A time limit for every call.

use std::future::Future;
use std::time::Duration;

use async_trait::async_trait;
use hpc_provider::{
    CapacityProvider, Certainty, Description, ErrorKind, InstanceHandle, InstanceState, InterruptionPage,
    Observe, Offered, OwnedPage, PriceSource, ProviderError, ProvisionResult, ProvisionSpec, QuotaStatus,
    Quote, QuoteRequest, Released, Result, Scope, SpotPrices,
};

/// How long calls may take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Calls without effect: quotes, prices, lists, observations.
    pub read: Duration,
    /// `provision`.
    pub create: Duration,
    /// `release`.
    pub release: Duration,
}

impl Default for Limits {
    /// 10 seconds to read, 60 to create, 30 to release.
    fn default() -> Self {
        Self {
            read: Duration::from_secs(10),
            create: Duration::from_secs(60),
            release: Duration::from_secs(30),
        }
    }
}

/// Ends calls that take too long, so that one hung region cannot block the others.
///
/// A read that was ended has certainty `NotDone`. A create or a release that was ended has certainty `Unknown`: it may
/// have arrived, and may still be carried out.
#[derive(Clone, Debug)]
pub struct Deadline<P> {
    inner: P,
    limits: Limits,
}

impl<P> Deadline<P> {
    /// Wraps a provider.
    pub const fn new(inner: P, limits: Limits) -> Self {
        Self { inner, limits }
    }
}

async fn within<T>(
    limit: Duration,
    certainty: Certainty,
    call: impl Future<Output = Result<T>>,
) -> Result<T> {
    match tokio::time::timeout(limit, call).await {
        Ok(answer) => answer,
        Err(_) => {
            let message = format!("no answer within {} ms", limit.as_millis());
            Err(ProviderError::new(ErrorKind::Deadline, Scope::Provider, certainty, "Deadline", &message))
        }
    }
}

#[async_trait]
impl<P: CapacityProvider> CapacityProvider for Deadline<P> {
    async fn get_quote(&self, request: &QuoteRequest) -> Result<Quote> {
        within(self.limits.read, Certainty::NotDone, self.inner.get_quote(request)).await
    }
    async fn offers(&self, request: &QuoteRequest) -> Result<Offered> {
        within(self.limits.read, Certainty::NotDone, self.inner.offers(request)).await
    }
    async fn provision(&self, spec: &ProvisionSpec) -> Result<ProvisionResult> {
        within(self.limits.create, Certainty::Unknown, self.inner.provision(spec)).await
    }
    async fn check_spot_prices(&self, instance_type: &str, region: &str) -> Result<SpotPrices> {
        within(self.limits.read, Certainty::NotDone, self.inner.check_spot_prices(instance_type, region))
            .await
    }
    fn describe(&self) -> Description {
        self.inner.describe()
    }
    fn price_sources(&self) -> Vec<PriceSource> {
        self.inner.price_sources()
    }
    async fn observe(&self, what: &Observe) -> Result<Vec<InstanceState>> {
        within(self.limits.read, Certainty::NotDone, self.inner.observe(what)).await
    }
    async fn release(&self, handle: &InstanceHandle) -> Result<Released> {
        within(self.limits.release, Certainty::Unknown, self.inner.release(handle)).await
    }
    async fn list_owned(&self, owner: &str, page: Option<String>) -> Result<OwnedPage> {
        within(self.limits.read, Certainty::NotDone, self.inner.list_owned(owner, page)).await
    }
    async fn quotas(&self) -> Result<Vec<QuotaStatus>> {
        within(self.limits.read, Certainty::NotDone, self.inner.quotas()).await
    }
    async fn interruptions(&self, cursor: Option<String>) -> Result<InterruptionPage> {
        within(self.limits.read, Certainty::NotDone, self.inner.interruptions(cursor)).await
    }
}
