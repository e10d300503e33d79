//! Power cuts: the file as it would be if the power failed after any write, with whatever had not been synced
//! kept, lost or half written. Nothing acknowledged may be missing.

use std::io;
use std::sync::{Arc, Mutex};

use hpc_timeseries::{Clock, Durability, Point, QueryBuilder, TimeSeriesStore};
use redb::StorageBackend;

use crate::{EmbeddedConfig, EmbeddedTsdb};

const NOW: jiff::Timestamp = jiff::Timestamp::constant(1_760_000_000, 0);
const BASE_NS: i64 = 1_759_999_000_000_000_000;

#[derive(Debug, Clone)]
enum Operation {
    Write(usize, Vec<u8>),
    Length(usize),
    Sync,
}

impl Operation {
    fn apply(&self, image: &mut Vec<u8>) {
        match self {
            Self::Write(at, data) => {
                if image.len() < at + data.len() {
                    image.resize(at + data.len(), 0);
                }
                image[*at..at + data.len()].copy_from_slice(data);
            }
            Self::Length(length) => image.resize(*length, 0),
            Self::Sync => {}
        }
    }
}

/// A disk in memory that remembers what was done to it.
#[derive(Debug, Default)]
struct Disk {
    image: Vec<u8>,
    journal: Vec<Operation>,
}

impl Disk {
    fn note(&mut self, operation: Operation) {
        operation.apply(&mut self.image);
        self.journal.push(operation);
    }
}

#[derive(Debug, Clone, Default)]
struct Recorder(Arc<Mutex<Disk>>);

impl StorageBackend for Recorder {
    fn len(&self) -> io::Result<u64> {
        Ok(self.0.lock().unwrap().image.len() as u64)
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        let disk = self.0.lock().unwrap();
        let at = offset as usize;
        let part = disk.image.get(at..at + out.len()).ok_or(io::ErrorKind::UnexpectedEof)?;
        out.copy_from_slice(part);
        Ok(())
    }

    fn set_len(&self, length: u64) -> io::Result<()> {
        self.0.lock().unwrap().note(Operation::Length(length as usize));
        Ok(())
    }

    fn sync_data(&self) -> io::Result<()> {
        self.0.lock().unwrap().note(Operation::Sync);
        Ok(())
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        self.0.lock().unwrap().note(Operation::Write(offset as usize, data.to_vec()));
        Ok(())
    }
}

/// SplitMix64.
struct Chance(u64);

impl Chance {
    fn below(&mut self, limit: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) as usize % limit.max(1)
    }
}

/// What is left after the power failed behind the first `cut` operations.
fn image_after(journal: &[Operation], cut: usize, chance: &mut Chance) -> Vec<u8> {
    let done = &journal[..cut];
    let synced =
        done.iter().rposition(|operation| matches!(operation, Operation::Sync)).map_or(0, |at| at + 1);
    let mut image = Vec::new();
    done[..synced].iter().for_each(|operation| operation.apply(&mut image));
    for operation in &done[synced..] {
        match (operation, chance.below(3)) {
            (Operation::Write(at, data), 1) => {
                Operation::Write(*at, data[..chance.below(data.len())].to_vec()).apply(&mut image);
            }
            (_, 0) => {}
            (operation, _) => operation.apply(&mut image),
        }
    }
    image
}

fn config() -> EmbeddedConfig {
    // Small heads, so that sealing is cut as often as writing.
    EmbeddedConfig { head_samples_max: 300, ..EmbeddedConfig::default() }
}

fn clock() -> Clock {
    Arc::new(|| NOW)
}

async fn values(store: &EmbeddedTsdb) -> Vec<(i64, f64)> {
    let set = store.query(QueryBuilder::new("gpu").build()).await.unwrap();
    let series = set.series.into_iter().next();
    series.map_or_else(Vec::new, |s| s.samples.iter().map(|s| (s.ts_ns, s.as_f64().unwrap())).collect())
}

