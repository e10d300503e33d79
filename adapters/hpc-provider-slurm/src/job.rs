//! Jobs, as `squeue` lists them.

use hpc_provider::{InstanceHandle, InstancePhase, InstanceState};
use hpc_resources::{OfferKind, ProviderId, Region, ZoneId};
use jiff::Timestamp;

use crate::commands::{Call, Program};
use crate::note::Note;

/// Most jobs of ours that one listing may show.
pub const JOBS_MAX: usize = 8_192;
/// Characters of the token that a handle repeats, so that a number used again by Slurm names nobody else's job.
const TOKEN_IN_HANDLE: usize = 16;
/// What is asked of each job; a `|` after each.
const FIELDS: [&str; 10] = [
    "JobID",
    "Name",
    "State",
    "Reason",
    "Partition",
    "SubmitTime",
    "StartTime",
    "EndTime",
    "NodeList",
    "Comment",
];

/// What Slurm says of a job's life.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum JobState {
    /// Waiting, or its nodes are being made ready.
    Pending,
    /// Holds its nodes. A state that is not known is taken to be this one: it may cost something.
    Running,
    /// Ending; its nodes are not free yet.
    Completing,
    /// Cancelled, by its owner or somebody in charge.
    Cancelled,
    /// At its time limit or deadline.
    TimedOut,
    /// Ended in another way: preempted, a node failed, the placeholder ended.
    Ended,
}

impl JobState {
    fn parse(text: &str) -> Self {
        match text {
            "PENDING" | "REQUEUED" | "REQUEUE_HOLD" | "REQUEUE_FED" | "SPECIAL_EXIT" => Self::Pending,
            "COMPLETING" | "STAGE_OUT" => Self::Completing,
            "CANCELLED" | "REVOKED" => Self::Cancelled,
            "TIMEOUT" | "DEADLINE" => Self::TimedOut,
            "COMPLETED" | "FAILED" | "NODE_FAIL" | "BOOT_FAIL" | "PREEMPTED" | "OUT_OF_MEMORY" => Self::Ended,
            _ => Self::Running,
        }
    }

    /// Whether it has ended and holds nothing.
    #[must_use]
    pub const fn has_ended(self) -> bool {
        matches!(self, Self::Cancelled | Self::TimedOut | Self::Ended)
    }
}

/// One job of this provider.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Job {
    /// Its number; Slurm uses numbers again after some 67 million.
    pub number: u64,
    /// Its name: `hpc.<provider>.<token>`.
    pub name: String,
    /// Where it is in its life.
    pub state: JobState,
    /// Why it waits.
    pub reason: String,
    /// The partition it is in.
    pub partition: ZoneId,
    /// When it was submitted.
    pub submitted_at: Timestamp,
    /// When it started, or is expected to.
    pub starts_at: Option<Timestamp>,
    /// When it ended, or will at its time limit.
    pub ends_at: Option<Timestamp>,
    /// Whether it ever had a node.
    pub had_node: bool,
    /// What its comment says.
    pub(crate) note: Note,
}

/// All jobs of one provider, and whether there are some of which nothing can be said.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub(crate) struct Jobs {
    pub(crate) ours: Vec<Job>,
    /// Number and name of live jobs with a name of ours and a comment that is not: they hold nodes, and nobody can say
    /// whose they are.
    pub(crate) unreadable: Vec<(u64, String)>,
}

/// What every name of a provider's jobs begins with.
pub(crate) fn name_prefix(provider: &ProviderId) -> String {
    format!("hpc.{provider}.")
}

/// Lists all jobs of the user, ended ones included for as long as Slurm remembers them (`MinJobAge`, five minutes).
pub(crate) fn list() -> Call {
    let format = FIELDS.map(|field| format!("{field}:|")).join(",");
    Call::new(Program::Squeue, ["--noheader", "--me", "--states=all", "--Format"]).and(format)
}

impl Call {
    pub(crate) fn and(mut self, argument: impl Into<String>) -> Self {
        self.arguments.push(argument.into());
        self
    }
}

/// Reads a listing; `None` when it shows more jobs of ours than are kept.
///
/// Lines of other jobs of the same user are passed over, whatever they look like.
pub(crate) fn read(text: &str, prefix: &str) -> Option<Jobs> {
    let mut jobs = Jobs::default();
    for line in text.lines() {
        let parts: Vec<&str> = line.split('|').collect();
        let &[number, name, state, reason, partition, submitted, starts, ends, nodes, comment, _] =
            parts.as_slice()
        else {
            continue;
        };
        let Ok(number) = number.parse::<u64>() else { continue };
        let token = name.strip_prefix(prefix).filter(|token| is_token(token));
        if token.is_none() {
            continue;
        }
        let state = JobState::parse(state);
        let seconds = |text: &str| text.parse().ok().and_then(|second| Timestamp::from_second(second).ok());
        let (Some(note), Some(submitted_at), Ok(partition)) =
            (Note::read(comment), seconds(submitted), ZoneId::parse(partition))
        else {
            if !state.has_ended() && jobs.unreadable.len() < JOBS_MAX {
                jobs.unreadable.push((number, name.to_owned()));
            }
            continue;
        };
        if jobs.ours.len() >= JOBS_MAX {
            return None;
        }
        let had_node = !nodes.is_empty() && nodes != "(null)";
        let (name, reason) = (name.to_owned(), reason.to_owned());
        let (starts_at, ends_at) = (seconds(starts), seconds(ends));
        jobs.ours.push(Job {
            number,
            name,
            state,
            reason,
            partition,
            submitted_at,
            starts_at,
            ends_at,
            had_node,
            note,
        });
    }
    jobs.ours.sort_by_key(|job| job.number);
    Some(jobs)
}

