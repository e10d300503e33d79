//! Tests across packages: the shape of the workspace, the specification's snippets, crashes and surfaces.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    missing_docs,
    unreachable_pub,
    reason = "a test fails by panicking"
)]

mod arrow;
mod crash;
mod racks;
mod snippets;
mod suites;
mod surface;
mod wrappers;
