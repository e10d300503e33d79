//! On-demand prices from AWS's price list.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use aws_sdk_pricing::types::{Filter, FilterType};
use hpc_provider::Result;
use hpc_resources::{InstanceType, PerInstanceHour, Region};
use jiff::Timestamp;

use crate::config::AwsConfig;
use crate::price::{OnDemandPrice, OnDemandPrices, price_of_entry};
use crate::taxonomy::Effect;

use super::client::shared;
use super::error::UnknownCodes;

/// AWS's price list: one call for each type. It changes rarely, so put something before it that remembers.
pub struct AwsPrices {
    client: aws_sdk_pricing::Client,
    unknown: Arc<UnknownCodes>,
}

impl fmt::Debug for AwsPrices {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("AwsPrices")
    }
}

impl AwsPrices {
    /// The price list as `region` serves it: `us-east-1`, `eu-central-1` and `ap-south-1` do, for all regions.
    pub async fn connect(config: &AwsConfig, region: &Region) -> Self {
        let region = aws_config::Region::new(region.to_string());
        let settings = shared(config).await.into_builder().region(region).build();
        Self { client: aws_sdk_pricing::Client::new(&settings), unknown: Arc::default() }
    }

    async fn of(&self, region: &Region, instance_type: &InstanceType) -> Result<Option<PerInstanceHour>> {
        let filters = [
            ("instanceType", instance_type.as_str()),
            ("regionCode", region.as_str()),
            ("operatingSystem", "Linux"),
            ("tenancy", "Shared"),
            ("preInstalledSw", "NA"),
            ("capacitystatus", "Used"),
            ("marketoption", "OnDemand"),
        ];
        let mut call = self.client.get_products().service_code("AmazonEC2");
        for (field, value) in filters {
            if let Ok(filter) =
                Filter::builder().r#type(FilterType::TermMatch).field(field).value(value).build()
            {
                call = call.filters(filter);
            }
        }
        let answer = call.send().await.map_err(|error| self.unknown.judge(Effect::Read, &error))?;
        Ok(match answer.price_list() {
            [entry] => price_of_entry(entry),
            // None, or several: which one holds is not known, and neither is the price.
            _ => None,
        })
    }
}

#[async_trait]
impl OnDemandPrices for AwsPrices {
    async fn on_demand(
        &self,
        region: &Region,
        types: &[InstanceType],
        now: Timestamp,
    ) -> Result<BTreeMap<InstanceType, OnDemandPrice>> {
        let mut prices = BTreeMap::new();
        for instance_type in types {
            if let Some(price) = self.of(region, instance_type).await? {
                prices.insert(instance_type.clone(), OnDemandPrice { price, as_of: now });
            }
        }
        Ok(prices)
    }
}
