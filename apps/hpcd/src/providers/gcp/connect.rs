//! From the entry to the provider.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;

use async_trait::async_trait;
use hpc_catalog::ZoneNames;
use hpc_error::{HpcError, codes};
use hpc_provider::{BootSource, CapacityProvider, NoBoot, PriceSource};
use hpc_provider_gcp::{Credentials, GcpConfig, GcpProvider, KnownPrice, PriceTable, Prices, RegionConfig};
use hpc_resources::{Currency, InstanceType, Money, OfferKind, PerInstanceHour, ProviderId, Region, ZoneId};
use jiff::Timestamp;
use zeroize::Zeroizing;

use super::{GcpCloud, GcpPrices, GcpRegion};
use crate::providers::Around;
use crate::providers::boot::AgentBoot;
use crate::providers::price_file::{self, PriceFile};
use crate::secrets;

/// How the address of a server on this machine begins.
const HERE: &str = "http://127.0.0.1:";

/// Makes the provider. Asks Google nothing: a wrong credential shows at the first quote.
///
/// # Errors
/// `HPC-USG-*` for a setting that cannot be meant, a secret that is not there or is no service account's key.
pub(crate) async fn compose(
    cloud: &GcpCloud,
    below: &Path,
    around: &Around<'_>,
) -> Result<Arc<dyn CapacityProvider>, HpcError> {
    let credentials = match &cloud.secret {
        Some(name) => service_account(name, secrets::read(around.stores, name).await?.expose())?,
        // A credential of the chain is for Google alone: a server on this machine gets none.
        None if cloud.endpoint.as_deref().is_some_and(|address| address.starts_with(HERE)) => {
            Credentials::Anonymous
        }
        None => Credentials::Chain,
    };
    let config = GcpConfig { credentials, ..settings(cloud)? };
    let boots: Arc<dyn BootSource> = match &cloud.agent {
        Some(agent) => Arc::new(AgentBoot::new(&agent.daemon, Arc::clone(around.first_boot))?),
        None => Arc::new(NoBoot),
    };
    let prices: Arc<dyn Prices> = match &cloud.prices {
        None => Arc::new(PriceTable::default()),
        Some(GcpPrices { catalog: Some(file), as_of: None, on_demand, spot, flex })
            if on_demand.is_empty() && spot.is_empty() && flex.is_empty() =>
        {
            let now = (around.clock)();
            Arc::new(PriceFile::open(file, below, &config.provider, ZoneNames::Global, now).await?)
        }
        Some(known @ GcpPrices { catalog: None, as_of: Some(as_of), .. }) => Arc::new(table(known, *as_of)?),
        Some(_) => return Err(price_file::either()),
    };
    let provider = GcpProvider::connect(config, prices, boots, Arc::clone(around.clock)).await;
    Ok(Arc::new(provider.map_err(unfit)?))
}

fn settings(cloud: &GcpCloud) -> Result<GcpConfig, HpcError> {
    let id = ProviderId::parse(cloud.id.as_str()).map_err(unfit)?;
    let regions = cloud.regions.iter().map(region).collect::<Result<_, _>>()?;
    let types = cloud.instance_types.iter().map(|name| InstanceType::parse(name.as_str()));
    let types = types.collect::<Result<BTreeSet<_>, _>>().map_err(unfit)?;
    let usual = GcpConfig::new(id, &cloud.project, &cloud.image, regions, types);
    Ok(GcpConfig {
        disk_type: cloud.disk_type.clone().unwrap_or(usual.disk_type),
        disk_gib: cloud.disk_gib,
        service_account: cloud.service_account.clone(),
        external_ip: cloud.external_ip,
        reservations: cloud.reservations,
        flex_run_max_s: cloud.flex_start_hours.map(|hours| u32::from(hours).saturating_mul(3_600)),
        endpoint: cloud.endpoint.clone(),
        start_delay_s: cloud.start_delay_s.unwrap_or(usual.start_delay_s),
        spot_reclaim_bp_per_hour: cloud.spot_reclaim_bp_per_hour.unwrap_or(usual.spot_reclaim_bp_per_hour),
        consistency_ms: cloud.consistency_ms.unwrap_or(usual.consistency_ms),
        ..usual
    })
}

