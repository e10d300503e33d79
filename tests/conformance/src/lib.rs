//! The contract of every port as a test suite: one named case per sentence of the trait's documentation.
//!
//! An adapter calls the macro of its port in its own tests; the fakes of `hpc-memory` do so too.
//! Never knows a backend: it gets a constructor and judges what it returns.

pub mod audit;
pub mod identity;
pub mod keystore;
pub mod ledger;
pub mod provider;
pub mod tiles;
pub mod timeseries;
pub mod tracer;
pub mod transport;
