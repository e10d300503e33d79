//! Price lists as they are found: their traps, their broken rows, their limits.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

mod lists;
mod rows;
mod snapshots;
mod traps;
