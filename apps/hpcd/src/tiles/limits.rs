//! Every limit of serving the audit log, in one place.

use std::time::Duration;

/// How long a checkpoint may be kept by whoever fetched it, in seconds: the daemon signs every two.
pub const CHECKPOINT_AGE_MAX_S: u32 = 2;
/// How long a tile may be kept, in seconds: a year. Tiles never change.
pub const TILE_AGE_MAX_S: u32 = 31_536_000;
/// Most bundles of entries that are in memory at once for one kind of readers, up to 16 MiB each; more wait.
pub const BUNDLES_MAX: usize = 16;
/// Longest wait for a place among them; afterwards the answer is 503.
pub const BUNDLE_WAIT_MAX: Duration = Duration::from_secs(5);
/// Most entity tags of one `If-None-Match` that are looked at.
pub const TAGS_MAX: usize = 32;
