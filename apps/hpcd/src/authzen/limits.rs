//! Every limit of the AuthZEN endpoints, in one place.

use std::time::Duration;

/// Largest body of a request, in bytes; a larger one is answered with 413.
pub const BODY_BYTES_MAX: usize = 1024 * 1024;
/// Longest time that a body may take to arrive; a slower one is answered with 408.
pub const BODY_TIME_MAX: Duration = Duration::from_secs(10);
/// Most evaluations in one batch; more are answered with 400.
pub const EVALUATIONS_MAX: usize = 1_000;
/// Most results in one page of a search, and how many a request gets that names no limit.
pub const PAGE_RESULTS_MAX: usize = 1_000;
/// Most entities looked at for one page of a search; the next page goes on from there.
pub const SEARCH_LOOKS_MAX: usize = 10_000;
/// Longest `X-Request-ID` that is echoed, in bytes of visible ASCII.
pub const REQUEST_ID_BYTES_MAX: usize = 128;
/// Most reasons, and most ways to an allow, that a decision carries.
pub const REASONS_MAX: usize = 8;
/// Evaluations of one batch that are decided where they arrive; a larger batch goes to a thread of its own.
pub(super) const INLINE_EVALUATIONS_MAX: usize = 8;
/// Large batches and searches that run at once; more wait.
pub(super) const THREADS_MAX: usize = 4;
/// Requests of one caller that are decided and recorded in a burst; more are answered with 429.
pub const RECORDED_AT_ONCE: u32 = 4_096;
/// Requests of one caller that are decided and recorded in a second, after a burst.
pub const RECORDED_PER_S: u32 = 1_000;
/// Callers that are told apart; then those who have been quiet longest are forgotten.
pub(super) const CALLERS_MAX: usize = 1_024;
