//! The port on Compute Engine.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use hpc_provider::{
    BootSource, CapacityProvider, Description, InstanceHandle, InstanceState, InterruptionPage, Observe,
    OwnedPage, PriceSource, ProvisionResult, ProvisionSpec, QuotaStatus, Quote, QuoteRequest, Released,
    Result, SpotPrices, Supports,
};
use hpc_resources::ProviderId;

use crate::config::GcpConfig;
use crate::price::Prices;

use super::Clock;
use super::client::{Clients, ConnectError};
use super::error::UnknownCodes;
use super::recent::Recent;

/// Compute Engine in the regions of one project.
///
/// | method | calls | what it costs |
/// | --- | --- | --- |
/// | `get_quote` | machine types of all zones, accelerator types if an N1 type takes some, the source of prices | 1 or 2 reads |
/// | `provision` | instances of the zone by the intent's label, `bulkInsert`, its operation until it ends | reads, 1 create |
/// | `observe` | instances by name, 50 names of a zone a call, or of all zones by label | reads |
/// | `release` | `delete` | 1 write |
/// | `list_owned` | instances of all zones by the owner's label, one page a call | 1 read |
/// | `check_spot_prices` | the source of prices, machine types | 1 read |
/// | `quotas` | regions, project | 2 reads |
/// | `interruptions` | operations of all zones | reads |
pub struct GcpProvider {
    pub(crate) config: GcpConfig,
    pub(crate) clients: Clients,
    pub(crate) prices: Arc<dyn Prices>,
    pub(crate) boots: Arc<dyn BootSource>,
    pub(crate) clock: Clock,
    pub(crate) unknown: UnknownCodes,
    pub(crate) recent: Recent,
}

impl fmt::Debug for GcpProvider {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("GcpProvider").field("config", &self.config).finish_non_exhaustive()
    }
}

impl GcpProvider {
    /// A provider with these settings. Makes no call: a wrong credential shows at the first one.
    ///
    /// # Errors
    /// [`ConnectError::Config`] when the settings are wrong, [`ConnectError::Credential`] when there is no credential or it
    /// cannot be read, [`ConnectError::Client`] when this machine cannot speak TLS.
    pub async fn connect(
        config: GcpConfig,
        prices: Arc<dyn Prices>,
        boots: Arc<dyn BootSource>,
        clock: Clock,
    ) -> std::result::Result<Self, ConnectError> {
        config.check()?;
        let clients = Clients::connect(&config).await?;
        let (unknown, recent) = (UnknownCodes::default(), Recent::default());
        Ok(Self { config, clients, prices, boots, clock, unknown, recent })
    }

    /// Error codes that stood in no table, and how often each came. A number here is a row to add.
    #[must_use]
    pub fn unknown_codes(&self) -> BTreeMap<String, u64> {
        self.unknown.read()
    }

    /// Its id.
    #[must_use]
    pub fn id(&self) -> &ProviderId {
        &self.config.provider
    }
}

#[async_trait]
impl CapacityProvider for GcpProvider {
    fn describe(&self) -> Description {
        Description {
            provider: self.config.provider.clone(),
            supports: Supports {
                quote: true,
                provision: true,
                idempotent_create: true,
                observe: true,
                release: true,
                user_data: self.boots.is_there(),
                list_owned: true,
                spot_prices: true,
                quotas: true,
                interruptions: true,
            },
            consistency_ms: self.config.consistency_ms,
            clock_skew_ms: self.config.clock_skew_ms,
            simulated: false,
        }
    }

    fn price_sources(&self) -> Vec<PriceSource> {
        self.prices.sources()
    }

    async fn get_quote(&self, request: &QuoteRequest) -> Result<Quote> {
        self.offers(request).await
    }

    async fn provision(&self, spec: &ProvisionSpec) -> Result<ProvisionResult> {
        self.create(spec).await
    }

    async fn check_spot_prices(&self, instance_type: &str, region: &str) -> Result<SpotPrices> {
        self.spot_now(instance_type, region).await
    }

    async fn observe(&self, what: &Observe) -> Result<Vec<InstanceState>> {
        match what {
            Observe::Handles(handles) => self.by_handles(handles).await,
            Observe::Tag { key, value } => self.by_tag(key, value).await,
        }
    }

    async fn release(&self, handle: &InstanceHandle) -> Result<Released> {
        self.end(handle).await
    }

    async fn list_owned(&self, owner: &str, page: Option<String>) -> Result<OwnedPage> {
        self.page_of(owner, page).await
    }

    async fn quotas(&self) -> Result<Vec<QuotaStatus>> {
        self.quota_statuses().await
    }

    async fn interruptions(&self, cursor: Option<String>) -> Result<InterruptionPage> {
        self.reclaims(cursor.as_deref()).await
    }
}
