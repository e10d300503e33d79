//! Collector and points: parsers on hostile text, simulated devices, and what becomes of a batch.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

mod collector;
mod points;
mod proc_text;
mod simulated;
