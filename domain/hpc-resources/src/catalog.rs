//! Offers indexed by accelerator model and price, so that a plan looks only at what could fit.

use std::collections::HashMap;

use crate::accelerator::AcceleratorModel;
use crate::offer::Offer;

/// Most offers in one catalog; what comes after them is left out. Whoever fills it leaves each provider its room.
pub const OFFERS_MAX: usize = 1_000_000;

/// Offers of all providers, indexed. Immutable once made; share it with `Arc`.
#[derive(Debug, Default)]
pub struct Catalog {
    offers: Vec<Offer>,
    by_model: HashMap<AcceleratorModel, Vec<u32>>,
    without_accelerator: Vec<u32>,
}

impl Catalog {
    /// Indexes the offers: by model, then by price per accelerator (unknown prices last), then by identity.
    #[must_use]
    pub fn new(mut offers: Vec<Offer>) -> Self {
        offers.truncate(OFFERS_MAX);
        let mut by_model: HashMap<AcceleratorModel, Vec<u32>> = HashMap::new();
        let mut without_accelerator = Vec::new();
        for (index, offer) in (0_u32..).zip(&offers) {
            match offer.accelerators.filter(|accelerators| accelerators.count > 0) {
                Some(accelerators) => by_model.entry(accelerators.model).or_default().push(index),
                None => without_accelerator.push(index),
            }
        }
        let at = |index: &u32| usize::try_from(*index).ok().and_then(|index| offers.get(index));
        for bucket in by_model.values_mut() {
            bucket.sort_by_cached_key(|index| {
                at(index)
                    .map(|offer| (offer.per_gpu().map_or(i64::MAX, |price| price.0.nanos()), offer.key()))
            });
        }
        without_accelerator.sort_by_cached_key(|index| {
            at(index).map(|offer| (offer.price.map_or(i64::MAX, |price| price.0.nanos()), offer.key()))
        });
        Self { offers, by_model, without_accelerator }
    }

    /// How many offers there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.offers.len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.offers.is_empty()
    }

    /// All offers, in the order given.
    #[must_use]
    pub fn offers(&self) -> &[Offer] {
        &self.offers
    }

    /// The offers that could carry `model` (or, for `None`, that need no accelerator), cheapest first.
    pub fn candidates(&self, model: Option<AcceleratorModel>) -> impl Iterator<Item = &Offer> {
        let bucket: &[u32] = match model {
            Some(model) => self.by_model.get(&model).map_or(&[], Vec::as_slice),
            None => &self.without_accelerator,
        };
        bucket.iter().filter_map(|index| self.offers.get(usize::try_from(*index).ok()?))
    }
}
