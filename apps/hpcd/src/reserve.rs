//! Room on the disk that is kept for the day there is none.
//!
//! Leases that cannot be ended cost money, and ending one writes. So a file of [`RESERVE_BYTES`] holds room in the data
//! directory; when the ledger finds the disk full, the file is deleted, and what ends costs goes on in its room. Until
//! the file can be made again, nothing that begins anything is taken: the room is not for that.

use std::fs;
use std::io::{self, Write};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use async_trait::async_trait;
use hpc_error::{HpcError, Retry, codes};
use hpc_ledger::{
    Description, Key, Ledger, LedgerError, Page, Range, Revision, Transaction, Versioned, Watch,
};
use rustix::fs::FallocateFlags;

/// What is kept: some thousand ends of leases.
pub(crate) const RESERVE_BYTES: u64 = 8 * 1024 * 1024;
/// Room that must be free before it is taken again: that and as much again, so that it is not given up at once.
const FREE_BYTES_MIN: u64 = 2 * RESERVE_BYTES;
const NAME: &str = "reserve";

/// The file that holds the room.
#[derive(Debug)]
pub(crate) struct Reserve {
    file: PathBuf,
    held: AtomicBool,
}

impl Reserve {
    /// Takes the room in a data directory that is locked, if it is there.
    pub(crate) fn open(dir: &Path) -> Self {
        let reserve = Self { file: dir.join(NAME), held: AtomicBool::new(false) };
        reserve.take();
        reserve
    }

    /// Whether the room is kept.
    pub(crate) fn is_held(&self) -> bool {
        self.held.load(Ordering::Acquire)
    }

    /// Takes the room if it is not kept and there is enough.
    pub(crate) fn take(&self) {
        if self.is_held() {
            return;
        }
        match take(&self.file) {
            Ok(true) => self.held.store(true, Ordering::Release),
            Ok(false) => tracing::warn!(file = %self.file.display(), "no room to keep for ending leases"),
            Err(error) => {
                tracing::warn!(%error, file = %self.file.display(), "no room can be kept for ending leases");
            }
        }
    }

    /// Gives the room up. Says whether there was any.
    pub(crate) fn give_up(&self) -> bool {
        let gave = give_up(&self.file);
        if self.held.swap(false, Ordering::AcqRel) {
            tracing::error!(file = %self.file.display(), "the disk is full: the room kept for ending leases is used");
        }
        gave
    }

    /// Refuses what begins something while the room is not kept.
    ///
    /// # Errors
    /// `HPC-DAT-0005`.
    pub(crate) fn ask(&self) -> Result<(), HpcError> {
        if self.is_held() {
            return Ok(());
        }
        let dir = self.file.parent().unwrap_or(&self.file).display();
        let message = format!(
            "the disk of `{dir}` is full or nearly: what is left is for ending leases; {} MiB must be free",
            FREE_BYTES_MIN / 1024 / 1024
        );
        Err(HpcError::coded(&codes::DAT_DISK_FULL, message).with("path", dir).retry_class(Retry::AfterFix))
    }
}

/// Deletes the room in a directory; says whether there was any.
pub(crate) fn give_up_in(dir: &Path) -> bool {
    give_up(&dir.join(NAME))
}

fn give_up(file: &Path) -> bool {
    fs::metadata(file).is_ok_and(|meta| meta.blocks() > 0) && fs::remove_file(file).is_ok()
}

/// Blocks of the file are blocks that nobody else gets. A file cut short by a crash is begun again.
fn take(file: &Path) -> io::Result<bool> {
    // `st_blocks` counts pieces of 512 bytes, whatever the file system's blocks are.
    if fs::metadata(file).is_ok_and(|meta| meta.blocks() >= RESERVE_BYTES / 512) {
        return Ok(true);
    }
    drop(fs::remove_file(file));
    let dir = file.parent().unwrap_or(Path::new("."));
    let stat = rustix::fs::statvfs(dir)?;
    if stat.f_bavail.saturating_mul(stat.f_frsize) < FREE_BYTES_MIN {
        return Ok(false);
    }
    let opened = fs::File::create_new(file)?;
    match fill(&opened) {
        Ok(()) => Ok(true),
        Err(error) => {
            drop(fs::remove_file(file));
            Err(error)
        }
    }
}

