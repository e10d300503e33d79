//! How and when an instance ended, in EC2's words.

use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::Offset;

/// Whether EC2 ended it: a spot reclaim, failed hardware, no stock for a start. `Client.` codes are the owner's own.
#[must_use]
pub fn by_provider(reason_code: &str) -> bool {
    reason_code.starts_with("Server.")
}

/// The time in a transition reason such as `User initiated (2026-07-01 17:11:33 GMT)`; `None` when it has none.
#[must_use]
pub fn time(transition_reason: &str) -> Option<Timestamp> {
    let (_, text) = transition_reason.rsplit_once('(')?;
    let text = text.strip_suffix(')')?;
    let text = text.strip_suffix(" GMT").or_else(|| text.strip_suffix(" UTC")).unwrap_or(text);
    let civil: DateTime = text.trim().parse().ok()?;
    Offset::UTC.to_timestamp(civil).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_time_is_read_where_there_is_one() {
        for (reason, want) in [
            ("User initiated (2026-07-01 17:11:33 GMT)", Some("2026-07-01T17:11:33Z")),
            ("User initiated (2026-07-01 17:11:33 UTC)", Some("2026-07-01T17:11:33Z")),
            ("Server.SpotInstanceTermination: Spot instance termination", None),
            ("User initiated", None),
            ("User initiated ()", None),
            ("User initiated (yesterday GMT)", None),
            ("User initiated (9999-99-99 00:00:00 GMT)", None),
            ("", None),
            ("(((", None),
        ] {
            assert_eq!(time(reason).map(|time| time.to_string()).as_deref(), want, "{reason}");
        }
    }

    #[test]
    fn who_ended_it() {
        assert!(by_provider("Server.SpotInstanceTermination") && by_provider("Server.InternalError"));
        assert!(!by_provider("Client.UserInitiatedShutdown") && !by_provider(""));
    }
}
