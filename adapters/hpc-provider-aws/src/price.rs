//! Prices: where on-demand prices come from, and how AWS writes them.

use std::collections::BTreeMap;

use async_trait::async_trait;
use hpc_provider::{PriceSource, Result};
use hpc_resources::{Currency, InstanceType, Money, PerInstanceHour, Region};
use jiff::Timestamp;

/// An on-demand price.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OnDemandPrice {
    /// Of one instance for an hour, Linux, shared tenancy.
    pub price: PerInstanceHour,
    /// When it was true.
    pub as_of: Timestamp,
}

/// Where on-demand prices come from: AWS's price list, or a snapshot that the caller has.
///
/// EC2 itself does not tell them. Give it a snapshot that is kept fresh elsewhere, or [`PriceTable::default`] to know none:
/// an offer whose price is unknown is shown and never bought.
#[async_trait]
pub trait OnDemandPrices: Send + Sync {
    /// The prices of these types in a region; what is not known is left out.
    ///
    /// # Errors
    /// [`hpc_provider::ProviderError`] of any kind; certainty is always `NotDone`.
    async fn on_demand(
        &self,
        region: &Region,
        types: &[InstanceType],
        now: Timestamp,
    ) -> Result<BTreeMap<InstanceType, OnDemandPrice>>;

    /// The lists that these prices come from, for `CapacityProvider::price_sources`; none where a price is asked for when it
    /// is needed.
    fn sources(&self) -> Vec<PriceSource> {
        Vec::new()
    }
}

/// Prices in a table, by region and type.
#[derive(Clone, Debug, Default)]
pub struct PriceTable(BTreeMap<(Region, InstanceType), OnDemandPrice>);

impl PriceTable {
    /// Adds a price; a price that is not above zero is unknown, and not added.
    #[must_use]
    pub fn with(mut self, region: Region, instance_type: InstanceType, price: OnDemandPrice) -> Self {
        if price.price.0.nanos() > 0 {
            self.0.insert((region, instance_type), price);
        }
        self
    }
}

#[async_trait]
impl OnDemandPrices for PriceTable {
    async fn on_demand(
        &self,
        region: &Region,
        types: &[InstanceType],
        _now: Timestamp,
    ) -> Result<BTreeMap<InstanceType, OnDemandPrice>> {
        let found = types.iter().filter_map(|wanted| {
            let price = self.0.get(&(region.clone(), wanted.clone()))?;
            Some((wanted.clone(), price.clone()))
        });
        Ok(found.collect())
    }

    /// One, as old as its oldest price; none without a price.
    fn sources(&self) -> Vec<PriceSource> {
        let prices = self.0.iter().map(|((region, instance_type), price)| {
            (format!("{region} {instance_type}"), price.price, price.as_of)
        });
        PriceSource::of_settings(prices).into_iter().collect()
    }
}

/// Largest price list entry that is read, in bytes.
const ENTRY_BYTES_MAX: usize = 256 << 10;

/// The price in one entry of AWS's price list (`GetProducts`): US dollars, by the hour, of one instance.
///
/// `None` for anything else: no on-demand term, several prices, another unit or currency, zero.
#[must_use]
pub fn price_of_entry(entry: &str) -> Option<PerInstanceHour> {
    if entry.len() > ENTRY_BYTES_MAX {
        return None;
    }
    let entry: serde_json::Value = serde_json::from_str(entry).ok()?;
    let terms = entry.get("terms")?.get("OnDemand")?.as_object()?;
    let mut prices = terms
        .values()
        .filter_map(|term| term.get("priceDimensions")?.as_object())
        .flat_map(|dimensions| dimensions.values());
    let only = prices.next()?;
    if prices.next().is_some() || only.get("unit")?.as_str()? != "Hrs" {
        return None;
    }
    price(only.get("pricePerUnit")?.get("USD")?.as_str()?)
}

/// A price in AWS's decimal text, of one instance for an hour. Zero is no price; a digit beyond nano-dollars rounds up.
#[must_use]
pub fn price(text: &str) -> Option<PerInstanceHour> {
    let (kept, rest) = match text.split_once('.') {
        Some((_, fraction)) if fraction.len() > 9 => {
            let (kept, rest) = text.split_at_checked(text.len() - (fraction.len() - 9))?;
            (kept, rest)
        }
        _ => (text, ""),
    };
    if !rest.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let money = Money::parse_decimal(kept, Currency::USD).ok()?;
    let up = i64::from(rest.bytes().any(|byte| byte != b'0'));
    let nanos = money.nanos().checked_add(up)?;
    (nanos > 0).then_some(PerInstanceHour(Money::from_nanos(nanos, Currency::USD)))
}

