//! The public face of `hpc-types`.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

mod control;
mod generated;
mod telemetry;
mod time;
