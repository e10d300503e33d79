//! The embedded store: the contract, recovery, limits and damaged files.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

mod contract;
mod crash;
mod damage;
mod limits;
mod model;
mod support;
