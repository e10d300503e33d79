//! The store: validation in front of the queue, the port on top.

use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{SyncSender, TrySendError, sync_channel};
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard};
use std::thread::JoinHandle;
use std::time::Duration;

use async_trait::async_trait;
use hpc_timeseries::{
    BATCH_POINTS_MAX, Clock, Description, Durability, Point, Query, Rejected, Rejection, Select, SeriesList,
    SeriesSet, TimeSeriesError, TimeSeriesStore, UnixNs, WriteReport,
};
use redb::{Builder, Database, StorageBackend};
use tokio::sync::{Semaphore, oneshot};

use crate::config::EmbeddedConfig;
use crate::error::Place;
use crate::heads::{Heads, Raw3};
use crate::index::Index;
use crate::reader;
use crate::tables::{self, Retention};
use crate::writer::{Ack, Job, Writer};

const MEMORY: &str = "memory";

/// What the callers, the writer and running queries share.
pub(crate) struct Shared {
    pub(crate) config: EmbeddedConfig,
    pub(crate) place: Place,
    pub(crate) db: Database,
    pub(crate) heads: RwLock<Heads>,
    pub(crate) retention: RwLock<Retention>,
    index: RwLock<Index>,
    clock: Clock,
    queued_samples: AtomicUsize,
    queries: Semaphore,
}

// A panic while a lock was held leaves complete data behind: every change under one is a plain insertion.
impl Shared {
    pub(crate) fn heads(&self) -> RwLockReadGuard<'_, Heads> {
        self.heads.read().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn index(&self) -> RwLockReadGuard<'_, Index> {
        self.index.read().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn retention(&self) -> Retention {
        *self.retention.read().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn now_ns(&self) -> i64 {
        (self.clock)().unix_ns()
    }

    /// Samples that left the queue.
    pub(crate) fn release(&self, samples: usize) {
        self.queued_samples.fetch_sub(samples, Ordering::Relaxed);
    }
}

/// A time-series store in one redb file, or in memory.
///
/// Cheap to ask, and shared as `Arc`. Dropping it saves what is left and waits for the writer.
pub struct EmbeddedTsdb {
    shared: Arc<Shared>,
    /// `None` only while it is being dropped.
    jobs: Option<SyncSender<Job>>,
    writer: Option<JoinHandle<()>>,
}

impl EmbeddedTsdb {
    /// Opens the file at `path`, or makes it; its folder must exist. After a crash this repairs and replays.
    ///
    /// # Errors
    /// [`TimeSeriesError::Config`], [`TimeSeriesError::Unavailable`] if the file cannot be opened or is open elsewhere,
    /// [`TimeSeriesError::Corrupt`] if it is damaged or not such a file.
    pub fn open(
        path: impl AsRef<Path>,
        config: EmbeddedConfig,
        clock: Clock,
    ) -> Result<Self, TimeSeriesError> {
        config.check()?;
        let path = path.as_ref();
        let place = Place(path.display().to_string());
        if !path.exists() {
            guarded(&place, || make(path, &place))?;
        }
        let db = guarded(&place, || {
            Builder::new()
                .set_cache_size(config.cache_bytes)
                .create(path)
                .map_err(|error| place.open_failed(error))
        })?;
        Self::start(db, place, config, clock)
    }

    /// A store that keeps nothing: for trying out and for tests.
    ///
    /// # Errors
    /// [`TimeSeriesError::Config`]; [`TimeSeriesError::Unavailable`] if no thread can be started.
    pub fn in_memory(config: EmbeddedConfig, clock: Clock) -> Result<Self, TimeSeriesError> {
        Self::open_backend(redb::backends::InMemoryBackend::new(), MEMORY, config, clock)
    }

    pub(crate) fn open_backend(
        backend: impl StorageBackend,
        place: &str,
        config: EmbeddedConfig,
        clock: Clock,
    ) -> Result<Self, TimeSeriesError> {
        config.check()?;
        let place = Place(place.to_owned());
        let db = guarded(&place, || {
            Builder::new()
                .set_cache_size(config.cache_bytes)
                .create_with_backend(backend)
                .map_err(|error| place.open_failed(error))
        })?;
        Self::start(db, place, config, clock)
    }

