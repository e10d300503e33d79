use std::fs::{self, File, OpenOptions, TryLockError};
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;

use async_trait::async_trait;
use hpc_audit::{
    APPEND_BYTES_MAX, APPEND_ENTRIES_MAX, AuditError, AuditLog, Checkpoint, ConsistencyProof,
    ENTRIES_LIMIT_MAX, Entry, Hash, InclusionProof, PROFILE, Receipt, Recorded, Search, SearchPage,
    SignedCheckpoint, VerifierKey,
};
use hpc_crypto::merkle::{NodeId, ProofPlan};
use hpc_crypto::note::{NoteSigner, SignedNote};
use hpc_crypto::signing::KeyPair;
use tokio::sync::{mpsc, oneshot};

use crate::disk::{CHECKPOINT, Disk, LOCK, TAIL, UNFINISHED, VKEY};
use crate::examine::{Scope, TailFiles, examine, read_checkpoint};
use crate::ids::Ids;
use crate::index::{CHUNK_ENTRIES, IdHash, Index, Marks, id_hash};
use crate::lock::Locked;
use crate::map::{damaged, io_of, out_of_range};
use crate::publisher::Publisher;
use crate::segment::{header, name_of, scan};
use crate::shared::{Edge, Shared, WIDTH, full_block, read_file};
use crate::tail::{FILE_BYTES_MIN, Tail};
use crate::writer::{Command, Writer, encode};
use crate::{Config, DirError, Opening};

/// An audit log in a folder. One program at a time has it open.
///
/// | | |
/// | --- | --- |
/// | append | one write and one fsync for all calls that wait at that moment; tiles are written meanwhile |
/// | checkpoint | writes the tiles since the last one, makes them durable together, then the checkpoint |
/// | head | one signature for all that ask at one size; nothing is written |
/// | proofs, entries | from memory for the newest, otherwise one to four tiles of 8 KiB or one bundle |
/// | search | reads the bundles that the index does not rule out |
/// | memory | about 2 bytes for each entry, about 150 for each of the newest 65,536, and the entries in the tail, at most 64 MiB and about 120 bytes for each |
///
/// Needs a Tokio runtime to be called in. Dropping it waits for the writer and leaves the last entries unsigned:
/// [`FileAuditLog::close`] signs them.
pub struct FileAuditLog {
    shared: Arc<Shared>,
    key: VerifierKey,
    opening: Opening,
    commands: Option<mpsc::Sender<Command>>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

impl FileAuditLog {
    /// Opens the log in `dir`, which is made when it is not there, and checks every byte of it, or the end of a large one:
    /// [`FileAuditLog::opening`] says which.
    ///
    /// What a crash left behind is put in order: the torn, never acknowledged end of the tail is cut off and half
    /// written files are removed. What is missing or damaged in the index is made anew. Nothing else is repaired.
    ///
    /// # Errors
    /// [`DirError::InUse`], [`DirError::OtherKey`], [`DirError::Key`], [`DirError::Io`], or what does not hold, by file
    /// and offset.
    pub fn open(dir: &Path, keys: KeyPair, config: Config) -> Result<Self, DirError> {
        Self::open_on(Disk::new(dir), dir, keys, config)
    }