/// Asks the file system for blocks; one that cannot give them so gets them written, and synced, because it may allocate late.
/// What a crash takes is taken again at the next start.
fn fill(mut file: &fs::File) -> io::Result<()> {
    match rustix::fs::fallocate(file, FallocateFlags::empty(), 0, RESERVE_BYTES) {
        Ok(()) => return Ok(()),
        Err(rustix::io::Errno::OPNOTSUPP | rustix::io::Errno::NOSYS) => {}
        Err(error) => return Err(error.into()),
    }
    let zeros = vec![0; 64 * 1024];
    for _ in 0..RESERVE_BYTES / zeros.len() as u64 {
        file.write_all(&zeros)?;
    }
    file.sync_all()
}

/// A ledger that uses the reserve when its disk is full.
pub(crate) struct ReservedLedger {
    pub(crate) inner: Arc<dyn Ledger>,
    pub(crate) reserve: Arc<Reserve>,
}

#[async_trait]
impl Ledger for ReservedLedger {
    fn describe(&self) -> Description {
        self.inner.describe()
    }

    async fn get(&self, key: &Key) -> Result<Option<Versioned>, LedgerError> {
        self.inner.get(key).await
    }

    async fn get_many(&self, keys: &[Key]) -> Result<Vec<Option<Versioned>>, LedgerError> {
        self.inner.get_many(keys).await
    }

    async fn range(&self, range: &Range) -> Result<Page, LedgerError> {
        self.inner.range(range).await
    }

    async fn commit(&self, transaction: Transaction) -> Result<Revision, LedgerError> {
        let again = transaction.clone();
        match self.inner.commit(transaction).await {
            // Nothing was written. Whoever comes second finds the room made already: it tries again as well.
            Err(LedgerError::Full { .. }) => {
                self.reserve.give_up();
                self.inner.commit(again).await
            }
            other => other,
        }
    }

    async fn watch(&self, prefix: &str, after: Revision) -> Result<Box<dyn Watch>, LedgerError> {
        self.inner.watch(prefix, after).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_room_is_of_blocks_and_given_up_once() {
        let dir = tempfile::tempdir().unwrap();
        let reserve = Reserve::open(dir.path());
        assert!(reserve.is_held() && reserve.ask().is_ok());
        let meta = fs::metadata(dir.path().join(NAME)).unwrap();
        assert!(meta.blocks() * 512 >= RESERVE_BYTES);
        assert!(reserve.give_up() && !reserve.give_up());
        assert!(!reserve.is_held() && !dir.path().join(NAME).exists());
        let refused = reserve.ask().unwrap_err();
        assert_eq!((refused.registered(), refused.retry()), (Some(&codes::DAT_DISK_FULL), Retry::AfterFix));
        reserve.take();
        assert!(reserve.is_held() && give_up_in(dir.path()) && !give_up_in(dir.path()));
    }

    #[test]
    fn a_file_without_blocks_is_no_room() {
        let dir = tempfile::tempdir().unwrap();
        let hole = fs::File::create(dir.path().join(NAME)).unwrap();
        hole.set_len(RESERVE_BYTES).unwrap();
        assert!(!give_up_in(dir.path()), "there is nothing in it to give");
        assert!(Reserve::open(dir.path()).is_held());
        assert!(fs::metadata(dir.path().join(NAME)).unwrap().blocks() * 512 >= RESERVE_BYTES);
    }

    #[tokio::test]
    async fn a_full_ledger_gets_the_room_once_and_says_so_when_that_is_not_enough() {
        let dir = tempfile::tempdir().unwrap();
        let reserve = Arc::new(Reserve::open(dir.path()));
        let full = || Err(LedgerError::Full { location: "ledger.redb".to_owned() });
        let mut disk = hpc_ledger::MockLedger::new();
        let room = dir.path().join(NAME);
        disk.expect_commit()
            .times(5)
            .returning(move |_| if room.exists() { full() } else { Ok(Revision::default()) });
        let ledger = ReservedLedger { inner: Arc::new(disk), reserve: Arc::clone(&reserve) };
        ledger.commit(Transaction::new()).await.unwrap();
        assert!(!reserve.is_held());
        ledger.commit(Transaction::new()).await.unwrap();
        reserve.take();
        // Somebody else fills the disk at once.
        drop(fs::remove_file(dir.path().join(NAME)));
        fs::create_dir(dir.path().join(NAME)).unwrap();
        let error = ledger.commit(Transaction::new()).await;
        assert!(matches!(error, Err(LedgerError::Full { .. })), "{error:?}");
    }

    #[test]
    fn where_no_file_can_be_made_there_is_no_room() {
        let dir = tempfile::tempdir().unwrap();
        assert!(!Reserve::open(&dir.path().join("gone")).is_held());
    }
}