/// A ceiling in AWS's decimal text, rounded down to the micro-dollars that spot prices have; `None` when it is not in US
/// dollars, or nothing is left above zero.
#[must_use]
pub fn ceiling_text(ceiling: Money) -> Option<String> {
    const NANOS_PER_MICRO: i64 = 1_000;
    let micros = ceiling.nanos().div_euclid(NANOS_PER_MICRO);
    if ceiling.currency() != Currency::USD || micros <= 0 {
        return None;
    }
    let rounded = Money::from_nanos(micros.checked_mul(NANOS_PER_MICRO)?, Currency::USD);
    rounded.to_string().strip_suffix(" USD").map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn nanos(text: &str) -> Option<i64> {
        price(text).map(|price| price.0.nanos())
    }

    #[test]
    fn decimal_text_is_exact_and_zero_is_unknown() {
        for (text, want) in [
            ("55.0400000000", Some(55_040_000_000)),
            ("0.0000000001", Some(1)),
            ("1.0000000009", Some(1_000_000_001)),
            ("0.00001", Some(10_000)),
            ("0.0000000000", None),
            ("0", None),
            ("-1", None),
            ("", None),
            ("1e3", None),
            ("1.000000000x", None),
            ("1.00000000🦀", None),
            ("99999999999", None),
        ] {
            assert_eq!(nanos(text), want, "{text}");
        }
    }

    #[test]
    fn an_entry_in_the_shape_of_the_price_list_is_read() {
        let entry = include_str!("../tests/data/price-list-p5.json");
        assert_eq!(price_of_entry(entry).map(|price| price.0.to_string()), Some("55.04 USD".to_owned()));
    }

    #[test]
    fn an_entry_that_says_something_else_has_no_price() {
        let entry = include_str!("../tests/data/price-list-p5.json");
        let other = |from: &str, to: &str| {
            assert!(entry.contains(from), "{from}");
            price_of_entry(&entry.replace(from, to))
        };
        for (from, to) in [
            ("\"Hrs\"", "\"Quantity\""),
            ("\"USD\"", "\"CNY\""),
            ("55.0400000000", "0.0000000000"),
            ("\"OnDemand\"", "\"Reserved\""),
            ("{", "["),
        ] {
            assert_eq!(other(from, to), None, "{to}");
        }
        assert_eq!(price_of_entry(&" ".repeat(ENTRY_BYTES_MAX + 1)), None);
        assert_eq!(price_of_entry("null"), None);
    }

    #[test]
    fn a_table_says_how_old_it_is_and_what_it_holds() {
        let (region, name) =
            (Region::parse("us-east-1").unwrap(), InstanceType::parse("p5.48xlarge").unwrap());
        let table = |text: &str, second: i64| {
            let as_of = Timestamp::from_second(second).unwrap();
            let price = OnDemandPrice { price: price(text).unwrap(), as_of };
            PriceTable::default().with(region.clone(), name.clone(), price)
        };
        let [source] = &table("55.04", 7).sources()[..] else { panic!("one") };
        assert_eq!((source.as_of.as_second(), source.priced), (7, 1));
        assert_eq!(source.hash, table("55.04", 7).sources()[0].hash);
        assert_ne!(source.hash, table("55.05", 7).sources()[0].hash);
        assert!(PriceTable::default().sources().is_empty());
    }

    #[test]
    fn a_ceiling_is_written_as_aws_reads_it() {
        let usd = |nanos| Money::from_nanos(nanos, Currency::USD);
        assert_eq!(ceiling_text(usd(31_464_000_000)).as_deref(), Some("31.464"));
        assert_eq!(ceiling_text(usd(1_999)).as_deref(), Some("0.000001"), "never above the ceiling");
        for nanos in [999, 0, -1, i64::MIN] {
            assert_eq!(ceiling_text(usd(nanos)), None, "{nanos}");
        }
        assert_eq!(ceiling_text(Money::from_nanos(5_000, Currency::parse("EUR").unwrap())), None);
    }
}
