//! Servers and clients over in-memory streams and a child process.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

mod building;
mod calls;
mod child;
mod eras;
mod handlers;
mod raw;
