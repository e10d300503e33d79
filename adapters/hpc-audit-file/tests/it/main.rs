//! The log on real files: the contract, every changed byte, every cut, kills, and bad folders.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

mod contract;
mod flips;
mod folders;
mod foreign;
mod kills;
mod world;
