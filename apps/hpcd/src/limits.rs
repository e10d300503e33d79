//! How long a provider may take, and how fast it is called. A call that hangs fails; it does not stall the broker.
//!
//! Outermost first: what it offered is kept, then its turn, then it is counted, then its time limit, then the adapter.

use std::sync::Arc;
use std::time::Duration;

use hpc_layers::{Cached, CatalogMeter, Deadline, Keep, Limits, Meter, Metered, Pace, Paced, Paces};
use hpc_provider::CapacityProvider;

/// Longest wait for a price, a list or an observation.
pub const PROVIDER_READ_MAX: Duration = Duration::from_secs(10);
/// Longest wait for a create; its outcome is unknown afterwards and settled by token and tag.
pub const PROVIDER_CREATE_MAX: Duration = Duration::from_secs(60);
/// Longest wait for a release; it is repeated by the next round of reconciling.
pub const PROVIDER_RELEASE_MAX: Duration = Duration::from_secs(30);

/// How fast one provider is called: well above what a broker needs, well below what would get a whole account throttled. What
/// a provider itself allows is its adapter's business.
const PACES: Paces = Paces {
    read: Pace { burst: 500, one_in: Duration::from_millis(10) },
    create: Pace { burst: 100, one_in: Duration::from_millis(100) },
    release: Pace { burst: 1_000, one_in: Duration::from_millis(20) },
    wait_max: Duration::from_secs(5),
};

/// How long `hpc offers` may show what a provider said; a plan asks anew.
const KEEP: Keep = Keep {
    fresh_for: Duration::from_secs(60),
    stale_for: Duration::from_secs(15 * 60),
    rest_after_failure: Duration::from_secs(10),
    answers_max: 64,
    offers_max: 100_000,
};

/// Gives every call of every provider its turn, its place in the metrics and its limit, and keeps what real ones offer: the
/// simulated ones answer at once, and tell one story for one seed.
pub(crate) fn bounded(
    providers: Vec<Arc<dyn CapacityProvider>>,
    meter: &(impl Meter + CatalogMeter + Clone + 'static),
) -> Vec<Arc<dyn CapacityProvider>> {
    let limits =
        Limits { read: PROVIDER_READ_MAX, create: PROVIDER_CREATE_MAX, release: PROVIDER_RELEASE_MAX };
    providers
        .into_iter()
        .map(|provider| {
            let simulated = provider.describe().simulated;
            let limited = Metered::new(Deadline::new(provider, limits), meter.clone());
            let paced = Paced::new(limited, PACES);
            match simulated {
                true => Arc::new(paced) as Arc<dyn CapacityProvider>,
                false => Arc::new(Cached::new(paced, KEEP, meter.clone())),
            }
        })
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
            Description {
                provider: hpc_resources::ProviderId::parse("hung").unwrap(),
                supports: hpc_provider::Supports::default(),
                consistency_ms: 0,
                clock_skew_ms: 0,
                simulated: false,
            }
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
        let calls = crate::provider_calls::ProviderCalls::registered().unwrap();
        let provider = bounded(vec![Arc::new(Hung)], &calls).remove(0);
        let begun = tokio::time::Instant::now();
        let listed = provider.list_owned("hpcd", None).await.unwrap_err();
        assert_eq!((listed.kind, listed.certainty), (ErrorKind::Deadline, Certainty::NotDone));
        assert_eq!(begun.elapsed(), PROVIDER_READ_MAX);
        assert_eq!(provider.quotas().await.unwrap_err().kind, ErrorKind::Deadline);
        let request = hpc_resources::ResourceRequest::new("t").add_cpu(1).build().unwrap();
        let ask = QuoteRequest { request, now: crate::clock::wall_now() };
        let begun = tokio::time::Instant::now();
        let (one, two) = tokio::join!(provider.offers(&ask), provider.offers(&ask));
        assert_eq!([one, two].map(|answer| answer.unwrap_err().kind), [ErrorKind::Deadline; 2]);
        assert_eq!(begun.elapsed(), PROVIDER_READ_MAX, "both wait for one question");
        assert_eq!(provider.interruptions(None).await.unwrap_err().kind, ErrorKind::Deadline);
    }
}
