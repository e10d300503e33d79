//! Settings.

use std::time::Duration;

use hpc_timeseries::TimeSeriesError;

/// Fewest bytes of page cache that make sense.
const CACHE_BYTES_MIN: usize = 64 * 1024;

/// Settings of the store; the defaults suit one daemon with some thousand devices.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EmbeddedConfig {
    /// Page cache in bytes, at least 64 KiB. Default 8 MiB.
    pub cache_bytes: usize,
    /// How far in the past a point may lie. Default 7 days.
    pub past_max: Duration,
    /// How far in the future a point may lie, for senders whose clock runs ahead. Default 10 minutes.
    pub future_max: Duration,
    /// Most columns, that is fields of series. Default 300,000; each takes about 100 bytes of memory.
    pub columns_max: usize,
    /// Samples held in memory, and in the log, before they are compressed into chunks. Default 262,144, or 4 MiB.
    pub head_samples_max: usize,
    /// Batches that may wait for the writer. Default 1,024.
    pub queue_batches_max: usize,
    /// Samples that may wait for the writer. Default 1,000,000, or 24 MiB.
    pub queue_samples_max: usize,
    /// How long a group write waits for company. Default zero: what arrives during one fsync shares the next.
    pub group_linger: Duration,
    /// How long a sample written with `Durability::None` may stay unsaved. Default 1 second.
    pub unsaved_max: Duration,
    /// Samples one query may read. Default 50,000,000.
    pub scan_samples_max: usize,
    /// Queries that run at one time; more wait. Default 8.
    pub queries_max: usize,
}

impl Default for EmbeddedConfig {
    fn default() -> Self {
        Self {
            cache_bytes: 8 * 1024 * 1024,
            past_max: Duration::from_secs(7 * 86_400),
            future_max: Duration::from_secs(600),
            columns_max: 300_000,
            head_samples_max: 262_144,
            queue_batches_max: 1_024,
            queue_samples_max: 1_000_000,
            group_linger: Duration::ZERO,
            unsaved_max: Duration::from_secs(1),
            scan_samples_max: 50_000_000,
            queries_max: 8,
        }
    }
}

impl EmbeddedConfig {
    pub(crate) fn check(&self) -> Result<(), TimeSeriesError> {
        let wrong = |setting, why: &str| Err(TimeSeriesError::Config { setting, why: why.to_owned() });
        if self.cache_bytes < CACHE_BYTES_MIN {
            return wrong("cache_bytes", "at least 65536");
        }
        if self.columns_max == 0 || u32::try_from(self.columns_max).is_err() {
            return wrong("columns_max", "1 to 4294967295");
        }
        if self.head_samples_max == 0 {
            return wrong("head_samples_max", "at least 1");
        }
        if self.queue_batches_max == 0 || self.queue_samples_max == 0 {
            return wrong("queue_batches_max", "the queue needs room for at least one batch and one sample");
        }
        if self.group_linger > Duration::from_secs(1) {
            return wrong("group_linger", "at most 1 second");
        }
        if self.queries_max == 0 || self.scan_samples_max == 0 {
            return wrong("queries_max", "at least one query and one sample");
        }
        Ok(())
    }
}