    pub(crate) fn open_on(disk: Disk, dir: &Path, keys: KeyPair, config: Config) -> Result<Self, DirError> {
        let signer = NoteSigner::new(&config.origin, keys).map_err(DirError::Key)?;
        let key = signer.verifier_key().clone();
        fs::create_dir_all(dir).map_err(io_of("."))?;
        let lock = lock(dir)?;
        create_if_new(&disk, dir, &signer)?;
        // The key is compared first, so that a wrong key is not reported as damage.
        let found = crate::examine::read_key(dir)?;
        if found != key {
            return Err(DirError::OtherKey { got: found.to_string(), want: key.to_string() });
        }
        let signed = read_checkpoint(dir, &found)?.checkpoint().size;
        let indexed = signed - signed % CHUNK_ENTRIES;
        let mut marks = Vec::new();
        let scope = Scope::Opening { check_max: config.opening_check_max };
        let note = |index, entry: &Entry| {
            if index >= indexed {
                marks.push(Marks::of(entry));
            }
        };
        let examined = examine(dir, &scope, |_| (), note)?;
        for name in &examined.unfinished {
            disk.remove(name).map_err(io_of(name))?;
        }
        let tail = open_tail(&disk, dir, examined.tail, &examined.edge)?;
        let disk = Arc::new(disk);
        let distrusted = examined.index_damage.into_iter().map(|(file, _)| file).collect();
        let (index, report) = Index::open(Arc::clone(&disk), dir, signed, &distrusted, |block| {
            let entries = full_block(dir, block * WIDTH, WIDTH as usize)?;
            Ok(entries.into_iter().map(|recorded| recorded.entry).collect())
        })?;
        let recent = marks.split_off((signed - indexed) as usize);
        index.add(index.end(), &marks);
        let mut ids = Ids::default();
        ids.add(signed, recent.iter().map(|marks| marks.id));
        let unpublished = recent.len();
        let opening =
            Opening { checked_from: examined.checked_from, entries: examined.edge.size(), index: report };
        let shared = Arc::new(Shared::new(dir, signer, examined.edge, ids, index, tail));
        let root = File::open(dir).map_err(io_of("."))?;
        let (tasks, waiting) = std::sync::mpsc::channel();
        let publisher = Publisher::new(Arc::clone(&disk), Arc::clone(&shared), root);
        let thread = start("audit-publisher", move || publisher.run(&waiting))?;
        let writer = Writer {
            disk,
            shared: Arc::clone(&shared),
            publisher: tasks,
            thread: Some(thread),
            entries_max: config.entries_max,
            unwritten: 0,
            unpublished: (unpublished, 0),
            lock,
        };
        let (sender, receiver) = mpsc::channel(config.queue_max.max(1));
        let thread = start("audit-writer", move || writer.run(receiver))?;
        Ok(Self { shared, key, opening, commands: Some(sender), thread: Mutex::new(Some(thread)) })
    }

    /// What was checked when the log was opened.
    pub const fn opening(&self) -> &Opening {
        &self.opening
    }

    /// Signs everything, tidies the tail, and lets go of the folder. Afterwards reading still works.
    ///
    /// # Errors
    /// [`AuditError::Closed`] the second time, [`AuditError::Unwritable`] when the last entries could not be signed;
    /// they are durable all the same.
    pub async fn close(&self) -> Result<(), AuditError> {
        self.ask(|reply| Command::Close { reply }, || AuditError::Closed).await
    }

    pub(crate) fn shared(&self) -> &Shared {
        &self.shared
    }

    #[cfg(test)]
    pub(crate) fn shared_pending(&self) -> usize {
        self.shared.edge().pending.len()
    }

    async fn ask<T>(
        &self,
        command: impl FnOnce(oneshot::Sender<Result<T, AuditError>>) -> Command,
        lost: impl FnOnce() -> AuditError,
    ) -> Result<T, AuditError> {
        let (reply, answer) = oneshot::channel();
        let commands = self.commands.as_ref().ok_or(AuditError::Closed)?;
        commands.send(command(reply)).await.map_err(|_| AuditError::Closed)?;
        answer.await.unwrap_or_else(|_| Err(lost()))
    }

    /// Runs `read` where it may wait for the disk.
    pub(crate) async fn read<T: Send + 'static>(
        &self,
        read: impl FnOnce(&Shared) -> Result<T, AuditError> + Send + 'static,
    ) -> Result<T, AuditError> {
        let shared = Arc::clone(&self.shared);
        let task = tokio::task::spawn_blocking(move || read(&shared));
        task.await
            .unwrap_or_else(|error| Err(AuditError::Backend { name: "files", reason: error.to_string() }))
    }
}

impl Drop for FileAuditLog {
    fn drop(&mut self) {
        // The writer ends when nobody can send to it; the folder is free when it has ended.
        self.commands = None;
        if let Some(thread) = self.thread.lock().unwrap_or_else(PoisonError::into_inner).take() {
            let _ = thread.join();
        }
    }
}

#[async_trait]
impl AuditLog for FileAuditLog {
    async fn append(&self, entries: Vec<Entry>) -> Result<Vec<Receipt>, AuditError> {
        let got = entries.len();
        if got > APPEND_ENTRIES_MAX {
            return Err(AuditError::TooMuch { what: "entries", got, max: APPEND_ENTRIES_MAX });
        }
        let (encoded, bytes) = encode(&entries)?;
        if bytes > APPEND_BYTES_MAX {
            return Err(AuditError::TooMuch { what: "bytes", got: bytes, max: APPEND_BYTES_MAX });
        }
        let lost = || AuditError::Unknown { reason: "the writer stopped".to_owned() };
        let placed = self.ask(|reply| Command::Append { entries: encoded, reply }, lost).await?;
        let receipts = placed.into_iter().zip(entries).map(|(placed, entry)| Receipt {
            log: self.key.name().to_owned(),
            id: entry.id,
            index: placed.index,
            leaf_hash: placed.leaf_hash,
            size_at_least: placed.index + 1,
            repeated: placed.repeated,
        });
        Ok(receipts.collect())
    }

