//! The public face of `hpc-error`.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

mod build;
mod registry;
#[cfg(feature = "tonic")]
mod status;
