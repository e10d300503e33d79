//! From the entry to the provider.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;

use async_trait::async_trait;
use hpc_catalog::ZoneNames;
use hpc_error::{HpcError, codes};
use hpc_provider::{BootSource, CapacityProvider, NoBoot, PriceSource};
use hpc_provider_aws::{
    AwsConfig, AwsPrices as PriceList, AwsProvider, Credentials, OnDemandPrice, OnDemandPrices, PriceTable,
    RegionConfig, ReservationConfig,
};
use hpc_resources::{InstanceType, Money, PerInstanceHour, ProviderId, Region, ZoneId};
use jiff::Timestamp;
use serde::Deserialize;
use zeroize::Zeroizing;

use super::prices::Remembered;
use super::{AwsCloud, AwsPrices, AwsRegion};
use crate::providers::Around;
use crate::providers::boot::AgentBoot;
use crate::providers::price_file::{self, PriceFile};
use crate::secrets;

/// Where AWS's price list is asked: it serves all regions.
const PRICE_LIST_REGION: &str = "us-east-1";

/// Makes the provider. Asks AWS nothing: a wrong credential shows at the first quote.
///
/// # Errors
/// `HPC-USG-*` for a setting that cannot be meant, a secret that is not there or is no access key.
pub(crate) async fn compose(
    cloud: &AwsCloud,
    below: &Path,
    around: &Around<'_>,
) -> Result<Arc<dyn CapacityProvider>, HpcError> {
    let mut config = settings(cloud)?;
    if let Some(name) = &cloud.secret {
        let secret = secrets::read(around.stores, name).await?;
        config.credentials = access_key(name, secret.expose())?;
    }
    let boots: Arc<dyn BootSource> = match &cloud.agent {
        Some(agent) => Arc::new(AgentBoot::new(&agent.daemon, Arc::clone(around.first_boot))?),
        None => Arc::new(NoBoot),
    };
    let prices: Arc<dyn OnDemandPrices> = match &cloud.prices {
        Some(AwsPrices { catalog: Some(file), as_of: None, on_demand }) if on_demand.is_empty() => {
            // Its zones are of one account; only prices on which they agree are used.
            let zones = ZoneNames::PerAccount(BTreeMap::new());
            let now = (around.clock)();
            Arc::new(PriceFile::open(file, below, &config.provider, zones, now).await?)
        }
        Some(AwsPrices { catalog: None, as_of: Some(as_of), on_demand }) => {
            Arc::new(table(on_demand, *as_of)?)
        }
        Some(_) => return Err(price_file::either()),
        None => {
            let region = Region::parse(PRICE_LIST_REGION).map_err(unfit)?;
            Arc::new(Remembered::new(PriceList::connect(&config, &region).await))
        }
    };
    let provider = AwsProvider::connect(config, prices, boots, Arc::clone(around.clock)).await;
    Ok(Arc::new(provider.map_err(unfit)?))
}

fn settings(cloud: &AwsCloud) -> Result<AwsConfig, HpcError> {
    let id = ProviderId::parse(cloud.id.as_str()).map_err(unfit)?;
    let regions = cloud.regions.iter().map(region).collect::<Result<_, _>>()?;
    let types = cloud.instance_types.iter().map(|name| InstanceType::parse(name.as_str()));
    let types = types.collect::<Result<BTreeSet<_>, _>>().map_err(unfit)?;
    let usual = AwsConfig::new(id, regions, types);
    let config = AwsConfig {
        reservations: cloud
            .reservations
            .as_ref()
            .map(|have| ReservationConfig { account: have.account.clone() }),
        endpoint: cloud.endpoint.clone(),
        root_volume_gib: cloud.root_volume_gib,
        start_delay_s: cloud.start_delay_s.unwrap_or(usual.start_delay_s),
        spot_reclaim_bp_per_hour: cloud.spot_reclaim_bp_per_hour.unwrap_or(usual.spot_reclaim_bp_per_hour),
        consistency_ms: cloud.consistency_ms.unwrap_or(usual.consistency_ms),
        ..usual
    };
    config.check().map_err(unfit)?;
    Ok(config)
}

fn region(entry: &AwsRegion) -> Result<RegionConfig, HpcError> {
    let usual = RegionConfig::new(Region::parse(entry.region.as_str()).map_err(unfit)?, &entry.image);
    let subnets = entry
        .subnets
        .iter()
        .map(|(zone, subnet)| ZoneId::parse(zone.as_str()).map(|zone| (zone, subnet.clone())).map_err(unfit));
    Ok(RegionConfig {
        root_device: entry.root_device.clone().unwrap_or(usual.root_device),
        security_groups: entry.security_groups.clone(),
        subnets: subnets.collect::<Result<_, _>>()?,
        instance_profile: entry.instance_profile.clone(),
        ..usual
    })
}

