//! A pace for each class of calls, so that one busy caller does not use up what a provider allows to all.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use hpc_provider::{
    CapacityProvider, Certainty, Description, ErrorKind, InstanceHandle, InstanceState, InterruptionPage,
    Observe, Offered, OwnedPage, PriceSource, ProviderError, ProvisionResult, ProvisionSpec, QuotaStatus,
    Quote, QuoteRequest, Released, Result, Scope, SpotPrices,
};
use tokio::time::Instant;

/// How fast calls of one class may follow each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pace {
    /// How many may be made at once after a rest, at least 1.
    pub burst: u32,
    /// After that, one in this time.
    pub one_in: Duration,
}

/// The paces of a provider's calls.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Paces {
    /// Quotes, prices, lists, observations, quotas, interruptions.
    pub read: Pace,
    /// `provision`.
    pub create: Pace,
    /// `release`: by itself, so that a rush of creates keeps nothing alive.
    pub release: Pace,
    /// The longest wait for a turn; a call that would wait longer is `Throttled`, and nothing was done.
    pub wait_max: Duration,
}

impl Default for Paces {
    /// 100 reads at once and 20 a second, 50 creates or releases at once and 5 a second, 5 seconds of waiting.
    fn default() -> Self {
        let change = Pace { burst: 50, one_in: Duration::from_millis(200) };
        Self {
            read: Pace { burst: 100, one_in: Duration::from_millis(50) },
            create: change,
            release: change,
            wait_max: Duration::from_secs(5),
        }
    }
}

/// Makes calls wait for their turn, in the order in which they come. Reads, creates and releases do not wait for each other.
///
/// A call that would wait longer than [`Paces::wait_max`] fails as `Throttled` with certainty `NotDone` and says how long to
/// wait. It belongs outside [`crate::Deadline`]: waiting for a turn is not the provider's time.
#[derive(Debug)]
pub struct Paced<P> {
    inner: P,
    read: Turns,
    create: Turns,
    release: Turns,
    wait_max: Duration,
}

/// The turns of one class: a virtual time that runs ahead of the clock by one step for each call.
#[derive(Debug)]
struct Turns {
    pace: Pace,
    /// When the next call would have its turn if there were no burst; `None` before the first.
    next: Mutex<Option<Instant>>,
}

impl Turns {
    const fn new(pace: Pace) -> Self {
        Self { pace, next: Mutex::new(None) }
    }

    /// Takes a turn: how long to wait for it. A wait that is too long is returned and takes none.
    fn take(&self, now: Instant, most: Duration) -> std::result::Result<Duration, Duration> {
        let ahead = self.pace.one_in.saturating_mul(self.pace.burst.max(1) - 1);
        let mut next = self.next.lock().unwrap_or_else(PoisonError::into_inner);
        let turn = next.map_or(now, |next| next.max(now));
        let wait = turn.duration_since(now).saturating_sub(ahead);
        if wait > most {
            return Err(wait);
        }
        *next = Some(turn + self.pace.one_in);
        Ok(wait)
    }

    async fn wait(&self, most: Duration) -> Result<()> {
        match self.take(Instant::now(), most) {
            Ok(Duration::ZERO) => Ok(()),
            Ok(wait) => {
                tokio::time::sleep(wait).await;
                Ok(())
            }
            Err(wait) => {
                let millis = u64::try_from(wait.as_millis()).unwrap_or(u64::MAX);
                let message = format!("this daemon's own pace for the provider: {millis} ms until its turn");
                let (kind, scope) = (ErrorKind::Throttled, Scope::Provider);
                Err(ProviderError::new(kind, scope, Certainty::NotDone, "OwnPace", &message)
                    .retry_after_ms(millis))
            }
        }
    }
}

impl<P> Paced<P> {
    /// Wraps a provider.
    pub const fn new(inner: P, paces: Paces) -> Self {
        let Paces { read, create, release, wait_max } = paces;
        Self {
            inner,
            read: Turns::new(read),
            create: Turns::new(create),
            release: Turns::new(release),
            wait_max,
        }
    }
}

#[async_trait]
impl<P: CapacityProvider> CapacityProvider for Paced<P> {
    async fn get_quote(&self, request: &QuoteRequest) -> Result<Quote> {
        self.read.wait(self.wait_max).await?;
        self.inner.get_quote(request).await
    }
    async fn offers(&self, request: &QuoteRequest) -> Result<Offered> {
        self.read.wait(self.wait_max).await?;
        self.inner.offers(request).await
    }
    async fn provision(&self, spec: &ProvisionSpec) -> Result<ProvisionResult> {
        self.create.wait(self.wait_max).await?;
        self.inner.provision(spec).await
    }
    async fn check_spot_prices(&self, instance_type: &str, region: &str) -> Result<SpotPrices> {
        self.read.wait(self.wait_max).await?;
        self.inner.check_spot_prices(instance_type, region).await
    }
    fn describe(&self) -> Description {
        self.inner.describe()
    }
    fn price_sources(&self) -> Vec<PriceSource> {
        self.inner.price_sources()
    }
    async fn observe(&self, what: &Observe) -> Result<Vec<InstanceState>> {
        self.read.wait(self.wait_max).await?;
        self.inner.observe(what).await
    }
    async fn release(&self, handle: &InstanceHandle) -> Result<Released> {
        self.release.wait(self.wait_max).await?;
        self.inner.release(handle).await
    }
    async fn list_owned(&self, owner: &str, page: Option<String>) -> Result<OwnedPage> {
        self.read.wait(self.wait_max).await?;
        self.inner.list_owned(owner, page).await
    }
    async fn quotas(&self) -> Result<Vec<QuotaStatus>> {
        self.read.wait(self.wait_max).await?;
        self.inner.quotas().await
    }
    async fn interruptions(&self, cursor: Option<String>) -> Result<InterruptionPage> {
        self.read.wait(self.wait_max).await?;
        self.inner.interruptions(cursor).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn turns_come_one_by_one_after_a_burst_and_a_rest_gives_it_back() {
        let (begun, most) = (Instant::now(), Duration::from_secs(3));
        let turns = Turns::new(Pace { burst: 2, one_in: Duration::from_secs(1) });
        let at = |seconds: u64| turns.take(begun + Duration::from_secs(seconds), most);
        let seconds = Duration::from_secs;
        assert_eq!([at(0), at(0), at(0), at(0), at(0)], [0, 0, 1, 2, 3].map(|wait| Ok(seconds(wait))));
        assert_eq!(at(0), Err(seconds(4)), "refused, and takes no turn");
        assert_eq!(at(1), Ok(seconds(3)));
        assert_eq!([at(60), at(60), at(60)], [0, 0, 1].map(|wait| Ok(seconds(wait))));
    }

    #[test]
    fn a_burst_of_none_is_one() {
        let turns = Turns::new(Pace { burst: 0, one_in: Duration::from_secs(1) });
        let now = Instant::now();
        assert_eq!(turns.take(now, Duration::ZERO), Ok(Duration::ZERO));
        assert_eq!(turns.take(now, Duration::ZERO), Err(Duration::from_secs(1)));
    }
}
