//! The public face of the package: published vectors, properties and bad input.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

mod bad_input;
mod cosignatures;
mod data;
mod foreign;
mod notes;
mod policies;
mod seeds;
mod tiles;
mod trees;
mod vectors;
mod witnesses;
