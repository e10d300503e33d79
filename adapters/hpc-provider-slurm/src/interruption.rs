//! Interruptions: read from the jobs that Slurm still remembers, with a cursor that survives a restart.
//!
//! The end of a job's time limit is known from its start, so its notice is never missing, only late: it is told when it is
//! near, or afterwards if nobody asked in time. A preemption, a failed node or a cancel by somebody in charge comes without
//! one. What Slurm has forgotten (`MinJobAge`, five minutes after the end) is told no more.

use std::collections::BTreeSet;

use hpc_provider::{Interruption, InterruptionKind, InterruptionPage};
use hpc_resources::{ProviderId, Region};
use jiff::{SignedDuration, Timestamp};

use crate::job::{Job, JobState};

/// How long before a job's time limit its notice is told, in seconds.
pub const NOTICE_S: i64 = 600;
/// Most jobs whose events are on one page.
const EVENTS_MAX: usize = 500;

/// One event of a job: told once for all its instances.
struct Event<'a> {
    name: String,
    job: &'a Job,
    kind: InterruptionKind,
    deadline: Timestamp,
    seen_at: Timestamp,
}

/// The events that the cursor has not told, oldest first, and the cursor after them.
///
/// A cursor that cannot be read starts over: everything is told again, nothing is lost.
pub(crate) fn page(
    jobs: &[Job],
    cursor: Option<&str>,
    now: Timestamp,
    provider: &ProviderId,
    region: &Region,
) -> InterruptionPage {
    let told: BTreeSet<&str> =
        cursor.unwrap_or_default().split(',').filter(|name| !name.is_empty()).collect();
    let all: Vec<Event<'_>> = jobs.iter().flat_map(|job| events(job, &told, now)).collect();
    let mut fresh: Vec<&Event<'_>> = all.iter().filter(|event| !told.contains(event.name.as_str())).collect();
    fresh.sort_by_key(|event| (event.seen_at, event.job.number, event.kind == InterruptionKind::Reclaimed));
    fresh.truncate(EVENTS_MAX);
    // Only what Slurm still remembers could be told again.
    let known: BTreeSet<String> = jobs.iter().map(|job| job.number.to_string()).collect();
    let number =
        |name: &&str| name.get(1..).and_then(|rest| rest.split('.').next()).unwrap_or_default().to_owned();
    let mut kept: BTreeSet<&str> =
        told.iter().filter(|name| known.contains(&number(name))).copied().collect();
    kept.extend(fresh.iter().map(|event| event.name.as_str()));
    let instances = |event: &&Event<'_>| {
        let one = |index: usize| Interruption {
            handle: event.job.handle(provider, region, index),
            kind: event.kind,
            deadline: event.deadline,
            seen_at: event.seen_at,
        };
        let released = &event.job.note.released;
        (0..released.len()).filter(|index| !released.has(*index)).map(one).collect::<Vec<_>>()
    };
    InterruptionPage {
        events: fresh.iter().flat_map(instances).collect(),
        cursor: kept.into_iter().collect::<Vec<_>>().join(","),
    }
}

