//! Prices: Compute Engine does not tell them, so the caller does.

use std::collections::BTreeMap;

use async_trait::async_trait;
use hpc_provider::{PriceSource, Result};
use hpc_resources::{InstanceType, OfferKind, PerInstanceHour, Region};
use jiff::Timestamp;

/// A price, and when it was true.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KnownPrice {
    /// Of one whole instance for an hour, its devices, CPUs and memory together.
    pub price: PerInstanceHour,
    /// When it was true.
    pub as_of: Timestamp,
}

/// Where prices come from: a snapshot that is kept fresh elsewhere.
///
/// Compute Engine bills a machine by its parts, each with a price of its own in the billing catalog; what one costs is their
/// sum. [`PriceTable::default`] knows none: an offer whose price is unknown is shown and never bought.
#[async_trait]
pub trait Prices: Send + Sync {
    /// The prices of these types in a region, by spot, on demand and flex-start; what is not known is left
    /// out.
    ///
    /// # Errors
    /// [`hpc_provider::ProviderError`] of any kind; certainty is always `NotDone`.
    async fn prices(
        &self,
        region: &Region,
        types: &[InstanceType],
        now: Timestamp,
    ) -> Result<BTreeMap<(InstanceType, OfferKind), KnownPrice>>;

    /// The lists that these prices come from, for `CapacityProvider::price_sources`; none where a price is asked for when it
    /// is needed.
    fn sources(&self) -> Vec<PriceSource> {
        Vec::new()
    }
}

/// Prices in a table, by region, type and kind.
#[derive(Clone, Debug, Default)]
pub struct PriceTable(BTreeMap<(Region, InstanceType, OfferKind), KnownPrice>);

impl PriceTable {
    /// Adds a price; a price that is not above zero is unknown, and not added.
    #[must_use]
    pub fn with(
        mut self,
        region: Region,
        instance_type: InstanceType,
        kind: OfferKind,
        price: KnownPrice,
    ) -> Self {
        if price.price.0.nanos() > 0 {
            self.0.insert((region, instance_type, kind), price);
        }
        self
    }
}

#[async_trait]
impl Prices for PriceTable {
    async fn prices(
        &self,
        region: &Region,
        types: &[InstanceType],
        _now: Timestamp,
    ) -> Result<BTreeMap<(InstanceType, OfferKind), KnownPrice>> {
        let asked = types.iter().flat_map(|name| {
            [OfferKind::Spot, OfferKind::OnDemand, OfferKind::Flex].map(|kind| (name, kind))
        });
        let found = asked.filter_map(|(name, kind)| {
            let price = self.0.get(&(region.clone(), name.clone(), kind))?;
            Some(((name.clone(), kind), price.clone()))
        });
        Ok(found.collect())
    }

    /// One, as old as its oldest price; none without a price.
    fn sources(&self) -> Vec<PriceSource> {
        let prices = self.0.iter().map(|((region, instance_type, kind), price)| {
            (format!("{region} {instance_type} {}", kind.as_str()), price.price, price.as_of)
        });
        PriceSource::of_settings(prices).into_iter().collect()
    }
}

#[cfg(test)]
mod tests {
    use hpc_resources::{Currency, Money};

    use super::*;

    #[tokio::test]
    async fn zero_is_no_price_and_kinds_are_apart() {
        let region = Region::parse("us-central1").unwrap();
        let name = InstanceType::parse("a2-ultragpu-1g").unwrap();
        let as_of = Timestamp::from_second(1_795_000_000).unwrap();
        let price =
            |nanos| KnownPrice { price: PerInstanceHour(Money::from_nanos(nanos, Currency::USD)), as_of };
        let table = PriceTable::default()
            .with(region.clone(), name.clone(), OfferKind::Spot, price(2_000_000_000))
            .with(region.clone(), name.clone(), OfferKind::OnDemand, price(0))
            .with(region.clone(), name.clone(), OfferKind::OnDemand, price(-1));
        let found = table.prices(&region, std::slice::from_ref(&name), as_of).await.unwrap();
        assert_eq!(found.into_keys().collect::<Vec<_>>(), [(name.clone(), OfferKind::Spot)]);
        let elsewhere = Region::parse("europe-west4").unwrap();
        assert!(table.prices(&elsewhere, &[name], as_of).await.unwrap().is_empty());
        let [source] = &table.sources()[..] else { panic!("{:?}", table.sources()) };
        assert_eq!((source.as_of, source.priced, source.hash.len()), (as_of, 1, 64));
        assert!(PriceTable::default().sources().is_empty());
    }
}
