#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]
//! The public face of the package.

mod conformance;
mod files;
mod handshake;
mod issue;
mod join;
mod openssl;
mod rotation;
mod support;
