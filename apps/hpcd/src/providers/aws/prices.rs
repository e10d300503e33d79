//! A price list that is asked seldom: prices change a few times a year, and a question costs a call for each type.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use async_trait::async_trait;
use hpc_provider::Result;
use hpc_provider_aws::{OnDemandPrice, OnDemandPrices};
use hpc_resources::{InstanceType, Region};
use jiff::{SignedDuration, Timestamp};

/// After this long a price is asked for again.
const FRESH: SignedDuration = SignedDuration::from_hours(12);
/// After this long a type that had no price is asked for again.
const FRESH_UNKNOWN: SignedDuration = SignedDuration::from_hours(1);
/// A price older than this is not used, even if the list cannot be reached.
const OLDEST: SignedDuration = SignedDuration::from_hours(48);

/// What the list said, and when.
type Answers = BTreeMap<(Region, InstanceType), (Timestamp, Option<OnDemandPrice>)>;

/// Remembers what a price list says, at most one answer for each type and region of the settings.
pub(super) struct Remembered<P> {
    list: P,
    answers: Mutex<Answers>,
}

impl<P: OnDemandPrices> Remembered<P> {
    pub(super) fn new(list: P) -> Self {
        Self { list, answers: Mutex::default() }
    }

    fn known(&self, place: &(Region, InstanceType)) -> Option<(Timestamp, Option<OnDemandPrice>)> {
        self.answers.lock().unwrap_or_else(PoisonError::into_inner).get(place).cloned()
    }

    /// One type at a time, each kept as it comes: a question that is cut off goes on where it was.
    async fn price(&self, place: (Region, InstanceType), now: Timestamp) -> Result<Option<OnDemandPrice>> {
        let known = self.known(&place);
        if let Some((at, price)) = &known {
            let fresh = if price.is_some() { FRESH } else { FRESH_UNKNOWN };
            if now.duration_since(*at) < fresh {
                return Ok(price.clone());
            }
        }
        match self.list.on_demand(&place.0, std::slice::from_ref(&place.1), now).await {
            Ok(mut found) => {
                let price = found.remove(&place.1);
                let mut answers = self.answers.lock().unwrap_or_else(PoisonError::into_inner);
                answers.insert(place, (now, price.clone()));
                Ok(price)
            }
            // The offer says how old its price is.
            Err(error) => match known {
                Some((at, Some(price))) if now.duration_since(at) < OLDEST => Ok(Some(price)),
                _ => Err(error),
            },
        }
    }
}

#[async_trait]
impl<P: OnDemandPrices> OnDemandPrices for Remembered<P> {
    async fn on_demand(
        &self,
        region: &Region,
        types: &[InstanceType],
        now: Timestamp,
    ) -> Result<BTreeMap<InstanceType, OnDemandPrice>> {
        let mut prices = BTreeMap::new();
        for instance_type in types {
            if let Some(price) = self.price((region.clone(), instance_type.clone()), now).await? {
                prices.insert(instance_type.clone(), price);
            }
        }
        Ok(prices)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};

    use hpc_provider::{Certainty, ErrorKind, ProviderError, Scope};
    use hpc_resources::{Currency, Money, PerInstanceHour};

    use super::*;

    /// Knows `p5` alone; fails after `good` questions.
    #[derive(Default)]
    struct List {
        asked: AtomicU32,
        good: AtomicU32,
    }

    #[async_trait]
    impl OnDemandPrices for List {
        async fn on_demand(
            &self,
            _: &Region,
            types: &[InstanceType],
            now: Timestamp,
        ) -> Result<BTreeMap<InstanceType, OnDemandPrice>> {
            assert_eq!(types.len(), 1);
            if self.asked.fetch_add(1, Ordering::Relaxed) >= self.good.load(Ordering::Relaxed) {
                let (kind, scope) = (ErrorKind::Throttled, Scope::Region);
                return Err(ProviderError::new(kind, scope, Certainty::NotDone, "Throttled", "slow down"));
            }
            let price = PerInstanceHour(Money::from_nanos(1, Currency::USD));
            let known = types.iter().filter(|name| name.as_str() == "p5.48xlarge");
            Ok(known.map(|name| (name.clone(), OnDemandPrice { price, as_of: now })).collect())
        }
    }

    async fn ask(prices: &Remembered<List>, hours: i64) -> Result<BTreeMap<InstanceType, OnDemandPrice>> {
        let region = Region::parse("us-east-1").unwrap();
        let types = ["p4d.24xlarge", "p5.48xlarge"].map(|name| InstanceType::parse(name).unwrap());
        let now = Timestamp::UNIX_EPOCH.saturating_add(SignedDuration::from_hours(hours)).unwrap();
        prices.on_demand(&region, &types, now).await
    }

    #[tokio::test]
    async fn a_price_is_asked_for_twice_a_day_and_an_unknown_one_every_hour() {
        let prices = Remembered::new(List { good: AtomicU32::new(100), ..List::default() });
        for (hours, asked) in [(0, 2), (0, 2), (1, 3), (11, 4), (12, 6)] {
            let found = ask(&prices, hours).await.unwrap();
            assert_eq!(found.len(), 1, "the unknown one is left out");
            assert_eq!(prices.list.asked.load(Ordering::Relaxed), asked, "after {hours} h");
        }
    }

    #[tokio::test]
    async fn an_old_price_stands_in_for_two_days_and_says_how_old_it_is() {
        let prices = Remembered::new(List { good: AtomicU32::new(1), ..List::default() });
        let region = Region::parse("us-east-1").unwrap();
        let p5 = [InstanceType::parse("p5.48xlarge").unwrap()];
        let at = |hours| Timestamp::UNIX_EPOCH.saturating_add(SignedDuration::from_hours(hours)).unwrap();
        for hours in [0, 47] {
            let found = prices.on_demand(&region, &p5, at(hours)).await.unwrap();
            assert_eq!(found[&p5[0]].as_of, at(0));
        }
        let error = prices.on_demand(&region, &p5, at(48)).await.unwrap_err();
        assert_eq!(error.kind, ErrorKind::Throttled);
    }
}