fn events<'a>(job: &'a Job, told: &BTreeSet<&str>, now: Timestamp) -> Vec<Event<'a>> {
    let (Some(ends_at), true) = (job.ends_at, job.had_node && !job.note.released.all()) else {
        return Vec::new();
    };
    let starts_at = job.starts_at.unwrap_or(job.submitted_at);
    let near =
        ends_at.saturating_sub(SignedDuration::from_secs(NOTICE_S)).unwrap_or(starts_at).max(starts_at);
    let of_job = format!("n{}.", job.number);
    let event =
        |kind, name: String, seen_at: Timestamp| Event { name, job, kind, deadline: ends_at, seen_at };
    // A limit that was moved is a new notice; but what has ended was announced once, whatever second it ended in.
    let notice =
        || event(InterruptionKind::Notice, format!("{of_job}{}", ends_at.as_second()), near.min(ends_at));
    let reclaimed =
        || event(InterruptionKind::Reclaimed, format!("r{}.", job.number), ends_at.max(starts_at));
    match job.state {
        JobState::Running if now >= near => vec![notice()],
        JobState::TimedOut if told.iter().any(|name| name.starts_with(&of_job)) => vec![reclaimed()],
        JobState::TimedOut => vec![notice(), reclaimed()],
        JobState::Cancelled | JobState::Ended => vec![reclaimed()],
        _ => Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::job::tests::{jobs, line};

    fn ask(text: &str, cursor: Option<&str>, now: i64) -> (Vec<(String, InterruptionKind, i64)>, String) {
        let (provider, region) = (ProviderId::parse("hall").unwrap(), Region::parse("berlin-1").unwrap());
        let page = page(&jobs(text), cursor, Timestamp::from_second(now).unwrap(), &provider, &region);
        let short = |event: &Interruption| {
            (event.handle.id.rsplit('.').next().unwrap().to_owned(), event.kind, event.seen_at.as_second())
        };
        (page.events.iter().map(short).collect(), page.cursor)
    }

    use InterruptionKind::{Notice, Reclaimed};

    #[test]
    fn a_time_limit_is_announced_once_and_again_when_it_moves() {
        let running = |ends: &str| line(7, "RUNNING", "1000", ends, "vm", "1.0");
        assert_eq!(ask(&running("5000"), None, 4_399), (vec![], String::new()));
        let (events, cursor) = ask(&running("5000"), None, 4_400);
        assert_eq!(events, [("0".to_owned(), Notice, 4_400)]);
        assert_eq!(ask(&running("5000"), Some(&cursor), 4_500).0, []);
        let (moved, cursor) = ask(&running("4900"), Some(&cursor), 4_500);
        assert_eq!(moved, [("0".to_owned(), Notice, 4_300)]);
        // It ends a little late, and is not announced anew.
        let ended = line(7, "TIMEOUT", "1000", "4925", "vm", "1.0");
        let (last, cursor) = ask(&ended, Some(&cursor), 5_000);
        assert_eq!(last, [("0".to_owned(), Reclaimed, 4_925)]);
        assert_eq!(ask(&ended, Some(&cursor), 5_001), (vec![], cursor.clone()));
        assert_eq!(ask("", Some(&cursor), 6_000), (vec![], String::new()), "forgotten with the job");
        let (both, _) = ask(&ended, None, 5_000);
        assert_eq!(both, [("0".to_owned(), Notice, 4_325), ("0".to_owned(), Reclaimed, 4_925)]);
    }

    #[test]
    fn what_the_owner_gave_back_is_no_interruption() {
        let ended =
            |state: &str, released: &str| ask(&line(7, state, "100", "160", "vm", released), None, 200).0;
        for state in ["PREEMPTED", "NODE_FAIL", "CANCELLED", "FAILED", "COMPLETED"] {
            assert_eq!(ended(state, "2.1"), [("1".to_owned(), Reclaimed, 160)], "{state}");
            assert_eq!(ended(state, "2.3"), [], "{state}");
        }
        assert_eq!(ask(&line(7, "CANCELLED", "160", "160", "", "1.0"), None, 200).0, [], "it never ran");
    }

    #[test]
    fn a_cursor_of_nobody_starts_over_and_a_page_has_a_limit() {
        let text: String = (1..=600).map(|n| line(n, "PREEMPTED", "100", "160", "vm", "1.0")).collect();
        let (first, cursor) = ask(&text, Some("n,,r\u{20ac}x,zz"), 200);
        assert_eq!(first.len(), EVENTS_MAX);
        let (second, cursor) = ask(&text, Some(&cursor), 200);
        assert_eq!(second.len(), 100);
        assert_eq!(ask(&text, Some(&cursor), 200).0, []);
    }
}
