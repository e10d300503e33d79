//! A disk in memory for tests: it fills up, fails, and loses what was not synced when the power goes.

use std::io::{Error, ErrorKind, Result};
use std::sync::{Arc, Mutex, MutexGuard};

use redb::StorageBackend;

#[derive(Debug, Clone, Default)]
pub(crate) struct FaultyDisk(Arc<Mutex<Disk>>);

#[derive(Debug, Default)]
struct Disk {
    /// What survives a loss of power.
    synced: Vec<u8>,
    /// What a reader sees.
    current: Vec<u8>,
    /// What was done since the last sync.
    pending: Vec<Operation>,
    initialised: bool,
    /// Backends of an earlier power cycle fail.
    generation: u64,
    power: bool,
    writes: u64,
    /// The power goes at this write.
    power_off_at: Option<u64>,
    /// Writes and syncs fail so.
    failing: Option<ErrorKind>,
}

#[derive(Debug, Clone)]
enum Operation {
    Write(u64, Vec<u8>),
    SetLen(u64),
}

impl Operation {
    fn apply(&self, bytes: &mut Vec<u8>) {
        match self {
            Self::Write(offset, data) => {
                let start = *offset as usize;
                if bytes.len() < start + data.len() {
                    bytes.resize(start + data.len(), 0);
                }
                bytes[start..start + data.len()].copy_from_slice(data);
            }
            Self::SetLen(len) => bytes.resize(*len as usize, 0),
        }
    }
}

impl FaultyDisk {
    pub(crate) fn new() -> Self {
        let disk = Self::default();
        disk.lock().power = true;
        disk
    }

    fn lock(&self) -> MutexGuard<'_, Disk> {
        self.0.lock().unwrap()
    }

    pub(crate) fn backend(&self) -> DiskBackend {
        DiskBackend { disk: self.clone(), generation: self.lock().generation }
    }

    pub(crate) fn is_initialised(&self) -> bool {
        self.lock().initialised
    }

    pub(crate) fn set_initialised(&self) {
        self.lock().initialised = true;
    }

    pub(crate) fn fail_writes(&self, kind: Option<ErrorKind>) {
        self.lock().failing = kind;
    }

    pub(crate) fn power_off_after(&self, writes: u64) {
        let mut disk = self.lock();
        disk.power_off_at = Some(disk.writes + writes);
    }

    /// The power comes back: of what was not synced, each operation survives or not, some of them in part.
    pub(crate) fn power_on(&self, mut chance: impl FnMut() -> u64) {
        let mut disk = self.lock();
        let mut bytes = disk.synced.clone();
        for operation in std::mem::take(&mut disk.pending) {
            match (chance() % 3, operation) {
                (0, _) => {}
                (1, Operation::Write(offset, mut data)) => {
                    // A sector is written whole or not at all.
                    let sectors = data.len() / 512;
                    data.truncate(512 * (chance() % (sectors as u64 + 1)) as usize);
                    Operation::Write(offset, data).apply(&mut bytes);
                }
                (_, operation) => operation.apply(&mut bytes),
            }
        }
        disk.current.clone_from(&bytes);
        disk.synced = bytes;
        disk.generation += 1;
        disk.power = true;
        disk.power_off_at = None;
    }
}

#[derive(Debug)]
pub(crate) struct DiskBackend {
    disk: FaultyDisk,
    generation: u64,
}

impl DiskBackend {
    fn powered(&self) -> Result<MutexGuard<'_, Disk>> {
        let disk = self.disk.lock();
        if !disk.power || disk.generation != self.generation {
            return Err(Error::other("no power"));
        }
        Ok(disk)
    }

    fn change(&self, operation: Operation) -> Result<()> {
        let mut disk = self.powered()?;
        disk.writes += 1;
        if disk.power_off_at == Some(disk.writes) {
            disk.power = false;
            disk.pending.push(operation); // the one under way may or may not arrive
            return Err(Error::other("the power went"));
        }
        if let Some(kind) = disk.failing {
            return Err(kind.into());
        }
        operation.apply(&mut disk.current);
        disk.pending.push(operation);
        Ok(())
    }
}

impl StorageBackend for DiskBackend {
    fn len(&self) -> Result<u64> {
        Ok(self.powered()?.current.len() as u64)
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> Result<()> {
        let disk = self.powered()?;
        let bytes = disk.current.get(offset as usize..offset as usize + out.len());
        out.copy_from_slice(bytes.ok_or(ErrorKind::UnexpectedEof)?);
        Ok(())
    }

    fn set_len(&self, len: u64) -> Result<()> {
        self.change(Operation::SetLen(len))
    }

    fn sync_data(&self) -> Result<()> {
        let mut disk = self.powered()?;
        if let Some(kind) = disk.failing {
            return Err(kind.into());
        }
        disk.pending.clear();
        disk.synced = disk.current.clone();
        Ok(())
    }

    fn write(&self, offset: u64, data: &[u8]) -> Result<()> {
        self.change(Operation::Write(offset, data.to_vec()))
    }
}

mod tests {
    use hpc_ledger::{Key, Ledger, LedgerError, Range, Transaction};

