//! The daemon as a library: the world it composes, the servers it runs, and the demo it tells.
//!
//! Everything is wired here and nowhere else: each port gets its embedded default, the clouds are simulated and say so,
//! and every surface is authenticated, on loopback, in development too.
//!
//! Never holds a business rule: the broker and the domain do.
//!
//! Features: `aws`, EC2 in the file of providers, and `gcp`, Compute Engine. Off by default: an SDK takes minutes to build.

pub mod authzen;
pub mod banner;
pub mod clock;
pub mod context;
pub mod cosigning;
pub mod daemon;
pub mod data;
pub mod demo;
pub mod first_boot;
pub mod identity;
pub mod limits;
pub mod nodes;
pub mod owner;
pub mod people;
pub mod policies;
pub mod providers;
pub mod secrets;
pub mod tiles;
pub mod witness;
pub mod world;

mod budget_metrics;
mod idle;
mod metrics;
mod problems;
mod provider_calls;
mod reserve;
mod services;
mod stores;
mod telemetry;
mod trouble;
mod web;
