//! Every limit of asking witnesses, in one place.

use std::time::Duration;

use jiff::SignedDuration;

/// How often witnesses are asked while the newest checkpoint lacks its quorum.
pub const ROUND: Duration = Duration::from_secs(5);
/// Longest wait for a connection to a witness.
pub const CONNECT_TIME_MAX: Duration = Duration::from_secs(5);
/// Longest wait for the whole answer of a witness.
pub const ANSWER_TIME_MAX: Duration = Duration::from_secs(15);
/// Largest answer of a witness, in bytes.
pub const ANSWER_BYTES_MAX: usize = 64 * 1024;
/// Most requests to one witness in a round: it may say where it is, and be overtaken once.
pub const TRIES_MAX: usize = 3;
/// How far ahead of this machine's clock a cosignature may be dated, in seconds.
pub const AHEAD_S_MAX: u64 = 300;
/// How long a newest checkpoint may lack its quorum before that is an alarm.
pub const QUORUM_LATE_MAX: SignedDuration = SignedDuration::from_secs(60);
