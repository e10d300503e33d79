//! Requests, money, plans and pools from outside.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

mod budget;
mod money;
mod plan;
mod pool;
mod request;
mod reservation;
mod snippet;
mod stock;
