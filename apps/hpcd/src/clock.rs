//! The one place of the daemon that reads the clock and draws chance.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use hpc_broker::Environment;
use hpc_error::{HpcError, codes};
use hpc_provider_sim::SimWorld;
use jiff::{SignedDuration, Timestamp};
use tokio::sync::Notify;

/// Now, by this machine's clock.
#[must_use]
pub fn wall_now() -> Timestamp {
    #[expect(
        clippy::disallowed_methods,
        reason = "the daemon's one clock: everything below takes `now` as an argument"
    )]
    Timestamp::now()
}

/// 32 bytes from the operating system.
///
/// # Errors
/// `HPC-INT-0001` when it has none to give.
pub fn draw_32() -> Result<[u8; 32], HpcError> {
    let mut bytes = [0; 32];
    getrandom::fill(&mut bytes).map_err(|error| {
        HpcError::coded(&codes::INT_BUG, format!("the operating system gives no randomness: {error}"))
    })?;
    Ok(bytes)
}

/// How time passes in a simulated world.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pace {
    /// Only when it is told to: the same story every time.
    Told,
    /// With this machine's clock.
    Wall,
    /// So many times as fast as this machine's clock, 1 to [`SPEED_MAX`]: for simulated clouds alone.
    Times(u32),
}

/// How many times faster than this machine's clock time can pass.
pub const SPEED_MAX: u32 = 10_000;

/// Shortest wait before the clock is looked at again.
const WAIT_MIN: Duration = Duration::from_millis(1);

impl Pace {
    /// Whether time passes by itself.
    #[must_use]
    pub fn passes(self) -> bool {
        self != Self::Told
    }

    /// How long to wait by this machine's clock until so much time has passed; `None` where somebody has to say so.
    fn lasts(self, time: SignedDuration) -> Option<Duration> {
        let times = match self {
            Self::Told => return None,
            Self::Wall => 1,
            Self::Times(times) => times.clamp(1, SPEED_MAX),
        };
        Some(Duration::try_from(time).unwrap_or_default().div_f64(times.into()).max(WAIT_MIN))
    }

    /// What the clock of a world that stood at `from` shows after so long.
    fn after(self, from: Timestamp, elapsed: SignedDuration) -> Timestamp {
        let times = match self {
            Self::Told => 0,
            Self::Wall => 1,
            Self::Times(times) => times.clamp(1, SPEED_MAX),
        };
        // A clock that was set back stands still until it has caught up.
        let passed =
            elapsed.max(SignedDuration::ZERO).saturating_mul(i32::try_from(times).unwrap_or(i32::MAX));
        from.saturating_add(passed).unwrap_or(from)
    }
}

/// The daemon's time and chance. There is one clock, the simulated world's; at [`Pace::Wall`] it follows this machine's.
pub struct HostEnvironment {
    sim: Arc<SimWorld>,
    pace: Pace,
    /// What the world's clock and this machine's showed at the start. A world that was ahead goes on from there.
    from: (Timestamp, Timestamp),
    stream: [u8; 32],
    drawn: AtomicU64,
    /// Told whenever time was made to pass.
    passed: Notify,
}

impl HostEnvironment {
    /// How time passes.
    #[must_use]
    pub fn pace(&self) -> Pace {
        self.pace
    }

    /// Ids come from `stream` by counting: a stream must never be used by two runs over the same data.
    #[must_use]
    pub fn new(sim: Arc<SimWorld>, pace: Pace, stream: [u8; 32]) -> Self {
        let wall = wall_now();
        Self {
            from: (sim.now().max(wall), wall),
            sim,
            pace,
            stream,
            drawn: AtomicU64::new(0),
            passed: Notify::new(),
        }
    }

    /// Whoever waits for time to pass looks at the clock again.
    pub(crate) fn time_has_passed(&self) {
        self.passed.notify_waiters();
    }
}