    use super::*;
    use crate::open::Place;
    use crate::{Options, RedbLedger};

    fn open(disk: &FaultyDisk) -> RedbLedger {
        RedbLedger::start(Place::Test(disk.clone()), Options::default()).unwrap()
    }

    fn key(text: &str) -> Key {
        Key::parse(text).unwrap()
    }

    /// splitmix64
    fn chance(mut state: u64) -> impl FnMut() -> u64 {
        move || {
            state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
            let mut drawn = state;
            drawn = (drawn ^ (drawn >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            drawn = (drawn ^ (drawn >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
            drawn ^ (drawn >> 31)
        }
    }

    #[tokio::test]
    async fn a_full_disk_is_said_and_survived() {
        let disk = FaultyDisk::new();
        let ledger = open(&disk);
        let (a, b) = (key("a"), key("b"));
        ledger.commit(Transaction::new().put(&a, b"1")).await.unwrap();
        disk.fail_writes(Some(ErrorKind::StorageFull));
        for _ in 0..3 {
            let error = ledger.commit(Transaction::new().put(&b, b"2")).await.unwrap_err();
            assert!(matches!(error, LedgerError::Full { .. } | LedgerError::Unavailable { .. }), "{error}");
        }
        disk.fail_writes(None);
        assert_eq!(ledger.commit(Transaction::new().expect_absent(&b).put(&b, b"3")).await, Ok(2));
        assert_eq!(ledger.get(&a).await.unwrap().unwrap().value, b"1");
        drop(ledger);
        assert_eq!(open(&disk).range(&Range::prefix("")).await.unwrap().revision, 2);
    }

    #[tokio::test]
    async fn a_failing_disk_is_unavailable_and_the_ledger_heals() {
        let disk = FaultyDisk::new();
        let ledger = open(&disk);
        let a = key("a");
        ledger.commit(Transaction::new().put(&a, b"1")).await.unwrap();
        disk.fail_writes(Some(ErrorKind::Other));
        let error = ledger.commit(Transaction::new().put(&a, b"2")).await.unwrap_err();
        assert!(error.outcome_unknown(), "{error}");
        disk.fail_writes(None);
        let mut watch = ledger.watch("", 1).await;
        if watch.is_err() {
            ledger.commit(Transaction::new()).await.unwrap(); // the next commit opens the file again
            watch = ledger.watch("", 1).await;
        }
        let mut watch = watch.unwrap();
        assert_eq!(ledger.commit(Transaction::new().put(&a, b"3")).await, Ok(2));
        assert_eq!(watch.next().await.unwrap().value.as_deref(), Some(b"3".as_slice()));
    }

    /// Every acknowledged commit is there after a loss of power, and every commit is there whole or not at all.
    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn no_acknowledged_commit_is_lost_with_the_power() {
        const SEEDS: u64 = 150;
        for seed in 0..SEEDS {
            let mut draw = chance(seed);
            let disk = FaultyDisk::new();
            let mut acknowledged = [0_u64; 4];
            for cycle in 0..4 {
                let ledger = Arc::new(open(&disk));
                for (writer, last) in acknowledged.iter_mut().enumerate() {
                    let left = ledger.get(&key(&format!("left/{writer}"))).await.unwrap();
                    let right = ledger.get(&key(&format!("right/{writer}"))).await.unwrap();
                    let number = |read: &Option<hpc_ledger::Versioned>| {
                        read.as_ref()
                            .map_or(0, |read| u64::from_le_bytes(read.value[..8].try_into().unwrap()))
                    };
                    let (left, right) = (number(&left), number(&right));
                    assert_eq!(left, right, "seed {seed} cycle {cycle}: half a commit");
                    assert!(
                        left >= *last,
                        "seed {seed} cycle {cycle}: commit {last} of {writer} lost, found {left}"
                    );
                    assert!(left <= *last + 1, "seed {seed} cycle {cycle}: a commit nobody asked for");
                    *last = left;
                }
                disk.power_off_after(1 + draw() % 120);
                let writers: Vec<_> = acknowledged
                    .iter()
                    .enumerate()
                    .map(|(writer, last)| {
                        let (ledger, mut last) = (Arc::clone(&ledger), *last);
                        tokio::spawn(async move {
                            for _ in 0..200 {
                                let mut value = (last + 1).to_le_bytes().to_vec();
                                value.resize(700, 7);
                                let both = Transaction::new()
                                    .put(key(&format!("left/{writer}")), value.clone())
                                    .put(key(&format!("right/{writer}")), value);
                                if ledger.commit(both).await.is_err() {
                                    break;
                                }
                                last += 1;
                            }
                            last
                        })
                    })
                    .collect();
                for (writer, last) in writers.into_iter().zip(acknowledged.iter_mut()) {
                    *last = writer.await.unwrap();
                }
                drop(ledger);
                disk.power_on(&mut draw);
            }
        }
    }
}
