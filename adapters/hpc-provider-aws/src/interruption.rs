//! Interruptions: read from the status of spot requests, with a cursor that survives a restart.
//!
//! EC2 keeps one status per spot request, and no history of it. A reclaim that has happened stays readable for hours; a
//! notice is seen only while it stands, two minutes. What passes in between is told by EventBridge and on the instance,
//! which nothing here reads.

use std::collections::BTreeSet;

use hpc_provider::{InstanceHandle, Interruption, InterruptionKind, InterruptionPage};
use jiff::{SignedDuration, Timestamp};

/// Most events on one page.
pub const EVENTS_MAX: usize = 500;
/// How long EC2 promises between a notice and its end.
const NOTICE: SignedDuration = SignedDuration::from_mins(2);
/// How late a status may show up behind a newer one and still be told.
const LATE: SignedDuration = SignedDuration::from_mins(10);
/// Most told events that a cursor remembers; those before them may be told twice.
const TOLD_MAX: usize = 2 * EVENTS_MAX;
/// Longest cursor that is read, in bytes.
const CURSOR_BYTES_MAX: usize = 128 << 10;

/// What EC2 says of one spot request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SpotStatus {
    /// The instance.
    pub handle: InstanceHandle,
    /// For example `marked-for-termination`.
    pub code: String,
    /// Since when.
    pub updated_at: Timestamp,
}

/// The event in a status; `None` for a status that is no interruption.
///
/// Source: "Spot request status" of the EC2 documentation.
#[must_use]
pub fn event(status: &SpotStatus) -> Option<Interruption> {
    let (kind, deadline) = match status.code.as_str() {
        "marked-for-termination" | "marked-for-stop" | "marked-for-hibernation" => {
            (InterruptionKind::Notice, status.updated_at.saturating_add(NOTICE).ok()?)
        }
        "instance-terminated-by-price"
        | "instance-terminated-no-capacity"
        | "instance-terminated-capacity-oversubscribed"
        | "instance-terminated-launch-group-constraint"
        | "instance-terminated-by-experiment"
        | "instance-stopped-by-price"
        | "instance-stopped-no-capacity"
        | "instance-stopped-capacity-oversubscribed" => (InterruptionKind::Reclaimed, status.updated_at),
        _ => return None,
    };
    Some(Interruption { handle: status.handle.clone(), kind, deadline, seen_at: status.updated_at })
}

/// The events that the cursor has not told, oldest first, and the cursor after them.
///
/// A cursor that cannot be read starts over: everything is told again, nothing is lost.
#[must_use]
pub fn page(statuses: &[SpotStatus], cursor: Option<&str>) -> InterruptionPage {
    let mut cursor = cursor.and_then(Cursor::parse).unwrap_or_default();
    let from = cursor.mark.map(|mark| mark.saturating_sub(LATE).unwrap_or(Timestamp::MIN));
    let mut fresh: Vec<(String, Interruption)> = statuses
        .iter()
        .filter_map(event)
        .filter(|event| from.is_none_or(|from| event.seen_at >= from))
        .map(|event| (name(&event), event))
        .filter(|(name, _)| !cursor.told.contains(name))
        .collect();
    fresh.sort_by(|(one, left), (other, right)| (left.seen_at, one).cmp(&(right.seen_at, other)));
    fresh.dedup_by(|(one, _), (other, _)| one == other);
    fresh.truncate(EVENTS_MAX);
    cursor.told.extend(fresh.iter().map(|(name, _)| name.clone()));
    cursor.mark = cursor.mark.max(fresh.last().map(|(_, event)| event.seen_at));
    cursor.forget();
    InterruptionPage { events: fresh.into_iter().map(|(_, event)| event).collect(), cursor: cursor.text() }
}

/// The newest time told, and what was told shortly before it.
#[derive(Debug, Default)]
struct Cursor {
    mark: Option<Timestamp>,
    told: BTreeSet<String>,
}

/// The name of an event begins with its time, in a fixed width: names sort by time.
fn name(event: &Interruption) -> String {
    let kind = match event.kind {
        InterruptionKind::Rebalance => 'b',
        InterruptionKind::Notice => 'n',
        InterruptionKind::Reclaimed => 'r',
    };
    format!("{:016}{kind}{}", event.seen_at.as_millisecond().max(0), event.handle.id)
}

impl Cursor {
    fn parse(text: &str) -> Option<Self> {
        if text.len() > CURSOR_BYTES_MAX {
            return None;
        }
        let mut parts = text.strip_prefix("v1:")?.split(',');
        let mark = match parts.next()? {
            "" => None,
            millis => Some(Timestamp::from_millisecond(millis.parse().ok()?).ok()?),
        };
        Some(Self { mark, told: parts.map(str::to_owned).collect() })
    }