#[async_trait]
impl OnDemandPrices for PriceFile {
    async fn on_demand(
        &self,
        region: &Region,
        types: &[InstanceType],
        now: Timestamp,
    ) -> hpc_provider::Result<BTreeMap<InstanceType, OnDemandPrice>> {
        // Too old is unknown, and no failure: spot prices are EC2's own.
        let Some(snapshot) = self.prices(now).await else { return Ok(BTreeMap::new()) };
        let as_of = snapshot.as_of();
        let known = types.iter().filter_map(|name| {
            let price = snapshot.on_demand(name, region)?;
            Some((name.clone(), OnDemandPrice { price, as_of }))
        });
        Ok(known.collect())
    }

    fn sources(&self) -> Vec<PriceSource> {
        vec![self.source()]
    }
}

fn table(
    on_demand: &BTreeMap<String, BTreeMap<String, String>>,
    as_of: Timestamp,
) -> Result<PriceTable, HpcError> {
    let mut table = PriceTable::default();
    for (region, types) in on_demand {
        let region = Region::parse(region.as_str()).map_err(unfit)?;
        for (instance_type, price) in types {
            let instance_type = InstanceType::parse(instance_type.as_str()).map_err(unfit)?;
            let money: Money = price.parse().map_err(|error| {
                let message = format!("the price of `{instance_type}` is no amount: {error}");
                HpcError::coded(&codes::USG_BAD_AMOUNT, message)
            })?;
            if money.nanos() <= 0 || money.currency() != hpc_resources::Currency::USD {
                let message = format!(
                    "`{instance_type}` costs more than zero US dollars; leave a price that is not known out"
                );
                return Err(HpcError::coded(&codes::USG_BAD_AMOUNT, message));
            }
            let price = OnDemandPrice { price: PerInstanceHour(money), as_of };
            table = table.with(region.clone(), instance_type, price);
        }
    }
    Ok(table)
}

/// An access key as `aws configure export-credentials` prints it.
#[derive(Deserialize)]
struct AccessKey {
    #[serde(rename = "AccessKeyId")]
    id: String,
    #[serde(rename = "SecretAccessKey")]
    secret: String,
    #[serde(rename = "SessionToken", default)]
    session: Option<String>,
}

fn access_key(name: &str, secret: &[u8]) -> Result<Credentials, HpcError> {
    // Not even where it is wrong is told: a parser's message may quote what it met.
    let key: AccessKey = serde_json::from_slice(secret).map_err(|_| {
        let message = format!(
            "the secret `{name}` is no access key; it is JSON with `AccessKeyId` and `SecretAccessKey`, as \
             `aws configure export-credentials` prints it"
        );
        HpcError::coded(&codes::USG_SYNTAX, message)
    })?;
    let session = key.session.map(Zeroizing::new);
    Ok(Credentials::Key { id: key.id, secret: Zeroizing::new(key.secret), session })
}

fn unfit(error: impl std::fmt::Display) -> HpcError {
    HpcError::coded(&codes::USG_UNKNOWN_VALUE, error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_access_key_is_read_and_what_is_none_is_not_shown() {
        let text =
            br#"{"Version":1,"AccessKeyId":"AKIDEXAMPLE","SecretAccessKey":"hunter2","Expiration":"x"}"#;
        let key = access_key("aws", text).unwrap();
        let Credentials::Key { id, secret, session } = &key else { panic!("{key:?}") };
        assert_eq!((id.as_str(), secret.as_str(), session.is_none()), ("AKIDEXAMPLE", "hunter2", true));
        let with = br#"{"AccessKeyId":"AKIDEXAMPLE","SecretAccessKey":"hunter2","SessionToken":"t"}"#;
        assert!(matches!(access_key("aws", with), Ok(Credentials::Key { session: Some(_), .. })));
        for bad in [
            &br#""hunter2""#[..],
            br#"{"AccessKeyId":"AKID","SecretAccessKey":["hunter2"]}"#,
            br#"{"hunter2":1}"#,
            b"hunter2",
            b"\xff",
        ] {
            let error = access_key("aws", bad).unwrap_err();
            assert_eq!(error.registered(), Some(&codes::USG_SYNTAX));
            assert!(!format!("{error} {error:?}").contains("hunter2"), "{error:?}");
        }
    }
}
