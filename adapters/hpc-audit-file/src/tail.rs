//! The files of the write-ahead tail while the log is open: where the next group goes, and which files may go away.

use std::collections::VecDeque;
use std::fs::File;
use std::sync::{Mutex, MutexGuard, PoisonError};

use hpc_audit::AuditError;
use hpc_crypto::hashing::Hash;

use crate::disk::Disk;
use crate::map::unwritable;
use crate::segment::{SECTOR_BYTES, header, name_of};

/// The first file of a tail, in bytes: enough for a log in which little happens.
pub(crate) const FILE_BYTES_MIN: u64 = 16 << 10;
/// The longest file that is prepared; each is four times as long as the one before it up to here. Small in
/// the tests of this package, so that they get there.
pub(crate) const FILE_BYTES_MAX: u64 = if cfg!(test) { 64 << 10 } else { 8 << 20 };

/// A file of the tail that holds entries.
pub(crate) struct Held {
    pub(crate) number: u64,
    /// Number of entries before it.
    pub(crate) base: u64,
    /// Bytes of its header and groups.
    pub(crate) bytes: u64,
}

/// A file of zeros into which the tail goes on.
pub(crate) struct Ready {
    pub(crate) file: File,
    pub(crate) number: u64,
    pub(crate) file_bytes: u64,
}

pub(crate) struct State {
    /// Oldest first; the last is the one that is written to.
    held: VecDeque<Held>,
    file: File,
    /// How long the file is with its zeros.
    file_bytes: u64,
    ready: Option<Ready>,
    /// The number of a retired file of [`FILE_BYTES_MAX`] bytes, which can become the next one.
    retired: Option<u64>,
    /// Whether the publisher has been asked for the next file.
    asked: bool,
}

impl State {
    /// Early enough for a log that fills the file in a tenth of a second.
    fn is_due(&self) -> bool {
        self.ready.is_none() && self.held.back().is_some_and(|current| current.bytes > self.file_bytes / 4)
    }
}

pub(crate) struct Tail {
    state: Mutex<State>,
}

/// How writing a group failed.
pub(crate) struct Failure {
    /// What its callers are told.
    pub(crate) error: AuditError,
    /// Why nothing can be written any more: only reading the disk again can tell what is on it.
    pub(crate) fatal: Option<String>,
}