/// Whether a handle may be of the job with this number.
pub(crate) fn is_of(number: u64, handle: &str) -> bool {
    handle.split('.').next().is_some_and(|first| first == number.to_string())
}

fn is_token(text: &str) -> bool {
    text.len() == 64 && text.bytes().all(|byte| byte.is_ascii_digit() || matches!(byte, b'a'..=b'f'))
}

impl Job {
    /// Whether it is, or was, instances: what ended without ever having a node never was any.
    pub(crate) const fn exists(&self) -> bool {
        self.had_node || !self.state.has_ended()
    }

    fn token_in_handle(&self) -> &str {
        let token = self.name.rsplit('.').next().unwrap_or_default();
        token.get(..TOKEN_IN_HANDLE).unwrap_or_default()
    }

    pub(crate) fn handle(&self, provider: &ProviderId, region: &Region, index: usize) -> InstanceHandle {
        let id = format!("{}.{}.{index}", self.number, self.token_in_handle());
        InstanceHandle { provider: provider.clone(), region: region.clone(), id }
    }

    pub(crate) fn handles(&self, provider: &ProviderId, region: &Region) -> Vec<InstanceHandle> {
        (0..self.note.released.len()).map(|index| self.handle(provider, region, index)).collect()
    }

    /// The index of the instance that the handle names, if it is one of this job.
    pub(crate) fn index_of(&self, id: &str) -> Option<usize> {
        let mut parts = id.split('.');
        let (number, token, index) = (parts.next()?, parts.next()?, parts.next()?);
        let same =
            parts.next().is_none() && number == self.number.to_string() && token == self.token_in_handle();
        let plain =
            index == "0" || (!index.starts_with('0') && index.bytes().all(|byte| byte.is_ascii_digit()));
        let index = index.parse().ok().filter(|index| plain && *index < self.note.released.len())?;
        same.then_some(index)
    }

    pub(crate) fn states(&self, provider: &ProviderId, region: &Region) -> Vec<InstanceState> {
        (0..self.note.released.len()).map(|index| self.state(provider, region, index)).collect()
    }