    async fn checkpoint(&self) -> Result<SignedCheckpoint, AuditError> {
        self.ask(|reply| Command::Checkpoint { reply }, || AuditError::Closed).await
    }

    async fn head(&self) -> Result<SignedCheckpoint, AuditError> {
        self.shared.head()
    }

    async fn entries(&self, start: u64, limit: usize) -> Result<Vec<Recorded>, AuditError> {
        if limit == 0 || limit > ENTRIES_LIMIT_MAX {
            let (got, max) = (limit as u64, ENTRIES_LIMIT_MAX as u64);
            return Err(AuditError::OutOfRange { what: "limit", got, min: 1, max });
        }
        let size = self.size();
        if start > size {
            return Err(AuditError::OutOfRange { what: "start", got: start, min: 0, max: size });
        }
        self.read(move |shared| {
            let mut found = Vec::new();
            while found.len() < limit {
                let next = start + found.len() as u64;
                if next >= size {
                    break;
                }
                let left = (limit - found.len()).min(usize::try_from(size - next).unwrap_or(usize::MAX));
                let block = shared.block(next, left)?;
                if block.is_empty() {
                    break;
                }
                found.extend(block);
            }
            Ok(found)
        })
        .await
    }

    async fn receipts(&self, ids: &[String]) -> Result<Vec<Option<Receipt>>, AuditError> {
        if ids.len() > APPEND_ENTRIES_MAX {
            return Err(AuditError::TooMuch { what: "ids", got: ids.len(), max: APPEND_ENTRIES_MAX });
        }
        let wanted: Vec<IdHash> = ids.iter().map(|id| id_hash(id)).collect();
        let found = self.read(move |shared| {
            let place = |index| Ok((index, shared.node(NodeId { level: 0, index })?));
            shared.known(&wanted)?.into_iter().map(|index| index.map(place).transpose()).collect()
        });
        let found: Vec<Option<(u64, Hash)>> = found.await?;
        let receipt = |(id, found): (&String, Option<(u64, Hash)>)| {
            found.map(|(index, leaf_hash)| Receipt {
                log: self.key.name().to_owned(),
                id: id.clone(),
                index,
                leaf_hash,
                size_at_least: index + 1,
                repeated: true,
            })
        };
        Ok(ids.iter().zip(found).map(receipt).collect())
    }

    async fn inclusion(&self, index: u64, size: u64) -> Result<InclusionProof, AuditError> {
        let now = self.size();
        if size > now {
            return Err(AuditError::OutOfRange { what: "size", got: size, min: 1, max: now });
        }
        let plan = ProofPlan::inclusion(index, size).map_err(out_of_range)?;
        let hashes = self.read(move |shared| plan.resolve(PROFILE, |node| shared.node(node))).await?;
        Ok(InclusionProof { profile: PROFILE, leaf_index: index, tree_size: size, hashes })
    }

    async fn consistency(&self, old: u64, new: u64) -> Result<ConsistencyProof, AuditError> {
        let now = self.size();
        if new > now {
            return Err(AuditError::OutOfRange { what: "size", got: new, min: 1, max: now });
        }
        let plan = ProofPlan::consistency(old, new).map_err(out_of_range)?;
        let hashes = self.read(move |shared| plan.resolve(PROFILE, |node| shared.node(node))).await?;
        Ok(ConsistencyProof { profile: PROFILE, old_size: old, new_size: new, hashes })
    }

    async fn search(&self, search: &Search) -> Result<SearchPage, AuditError> {
        let size = self.size();
        let range = search.range(size)?;
        let search = search.clone();
        self.read(move |shared| crate::search::search(shared, &search, range)).await
    }

    fn size(&self) -> u64 {
        self.shared.edge().size()
    }

    fn verifier_key(&self) -> VerifierKey {
        self.key.clone()
    }
}

fn start(name: &str, run: impl FnOnce() + Send + 'static) -> Result<JoinHandle<()>, DirError> {
    std::thread::Builder::new().name(name.to_owned()).spawn(run).map_err(io_of("."))
}