fn region(entry: &GcpRegion) -> Result<RegionConfig, HpcError> {
    let zones = entry.zones.iter().map(|zone| ZoneId::parse(zone.as_str()));
    Ok(RegionConfig {
        zones: zones.collect::<Result<_, _>>().map_err(unfit)?,
        subnetwork: entry.subnetwork.clone(),
        ..RegionConfig::new(Region::parse(entry.region.as_str()).map_err(unfit)?)
    })
}

#[async_trait]
impl Prices for PriceFile {
    async fn prices(
        &self,
        region: &Region,
        types: &[InstanceType],
        now: Timestamp,
    ) -> hpc_provider::Result<BTreeMap<(InstanceType, OfferKind), KnownPrice>> {
        let Some(snapshot) = PriceFile::prices(self, now).await else { return Ok(BTreeMap::new()) };
        let as_of = snapshot.as_of();
        let mut known = BTreeMap::new();
        for name in types {
            let prices = [
                (OfferKind::OnDemand, snapshot.on_demand(name, region)),
                (OfferKind::Spot, snapshot.spot(name, region)),
            ];
            for (kind, price) in prices {
                known.extend(price.map(|price| ((name.clone(), kind), KnownPrice { price, as_of })));
            }
        }
        Ok(known)
    }

    fn sources(&self) -> Vec<PriceSource> {
        vec![self.source()]
    }
}

fn table(known: &GcpPrices, as_of: Timestamp) -> Result<PriceTable, HpcError> {
    let mut table = PriceTable::default();
    let by_kind = [
        (OfferKind::OnDemand, &known.on_demand),
        (OfferKind::Spot, &known.spot),
        (OfferKind::Flex, &known.flex),
    ];
    for (kind, regions) in by_kind {
        for (region, types) in regions {
            let region = Region::parse(region.as_str()).map_err(unfit)?;
            for (instance_type, price) in amounts(types)? {
                let price = KnownPrice { price, as_of };
                table = table.with(region.clone(), instance_type, kind, price);
            }
        }
    }
    Ok(table)
}

fn amounts(types: &BTreeMap<String, String>) -> Result<Vec<(InstanceType, PerInstanceHour)>, HpcError> {
    let amount = |(name, price): (&String, &String)| {
        let instance_type = InstanceType::parse(name.as_str()).map_err(unfit)?;
        let bad = |why: String| HpcError::coded(&codes::USG_BAD_AMOUNT, format!("`{instance_type}`: {why}"));
        let money: Money = price.parse().map_err(|error| bad(format!("its price is no amount: {error}")))?;
        if money.nanos() <= 0 || money.currency() != Currency::USD {
            let why = "a machine costs more than zero US dollars; leave a price that is not known out";
            return Err(bad(why.to_owned()));
        }
        Ok((instance_type, PerInstanceHour(money)))
    };
    types.iter().map(amount).collect()
}

fn service_account(name: &str, secret: &[u8]) -> Result<Credentials, HpcError> {
    // Not even where it is wrong is told: a parser's message may quote what it met.
    let wrong = || {
        let message =
            format!("the secret `{name}` is no service account's key; it is the JSON that gcloud writes");
        HpcError::coded(&codes::USG_SYNTAX, message)
    };
    let text = std::str::from_utf8(secret).map_err(|_| wrong())?;
    Ok(Credentials::ServiceAccountKey(Zeroizing::new(text.to_owned())))
}

fn unfit(error: impl std::fmt::Display) -> HpcError {
    HpcError::coded(&codes::USG_UNKNOWN_VALUE, error.to_string())
}