    /// Forgets what is too old to come again, and the oldest of too many.
    fn forget(&mut self) {
        let oldest = self.mark.and_then(|mark| mark.saturating_sub(LATE).ok()).unwrap_or(Timestamp::MIN);
        let oldest = format!("{:016}", oldest.as_millisecond().max(0));
        self.told.retain(|name| *name >= oldest);
        while self.told.len() > TOLD_MAX {
            self.told.pop_first();
        }
    }

    fn text(&self) -> String {
        let mark = self.mark.map(|mark| mark.as_millisecond().to_string()).unwrap_or_default();
        let mut text = format!("v1:{mark}");
        for name in &self.told {
            text.push(',');
            text.push_str(name);
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use hpc_resources::{ProviderId, Region};

    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(1_795_000_000 + second).unwrap()
    }

    fn status(id: &str, code: &str, second: i64) -> SpotStatus {
        let handle = InstanceHandle {
            provider: ProviderId::parse("aws").unwrap(),
            region: Region::parse("us-east-1").unwrap(),
            id: id.to_owned(),
        };
        SpotStatus { handle, code: code.to_owned(), updated_at: at(second) }
    }

    fn told(page: &InterruptionPage) -> Vec<(&str, InterruptionKind)> {
        page.events.iter().map(|event| (event.handle.id.as_str(), event.kind)).collect()
    }

    const GONE: &str = "instance-terminated-no-capacity";

    #[test]
    fn a_notice_ends_in_two_minutes_and_a_reclaim_has_ended() {
        let notice = event(&status("i-1", "marked-for-termination", 0)).unwrap();
        assert_eq!((notice.kind, notice.deadline), (InterruptionKind::Notice, at(120)));
        let gone = event(&status("i-1", GONE, 7)).unwrap();
        assert_eq!((gone.kind, gone.deadline, gone.seen_at), (InterruptionKind::Reclaimed, at(7), at(7)));
        for code in
            ["fulfilled", "instance-terminated-by-user", "request-canceled-and-instance-running", "", "x"]
        {
            assert_eq!(event(&status("i-1", code, 0)), None, "{code}");
        }
    }

    #[test]
    fn a_notice_and_then_its_reclaim_are_told_once_each() {
        let first = page(&[status("i-1", "marked-for-termination", 0)], None);
        assert_eq!(told(&first), [("i-1", InterruptionKind::Notice)]);
        let quiet = page(&[status("i-1", "marked-for-termination", 0)], Some(&first.cursor));
        assert_eq!(told(&quiet), []);
        let last = page(&[status("i-1", GONE, 120)], Some(&quiet.cursor));
        assert_eq!(told(&last), [("i-1", InterruptionKind::Reclaimed)]);
        assert_eq!(told(&page(&[status("i-1", GONE, 120)], Some(&last.cursor))), []);
        assert_eq!(told(&page(&[status("i-1", GONE, 120)], None)).len(), 1, "without a cursor, again");
    }

    #[test]
    fn one_that_shows_up_late_is_told() {
        let first = page(&[status("i-2", GONE, 300)], None);
        let both = [status("i-2", GONE, 300), status("i-1", GONE, 290)];
        assert_eq!(told(&page(&both, Some(&first.cursor))), [("i-1", InterruptionKind::Reclaimed)]);
        let edge = [status("i-3", GONE, 300 - 600), status("i-4", GONE, 300 - 601)];
        assert_eq!(told(&page(&edge, Some(&first.cursor))), [("i-3", InterruptionKind::Reclaimed)]);
    }

    #[test]
    fn more_than_a_page_comes_in_pages_and_none_is_lost() {
        let count = 2 * EVENTS_MAX + 3;
        let all: Vec<_> = (0..count).map(|n| status(&format!("i-{n:05}"), GONE, 5)).collect();
        let mut cursor = None;
        let mut seen = BTreeSet::new();
        for want in [EVENTS_MAX, EVENTS_MAX, 3] {
            let next = page(&all, cursor.as_deref());
            assert_eq!(next.events.len(), want);
            seen.extend(next.events.into_iter().map(|event| event.handle.id));
            cursor = Some(next.cursor);
        }
        assert_eq!(seen.len(), count);
        assert!(cursor.unwrap().len() < CURSOR_BYTES_MAX);
    }

    #[test]
    fn a_cursor_that_cannot_be_read_starts_over() {
        let all = [status("i-1", GONE, 0)];
        let long = format!("v1:0{}", ",x".repeat(CURSOR_BYTES_MAX));
        for cursor in ["", "v1", "v2:0", "v1:x", "v1:99999999999999999999", "🦀", &long] {
            assert_eq!(told(&page(&all, Some(cursor))).len(), 1, "{cursor:.9}");
        }
        let none = page(&[], None);
        assert_eq!(told(&page(&all, Some(&none.cursor))).len(), 1);
    }
}
