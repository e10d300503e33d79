//! The thread that takes in appends: it gathers what waits, writes it to the tail with one fsync, then answers. It never
//! waits for tiles, except when the tail is as long as it may be.

use std::collections::HashMap;
use std::sync::{Arc, mpsc as blocking};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use hpc_audit::{AuditError, Entry, Hash, SignedCheckpoint};
use hpc_crypto::merkle::NodeId;
use tokio::sync::{mpsc, oneshot};

use crate::config::{GROUP_BYTES_MAX, PENDING_BYTES_MAX, PENDING_ENTRIES_MAX, TAIL_BYTES_MAX};
use crate::disk::Disk;
use crate::index::{IdHash, id_hash};
use crate::lock::Locked;
use crate::map::unwritable;
use crate::publisher::Task;
use crate::segment::Group;
use crate::shared::{Batch, Pending, Shared, WIDTH};

/// Full tiles are written and made durable as soon as there are so many entries more.
const TILES_ENTRIES: usize = 4 * WIDTH as usize;

/// Between the beginnings of two groups, when more than one caller waits.
const GROUPS_APART: Duration = Duration::from_millis(1);

/// Where appends wait for the publisher. Small in the tests of this package, so that they get there.
pub(crate) const TAIL_MAX: u64 = if cfg!(test) { 4 << 20 } else { TAIL_BYTES_MAX };

/// An entry on its way into the log.
pub(crate) struct Encoded {
    pub(crate) entry: Pending,
    id: IdHash,
    leaf_hash: Hash,
}

/// Where an entry is.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Placed {
    pub(crate) index: u64,
    pub(crate) leaf_hash: Hash,
    pub(crate) repeated: bool,
}

pub(crate) type Reply<T> = oneshot::Sender<Result<T, AuditError>>;

pub(crate) enum Command {
    Append { entries: Vec<Encoded>, reply: Reply<Vec<Placed>> },
    Checkpoint { reply: Reply<SignedCheckpoint> },
    Close { reply: Reply<()> },
}

pub(crate) struct Writer {
    pub(crate) disk: Arc<Disk>,
    pub(crate) shared: Arc<Shared>,
    pub(crate) publisher: blocking::Sender<Task>,
    /// The publisher, until it is waited for.
    pub(crate) thread: Option<JoinHandle<()>>,
    pub(crate) entries_max: u64,
    /// Entries since full tiles were last asked for.
    pub(crate) unwritten: usize,
    /// Entries and bytes since a publication was last asked for.
    pub(crate) unpublished: (usize, usize),
    /// Held until both threads have ended.
    pub(crate) lock: Locked,
}

/// Keeps many small groups from becoming as many writes: while several calls come at a time, a group begins at the
/// earliest so long after the one before it. A caller who is alone never waits.
#[derive(Default)]
struct Pace {
    last: Option<Instant>,
}

impl Pace {
    fn begins(&mut self, calls: usize) {
        self.last = (calls > 1).then(Instant::now);
    }

    fn wait(&self) {
        if let Some(last) = self.last {
            #[expect(clippy::disallowed_methods, reason = "what is waited for is that time passes")]
            std::thread::sleep(GROUPS_APART.saturating_sub(last.elapsed()));
        }
    }
}

struct Waiting {
    entries: Vec<Encoded>,
    reply: Reply<Vec<Placed>>,
}

