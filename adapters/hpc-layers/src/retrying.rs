//! Repeats calls where that cannot do harm.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use hpc_provider::{
    CapacityProvider, Certainty, Description, ErrorKind, InstanceHandle, InstanceState, InterruptionPage,
    Observe, Offered, OwnedPage, PriceSource, ProviderError, ProvisionResult, ProvisionSpec, QuotaStatus,
    Quote, QuoteRequest, Released, Result, SpotPrices,
};

/// Most attempts that a policy can ask for.
pub const ATTEMPTS_MAX: u32 = 16;

/// How often and how fast to try again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RetryPolicy {
    /// Attempts in all, 1 to [`ATTEMPTS_MAX`]; what is outside is moved inside.
    pub attempts: u32,
    /// The wait before the second attempt is drawn from zero to this; it doubles with each attempt.
    pub base: Duration,
    /// The longest wait that is drawn, and the longest `retry_after` that is waited for: a provider that asks for more
    /// is not tried again.
    pub wait_max: Duration,
}

impl Default for RetryPolicy {
    /// Four attempts, from 200 milliseconds, at most 10 seconds apart.
    fn default() -> Self {
        Self { attempts: 4, base: Duration::from_millis(200), wait_max: Duration::from_secs(10) }
    }
}

/// Tries calls again after failures that may pass, where a repetition is safe:
///
/// | call | is repeated after |
/// | --- | --- |
/// | reads | `Throttled`, `Deadline`, `Internal`, certainty `Unknown` |
/// | `release`, which is idempotent | the same |
/// | `provision`, when the provider describes its creates as idempotent | `Throttled`, certainty `Unknown`: the same token finds what was created |
///
/// `Capacity`, `Quota`, `Config`, `Auth`, `NotFound`, `Conflict` and `Unsupported` are never tried again here: another
/// offer is the caller's business. Once an attempt at a create or release had certainty `Unknown`, no later failure is
/// reported as `NotDone`: the earlier one may still have arrived.
#[derive(Debug)]
pub struct Retrying<P> {
    inner: P,
    policy: RetryPolicy,
    /// State of the generator behind the waits.
    chance: AtomicU64,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Read,
    Create,
    Release,
}

impl<P> Retrying<P> {
    /// Wraps a provider; the waits are drawn from `seed`.
    pub const fn new(inner: P, policy: RetryPolicy, seed: u64) -> Self {
        Self { inner, policy, chance: AtomicU64::new(seed) }
    }

    /// A wait before attempt `next` (the second one is 2), or `None` when the provider wants more than is allowed.
    fn wait(&self, next: u32, error: &ProviderError) -> Option<Duration> {
        let asked = Duration::from_millis(error.retry_after_ms.unwrap_or(0));
        if asked > self.policy.wait_max {
            return None;
        }
        let doublings = next.saturating_sub(2).min(31);
        let most = self.policy.base.saturating_mul(1 << doublings).min(self.policy.wait_max);
        let span = u64::try_from(most.as_millis()).unwrap_or(u64::MAX).saturating_add(1);
        let drawn = Duration::from_millis(self.draw().checked_rem(span).unwrap_or(0));
        Some(drawn.max(asked))
    }

    /// SplitMix64; concurrent calls draw different numbers.
    fn draw(&self) -> u64 {
        const STEP: u64 = 0x9e37_79b9_7f4a_7c15;
        let mut value = self.chance.fetch_add(STEP, Ordering::Relaxed).wrapping_add(STEP);
        value = (value ^ (value >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        value = (value ^ (value >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        value ^ (value >> 31)
    }

    /// How long to wait before the next attempt, or the error to report.
    fn after(&self, attempts: &mut Attempts, mut error: ProviderError) -> Result<Duration> {
        attempts.unknown |= attempts.kind != Kind::Read && error.certainty == Certainty::Unknown;
        let most = self.policy.attempts.clamp(1, ATTEMPTS_MAX);
        let again = attempts.made < most && may_repeat(attempts.kind, &error);
        if let Some(wait) = self.wait(attempts.made + 1, &error).filter(|_| again) {
            attempts.made += 1;
            return Ok(wait);
        }
        if attempts.unknown && error.certainty == Certainty::NotDone {
            error.certainty = Certainty::Unknown;
        }
        Err(error)
    }
}

/// The attempts at one call.
struct Attempts {
    kind: Kind,
    made: u32,
    /// Whether one of them may have arrived.
    unknown: bool,
}

/// Makes a call until it works or must not be made again. A macro, because a closure that lends its arguments to a
/// future cannot promise that the future is `Send`.
macro_rules! tried {
    ($self:ident, $kind:expr, $call:expr) => {{
        let mut attempts = Attempts { kind: $kind, made: 1, unknown: false };
        loop {
            match $call.await {
                Ok(answer) => break Ok(answer),
                Err(error) => match $self.after(&mut attempts, error) {
                    Ok(wait) => tokio::time::sleep(wait).await,
                    Err(error) => break Err(error),
                },
            }
        }
    }};
}

fn may_repeat(kind: Kind, error: &ProviderError) -> bool {
    match error.kind {
        ErrorKind::Capacity
        | ErrorKind::Quota
        | ErrorKind::Config
        | ErrorKind::Auth
        | ErrorKind::NotFound
        | ErrorKind::Conflict
        | ErrorKind::Unsupported => false,
        ErrorKind::Throttled => error.certainty != Certainty::Done,
        ErrorKind::Deadline | ErrorKind::Internal => match kind {
            Kind::Read | Kind::Release => true,
            Kind::Create => error.certainty == Certainty::Unknown,
        },
    }
}

#[async_trait]
impl<P: CapacityProvider> CapacityProvider for Retrying<P> {
    async fn get_quote(&self, request: &QuoteRequest) -> Result<Quote> {
        tried!(self, Kind::Read, self.inner.get_quote(request))
    }
    async fn offers(&self, request: &QuoteRequest) -> Result<Offered> {
        tried!(self, Kind::Read, self.inner.offers(request))
    }
    async fn provision(&self, spec: &ProvisionSpec) -> Result<ProvisionResult> {
        if !self.inner.describe().supports.idempotent_create {
            return self.inner.provision(spec).await;
        }
        tried!(self, Kind::Create, self.inner.provision(spec))
    }
    async fn check_spot_prices(&self, instance_type: &str, region: &str) -> Result<SpotPrices> {
        tried!(self, Kind::Read, self.inner.check_spot_prices(instance_type, region))
    }
    fn describe(&self) -> Description {
        self.inner.describe()
    }
    fn price_sources(&self) -> Vec<PriceSource> {
        self.inner.price_sources()
    }
    async fn observe(&self, what: &Observe) -> Result<Vec<InstanceState>> {
        tried!(self, Kind::Read, self.inner.observe(what))
    }
    async fn release(&self, handle: &InstanceHandle) -> Result<Released> {
        tried!(self, Kind::Release, self.inner.release(handle))
    }
    async fn list_owned(&self, owner: &str, page: Option<String>) -> Result<OwnedPage> {
        tried!(self, Kind::Read, self.inner.list_owned(owner, page.clone()))
    }
    async fn quotas(&self) -> Result<Vec<QuotaStatus>> {
        tried!(self, Kind::Read, self.inner.quotas())
    }
    async fn interruptions(&self, cursor: Option<String>) -> Result<InterruptionPage> {
        tried!(self, Kind::Read, self.inner.interruptions(cursor.clone()))
    }
}
