//! In-memory fakes of every port: they behave like the real thing, keep nothing on disk, and take their faults from a seed.
//!
//! Never talks to a network, a disk or the clock: the caller passes "now" and the seed.

pub mod audit;
pub mod identity;
pub mod keystore;
pub mod ledger;
pub mod provider;
pub mod timeseries;
pub mod tracer;
pub mod transport;

mod tiles;