impl Writer {
    pub(crate) fn run(mut self, mut commands: mpsc::Receiver<Command>) {
        let mut held = None;
        let mut pace = Pace::default();
        while let Some(command) = held.take().or_else(|| commands.blocking_recv()) {
            match command {
                Command::Append { entries, reply } => {
                    pace.wait();
                    let mut bytes = size_of(&entries);
                    let mut group = vec![Waiting { entries, reply }];
                    while bytes < GROUP_BYTES_MAX {
                        match commands.try_recv() {
                            Ok(Command::Append { entries, reply }) => {
                                bytes += size_of(&entries);
                                group.push(Waiting { entries, reply });
                            }
                            Ok(other) => {
                                held = Some(other);
                                break;
                            }
                            Err(_) => break,
                        }
                    }
                    pace.begins(group.len());
                    self.commit(group);
                }
                Command::Checkpoint { reply } => self.ask(Task::Checkpoint { reply }),
                Command::Close { reply } => {
                    commands.close();
                    let outcome = self.wait(|reply| Task::Renew { reply });
                    while let Ok(late) = commands.try_recv() {
                        match late {
                            Command::Append { reply, .. } => drop(reply.send(Err(AuditError::Closed))),
                            Command::Checkpoint { reply } => drop(reply.send(Err(AuditError::Closed))),
                            Command::Close { reply } => drop(reply.send(Err(AuditError::Closed))),
                        }
                    }
                    self.end();
                    let _ = reply.send(outcome);
                    return;
                }
            }
        }
        self.end();
    }

    /// Waits for the publisher to finish what it is doing, then lets go of the folder.
    fn end(self) {
        let Self { shared, publisher, thread, lock, .. } = self;
        drop(publisher);
        if let Some(thread) = thread {
            let _ = thread.join();
        }
        // The index writes to the folder until it is closed.
        shared.index.close();
        drop(lock);
    }

    fn ask(&self, task: Task) {
        // When the publisher is gone, the task's sender is dropped with it, and who waits is told.
        let _ = self.publisher.send(task);
    }

    fn wait(
        &self,
        task: impl FnOnce(blocking::Sender<Result<(), AuditError>>) -> Task,
    ) -> Result<(), AuditError> {
        let (reply, answer) = blocking::channel();
        self.ask(task(reply));
        answer.recv().unwrap_or_else(|_| Err(unwritable("the publisher stopped")))
    }

    /// Writes a group of appends with one fsync and answers each.
    fn commit(&mut self, waiting: Vec<Waiting>) {
        if let Err(error) = self.make_room() {
            waiting.into_iter().for_each(|waiting| drop(waiting.reply.send(Err(error.clone()))));
            return;
        }
        let first = self.shared.edge().size();
        let ids: Vec<IdHash> =
            waiting.iter().flat_map(|waiting| &waiting.entries).map(|entry| entry.id).collect();
        let mut known = match self.shared.known(&ids) {
            Ok(known) => known.into_iter(),
            Err(error) => {
                waiting.into_iter().for_each(|waiting| drop(waiting.reply.send(Err(error.clone()))));
                return;
            }
        };
        let mut group = Group::new(first);
        let mut new = New::default();
        let mut answers = Vec::with_capacity(waiting.len());
        for Waiting { entries, reply } in waiting {
            let (mark, begin) = (group.mark(), new.entries.len());
            let mut placed = Vec::with_capacity(entries.len());
            let mut outcome = Ok(());
            // All of a call's entries are looked at, so that `known` stays in step.
            for (Encoded { entry, id, leaf_hash }, old) in entries.into_iter().zip(&mut known) {
                let place = match old.or_else(|| new.places.get(&id).copied()) {
                    Some(index) => {
                        self.repeated(index, first, &new).inspect_err(|error| outcome = Err(error.clone()))
                    }
                    None => {
                        let index = first + new.entries.len() as u64;
                        group.push(entry.bytes());
                        new.places.insert(id, index);
                        new.entries.push(Encoded { entry, id, leaf_hash });
                        Ok(Placed { index, leaf_hash, repeated: false })
                    }
                };
                placed.extend(place.ok());
            }
            if first + new.entries.len() as u64 > self.entries_max && new.entries.len() > begin {
                outcome = Err(unwritable(format!("the log is limited to {} entries", self.entries_max)));
            }
            match outcome {
                Ok(()) => answers.push((reply, placed)),
                Err(error) => {
                    // This append alone is taken back; those before it stay.
                    group.back_to(mark);
                    for Encoded { id, .. } in new.entries.drain(begin..) {
                        new.places.remove(&id);
                    }
                    let _ = reply.send(Err(error));
                }
            }
        }
        let group = group.finish();
        let bytes = group.len();
        match self.write(group, first) {
            Ok(()) => {
                self.take_in(first, new.entries, bytes);
                answers.into_iter().for_each(|(reply, placed)| drop(reply.send(Ok(placed))));
            }
            Err(error) => answers.into_iter().for_each(|(reply, _)| drop(reply.send(Err(error.clone())))),
        }
    }