    fn start(
        db: Database,
        place: Place,
        config: EmbeddedConfig,
        clock: Clock,
    ) -> Result<Self, TimeSeriesError> {
        let loaded = guarded(&place, || tables::load(&db, &place))?;
        let columns = loaded.index.columns() as u32;
        let queue = config.queue_batches_max;
        let shared = Arc::new(Shared {
            queries: Semaphore::new(config.queries_max.min(Semaphore::MAX_PERMITS)),
            config,
            place,
            db,
            heads: RwLock::new(loaded.heads),
            retention: RwLock::new(loaded.retention),
            index: RwLock::new(loaded.index),
            clock,
            queued_samples: AtomicUsize::new(0),
        });
        let (jobs, receiver) = sync_channel(queue);
        let writer = Writer::new(Arc::clone(&shared), loaded.next_log, columns);
        let writer = std::thread::Builder::new()
            .name("tsdb-writer".to_owned())
            .spawn(move || writer.run(&receiver))
            .map_err(|error| shared.place.unavailable(error))?;
        Ok(Self { shared, jobs: Some(jobs), writer: Some(writer) })
    }

    /// Saves everything accepted so far, also what was written with `Durability::None`.
    ///
    /// # Errors
    /// [`TimeSeriesError::Backpressure`], [`TimeSeriesError::Unavailable`] or [`TimeSeriesError::Corrupt`].
    pub async fn flush(&self) -> Result<(), TimeSeriesError> {
        self.submit(|ack| Job::Flush { ack }).await
    }

    /// Compresses what is in memory into chunks now; it happens by itself when there is enough.
    ///
    /// # Errors
    /// [`TimeSeriesError::Backpressure`], [`TimeSeriesError::Unavailable`] or [`TimeSeriesError::Corrupt`].
    pub async fn seal(&self) -> Result<(), TimeSeriesError> {
        self.submit(|ack| Job::Seal { ack }).await
    }

    /// How many columns (fields of series) there are.
    pub fn columns(&self) -> usize {
        self.shared.index().columns()
    }

    async fn submit(&self, job: impl FnOnce(Ack) -> Job) -> Result<(), TimeSeriesError> {
        let gone = || self.shared.place.unavailable("the writer has stopped; restart the store");
        let (ack, outcome) = oneshot::channel();
        let job = job(ack);
        let samples = job.samples();
        let queued = self.shared.queued_samples.fetch_add(samples, Ordering::Relaxed);
        // A batch larger than the whole queue still goes through when the queue is empty.
        if queued > 0 && queued + samples > self.shared.config.queue_samples_max {
            self.shared.release(samples);
            return Err(TimeSeriesError::Backpressure);
        }
        let sent = self.jobs.as_ref().ok_or_else(gone)?.try_send(job);
        if let Err(refused) = sent {
            self.shared.release(samples);
            return Err(match refused {
                TrySendError::Full(_) => TimeSeriesError::Backpressure,
                TrySendError::Disconnected(_) => gone(),
            });
        }
        outcome.await.unwrap_or_else(|_| Err(gone()))
    }

    /// Checks every point against the port, the window and the index.
    fn resolve(&self, batch: &[Point]) -> (Vec<Raw3>, WriteReport) {
        let now_ns = self.shared.now_ns();
        let oldest_ns = now_ns
            .saturating_sub(nanos(self.shared.config.past_max))
            .max(self.shared.retention().start_ns(now_ns));
        let newest_ns = now_ns.saturating_add(nanos(self.shared.config.future_max));
        let mut samples = Vec::with_capacity(batch.iter().map(|point| point.fields.len()).sum());
        let mut report = WriteReport::default();
        let mut index = self.shared.index.write().unwrap_or_else(PoisonError::into_inner);
        for (position, point) in batch.iter().enumerate() {
            let in_window = || {
                let ts_ns = point.ts_ns;
                let inside = (oldest_ns..=newest_ns).contains(&ts_ns);
                if inside { Ok(()) } else { Err(Rejection::OutOfWindow { ts_ns, oldest_ns, newest_ns }) }
            };
            let outcome = point
                .validate()
                .and_then(|()| in_window())
                .and_then(|()| index.resolve(point, self.shared.config.columns_max, &mut samples));
            match outcome {
                Ok(()) => report.accepted += 1,
                Err(why) => report.rejected.push(Rejected { index: position, why }),
            }
        }
        (samples, report)
    }

