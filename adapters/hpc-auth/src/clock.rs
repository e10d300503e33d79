//! The one place of this package that reads the clock.

use jiff::Timestamp;

#[expect(
    clippy::disallowed_methods,
    reason = "serves the three-call form in `cert`; everything else takes `now` as an argument"
)]
pub(crate) fn now() -> Timestamp {
    Timestamp::now()
}
