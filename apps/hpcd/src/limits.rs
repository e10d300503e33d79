//! How long a provider may take. A call that hangs fails; it does not stall the broker.

use std::sync::Arc;
use std::time::Duration;

use hpc_layers::{Deadline, Limits};
use hpc_provider::CapacityProvider;

/// Longest wait for a price, a list or an observation.
pub const PROVIDER_READ_MAX: Duration = Duration::from_secs(10);
/// Longest wait for a create; its outcome is unknown afterwards and settled by token and tag.
pub const PROVIDER_CREATE_MAX: Duration = Duration::from_secs(60);
/// Longest wait for a release; it is repeated by the next round of reconciling.
pub const PROVIDER_RELEASE_MAX: Duration = Duration::from_secs(30);

/// Gives every call of every provider its limit.
pub(crate) fn bounded(providers: Vec<Arc<dyn CapacityProvider>>) -> Vec<Arc<dyn CapacityProvider>> {
    let limits =
        Limits { read: PROVIDER_READ_MAX, create: PROVIDER_CREATE_MAX, release: PROVIDER_RELEASE_MAX };
    providers
        .into_iter()
        .map(|provider| Arc::new(Deadline::new(provider, limits)) as Arc<dyn CapacityProvider>)
        .collect()
}

#[cfg(test)]
mod tests {
    use async_trait::async_trait;
    use hpc_provider::{
        Certainty, Description, ErrorKind, InstanceHandle, InstanceState, InterruptionPage, Observe,
        OwnedPage, ProvisionResult, ProvisionSpec, QuotaStatus, Quote, QuoteRequest, Released, Result,
        SpotPrices,
    };

    use super::*;

    /// Never answers.
    struct Hung;

    #[async_trait]
    impl CapacityProvider for Hung {
        async fn get_quote(&self, _: &QuoteRequest) -> Result<Quote> {
            std::future::pending().await
        }
        async fn provision(&self, _: &ProvisionSpec) -> Result<ProvisionResult> {
            std::future::pending().await
        }
        async fn check_spot_prices(&self, _: &str, _: &str) -> Result<SpotPrices> {
            std::future::pending().await
        }
        fn describe(&self) -> Description {
            unreachable!("nobody asks")
        }
        async fn observe(&self, _: &Observe) -> Result<Vec<InstanceState>> {
            std::future::pending().await
        }
        async fn release(&self, _: &InstanceHandle) -> Result<Released> {
            std::future::pending().await
        }
        async fn list_owned(&self, _: &str, _: Option<String>) -> Result<OwnedPage> {
            std::future::pending().await
        }
        async fn quotas(&self) -> Result<Vec<QuotaStatus>> {
            std::future::pending().await
        }
        async fn interruptions(&self, _: Option<String>) -> Result<InterruptionPage> {
            std::future::pending().await
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_provider_that_never_answers_fails_in_time() {
        let provider = bounded(vec![Arc::new(Hung)]).remove(0);
        let begun = tokio::time::Instant::now();
        let listed = provider.list_owned("hpcd", None).await.unwrap_err();
        assert_eq!((listed.kind, listed.certainty), (ErrorKind::Deadline, Certainty::NotDone));
        assert_eq!(begun.elapsed(), PROVIDER_READ_MAX);
        assert_eq!(provider.quotas().await.unwrap_err().kind, ErrorKind::Deadline);
        assert_eq!(provider.interruptions(None).await.unwrap_err().kind, ErrorKind::Deadline);
    }
}