/// Puts the tail in order, and makes what is in it durable.
fn open_tail(disk: &Disk, dir: &Path, files: TailFiles, edge: &Edge) -> Result<Tail, DirError> {
    // Newest first, so that no gap can be left.
    for number in files.prepared.iter().rev() {
        let name = name_of(*number);
        disk.remove_durably(&name).map_err(io_of(&name))?;
    }
    let Some(last) = files.held.last() else { return Err(DirError::Missing { file: TAIL.to_owned() }) };
    let name = name_of(last.number);
    let file = disk.open_tail(&name).map_err(io_of(&name))?;
    let mut file_bytes = file.metadata().map_err(io_of(&name))?.len();
    if edge.size() > edge.checkpoint.checkpoint().size || files.is_torn {
        // The last entries may never have been acknowledged and not be durable, and after an fsync that failed the system
        // may take for durable what is not: so they are written once more.
        let mut bytes = read_file(dir, &name, file_bytes)?;
        bytes.truncate(last.bytes as usize);
        let cut = if files.is_torn { disk.truncate(&file, last.bytes) } else { Ok(()) };
        cut.and_then(|()| disk.write(&file, &bytes, 0)).map_err(io_of(&name))?;
        disk.sync(&file).map_err(io_of(&name))?;
        file_bytes = if files.is_torn { last.bytes } else { file_bytes };
    }
    Ok(Tail::new(files.held, file, file_bytes))
}

fn lock(dir: &Path) -> Result<Locked, DirError> {
    let mut options = OpenOptions::new();
    let file = options
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .open(dir.join(LOCK))
        .map_err(io_of(LOCK))?;
    match file.try_lock() {
        Ok(()) => Ok(Locked::new(file)),
        Err(TryLockError::WouldBlock) => Err(DirError::InUse),
        Err(TryLockError::Error(error)) => Err(io_of(LOCK)(error)),
    }
}

/// Makes the files of an empty log. The key file comes last: without it nothing has ever been acknowledged.
fn create_if_new(disk: &Disk, dir: &Path, signer: &NoteSigner) -> Result<(), DirError> {
    if disk.path(VKEY).exists() {
        return Ok(());
    }
    // A tail or a checkpoint of a log in use means that the key file was there and has been taken away.
    let gone = DirError::Missing { file: VKEY.to_owned() };
    if disk.path("tile").exists() {
        return Err(gone);
    }
    if disk.path(TAIL).exists() {
        for entry in fs::read_dir(disk.path(TAIL)).map_err(|_| gone.clone())? {
            let name = entry.map_err(io_of(TAIL))?.file_name().to_string_lossy().into_owned();
            if name == format!("1{UNFINISHED}") {
                continue;
            }
            let bytes = read_file(dir, &name_of(1), FILE_BYTES_MIN).map_err(|_| gone.clone())?;
            let scanned = scan(&bytes, 1).map_err(|_| gone.clone())?;
            if name != "1" || scanned.begin.map(|(base, _)| base) != Some(0) || !scanned.entries.is_empty() {
                return Err(gone);
            }
        }
    }
    if disk.path(CHECKPOINT).exists() {
        let bytes = read_file(dir, CHECKPOINT, 1 << 16)?;
        let size = SignedNote::parse(&bytes).and_then(|note| Ok(Checkpoint::parse(note.text())?.size));
        if size != Ok(0) {
            return Err(gone);
        }
    }
    for entry in fs::read_dir(dir).map_err(io_of("."))? {
        let name = entry.map_err(io_of("."))?.file_name().to_string_lossy().into_owned();
        let known = [LOCK, VKEY, CHECKPOINT, TAIL].iter().any(|file| name.trim_end_matches(".tmp") == *file);
        if !known {
            return Err(DirError::Unexpected { file: name });
        }
    }
    let origin = signer.verifier_key().name().to_owned();
    let root = PROFILE.empty_root();
    let checkpoint = Checkpoint { origin, size: 0, root, extensions: Vec::new() }
        .sign(signer)
        .map_err(|error| damaged(CHECKPOINT, None, error.to_string()))?;
    let mut tail = header(1, 0, &root);
    tail.resize(FILE_BYTES_MIN as usize, 0);
    let files = [(name_of(1), tail), (CHECKPOINT.to_owned(), checkpoint.to_string().into_bytes())];
    disk.replace(&files).map_err(io_of("."))?;
    let key = format!("{}\n", signer.verifier_key()).into_bytes();
    disk.replace(&[(VKEY.to_owned(), key)]).map_err(io_of(VKEY))
}
