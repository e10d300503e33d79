//! An offer looked at again, right before it is bought: what was quoted a while ago may no longer be so.

use hpc_error::{HpcError, codes};
use hpc_provider::QuoteRequest;
use hpc_resources::{Attempt, OfferKey, PerInstanceHour, ProviderId};

use crate::apply::walk::Walk;
use crate::broker::Broker;
use crate::evidence::{Evidence, Refusal};
use crate::gate::{Gate, offer_outcome};
use crate::records::PlanRecord;
use crate::tolerance::with_tolerance;

/// How old a quoted price may be before apply asks again, in seconds.
const PRICE_AGE_S_MAX: i64 = 60;

/// An offer that may be bought now.
pub(super) struct Looked {
    /// What one instance costs per hour now.
    pub(super) price: PerInstanceHour,
    /// What policy said.
    pub(super) evidence: Evidence,
}

impl Broker {
    /// Checks an offer again right before it is bought: stock memory, the end of its capacity, policy,
    /// and the price when the quote is old.
    pub(super) async fn check_offer_again(
        &self,
        gate: &Gate<'_>,
        plan: &PlanRecord,
        attempt: &Attempt,
        walk: &mut Walk,
    ) -> Result<Looked, String> {
        let now = self.environment.now();
        let offer = &attempt.offer;
        if let Some(out) = self.stock.find(&offer.key(), now) {
            return Err(format!("remembered as out of stock until {} ({})", out.until, out.reason.as_str()));
        }
        if let Some(quota) = &offer.quota
            && walk.blocked_quotas.contains(&(
                offer.provider.clone(),
                offer.region.to_string(),
                quota.family.to_string(),
            ))
        {
            return Err(format!("the quota {} in {} was just refused", quota.family, offer.region));
        }
        if walk.blocked_providers.contains(&offer.provider) {
            return Err("the provider just refused our credential".to_owned());
        }
        // A plan lives for a while: as much less than the whole time as that is still what was planned.
        let missing_s = offer.falls_short_s(now, plan.plan.duration_s);
        if missing_s > u64::from(self.settings.plan_valid_s) {
            return Err(format!("its capacity now ends {missing_s} s too early"));
        }
        let description = self.provider(&offer.provider).map_err(|error| error.to_string())?.describe();
        let missing = description.supports.missing_to_create();
        if !missing.is_empty() {
            return Err(format!("the provider cannot do what a safe create needs: {}", missing.join(", ")));
        }
        let price = if now.duration_since(offer.as_of).as_secs() > PRICE_AGE_S_MAX {
            self.price_now(plan, &offer.provider, &offer.key(), walk).await?
        } else {
            attempt.price
        };
        let ceiling = with_tolerance(attempt.price.0, self.settings.price_tolerance_bp)
            .map_err(|error| error.to_string())?;
        if price.0.exceeds(ceiling) {
            walk.price_moved += 1;
            return Err(format!(
                "the price moved from {} to {}, more than the tolerance",
                attempt.price.0, price.0
            ));
        }
        let hourly = price.0.checked_mul(u64::from(attempt.instances)).map_err(|error| error.to_string())?;
        let judged = gate.judge_offer(offer, hourly);
        if let Err((rule, message)) = offer_outcome(&judged.decision) {
            let message = format!("policy {rule}: {message}");
            let refusal = Refusal {
                error: HpcError::coded(&codes::POL_DENIED, message.clone()),
                action: "capacity.provision",
                subject: ("plan".to_owned(), plan.plan.id.to_string()),
                judged: Some(Box::new(judged)),
            };
            drop(self.refused(gate.caller, refusal).await);
            return Err(message);
        }
        Ok(Looked { price, evidence: judged.evidence() })
    }

    async fn price_now(
        &self,
        plan: &PlanRecord,
        provider: &ProviderId,
        offer: &OfferKey,
        walk: &mut Walk,
    ) -> Result<PerInstanceHour, String> {
        if !walk.prices.contains_key(provider) {
            let port = self.provider(provider).map_err(|error| error.to_string())?;
            let ask = QuoteRequest { request: plan.request.clone(), now: self.environment.now() };
            let quote = port.get_quote(&ask).await.map_err(|error| format!("no fresh price: {error}"))?;
            let prices = quote.offers.into_iter().map(|offer| (offer.key(), offer.rate())).collect();
            walk.prices.insert(provider.clone(), prices);
        }
        match walk.prices.get(provider).and_then(|prices| prices.get(offer)) {
            Some(Some(price)) => Ok(*price),
            Some(None) => Err("its price is no longer known".to_owned()),
            None => Err("it is no longer offered".to_owned()),
        }
    }
}
