//! What follows when a provider takes a lease's capacity back: the place is avoided for a while, and a replacement is wanted
//! if the request says so. Both are in the transaction that notes the interruption.

use hpc_error::{HpcError, codes};
use hpc_resources::OnInterruption;

use super::REPLACEMENTS_MAX;
use crate::broker::Broker;
use crate::records::{LeaseRecord, ReplacementRecord, ReplacementState};
use crate::store::Change;

impl Broker {
    /// Takes an interruption into a lease and into what is written of it. Taking it in twice changes nothing.
    pub(crate) async fn reclaimed(
        &self,
        change: Change,
        lease: &mut LeaseRecord,
    ) -> Result<Change, HpcError> {
        let now = self.environment.now();
        let change = match &lease.offer {
            Some(offer) => self.stock.reclaimed(change, &offer.key(), now)?,
            None => change,
        };
        if lease.replacement.is_some() || !self.wants_replacement(lease).await? {
            return Ok(change);
        }
        let too_many = lease.generation >= REPLACEMENTS_MAX;
        lease.replacement = Some(ReplacementRecord {
            state: if too_many { ReplacementState::GivenUp } else { ReplacementState::Wanted },
            since: now,
            tries: 0,
            next_at: (!too_many).then_some(now),
            by: None,
            problem: too_many.then(|| format!("{REPLACEMENTS_MAX} leases have replaced one another already")),
        });
        self.say_replacement(change, lease)
    }

    async fn wants_replacement(&self, lease: &LeaseRecord) -> Result<bool, HpcError> {
        match self.plan_by_id(&lease.plan).await {
            Ok(plan) => Ok(plan.request.on_interruption() == OnInterruption::Replace),
            // A plan that is gone or damaged must not keep its lease from ending.
            Err(error) => match error.registered() {
                Some(code) if *code == codes::DAT_CORRUPT || *code == codes::PLN_UNKNOWN => Ok(false),
                _ => Err(error),
            },
        }
    }
}
