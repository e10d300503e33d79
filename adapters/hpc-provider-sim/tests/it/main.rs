//! The simulated clouds from outside.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]
#![allow(unreachable_pub, reason = "the modules of one test binary share their tools")]

mod catalog;
mod conformance;
mod determinism;
mod durability;
mod reservations;
mod stories;
mod tools;
mod trouble;
