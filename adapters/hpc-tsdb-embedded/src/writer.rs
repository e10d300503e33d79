//! The writer: one thread that gathers waiting batches, saves them in one commit, and seals full heads into chunks.

use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::sync::{Arc, PoisonError};
use std::time::{Duration, Instant};

use hpc_timeseries::{Durability, TimeSeriesError};
use tokio::sync::oneshot;

use crate::heads::Raw3;
use crate::log;
use crate::store::Shared;
use crate::tables::{self, Retention};

/// Most samples saved in one commit.
const GROUP_SAMPLES_MAX: usize = 262_144;
/// Most bytes that wait unsaved under `Durability::None`.
const UNSAVED_BYTES_MAX: usize = 1024 * 1024;
/// Chunks that retention has passed are removed at most this often.
const SWEEP_EVERY_NS: i64 = 600 * 1_000_000_000;

pub(crate) type Ack = oneshot::Sender<Result<(), TimeSeriesError>>;

/// What the writer is asked to do.
pub(crate) enum Job {
    /// Store samples.
    Write { samples: Vec<Raw3>, durability: Durability, ack: Ack },
    /// Save everything accepted so far.
    Flush { ack: Ack },
    /// Seal the heads into chunks.
    Seal { ack: Ack },
    /// Change the retention.
    Retain { retention: Retention, ack: Ack },
}

pub(crate) struct Writer {
    shared: Arc<Shared>,
    next_log: u64,
    /// Columns below this number are in the file.
    saved_columns: u32,
    /// Body of the next log record: accepted, visible, not saved.
    unsaved: Vec<u8>,
    last_sweep_ns: i64,
    /// Why the last attempt to seal failed, while it keeps failing.
    seal_fault: Option<TimeSeriesError>,
}

impl Writer {
    pub(crate) fn new(shared: Arc<Shared>, next_log: u64, saved_columns: u32) -> Self {
        Self {
            shared,
            next_log,
            saved_columns,
            unsaved: Vec::new(),
            last_sweep_ns: i64::MIN,
            seal_fault: None,
        }
    }

    /// Works until every sender is gone, then saves what is left.
    pub(crate) fn run(mut self, jobs: &Receiver<Job>) {
        loop {
            let first = if self.unsaved.is_empty() {
                jobs.recv().map_err(|_| RecvTimeoutError::Disconnected)
            } else {
                jobs.recv_timeout(self.shared.config.unsaved_max)
            };
            match first {
                Ok(first) => {
                    let group = self.gather(first, jobs);
                    self.work(group);
                }
                // Nobody waits for the outcome; what could not be saved stays in line for the next commit.
                Err(RecvTimeoutError::Timeout) => drop(self.commit()),
                Err(RecvTimeoutError::Disconnected) => {
                    drop(self.commit());
                    return;
                }
            }
        }
    }

    /// The first job and those that wait behind it; a lone group write may linger for company.
    fn gather(&self, first: Job, jobs: &Receiver<Job>) -> Vec<Job> {
        let deadline = Instant::now() + self.shared.config.group_linger;
        let mut samples = 0;
        let mut may_linger = true;
        let mut group = vec![first];
        while let Some(job) = group.last() {
            match job {
                Job::Write { samples: more, durability, .. } => {
                    samples += more.len();
                    may_linger &= *durability == Durability::Group;
                }
                _ => may_linger = false,
            }
            if samples >= GROUP_SAMPLES_MAX {
                break;
            }
            let left = deadline.saturating_duration_since(Instant::now());
            let next = match jobs.try_recv() {
                Ok(job) => Some(job),
                Err(_) if may_linger && left > Duration::ZERO => jobs.recv_timeout(left).ok(),
                Err(_) => None,
            };
            match next {
                Some(job) => group.push(job),
                None => break,
            }
        }
        group
    }

