//! The one place that reads the clock.

use jiff::Timestamp;

/// Now, by this machine's clock.
#[must_use]
pub fn now() -> Timestamp {
    #[expect(
        clippy::disallowed_methods,
        reason = "an app's clock module; everything else takes `now` as an argument"
    )]
    Timestamp::now()
}
