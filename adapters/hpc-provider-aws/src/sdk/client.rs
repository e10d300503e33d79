//! One client per region and service, all with the same settings: no retries, a limit on every call.

use std::collections::BTreeMap;
use std::sync::Arc;

use aws_config::retry::RetryConfig;
use aws_config::{BehaviorVersion, SdkConfig};
use aws_credential_types::Credentials as Key;
use aws_sdk_ec2::types::Filter;
use hpc_provider::{Certainty, ErrorKind, ProviderError, Result, Scope};
use hpc_resources::{Region, ZoneId};
use tokio::sync::OnceCell;

use crate::config::{AwsConfig, ConfigError, Credentials, RegionConfig};
use crate::taxonomy::Effect;

use super::error::{UnknownCodes, timeouts};
use super::whole::WholeAnswer;

/// Most pages of one list. EC2 ends its lists; an answer that does not is not believed.
pub(crate) const PAGES_MAX: usize = 1_000;

/// Why no provider could be made.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ConnectError {
    /// The settings are wrong.
    #[error(transparent)]
    Config(#[from] ConfigError),
}

/// The clients of one region, and its zones.
#[derive(Debug)]
pub(crate) struct RegionClient {
    pub(crate) config: RegionConfig,
    pub(crate) ec2: aws_sdk_ec2::Client,
    pub(crate) quotas: aws_sdk_servicequotas::Client,
    pub(crate) unknown: Arc<UnknownCodes>,
    zones: OnceCell<Zones>,
}

/// The zones of a region in this account: id by name and name by id.
#[derive(Debug, Default)]
pub(crate) struct Zones {
    by_name: BTreeMap<String, ZoneId>,
}

impl Zones {
    pub(crate) fn id(&self, name: &str) -> Option<ZoneId> {
        self.by_name.get(name).cloned()
    }

    pub(crate) fn name(&self, id: &ZoneId) -> Option<&str> {
        self.by_name.iter().find(|(_, zone)| *zone == id).map(|(name, _)| name.as_str())
    }
}

/// Settings that all clients share. Reads the SDK's profile files if the credential comes from its chain.
pub(crate) async fn shared(config: &AwsConfig) -> SdkConfig {
    let loader = aws_config::defaults(BehaviorVersion::v2026_01_12())
        // Wrappers retry, by certainty; the SDK would repeat a create without telling.
        .retry_config(RetryConfig::disabled())
        .timeout_config(timeouts(config))
        .region(aws_config::Region::new(
            config.regions.first().map(|region| region.region.to_string()).unwrap_or_default(),
        ));
    let loader = match &config.endpoint {
        Some(endpoint) => loader.endpoint_url(endpoint),
        None => loader,
    };
    let loader = match &config.credentials {
        Credentials::Chain => loader,
        Credentials::Key { id, secret, session } => loader.credentials_provider(Key::new(
            id.clone(),
            secret.as_str(),
            session.as_ref().map(|session| session.to_string()),
            None,
            "hpc",
        )),
    };
    loader.load().await
}

pub(crate) fn clients(
    config: &AwsConfig,
    shared: &SdkConfig,
    unknown: &Arc<UnknownCodes>,
) -> BTreeMap<Region, Arc<RegionClient>> {
    let client = |region: &RegionConfig| {
        let name = aws_config::Region::new(region.region.to_string());
        let settings = shared.clone().into_builder().region(name).build();
        RegionClient {
            config: region.clone(),
            ec2: aws_sdk_ec2::Client::from_conf(
                aws_sdk_ec2::config::Builder::from(&settings).interceptor(WholeAnswer).build(),
            ),
            quotas: aws_sdk_servicequotas::Client::new(&settings),
            unknown: Arc::clone(unknown),
            zones: OnceCell::new(),
        }
    };
    config.regions.iter().map(|region| (region.region.clone(), Arc::new(client(region)))).collect()
}

impl RegionClient {
    /// The zones, asked for once: which name is which zone never changes in an account.
    pub(crate) async fn zones(&self) -> Result<&Zones> {
        self.zones
            .get_or_try_init(|| async {
                let answer = self.ec2.describe_availability_zones().send().await;
                let answer = answer.map_err(|error| self.unknown.judge(Effect::Read, &error))?;
                let zones = answer.availability_zones().iter();
                let by_name = zones
                    .filter_map(|zone| {
                        Some((zone.zone_name()?.to_owned(), ZoneId::parse(zone.zone_id()?).ok()?))
                    })
                    .collect();
                Ok(Zones { by_name })
            })
            .await
    }
}

/// A filter of a list: one name, any of the values.
pub(crate) fn filter(name: &str, values: impl IntoIterator<Item = impl Into<String>>) -> Filter {
    let values = values.into_iter().map(Into::into).collect();
    Filter::builder().name(name).set_values(Some(values)).build()
}

/// The token of the next page; EC2 writes "no more" in two ways.
pub(crate) fn next(token: Option<&str>) -> Option<String> {
    token.filter(|token| !token.is_empty()).map(str::to_owned)
}

/// An answer that cannot be right.
pub(crate) fn nonsense(certainty: Certainty, what: &str) -> ProviderError {
    ProviderError::new(ErrorKind::Internal, Scope::Region, certainty, "BadAnswer", what)
}

/// Reads all pages of a list.
macro_rules! pages {
    ($client:expr, $call:expr, $items:ident) => {{
        let mut all = Vec::new();
        let mut token = None;
        let mut read = 0;
        loop {
            let answer = $call
                .set_next_token(token)
                .send()
                .await
                .map_err(|error| $client.unknown.judge(crate::taxonomy::Effect::Read, &error))?;
            token = crate::sdk::client::next(answer.next_token());
            all.extend(answer.$items.unwrap_or_default());
            read += 1;
            if token.is_none() {
                break;
            }
            if read >= crate::sdk::client::PAGES_MAX {
                let what = "a list that does not end";
                return Err(crate::sdk::client::nonsense(hpc_provider::Certainty::NotDone, what));
            }
        }
        all
    }};
}
pub(crate) use pages;
