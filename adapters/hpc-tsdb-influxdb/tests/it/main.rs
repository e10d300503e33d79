//! The InfluxDB client against recorded answers, and against a real server where one is named.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

mod contract;
mod settings;
mod stub;
mod wire;