#[tokio::test]
async fn nothing_acknowledged_is_lost_when_the_power_fails() {
    const BATCHES: i64 = 40;
    const BATCH: i64 = 37;
    let seed = 20_251_009;
    let recorder = Recorder::default();
    let store = EmbeddedTsdb::open_backend(recorder.clone(), "recorder", config(), clock()).unwrap();
    let opened = recorder.0.lock().unwrap().journal.len();
    // Position in the journal behind which each batch had been acknowledged.
    let mut acknowledged = Vec::new();
    for batch in 0..BATCHES {
        let point =
            |i| Point::new("gpu", BASE_NS + batch * BATCH + i).field("power_watts", batch as f64 / 3.0);
        store.write((0..BATCH).map(point).collect(), Durability::Group).await.unwrap();
        acknowledged.push(recorder.0.lock().unwrap().journal.len());
    }
    drop(store);
    let journal = recorder.0.lock().unwrap().journal.clone();
    let mut chance = Chance(seed);
    let mut lossy = 0;
    for round in 0..300 {
        let cut = opened + chance.below(journal.len() - opened + 1);
        let image = image_after(&journal, cut, &mut chance);
        let disk = Recorder(Arc::new(Mutex::new(Disk { image, journal: Vec::new() })));
        let store = EmbeddedTsdb::open_backend(disk, "after the cut", config(), clock())
            .unwrap_or_else(|error| panic!("seed {seed}, round {round}, cut {cut}: {error}"));
        let have = values(&store).await;
        let safe = acknowledged.iter().filter(|position| **position <= cut).count() as i64 * BATCH;
        assert!(have.len() as i64 >= safe, "seed {seed}, round {round}, cut {cut}: {} of {safe}", have.len());
        assert_eq!(have.len() as i64 % BATCH, 0, "a batch is stored whole or not at all");
        for (index, sample) in (0..).zip(&have) {
            assert_eq!(*sample, (BASE_NS + index, (index / BATCH) as f64 / 3.0));
        }
        lossy += i64::from((have.len() as i64) < BATCHES * BATCH);
        // It goes on from there.
        let next = Point::new("gpu", BASE_NS + 1_000_000).field("power_watts", 1.0);
        store.write(vec![next], Durability::Sync).await.unwrap();
    }
    assert!(lossy > 100, "the cuts should mostly come before the end");
}

#[tokio::test]
async fn a_file_cut_while_it_is_made_is_an_error_and_not_a_panic() {
    let recorder = Recorder::default();
    drop(EmbeddedTsdb::open_backend(recorder.clone(), "recorder", config(), clock()).unwrap());
    let journal = recorder.0.lock().unwrap().journal.clone();
    let mut chance = Chance(7);
    for cut in 0..journal.len() {
        let image = image_after(&journal, cut, &mut chance);
        let disk = Recorder(Arc::new(Mutex::new(Disk { image, journal: Vec::new() })));
        if let Ok(store) = EmbeddedTsdb::open_backend(disk, "half made", config(), clock()) {
            assert!(values(&store).await.is_empty());
        }
    }
}

/// A disk that refuses everything from some write on.
#[derive(Debug, Clone, Default)]
struct Full {
    inner: Recorder,
    broken: Arc<std::sync::atomic::AtomicBool>,
}

impl Full {
    fn check(&self) -> io::Result<()> {
        if self.broken.load(std::sync::atomic::Ordering::SeqCst) {
            return Err(io::Error::new(io::ErrorKind::StorageFull, "no space"));
        }
        Ok(())
    }
}

impl StorageBackend for Full {
    fn len(&self) -> io::Result<u64> {
        self.inner.len()
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        self.inner.read(offset, out)
    }

    fn set_len(&self, length: u64) -> io::Result<()> {
        self.check()?;
        self.inner.set_len(length)
    }

    fn sync_data(&self) -> io::Result<()> {
        self.check()?;
        self.inner.sync_data()
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        self.check()?;
        self.inner.write(offset, data)
    }
}

#[tokio::test]
async fn a_full_disk_is_told_and_hides_nothing() {
    let disk = Full::default();
    let store = EmbeddedTsdb::open_backend(disk.clone(), "full", config(), clock()).unwrap();
    let point = |i| Point::new("gpu", BASE_NS + i).field("power_watts", 1.0);
    store.write(vec![point(0)], Durability::Group).await.unwrap();
    disk.broken.store(true, std::sync::atomic::Ordering::SeqCst);
    for i in 1..5 {
        let error = store.write(vec![point(i)], Durability::Group).await.unwrap_err();
        assert!(error.is_retriable(), "{error}");
    }
    // What was refused is not visible, in memory or after a restart.
    drop(store);
    let reopened = EmbeddedTsdb::open_backend(disk.inner, "after", config(), clock()).unwrap();
    assert_eq!(values(&reopened).await, [(BASE_NS, 1.0)]);
}
