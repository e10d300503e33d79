//! Stories of the broker over in-memory ports and the simulated clouds.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    missing_docs,
    unreachable_pub,
    reason = "a test fails by panicking"
)]

mod approval;
mod budgets;
mod charges;
mod crash;
mod first_boot;
mod hedge;
mod interruptions;
mod journey;
mod kept;
mod lag;
mod leases;
mod lost;
mod orphans;
mod providers;
mod recorded;
mod refusals;
mod replace;
mod reservations;
mod shadow;
mod spending;
mod stock;
mod storm;
mod world;
