//! The end of an apply that got nothing.

use hpc_error::{HpcError, codes};

use crate::apply::Applied;
use crate::apply::walk::Walk;
use crate::broker::Broker;
use crate::records::{EndReason, LeaseRecord, LeaseState, PlanRecord};
use crate::store::{Change, key};

impl Broker {
    /// Every offer failed: the lease ends, the hold is given back, and the error names the best thing to do next.
    pub(super) async fn give_up(
        &self,
        plan: &PlanRecord,
        lease: LeaseRecord,
        walk: Walk,
    ) -> Result<Applied, HpcError> {
        let failures = lease.failures.clone();
        self.fail_lease(lease, EndReason::NoCapacity).await?;
        if let Some(refused) = walk.over_budget.filter(|_| walk.stopped) {
            let error = self.over_budget(&refused).with("plan", &plan.plan.id);
            return Err(error.with("after", failures.join("; ")));
        }
        let (code, what) = if walk.tried == 0 && walk.price_moved > 0 {
            (&codes::PRC_MOVED, "the price moved by more than the tolerance; make a new plan")
        } else if walk.quota_refusals > 0 && walk.quota_refusals == walk.tried {
            (&codes::QUO_PROVIDER, "every offer was refused for quota")
        } else {
            (&codes::CAP_NO_CAPACITY, "no offer of the plan could be had")
        };
        let message = format!("{what}: {}", failures.join("; "));
        Err(HpcError::coded(code, message).with("plan", &plan.plan.id))
    }

    /// Ends a lease that got nothing. Intents that were set aside stay open until reconciling has settled them.
    pub(crate) async fn fail_lease(
        &self,
        mut lease: LeaseRecord,
        reason: EndReason,
    ) -> Result<LeaseRecord, HpcError> {
        let now = self.environment.now();
        lease.end_reason = Some(reason);
        lease.ended_at = Some(now);
        if self.has_open_intents(&lease).await? {
            // What was set aside may still cost money: the hold stays until that is settled.
            lease.state = LeaseState::Releasing;
            let change = Change::new().put(key("lease", lease.id.as_str())?, &lease)?;
            self.store.commit_even_unaudited(change).await?;
            self.keep_hold(&lease);
            return Ok(lease);
        }
        Ok(self.settle(lease).await?.0)
    }
}
