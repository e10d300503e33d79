//! The port to anything that rents out machines.
//!
//! [`CapacityProvider`] quotes, creates, observes, finds and releases instances. Its documentation is the contract that
//! the conformance suite checks, sentence by sentence. A create carries an intent that was durable before the call, a
//! token derived from it and tags set at creation; an error says whether the effect happened.
//!
//! Never retries, caches or limits rates: wrappers around the port do. Never reads a clock: "now" is an argument.
//!
//! # Example: a rack of one's own, with the least a provider must have
//! ```
//! use async_trait::async_trait;
//! use hpc_provider::{
//!     CapacityProvider, ProviderError, ProvisionResult, ProvisionSpec, Quote, QuoteRequest, Result, SpotPrices,
//! };
//!
//! struct Rack;
//!
//! #[async_trait]
//! impl CapacityProvider for Rack {
//!     async fn get_quote(&self, _request: &QuoteRequest) -> Result<Quote> {
//!         Err(ProviderError::unsupported("get_quote"))
//!     }
//!     async fn provision(&self, _spec: &ProvisionSpec) -> Result<ProvisionResult> {
//!         Err(ProviderError::unsupported("provision"))
//!     }
//!     async fn check_spot_prices(&self, _instance_type: &str, _region: &str) -> Result<SpotPrices> {
//!         Err(ProviderError::unsupported("check_spot_prices"))
//!     }
//! }
//!
//! // Such a provider may be asked, but the broker creates nothing on it:
//! assert!(!Rack.describe().supports.safe_to_create());
//! ```

mod boot;
mod error;
mod intent;
mod port;
mod state;

pub use boot::{AgentStart, Boot, BootError, BootRules, BootScript, BootSource, NoBoot};
pub use error::{Certainty, ErrorKind, PROVIDER_TEXT_BYTES_MAX, ProviderError, Result, Scope};
pub use intent::{
    INSTANCES_MAX, InstanceHandle, ProvisionResult, ProvisionSpec, TAG_INTENT, TAG_LEASE, TAG_OWNER,
    TAGS_MAX, Token,
};
#[cfg(feature = "mock")]
pub use port::MockCapacityProvider;
pub use port::{Billing, CapacityProvider};
pub use state::{
    BillLine, Description, InstancePhase, InstanceState, Interruption, InterruptionKind, InterruptionPage,
    Observe, Offered, OwnedPage, PriceSource, QuotaStatus, Quote, QuoteRequest, Released, SpotPrice,
    SpotPrices, Supports,
};
