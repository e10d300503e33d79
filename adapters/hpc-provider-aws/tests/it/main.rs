//! The provider on a stub of EC2 that honours tokens, and on a real server where one is named.
#![allow(
    missing_docs,
    unreachable_pub,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking, and its modules are for itself"
)]

mod answers;
mod conformance;
mod live;
mod offers;
mod reservations;
mod rig;
mod story;
mod stub;
mod wire;
