//! The provider on a stub of the Compute API that honours request ids and answers in the forms of Google's document.
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
mod discovery;
mod live;
mod offers;
mod reservations;
mod rig;
mod story;
mod stub;
