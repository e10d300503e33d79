//! Interruptions: read from the operations by which Compute Engine took instances back, with a cursor that survives a
//! restart.
//!
//! An operation stays readable for two weeks, also when its instance is gone. It comes with the reclaim: the notice before
//! it, half a minute at best, is told on the instance alone.

use std::collections::{BTreeMap, BTreeSet};

use hpc_provider::{InstanceHandle, Interruption, InterruptionKind, InterruptionPage};
use jiff::{SignedDuration, Timestamp};

/// The kind of operation that is a reclaim.
pub const PREEMPTED: &str = "compute.instances.preempted";
/// Most events on one page.
pub const EVENTS_MAX: usize = 500;
/// How late an operation may show up behind a newer one and still be told.
const LATE: SignedDuration = SignedDuration::from_mins(10);
/// Most told events that a cursor remembers; those before them may be told twice.
const TOLD_MAX: usize = 4 * EVENTS_MAX;
/// Longest cursor that is read, in bytes.
const CURSOR_BYTES_MAX: usize = 128 << 10;
/// Most bytes of one told event in a cursor: a comma, a time, a dot and an operation.
const TOLD_BYTES_MAX: usize = 36;
const _: () = assert!(TOLD_MAX * TOLD_BYTES_MAX < CURSOR_BYTES_MAX, "the fullest cursor can be read");

/// One instance taken back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reclaim {
    /// The instance.
    pub handle: InstanceHandle,
    /// The operation's id.
    pub operation: u64,
    /// When.
    pub at: Timestamp,
}

/// How far before the cursor's time operations are asked for, beside [`LATE`]. Compute Engine writes times with the offset of
/// some place; a filter that compares them as texts is off by that offset, never by a day.
const OFFSETS: SignedDuration = SignedDuration::from_hours(24);

/// Collects what a cursor has not told from a list of any length, and keeps no more than a page of it.
///
/// Where the list is not whole (a zone did not answer), the cursor stays where it was in time, so that what that zone has
/// to say is told later. A cursor that cannot be read starts over: everything is told again, nothing is lost.
#[derive(Debug)]
pub struct Reader {
    cursor: Cursor,
    from: Option<Timestamp>,
    /// The oldest that were not told, at most [`EVENTS_MAX`].
    fresh: BTreeMap<(Timestamp, u64), Reclaim>,
    more: bool,
    /// The newest operation of all, whosever it is.
    newest: Option<Timestamp>,
}

impl Reader {
    /// Goes on where a cursor ended, or begins at the oldest operation.
    #[must_use]
    pub fn new(cursor: Option<&str>) -> Self {
        let cursor = cursor.and_then(Cursor::parse).unwrap_or_default();
        let from = cursor.mark.map(|mark| mark.saturating_sub(LATE).unwrap_or(Timestamp::MIN));
        Self { cursor, from, fresh: BTreeMap::new(), more: false, newest: None }
    }

    /// From when on operations have to be asked for; `None` for all. It is well before what is told, on purpose.
    #[must_use]
    pub fn since(&self) -> Option<Timestamp> {
        self.from.map(|from| from.saturating_sub(OFFSETS).unwrap_or(Timestamp::MIN))
    }

    /// An operation by which somebody's instance was taken back, at this time. So far the list has been read.
    pub fn seen(&mut self, at: Timestamp) {
        self.newest = self.newest.max(Some(at));
    }

    /// One of ours.
    pub fn add(&mut self, reclaim: Reclaim) {
        self.seen(reclaim.at);
        if self.from.is_some_and(|from| reclaim.at < from) || self.cursor.told.contains(&name(&reclaim)) {
            return;
        }
        self.fresh.insert((reclaim.at, reclaim.operation), reclaim);
        if self.fresh.len() > EVENTS_MAX {
            self.fresh.pop_last();
            self.more = true;
        }
    }

    /// The events, oldest first, and the cursor after them.
    #[must_use]
    pub fn page(self, whole: bool) -> InterruptionPage {
        let Self { mut cursor, fresh, more, newest, .. } = self;
        cursor.told.extend(fresh.values().map(name));
        if whole {
            // Whatever is older has been told, or is not ours. With more to come only what was told counts.
            let told = fresh.last_key_value().map(|((at, _), _)| *at);
            cursor.mark = cursor.mark.max(if more { told } else { newest });
        }
        cursor.forget();
        let event = |reclaim: Reclaim| Interruption {
            handle: reclaim.handle,
            kind: InterruptionKind::Reclaimed,
            deadline: reclaim.at,
            seen_at: reclaim.at,
        };
        InterruptionPage { events: fresh.into_values().map(event).collect(), cursor: cursor.text() }
    }
}

/// The newest time told, and what was told shortly before it: time in milliseconds, and the operation.
#[derive(Debug, Default)]
struct Cursor {
    mark: Option<Timestamp>,
    told: BTreeSet<(i64, u64)>,
}