impl Tail {
    /// A tail of at least one file, the last of which is `file`.
    pub(crate) fn new(held: Vec<Held>, file: File, file_bytes: u64) -> Self {
        Self {
            state: Mutex::new(State {
                held: held.into(),
                file,
                file_bytes,
                ready: None,
                retired: None,
                asked: false,
            }),
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // No code panics while it holds the lock.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Bytes of all files that hold entries.
    pub(crate) fn bytes(&self) -> u64 {
        self.state().held.iter().map(|held| held.bytes).sum()
    }

    /// Makes a group durable behind all others. `size` and `root` are those of the log before it.
    pub(crate) fn write(
        &self,
        disk: &Disk,
        group: Vec<u8>,
        size: u64,
        root: impl FnOnce() -> Hash,
    ) -> Result<(), Failure> {
        let state = &mut *self.state();
        let Some(current) = state.held.back_mut() else {
            return Err(Failure { error: unwritable("the tail has no file"), fatal: None });
        };
        if current.bytes + group.len() as u64 > state.file_bytes
            && let Some(ready) = state.ready.take_if(|ready| ready.number == current.number + 1)
        {
            let mut bytes = header(ready.number, size, &root());
            bytes.extend_from_slice(&group);
            if let Err(failure) = write_at(disk, &ready.file, &bytes, 0, ready.file_bytes) {
                state.ready = Some(ready);
                return Err(failure);
            }
            state.held.push_back(Held { number: ready.number, base: size, bytes: bytes.len() as u64 });
            state.file_bytes = ready.file_bytes.max(bytes.len() as u64);
            state.file = ready.file;
            state.asked = false;
            return Ok(());
        }
        // Without a file that is ready this one grows: slower, because its length has to be made durable too.
        write_at(disk, &state.file, &group, current.bytes, state.file_bytes)?;
        current.bytes += group.len() as u64;
        state.file_bytes = state.file_bytes.max(current.bytes);
        Ok(())
    }

    /// Whether the publisher is to be told that the next file is due; true once for each file.
    pub(crate) fn asks_for_next(&self) -> bool {
        let state = &mut *self.state();
        state.is_due() && !std::mem::replace(&mut state.asked, true)
    }

    /// Lets [`Tail::asks_for_next`] ask again after preparing has failed.
    pub(crate) fn ask_again(&self) {
        self.state().asked = false;
    }

    /// Makes the file of zeros into which the tail goes on, when it is due.
    pub(crate) fn prepare(&self, disk: &Disk) -> std::io::Result<()> {
        let (number, bytes, retired) = {
            let mut state = self.state();
            let number = state.held.back().map_or(1, |current| current.number + 1);
            if !state.is_due() {
                return Ok(());
            }
            let bytes = (state.file_bytes * 4).clamp(FILE_BYTES_MIN, FILE_BYTES_MAX);
            (number, bytes, state.retired.take_if(|_| bytes == FILE_BYTES_MAX))
        };
        // Not under the lock: appends go on meanwhile, and cannot begin a file that is not there.
        let reused = retired.map(|retired| {
            let file = disk.reuse(&name_of(retired), &name_of(number), bytes);
            // A retired file that is no good is let go of; the next attempt makes a new one.
            file.inspect_err(|_| drop(disk.remove_retired(&name_of(retired))))
        });
        let file = reused.unwrap_or_else(|| disk.create_zeros(&name_of(number), &[], bytes))?;
        self.state().ready = Some(Ready { file, number, file_bytes: bytes });
        Ok(())
    }

    /// Takes out the files all of whose entries are among the first `published`, oldest first.
    pub(crate) fn release(&self, disk: &Disk, published: u64) -> std::io::Result<()> {
        loop {
            let (number, retire) = {
                let state = self.state();
                match (state.held.front(), state.held.get(1)) {
                    (Some(oldest), Some(next)) if next.base <= published => {
                        (oldest.number, state.retired.is_none() && state.file_bytes == FILE_BYTES_MAX)
                    }
                    _ => return Ok(()),
                }
            };
            let name = name_of(number);
            if retire && disk.bytes(&name).is_ok_and(|bytes| bytes == FILE_BYTES_MAX) {
                disk.retire(&name)?;
                self.state().retired = Some(number);
            } else {
                disk.remove_durably(&name)?;
            }
            self.state().held.pop_front();
        }
    }

    /// Begins the tail anew after the published entries, which are all. Nothing may be appended meanwhile.
    pub(crate) fn renew(&self, disk: &Disk, size: u64, root: &Hash) -> std::io::Result<()> {
        let retired = self.state().retired.take();
        if let Some(number) = retired {
            disk.remove_retired(&name_of(number))?;
        }
        let (ready, last) = {
            let state = self.state();
            let Some(current) = state.held.back() else { return Ok(()) };
            let fresh = state.held.len() == 1 && current.bytes == SECTOR_BYTES as u64;
            if fresh && state.ready.is_none() {
                return Ok(());
            }
            (state.ready.as_ref().map(|ready| ready.number), current.number)
        };
        if let Some(number) = ready {
            disk.remove_durably(&name_of(number))?;
            self.state().ready = None;
        }
        let number = last + 1;
        let file = disk.create_zeros(&name_of(number), &header(number, size, root), FILE_BYTES_MIN)?;
        {
            let state = &mut *self.state();
            state.held.push_back(Held { number, base: size, bytes: SECTOR_BYTES as u64 });
            (state.file, state.file_bytes, state.asked) = (file, FILE_BYTES_MIN, false);
        }
        self.release(disk, size)
    }
}

/// Writes and makes durable, or leaves the file as it was: zeros from `offset` to `file_bytes`, and nothing behind.
fn write_at(disk: &Disk, file: &File, bytes: &[u8], offset: u64, file_bytes: u64) -> Result<(), Failure> {
    if let Err(error) = disk.write(file, bytes, offset) {
        let zeros = vec![0; (file_bytes - offset.min(file_bytes)).min(bytes.len() as u64) as usize];
        let taken_back = disk.truncate(file, file_bytes).and_then(|()| disk.write(file, &zeros, offset));
        let fatal = taken_back
            .err()
            .map(|second| format!("writing the tail failed ({error}), and so did taking it back ({second})"));
        return Err(Failure { error: unwritable(error), fatal });
    }
    disk.sync(file).map_err(|error| {
        let reason = format!("fsync of the tail failed ({error})");
        Failure { error: AuditError::Unknown { reason: reason.clone() }, fatal: Some(reason) }
    })
}
