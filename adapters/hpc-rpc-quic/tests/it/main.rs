//! The QUIC adapter over loopback: the port's contract, mutual TLS, limits and drain.
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
mod identity;
mod limits;
mod world;