    /// An entry that is there already, or comes earlier in this group.
    fn repeated(&self, index: u64, first: u64, new: &New) -> Result<Placed, AuditError> {
        let in_group = index.checked_sub(first).and_then(|at| new.entries.get(at as usize));
        let leaf_hash = match in_group {
            Some(entry) => entry.leaf_hash,
            None => self.shared.node(NodeId { level: 0, index })?,
        };
        Ok(Placed { index, leaf_hash, repeated: true })
    }

    fn write(&self, group: Vec<u8>, first: u64) -> Result<(), AuditError> {
        if group.is_empty() {
            return Ok(());
        }
        let root = || self.shared.edge().range.root();
        self.shared.tail.write(&self.disk, group, first, root).map_err(|failure| {
            if let Some(reason) = failure.fatal {
                self.shared.fail(reason);
            }
            failure.error
        })
    }

    /// Lets readers see entries that are durable now, and has them published when there are many.
    fn take_in(&mut self, first: u64, entries: Vec<Encoded>, bytes: usize) {
        let ids: Vec<IdHash> = entries.iter().map(|entry| entry.id).collect();
        self.shared.ids().add(first, ids.iter().copied());
        {
            let mut edge = self.shared.edge_mut();
            for Encoded { entry, leaf_hash, .. } in entries {
                let pushed = edge.push(entry, leaf_hash);
                // INVARIANT: `entries_max` is far below the limit of a tree.
                debug_assert!(pushed.is_ok());
            }
        }
        self.unwritten += ids.len();
        self.unpublished.0 += ids.len();
        self.unpublished.1 += bytes;
        if self.shared.tail.asks_for_next() {
            self.ask(Task::Prepare);
        }
        // Failing to publish is not the appends' failure: they are durable in the tail.
        if self.unpublished.0 >= PENDING_ENTRIES_MAX || self.unpublished.1 >= PENDING_BYTES_MAX {
            (self.unwritten, self.unpublished) = (0, (0, 0));
            self.ask(Task::Publish);
        } else if self.unwritten >= TILES_ENTRIES {
            self.unwritten = 0;
            self.ask(Task::Tiles);
        }
    }

    /// Refuses appends when the log is not fit for them; first waits for the publisher when the tail is too long.
    fn make_room(&self) -> Result<(), AuditError> {
        self.shared.check_fit()?;
        if let Some(reason) = self.shared.index.unfit() {
            return Err(unwritable(reason));
        }
        if self.shared.tail.bytes() < TAIL_MAX {
            return Ok(());
        }
        self.wait(|reply| Task::Renew { reply })
    }
}

/// The entries of a group that are not in the log yet.
#[derive(Default)]
struct New {
    entries: Vec<Encoded>,
    places: HashMap<IdHash, u64>,
}

fn size_of(entries: &[Encoded]) -> usize {
    entries.iter().map(|entry| entry.entry.bytes().len()).sum()
}

// What can be computed without the log is computed here, outside the writer's thread.
pub(crate) fn encode(entries: &[Entry]) -> Result<(Vec<Encoded>, usize), AuditError> {
    let mut batch = Batch::default();
    let mut hashes = Vec::with_capacity(entries.len());
    for entry in entries {
        let bytes = batch
            .push(entry)
            .map_err(|source| AuditError::InvalidEntry { id: entry.id.chars().take(64).collect(), source })?;
        hashes.push((id_hash(&entry.id), Entry::leaf_hash(bytes)));
    }
    let bytes = batch.len();
    let encoded = batch.pending().zip(hashes);
    Ok((encoded.map(|(entry, (id, leaf_hash))| Encoded { entry, id, leaf_hash }).collect(), bytes))
}
