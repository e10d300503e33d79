//! Joining at a first boot: the network may not be there yet, and the daemon may be away for a moment.

use std::time::Duration;

use hpc_auth::join::JoinToken;
use hpc_error::{ErrorKind, HpcError, codes};
use tokio::time::Instant;

use crate::join::{Joined, Joining};

/// Most time that can be spent on joining: a day.
pub const JOIN_FOR_S_MAX: u64 = 86_400;
/// Longest time for one attempt.
const ATTEMPT_MAX: Duration = Duration::from_secs(30);
/// The wait before the second attempt is drawn from half of this to all of it; it doubles up to [`WAIT_MAX`].
const WAIT_MIN: Duration = Duration::from_secs(1);
/// The longest wait that is drawn. Many nodes boot at once and a token lives for half an hour.
const WAIT_MAX: Duration = Duration::from_secs(30);

/// How long to go on, and what the waits are drawn from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Patience {
    /// After this long no attempt is begun any more. Zero: one attempt.
    pub within: Duration,
    /// The waits are drawn from this: another one on each machine.
    pub seed: u64,
}

/// Joins the daemon at `endpoint` with a token, with one key in all attempts: a daemon that let this node in and whose answer
/// was lost lets it in again. `tell` hears of each failure that is followed by a wait.
///
/// # Errors
/// As [`Joining::ask`]. Only a failure on the way ([`may_pass`]) is tried again; a token that is refused never is.
pub async fn join_within(
    endpoint: &str,
    token: &JoinToken,
    patience: Patience,
    tell: impl FnMut(&HpcError, Duration),
) -> Result<Joined, HpcError> {
    let joining = Joining::new()?;
    patiently(patience, async || joining.ask(endpoint, token).await, tell).await
}

/// Whether the same may work later: nothing answered, no answer came, or the daemon is starting, stopping or too busy.
#[must_use]
pub fn may_pass(error: &HpcError) -> bool {
    match error.code_text() {
        Some(code) => code.starts_with("HPC-NET-") && code != codes::NET_VERSION.code,
        // What a connection that broke leaves behind.
        None => matches!(
            error.kind(),
            ErrorKind::Network
                | ErrorKind::Unavailable
                | ErrorKind::Timeout
                | ErrorKind::Cancelled
                | ErrorKind::Unknown
        ),
    }
}

async fn patiently<T>(
    patience: Patience,
    mut ask: impl AsyncFnMut() -> Result<T, HpcError>,
    mut tell: impl FnMut(&HpcError, Duration),
) -> Result<T, HpcError> {
    let begun = Instant::now();
    let (mut most, mut chance) = (WAIT_MIN, patience.seed);
    loop {
        let error = match tokio::time::timeout(ATTEMPT_MAX, ask()).await {
            Ok(Ok(joined)) => return Ok(joined),
            Ok(Err(error)) => error,
            Err(_) => {
                let message = format!("no answer to the join within {} s", ATTEMPT_MAX.as_secs());
                HpcError::coded(&codes::NET_TIMEOUT, message)
            }
        };
        let wait = most / 2 + drawn(&mut chance, most / 2);
        if !may_pass(&error) || begun.elapsed() + wait > patience.within {
            return Err(error);
        }
        tell(&error, wait);
        tokio::time::sleep(wait).await;
        most = (most * 2).min(WAIT_MAX);
    }
}

/// A time up to `most`, by the millisecond; SplitMix64.
fn drawn(chance: &mut u64, most: Duration) -> Duration {
    *chance = chance.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mut value = *chance;
    value = (value ^ (value >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    value = (value ^ (value >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    let span = u64::try_from(most.as_millis()).unwrap_or(u64::MAX).saturating_add(1);
    Duration::from_millis((value ^ (value >> 31)).checked_rem(span).unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn unreachable() -> HpcError {
        HpcError::coded(&codes::NET_DAEMON_UNREACHABLE, "nothing there")
    }

    /// Fails so often, then works; how many attempts there were, and how long it took.
    async fn after(
        failures: u32,
        within_s: u64,
        seed: u64,
        error: fn() -> HpcError,
    ) -> (Result<u32, HpcError>, u32, Duration) {
        let patience = Patience { within: Duration::from_secs(within_s), seed };
        let (begun, mut made, mut told) = (Instant::now(), 0, 0);
        let answer = patiently(
            patience,
            async || {
                made += 1;
                if made <= failures { Err(error()) } else { Ok(made) }
            },
            |_, _| told += 1,
        )
        .await;
        assert_eq!(told, made - 1, "each wait is told");
        (answer, made, begun.elapsed())
    }

    #[tokio::test(start_paused = true)]
    async fn a_network_that_is_late_is_waited_for() {
        let (answer, made, took) = after(5, 1_800, 7, unreachable).await;
        assert_eq!((answer.unwrap(), made), (6, 6));
        let (least, most) = (Duration::from_millis(15_500), Duration::from_secs(31));
        assert!((least..=most).contains(&took), "{took:?}");
        let (_, _, other) = after(5, 1_800, 8, unreachable).await;
        assert_ne!(took, other, "two machines do not come at the same time");
    }

    #[tokio::test(start_paused = true)]
    async fn patience_ends_and_without_any_there_is_one_attempt() {
        let (answer, made, took) = after(u32::MAX, 600, 7, unreachable).await;
        assert_eq!(answer.unwrap_err().registered(), Some(&codes::NET_DAEMON_UNREACHABLE));
        assert!(took <= Duration::from_secs(600) && took > Duration::from_secs(560), "{took:?}");
        assert!((20..60).contains(&made), "{made}");
        let (answer, made, took) = after(u32::MAX, 0, 7, unreachable).await;
        assert!(answer.is_err() && made == 1 && took.is_zero());
    }

    #[tokio::test(start_paused = true)]
    async fn a_refusal_is_final() {
        let refused: fn() -> HpcError = || HpcError::coded(&codes::AUT_TOKEN_INVALID, "used");
        let (answer, made, took) = after(u32::MAX, 1_800, 7, refused).await;
        assert_eq!((answer.unwrap_err().registered(), made), (Some(&codes::AUT_TOKEN_INVALID), 1));
        assert!(took.is_zero());
    }

    #[tokio::test(start_paused = true)]
    async fn an_attempt_that_hangs_is_ended() {
        let mut made = 0;
        let patience = Patience { within: Duration::from_secs(100), seed: 7 };
        let ask = async || {
            made += 1;
            if made == 1 {
                std::future::pending::<()>().await
            }
            Ok::<_, HpcError>(made)
        };
        assert_eq!(patiently(patience, ask, |_, _| ()).await.unwrap(), 2);
    }

    #[test]
    fn only_what_happens_on_the_way_may_pass() {
        for code in [
            &codes::NET_DAEMON_UNREACHABLE,
            &codes::NET_TIMEOUT,
            &codes::NET_OVERLOADED,
            &codes::NET_SHUTTING_DOWN,
        ] {
            assert!(may_pass(&HpcError::coded(code, "x")), "{}", code.code);
        }
        for code in [
            &codes::NET_VERSION,
            &codes::AUT_TOKEN_INVALID,
            &codes::AUT_NOT_ALLOWED,
            &codes::AUT_UNTRUSTED,
            &codes::INT_BUG,
        ] {
            assert!(!may_pass(&HpcError::coded(code, "x")), "{}", code.code);
        }
        assert!(may_pass(&HpcError::new(ErrorKind::Unavailable, "the connection broke")));
        assert!(!may_pass(&HpcError::new(ErrorKind::Denied, "no")));
    }
}
