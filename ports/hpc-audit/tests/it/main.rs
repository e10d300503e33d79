//! The words of the port: the canonical form of entries, searches, and bundles.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

mod bundles;
mod commitments;
mod entries;
mod outside;
mod seeds;