fn name(reclaim: &Reclaim) -> (i64, u64) {
    (reclaim.at.as_millisecond(), reclaim.operation)
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
        let told = parts.map(|part| {
            let (at, operation) = part.split_once('.')?;
            Some((at.parse().ok()?, operation.parse().ok()?))
        });
        Some(Self { mark, told: told.collect::<Option<_>>()? })
    }

    /// Forgets what is too old to come again, and the oldest of too many.
    fn forget(&mut self) {
        if let Some(oldest) = self.mark.and_then(|mark| mark.saturating_sub(LATE).ok()) {
            self.told.retain(|(at, _)| *at >= oldest.as_millisecond());
        }
        while self.told.len() > TOLD_MAX {
            self.told.pop_first();
        }
    }

    fn text(&self) -> String {
        let mark = self.mark.map(|mark| mark.as_millisecond().to_string()).unwrap_or_default();
        let mut text = format!("v1:{mark}");
        for (at, operation) in &self.told {
            text.push_str(&format!(",{at}.{operation}"));
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

    fn reclaim(operation: u64, second: i64) -> Reclaim {
        let handle = InstanceHandle {
            provider: ProviderId::parse("gcp").unwrap(),
            region: Region::parse("us-central1").unwrap(),
            id: format!("us-central1-a.hpc-{operation}"),
        };
        Reclaim { handle, operation, at: at(second) }
    }

    fn page(reclaims: &[Reclaim], whole: bool, cursor: Option<&str>) -> InterruptionPage {
        let mut reader = Reader::new(cursor);
        for reclaim in reclaims {
            reader.add(reclaim.clone());
        }
        reader.page(whole)
    }

    fn told(page: &InterruptionPage) -> Vec<&str> {
        page.events.iter().map(|event| event.handle.id.trim_start_matches("us-central1-a.hpc-")).collect()
    }

    #[test]
    fn a_reclaim_is_told_once_and_again_without_a_cursor() {
        let all = [reclaim(u64::MAX, 7), reclaim(u64::MAX, 7)];
        let first = page(&all, true, None);
        let [event] = first.events.as_slice() else { panic!("{first:?}") };
        assert_eq!((event.kind, event.deadline, event.seen_at), (InterruptionKind::Reclaimed, at(7), at(7)));
        let quiet = page(&all, true, Some(&first.cursor));
        assert_eq!((told(&quiet).len(), &quiet.cursor), (0, &first.cursor));
        assert_eq!(told(&page(&all, true, None)).len(), 1);
    }

    #[test]
    fn one_that_shows_up_late_is_told() {
        let first = page(&[reclaim(2, 300)], true, None);
        assert_eq!(told(&page(&[reclaim(2, 300), reclaim(1, 290)], true, Some(&first.cursor))), ["1"]);
        let edge = [reclaim(3, 300 - 600), reclaim(4, 300 - 601)];
        assert_eq!(told(&page(&edge, true, Some(&first.cursor))), ["3"]);
    }

    #[test]
    fn a_zone_that_did_not_answer_is_heard_later() {
        let start = page(&[reclaim(1, 0)], true, None);
        let part = page(&[reclaim(1, 0), reclaim(2, 7_200)], false, Some(&start.cursor));
        assert_eq!(told(&part), ["2"]);
        let rest = [reclaim(1, 0), reclaim(2, 7_200), reclaim(3, 10)];
        let whole = page(&rest, true, Some(&part.cursor));
        assert_eq!(told(&whole), ["3"], "two hours behind, and not lost");
        assert_eq!(told(&page(&rest, true, Some(&whole.cursor))).len(), 0);
    }

    #[test]
    fn more_than_a_page_comes_in_pages_and_none_is_lost() {
        let all: Vec<_> = (0..2 * EVENTS_MAX as u64 + 3).map(|n| reclaim(u64::MAX - n, 5)).collect();
        let mut cursor = None;
        let mut seen = BTreeSet::new();
        for want in [EVENTS_MAX, EVENTS_MAX, 3] {
            let next = page(&all, true, cursor.as_deref());
            assert_eq!(next.events.len(), want);
            seen.extend(next.events.into_iter().map(|event| event.handle.id));
            cursor = Some(next.cursor);
        }
        assert_eq!(seen.len(), all.len());
    }

    #[test]
    fn what_was_read_is_not_asked_for_again_and_what_may_come_late_is() {
        assert_eq!(Reader::new(None).since(), None);
        let mut reader = Reader::new(None);
        reader.add(reclaim(1, 0));
        // Somebody else's, much later: it is not told, and nobody has to read up to it again.
        reader.seen(at(500_000));
        let first = reader.page(true);
        let day = 24 * 3_600;
        let mut next = Reader::new(Some(&first.cursor));
        assert_eq!(next.since(), Some(at(500_000 - 600 - day)));
        // Ten minutes behind the newest is still told; a list that is not whole moves nothing.
        next.add(reclaim(2, 500_000 - 600));
        next.seen(at(900_000));
        let part = next.page(false);
        assert_eq!(told(&part), ["2"]);
        assert_eq!(Reader::new(Some(&part.cursor)).since(), Some(at(500_000 - 600 - day)));
    }

    #[test]
    fn no_more_than_a_page_is_kept_of_a_list_of_any_length_and_its_newest_moves_nothing() {
        let mut reader = Reader::new(None);
        for number in (0..20 * EVENTS_MAX as u64).rev() {
            reader.add(reclaim(number, i64::try_from(number).unwrap()));
            assert!(reader.fresh.len() <= EVENTS_MAX);
        }
        let first = reader.page(true);
        assert_eq!((first.events.len(), told(&first)[0]), (EVENTS_MAX, "0"), "the oldest first");
        let since = Reader::new(Some(&first.cursor)).since().unwrap();
        assert!(since < at(i64::try_from(EVENTS_MAX).unwrap()), "what is left is asked for again");
    }

    #[test]
    fn a_cursor_that_cannot_be_read_starts_over() {
        let all = [reclaim(1, 0)];
        let long = format!("v1:0{}", ",1.1".repeat(CURSOR_BYTES_MAX));
        for cursor in [
            "",
            "v1",
            "v2:0",
            "v1:x",
            "v1:99999999999999999999",
            "v1:0,x",
            "v1:0,1",
            "v1:0,1.-1",
            "🦀",
            &long,
        ] {
            assert_eq!(told(&page(&all, true, Some(cursor))).len(), 1, "{cursor:.9}");
        }
        let none = page(&[], true, None);
        assert_eq!(told(&page(&all, true, Some(&none.cursor))).len(), 1);
    }
}
