//! Time and chance, handed in: the broker never reads a clock and never draws a number by itself.

use std::future::{Future, pending};
use std::pin::Pin;

use jiff::Timestamp;

/// Where "now" and fresh ids come from. An app passes the real ones, a test passes a script.
pub trait Environment: Send + Sync {
    /// Now.
    fn now(&self) -> Timestamp;

    /// 128 bits that nobody has seen before.
    fn draw(&self) -> u128;

    /// Waits until so many seconds have passed on the clock of [`Environment::now`].
    ///
    /// The one that comes with the trait waits for ever: who cannot wait never tries one offer beside another.
    fn wait(&self, _seconds: u64) -> Pin<Box<dyn Future<Output = ()> + Send + '_>> {
        Box::pin(pending())
    }
}

/// Who asks, as authenticated by the caller's transport.
#[derive(Clone, Debug)]
pub struct Caller {
    /// The name written into records and the audit log, for example `spiffe://dev.hpc.internal/user/you`.
    pub name: String,
    /// What policies see.
    pub principal: hpc_policy::Principal,
    /// The team whose budget pays when the request names none.
    pub team: hpc_resources::TeamId,
}

/// Who is behind a name in a record, as of now: for what is done for somebody who is not there to ask.
pub trait Callers: Send + Sync {
    /// The caller that authenticates under this name, with today's roles and teams; `None` for nobody.
    fn caller(&self, name: &str) -> Option<Caller>;
}

/// How one broker is set up.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The owner tag on everything created: one value per installation, so that two never reap each other.
    pub owner: String,
    /// How long a plan stays valid, in seconds.
    pub plan_valid_s: u32,
    /// How long a plan that waits for a person stays valid, in seconds. Policy and price are checked again by apply.
    pub approval_valid_s: u32,
    /// Whether a team without a budget may lease all the same.
    pub unbudgeted: bool,
    /// How long one create may take, in seconds.
    pub attempt_deadline_s: u32,
    /// How often a create with an unknown outcome is repeated with the same token before it is set aside.
    pub unknown_repeats_max: u32,
    /// How old an unexplained instance must be before the reaper ends it, in seconds.
    pub reaper_grace_s: u32,
    /// By how much a price may rise between plan and apply, in hundredths of a percent.
    pub price_tolerance_bp: u32,
    /// Written into every audit entry of a development daemon.
    pub dev: bool,
    /// What an offer's drawbacks cost when offers are ranked.
    pub weights: hpc_resources::RankWeights,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            owner: "hpc".to_owned(),
            plan_valid_s: 300,
            approval_valid_s: 24 * 3_600,
            unbudgeted: false,
            attempt_deadline_s: 60,
            unknown_repeats_max: 3,
            reaper_grace_s: 30,
            price_tolerance_bp: 200,
            dev: false,
            weights: hpc_resources::RankWeights::default(),
        }
    }
}
