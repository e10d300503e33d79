//! The public face of the package: published vectors, properties and bad input.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

mod cosignatures;
mod data;
mod notes;
mod policies;
mod tiles;
mod trees;
mod vectors;
mod witnesses;
