//! The port on EC2.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use hpc_provider::{
    BootSource, CapacityProvider, Certainty, Description, ErrorKind, InstanceHandle, InstanceState,
    InterruptionPage, Observe, OwnedPage, PriceSource, ProviderError, ProvisionResult, ProvisionSpec,
    QuotaStatus, Quote, QuoteRequest, Released, Result, Scope, SpotPrices, Supports,
};
use hpc_resources::{ProviderId, Region};

use crate::config::AwsConfig;
use crate::price::OnDemandPrices;

use super::Clock;
use super::client::{ConnectError, RegionClient, clients, shared};
use super::error::UnknownCodes;
use super::recent::Recent;

/// EC2 in the regions of one account.
///
/// | method | calls of EC2 | what it costs |
/// | --- | --- | --- |
/// | `get_quote` | per region: zones (once), offerings, types, spot prices | 3 reads and the source of prices |
/// | `provision` | instances by the intent's tag, `RunInstances` | 1 read, 1 create |
/// | `observe` | instances by id or tag, 100 ids a call | reads |
/// | `release` | `TerminateInstances` | 1 write |
/// | `list_owned` | instances by the owner's tag, one page of one region a call | 1 read |
/// | `check_spot_prices` | spot price history of six hours | reads |
/// | `quotas` | per region: quotas, running instances | reads |
/// | `interruptions` | per region: spot requests with our tag | reads |
pub struct AwsProvider {
    pub(crate) config: AwsConfig,
    pub(crate) regions: BTreeMap<Region, Arc<RegionClient>>,
    pub(crate) prices: Arc<dyn OnDemandPrices>,
    pub(crate) boots: Arc<dyn BootSource>,
    pub(crate) clock: Clock,
    pub(crate) unknown: Arc<UnknownCodes>,
    pub(crate) recent: Recent,
}

impl fmt::Debug for AwsProvider {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AwsProvider").field("config", &self.config).finish_non_exhaustive()
    }
}

impl AwsProvider {
    /// A provider with these settings. Makes no call: a wrong credential shows at the first one.
    ///
    /// # Errors
    /// [`ConnectError::Config`] when the settings are wrong.
    pub async fn connect(
        config: AwsConfig,
        prices: Arc<dyn OnDemandPrices>,
        boots: Arc<dyn BootSource>,
        clock: Clock,
    ) -> std::result::Result<Self, ConnectError> {
        config.check()?;
        let unknown = Arc::new(UnknownCodes::default());
        let regions = clients(&config, &shared(&config).await, &unknown);
        Ok(Self { config, regions, prices, boots, clock, unknown, recent: Recent::default() })
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

    pub(crate) fn client(&self, region: &Region) -> Result<&RegionClient> {
        self.regions.get(region).map(Arc::as_ref).ok_or_else(|| {
            let message = format!("the region `{region}` is not among this provider's");
            ProviderError::new(
                ErrorKind::Config,
                Scope::Region,
                Certainty::NotDone,
                "UnknownRegion",
                &message,
            )
        })
    }
}

#[async_trait]
impl CapacityProvider for AwsProvider {
    fn describe(&self) -> Description {
        Description {
            provider: self.config.provider.clone(),
            supports: Supports {
                quote: true,
                provision: true,
                idempotent_create: true,
                observe: true,
                release: true,
                list_owned: true,
                spot_prices: true,
                quotas: true,
                interruptions: true,
                user_data: self.boots.is_there(),
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
        self.spot_history(instance_type, region).await
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
        self.page_of(owner, page.as_deref()).await
    }

    async fn quotas(&self) -> Result<Vec<QuotaStatus>> {
        self.quota_statuses().await
    }

    async fn interruptions(&self, cursor: Option<String>) -> Result<InterruptionPage> {
        self.spot_statuses(cursor.as_deref()).await
    }
}
