//! The gRPC adapter over loopback: the port's contract, mutual TLS, limits, drain and retries.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    unreachable_pub,
    reason = "a test fails by panicking"
)]

mod contract;
mod drain;
mod generated;
mod identity;
mod limits;
mod listen;
mod retries;
mod services;
mod world;
