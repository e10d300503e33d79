//! The client as a whole: every command against a daemon that answers what the test says, over mutual TLS.
#![allow(
    missing_docs,
    unreachable_pub,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking, and its modules are for itself"
)]

mod audit;
mod audit_memory;
mod budgets;
mod bundles;
mod capacity;
mod catalogs;
mod contexts;
mod doctor;
mod fake;
mod fixtures;
mod grammar;
mod lint;
mod lists;
mod orphans;
mod plans;
mod policies;
mod policy_diff;
mod policy_ways;
mod receipts;
mod remedies;
mod replay;
mod shadow;
mod spending;
