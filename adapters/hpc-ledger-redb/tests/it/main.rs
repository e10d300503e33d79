//! The ledger on a file: the contract, damage, killed processes.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

mod contract;
mod damage;
mod kill;
mod opening;
