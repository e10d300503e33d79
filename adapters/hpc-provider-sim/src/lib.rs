//! Three simulated clouds on one virtual clock: `sim-aws`, `sim-gcp` and `sim-rack`.
//!
//! They behave as clouds do where it hurts: tokens, stock-outs, quotas of several shapes, answers that are lost before or
//! after the effect, calls that hang, instances that are listed late, start slowly and are taken back with a notice,
//! without one, or with two. All of it comes from a seed or a [`Script`]; the same seed and the same calls give the same
//! answers. What exists is kept in a file of their own, so that a crash of the caller leaves it standing, as in a real
//! cloud; and the bill is kept apart from anybody's ledger.
//!
//! Never reads a clock, draws chance of its own, or talks to a network. Everything it returns says that it is simulated.
//!
//! # Example: ask for offers
//! ```
//! use hpc_provider::{CapacityProvider, QuoteRequest};
//! use hpc_provider_sim::{SimConfig, SimWorld};
//! use hpc_resources::ResourceRequest;
//!
//! # async fn ask() -> Result<(), Box<dyn std::error::Error>> {
//! let world = SimWorld::open(SimConfig::new(42, "2026-11-20T12:00:00Z".parse()?))?;
//! let request = ResourceRequest::new("gpu-job").add_gpu_nvidia_h100(8).build()?;
//! for provider in world.providers() {
//!     let quote = provider.get_quote(&QuoteRequest { request: request.clone(), now: world.now() }).await?;
//!     assert!(quote.offers.iter().all(|offer| offer.simulated));
//! }
//! # Ok(())
//! # }
//! ```

mod catalog;
mod chance;
mod cloud;
mod config;
mod create;
mod error;
mod gate;
mod prices;
mod provider;
mod refusal;
mod reserve;
mod script;
mod state;
mod store;
mod trace;
mod world;

pub use catalog::{
    CATALOG_BYTES_MAX, CATALOG_COLUMNS, CATALOG_ROWS_MAX, CatalogReport, CatalogSource, REFUSED_SHOWN_MAX,
    RefusedRow,
};
pub use config::{CONSISTENCY_MS_DEFAULT, CONSISTENCY_MS_MAX, Persistence, RACKS_MAX, RackNodes, SimConfig};
pub use create::{LIVE_MAX, PRICE_HELD_S};
pub use error::SimError;
pub use prices::PriceSeries;
pub use provider::{OBSERVE_MAX, PAGE_EVENTS, PAGE_INSTANCES, SPOT_HISTORY_S, SimProvider};
pub use script::{
    Call, Chances, Effect, Notice, PriceRule, QuotaRule, RULES_MAX, ReclaimRule, ReservationRule, Rule,
    STORIES, Script, Throttle, TraceRule, Where,
};
pub use state::{ENDED_KEPT_MAX, Forgotten, INTERRUPTIONS_KEPT_MAX};
pub use trace::{SpotTrace, TRACE_BYTES_MAX, TRACE_TICKS_MAX};
pub use world::{ADDED_RULES_MAX, SimWorld};