    pub(crate) fn state(&self, provider: &ProviderId, region: &Region, index: usize) -> InstanceState {
        let released = self.note.released.has(index);
        let ended = self.state.has_ended();
        let phase = match self.state {
            _ if ended => InstancePhase::Terminated,
            JobState::Completing => InstancePhase::Stopping,
            // Given back, and its job goes on for the others.
            _ if released => InstancePhase::Stopping,
            JobState::Pending => InstancePhase::Pending,
            _ => InstancePhase::Running,
        };
        let started = self.starts_at.filter(|_| self.had_node).unwrap_or(self.submitted_at);
        InstanceState {
            handle: self.handle(provider, region, index),
            phase,
            zone: self.partition.clone(),
            instance_type: self.note.shape.clone(),
            kind: OfferKind::Owned,
            price: Some(self.note.price),
            tags: self.note.tags.clone(),
            launched_at: started,
            ended_at: ended.then(|| self.ends_at.unwrap_or(started).max(started)),
            reclaimed: ended && !released,
        }
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    const TOKEN: &str = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";

    /// One line, in the form that Slurm 22.05.8 printed.
    pub(crate) fn line(
        number: u64,
        state: &str,
        starts: &str,
        ends: &str,
        nodes: &str,
        released: &str,
    ) -> String {
        format!(
            "{number}|hpc.hall.{TOKEN}|{state}|None|gpu|1795708814|{starts}|{ends}|{nodes}|\
             hpc1;f=ab;s=h100-1;p=2000000000USD;r={released};t=hpc-owner=suite|\n"
        )
    }

    pub(crate) fn jobs(text: &str) -> Vec<Job> {
        read(text, "hpc.hall.").unwrap().ours
    }

    #[test]
    fn recorded_lines_are_read() {
        // Slurm 22.05.8; only names and comments are ours.
        let running = jobs(&line(1, "RUNNING", "1795708814", "1827244814", "vm", "3.0"));
        assert_eq!((running[0].state, running[0].had_node), (JobState::Running, true));
        assert_eq!(running[0].starts_at, Timestamp::from_second(1_795_708_814).ok());
        // A job without limit whose end is not known yet.
        let endless = jobs(&line(4, "RUNNING", "1795708838", "NONE", "vm", "1.0"));
        assert_eq!(endless[0].ends_at, None);
        let pending = jobs(&line(3, "PENDING", "N/A", "N/A", "", "1.0"));
        assert_eq!((pending[0].state, pending[0].starts_at), (JobState::Pending, None));
        assert!(pending[0].exists());
        // Refused for its configuration: a record of it stays, and it never was anything.
        let refused = jobs(&line(6, "FAILED", "1795708839", "1795708839", "", "1.0"));
        assert!(!refused[0].exists());
        let cancelled = jobs(&line(2, "CANCELLED", "1795708838", "1795708838", "", "1.0"));
        assert!(!cancelled[0].exists(), "cancelled while it waited");
        let timeout = jobs(&line(5, "TIMEOUT", "1795708816", "1795708878", "vm", "1.0"));
        assert!(timeout[0].exists() && timeout[0].state == JobState::TimedOut);
    }

    #[test]
    fn lines_of_others_are_passed_over_and_a_changed_comment_is_counted() {
        let mut text = line(1, "RUNNING", "1", "2", "vm", "1.0");
        text.push_str("\n|\n||||||||||\n7|a|b|c\n8_1|hpc.hall.x|RUNNING|None|gpu|1|1|1|vm|c|\n");
        text.push_str("9|bash|RUNNING|None|gpu|1|1|1|vm|(null)|\n");
        text.push_str(&line(10, "RUNNING", "1", "2", "vm", "1.0").replace("hpc.hall.", "hpc.other."));
        assert_eq!(read(&text, "hpc.hall.").unwrap().ours.len(), 1);
        let changed = line(1, "RUNNING", "1", "2", "vm", "1.0").replace("hpc1;", "moved to rack b;");
        let found = read(&changed, "hpc.hall.").unwrap();
        assert_eq!((found.ours.len(), found.unreadable.len()), (0, 1));
        let ended = changed.replace("RUNNING", "CANCELLED");
        assert!(read(&ended, "hpc.hall.").unwrap().unreadable.is_empty());
    }

    #[test]
    fn a_listing_has_a_limit() {
        let text = |count: usize| {
            (1..=count).map(|n| line(n as u64, "RUNNING", "1", "2", "vm", "1.0")).collect::<String>()
        };
        assert_eq!(read(&text(JOBS_MAX), "hpc.hall.").unwrap().ours.len(), JOBS_MAX);
        assert_eq!(read(&text(JOBS_MAX + 1), "hpc.hall."), None);
    }

    #[test]
    fn only_handles_of_the_job_are_its_own() {
        let job = &jobs(&line(12, "RUNNING", "1", "2", "vm", "3.0"))[0];
        let (provider, region) = (ProviderId::parse("hall").unwrap(), Region::parse("berlin-1").unwrap());
        for (index, handle) in job.handles(&provider, &region).iter().enumerate() {
            assert_eq!(job.index_of(&handle.id), Some(index));
        }
        let token = &TOKEN[..TOKEN_IN_HANDLE];
        for id in [
            String::new(),
            "12".to_owned(),
            format!("12.{token}"),
            format!("12.{token}.3"),
            format!("12.{token}.00"),
            format!("12.{token}.+1"),
            format!("012.{token}.0"),
            format!("12.{token}.0.0"),
            format!("12.{}.0", "f".repeat(TOKEN_IN_HANDLE)),
            format!("13.{token}.0"),
        ] {
            assert_eq!(job.index_of(&id), None, "{id}");
        }
    }

    #[test]
    fn who_ended_an_instance_is_in_its_state() {
        let (provider, region) = (ProviderId::parse("hall").unwrap(), Region::parse("berlin-1").unwrap());
        let states = |state: &str, released: &str| {
            jobs(&line(1, state, "100", "160", "vm", released))[0].states(&provider, &region)
        };
        let phases = |states: &[InstanceState]| states.iter().map(|state| state.phase).collect::<Vec<_>>();
        // The first of two was given back; the job goes on for the second.
        let half = states("RUNNING", "2.1");
        assert_eq!(phases(&half), [InstancePhase::Stopping, InstancePhase::Running]);
        let taken = states("NODE_FAIL", "2.1");
        assert_eq!(taken.iter().map(|state| state.reclaimed).collect::<Vec<_>>(), [false, true]);
        assert_eq!(taken[1].ended_at, Timestamp::from_second(160).ok());
        assert!(
            states("CANCELLED", "2.0").iter().all(|state| state.reclaimed),
            "somebody in charge cancelled it"
        );
        assert!(states("CANCELLED", "2.3").iter().all(|state| !state.reclaimed));
        assert_eq!(phases(&states("COMPLETING", "2.3")), [InstancePhase::Stopping; 2]);
        assert_eq!(phases(&states("A_NEW_STATE", "1.0")), [InstancePhase::Running]);
    }
}
