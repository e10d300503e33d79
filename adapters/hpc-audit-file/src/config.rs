/// What is written with one fsync at most, in bytes: further appends wait for the next.
pub const GROUP_BYTES_MAX: usize = 8 << 20;
/// Encoded bytes of entries that are held in memory before they are published as tiles.
pub const PENDING_BYTES_MAX: usize = 2 << 20;
/// Entries that are held in memory before they are published as tiles.
pub const PENDING_ENTRIES_MAX: usize = 8_192;
/// The longest write-ahead tail. Beyond it, which happens only while tiles cannot be written, appends are refused.
pub const TAIL_BYTES_MAX: u64 = 64 << 20;

/// How a log is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Config {
    /// The log's name: the first line of its checkpoints and the name of its key. It never changes.
    pub origin: String,
    /// Calls that may wait for the writer, 1 or more; further ones wait outside. Default 1,024.
    pub queue_max: usize,
    /// The most entries of the log. Each costs about 2 bytes of memory for finding repeated ids. Default 2^24.
    pub entries_max: u64,
    /// Up to so many signed entries, opening checks every byte of the folder; of a larger log it checks the end, and
    /// the complete check is [`crate::check_dir`]. Default 1,000,000.
    pub opening_check_max: u64,
}

impl Config {
    /// The defaults for a log of this name.
    pub fn new(origin: impl Into<String>) -> Self {
        Self { origin: origin.into(), queue_max: 1024, entries_max: 1 << 24, opening_check_max: 1_000_000 }
    }
}
