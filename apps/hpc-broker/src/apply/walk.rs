//! What an apply learns on its way from offer to offer.

use std::collections::HashMap;

use hpc_provider::{ErrorKind, ProviderError};
use hpc_resources::{Offer, OfferKey, PerInstanceHour, ProviderId, Refused};

/// What an apply learnt on its way.
#[derive(Default)]
pub(super) struct Walk {
    pub(super) tried: usize,
    /// Why no further try fits beside one that was set aside.
    pub(super) over_budget: Option<Refused>,
    /// Whether a further try was left out for that.
    pub(super) stopped: bool,
    pub(super) price_moved: usize,
    pub(super) quota_refusals: usize,
    pub(super) blocked_quotas: Vec<(ProviderId, String, String)>,
    pub(super) blocked_providers: Vec<ProviderId>,
    pub(super) prices: HashMap<ProviderId, HashMap<OfferKey, Option<PerInstanceHour>>>,
}

impl Walk {
    /// Remembers what a failure says about other offers.
    pub(super) fn remember(&mut self, error: &ProviderError, offer: &Offer) {
        match (error.kind, &offer.quota) {
            (ErrorKind::Quota, Some(quota)) => {
                self.quota_refusals += 1;
                self.blocked_quotas.push((
                    offer.provider.clone(),
                    offer.region.to_string(),
                    quota.family.to_string(),
                ));
            }
            (ErrorKind::Quota, None) => self.quota_refusals += 1,
            (ErrorKind::Auth, _) => self.blocked_providers.push(offer.provider.clone()),
            _ => {}
        }
    }
}
