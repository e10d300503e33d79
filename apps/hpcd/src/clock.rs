//! The one place of the daemon that reads the clock and draws chance.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use hpc_broker::Environment;
use hpc_error::{HpcError, codes};
use hpc_provider_sim::SimWorld;
use jiff::Timestamp;

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
}

/// The daemon's time and chance. There is one clock, the simulated world's; at [`Pace::Wall`] it follows this machine's.
pub struct HostEnvironment {
    sim: Arc<SimWorld>,
    pace: Pace,
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
        Self { sim, pace, stream, drawn: AtomicU64::new(0) }
    }
}

impl Environment for HostEnvironment {
    fn now(&self) -> Timestamp {
        if self.pace == Pace::Wall {
            // A simulated cloud that cannot be written keeps its last time; its own calls say what is wrong.
            drop(self.sim.advance_to(wall_now()));
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
