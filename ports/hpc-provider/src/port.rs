//! The port itself.

use async_trait::async_trait;
use hpc_resources::ProviderId;

use crate::error::{ProviderError, Result};
use crate::intent::{InstanceHandle, ProvisionResult, ProvisionSpec};
use crate::state::{
    BillLine, Description, InstanceState, InterruptionPage, Observe, Offered, OwnedPage, PriceSource,
    QuotaStatus, Quote, QuoteRequest, Released, SpotPrices, Supports,
};

/// Anything that rents out machines: a cloud, a rack, a simulator.
///
/// `get_quote`, `provision` and `check_spot_prices` are required; the rest has defaults that answer
/// [`crate::ErrorKind::Unsupported`], and [`CapacityProvider::describe`] says which methods really work. The broker creates
/// nothing on a provider whose description is not [`Supports::safe_to_create`].
///
/// # Contract
/// 1. A method that `describe` does not list answers `Unsupported` with certainty `NotDone`.
/// 2. A quote has no side effect: quoting twice at one instant gives the same offers.
/// 3. An offer's price is per instance; an unknown price is `None`, never zero. Zero is what is paid for already: the offer
///    names the reservation.
/// 4. Provisioning twice with one token gives the same handles, and one set of instances.
/// 5. The second answer says that it is a replay.
/// 6. One token with other parameters is a `Conflict`, and nothing is created.
/// 7. A provision is all or nothing: as many handles as instances, or an error that leaves none.
/// 8. Tags are on an instance as soon as it exists.
/// 9. An instance is seen by `observe` and `list_owned` once the consistency bound has passed after `provision` returned.
/// 10. No stock is `Capacity` with certainty `NotDone`.
/// 11. A quota that would be exceeded is `Quota` with certainty `NotDone`.
/// 12. Releasing an instance twice succeeds the second time.
/// 13. Releasing an unknown instance is `AlreadyGone`, not an error.
/// 14. A released instance is `Terminated` or gone from `list_owned` in the end, and its end is recorded.
/// 15. `list_owned` shows only instances with the owner's tag, page by page, each once.
/// 16. `interruptions` resumes from its cursor: nothing is lost between two calls.
/// 17. A lost answer has certainty `Unknown`, and the same token then finds what was created.
/// 18. What `offers` answers was a quote for this request, not later than now, and says when the provider was asked for it.
/// 19. A create with the offer of a reservation takes from that reservation, and nothing outside of it: the offer then says
///     how many are left, one that is too small is `Capacity` with certainty `NotDone`, and a release gives back.
#[cfg_attr(feature = "mock", mockall::automock)]
#[async_trait]
pub trait CapacityProvider: Send + Sync {
    /// Offers that could carry the request, as of now. May hold more than fits; the plan decides.
    ///
    /// # Errors
    /// [`ProviderError`] of any kind; certainty is always `NotDone`.
    async fn get_quote(&self, request: &QuoteRequest) -> Result<Quote>;

    /// What was offered for the request, now or a while ago: for people who look around, and never where money is decided.
    /// A wrapper that keeps answers gives older ones here, and only here; by default it is a quote of now.
    ///
    /// # Errors
    /// As [`CapacityProvider::get_quote`].
    async fn offers(&self, request: &QuoteRequest) -> Result<Offered> {
        let quote = self.get_quote(request).await?;
        Ok(Offered { quote, asked_at: request.now, trouble: None })
    }

    /// Creates what the intent says: all instances or none. Safe to repeat with the same intent.
    ///
    /// # Errors
    /// [`ProviderError`]; its certainty says whether anything was created.
    async fn provision(&self, spec: &ProvisionSpec) -> Result<ProvisionResult>;

    /// Current spot prices of an instance type in a region.
    ///
    /// # Errors
    /// [`ProviderError`] of any kind; certainty is always `NotDone`.
    async fn check_spot_prices(&self, instance_type: &str, region: &str) -> Result<SpotPrices>;

