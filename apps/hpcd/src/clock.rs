//! The one place of the daemon that reads the clock and draws chance.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use hpc_broker::Environment;
use hpc_error::{HpcError, codes};
use hpc_provider_sim::SimWorld;
use jiff::{SignedDuration, Timestamp};

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

impl Pace {
    /// Whether time passes by itself.
    #[must_use]
    pub fn passes(self) -> bool {
        self != Self::Told
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
        Self { from: (sim.now().max(wall), wall), sim, pace, stream, drawn: AtomicU64::new(0) }
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
}

#[cfg(test)]
mod tests {
    use super::*;

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