    /// Runs a reader on a thread where waiting for the disk is allowed.
    async fn read<T: Send + 'static>(
        &self,
        query: Query,
        read: impl FnOnce(&Shared, &Select, i64) -> Result<T, TimeSeriesError> + Send + 'static,
    ) -> Result<T, TimeSeriesError> {
        let select = query.into_select()?;
        let now_ns = self.shared.now_ns();
        let place = &self.shared.place;
        let _turn = self.shared.queries.acquire().await.map_err(|error| place.unavailable(error))?;
        let shared = Arc::clone(&self.shared);
        tokio::task::spawn_blocking(move || read(&shared, &select, now_ns))
            .await
            .map_err(|error| place.unavailable(format!("the query stopped: {error}")))?
    }
}

impl Drop for EmbeddedTsdb {
    fn drop(&mut self) {
        self.jobs = None;
        if let Some(writer) = self.writer.take() {
            // A writer that panicked has saved what it acknowledged; there is nobody left to tell.
            drop(writer.join());
        }
    }
}

#[async_trait]
impl TimeSeriesStore for EmbeddedTsdb {
    async fn write(&self, batch: Vec<Point>, durability: Durability) -> Result<WriteReport, TimeSeriesError> {
        if batch.len() > BATCH_POINTS_MAX {
            return Err(TimeSeriesError::BatchTooLarge { points: batch.len(), limit: BATCH_POINTS_MAX });
        }
        let (samples, report) = self.resolve(&batch);
        drop(batch);
        if !samples.is_empty() {
            self.submit(|ack| Job::Write { samples, durability, ack }).await?;
        }
        Ok(report)
    }

    async fn query(&self, query: Query) -> Result<SeriesSet, TimeSeriesError> {
        self.read(query, reader::query).await
    }

    async fn latest(&self, query: Query) -> Result<SeriesSet, TimeSeriesError> {
        self.read(query, reader::latest).await
    }

    async fn series(&self, query: Query) -> Result<SeriesList, TimeSeriesError> {
        self.read(query, |shared, select, _| Ok(reader::series(shared, select))).await
    }

    async fn retention(&self) -> Result<Option<Duration>, TimeSeriesError> {
        Ok(self.shared.retention().keep_ns.map(|keep_ns| Duration::from_nanos(keep_ns.unsigned_abs())))
    }

    async fn set_retention(&self, keep: Option<Duration>) -> Result<(), TimeSeriesError> {
        let floor_ns = self.shared.retention().start_ns(self.shared.now_ns());
        let retention = Retention { keep_ns: keep.map(nanos), floor_ns };
        self.submit(|ack| Job::Retain { retention, ack }).await
    }

    fn describe(&self) -> Description {
        let mut description = Description::new("embedded", self.shared.place.0.clone());
        description.durable = self.shared.place.0 != MEMORY;
        description.past_max = Some(self.shared.config.past_max);
        description.future_max = Some(self.shared.config.future_max);
        description.columns_max = Some(self.shared.config.columns_max);
        description.retention = true;
        description.rejects_by_point = true;
        description
    }
}

fn nanos(length: Duration) -> i64 {
    i64::try_from(length.as_nanos()).unwrap_or(i64::MAX)
}

/// A damaged file must end in an error. Where the engine panics on one instead, the panic stops here.
/// Makes an empty store under another name and links it into place whole: a process that dies here leaves no file that
/// the next start cannot read, at most a draft that nobody reads.
fn make(path: &Path, place: &Place) -> Result<(), TimeSeriesError> {
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(format!(".{}.new", std::process::id()));
    let draft = path.with_file_name(name);
    drop(Builder::new().create(&draft).map_err(|error| place.open_failed(error))?);
    let linked = std::fs::File::open(&draft).and_then(|file| file.sync_all()).and_then(|()| {
        match std::fs::hard_link(&draft, path) {
            // Somebody else was faster: theirs is the store.
            Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => Ok(()),
            linked => linked,
        }
    });
    let removed = std::fs::remove_file(&draft);
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    linked
        .and(removed)
        .and_then(|()| std::fs::File::open(folder)?.sync_all())
        .map_err(|error| place.unavailable(error))
}

fn guarded<T>(
    place: &Place,
    open: impl FnOnce() -> Result<T, TimeSeriesError>,
) -> Result<T, TimeSeriesError> {
    std::panic::catch_unwind(std::panic::AssertUnwindSafe(open))
        .unwrap_or_else(|_| Err(place.corrupt("the file does not make sense to the storage engine")))
}