impl Environment for HostEnvironment {
    fn now(&self) -> Timestamp {
        if self.pace.passes() {
            let (from, wall) = self.from;
            // A simulated cloud that cannot be written keeps its last time; its own calls say what is wrong.
            drop(self.sim.advance_to(self.pace.after(from, wall_now().duration_since(wall))));
        }
        self.sim.now()
    }

    fn draw(&self) -> u128 {
        let count = self.drawn.fetch_add(1, Ordering::Relaxed);
        let hash = blake3::keyed_hash(&self.stream, &count.to_le_bytes());
        let mut bits = [0; 16];
        for (to, from) in bits.iter_mut().zip(hash.as_bytes()) {
            *to = *from;
        }
        u128::from_le_bytes(bits)
    }

    fn wait(&self, seconds: u64) -> Pin<Box<dyn Future<Output = ()> + Send + '_>> {
        Box::pin(async move {
            let wait = SignedDuration::from_secs(i64::try_from(seconds).unwrap_or(i64::MAX));
            let until = self.now().saturating_add(wait).unwrap_or(Timestamp::MAX);
            loop {
                // Before the look: what passes right after it is not missed.
                let passed = self.passed.notified();
                let left = until.duration_since(self.now());
                if left <= SignedDuration::ZERO {
                    return;
                }
                match self.pace.lasts(left) {
                    Some(wait) => tokio::time::sleep(wait).await,
                    None => passed.await,
                }
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn environment(pace: Pace) -> HostEnvironment {
        let start = Timestamp::from_second(4_000_000_000).unwrap();
        let sim = SimWorld::open(hpc_provider_sim::SimConfig::new(7, start)).unwrap();
        HostEnvironment::new(Arc::new(sim), pace, [7; 32])
    }

    #[tokio::test]
    async fn a_wait_ends_when_somebody_lets_the_time_pass() {
        let clock = environment(Pace::Told);
        let mut wait = polled_once(clock.wait(20));
        for (seconds, ends) in [(19, false), (1, true)] {
            clock.sim.advance(Duration::from_secs(seconds)).unwrap();
            clock.time_has_passed();
            assert_eq!(wait(), ends, "{seconds}");
        }
        clock.wait(0).await;
    }

    /// Polls a future once at each call; whether it has ended.
    fn polled_once<'a>(
        mut future: Pin<Box<dyn Future<Output = ()> + Send + 'a>>,
    ) -> impl FnMut() -> bool + 'a {
        let mut polled = move || {
            let mut context = std::task::Context::from_waker(std::task::Waker::noop());
            future.as_mut().poll(&mut context).is_ready()
        };
        assert!(!polled(), "nothing has passed");
        polled
    }

    #[test]
    fn a_wait_lasts_as_long_as_its_pace_makes_it() {
        let lasts = |pace: Pace, s: i64| pace.lasts(SignedDuration::from_secs(s));
        assert_eq!(lasts(Pace::Told, 20), None);
        assert_eq!(lasts(Pace::Wall, 20), Some(Duration::from_secs(20)));
        assert_eq!(lasts(Pace::Times(1_000), 20), Some(Duration::from_millis(20)));
        assert_eq!(lasts(Pace::Times(10_000), 1), Some(WAIT_MIN), "never a spin");
        assert_eq!(lasts(Pace::Wall, -1), Some(WAIT_MIN));
    }

    #[test]
    fn time_passes_as_fast_as_it_is_told_to_and_never_back() {
        let from = Timestamp::from_second(1_000).unwrap();
        let shows = |pace: Pace, s: i64| pace.after(from, SignedDuration::from_secs(s)).as_second();
        assert_eq!(
            [shows(Pace::Wall, 5), shows(Pace::Told, 5), shows(Pace::Times(10_000), 5)],
            [1_005, 1_000, 51_000]
        );
        assert_eq!([shows(Pace::Wall, -5), shows(Pace::Times(7), -5)], [1_000, 1_000]);
        assert_eq!(Pace::Times(u32::MAX).after(from, SignedDuration::MAX), from.max(Timestamp::MAX));
    }
}
