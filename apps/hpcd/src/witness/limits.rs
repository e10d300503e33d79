//! Every limit of a witness, in one place.

use std::time::Duration;

/// Most logs of one witness.
pub const LOGS_MAX: usize = 256;
/// Most requests that are being answered; a further one gets 503.
pub const REQUESTS_MAX: usize = 64;
/// Longest time that a body may take to arrive; a slower one gets 408.
pub const BODY_TIME_MAX: Duration = Duration::from_secs(10);
/// Cosignatures of one log that are given at once; further ones come one every [`COSIGN_EVERY`].
pub const COSIGN_BURST: u32 = 32;
/// Time between two cosignatures of one log that asks more often; it gets 429 meanwhile.
pub const COSIGN_EVERY: Duration = Duration::from_millis(250);
/// Most contradictions of which the evidence is kept when it proves them.
pub const EVIDENCE_MAX: usize = 1_024;
/// Most contradictions of which the evidence is kept when somebody may have sent a wrong proof.
pub const SUSPICIONS_MAX: usize = 256;
