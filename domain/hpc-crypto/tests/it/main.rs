//! The public face of the package: published vectors, properties and bad input.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

mod data;
mod notes;
mod tiles;
mod trees;
mod vectors;