    /// What this provider is and can do. The default claims nothing.
    fn describe(&self) -> Description {
        Description {
            provider: ProviderId::from_bits(0),
            supports: Supports::default(),
            consistency_ms: 0,
            clock_skew_ms: 0,
            simulated: false,
        }
    }

    /// The lists of prices that it was given. None where the provider itself tells all of its prices.
    fn price_sources(&self) -> Vec<PriceSource> {
        Vec::new()
    }

    /// The state of instances, by handle or by tag. Unknown handles are left out.
    ///
    /// # Errors
    /// [`ProviderError`] of any kind; certainty is always `NotDone`.
    async fn observe(&self, _what: &Observe) -> Result<Vec<InstanceState>> {
        Err(ProviderError::unsupported("observe"))
    }

    /// Ends one instance. Idempotent.
    ///
    /// # Errors
    /// [`ProviderError`]; after certainty `Unknown` call again.
    async fn release(&self, _handle: &InstanceHandle) -> Result<Released> {
        Err(ProviderError::unsupported("release"))
    }

    /// All instances that carry `owner` as their owner tag and have not ended, page by page.
    ///
    /// # Errors
    /// [`ProviderError`] of any kind; certainty is always `NotDone`.
    async fn list_owned(&self, _owner: &str, _page: Option<String>) -> Result<OwnedPage> {
        Err(ProviderError::unsupported("list_owned"))
    }

    /// Quotas and their use, for all regions.
    ///
    /// # Errors
    /// [`ProviderError`] of any kind; certainty is always `NotDone`.
    async fn quotas(&self) -> Result<Vec<QuotaStatus>> {
        Err(ProviderError::unsupported("quotas"))
    }

    /// Interruptions since the cursor; `None` starts at the oldest that is still known.
    ///
    /// # Errors
    /// [`ProviderError`] of any kind; certainty is always `NotDone`.
    async fn interruptions(&self, _cursor: Option<String>) -> Result<InterruptionPage> {
        Err(ProviderError::unsupported("interruptions"))
    }
}

/// An optional capability: a provider that can show what it will charge.
#[async_trait]
pub trait Billing: Send + Sync {
    /// The bill so far, by instance.
    ///
    /// # Errors
    /// [`ProviderError`] of any kind; certainty is always `NotDone`.
    async fn bill(&self) -> Result<Vec<BillLine>>;
}

/// A shared provider is a provider: wrappers take both.
#[async_trait]
impl<P: CapacityProvider + ?Sized> CapacityProvider for std::sync::Arc<P> {
    async fn get_quote(&self, request: &QuoteRequest) -> Result<Quote> {
        (**self).get_quote(request).await
    }
    async fn offers(&self, request: &QuoteRequest) -> Result<Offered> {
        (**self).offers(request).await
    }
    async fn provision(&self, spec: &ProvisionSpec) -> Result<ProvisionResult> {
        (**self).provision(spec).await
    }
    async fn check_spot_prices(&self, instance_type: &str, region: &str) -> Result<SpotPrices> {
        (**self).check_spot_prices(instance_type, region).await
    }
    fn describe(&self) -> Description {
        (**self).describe()
    }
    fn price_sources(&self) -> Vec<PriceSource> {
        (**self).price_sources()
    }
    async fn observe(&self, what: &Observe) -> Result<Vec<InstanceState>> {
        (**self).observe(what).await
    }
    async fn release(&self, handle: &InstanceHandle) -> Result<Released> {
        (**self).release(handle).await
    }
    async fn list_owned(&self, owner: &str, page: Option<String>) -> Result<OwnedPage> {
        (**self).list_owned(owner, page).await
    }
    async fn quotas(&self) -> Result<Vec<QuotaStatus>> {
        (**self).quotas().await
    }
    async fn interruptions(&self, cursor: Option<String>) -> Result<InterruptionPage> {
        (**self).interruptions(cursor).await
    }
}