    fn work(&mut self, group: Vec<Job>) {
        let unsaved_before = self.unsaved.len();
        let mut must_save = false;
        for job in &group {
            match job {
                Job::Write { samples, durability, .. } => {
                    log::append(&mut self.unsaved, samples);
                    must_save |= *durability != Durability::None;
                }
                Job::Flush { .. } | Job::Seal { .. } | Job::Retain { .. } => must_save = true,
            }
        }
        let full = self.shared.heads().samples() >= 2 * self.shared.config.head_samples_max;
        let saved = match (&self.seal_fault, full) {
            // Heads that cannot be sealed must not grow without end.
            (Some(fault), true) => Err(fault.clone()),
            _ if must_save || self.unsaved.len() > UNSAVED_BYTES_MAX => self.commit(),
            _ => Ok(()),
        };
        if let Err(fault) = saved {
            self.unsaved.truncate(unsaved_before);
            for job in group {
                let samples = job.samples();
                job.answer(Err(fault.clone()));
                self.shared.release(samples);
            }
            return;
        }
        {
            let mut heads = self.shared.heads.write().unwrap_or_else(PoisonError::into_inner);
            for job in &group {
                if let Job::Write { samples, .. } = job {
                    heads.insert(samples);
                }
            }
        }
        for job in group {
            let samples = job.samples();
            let outcome = match &job {
                Job::Write { .. } | Job::Flush { .. } => Ok(()),
                Job::Seal { .. } => self.seal(),
                Job::Retain { retention, .. } => self.retain(*retention),
            };
            job.answer(outcome);
            self.shared.release(samples);
        }
        if self.shared.heads().samples() >= self.shared.config.head_samples_max {
            self.seal_fault = self.seal().err();
        }
    }

    /// Saves new columns and unsaved samples in one commit.
    fn commit(&mut self) -> Result<(), TimeSeriesError> {
        let place = &self.shared.place;
        let columns = self.shared.index().columns() as u32;
        if self.unsaved.is_empty() && columns == self.saved_columns {
            return Ok(());
        }
        let txn = self.shared.db.begin_write().map_err(|e| place.redb(e))?;
        tables::save_columns(&txn, &self.shared.index(), self.saved_columns, columns)
            .map_err(|e| place.redb(e))?;
        tables::save_log(&txn, self.next_log, &log::seal(&self.unsaved)).map_err(|e| place.redb(e))?;
        txn.commit().map_err(|e| place.redb(e))?;
        self.next_log += 1;
        self.saved_columns = columns;
        // Gives the memory back, so that one large burst does not stay.
        self.unsaved = Vec::new();
        Ok(())
    }

    /// Moves the heads into chunks and empties the log, in one commit.
    ///
    /// Queries go on meanwhile: until the heads are cleared they see the same samples in both places.
    fn seal(&mut self) -> Result<(), TimeSeriesError> {
        self.commit()?;
        let now_ns = self.shared.now_ns();
        let start_ns = self.shared.retention().start_ns(now_ns);
        {
            let place = &self.shared.place;
            let heads = self.shared.heads();
            let txn = self.shared.db.begin_write().map_err(|e| place.redb(e))?;
            for (column, head) in heads.filled() {
                let kind = self.shared.index().kind(column);
                let kind = kind.ok_or_else(|| place.corrupt(format!("column {column} is unknown")))?;
                tables::merge_head(&txn, place, column, kind, head)?;
            }
            if self.sweep_is_due(start_ns, now_ns) {
                tables::drop_chunks_before(&txn, start_ns).map_err(|e| place.redb(e))?;
            }
            tables::clear_log(&txn).map_err(|e| place.redb(e))?;
            txn.commit().map_err(|e| place.redb(e))?;
        }
        self.last_sweep_ns = now_ns;
        self.shared.heads.write().unwrap_or_else(PoisonError::into_inner).clear();
        Ok(())
    }

    fn sweep_is_due(&self, start_ns: i64, now_ns: i64) -> bool {
        start_ns != i64::MIN && now_ns.saturating_sub(self.last_sweep_ns) >= SWEEP_EVERY_NS
    }

    fn retain(&mut self, retention: Retention) -> Result<(), TimeSeriesError> {
        let place = &self.shared.place;
        let txn = self.shared.db.begin_write().map_err(|e| place.redb(e))?;
        tables::save_retention(&txn, retention).map_err(|e| place.redb(e))?;
        let start_ns = retention.start_ns(self.shared.now_ns());
        tables::drop_chunks_before(&txn, start_ns).map_err(|e| place.redb(e))?;
        txn.commit().map_err(|e| place.redb(e))?;
        *self.shared.retention.write().unwrap_or_else(PoisonError::into_inner) = retention;
        Ok(())
    }
}

impl Job {
    pub(crate) fn samples(&self) -> usize {
        match self {
            Self::Write { samples, .. } => samples.len(),
            _ => 0,
        }
    }

    /// A caller that has gone away does not need the answer.
    fn answer(self, outcome: Result<(), TimeSeriesError>) {
        let (Self::Write { ack, .. } | Self::Flush { ack } | Self::Seal { ack } | Self::Retain { ack, .. }) =
            self;
        drop(ack.send(outcome));
    }
}
