//! Settings and limits.

/// Most commits that may wait to be written.
pub const WAITING_COMMITS_MAX: usize = 4096;

/// Most bytes of keys and values that may wait to be written.
pub const WAITING_BYTES_MAX: usize = 64 << 20;

/// Most commits that share one `fsync`.
pub const BATCH_COMMITS_MAX: usize = 1024;

/// Bytes of keys and values after which a batch takes no further commit.
pub const BATCH_BYTES_MAX: usize = 8 << 20;

/// Most changes kept for watches.
pub const HISTORY_CHANGES_MAX: usize = 16 * 1024;

/// Most bytes of changes kept for watches, beside the newest commit.
pub const HISTORY_BYTES_MAX: usize = 16 << 20;

/// Most watches open at once.
pub const WATCHES_MAX: usize = 1024;

/// How a ledger file is opened.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Options {
    /// Bytes of pages kept in memory; 8 MiB by default.
    pub cache_bytes: usize,
    /// Whether to check every page of the file before it is used; true by default.
    ///
    /// Costs one read of the whole file. Without it damage is found when it is met, and only in keys and values.
    pub verify_on_open: bool,
    /// Whether a file that does not exist is made; true by default.
    pub create: bool,
}

impl Default for Options {
    fn default() -> Self {
        Self { cache_bytes: 8 << 20, verify_on_open: true, create: true }
    }
}

impl Options {
    /// Keeps `bytes` of pages in memory.
    #[must_use]
    pub fn cache_bytes(mut self, bytes: usize) -> Self {
        self.cache_bytes = bytes;
        self
    }

    /// Checks, or does not check, every page when opening.
    #[must_use]
    pub fn verify_on_open(mut self, verify: bool) -> Self {
        self.verify_on_open = verify;
        self
    }

    /// Makes, or does not make, a file that does not exist.
    #[must_use]
    pub fn create(mut self, create: bool) -> Self {
        self.create = create;
        self
    }
}
